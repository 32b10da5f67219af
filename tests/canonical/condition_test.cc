#include "azoth/canonical/condition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "azoth/core/limits.h"
#include "store_support.h"

namespace azoth {
namespace {

using namespace test;  // NOLINT: the tests' own helpers
using testing::AllOf;
using testing::HasSubstr;
using namespace std::string_literals;

std::string evaluate(const Condition& condition, std::optional<std::string_view> value) {
  auto failure = std::get<Condition::OnKey>(condition.kind()).evaluate(value);
  return failure ? failure->message : "holds";
}

TEST(Condition, KeyExists) {
  Condition condition = Condition::key_exists("k");
  EXPECT_EQ(evaluate(condition, "v"), "holds");
  EXPECT_EQ(evaluate(condition, ""), "holds");
  EXPECT_THAT(evaluate(condition, std::nullopt), AllOf(HasSubstr("key k"), HasSubstr("does not exist")));
}

TEST(Condition, KeyAbsent) {
  Condition condition = Condition::key_absent("k");
  EXPECT_EQ(evaluate(condition, std::nullopt), "holds");
  EXPECT_THAT(evaluate(condition, "the value"), AllOf(HasSubstr("key k"), HasSubstr("the value")));
  EXPECT_THAT(evaluate(condition, ""), HasSubstr("exists"));
}

TEST(Condition, KeyEquals) {
  Condition condition = Condition::key_equals("k", "right");
  EXPECT_EQ(evaluate(condition, "right"), "holds");
  EXPECT_THAT(evaluate(condition, "wrong"), AllOf(HasSubstr("wrong"), HasSubstr("right")));
  EXPECT_THAT(evaluate(condition, std::nullopt), HasSubstr("right"));
  EXPECT_NE(evaluate(condition, "right!"), "holds");
  EXPECT_NE(evaluate(condition, "righ"), "holds");
}

TEST(Condition, AnEmptyValueIsNotAnAbsentOne) {
  EXPECT_EQ(evaluate(Condition::key_equals("k", ""), ""), "holds");
  EXPECT_NE(evaluate(Condition::key_equals("k", ""), std::nullopt), "holds");
  EXPECT_NE(evaluate(Condition::key_absent("k"), ""), "holds");
}

TEST(Condition, ValuesAreBytes) {
  EXPECT_EQ(evaluate(Condition::key_equals("\0k"s, "\0\xFF"s), "\0\xFF"s), "holds");
  EXPECT_NE(evaluate(Condition::key_equals("k", "\0\xFF"s), "\0"s), "holds");
  EXPECT_THAT(evaluate(Condition::key_equals("k", "\0\xFF"s), "\xFE"s), AllOf(HasSubstr("0x00ff"), HasSubstr("0xfe")));
}

TEST(Condition, KeysHaveTheirLimits) {
  std::string too_long(limits::kMaxKeyBytes + 1, 'k');
  EXPECT_EQ(code_of([] { Condition::key_exists(""); }), ErrorCode::KeyEmpty);
  EXPECT_EQ(code_of([&] { Condition::key_exists(too_long); }), ErrorCode::KeyTooLarge);
  EXPECT_EQ(code_of([&] { Condition::key_absent(too_long); }), ErrorCode::KeyTooLarge);
  EXPECT_EQ(code_of([&] { Condition::key_equals(too_long, "v"); }), ErrorCode::KeyTooLarge);
  EXPECT_EQ(code_of([] { Condition::key_exists(std::string(limits::kMaxKeyBytes, 'k')); }), ErrorCode{});
}

TEST(Condition, KeepsItsOwnCopies) {
  std::string key = "key";
  std::string value = "value";
  Condition condition = Condition::key_equals(key, value);
  key = "xxx";
  value = "yyyyy";
  EXPECT_EQ(std::get<Condition::OnKey>(condition.kind()).key, "key");
  EXPECT_EQ(evaluate(condition, "value"), "holds");
}

// --- In a store

class ConditionalSubmit : public testing::Test {
 protected:
  ~ConditionalSubmit() override { fault::disarm_all(); }

  Outcome<Ticket> submit(const std::vector<Condition>& conditions, Durability level = Durability::Written) {
    WriteSet set;
    set.put("written", std::to_string(++attempts_)).append({.type = "t", .tags = {}, .payload = ""});
    return store_->submit(std::move(set), conditions, {.level = level});
  }
  bool holds(const std::vector<Condition>& conditions) {
    CommitSeq before = store_->status().applied_seq;
    auto outcome = submit(conditions);
    EXPECT_EQ(store_->status().applied_seq, before + (outcome ? 1 : 0));
    if (outcome) outcome->wait();
    ReadTxn read = store_->read();
    EXPECT_EQ(read.get("written") == std::to_string(attempts_), outcome.has_value());
    return outcome.has_value();
  }

  TestStore store_;
  int attempts_ = 0;
};

TEST_F(ConditionalSubmit, CommitsOnlyIfAllHold) {
  put(*store_, "a", "1");
  EXPECT_TRUE(holds({}));
  EXPECT_TRUE(holds({Condition::key_equals("a", "1"), Condition::key_absent("b"), Condition::key_exists("a")}));
  EXPECT_FALSE(holds({Condition::key_equals("a", "1"), Condition::key_exists("b")}));
  EXPECT_FALSE(holds({Condition::key_absent("a")}));
  EXPECT_FALSE(holds({Condition::key_exists("a"), Condition::key_absent("a")}));
}

TEST_F(ConditionalSubmit, ARejectionNamesEveryConditionThatFails) {
  put(*store_, "a", "1");
  auto outcome =
      submit({Condition::key_exists("a"), Condition::key_exists("missing"), Condition::key_absent("a")});
  ASSERT_FALSE(outcome);
  ASSERT_EQ(outcome.rejection().failures.size(), 2u);
  EXPECT_EQ(outcome.rejection().failures[0].key, "missing");
  EXPECT_EQ(outcome.rejection().failures[1].key, "a");
  EXPECT_THAT(outcome.rejection().message(), AllOf(HasSubstr("key missing"), HasSubstr("key a")));
  EXPECT_EQ(code_of([&] { outcome.value(); }), ErrorCode::Rejected);
  EXPECT_EQ(message_of([&] { outcome.value(); }), outcome.rejection().message());
}

TEST_F(ConditionalSubmit, SeesTheNewestValueWhereverItIs) {
  put(*store_, "k", "1");
  put(*store_, "gone", "1");
  store_->checkpoint();
  EXPECT_TRUE(holds({Condition::key_equals("k", "1"), Condition::key_exists("gone")}));
  LmdbIsFull full;
  put(*store_, "k", "2");
  del(*store_, "gone");
  full.freeze(*store_);
  EXPECT_TRUE(holds({Condition::key_equals("k", "2"), Condition::key_absent("gone")}));
  full.freeze(*store_);
  put(*store_, "k", "3");
  EXPECT_TRUE(holds({Condition::key_equals("k", "3"), Condition::key_absent("gone")}));
}

// A condition sees what is in the order before it, even if no reader can see it yet.
TEST_F(ConditionalSubmit, SeesCommitsThatAreOnlyApplied) {
  WriteSet set;
  set.put("k", "applied");
  auto ticket = store_->submit(std::move(set), {}, {.level = Durability::Applied}).value();
  EXPECT_EQ(store_->read().get("k"), std::nullopt);
  auto outcome = submit({Condition::key_equals("k", "applied")}, Durability::Applied);
  EXPECT_TRUE(outcome);
}

TEST_F(ConditionalSubmit, ARejectionIsGivenWhenWhatItRestsOnIsSafe) {
  for (Durability level : {Durability::Written, Durability::Durable}) {
    std::string key = "key" + std::to_string(static_cast<int>(level));
    WriteSet set;
    set.put(key, "applied");
    auto ticket = store_->submit(std::move(set), {}, {.level = Durability::Applied}).value();
    ASSERT_FALSE(ticket.reached(Durability::Written));
    EXPECT_FALSE(submit({Condition::key_absent(key)}, level));
    EXPECT_TRUE(ticket.reached(level));
  }
}

TEST_F(ConditionalSubmit, AnEmptyTransactionAnswersWhetherTheyHold) {
  CommitInfo info = put(*store_, "a", "1");
  std::vector<Condition> conditions = {Condition::key_exists("a")};
  auto outcome = store_->submit(WriteSet(), conditions);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->wait().commit_seq, info.commit_seq);
  EXPECT_TRUE(outcome->reached(Durability::Durable));
  conditions = {Condition::key_absent("a")};
  EXPECT_FALSE(store_->submit(WriteSet(), conditions));
  EXPECT_EQ(store_->status().applied_seq, info.commit_seq);
}

// Each thread reads a counter and sets the next value if it is still that: no increment may get lost, however the
// evaluations, the commits and the flushes in between them fall.
TEST_F(ConditionalSubmit, OfThoseWhoSawTheSameValueOneWins) {
  constexpr int kThreads = 4;
  constexpr int kIncrements = 250;
  put(*store_, "counter", "0");
  std::atomic<bool> done{false};
  std::atomic<int> rejected{0};
  std::jthread flushing([&] {
    while (!done) store_->checkpoint();
  });
  auto count = [&] {
    for (int done_here = 0; done_here < kIncrements;) {
      std::string seen(*store_->read(Durability::Applied).get("counter"));
      WriteSet set;
      set.put("counter", std::to_string(std::stoi(seen) + 1));
      set.append({.type = "counted", .tags = {}, .payload = seen});
      std::vector<Condition> conditions = {Condition::key_equals("counter", seen)};
      bool won = store_->submit(std::move(set), conditions, {.level = Durability::Applied}).has_value();
      done_here += won ? 1 : 0;
      rejected += won ? 0 : 1;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back(count);
  }
  done = true;
  flushing.join();
  store_->flush();
  ReadTxn read = store_->read();
  EXPECT_EQ(read.get("counter"), std::to_string(kThreads * kIncrements));
  int expected = 0;
  for (const EventView& event : read.events()) ASSERT_EQ(event.payload(), std::to_string(expected++));
  EXPECT_EQ(expected, kThreads * kIncrements);
}

}  // namespace
}  // namespace azoth
