// Group commit: levels, who leads, what is visible when, and that nobody sleeps for ever.
#include "group_commit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "group_commit_support.h"
#include "support/seed.h"

namespace azoth {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using test::event_of;
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

// --- Levels

TEST_F(GroupCommitTest, ACommitReachesItsLevelsInTheirOrder) {
  Hold write("journal.write");
  Hold sync("journal.sync");
  Ticket ticket = submit(*store_, set_of("a"), kWritten);
  EXPECT_TRUE(ticket.reached(kApplied));
  EXPECT_EQ(ticket.wait(kApplied).commit_seq, 1u);
  auto waiter = in_background([&] { ticket.wait(kDurable); });
  write.wait_for_arrivals();
  EXPECT_FALSE(ticket.reached(kWritten));
  write.release();
  sync.wait_for_arrivals();
  EXPECT_TRUE(ticket.reached(kWritten));
  EXPECT_FALSE(ticket.reached(kDurable));
  sync.release();
  waiter.get();
  EXPECT_TRUE(ticket.reached(kDurable));
}

TEST_F(GroupCommitTest, NothingIsAcknowledgedOrVisibleBeforeTheSyncThatSomeoneAskedFor) {
  for (const char* point : {"journal.write", "journal.sync", "group.synced"}) {
    CommitSeq before = visible();
    Hold hold(point);
    Ticket ticket = submit(*store_, set_of("a"), kDurable);
    auto waiter = in_background([&] { ticket.wait(); });
    hold.wait_for_arrivals();
    EXPECT_EQ(waiter.wait_for(milliseconds{1}), std::future_status::timeout) << point;
    EXPECT_FALSE(ticket.reached(kWritten)) << point;
    EXPECT_FALSE(ticket.reached(kDurable)) << point;
    EXPECT_EQ(visible(), before) << point;
    EXPECT_EQ(store_->read(kDurable).commit_seq(), before) << point;
    EXPECT_EQ(store_->read(kApplied).commit_seq(), before + 1) << point;
    hold.release();
    waiter.get();
    EXPECT_EQ(visible(), before + 1) << point;
  }
}

TEST_F(GroupCommitTest, AWrittenCommitBesideADurableOneWaitsForTheSync) {
  Hold sync("journal.sync");
  Ticket written = submit(*store_, set_of("a"), kWritten);
  Ticket durable = submit(*store_, set_of("b"), kDurable);
  auto waiter = in_background([&] { written.wait(); });
  sync.wait_for_arrivals();
  EXPECT_FALSE(written.reached(kWritten));
  EXPECT_FALSE(durable.reached(kWritten));
  EXPECT_EQ(visible(), 0u);
  sync.release();
  waiter.get();
  EXPECT_TRUE(durable.reached(kDurable));
}

TEST_F(GroupCommitTest, AnAppliedCommitIsVisibleWhenItIsWritten) {
  Ticket ticket = submit(*store_, set_of("a"), kApplied);
  EXPECT_EQ(visible(), 0u);
  store_->flush(kWritten);
  EXPECT_EQ(visible(), 1u);
  EXPECT_FALSE(ticket.reached(kDurable));
  EXPECT_EQ(store_->status().syncs, 0u);
}

TEST_F(GroupCommitTest, WaitingOnACompleteBatchWritesNothing) {
  Ticket ticket = submit(*store_, set_of("a"), kDurable);
  ticket.wait();
  Hold write("journal.write");
  Hold sync("journal.sync");
  for (Durability level : {kApplied, kWritten, kDurable}) {
    EXPECT_EQ(ticket.wait(level).commit_seq, 1u);
    EXPECT_TRUE(ticket.wait_for(level, milliseconds{0}));
  }
  store_->flush();
  EXPECT_EQ(write.arrivals() + sync.arrivals(), 0);
}

TEST_F(GroupCommitTest, WaitingForDurableOnAWrittenBatchSyncsWithoutANewBatch) {
  Ticket ticket = submit(*store_, set_of("a"), kWritten);
  ticket.wait();
  EXPECT_EQ(store_->status().batches, 1u);
  EXPECT_EQ(store_->status().syncs, 0u);
  ticket.wait(kDurable);
  EXPECT_EQ(store_->status().batches, 1u);
  EXPECT_EQ(store_->status().syncs, 1u);
}

TEST_F(GroupCommitTest, OneSyncServesAllThatWasWrittenBefore) {
  std::vector<Ticket> tickets;
  for (int i = 0; i < 10; ++i) {
    tickets.push_back(submit(*store_, set_of(std::to_string(i)), kWritten));
    tickets.back().wait();
  }
  tickets.back().wait(kDurable);
  EXPECT_EQ(store_->status().syncs, 1u);
  for (const Ticket& ticket : tickets) EXPECT_TRUE(ticket.reached(kDurable));
}

TEST_F(GroupCommitTest, CommitsThatComeWhileTheDeviceIsBusyShareABatch) {
  Hold write("journal.write");
  Ticket first = submit(*store_, set_of("a"), kDurable);
  auto waiter = in_background([&] { first.wait(); });
  write.wait_for_arrivals();
  std::vector<Ticket> others;
  for (int i = 0; i < 100; ++i) others.push_back(submit(*store_, set_of(std::to_string(i)), kDurable));
  write.release();
  waiter.get();
  others.back().wait();
  EXPECT_EQ(store_->status().batches, 2u);
  EXPECT_EQ(store_->status().syncs, 2u);
}

TEST_F(GroupCommitTest, AnEmptyTransactionWaitsForWhatItWasReadAt) {
  Hold sync("journal.sync");
  submit(*store_, set_of("a"), kApplied);
  Ticket empty = submit(*store_, WriteSet(), kDurable);
  EXPECT_EQ(empty.info().commit_seq, 1u);
  auto waiter = in_background([&] { empty.wait(); });
  sync.wait_for_arrivals();
  EXPECT_EQ(waiter.wait_for(milliseconds{1}), std::future_status::timeout);
  sync.release();
  waiter.get();
  EXPECT_EQ(store_->status().durable_seq, 1u);
}

TEST_F(GroupCommitTest, ARejectionWaitsForWhatItRestsOn) {
  Hold sync("journal.sync");
  submit(*store_, set_of("a"), kApplied);
  auto rejected = in_background([&] {
    std::vector<Condition> conditions = {Condition::key_absent("a")};
    return store_->submit(set_of("a", "again"), conditions).has_value();
  });
  sync.wait_for_arrivals();
  EXPECT_EQ(rejected.wait_for(milliseconds{1}), std::future_status::timeout);
  sync.release();
  EXPECT_FALSE(rejected.get());
  EXPECT_EQ(store_->status().durable_seq, 1u);
}

// --- Who leads

TEST_F(GroupCommitTest, ALoneClientLeadsItselfAndNeverSleeps) {
  std::thread::id writer;
  fault::Armed write("journal.write", {.run = [&] { writer = std::this_thread::get_id(); }, .times = -1});
  fault::record(true);
  for (int i = 0; i < 100; ++i) {
    submit(*store_, set_of("a", std::to_string(i)), i % 2 == 0 ? kWritten : kDurable).wait();
    EXPECT_EQ(writer, std::this_thread::get_id());
  }
  fault::record(false);
  std::vector<std::string> reached = fault::reached();
  EXPECT_EQ(std::count(reached.begin(), reached.end(), "group.sleep"), 0);
  EXPECT_EQ(store_->status().batches, 100u);
}

TEST_F(GroupCommitTest, AnOfferBetweenALookAndASleepIsNotLost) {
  Hold write("journal.write");
  Ticket first = submit(*store_, set_of("a"), kWritten);
  auto leader = in_background([&] { first.wait(); });
  write.wait_for_arrivals();
  Hold before_sleep("group.sleep");
  Ticket second = submit(*store_, set_of("b"), kWritten);
  auto waiter = in_background([&] { second.wait(); });
  before_sleep.wait_for_arrivals();  // it has found that someone leads
  write.release();
  leader.get();  // it has left, and offered the lead to nobody who sleeps
  before_sleep.release();
  waiter.get();
}

TEST_F(GroupCommitTest, ACompletionBetweenALookAndASleepIsNotLost) {
  Hold write("journal.write");
  Ticket ticket = submit(*store_, set_of("a"), kWritten);
  auto leader = in_background([&] { ticket.wait(); });
  write.wait_for_arrivals();
  Hold before_sleep("group.sleep");
  auto waiter = in_background([&] { ticket.wait(); });
  before_sleep.wait_for_arrivals();
  write.release();
  leader.get();
  before_sleep.release();
  waiter.get();
}

TEST_F(GroupCommitTest, WhoWaitsForNoBatchInParticularIsNotForgotten) {
  Hold write("journal.write");
  Ticket first = submit(*store_, set_of("a"), kWritten);
  auto leader = in_background([&] { first.wait(); });
  write.wait_for_arrivals();
  Hold before_sleep("group.sleep");
  submit(*store_, set_of("b"), kApplied);
  auto flush = in_background([&] { store_->flush(kDurable); });
  before_sleep.wait_for_arrivals();
  write.release();
  leader.get();
  before_sleep.release();
  flush.get();
  EXPECT_EQ(store_->status().durable_seq, 2u);
}

TEST_F(GroupCommitTest, ASyncThatIsWantedWhileALeaderLeavesIsNotForgotten) {
  Ticket first = submit(*store_, set_of("a"), kWritten);
  first.wait();
  Hold write("journal.write");
  Ticket second = submit(*store_, set_of("b"), kWritten);
  auto leader = in_background([&] { second.wait(); });
  write.wait_for_arrivals();
  Hold before_sleep("group.sleep");
  auto waiter = in_background([&] { first.wait(kDurable); });
  before_sleep.wait_for_arrivals();
  write.release();
  leader.get();
  before_sleep.release();
  waiter.get();
}

TEST_F(GroupCommitTest, AWakeUpForNoReasonIsHarmless) {
  fault::Armed wake_up("group.sleep", {.fail_with = EAGAIN, .times = 50});
  Hold write("journal.write");
  Ticket first = submit(*store_, set_of("a"), kWritten);
  auto leader = in_background([&] { first.wait(); });
  write.wait_for_arrivals();
  Ticket second = submit(*store_, set_of("b"), kDurable);
  auto waiter = in_background([&] { second.wait(); });
  auto flush = in_background([&] { store_->flush(); });
  write.release();
  leader.get();
  waiter.get();
  flush.get();
}

// The queue has a batch that nobody waits for, and behind it one that somebody does.
TEST(GroupCommitQueue, ABatchNobodyWaitsForDoesNotHideTheNextOne) {
  test::Watchdog watchdog;
  test::TestStore store(test::tiny_options());
  std::string half_a_batch(20'000, 'v');
  Hold write("journal.write");
  Ticket first = submit(*store, set_of("a"), kWritten);
  auto leader = in_background([&] { first.wait(); });
  write.wait_for_arrivals();
  submit(*store, set_of("b", half_a_batch), kApplied);
  Hold before_sleep("group.sleep");
  Ticket third = submit(*store, set_of("c", half_a_batch), kWritten);
  auto waiter = in_background([&] { third.wait(); });
  before_sleep.wait_for_arrivals();
  write.release();
  leader.get();
  before_sleep.release();
  waiter.get();
  EXPECT_EQ(store->status().batches, 3u);
}

// --- Deadlines

TEST_F(GroupCommitTest, AWaitThatTimesOutLeavesTheCommitAlone) {
  Hold sync("journal.sync");
  Ticket ticket = submit(*store_, set_of("a"), kDurable);
  auto leader = in_background([&] { ticket.wait(); });
  sync.wait_for_arrivals();
  EXPECT_FALSE(ticket.wait_for(kDurable, milliseconds{1}));
  EXPECT_FALSE(ticket.wait_for(kDurable, milliseconds{0}));
  EXPECT_FALSE(ticket.wait_for(kDurable, milliseconds{-1}));
  EXPECT_TRUE(ticket.wait_for(kApplied, milliseconds{0}));
  sync.release();
  leader.get();
  EXPECT_TRUE(ticket.wait_for(kDurable, milliseconds{0}));
  EXPECT_TRUE(store_->read().exists("a"));
}

TEST_F(GroupCommitTest, AWaiterThatHasTimedOutKeepsTheLeadFromNobody) {
  Hold write("journal.write");
  Ticket first = submit(*store_, set_of("a"), kWritten);
  auto leader = in_background([&] { first.wait(); });
  write.wait_for_arrivals();
  Ticket second = submit(*store_, set_of("b"), kWritten);
  EXPECT_FALSE(second.wait_for(kWritten, milliseconds{1}));
  auto patient = in_background([&] { second.wait(); });
  std::vector<std::future<bool>> impatient;
  for (int i = 0; i < 4; ++i) {
    impatient.push_back(in_background([&, i] { return second.wait_for(kWritten, microseconds{100} * (i + 1)); }));
  }
  for (auto& one : impatient) EXPECT_FALSE(one.get());
  write.release();
  leader.get();
  patient.get();
}

// The offer comes while the one who is meant is past its deadline and about to sleep.
TEST_F(GroupCommitTest, AnOfferToAWaiterWhoseDeadlineHasPassedIsTakenOrPassedOn) {
  Hold write("journal.write");
  Ticket first = submit(*store_, set_of("a"), kWritten);
  auto leader = in_background([&] { first.wait(); });
  write.wait_for_arrivals();
  Hold before_sleep("group.sleep");
  Ticket second = submit(*store_, set_of("b"), kWritten);
  auto late = in_background([&] { return second.wait_for(kWritten, milliseconds{0}); });
  before_sleep.wait_for_arrivals();
  auto patient = in_background([&] { second.wait(); });
  write.release();
  leader.get();
  before_sleep.release();
  patient.get();
  late.get();
  EXPECT_TRUE(second.reached(kWritten));
}

TEST_F(GroupCommitTest, WaitersWithShortDeadlinesStrandNobody) {
  constexpr int kThreads = 8;
  const int kCommits = rounds(300, 20'000);
  std::uint64_t seed = test::test_seed();
  auto client = [&](int index) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(index));
    for (int i = 0; i < kCommits; ++i) {
      Ticket ticket = submit(*store_, set_of(std::to_string(index)), random() % 4 == 0 ? kDurable : kWritten);
      if (index % 2 == 0) {
        ticket.wait();
      } else {
        while (!ticket.wait_for(ticket.level(), microseconds(random() % 200))) {
        }
      }
    }
  };
  std::vector<std::future<void>> clients;
  for (int i = 0; i < kThreads; ++i) clients.push_back(in_background([&, i] { client(i); }));
  for (auto& one : clients) one.get();
  EXPECT_EQ(visible(), static_cast<CommitSeq>(kThreads * kCommits));
}

// --- Many clients

TEST_F(GroupCommitTest, SixtyFourClientsInAClosedLoopAllMakeProgress) {
  constexpr int kThreads = 64;
  const int kCommits = rounds(50, 2000);
  std::vector<std::vector<CommitSeq>> got(kThreads);
  auto client = [&](int index) {
    for (int i = 0; i < kCommits; ++i) {
      auto level = static_cast<Durability>(1 + (index + i) % 3);
      Ticket ticket = submit(*store_, event_of("step", "client:" + std::to_string(index)), level);
      got[static_cast<std::size_t>(index)].push_back(ticket.wait().commit_seq);
      if (level != kApplied) {
        ASSERT_GE(store_->read().commit_seq(), ticket.info().commit_seq);
      }
    }
  };
  std::vector<std::future<void>> clients;
  for (int i = 0; i < kThreads; ++i) clients.push_back(in_background([&, i] { client(i); }));
  for (auto& one : clients) one.get();

  std::set<CommitSeq> all;
  for (const auto& mine : got) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end())) << "a thread's commits are in its order";
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(all.size(), static_cast<std::size_t>(kThreads * kCommits));
  EXPECT_EQ(*all.rbegin(), all.size()) << "commit numbers have no gap";
  store_->flush();
  EXPECT_EQ(store_->status().durable_seq, all.size());
  Status status = store_->status();
  EXPECT_LT(status.batches, status.commits) << "commits share batches";
}

// Two commits at a time, and then nothing: whoever of the two is forgotten has nobody to help him.
TEST_F(GroupCommitTest, PairsOfClientsNeverForgetEachOther) {
  const int kRounds = rounds(3000, 300'000);
  std::barrier start(2);
  std::barrier end(2);
  auto client = [&](std::string key) {
    for (int round = 0; round < kRounds; ++round) {
      start.arrive_and_wait();
      submit(*store_, set_of(key), kWritten).wait();
      end.arrive_and_wait();
    }
  };
  auto other = in_background([&] { client("a"); });
  client("b");
  other.get();
  EXPECT_EQ(visible(), static_cast<CommitSeq>(2 * kRounds));
}

TEST_F(GroupCommitTest, CommitsAreOrderedAsTheyWereSubmittedAcrossThreads) {
  Ticket first = submit(*store_, set_of("k", "1"), kApplied);
  Ticket second = in_background([&] { return submit(*store_, set_of("k", "2"), kApplied); }).get();
  Ticket third = submit(*store_, set_of("k", "3"), kApplied);
  EXPECT_EQ(first.info().commit_seq, 1u);
  EXPECT_EQ(second.info().commit_seq, 2u);
  EXPECT_EQ(third.info().commit_seq, 3u);
  third.wait(kDurable);
  EXPECT_TRUE(first.reached(kDurable));
  EXPECT_EQ(store_->read().get("k"), "3");
}

// --- Tickets outlive the store

TEST_F(GroupCommitTest, TicketsAreReadableAfterCloseAndAfterTheStoreIsGone) {
  std::vector<Ticket> tickets;
  for (Durability level : {kApplied, kWritten, kDurable}) tickets.push_back(submit(*store_, set_of("a"), level));
  tickets.push_back(submit(*store_, WriteSet(), kDurable));
  auto check = [&] {
    for (const Ticket& ticket : tickets) {
      for (Durability level : {kApplied, kWritten, kDurable}) {
        EXPECT_TRUE(ticket.reached(level));
        EXPECT_TRUE(ticket.wait_for(level, milliseconds{0}));
        EXPECT_GE(ticket.wait(level).commit_seq, 1u);
        EXPECT_GE(ticket.future(level).get().commit_seq, 1u);
      }
    }
  };
  store_->close();
  check();
  store_.close();
  check();
}

TEST_F(GroupCommitTest, FailedTicketsAreReadableAfterTheStoreIsGone) {
  fault::Armed sync("journal.sync", {.fail_with = EIO});
  Ticket ticket = submit(*store_, set_of("a"), kDurable);
  Ticket applied = submit(*store_, WriteSet(), kDurable);
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return ticket.wait(); }));
  store_.close();
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return ticket.wait(); }));
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return applied.wait(); }));
  EXPECT_TRUE(fails_with_unknown_outcome([&] { return ticket.future(kDurable).get(); }));
  EXPECT_FALSE(ticket.reached(kWritten));
  EXPECT_TRUE(ticket.reached(kApplied));
}

// A thread that waits on a ticket leads for the group while the store is closed and destroyed.
TEST_F(GroupCommitTest, ALeadingWaiterAndTheEndOfTheStoreDoNotMeet) {
  const int kRounds = rounds(30, 5000);
  for (int round = 0; round < kRounds; ++round) {
    Ticket ticket = submit(*store_, set_of("a"), kApplied);
    std::barrier start(3);
    auto waiter = in_background([&] {
      start.arrive_and_wait();
      ticket.wait(kDurable);
    });
    auto caller = in_background([&] {
      start.arrive_and_wait();
      ticket.future(kDurable).get();
    });
    start.arrive_and_wait();
    store_.close();
    waiter.get();
    caller.get();
    store_.open();
  }
  EXPECT_EQ(store_->status().applied_seq, static_cast<CommitSeq>(kRounds));
}

// The store has failed, so that closing it waits for no commit; but a client still leads, and reads the Deltas.
TEST_F(GroupCommitTest, TheEndOfTheStoreWaitsForAClientThatLeads) {
  Hold start("journal.start_segment");
  Ticket ticket = submit(*store_, set_of("a"), kDurable);
  auto leader = in_background([&] { return fails_with_unknown_outcome([&] { return ticket.wait(); }); });
  start.wait_for_arrivals();
  {
    fault::Armed no_memory("sequencer.insert", {.fail_with = ENOMEM});
    EXPECT_TRUE(is_refused_for_good([&] { return submit(*store_, set_of("b"), kApplied); }));
  }
  auto end = in_background([&] { store_.close(); });
  EXPECT_EQ(end.wait_for(milliseconds{50}), std::future_status::timeout);
  start.release();
  EXPECT_TRUE(leader.get());
  end.get();
  store_.open();
  EXPECT_FALSE(store_->read().exists("b"));
  EXPECT_TRUE(store_->verify().ok());
}

}  // namespace
}  // namespace azoth
