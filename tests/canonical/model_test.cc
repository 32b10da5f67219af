// The store beside a model of it, under random operations: a std::map and a vector.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/seed.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

struct ModelEvent {
  std::string type;
  std::string tag;
  std::string payload;
  bool operator==(const ModelEvent&) const = default;
};

struct Model {
  std::map<std::string, std::string> state;
  std::vector<ModelEvent> events;
  bool operator==(const Model&) const = default;
};

// Keys that are prefixes of one another, with 0x00 and 0xFF: where bounds go wrong.
std::string random_key(std::mt19937_64& random) {
  static const std::string kBytes("\x00\x01" "ab\xfe\xff", 6);
  std::string key;
  for (std::size_t size = 1 + random() % 4; key.size() < size;) key += kBytes[random() % kBytes.size()];
  return key;
}

Model read_all(const ReadTxn& snapshot) {
  Model read;
  for (auto [key, value] : snapshot.scan()) read.state.emplace(key, value);
  for (const EventView& event : snapshot.events()) {
    EXPECT_EQ(event.id(), read.events.size() + 1);
    read.events.push_back({std::string(event.type()), std::string(*event.tags().begin()), std::string(event.payload())});
  }
  return read;
}

class ModelTest : public WritePath {
 protected:
  // One random transaction, in the set and in the model.
  WriteSet random_set(Model& model) {
    WriteSet set;
    for (std::size_t i = random_() % 4; i > 0; --i) {
      std::string key = random_key(random_);
      if (random_() % 3 == 0) {
        set.del(key);
        model.state.erase(key);
      } else {
        std::string value(random_() % 200, static_cast<char>('a' + random_() % 26));
        set.put(key, value);
        model.state[key] = value;
      }
    }
    for (std::size_t i = random_() % 3; i > 0; --i) {
      ModelEvent event{"type" + std::to_string(random_() % 3), "tag:" + std::to_string(random_() % 5),
                       std::to_string(random_())};
      set.append({.type = event.type, .tags = {event.tag}, .payload = event.payload});
      model.events.push_back(event);
    }
    return set;
  }

  void commit() {
    Model after = model_;
    WriteSet set = random_set(after);
    std::string key = random_key(random_);
    auto found = model_.state.find(key);
    std::vector<Condition> conditions;
    bool holds = true;
    if (random_() % 2 == 0) {
      bool absent = random_() % 2 == 0;
      conditions.push_back(absent ? Condition::key_absent(key) : Condition::key_exists(key));
      holds = absent == (found == model_.state.end());
    }
    auto level = static_cast<Durability>(1 + random_() % 3);
    auto outcome = store_->submit(std::move(set), conditions, {.level = level});
    ASSERT_EQ(outcome.has_value(), holds);
    if (!holds) return;
    model_ = std::move(after);
    if (random_() % 2 == 0) outcome->wait(Durability::Written);
  }

  void write_txn() {
    Model after = model_;
    WriteTxn txn = store_->begin();
    for (int i = 0; i < 5; ++i) {
      std::string key = random_key(random_);
      auto known = after.state.find(key);
      auto value = txn.get(key);
      ASSERT_EQ(value.has_value(), known != after.state.end());
      if (value) {
        ASSERT_EQ(*value, known->second);
      }
      txn.put(key, std::to_string(i));
      after.state[key] = std::to_string(i);
    }
    ModelEvent event{"txn", "tag:txn", "x"};
    EventId id = txn.append({.type = event.type, .tags = {event.tag}, .payload = event.payload});
    after.events.push_back(event);
    ASSERT_EQ(id, after.events.size());
    std::map<std::string, std::string> seen;
    for (auto [key, own] : txn.scan()) seen.emplace(key, own);
    ASSERT_EQ(seen, after.state);
    if (random_() % 4 == 0) return;  // aborted
    txn.commit(Durability::Written);
    model_ = std::move(after);
  }

  void compare_range() {
    store_->flush(Durability::Written);
    std::string from = random_key(random_);
    std::string to = random_key(random_);
    bool reverse = random_() % 2 == 0;
    std::vector<std::pair<std::string, std::string>> expected;
    for (const auto& [key, value] : model_.state) {
      if (key >= from && key < to) expected.emplace_back(key, value);
    }
    if (reverse) std::reverse(expected.begin(), expected.end());
    std::vector<std::pair<std::string, std::string>> seen;
    ReadTxn snapshot = store_->read();
    for (auto [key, value] : snapshot.range({.from = from, .to = to}, {.reverse = reverse})) seen.emplace_back(key, value);
    ASSERT_EQ(seen, expected);
  }

  void compare_tag() {
    store_->flush(Durability::Written);
    std::string tag = "tag:" + std::to_string(random_() % 5);
    EventId after = model_.events.empty() ? 0 : random_() % model_.events.size();
    bool reverse = random_() % 2 == 0;
    std::vector<EventId> expected;
    for (EventId id = after + 1; id <= model_.events.size(); ++id) {
      if (model_.events[id - 1].tag == tag) expected.push_back(id);
    }
    if (reverse) std::reverse(expected.begin(), expected.end());
    std::vector<EventId> seen;
    ReadTxn snapshot = store_->read();
    for (const EventView& event : snapshot.events({.after = after, .tags = {tag}, .reverse = reverse})) {
      seen.push_back(event.id());
    }
    ASSERT_EQ(seen, expected);
  }

  void hold_or_check_snapshot() {
    if (held_ && random_() % 2 == 0) {
      ASSERT_EQ(read_all(*held_), held_model_);
      held_.reset();
    } else if (!held_) {
      store_->flush(Durability::Written);
      held_ = store_->read();
      held_model_ = model_;
    }
  }

  void step() {
    switch (random_() % 40) {
      case 0: return hold_or_check_snapshot();
      case 1: return store_->checkpoint();
      case 2: return store_->flush();
      case 3: case 4: return compare_range();
      case 5: case 6: return compare_tag();
      case 7: return write_txn();
      case 8:
        if (random_() % 10 == 0) {
          held_.reset();
          store_.reopen();
          ASSERT_TRUE(store_->status().recovery.clean);
          ASSERT_EQ(read_all(store_->read()), model_);
        }
        return;
      default: return commit();
    }
  }

  std::mt19937_64 random_{test_seed()};
  TestStore store_{tiny_options()};
  Model model_;
  std::optional<ReadTxn> held_;
  Model held_model_;
};

TEST_F(ModelTest, TheStoreDoesWhatTheModelDoes) {
  for (int i = rounds(6000, 200'000); i > 0 && !HasFatalFailure(); --i) step();
  held_.reset();
  store_.reopen();
  EXPECT_EQ(read_all(store_->read()), model_);
  VerifyReport report = store_->verify();
  EXPECT_TRUE(report.ok()) << report.problems.front();
}

}  // namespace
}  // namespace azoth::test
