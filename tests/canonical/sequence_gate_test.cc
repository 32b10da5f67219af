// Sequences beside whatever shuts the store, and beside each other: seal, pause, close, threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sequence_store_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::code_of;
using test::Hold;
using test::in_background;
using test::kBlock;
using test::Listed;
using test::listed;
using test::options_with_block;
using test::rounds;
using test::SequenceStore;

constexpr auto kApplied = Durability::Applied;

// --- Seal and pause

TEST_F(SequenceStore, ASealedStoreHandsOutNothingAndHasNoGap) {
  next(10);
  CommitSeq before = applied();
  EXPECT_EQ(store_->seal(), 0u);
  EXPECT_EQ(applied(), before + 1) << "the rest is returned by the seal itself";
  EXPECT_EQ(refusal(), ErrorCode::Sealed) << "though the block had numbers left";
  EXPECT_EQ(code_of([&] { return next(0); }), ErrorCode::Sealed);
  EXPECT_EQ(store_->peek_sequence("s"), 10u);
  EXPECT_EQ(crashed()->peek_sequence("s"), 10u);
  store_->seal();
  EXPECT_EQ(applied(), before + 1);
  store_.reopen();
  EXPECT_EQ(refusal(), ErrorCode::Sealed);
  EXPECT_EQ(listed(*store_), (Listed{{"s", 10}}));
  store_->unseal();
  EXPECT_EQ(next(), 10u);
}

TEST_F(SequenceStore, ASealThatFailsIsNoGapEither) {
  next(10);
  {
    WriteTxn txn = store_->begin();
    EXPECT_EQ(in_background([&] { return code_of([&] { return store_->seal(milliseconds{1}); }); }).get(),
              ErrorCode::LockTimeout);
  }
  EXPECT_EQ(next(), 10u);
}

TEST_F(SequenceStore, APausedStoreHandsOutNothingAndHasNoGap) {
  next(10);
  {
    Pause pause = store_->pause("backup");
    CommitSeq paused_at = applied();
    EXPECT_EQ(refusal(), ErrorCode::Paused);
    EXPECT_EQ(store_->peek_sequence("s"), 10u);
    store_->flush();
    EXPECT_EQ(crashed()->peek_sequence("s"), 10u);
    Pause another = store_->pause("import");
    EXPECT_EQ(applied(), paused_at) << "there is nothing to return any more";
  }
  EXPECT_EQ(next(), 10u);
  EXPECT_EQ(next(kBlock), 11u);
}

TEST_F(SequenceStore, TheGateIsShutBeforeTheRestsAreReturned) {
  next(10);
  for (bool sealing : {false, true}) {
    Hold commit("sequencer.insert");  // of the rests
    auto shutting = in_background([&] {
      if (sealing) {
        store_->seal();
        store_->unseal();
      } else {
        store_->pause("test").resume();
      }
    });
    commit.wait_for_arrivals();
    EXPECT_EQ(refusal(), sealing ? ErrorCode::Sealed : ErrorCode::Paused);
    commit.release();
    shutting.get();
    EXPECT_EQ(next(), sealing ? 11u : 10u);
  }
}

TEST_F(SequenceStore, PausingAStoreWithoutSequencesCommitsNothing) {
  test::put(*store_, "k", "v");
  Pause pause = store_->pause("backup");
  EXPECT_EQ(applied(), 1u);
}

TEST_F(SequenceStore, APauseThatCannotReturnTheRestsLeavesTheStoreOpen) {
  next(10);
  fault::Armed fault("sequencer.insert", {.fail_with = EIO});
  EXPECT_EQ(code_of([&] { return store_->pause("backup"); }), ErrorCode::StoreFailed);
  EXPECT_TRUE(store_->status().pauses.empty());
  Pause pause = store_->pause("backup");  // a store that has failed can be paused
  EXPECT_EQ(store_->status().pauses.size(), 1u);
}

TEST_F(SequenceStore, PausesSealsAndThreadsTogetherLeaveNoGap) {
  use(options_with_block(5));
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::set<std::uint64_t> got;
  std::vector<std::future<void>> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.push_back(in_background([&] {
      while (!stop.load()) {
        try {
          std::uint64_t first = next(3, kApplied);
          std::lock_guard lock(mutex);
          for (std::uint64_t i = 0; i < 3; ++i) EXPECT_TRUE(got.insert(first + i).second) << "twice";
        } catch (const Error& error) {
          EXPECT_TRUE(error.code() == ErrorCode::Paused || error.code() == ErrorCode::Sealed) << error.what();
          std::this_thread::yield();
        }
      }
    }));
  }
  for (int round = 0; round < rounds(30, 1000); ++round) {
    CommitSeq paused_at = 0;
    {
      Pause pause = store_->pause("test");
      paused_at = applied();
      std::this_thread::yield();
      EXPECT_EQ(applied(), paused_at) << "a reservation has slipped past the pause";
    }
    store_->seal();
    store_->unseal();
  }
  stop.store(true);
  for (auto& thread : threads) thread.get();
  store_.reopen();
  EXPECT_EQ(store_->peek_sequence("s"), got.size()) << "there is a gap";
  EXPECT_TRUE(got.empty() || *got.rbegin() + 1 == got.size());
}

TEST_F(SequenceStore, ClosingBesideThreadsLeavesNoGap) {
  std::set<std::uint64_t> got;
  for (int round = 0; round < rounds(10, 500); ++round) {
    use(options_with_block(7));
    std::mutex mutex;
    std::atomic<int> begun{0};
    std::vector<std::future<void>> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.push_back(in_background([&] {
        try {
          while (true) {
            std::uint64_t number = next();
            ++begun;
            std::lock_guard lock(mutex);
            EXPECT_TRUE(got.insert(number).second) << number << " was handed out twice";
          }
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::Closed) << error.what();
        }
      }));
    }
    test::await([&] { return begun.load() > 8; });
    store_->close();
    for (auto& thread : threads) thread.get();
  }
  store_.reopen();
  EXPECT_EQ(store_->peek_sequence("s"), got.size()) << "there is a gap";
}

// --- Threads

TEST_F(SequenceStore, ThreadsGetRangesOfTheirOwn) {
  use(options_with_block(32));
  std::vector<std::future<std::vector<std::pair<std::uint64_t, std::uint64_t>>>> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.push_back(in_background([&, thread] {
      std::vector<std::pair<std::uint64_t, std::uint64_t>> got;
      for (int i = 0; i < rounds(60, 2000); ++i) {
        auto n = static_cast<std::uint64_t>(1 + (thread + i) % 20);
        got.emplace_back(next(n), n);
        store_->next_sequence("of thread " + std::to_string(thread));
      }
      return got;
    }));
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
  for (auto& thread : threads) {
    auto got = thread.get();
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end())) << "not increasing in one thread";
    all.insert(all.end(), got.begin(), got.end());
  }
  std::sort(all.begin(), all.end());
  std::uint64_t end = 0;
  for (auto [first, n] : all) {
    ASSERT_EQ(first, end);
    end = first + n;
  }
  EXPECT_EQ(listed(*store_).size(), 9u);
  EXPECT_EQ(store_->peek_sequence("of thread 3"), static_cast<std::uint64_t>(rounds(60, 2000)));
}

}  // namespace
}  // namespace azoth
