// Group commit when a write or a sync fails: who is told what, and what stays safe.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "group_commit_support.h"
#include "support/child_process.h"
#include "support/temp_dir.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::fails_with_unknown_outcome;
using test::GroupCommitTest;
using test::Hold;
using test::in_background;
using test::is_refused_for_good;
using test::set_of;
using test::submit;

constexpr auto kApplied = Durability::Applied;
constexpr auto kWritten = Durability::Written;
constexpr auto kDurable = Durability::Durable;

TEST_F(GroupCommitTest, AFailedWriteFailsItsBatchAndAllBehindIt) {
  Hold write("journal.write", {.fail_with = EIO});
  Ticket first = submit(*store_, set_of("a"), kWritten);
  auto leader = in_background([&] { return fails_with_unknown_outcome([&] { return first.wait(); }); });
  write.wait_for_arrivals();
  Ticket second = submit(*store_, set_of("b"), kWritten);
  Ticket third = submit(*store_, set_of("c"), kDurable);
  Ticket applied = submit(*store_, set_of("d"), kApplied);
  auto waiter = in_background([&] { return fails_with_unknown_outcome([&] { return second.wait(); }); });
  auto flush = in_background([&] { return fails_with_unknown_outcome([&] { return store_->flush(), 0; }); });
  auto future = third.future(kDurable);
  write.release();
  EXPECT_TRUE(leader.get());
  EXPECT_TRUE(waiter.get());
  EXPECT_TRUE(flush.get());
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return future.get(); }));
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return third.wait(); }));
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return third.wait_for(kWritten, milliseconds{0}); }));
  EXPECT_EQ(applied.wait().commit_seq, 4u) << "it was applied, and no more was asked for";
  EXPECT_EQ(visible(), 0u);
}

TEST_F(GroupCommitTest, AFailedStoreRefusesWritesAndGoesOnReading) {
  submit(*store_, set_of("a"), kDurable).wait();
  fault::Armed sync("journal.sync", {.fail_with = EIO});
  Ticket lost = submit(*store_, set_of("b"), kDurable);
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return lost.wait(); }));
  for (int attempt = 0; attempt < 3; ++attempt) {
    EXPECT_TRUE(is_refused_for_good([&] { return submit(*store_, set_of("c"), kApplied); }));
    EXPECT_TRUE(is_refused_for_good([&] { return store_->begin().exists("a"); }));
    EXPECT_NE(test::code_of([&] { return store_->flush(), 0; }), ErrorCode{});
    EXPECT_NE(test::code_of([&] { return store_->checkpoint(), 0; }), ErrorCode{});
  }
  for (Durability level : {kApplied, kWritten, kDurable}) {
    EXPECT_EQ(store_->read(level).commit_seq(), 1u);
    EXPECT_TRUE(store_->read(level).exists("a"));
    EXPECT_FALSE(store_->read(level).exists("b"));
  }
  ASSERT_TRUE(store_->status().failure.has_value());
  EXPECT_NE(store_->status().failure->find("syncing the journal"), std::string::npos);
  EXPECT_EQ(test::code_of([&] { return store_->close(), 0; }), ErrorCode::StoreFailed);
}

// In a process of its own, where it is never closed: one that forgot the failure would wait for ever for what was lost.
TEST(GroupCommitProcess, AStoreWhoseWriteHasFailedRefusesWrites) {
  const test::TempDir directory;
  test::ChildProcess child([&] {
    Store::create(directory.path() / "store", test::tiny_options());
    Store& store = *Store::open(directory.path() / "store", test::tiny_options()).release();
    {
      fault::Armed write("journal.write", {.fail_with = ENOSPC});
      Ticket lost = submit(store, set_of("a"), kDurable);
      EXPECT_TRUE(fails_with_unknown_outcome([&] { return lost.wait(); }));
    }
    EXPECT_TRUE(is_refused_for_good([&] { return submit(store, set_of("b"), kApplied); }));
  });
  child.wait();
  EXPECT_TRUE(child.succeeded());
}

TEST_F(GroupCommitTest, AFailedSyncIsNeverRetried) {
  std::atomic<int> syncs{0};
  submit(*store_, set_of("a"), kWritten).wait();
  fault::Armed fails("journal.sync", {.fail_with = EIO, .run = [&] { ++syncs; }, .times = -1});
  Ticket ticket = submit(*store_, set_of("b"), kDurable);
  std::vector<std::future<void>> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.push_back(in_background([&] { EXPECT_TRUE(fails_with_unknown_outcome([&] { return ticket.wait(); })); }));
  }
  for (auto& one : waiters) one.get();
  EXPECT_NE(test::code_of([&] { return store_->flush(), 0; }), ErrorCode{});
  EXPECT_NE(test::code_of([&] { return store_->checkpoint(), 0; }), ErrorCode{});
  EXPECT_NE(test::code_of([&] { return store_->close(), 0; }), ErrorCode{});
  store_.close();
  EXPECT_EQ(syncs, 1);
}

TEST_F(GroupCommitTest, WhatWasAcknowledgedAsWrittenStaysSoWhenALaterSyncFails) {
  Ticket written = submit(*store_, set_of("a"), kWritten);
  written.wait();
  fault::Armed sync("journal.sync", {.fail_with = EIO});
  Ticket lost = submit(*store_, set_of("b"), kDurable);
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return lost.wait(); }));
  EXPECT_EQ(written.wait(kWritten).commit_seq, 1u);
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return written.wait(kDurable); }));
  EXPECT_FALSE(lost.reached(kWritten));
  for (Durability level : {kApplied, kWritten}) EXPECT_EQ(store_->read(level).commit_seq(), 1u);
  store_.reopen();
  EXPECT_TRUE(store_->read().exists("a"));
}

TEST_F(GroupCommitTest, CallbacksAreToldWhenTheStoreFailsWhileTheyWait) {
  Hold write("journal.write");
  Ticket first = submit(*store_, set_of("a"), kWritten);
  auto leader = in_background([&] { return fails_with_unknown_outcome([&] { return first.wait(); }); });
  write.wait_for_arrivals();
  Ticket second = submit(*store_, set_of("b"), kApplied);
  auto future = second.future(kDurable);
  {
    fault::Armed no_memory("sequencer.insert", {.fail_with = ENOMEM});
    EXPECT_TRUE(is_refused_for_good([&] { return submit(*store_, set_of("c"), kApplied); }));
  }
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return future.get(); })) << "while the leader is still at work";
  write.release();
  EXPECT_TRUE(leader.get());
}

TEST(GroupCommitSegments, WhatAChangeOfSegmentsHasSyncedIsDurableEvenIfTheNextSegmentCannotBeStarted) {
  test::Watchdog watchdog;
  test::TestStore store(test::tiny_options());
  std::string half_a_segment(30'000, 'v');
  Hold write("journal.write");
  Ticket first = submit(*store, set_of("a"), kWritten);
  auto leader = in_background([&] { first.wait(); });
  write.wait_for_arrivals();
  Ticket second = submit(*store, set_of("b", half_a_segment), kDurable);
  Ticket third = submit(*store, set_of("c", half_a_segment), kDurable);
  Ticket fourth = submit(*store, set_of("d", half_a_segment), kDurable);
  write.release();
  leader.get();
  fault::Armed start("journal.start_segment", {.fail_with = EIO});
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return fourth.wait(); }));
  for (const Ticket& ticket : {first, second, third, fourth}) {
    EXPECT_EQ(ticket.reached(kDurable), test::code_of([&] { return ticket.wait(kDurable); }) == ErrorCode{})
        << "commit " << ticket.info().commit_seq;
  }
  EXPECT_TRUE(second.reached(kDurable));
  EXPECT_FALSE(fourth.reached(kDurable));
  store.reopen();
  EXPECT_GE(store->status().applied_seq, second.info().commit_seq);
}

TEST(GroupCommitSegments, AChangeOfSegmentsSyncsWhatWasOnlyWritten) {
  test::Watchdog watchdog;
  test::TestStore store(test::tiny_options());
  std::string half_a_segment(30'000, 'v');
  Ticket first = submit(*store, set_of("a", half_a_segment), kWritten);
  first.wait();
  Ticket second = submit(*store, set_of("b", half_a_segment), kWritten);
  second.wait();
  EXPECT_FALSE(first.reached(kDurable));
  Ticket third = submit(*store, set_of("c", half_a_segment), kWritten);
  third.wait();
  EXPECT_TRUE(second.reached(kDurable));
  EXPECT_FALSE(third.reached(kDurable));
}

}  // namespace
}  // namespace azoth
