// The flusher without room for the journal or in LMDB, without memory, and with an LMDB that fails: nothing is lost.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "flusher_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::await;
using test::code_of;
using test::event_of;
using test::fails_with_unknown_outcome;
using test::FlusherTest;
using test::Hold;
using test::in_background;
using test::is_refused_for_good;
using test::kLarge;
using test::set_of;
using test::submit;

constexpr auto kApplied = Durability::Applied;
constexpr auto kWritten = Durability::Written;
constexpr auto kDurable = Durability::Durable;

// --- No room for the journal

class NoRoomForTheJournal : public test::WritePath {
 protected:
  static Options options() {
    Options options = test::quiet_options();  // a large Delta: nothing is flushed, no segment can be recycled
    options.segment_bytes = limits::kMinSegmentBytes;
    return options;
  }

  // Commits until one is refused with this.
  int fill_segments(ErrorCode expected, std::chrono::nanoseconds timeout) {
    for (int commits = 0;; ++commits) {
      WriteSet set = set_of("key" + std::to_string(commits), kLarge);
      auto error = test::error_of([&] { return store_->submit(set, {}, {.level = kWritten, .timeout = timeout}); });
      if (!error) continue;
      EXPECT_EQ(error->code(), expected) << error->what();
      EXPECT_TRUE(error->retryable());
      return commits;
    }
  }

  test::TestStore store_{options()};
};

TEST_F(NoRoomForTheJournal, IsToldWhenNoSegmentCanBeMadeAndEndsWithTheCause) {
  for (const char* point : {"file.create", "file.allocate", "file.sync_directory"}) {
    int commits = 0;
    {
      fault::Armed full(point, {.fail_with = ENOSPC, .times = -1});
      commits = fill_segments(ErrorCode::NoSpace, std::chrono::minutes{1});
      CommitSeq before = store_->status().applied_seq;
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(code_of([&] { return submit(*store_, set_of("k", kLarge), kApplied); }), ErrorCode::NoSpace) << point;
      }
      EXPECT_EQ(store_->status().applied_seq, before) << "nothing has changed";
      EXPECT_FALSE(store_->status().failure.has_value());
      EXPECT_EQ(store_->read(kApplied).get("key" + std::to_string(commits - 1)), kLarge);
    }
    submit(*store_, set_of("k", kLarge), kDurable).wait();
    EXPECT_EQ(store_->read().get("k"), kLarge) << point;
  }
  CommitSeq last = store_->status().applied_seq;
  store_.reopen();
  EXPECT_EQ(store_->status().applied_seq, last);
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(NoRoomForTheJournal, WhileASegmentIsBeingMadeWritersWaitUntilTheirDeadline) {
  constexpr int kMoreThanFits = 100;
  Hold create("file.create");
  auto patient = in_background([&] {
    for (int i = 0; i < kMoreThanFits; ++i) submit(*store_, set_of("k" + std::to_string(i), kLarge), kDurable).wait();
  });
  create.wait_for_arrivals();
  await([&] {
    return code_of([&] {
             return store_->submit(set_of("k", kLarge), {}, {.level = kWritten, .timeout = milliseconds{5}});
           }) == ErrorCode::Backpressure;
  });
  // The patient one waits in the middle of its transaction, which keeps exclusive ones out.
  await([&] { return code_of([&] { return store_->begin(milliseconds{1}); }) == ErrorCode::LockTimeout; });
  EXPECT_EQ(patient.wait_for(milliseconds{0}), std::future_status::timeout);
  create.release();
  patient.get();
  EXPECT_EQ(store_->read().get("k" + std::to_string(kMoreThanFits - 1)), kLarge);
}

TEST_F(NoRoomForTheJournal, AFailureThatIsNotForSpaceIsToldAsSuchAndChangesNothing) {
  fault::Armed broken("file.create", {.fail_with = EIO, .times = -1});
  for (int commits = 0;; ++commits) {
    auto code = code_of([&] { return submit(*store_, set_of("key", kLarge), kWritten); });
    if (code == ErrorCode{}) continue;
    EXPECT_EQ(code, ErrorCode::Io);
    break;
  }
  fault::disarm("file.create");
  submit(*store_, set_of("k"), kDurable).wait();
}

TEST_F(NoRoomForTheJournal, SmallTransactionsGoIntoWhatIsLeftOfTheSegment) {
  fault::Armed full("file.create", {.fail_with = ENOSPC, .times = -1});
  fill_segments(ErrorCode::NoSpace, std::chrono::minutes{1});
  submit(*store_, set_of("small"), kDurable).wait();
}

// --- No room in LMDB

class NoRoomInLmdb : public FlusherTest {};

TEST_F(NoRoomInLmdb, NothingIsLostWritersWaitAndEverythingGoesOnWhenThereIsRoom) {
  for (const char* point : {"lmdb.reserve", "flush.apply"}) {
    int commits = 0;
    {
      fault::Armed full(point, {.fail_with = ENOSPC, .times = -1});
      submit(*store_, set_of("key", "value"), kDurable).wait();
      EXPECT_EQ(code_of([&] { return store_->checkpoint(), 0; }), ErrorCode::NoSpace);
      EXPECT_EQ(code_of([&] { return store_->checkpoint(), 0; }), ErrorCode::NoSpace) << "the last attempt's";
      commits = fill_memory(kDurable);
      EXPECT_FALSE(store_->status().failure.has_value());
      EXPECT_EQ(store_->read().get("key"), "value");
    }
    auto patient = in_background([&] { submit(*store_, set_of("patient", kLarge), kDurable).wait(); });
    patient.get();
    store_->checkpoint();
    EXPECT_EQ(store_->status().flushed_seq, store_->status().applied_seq);
    expect_keys(commits);
    EXPECT_TRUE(store_->verify().ok());
  }
}

TEST_F(NoRoomInLmdb, CloseLeavesTheRestToTheJournalAndTheNextOpenReplaysIt) {
  int commits = 0;
  {
    fault::Armed full("lmdb.reserve", {.fail_with = ENOSPC, .times = -1});
    commits = fill_memory();
    store_->close();
    store_.close();
    EXPECT_EQ(code_of([&] { return store_.open(), 0; }), ErrorCode::NoSpace) << "recovery needs room";
    EXPECT_EQ(code_of([&] { return store_.open(), 0; }), ErrorCode::NoSpace) << "and has changed nothing";
  }
  store_.open();
  EXPECT_EQ(store_->status().recovery.recovered_commits, static_cast<CommitSeq>(commits));
  expect_keys(commits);
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(NoRoomInLmdb, CloseDeliversWhatWasDurableToThoseWhoHaveSubscribed) {
  auto subscription = std::make_unique<Subscription>(store_->subscribe());
  {
    fault::Armed full("lmdb.reserve", {.fail_with = ENOSPC, .times = -1});
    for (int i = 0; i < 5; ++i) test::append(*store_, "t", {}, "payload");
    store_->close();
    for (EventId event = 1; event <= 5; ++event) ASSERT_EQ(subscription->next()->events().front().id(), event);
    EXPECT_EQ(code_of([&] { return subscription->next(); }), ErrorCode::Closed);
    store_.close();
  }
  store_.open();  // it holds nothing any more
  EXPECT_EQ(store_->read().last_event(), 5u);
}

TEST_F(NoRoomInLmdb, ASignalThatInterruptsTheReservationIsNoError) {
  submit(*store_, set_of("a"), kDurable).wait();
  fault::Armed interrupted("lmdb.reserve", {.fail_with = EINTR, .times = 3});
  store_->checkpoint();
  EXPECT_EQ(store_->status().flushed_seq, 1u);
}

// A map of one MiB, and a snapshot that keeps all its pages from being used again.
TEST(NoRoomInTheMap, WritersWaitWhileASnapshotKeepsThePagesAndGoOnWhenItEnds) {
  test::Watchdog watchdog;
  Options options = test::tiny_options();
  options.map_bytes = limits::kMinMapBytes;
  test::TestStore store(options);
  for (int i = 0; i < 10; ++i) submit(*store, set_of("key" + std::to_string(i), kLarge), kDurable).wait();
  store->checkpoint();
  auto snapshot = std::make_unique<ReadTxn>(store->read());
  CommitSeq commits = 10;
  ErrorCode refused{};
  for (int round = 0; refused == ErrorCode{} && round < 1000; ++round) {
    WriteSet set = set_of("key" + std::to_string(round % 10), kLarge);
    refused = code_of([&] { return store->submit(set, {}, {.level = kWritten, .timeout = milliseconds{100}}); });
    if (refused == ErrorCode{}) ++commits;
    if (refused == ErrorCode{} && round % 10 == 9) refused = code_of([&] { return store->checkpoint(), 0; });
  }
  EXPECT_TRUE(refused == ErrorCode::NoSpace || refused == ErrorCode::Backpressure) << error_name(refused);
  EXPECT_EQ(store->status().failure.value_or("none"), "none");
  EXPECT_EQ(store->read(kApplied).commit_seq(), commits);
  EXPECT_EQ(snapshot->get("key3"), kLarge);
  snapshot.reset();
  store->checkpoint();
  EXPECT_EQ(store->status().flushed_seq, commits);
  submit(*store, set_of("key0", "small"), kDurable).wait();
  EXPECT_TRUE(store->verify().ok());
}

TEST(NoRoomInTheMap, WhenItIsNearlyFullOnlyDeletionsPass) {
  test::Watchdog watchdog;
  Options options = test::tiny_options();
  options.map_bytes = limits::kMinMapBytes;
  test::TestStore store(options);
  int keys = 0;
  ErrorCode refused{};
  for (; refused == ErrorCode{}; ++keys) {
    refused = code_of([&] { return submit(*store, set_of("key" + std::to_string(keys), kLarge), kDurable).wait(); });
  }
  EXPECT_EQ(refused, ErrorCode::NoSpace);
  --keys;
  EXPECT_EQ(store->status().applied_seq, static_cast<CommitSeq>(keys));
  while (code_of([&] { return submit(*store, event_of(), kDurable).wait(); }) == ErrorCode{}) {
  }
  EXPECT_EQ(code_of([&] { return submit(*store, event_of(), kDurable); }), ErrorCode::NoSpace);
  EXPECT_EQ(code_of([&] { return submit(*store, set_of("k", ""), kDurable); }), ErrorCode::NoSpace);
  for (int i = 0; i < keys; ++i) {
    WriteSet set;
    set.del("key" + std::to_string(i));
    submit(*store, set, kDurable).wait();
  }
  store->checkpoint();
  submit(*store, set_of("again", kLarge), kDurable).wait();
  EXPECT_TRUE(store->verify().ok());
}

TEST(NoRoomInTheMap, AStoreThatIsFullOpensWithALargerMap) {
  test::Watchdog watchdog;
  Options options = test::tiny_options();
  options.map_bytes = limits::kMinMapBytes;
  test::TestStore store(options);
  auto put = [&](int i) { return submit(*store, set_of("key" + std::to_string(i), kLarge), kDurable).wait(); };
  int keys = 0;
  while (code_of([&] { return put(keys); }) == ErrorCode{}) ++keys;
  options.map_bytes *= 16;
  store.set_options(options);
  store.reopen();
  for (int i = 0; i < keys; ++i) put(keys + i);
  EXPECT_EQ(test::keys_of(store->read().scan()).size(), static_cast<std::size_t>(2 * keys));
}

// --- As many snapshots as allowed

TEST(AllReadersTaken, TheFlusherNeedsNoneOfTheirSlots) {
  test::Watchdog watchdog;
  Options options = test::tiny_options();
  options.max_readers = 2;
  test::TestStore store(options);
  std::vector<ReadTxn> snapshots;  // LMDB rounds the number up
  while (code_of([&] { return snapshots.push_back(store->read()), 0; }) == ErrorCode{})
    ASSERT_LT(snapshots.size(), 1000u);
  EXPECT_EQ(code_of([&] { return store->read(); }), ErrorCode::ReadersFull);
  for (int i = 0; i < 20; ++i) submit(*store, set_of("key" + std::to_string(i), kLarge), kDurable).wait();
  store->checkpoint();
  EXPECT_FALSE(snapshots.front().exists("key1"));
  snapshots.pop_back();
  EXPECT_EQ(store->status().failure.value_or("none"), "none");
  EXPECT_EQ(store->status().flushed_seq, 20u);
}

// --- Errors of LMDB that are not for space

class LmdbFails : public FlusherTest {
 protected:
  void expect_failed_but_readable(int commits) {
    await([&] { return store_->status().failure.has_value(); });
    EXPECT_TRUE(is_refused_for_good([&] { return submit(*store_, set_of("k"), kApplied); }));
    EXPECT_TRUE(is_refused_for_good([&] { return store_->begin().exists("k"); }));
    EXPECT_EQ(code_of([&] { return store_->checkpoint(), 0; }), ErrorCode::StoreFailed);
    expect_keys_at(kWritten, commits);
  }
  void expect_keys_at(Durability level, int count) {
    ReadTxn snapshot = store_->read(level);
    for (int i = 0; i < count; ++i) EXPECT_EQ(snapshot.get("key" + std::to_string(i)), kLarge) << i;
  }
};

TEST_F(LmdbFails, TheStoreRefusesWritesReadsGoOnAndReopeningRecoversEverything) {
  struct Case {
    const char* point;
    int error;
  };
  for (Case c : {Case{"lmdb.commit", EIO}, Case{"lmdb.commit", ENOSPC}, Case{"flush.committed", EIO},
                 Case{"flush.apply", EIO}, Case{"lmdb.reserve", EIO}}) {
    SCOPED_TRACE(c.point);
    int commits = 0;
    {
      fault::Armed fails(c.point, {.fail_with = c.error});
      for (; commits < 5; ++commits) submit(*store_, set_of("key" + std::to_string(commits), kLarge), kWritten).wait();
      EXPECT_EQ(code_of([&] { return store_->checkpoint(), 0; }), ErrorCode::StoreFailed);
      expect_failed_but_readable(commits);
    }
    store_.reopen();
    EXPECT_FALSE(store_->status().failure.has_value());
    expect_keys_at(kDurable, commits);
    EXPECT_TRUE(store_->verify().ok());
    submit(*store_, set_of("again"), kDurable).wait();
    store_->checkpoint();
  }
}

TEST_F(LmdbFails, WritersWhoWaitForMemoryAreTold) {
  Hold flush("flush.apply", {.fail_with = EIO});
  fill_memory(kDurable);
  std::vector<std::future<ErrorCode>> writers;
  for (int i = 0; i < 8; ++i) {
    writers.push_back(
        in_background([&] { return code_of([&] { return submit(*store_, set_of("k", kLarge), kDurable); }); }));
  }
  auto begin = in_background([&] { return code_of([&] { return store_->begin(); }); });
  auto checkpoint = in_background([&] { return code_of([&] { return store_->checkpoint(), 0; }); });
  flush.release();
  for (auto& writer : writers) EXPECT_EQ(writer.get(), ErrorCode::StoreFailed);
  // It waits for no memory of its own, so it may have been let in before the failure.
  ErrorCode begun = begin.get();
  EXPECT_TRUE(begun == ErrorCode::StoreFailed || begun == ErrorCode{}) << error_name(begun);
  EXPECT_EQ(checkpoint.get(), ErrorCode::StoreFailed);
}

TEST_F(LmdbFails, WhatWasDurableIsStillAcknowledgedAndTheRestIsNot) {
  Ticket durable = submit(*store_, set_of("a"), kDurable);
  durable.wait();
  Ticket written = submit(*store_, set_of("b"), kWritten);
  written.wait();
  Ticket applied = submit(*store_, set_of("c"), kApplied);
  Hold flush("lmdb.commit", {.fail_with = EIO});
  auto checkpoint = in_background([&] { return code_of([&] { return store_->checkpoint(), 0; }); });
  flush.wait_for_arrivals();
  Ticket later = submit(*store_, set_of("d"), kWritten);
  flush.release();
  EXPECT_EQ(checkpoint.get(), ErrorCode::StoreFailed);
  for (const Ticket& ticket : {durable, written, applied}) EXPECT_EQ(ticket.wait(kDurable).commit_seq > 0, true);
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return later.wait(kDurable); }));
  EXPECT_EQ(code_of([&] { return store_->close(), 0; }), ErrorCode::StoreFailed)
      << "not everything could be made durable";
}

TEST_F(LmdbFails, CloseOfAStoreWhoseCommitsAreAllDurableThrowsNothing) {
  submit(*store_, set_of("a"), kDurable).wait();
  fault::Armed fails("lmdb.commit", {.fail_with = EIO});
  EXPECT_EQ(code_of([&] { return store_->checkpoint(), 0; }), ErrorCode::StoreFailed);
  EXPECT_EQ(code_of([&] { return store_->close(), 0; }), ErrorCode{});
  store_.reopen();
  EXPECT_TRUE(store_->read().exists("a"));
}

// The last LMDB commit of a close only notes where the journal ended.
TEST_F(LmdbFails, CloseFinishesEvenIfItsEndCannotBeNoted) {
  submit(*store_, set_of("a"), kDurable).wait();
  store_->checkpoint();
  fault::Armed fails("lmdb.commit", {.fail_with = EIO});
  store_->close();
  EXPECT_EQ(code_of([&] { return store_->read(); }), ErrorCode::Closed);
  store_.reopen();
  EXPECT_TRUE(store_->read().exists("a"));
  EXPECT_TRUE(store_->verify().ok());
}

// Whoever waited was left waiting, and the directory open for ever.
TEST_F(LmdbFails, CloseFinishesEvenIfThereIsNoMemoryForIt) {
  test::append(*store_, "t", {}, "payload");
  store_->checkpoint();
  Subscription subscription = store_->subscribe(1);
  auto waiting = in_background([&] { return code_of([&] { return subscription.next(); }); });
  fault::Armed fails("flush.clean", {.run = [] { throw std::bad_alloc(); }, .times = -1});
  store_->close();
  EXPECT_EQ(waiting.get(), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store_->read(); }), ErrorCode::Closed);
  store_.reopen();
  EXPECT_TRUE(store_->verify().ok());
}

// Nor is the commit tried again, whose sync may have failed.
TEST_F(LmdbFails, AFailedCommitForWhoseMessageThereIsNoMemoryFailsTheStore) {
  submit(*store_, set_of("a"), kDurable).wait();
  int commits = 0;
  fault::Armed fails("lmdb.commit", {.run =
                                         [&] {
                                           ++commits;
                                           throw std::bad_alloc();
                                         },
                                     .times = -1});
  EXPECT_EQ(code_of([&] { return store_->checkpoint(), 0; }), ErrorCode::StoreFailed);
  EXPECT_EQ(commits, 1);
  EXPECT_TRUE(is_refused_for_good([&] { return submit(*store_, set_of("k"), kApplied); }));
}

// --- Memory runs out after a number was assigned

TEST_F(FlusherTest, WithoutMemoryForACommitTheStoreFailsAndTheRecordIsInNoBatch) {
  submit(*store_, set_of("a"), kDurable).wait();
  Ticket before = submit(*store_, set_of("b"), kWritten);
  {
    fault::Armed no_memory("sequencer.insert", {.fail_with = ENOMEM});
    EXPECT_TRUE(is_refused_for_good([&] { return submit(*store_, set_of("c"), kDurable); }));
  }
  EXPECT_TRUE(is_refused_for_good([&] { return submit(*store_, set_of("d"), kDurable); }));
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return before.wait(); }));
  EXPECT_EQ(store_->read(kApplied).commit_seq(), 1u);
  EXPECT_NE(store_->status().failure.value_or("").find("out of memory"), std::string::npos);
  store_.reopen();
  EXPECT_FALSE(store_->read().exists("c"));
  EXPECT_FALSE(store_->read().exists("d"));
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(FlusherTest, WithoutMemoryBehindLmdbsCommitTheDeltaIsNotFlushedAgain) {
  test::TestStore store;
  {
    fault::Armed committed("flush.committed", {.run = [] { throw std::bad_alloc(); }});
    test::put(*store, "k", "1");
    EXPECT_EQ(code_of([&] { store->checkpoint(); }), ErrorCode::OutOfMemory);
  }
  test::put(*store, "k", "2");
  store->checkpoint();
  EXPECT_EQ(store->status().flushed_seq, 2u);
  EXPECT_EQ(store->status().failure, std::nullopt);
  EXPECT_EQ(store->verify().problems, std::vector<std::string>());
}

TEST_F(FlusherTest, WhenMemoryRunsOutThoseWhoWaitForRoomAreTold) {
  Hold flush("flush.apply");
  fill_memory(kDurable);
  WriteTxn txn = store_->begin();  // waits for no more memory than it has
  txn.put("t", "value");
  auto waiting = in_background([&] { return code_of([&] { return submit(*store_, set_of("w", kLarge), kDurable); }); });
  await([&] {  // until it stands before whoever comes
    auto next = in_background([&] { return code_of([&] { return store_->begin(milliseconds{1}); }); });
    return next.get() == ErrorCode::Backpressure;
  });
  fault::Armed no_memory("sequencer.insert", {.fail_with = ENOMEM});
  EXPECT_TRUE(is_refused_for_good([&] { return txn.commit(); }));
  EXPECT_EQ(waiting.get(), ErrorCode::StoreFailed);
  flush.release();
}

}  // namespace
}  // namespace azoth
