// Conditions on events: what they mean, wherever the events are that they are about (in LMDB, in a Delta, or come only
// between their evaluation and the transaction's place in the order), and what is decided on them by many at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "azoth/canonical/condition.h"
#include "store_support.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

// Runs something once, when a transaction looks at the time: behind the evaluation of its conditions, before its place
// in the order.
class HookClock final : public Clock {
 public:
  Timestamp now() override {
    if (auto hook = std::exchange(hook_, nullptr)) hook();
    return Clock::system().now();
  }
  void set(std::function<void()> hook) { hook_ = std::move(hook); }

 private:
  std::function<void()> hook_;
};

struct Given {
  std::string type;
  std::vector<std::string> tags;
};

enum class Place { Lmdb, FrozenDelta, FillingDelta, Sequencer };

void PrintTo(Place place, std::ostream* to) {
  *to << std::array{"Lmdb", "FrozenDelta", "FillingDelta", "Sequencer"}[static_cast<std::size_t>(place)];
}

std::string name_of(const testing::TestParamInfo<Place>& info) { return testing::PrintToString(info.param); }

class EventConditionTest : public WritePath {
 protected:
  EventConditionTest() : store_(options()) {}

  Options options() {
    Options options = quiet_options();
    options.clock = &clock_;
    return options;
  }

  CommitInfo add(const Given& given, Durability level = Durability::Applied) {
    WriteSet set;
    set.append({.type = given.type, .tags = {given.tags.begin(), given.tags.end()}, .payload = ""});
    return submit(*store_, std::move(set), level).info();
  }
  EventId last() { return store_->read(Durability::Applied).last_event(); }

  Outcome<Ticket> decide(const std::vector<Condition>& conditions, Durability level = Durability::Applied) {
    return store_->submit(event_of("decided", "none"), conditions, {.level = level});
  }
  // The event that is in the way, 0 if the conditions hold.
  static EventId in_the_way(const Outcome<Ticket>& outcome) {
    if (outcome) return 0;
    EXPECT_EQ(outcome.rejection().failures.size(), 1u);
    EventId event = outcome.rejection().failures.front().event;
    EXPECT_THAT(outcome.rejection().message(), HasSubstr(std::to_string(event)));
    return event;
  }

  HookClock clock_;
  TestStore store_;
};

class EventConditionAt : public EventConditionTest, public testing::WithParamInterface<Place> {
 protected:
  // What a decision comes to when these events are there before it, at the place.
  EventId decide_with(const std::vector<Given>& events, const Condition& condition) {
    auto add_all = [&] {
      for (const Given& event : events) add(event);
    };
    store_->checkpoint();
    switch (GetParam()) {
      case Place::Lmdb:
        add_all();
        store_->checkpoint();
        return in_the_way(decide({condition}));
      case Place::FrozenDelta: {
        LmdbIsFull full;
        add_all();
        if (!events.empty()) full.freeze(*store_);
        EXPECT_EQ(store_->status().live_deltas, events.empty() ? 1u : 2u);
        return in_the_way(decide({condition}));
      }
      case Place::FillingDelta:
        add_all();
        return in_the_way(decide({condition}));
      case Place::Sequencer:
        break;
    }
    clock_.set([&] { std::jthread other(add_all); });
    return in_the_way(decide({condition}));
  }

  // The same; the answer is the place of the event in the list, from 1 on.
  std::size_t which_of(const std::vector<Given>& events, const std::vector<EventPattern>& patterns) {
    EventId before = last();
    EventId event = decide_with(events, Condition::no_event(patterns, before));
    return event == 0 ? 0 : event - before;
  }
};

INSTANTIATE_TEST_SUITE_P(EventsAre, EventConditionAt,
                         testing::Values(Place::Lmdb, Place::FrozenDelta, Place::FillingDelta, Place::Sequencer),
                         name_of);

// --- No event of some kind

TEST_P(EventConditionAt, AnEventThatFitsIsInTheWay) {
  EXPECT_EQ(which_of({{"t", {"a"}}}, {{.tags = {"a"}}}), 1u);
  EXPECT_EQ(which_of({{"t", {"b"}}, {"t", {"a"}}, {"t", {"a"}}}, {{.tags = {"a"}}}), 2u);
  EXPECT_EQ(which_of({{"t", {"b"}}, {"t", {}}}, {{.tags = {"a"}}}), 0u);
  EXPECT_EQ(which_of({{"t", {"aa"}}, {"t", {"a:1"}}, {"a", {"b"}}}, {{.tags = {"a"}}}), 0u);
}

TEST_P(EventConditionAt, AnyOfItsTypes) {
  std::vector<EventPattern> patterns = {{.types = {"x", "y"}, .tags = {"a"}}};
  EXPECT_EQ(which_of({{"z", {"a"}}, {"y", {"a"}}, {"x", {"a"}}}, patterns), 2u);
  EXPECT_EQ(which_of({{"x", {"b"}}, {"xx", {"a"}}, {"x", {"a"}}}, patterns), 3u);
  EXPECT_EQ(which_of({{"z", {"a"}}, {"x", {"b"}}}, patterns), 0u);
}

TEST_P(EventConditionAt, AllOfItsTags) {
  std::vector<EventPattern> patterns = {{.tags = {"a", "b"}}};
  EXPECT_EQ(which_of({{"t", {"a"}}, {"t", {"b"}}, {"t", {"c", "b", "a"}}, {"t", {"a", "b"}}}, patterns), 3u);
  EXPECT_EQ(which_of({{"t", {"a"}}, {"t", {"b"}}, {"t", {"a", "c"}}}, patterns), 0u);
}

TEST_P(EventConditionAt, AnyOfItsPatternsAndTheFirstEventIsNamed) {
  std::vector<EventPattern> patterns = {{.tags = {"a"}}, {.types = {"x"}, .tags = {"b"}}, {.tags = {"c", "d"}}};
  EXPECT_EQ(which_of({{"t", {"b"}}, {"x", {"b"}}, {"t", {"a"}}}, patterns), 2u);
  EXPECT_EQ(which_of({{"t", {"a"}}, {"x", {"b"}}, {"t", {"c", "d"}}}, patterns), 1u);
  EXPECT_EQ(which_of({{"t", {"c"}}, {"t", {"d", "c"}}, {"x", {"b"}}, {"t", {"a"}}}, patterns), 2u);
  EXPECT_EQ(which_of({{"t", {"b"}}, {"t", {"c"}}, {"x", {"d"}}}, patterns), 0u);
}

TEST_P(EventConditionAt, WhatCameBeforeThePositionIsNotInTheWay) {
  std::vector<EventPattern> patterns = {{.tags = {"a"}}};
  add({"t", {"a"}});
  EXPECT_TRUE(decide({Condition::no_event(patterns, 1)}));
  EXPECT_EQ(which_of({{"t", {"b"}}}, patterns), 0u);
  EXPECT_EQ(which_of({{"t", {"a"}}, {"t", {"a"}}}, patterns), 1u);
}

TEST_P(EventConditionAt, EachConditionCounts) {
  EventId before = last();
  auto conditions = [&](const char* first, const char* second) {
    return std::vector{Condition::no_event({{.tags = {first}}}, before), Condition::key_absent("k"),
                       Condition::no_event({{.tags = {second}}}, before)};
  };
  clock_.set([&] { std::jthread other([&] { add({"t", {"a"}}); }); });
  EXPECT_EQ(in_the_way(decide(conditions("b", "a"))), before + 1);
  EXPECT_EQ(in_the_way(decide(conditions("a", "b"))), before + 1);
}

// --- The version of a tag

TEST_P(EventConditionAt, ATagIsAtItsVersionOrNot) {
  auto at = [&](ExpectedVersion version) { return Condition::tag_version("a", version); };
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::none())), 0u);                             // event 1 is the decision
  EXPECT_EQ(decide_with({{"t", {"b"}}, {"t", {"aa"}}}, at(ExpectedVersion::none())), 0u);  // up to 4
  EXPECT_EQ(decide_with({{"t", {"a"}}, {"t", {"b"}}}, at(ExpectedVersion::any())), 0u);    // up to 7; the tag is at 5
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::exists())), 0u);
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::exactly(5))), 0u);
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::exactly(4))), 5u);
  EXPECT_EQ(decide_with({{"t", {"b"}}}, at(ExpectedVersion::exactly(5))), 0u);
  EventId next = last() + 1;
  EXPECT_EQ(decide_with({{"t", {"a"}}, {"t", {"a", "b"}}}, at(ExpectedVersion::exactly(5))), next + 1);
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::none())), next + 1);
  EXPECT_EQ(decide_with({{"t", {"a"}}}, at(ExpectedVersion::exists())), 0u);
}

TEST_P(EventConditionAt, ANewTagHasAnEventNow) {
  EXPECT_EQ(decide_with({{"t", {"b"}}, {"t", {"a"}}, {"t", {"a"}}},
                        Condition::tag_version("a", ExpectedVersion::none())),
            3u);
}

TEST_F(EventConditionTest, ARejectionNamesTheTagAndWhatWasExpected) {
  auto failure = [&](ExpectedVersion version) {
    return decide({Condition::tag_version("a", version)}).rejection().failures.at(0);
  };
  FailedCondition none = failure(ExpectedVersion::exists());
  EXPECT_EQ(none.tag, "a");
  EXPECT_EQ(none.event, 0u);
  EXPECT_THAT(none.message, AllOf(HasSubstr("no event"), HasSubstr("exists")));
  EXPECT_THAT(failure(ExpectedVersion::exactly(17)).message, AllOf(HasSubstr("no event"), HasSubstr("17")));
  add({"t", {"a"}});
  EXPECT_THAT(failure(ExpectedVersion::none()).message, AllOf(HasSubstr("event 1"), HasSubstr("none")));
}

// --- Positions

TEST_F(EventConditionTest, APositionAheadOfTheLogIsARejection) {
  Condition ahead = Condition::no_event({{.tags = {"a"}}}, 1);
  auto outcome = decide({ahead});
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.rejection().message(), AllOf(HasSubstr("position 1"), HasSubstr("ahead of the log")));
  EXPECT_EQ(last(), 0u);
  EXPECT_TRUE(decide({Condition::no_event({{.tags = {"a"}}}, 0)}));
  EXPECT_TRUE(decide({ahead})) << "the log has come to it";
  EXPECT_FALSE(decide({Condition::no_event({{.tags = {"a"}}}, 3)}));
}

// The first of them lies in an older Delta than what the first pattern finds.
TEST_F(EventConditionTest, TheFirstEventIsNamedAcrossDeltas) {
  std::vector<EventPattern> patterns = {{.tags = {"a"}}, {.tags = {"b"}}};
  add({"t", {"x"}});
  LmdbIsFull full;
  clock_.set([&] {
    std::jthread other([&] {
      add({"t", {"b"}});
      full.freeze(*store_);
      add({"t", {"a"}});
    });
  });
  EXPECT_EQ(in_the_way(decide({Condition::no_event(patterns, 1)})), 2u);
  EXPECT_EQ(in_the_way(decide({Condition::no_event(patterns, 1)})), 2u);
  EXPECT_EQ(in_the_way(decide({Condition::tag_version("b", ExpectedVersion::none())})), 2u);
}

TEST_F(EventConditionTest, OfATagsVersionsTheNewestCountsAcrossDeltas) {
  add({"t", {"a"}});
  LmdbIsFull full;
  clock_.set([&] {
    std::jthread other([&] {
      add({"t", {"a"}});
      full.freeze(*store_);
      add({"t", {"a"}});
      add({"t", {"x"}});
    });
  });
  EXPECT_EQ(in_the_way(decide({Condition::tag_version("a", ExpectedVersion::exactly(1))})), 3u);
}

// --- Evaluated again

class StaleConditionTest : public EventConditionTest {
 protected:
  // A decision whose evaluation is out of date when it comes to its place: meanwhile this has happened.
  TransactionEnd decide_while(std::function<void()> meanwhile, const Condition& condition) {
    int runs = 0;
    auto outcome = store_->transaction().require(condition).durability(Durability::Applied).execute([&](Txn& txn) {
      ++runs;
      std::jthread other(meanwhile);
      txn.append({.type = "decided", .tags = {"d"}, .payload = ""});
    });
    EXPECT_EQ(runs, 1);
    return outcome;
  }
  void bulk(const char* tag) {
    submit(*store_, event_of("bulk", tag, std::string(600'000, 'x')), Durability::Applied);
    EXPECT_EQ(store_->status().flushed_seq, store_->status().applied_seq) << "this was no bulk transaction";
  }
};

TEST_F(StaleConditionTest, AfterABulkTransaction) {
  Condition condition = Condition::no_event({{.tags = {"x"}}, {.tags = {"a"}}}, 0);
  add({"t", {"b"}});
  EXPECT_TRUE(decide_while([&] { bulk("b"); }, condition));
  EventId next = last() + 1;
  auto outcome = decide_while([&] { bulk("a"); }, condition);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.rejection().failures.at(0).event, next);
}

TEST_F(StaleConditionTest, AfterTheirDeltaWasDropped) {
  Condition condition = Condition::tag_version("a", ExpectedVersion::none());
  auto flushed = [&](const char* tag) {
    add({"t", {tag}});
    store_->checkpoint();
    add({"t", {"other"}});
  };
  EXPECT_TRUE(decide_while([&] { flushed("b"); }, condition));
  EventId next = last() + 1;
  auto outcome = decide_while([&] { flushed("a"); }, condition);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.rejection().failures.at(0).event, next);
}

// It has dropped exactly what the evaluation had seen: nothing is missing, and what came behind it is found.
TEST_F(StaleConditionTest, NotWhereTheOldestDeltaBeginsBehindTheEvaluation) {
  Condition condition = Condition::no_event({{.tags = {"a"}}}, 0);
  add({"t", {"b"}});
  auto outcome = decide_while(
      [&] {
        store_->checkpoint();
        add({"t", {"a"}});
      },
      condition);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.rejection().failures.at(0).event, 2u);
}

TEST_F(StaleConditionTest, ABulkTransactionsOwnConditionsAreEvaluatedInItsTurn) {
  for (const char* tag : {"b", "a"}) {
    auto outcome = store_->transaction()
                       .exclusive("k")
                       .require(Condition::no_event({{.tags = {"a"}}}, 0))
                       .execute([&](Txn& txn) {
                         std::jthread other([&] { add({"t", {tag}}); });
                         txn.put("k", std::string(600'000, 'x'));
                       });
    EXPECT_EQ(outcome.has_value(), std::string(tag) == "b");
  }
  EXPECT_EQ(last(), 2u);
}

// --- An answer rests on commits

TEST_F(EventConditionTest, AConflictIsGivenWhenItsEventIsSafe) {
  for (Durability level : {Durability::Written, Durability::Durable}) {
    for (bool in_the_sequencer : {false, true}) {
      std::string tag = std::string(in_the_sequencer ? "behind:" : "before:") + std::to_string(static_cast<int>(level));
      std::optional<Ticket> event;
      auto come = [&] { event = submit(*store_, event_of("t", tag), Durability::Applied); };
      if (in_the_sequencer) clock_.set([&] { std::jthread other(come); });
      if (!in_the_sequencer) come();
      Condition condition = Condition::tag_version(tag, ExpectedVersion::none());
      EXPECT_FALSE(decide({condition}, level));
      EXPECT_TRUE(event->reached(level));
      EXPECT_FALSE(decide({Condition::no_event({{.tags = {tag}}}, 0)}, Durability::Applied));
    }
  }
}

TEST_F(EventConditionTest, AConflictAtAppliedWaitsForNothing) {
  Ticket event = submit(*store_, event_of("t", "a"), Durability::Applied);
  EXPECT_FALSE(decide({Condition::tag_version("a", ExpectedVersion::none())}, Durability::Applied));
  EXPECT_FALSE(event.reached(Durability::Written));
}

// --- Errors

TEST(EventCondition, WhatNoEventCouldHaveCannotBeAskedFor) {
  auto no_event = [](std::vector<EventPattern> patterns) {
    return code_of([&] { Condition::no_event(std::move(patterns), 0); });
  };
  std::vector<std::string> too_many;
  for (std::size_t i = 0; i <= limits::kMaxTags; ++i) too_many.push_back("tag" + std::to_string(i));
  EXPECT_EQ(no_event({}), ErrorCode::InvalidArgument);
  EXPECT_EQ(no_event({{.tags = {"a"}}, {.types = {"t"}}}), ErrorCode::InvalidArgument);
  EXPECT_EQ(no_event({{.types = {""}, .tags = {"a"}}}), ErrorCode::EventTypeInvalid);
  EXPECT_EQ(no_event({{.types = {"t", std::string(limits::kMaxTypeBytes + 1, 't')}, .tags = {"a"}}}),
            ErrorCode::EventTypeInvalid);
  EXPECT_EQ(no_event({{.tags = {"a", ""}}}), ErrorCode::TagInvalid);
  EXPECT_EQ(no_event({{.tags = {std::string("a\0b", 3)}}}), ErrorCode::TagInvalid);
  EXPECT_EQ(no_event({{.tags = {std::string(limits::kMaxTagBytes + 1, 'a')}}}), ErrorCode::TagInvalid);
  EXPECT_EQ(no_event({{.tags = too_many}}), ErrorCode::TooManyTags);
  EXPECT_EQ(no_event({{.types = {std::string(limits::kMaxTypeBytes, 't')}, .tags = {"a"}}}), ErrorCode{});
  EXPECT_EQ(code_of([] { Condition::tag_version("", ExpectedVersion::any()); }), ErrorCode::TagInvalid);
  EXPECT_EQ(code_of([] { ExpectedVersion::exactly(0); }), ErrorCode::InvalidArgument);
}

TEST_F(EventConditionTest, AGuardedReadIsRefusedTheSame) {
  ReadTxn read = store_->read();
  EXPECT_EQ(code_of([&] { read.guarded({}); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { read.guarded({{.types = {"t"}}}); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { read.guarded({{.tags = {""}}}); }), ErrorCode::TagInvalid);
}

// --- By many at once

// Each round one seat, and as many as there are threads who want it; beside them everything is flushed.
TEST(EventConditions, OfThoseWhoWantOneSeatOneGetsIt) {
  Watchdog watchdog;
  constexpr int kThreads = 4;
  Options options = tiny_options();
  options.map_bytes = std::size_t{1} << 30;
  TestStore store(options);
  struct Answer {
    EventId mine = 0;
    EventId in_the_way = 0;
  };
  auto want = [&](const std::string& seat, int how) {
    std::string payload(seat.size() % 2 == 0 ? 10 : 2000, 'p');
    EventPattern pattern{.types = {"seat taken"}, .tags = {seat}};
    Condition free = how % 2 == 0 ? Condition::no_event({{.tags = {"never"}}, pattern}, 0)
                                  : Condition::tag_version(seat, ExpectedVersion::none());
    auto answer = [](const CommitInfo* info, const Rejection& rejection) {
      return info != nullptr ? Answer{.mine = info->first_event}
                             : Answer{.in_the_way = rejection.failures.at(0).event};
    };
    if (how < 2) {
      std::vector<Condition> conditions = {free};
      auto outcome = store->submit(event_of("seat taken", seat, payload), conditions, {.level = Durability::Applied});
      return answer(outcome ? &outcome->info() : nullptr, outcome.rejection());
    }
    auto outcome = store->transaction().require(free).durability(Durability::Applied).execute([&](Txn& txn) {
      txn.append({.type = "seat taken", .tags = {"hall", seat}, .payload = payload});
    });
    return answer(outcome ? &outcome.commit() : nullptr, outcome.rejection());
  };
  const int kRounds = rounds(2000, 50'000);
  std::vector<std::array<Answer, kThreads>> answers(static_cast<std::size_t>(kRounds));
  std::atomic<int> arrived{0};
  {
    std::jthread flushing([&](std::stop_token stop) {
      while (!stop.stop_requested()) store->checkpoint();
    });
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int round = 0; round < kRounds; ++round) {
          ++arrived;
          await([&] { return arrived >= kThreads * (round + 1); });
          answers[static_cast<std::size_t>(round)][static_cast<std::size_t>(thread)] =
              want("seat:" + std::to_string(round), (thread + round) % 4);
        }
      });
    }
  }
  ReadTxn read = store->read(Durability::Applied);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<EventId> taken = ids_of(read.events({.tags = {"seat:" + std::to_string(round)}}));
    ASSERT_EQ(taken.size(), 1u) << "round " << round;
    int winners = 0;
    for (const Answer& answer : answers[static_cast<std::size_t>(round)]) {
      ASSERT_EQ(answer.mine + answer.in_the_way, taken[0]) << "round " << round;
      winners += answer.mine != 0 ? 1 : 0;
    }
    ASSERT_EQ(winners, 1) << "round " << round;
  }
}

}  // namespace
}  // namespace azoth::test
