// The flusher and the sequencer's limits, through a store: what is frozen is bounded, and the order of durability holds:
// journal, then LMDB, then the View, then the trim.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "flusher_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::await;
using test::code_of;
using test::event_of;
using test::FlusherTest;
using test::Hold;
using test::in_background;
using test::kLarge;
using test::set_of;
using test::submit;

constexpr auto kApplied = Durability::Applied;
constexpr auto kWritten = Durability::Written;
constexpr auto kDurable = Durability::Durable;

// --- Bounded memory

TEST_F(FlusherTest, AtMostTwoDeltasAreFrozenAndThenWritersAreHeldUp) {
  Hold flush("flush.apply");
  int commits = fill_memory();
  flush.wait_for_arrivals();
  EXPECT_EQ(store_->status().live_deltas, 3u);
  std::size_t limit = 3 * store_.options().delta_bytes;
  EXPECT_LE(store_->status().delta_bytes, limit);
  EXPECT_GE(store_->status().delta_bytes + 2 * kLarge.size(), limit) << "memory is used before anyone is held up";
  expect_keys(commits);
  flush.release();
}

TEST_F(FlusherTest, BackpressureChangesNothingAndEndsWhenTheFlusherGoesOn) {
  Hold flush("flush.apply");
  int commits = fill_memory();
  CommitSeq before = store_->status().applied_seq;
  EXPECT_EQ(code_of([&] { return store_->submit(set_of("k", kLarge), {}, {.timeout = milliseconds{1}}); }),
            ErrorCode::Backpressure);
  EXPECT_EQ(store_->status().applied_seq, before);
  auto patient = in_background([&] { return submit(*store_, set_of("k", kLarge), kDurable).wait().commit_seq; });
  flush.release();
  EXPECT_EQ(patient.get(), before + 1);
  expect_keys(commits);
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(FlusherTest, WritersHeldUpByTheFlusherAllGoOnInTheEnd) {
  Hold flush("flush.apply");
  fill_memory();
  CommitSeq before = store_->status().applied_seq;
  std::vector<std::future<void>> writers;
  for (int i = 0; i < 16; ++i) {
    writers.push_back(in_background([&, i] { submit(*store_, set_of("w" + std::to_string(i), kLarge), kDurable).wait(); }));
  }
  flush.release();
  for (auto& writer : writers) writer.get();
  EXPECT_EQ(store_->status().applied_seq, before + 16);
}

TEST_F(FlusherTest, CommitsGoOnWhileADeltaIsFlushed) {
  Hold flush("flush.apply");
  auto checkpoint = in_background([&] { store_->checkpoint(); });
  submit(*store_, set_of("a", "1"), kDurable).wait();
  auto second = in_background([&] { store_->checkpoint(); });
  flush.wait_for_arrivals();
  for (int i = 0; i < 5; ++i) submit(*store_, set_of("b", std::to_string(i)), kDurable).wait();
  EXPECT_EQ(store_->read().get("a"), "1");
  EXPECT_EQ(store_->read().get("b"), "4");
  EXPECT_EQ(store_->status().flushed_seq, 0u);
  flush.release();
  second.get();
  checkpoint.get();
  EXPECT_EQ(store_->read().get("b"), "4");
}

TEST_F(FlusherTest, AnOldDeltaIsFlushedByItself) {
  Options options = test::quiet_options();
  options.delta_age = milliseconds{1};
  test::TestStore store(options);
  for (int round = 0; round < 3; ++round) {
    Ticket ticket = submit(*store, set_of("a"), kApplied);
    await([&] { return store->status().flushed_seq == ticket.info().commit_seq; });
    EXPECT_TRUE(ticket.reached(kDurable));
  }
  // What is counted and given back comes after the mark.
  await([&] { return store->status().flushes == 3 && store->status().delta_bytes == 0; });
}

TEST_F(FlusherTest, CheckpointMovesEverythingAndAnEmptyOneDoesNothing) {
  store_->checkpoint();
  EXPECT_EQ(store_->status().flushes, 0u);
  for (int i = 0; i < 3; ++i) submit(*store_, event_of(), kApplied);
  store_->checkpoint();
  EXPECT_EQ(store_->status().flushed_seq, 3u);
  EXPECT_EQ(store_->status().flushes, 1u);
  store_->checkpoint();
  EXPECT_EQ(store_->status().flushes, 1u);
}

// All threads of this process but the one that asks: how often each has gone to sleep so far.
std::vector<std::pair<std::string, std::string>> sleeps_of_threads() {
  std::vector<std::pair<std::string, std::string>> sleeps;
  std::string self = std::to_string(gettid());
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == self) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.find("ctxt_switches") != std::string::npos) sleeps.emplace_back(task.path().string(), line);
    }
  }
  return sleeps;
}

TEST_F(FlusherTest, AnIdleStoreSleepsForGood) {
  Options options = test::quiet_options();
  options.delta_age = milliseconds{1};
  options.sync_interval = milliseconds{1};
  test::TestStore store(options);
  auto callback = submit(*store, set_of("a"), kApplied).future(kDurable);
  Subscription subscription = store->subscribe();
  submit(*store, event_of(), kApplied);
  EXPECT_TRUE(subscription.next().has_value());
  await([&] { return store->status().flushed_seq == 2; });
  // None of its threads runs for a while: a store that looks around now and then never gets there.
  while (true) {
    auto before = sleeps_of_threads();
    std::this_thread::sleep_for(milliseconds{100});
    if (sleeps_of_threads() == before) break;
  }
}

// --- The order of durability

TEST_F(FlusherTest, LmdbIsGivenOnlyWhatIsDurable) {
  std::atomic<CommitSeq> durable_then{0};
  std::atomic<bool> flushing{false};
  fault::Armed flush("flush.apply", {.run = [&] {
                       if (!flushing.exchange(true)) durable_then = store_->read(kDurable).commit_seq();
                     }});
  Hold sync("journal.sync");
  Ticket ticket = submit(*store_, set_of("key0", kLarge), kDurable);
  auto leader = in_background([&] { ticket.wait(); });
  sync.wait_for_arrivals();
  int commits = 1;
  for (; store_->status().live_deltas < 2; ++commits) submit(*store_, set_of("key" + std::to_string(commits), kLarge), kApplied);
  // A flusher that does not wait for the sync gets the time to show it.
  for (int i = 0; i < 100 && !flushing; ++i) std::this_thread::sleep_for(milliseconds{1});
  EXPECT_FALSE(flushing);
  EXPECT_EQ(store_->status().flushed_seq, 0u);
  sync.release();
  leader.get();
  await([&] { return store_->status().flushes == 1; });
  EXPECT_GE(durable_then, store_->status().flushed_seq);
  expect_keys(commits);
}

TEST_F(FlusherTest, LmdbIsNotGivenWhatIsOnlyWritten) {
  std::atomic<CommitSeq> durable_then{0};
  auto look = [&] { durable_then = store_->read(kDurable).commit_seq(); };
  fault::Armed flush("flush.apply", {.run = look, .times = -1});
  for (int i = 0; store_->status().flushes == 0; ++i) {
    submit(*store_, set_of("key" + std::to_string(i), kLarge), kWritten).wait(kWritten);
  }
  EXPECT_GE(durable_then, store_->status().flushed_seq);
}

TEST_F(FlusherTest, ADeltaStaysVisibleUntilLmdbHasIt) {
  for (const char* point : {"lmdb.reserve", "flush.apply", "lmdb.commit", "flush.committed"}) {
    submit(*store_, set_of("key", point), kDurable).wait();
    ReadTxn before = store_->read();
    Hold flush(point);
    auto checkpoint = in_background([&] { store_->checkpoint(); });
    flush.wait_for_arrivals();
    ReadTxn during = store_->read();
    EXPECT_EQ(before.get("key"), point);
    EXPECT_EQ(during.get("key"), point);
    EXPECT_EQ(during.commit_seq(), before.commit_seq());
    flush.release();
    checkpoint.get();
    EXPECT_EQ(before.get("key"), point);
    EXPECT_EQ(during.get("key"), point);
    EXPECT_EQ(store_->read().get("key"), point);
  }
}

TEST_F(FlusherTest, TheJournalIsTrimmedOnlyBehindLmdb) {
  for (const char* point : {"flush.apply", "lmdb.commit"}) {
    Hold flush(point);
    int commits = fill_memory(kDurable);  // several segments, so the keeper has made new ones after the flush began
    store_->flush();
    CommitSeq last = store_->status().applied_seq;
    test::TempDir parent;
    test::copy_store(store_.directory(), parent.path() / "copy");
    {
      auto copy = Store::open(parent.path() / "copy", store_.options());
      EXPECT_EQ(copy->status().applied_seq, last) << point;
      EXPECT_TRUE(copy->verify().ok()) << point;
      for (int i = 0; i < commits; ++i) EXPECT_TRUE(copy->read().exists("key" + std::to_string(i))) << point << i;
    }
    flush.release();
    store_->checkpoint();
  }
}

TEST_F(FlusherTest, TheJournalIsTrimmedBehindLmdb) {
  for (int i = 0; i < 200; ++i) submit(*store_, set_of("key", kLarge), kDurable).wait();
  store_->checkpoint();
  submit(*store_, set_of("key", kLarge), kDurable).wait();
  await([&] { return store_->status().journal_segments <= 8; });
}

TEST_F(FlusherTest, ANestedBeginFailsAtOnceEvenWithoutRoom) {
  Hold flush("flush.apply");
  fill_memory(kDurable);
  WriteTxn txn = store_->begin();
  auto waiting = in_background([&] { return code_of([&] { return submit(*store_, set_of("w", kLarge), kDurable); }); });
  await([&] {
    auto next = in_background([&] { return code_of([&] { return store_->begin(milliseconds{1}); }); });
    return next.get() == ErrorCode::Backpressure;
  });
  EXPECT_EQ(code_of([&] { return store_->begin(); }), ErrorCode::NestedUse);
  EXPECT_EQ(code_of([&] { return submit(*store_, set_of("k"), kApplied); }), ErrorCode::NestedUse);
  flush.release();
  txn.abort();
  EXPECT_EQ(waiting.get(), ErrorCode{});
}

}  // namespace
}  // namespace azoth
