#include "azoth/canonical/write_txn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "azoth/core/limits.h"
#include "event_model.h"
#include "state_model.h"
#include "store_support.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using namespace test;  // NOLINT: the tests' own helpers
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::chrono::nanoseconds kAtOnce{0};

class WriteTxnTest : public WritePath {
 protected:
  bool can_be_begun() {
    return code_of([&] { static_cast<void>(store_->begin(kAtOnce)); }) == ErrorCode{};
  }

  TestStore store_;
};

// --- Committing

TEST_F(WriteTxnTest, CommitsStateAndEventsTogether) {
  put(*store_, "old", "1");
  append(*store_, "t", {}, "");
  WriteTxn txn = store_->begin();
  txn.put("a", "1");
  txn.put("a", "2");
  txn.del("old");
  EventId first = txn.append({.type = "x", .tags = {"tag"}, .payload = "p1"});
  EventId second = txn.append({.type = "y", .tags = {}, .payload = "p2"});
  EXPECT_EQ(first, 2u);
  EXPECT_EQ(second, 3u);
  CommitInfo info = txn.commit();
  EXPECT_EQ(info.commit_seq, 3u);
  EXPECT_EQ(info.first_event, 2u);
  EXPECT_EQ(info.last_event, 3u);
  EXPECT_EQ(info.events, 2u);
  EXPECT_EQ(info.keys_written, 2u);
  EXPECT_EQ(info.keys_deleted, 1u);
  ReadTxn read = store_->read(Durability::Durable);
  EXPECT_EQ(read.commit_seq(), info.commit_seq);
  EXPECT_THAT(collect(read.scan()), ElementsAre(std::pair<std::string, std::string>("a", "2")));
  EXPECT_EQ(read.event(first)->payload(), "p1");
  EXPECT_EQ(read.event(second)->payload(), "p2");
  EXPECT_EQ(read.event(second)->commit_time(), info.time);
  EXPECT_EQ(store_->status().readers, 1u);  // that one: its own snapshot is gone
}

// It was moved away by the thread that has begun it, and the next thread has the std::thread::id of that one.
TEST_F(WriteTxnTest, IsNotThatOfALaterThread) {
  std::optional<WriteTxn> txn;
  std::thread([&] { txn.emplace(store_->begin()); }).join();
  for (int i = 0; i < 8; ++i) {
    ErrorCode code{};
    std::thread([&] { code = code_of([&] { store_->begin(std::chrono::milliseconds(1)); }); }).join();
    EXPECT_EQ(code, ErrorCode::LockTimeout);
  }
}

TEST_F(WriteTxnTest, OneWithoutWritesTakesNoCommit) {
  CommitInfo before = put(*store_, "a", "1");
  WriteTxn txn = store_->begin();
  EXPECT_EQ(txn.get("a"), "1");
  CommitInfo info = txn.commit();
  EXPECT_EQ(info.commit_seq, before.commit_seq);
  EXPECT_EQ(info.first_event, 0u);
  EXPECT_EQ(info.keys_written, 0u);
  EXPECT_EQ(store_->status().applied_seq, before.commit_seq);
  EXPECT_TRUE(can_be_begun());
}

TEST_F(WriteTxnTest, CommitsAsynchronouslyAndReleasesTheLock) {
  WriteTxn txn = store_->begin();
  txn.put("a", "1");
  Ticket ticket = txn.commit_async(Durability::Durable);
  EXPECT_EQ(ticket.level(), Durability::Durable);
  EXPECT_TRUE(ticket.reached(Durability::Applied));
  EXPECT_FALSE(ticket.reached(Durability::Durable));  // nobody has waited
  WriteTxn next = store_->begin(kAtOnce);
  EXPECT_EQ(next.get("a"), "1");  // what is applied
  next.abort();
  EXPECT_EQ(ticket.wait().commit_seq, 1u);
  EXPECT_TRUE(ticket.reached(Durability::Durable));
}

TEST_F(WriteTxnTest, ALoopOfSingleCommitsNumbersThemWithoutAGap) {
  for (EventId id = 1; id <= 300; ++id) {
    WriteTxn txn = store_->begin();
    ASSERT_EQ(txn.append({.type = "t", .tags = {}, .payload = std::to_string(id)}), id);
    ASSERT_EQ(txn.commit(Durability::Applied).commit_seq, id);
  }
  store_->flush(Durability::Written);
  EventId id = 0;
  for (const EventView& event : store_->read().events()) ASSERT_EQ(event.payload(), std::to_string(++id));
  EXPECT_EQ(id, 300u);
}

// --- Ending without a commit

TEST_F(WriteTxnTest, EndingWithoutACommitChangesNothingAndGivesTheIdsBack) {
  put(*store_, "a", "1");
  for (bool destroyed : {false, true}) {
    {
      WriteTxn txn = store_->begin();
      txn.put("a", "2");
      txn.put("b", "2");
      txn.del("a");
      EXPECT_EQ(txn.append({.type = "t", .tags = {}, .payload = ""}), 1u);
      if (!destroyed) txn.abort();
    }
    ReadTxn read = store_->read(Durability::Applied);
    EXPECT_EQ(read.commit_seq(), 1u);
    EXPECT_THAT(collect(read.scan()), ElementsAre(std::pair<std::string, std::string>("a", "1")));
    EXPECT_THAT(ids_of(read.events()), IsEmpty());
    EXPECT_TRUE(can_be_begun());
  }
  in_background([&] { put(*store_, "c", "3"); }).get();  // the lock is free, and not only for this thread
  EXPECT_EQ(append(*store_, "t", {}, "").first_event, 1u);
}

// --- Its own reads

TEST_F(WriteTxnTest, SeesItsOwnWritesOverTheNewestState) {
  for (const char* key : {"a", "b", "c"}) put(*store_, key, "old");
  store_->checkpoint();
  put(*store_, "c", "newer");
  WriteTxn txn = store_->begin();
  txn.put("b", "mine");
  txn.del("a");
  txn.put("d", "");
  EXPECT_EQ(txn.get("a"), std::nullopt);
  EXPECT_FALSE(txn.exists("a"));
  EXPECT_EQ(txn.get("b"), "mine");
  EXPECT_EQ(txn.get("c"), "newer");
  EXPECT_EQ(txn.get("d"), "");
  EXPECT_THAT(keys_of(txn.scan()), ElementsAre("b", "c", "d"));
  txn.put("a", "again");
  EXPECT_THAT(keys_of(txn.scan("", {.reverse = true})), ElementsAre("d", "c", "b", "a"));
  EXPECT_EQ(store_->read().get("b"), "old");  // nobody else does
}

TEST_F(WriteTxnTest, SeesCommitsThatNoReaderSeesYet) {
  WriteSet set;
  set.put("a", "applied").append({.type = "t", .tags = {}, .payload = ""});
  auto ticket = store_->submit(std::move(set), {}, {.level = Durability::Applied}).value();
  ASSERT_EQ(store_->read().get("a"), std::nullopt);
  WriteTxn txn = store_->begin();
  EXPECT_EQ(txn.get("a"), "applied");
  EXPECT_EQ(txn.append({.type = "t", .tags = {}, .payload = ""}), 2u);
}

TEST_F(WriteTxnTest, ViewsDoNotChangeWhenTheKeyIsWrittenAgain) {
  put(*store_, "a", "stored");
  WriteTxn txn = store_->begin();
  std::string_view stored = *txn.get("a");
  txn.put("a", "first");
  std::string_view first = *txn.get("a");
  txn.put("a", "second");
  txn.del("a");
  EXPECT_EQ(stored, "stored");
  EXPECT_EQ(first, "first");
}

TEST_F(WriteTxnTest, TakesCopiesOfWhatItIsGiven) {
  WriteTxn txn = store_->begin();
  std::string key = "key";
  std::string value = "value";
  txn.put(key, value);
  key = "xxx";
  value = "yyyyy";
  EXPECT_EQ(txn.get("key"), "value");
  txn.put("empty", {});
  EXPECT_EQ(txn.get("empty"), "");
  txn.commit();
  EXPECT_EQ(store_->read().get("key"), "value");
  EXPECT_EQ(store_->read().get("empty"), "");
}

TEST_F(WriteTxnTest, ARangeShowsWhatWasThereWhenItWasMade) {
  for (int i = 10; i < 20; ++i) put(*store_, "k" + std::to_string(i), "v");
  store_->checkpoint();
  for (bool reverse : {false, true}) {
    WriteTxn txn = store_->begin();
    txn.put("k15x", "mine");
    int seen = 0;
    for (auto [key, value] : txn.scan("k", {.reverse = reverse})) {
      ++seen;
      EXPECT_NE(value, "new");
      std::string text(key);
      txn.put(text + "0", "new");  // right behind
      txn.put("k", "new");         // before all
      txn.put("kz", "new");        // behind all
      txn.del(text);
      txn.put("k" + std::to_string(29 - seen), "new");  // one that comes, or was
    }
    EXPECT_EQ(seen, 11);
    EXPECT_GT(keys_of(txn.scan("k")).size(), 11u);
  }
}

class WriteTxnLayers : public WriteTxnTest, public testing::WithParamInterface<int> {};

TEST_P(WriteTxnLayers, ReadsAsASortedMapWhileItIsWritten) {
  std::mt19937_64 random(test_seed() + static_cast<std::uint64_t>(GetParam()));
  StateModel model;
  auto random_write = [&](auto& target, StateModel& changed) {
    const std::string& key = tricky_keys()[random() % tricky_keys().size()];
    if (random() % 3 == 0) {
      target.del(key);
      changed.erase(key);
    } else {
      std::string value = std::to_string(random() % 1000);
      target.put(key, value);
      changed[key] = value;
    }
  };
  auto write_some = [&] {
    for (int i = 0; i < 3; ++i) {
      WriteSet set;
      for (int j = 0; j < 6; ++j) random_write(set, model);
      commit(*store_, std::move(set));
    }
  };
  if ((GetParam() & 1) != 0) write_some();
  store_->checkpoint();
  LmdbIsFull full;
  if ((GetParam() & 2) != 0) {
    write_some();
    full.freeze(*store_);
  }
  if ((GetParam() & 4) != 0) write_some();

  for (int round = 0; round < 4; ++round) {
    WriteTxn txn = store_->begin();
    StateModel changed = model;
    for (int step = 0; step < 25; ++step) {
      random_write(txn, changed);
      ASSERT_NO_FATAL_FAILURE(expect_some_reads(txn, changed, random, 3));
    }
    ASSERT_NO_FATAL_FAILURE(expect_reads_as(txn, changed));
    if (round % 2 == 0) {
      txn.commit(Durability::Written);
      model = changed;
    } else {
      txn.abort();
    }
    ASSERT_NO_FATAL_FAILURE(expect_some_reads(store_->read(), model, random, 30));
  }
}

INSTANTIATE_TEST_SUITE_P(Layers, WriteTxnLayers, testing::Range(0, 8));

// --- Its end

TEST_F(WriteTxnTest, AfterItsEndEveryCallSaysSo) {
  for (bool committed : {true, false}) {
    WriteTxn txn = store_->begin();
    committed ? static_cast<void>(txn.commit()) : txn.abort();
    auto is_over = [&](auto call) { EXPECT_EQ(code_of(call), ErrorCode::InvalidArgument); };
    is_over([&] { txn.get("a"); });
    is_over([&] { txn.exists("a"); });
    is_over([&] { txn.scan(); });
    is_over([&] { txn.range({}); });
    is_over([&] { txn.put("a", "1"); });
    is_over([&] { txn.del("a"); });
    is_over([&] { txn.append({.type = "t", .tags = {}, .payload = ""}); });
    is_over([&] { txn.commit(); });
    is_over([&] { static_cast<void>(txn.commit_async()); });
    txn.abort();  // does nothing
    EXPECT_TRUE(can_be_begun());
  }
}

TEST_F(WriteTxnTest, OneThatWasMovedFromIsOver) {
  WriteTxn first = store_->begin();
  first.put("a", "1");
  WriteTxn second = std::move(first);
  EXPECT_EQ(code_of([&] { first.put("b", "1"); }), ErrorCode::InvalidArgument);  // NOLINT: that is the point
  EXPECT_EQ(second.get("a"), "1");
  second.commit();
  EXPECT_EQ(store_->read().get("a"), "1");
}

TEST_F(WriteTxnTest, AssigningAbortsTheOneThatWasHeld) {
  TestStore other;
  WriteTxn txn = store_->begin();
  txn.put("a", "1");
  txn = other->begin();
  EXPECT_TRUE(can_be_begun());
  EXPECT_EQ(store_->read().get("a"), std::nullopt);
  txn.put("b", "1");
  txn.commit();
  EXPECT_EQ(other->read().get("b"), "1");
}

TEST_F(WriteTxnTest, MayEndOnAnotherThread) {
  WriteTxn txn = store_->begin();
  txn.put("a", "1");
  std::thread([txn = std::move(txn)]() mutable { txn.commit(); }).join();
  EXPECT_EQ(store_->read().get("a"), "1");
  put(*store_, "b", "1");  // not nested any more
  EXPECT_TRUE(can_be_begun());
}

// --- Exclusion

TEST_F(WriteTxnTest, OthersWaitForItsEndOrTheirDeadline) {
  WriteTxn txn = store_->begin();
  in_background([&] {
    EXPECT_EQ(code_of([&] { static_cast<void>(store_->begin(kAtOnce)); }), ErrorCode::LockTimeout);
    EXPECT_EQ(code_of([&] { static_cast<void>(store_->begin(milliseconds(5))); }), ErrorCode::LockTimeout);
    EXPECT_EQ(code_of([&] { static_cast<void>(store_->submit(set_of("b"), {}, {.timeout = kAtOnce})); }),
              ErrorCode::LockTimeout);
    EXPECT_EQ(code_of([&] { store_->seal(kAtOnce); }), ErrorCode::LockTimeout);
    EXPECT_EQ(code_of([&] { static_cast<void>(store_->pause("test", kAtOnce)); }), ErrorCode::LockTimeout);
    EXPECT_EQ(store_->read().commit_seq(), 0u);  // whoever reads waits for nobody
  }).get();
  auto waiting = in_background([&] { return put(*store_, "b", "behind").commit_seq; });
  txn.put("b", "before");
  EXPECT_EQ(txn.commit().commit_seq, 1u);
  EXPECT_EQ(waiting.get(), 2u);
  EXPECT_EQ(store_->read().get("b"), "behind");
}

TEST_F(WriteTxnTest, NothingGetsBetweenItsReadsAndItsCommit) {
  constexpr int kThreads = 3;
  constexpr int kRounds = 100;
  put(*store_, "counter", "0");
  auto count = [&] {
    for (int i = 0; i < kRounds; ++i) {
      WriteTxn txn = store_->begin();
      std::string next = std::to_string(std::stoi(std::string(*txn.get("counter"))) + 1);
      txn.put("counter", next);
      EventId id = txn.append({.type = "counted", .tags = {}, .payload = next});
      if (i % 10 == 9) {
        txn.abort();
      } else {
        CommitInfo info = txn.commit(Durability::Applied);
        EXPECT_EQ(info.first_event, id);
      }
      WriteSet set;
      set.put("beside", next);
      static_cast<void>(store_->submit(std::move(set), {}, {.level = Durability::Applied}).value());
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back(count);
  }
  store_->flush(Durability::Written);
  ReadTxn read = store_->read();
  EXPECT_EQ(read.get("counter"), std::to_string(kThreads * kRounds * 9 / 10));
  int expected = 0;
  for (const EventView& event : read.events()) ASSERT_EQ(event.payload(), std::to_string(++expected));
}

TEST_F(WriteTxnTest, CallsThatWouldWaitForItOnItsThreadAreNestedUse) {
  put(*store_, "a", "1");
  WriteTxn txn = store_->begin();
  txn.put("a", "2");
  auto is_nested = [&](const char* what, auto call) { EXPECT_EQ(code_of(call), ErrorCode::NestedUse) << what; };
  is_nested("submit", [&] { static_cast<void>(store_->submit(set_of("b"))); });
  is_nested("submit of nothing", [&] { static_cast<void>(store_->submit(WriteSet())); });
  is_nested("begin", [&] { static_cast<void>(store_->begin()); });
  is_nested("begin at once", [&] { static_cast<void>(store_->begin(kAtOnce)); });
  is_nested("flush", [&] { store_->flush(); });
  is_nested("checkpoint", [&] { store_->checkpoint(); });
  is_nested("seal", [&] { store_->seal(); });
  is_nested("unseal", [&] { store_->unseal(); });
  is_nested("pause", [&] { static_cast<void>(store_->pause("test")); });
  is_nested("verify", [&] { store_->verify(); });
  is_nested("digest", [&] { store_->digest(); });
  is_nested("close", [&] { store_->close(); });
  EXPECT_EQ(store_->read().get("a"), "1");
  EXPECT_EQ(store_->meta().last_commit, 1u);
  EXPECT_EQ(store_->status().applied_seq, 1u);
  in_background([&] { store_->flush(); }).get();  // another thread's waits for nothing
  EXPECT_EQ(txn.commit().commit_seq, 2u);
  store_->flush();
  EXPECT_EQ(store_->verify().problems, std::vector<std::string>());
}

TEST_F(WriteTxnTest, BeginThatFailsHoldsNothing) {
  Options options = quiet_options();
  options.max_readers = 2;
  store_.set_options(options);
  std::vector<ReadTxn> snapshots;
  store_.reopen();
  ErrorCode refused{};
  while (refused == ErrorCode{}) refused = code_of([&] { snapshots.push_back(store_->read()); });
  EXPECT_EQ(code_of([&] { static_cast<void>(store_->begin()); }), ErrorCode::ReadersFull);
  put(*store_, "a", "1");
  snapshots.clear();
  EXPECT_TRUE(can_be_begun());
}

TEST_F(WriteTxnTest, ACloseMeanwhileEndsIt) {
  WriteTxn txn = store_->begin();
  txn.put("a", "1");
  in_background([&] { store_->close(); }).get();
  EXPECT_EQ(txn.get("a"), "1");
  EXPECT_EQ(code_of([&] { txn.commit(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { static_cast<void>(store_->begin()); }), ErrorCode::Closed);
  store_.reopen();
  EXPECT_EQ(store_->read().get("a"), std::nullopt);
}

// --- Limits

class WriteTxnLimits : public WriteTxnTest {
 protected:
  WriteTxnLimits() {
    Options options = quiet_options();
    options.max_value_bytes = 1000;
    options.max_event_bytes = 500;
    options.max_transaction_bytes = 5000;
    store_.set_options(options);
    store_.reopen();
    put(*store_, "k", "old");
    txn_.emplace(store_->begin());
    txn_->put("k", "mine");
  }
  Event event(std::string_view type, std::string_view payload, std::vector<std::string_view> tags = {}) {
    return {.type = type, .tags = std::move(tags), .payload = payload};
  }
  // Refused with this code, and everything is as it was.
  template <class Call>
  void refused(ErrorCode code, Call call) {
    EXPECT_EQ(code_of(call), code);
    EXPECT_THAT(collect(txn_->scan()), ElementsAre(std::pair<std::string, std::string>("k", "mine")));
  }

  std::optional<WriteTxn> txn_;
};

TEST_F(WriteTxnLimits, WhatExceedsOneChangesNothing) {
  std::string long_key(limits::kMaxKeyBytes + 1, 'k');
  std::vector<std::string> many_tags;
  for (std::size_t i = 0; i <= limits::kMaxTags; ++i) many_tags.push_back("tag" + std::to_string(i));
  std::vector<std::string_view> too_many_tags(many_tags.begin(), many_tags.end());
  refused(ErrorCode::KeyEmpty, [&] { txn_->put("", "v"); });
  refused(ErrorCode::KeyEmpty, [&] { txn_->del(""); });
  refused(ErrorCode::KeyEmpty, [&] { txn_->get(""); });
  refused(ErrorCode::KeyTooLarge, [&] { txn_->put(long_key, "v"); });
  refused(ErrorCode::KeyTooLarge, [&] { txn_->del(long_key); });
  refused(ErrorCode::KeyTooLarge, [&] { txn_->get(long_key); });
  refused(ErrorCode::ValueTooLarge, [&] { txn_->put("v", std::string(1001, 'x')); });
  refused(ErrorCode::EventTooLarge, [&] { txn_->append(event("t", std::string(500, 'x'))); });
  refused(ErrorCode::EventTypeInvalid, [&] { txn_->append(event("", "")); });
  refused(ErrorCode::EventTypeInvalid, [&] { txn_->append(event(std::string(256, 't'), "")); });
  refused(ErrorCode::TagInvalid, [&] { txn_->append(event("t", "", {""})); });
  refused(ErrorCode::TagInvalid, [&] { txn_->append(event("t", "", {std::string_view("a\0b", 3)})); });
  refused(ErrorCode::TagInvalid, [&] { txn_->append(event("t", "", {"a", "a"})); });
  refused(ErrorCode::TooManyTags, [&] { txn_->append(event("t", "", too_many_tags)); });
  EXPECT_EQ(txn_->append(event("t", "fine")), 1u);
  EXPECT_EQ(txn_->append(event("t", "fine")), 2u);
  CommitInfo info = txn_->commit();
  EXPECT_EQ(info.events, 2u);
  EXPECT_EQ(info.keys_written, 1u);
  EXPECT_EQ(info.keys_deleted, 0u);
  EXPECT_EQ(store_->read().get("k"), "mine");
}

TEST_F(WriteTxnLimits, AValueAndAnEventMayBeExactlyAsLargeAsAllowed) {
  txn_->put("v", std::string(1000, 'x'));
  const std::string payload(500 - event_codec::encoded_size(event("t", "")), 'x');
  txn_->append(event("t", payload));
  txn_->append({.type = "t", .tags = {}, .payload = payload, .time = Timestamp(std::chrono::microseconds(1))});
  txn_->commit();
  EXPECT_EQ(store_->read().get("v")->size(), 1000u);
}

// As a WriteSet counts it.
TEST_F(WriteTxnLimits, ATransactionMayBeExactlyAsLargeAsAllowed) {
  WriteSet set;
  set.put("k", "mine");
  auto add = [&](std::string_view key, std::size_t bytes) {
    txn_->put(key, std::string(bytes, 'x'));
    set.put(key, std::string(bytes, 'x'));
  };
  for (const char* key : {"a", "b", "c", "d"}) add(key, 900);
  add("e", 600);
  txn_->append(event("t", std::string(400, 'x')));
  set.append(event("t", std::string(400, 'x')));
  WriteSet with_deletion = set;
  with_deletion.put("f", "").del("xyz");
  std::size_t room = 5000 - with_deletion.bytes();
  add("f", room);
  EXPECT_EQ(code_of([&] { txn_->del("wxyz"); }), ErrorCode::TransactionTooLarge);
  EXPECT_EQ(code_of([&] { txn_->put("g", ""); }), ErrorCode::TransactionTooLarge);
  EXPECT_EQ(code_of([&] { txn_->append(event("t", "")); }), ErrorCode::TransactionTooLarge);
  EXPECT_EQ(txn_->get("g"), std::nullopt);
  txn_->del("xyz");
  set.del("xyz");
  ASSERT_EQ(set.bytes(), 5000u);
  EXPECT_EQ(txn_->commit().keys_written, 7u);
  EXPECT_EQ(commit(*store_, std::move(set)).commit_seq, 3u);
}

TEST_F(WriteTxnTest, AMillionOperationsAreAllowedAndNotOneMore) {
  Options options = quiet_options();
  options.segment_bytes = std::size_t{64} << 20;
  options.delta_bytes = std::size_t{256} << 20;
  store_.set_options(options);
  store_.reopen();
  WriteTxn txn = store_->begin();
  txn.append({.type = "t", .tags = {}, .payload = ""});
  for (std::size_t i = 1; i < limits::kMaxOperations; ++i) txn.put("k", "v");
  EXPECT_EQ(code_of([&] { txn.put("k", "other"); }), ErrorCode::TooManyOperations);
  EXPECT_EQ(code_of([&] { txn.del("k"); }), ErrorCode::TooManyOperations);
  EXPECT_EQ(code_of([&] { txn.append({.type = "t", .tags = {}, .payload = ""}); }), ErrorCode::TooManyOperations);
  EXPECT_EQ(txn.get("k"), "v");
  EXPECT_THAT(collect(txn.scan()), ElementsAre(std::pair<std::string, std::string>("k", "v")));
  CommitInfo info = txn.commit();
  EXPECT_EQ(info.events, 1u);
  EXPECT_EQ(info.keys_written, limits::kMaxOperations - 1);
  EXPECT_EQ(store_->read().get("k"), "v");
}

}  // namespace
}  // namespace azoth
