// The syncer: what nobody waits for becomes durable all the same, beside writers who go on.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "group_commit_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::await;
using test::fails_with_unknown_outcome;
using test::GroupCommitTest;
using test::Hold;
using test::in_background;
using test::is_refused_for_good;
using test::rounds;
using test::set_of;
using test::submit;

constexpr auto kApplied = Durability::Applied;
constexpr auto kWritten = Durability::Written;
constexpr auto kDurable = Durability::Durable;

TEST(GroupCommitSyncer, TicketsNobodyWaitsForBecomeDurableByThemselves) {
  test::Watchdog watchdog;
  Options options = test::quiet_options();
  options.sync_interval = milliseconds{1};
  test::TestStore store(options);
  for (Durability level : {kApplied, kWritten, kDurable}) {
    for (int i = 0; i < 5; ++i) {
      Ticket ticket = submit(*store, set_of("a"), level);
      await([&] { return ticket.reached(kDurable); });  // asks, and does nothing
    }
  }
  submit(*store, set_of("a"), kApplied);
  await([&] { return store->status().durable_seq == 16; });
}

TEST(GroupCommitSyncer, AWrittenCommitThatWasWaitedForBecomesDurableByItself) {
  test::Watchdog watchdog;
  Options options = test::quiet_options();
  options.sync_interval = milliseconds{1};
  test::TestStore store(options);
  Ticket ticket = submit(*store, set_of("a"), kWritten);
  ticket.wait();
  await([&] { return ticket.reached(kDurable); });
}

// The syncer syncs without holding the lead.
class SyncBesideWriters : public test::WritePath {
 protected:
  static Options options() {
    Options options = test::quiet_options();
    options.sync_interval = milliseconds{1};
    return options;
  }

  test::TestStore store_{options()};
};

TEST_F(SyncBesideWriters, WrittenCommitsGoOnWhileTheSyncerSyncs) {
  Hold sync("journal.sync");
  submit(*store_, set_of("a"), kApplied);
  sync.wait_for_arrivals();
  for (int i = 0; i < 10; ++i) submit(*store_, set_of("b"), kWritten).wait();
  EXPECT_EQ(store_->read().commit_seq(), 11u);
  EXPECT_EQ(store_->status().durable_seq, 0u);
}

TEST_F(SyncBesideWriters, WhatIsWrittenWhileTheDeviceSyncsIsNotDurableYet) {
  Hold synced("group.synced");
  Ticket first = submit(*store_, set_of("a"), kApplied);
  synced.wait_for_arrivals();
  Ticket second = submit(*store_, set_of("b"), kWritten);
  second.wait();
  Hold next_sync("journal.sync");
  synced.release();
  next_sync.wait_for_arrivals();
  EXPECT_TRUE(first.reached(kDurable));
  EXPECT_FALSE(second.reached(kDurable));
  EXPECT_EQ(store_->read(kDurable).commit_seq(), 1u);
  next_sync.release();
  second.wait(kDurable);
}

TEST_F(SyncBesideWriters, ASyncThatWasWaitedForIsNotRepeated) {
  Hold sync("journal.sync");
  Ticket ticket = submit(*store_, set_of("a"), kApplied);
  sync.wait_for_arrivals();
  auto waiter = in_background([&] { ticket.wait(kDurable); });
  sync.release();
  waiter.get();
  EXPECT_EQ(store_->status().syncs, 1u);
}

TEST_F(SyncBesideWriters, AFailureOfTheSyncerFailsWhatWaitsForASyncOfItsOwn) {
  Hold sync("journal.sync", {.fail_with = EIO});
  Ticket first = submit(*store_, set_of("a"), kApplied);
  sync.wait_for_arrivals();
  Ticket second = submit(*store_, set_of("b"), kDurable);
  auto waiter = in_background([&] { return fails_with_unknown_outcome([&] { return second.wait(); }); });
  auto first_waiter = in_background([&] { return fails_with_unknown_outcome([&] { return first.wait(kDurable); }); });
  sync.release();
  EXPECT_TRUE(waiter.get());
  EXPECT_TRUE(first_waiter.get());
  EXPECT_TRUE(is_refused_for_good([&] { return submit(*store_, set_of("c"), kApplied); }));
  EXPECT_EQ(sync.arrivals(), 1);
  EXPECT_EQ(store_->status().durable_seq, 0u);
}

// It is behind what could not be synced, so it must not be acknowledged, though its own write succeeds.
TEST_F(SyncBesideWriters, ABatchThatIsBeingWrittenWhenTheSyncerFailsIsNotAcknowledged) {
  Hold sync("journal.sync", {.fail_with = EIO});
  submit(*store_, set_of("a"), kApplied);
  sync.wait_for_arrivals();
  Hold write("journal.write");
  Ticket second = submit(*store_, set_of("b"), kWritten);
  auto leader = in_background([&] { return fails_with_unknown_outcome([&] { return second.wait(); }); });
  write.wait_for_arrivals();
  sync.release();
  await([&] { return store_->status().failure.has_value(); });
  write.release();
  EXPECT_TRUE(leader.get());
  EXPECT_FALSE(second.reached(kWritten));
  EXPECT_EQ(store_->read().commit_seq(), 1u);
}

TEST_F(GroupCommitTest, WhoeverWokeTheSyncerForAWriteDoesNotMakeItSyncBeforeItsTime) {
  const auto nothing = [](const CommitInfo&, const Error*) {};
  Ticket ticket = submit(*store_, set_of("a"), kApplied);
  Hold write("journal.write");
  ticket.then(kWritten, nothing);
  write.wait_for_arrivals();
  ticket.then(kWritten, nothing);  // says that the syncer is wanted, which is at it already
  write.release();
  await([&] { return ticket.reached(kWritten); });
  std::this_thread::sleep_for(milliseconds{20});
  EXPECT_FALSE(ticket.reached(kDurable));
  EXPECT_EQ(store_->status().syncs, 0u);
}

TEST_F(GroupCommitTest, ACallbackMakesTheSyncerLeadAtOnce) {
  Ticket written = submit(*store_, set_of("a"), kApplied);
  written.future(kWritten).get();
  EXPECT_EQ(store_->status().syncs, 0u);
  Ticket durable = submit(*store_, set_of("b"), kApplied);
  EXPECT_EQ(durable.future(kDurable).get().commit_seq, 2u);
  EXPECT_TRUE(written.reached(kDurable));
}

TEST_F(GroupCommitTest, CallbacksThatAreAskedForWhileOthersLeadAreServed) {
  const int kCommits = rounds(500, 20'000);
  auto waiting = in_background([&] {
    for (int i = 0; i < kCommits; ++i) submit(*store_, set_of("a"), kWritten).wait();
  });
  for (int i = 0; i < kCommits; ++i) {
    Ticket ticket = submit(*store_, set_of("b"), kApplied);
    ticket.future(i % 2 == 0 ? kWritten : kDurable).get();
  }
  waiting.get();
}

}  // namespace
}  // namespace azoth
