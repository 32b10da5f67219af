// Guarded reads, conditions on events and versions of tags against a model that looks at every event, while events move
// from Delta to Delta and to LMDB.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "azoth/canonical/condition.h"
#include "event_model.h"
#include "store_support.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

bool fits(const EventModel& event, const EventPattern& pattern) {
  auto has = [](const auto& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  return (pattern.types.empty() || has(pattern.types, event.type)) &&
         std::all_of(pattern.tags.begin(), pattern.tags.end(), [&](auto& tag) { return has(event.tags, tag); });
}

std::vector<EventId> expected(const LogModel& log, const std::vector<EventPattern>& patterns, EventId after) {
  std::vector<EventId> ids;
  for (EventId id = after + 1; id <= log.size(); ++id) {
    bool any = std::any_of(patterns.begin(), patterns.end(), [&](auto& one) { return fits(log[id - 1], one); });
    if (any) ids.push_back(id);
  }
  return ids;
}

EventId newest(const LogModel& log, const std::string& tag) {
  std::vector<EventId> ids = expected(log, {{.tags = {tag}}}, 0);
  return ids.empty() ? 0 : ids.back();
}

std::vector<EventPattern> random_patterns(std::mt19937_64& random) {
  auto pick = [&](const std::vector<std::string>& from) {
    return random() % 20 == 0 ? std::string("none such") : from[random() % from.size()];
  };
  std::vector<EventPattern> patterns(1 + random() % 3);
  for (EventPattern& pattern : patterns) {
    pattern.tags.push_back(pick(tricky_tags()));
    std::string another = pick(tricky_tags());
    if (random() % 2 == 0 && another != pattern.tags.front()) pattern.tags.push_back(another);
    for (std::uint64_t n = random() % 3; n != 0; --n) pattern.types.push_back(pick(tricky_types()));
  }
  if (random() % 8 == 0) patterns.push_back(patterns.front());
  return patterns;
}

class GuardedEventsTest : public WritePath {
 protected:
  void commit_some() {
    WriteSet set;
    for (std::uint64_t n = random_() % 4; n != 0; --n) {
      log_.push_back(random_event(random_));
      set.append(log_.back().event());
    }
    set.put("k", std::to_string(log_.size()));
    submit(*store_, std::move(set), Durability::Applied);
  }

  void check_reading(const ReadTxn& read) {
    std::vector<EventPattern> patterns = random_patterns(random_);
    EventId after = random_() % (log_.size() + 2);
    GuardedEvents guarded = read.guarded(patterns, after);
    ASSERT_EQ(ids_of(guarded.events()), expected(log_, patterns, after));
    ASSERT_TRUE(store_->submit(WriteSet(), std::array{guarded.unchanged()}, {.level = Durability::Applied}));
    for (const std::string& tag : tricky_tags()) ASSERT_EQ(read.tag_version(tag), newest(log_, tag)) << tag;
  }

  // Conditions are looked at by a transaction that writes nothing.
  void check_conditions() {
    std::vector<EventPattern> patterns = random_patterns(random_);
    EventId after = random_() % (log_.size() + 1);
    std::vector<EventId> ids = expected(log_, patterns, after);
    auto outcome =
        store_->submit(WriteSet(), std::array{Condition::no_event(patterns, after)}, {.level = Durability::Applied});
    ASSERT_EQ(outcome.has_value(), ids.empty());
    if (!outcome) {
      ASSERT_EQ(outcome.rejection().failures.at(0).event, ids.front());
    }

    const std::string& tag = tricky_tags()[random_() % tricky_tags().size()];
    EventId version = newest(log_, tag);
    EventId other = 1 + random_() % (log_.size() + 1);
    auto holds = [&](ExpectedVersion expected) {
      return store_
          ->submit(WriteSet(), std::array{Condition::tag_version(tag, expected)}, {.level = Durability::Applied})
          .has_value();
    };
    ASSERT_EQ(holds(ExpectedVersion::none()), version == 0);
    ASSERT_EQ(holds(ExpectedVersion::exists()), version != 0);
    ASSERT_EQ(holds(ExpectedVersion::exactly(other)), version == other);
    ASSERT_TRUE(holds(version == 0 ? ExpectedVersion::any() : ExpectedVersion::exactly(version)));
  }

  // A decision that rests on an old snapshot, with all that came meanwhile.
  void check_change(const ReadTxn& old) {
    std::vector<EventPattern> patterns = random_patterns(random_);
    std::vector<EventId> ids = expected(log_, patterns, old.last_event());
    auto outcome =
        store_->submit(WriteSet(), std::array{old.guarded(patterns).unchanged()}, {.level = Durability::Applied});
    ASSERT_EQ(outcome.has_value(), ids.empty());
    if (!outcome) {
      ASSERT_EQ(outcome.rejection().failures.at(0).event, ids.front());
    }
  }

  std::mt19937_64 random_{test_seed()};
  TestStore store_;
  LogModel log_;
};

TEST_F(GuardedEventsTest, AreWhatAModelSaysAtEveryCommit) {
  std::optional<LmdbIsFull> full;
  std::optional<ReadTxn> old = store_->read(Durability::Applied);
  std::set<std::uint32_t> deltas;
  for (int step = 0; step < rounds(600, 10'000) && !HasFatalFailure(); ++step) {
    commit_some();
    if (step % 7 == 3) {
      if (full) {
        full.reset();
        store_->checkpoint();
      } else {
        full.emplace();
        full->freeze(*store_);
      }
    }
    if (full && step % 7 == 5) full->freeze(*store_);
    deltas.insert(store_->status().live_deltas);
    check_reading(store_->read(Durability::Applied));
    check_conditions();
    check_change(*old);
    if (step % 20 == 0) old = store_->read(Durability::Applied);
  }
  EXPECT_EQ(deltas, (std::set<std::uint32_t>{1, 2, 3}));
}

TEST_F(GuardedEventsTest, LiveAsLongAsTheirSnapshot) {
  append(*store_, "t", {"a"}, "first");
  std::optional<Condition> unchanged;
  {
    ReadTxn read = store_->read(Durability::Applied);
    GuardedEvents guarded = read.guarded({{.tags = {"a"}}});
    append(*store_, "t", {"b"}, "");
    store_->checkpoint();
    append(*store_, "t", {"a"}, "second");
    std::vector<std::string> payloads;
    for (const EventView& event : guarded.events()) payloads.emplace_back(event.payload());
    EXPECT_EQ(payloads, std::vector<std::string>{"first"});
    EXPECT_EQ(ids_of(guarded.events()), std::vector<EventId>{1}) << "they can be walked again";
    unchanged = guarded.unchanged();
  }
  auto outcome = store_->submit(WriteSet(), std::array{*unchanged});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.rejection().failures.at(0).event, 3u);
}

}  // namespace
}  // namespace azoth::test
