#include "azoth/lockmgr/stripe_locks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "stripe.h"
#include "stripe_testing.h"
#include "support/seed.h"

namespace azoth {
namespace {

using std::chrono::nanoseconds;
using test::await;
using test::code_of;
using test::held;
using test::hold;
using test::is_free;
using test::kAtOnce;
using test::kExclusive;
using test::key_in;
using test::kForever;
using test::kShared;
using test::waiter;

TEST(StripeLocks, NoReaderPassesAWaitingWriter) {
  StripeLocks locks(1);
  auto reader = hold(locks, {{"a", kShared}});
  std::jthread writer = waiter(locks, {{"a"}});
  EXPECT_FALSE(is_free(locks, {"a", kShared}));
  reader.release();
  writer.join();
  EXPECT_TRUE(is_free(locks, {"a", kShared}));
}

// This thread releases and takes again as fast as it can, which is faster than a sleeper can wake.
void expect_few_overtakes(LockMode sleeper, LockMode runner) {
  for (int round = 0; round < 20; ++round) {
    StripeLocks locks(1);
    StripeGuard guard = locks.acquire({{"a", runner}});
    std::jthread thread = waiter(locks, {{"a", sleeper}});
    std::uint32_t overtakes = 0;
    while (true) {
      guard.release();
      if (code_of([&] { guard = locks.acquire({{"a", runner}}, kAtOnce); })) break;
      if (locks.waiting() == 0) break;  // it came in between
      ++overtakes;
    }
    guard.release();
    EXPECT_LE(overtakes, StripeLocks::kMaxOvertakes + 1);
  }
}

TEST(StripeLocks, AWaitingWriterIsOvertakenAFewTimesAtMost) {
  expect_few_overtakes(kExclusive, kExclusive);
  expect_few_overtakes(kExclusive, kShared);
}

TEST(StripeLocks, AWaitingReaderIsOvertakenAFewTimesAtMost) { expect_few_overtakes(kShared, kExclusive); }

// Threads that take the key over and over until one other has had it a hundred times.
void expect_progress(LockMode crowd, LockMode one) {
  StripeLocks locks(1);
  std::atomic<bool> done{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!done) auto guard = locks.acquire({{"a", crowd}}, kForever);
    });
  }
  for (int i = 0; i < 100; ++i) locks.acquire({{"a", one}}, kForever).release();
  done = true;
}

TEST(StripeLocks, ManyReadersDoNotStarveAWriter) { expect_progress(kShared, kExclusive); }

TEST(StripeLocks, ManyWritersDoNotStarveAReader) { expect_progress(kExclusive, kShared); }

TEST(StripeLocks, ReadersThatWaitSideBySideGetInTogether) {
  StripeLocks locks(1);
  auto guard = hold(locks, {{"a"}});
  std::latch all_in(3);
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.push_back(waiter(locks, {{"a", kShared}}, [&] { all_in.arrive_and_wait(); }));
  }
  guard.release();
  readers.clear();
  EXPECT_TRUE(is_free(locks, {"a"}));
}

TEST(StripeLocks, OppositeOrdersDoNotDeadlock) {
  StripeLocks locks;
  auto rounds = [&](std::string_view first, std::string_view second) {
    for (int i = 0; i < 1000; ++i) auto guard = locks.acquire({{first}, {second}}, kForever);
  };
  std::jthread forth([&] { rounds("a", "b"); });
  std::jthread back([&] { rounds("b", "a"); });
}

// Waits for a stripe with a lower one held by somebody who waits for a higher one: only ascending order is safe.
TEST(StripeLocks, NoStripeIsHeldWhileALowerOneIsWaitedFor) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  auto guard = hold(locks, {{two}});
  std::jthread thread = waiter(locks, {{five}, {two}});
  EXPECT_TRUE(is_free(locks, {five}));
  guard.release();
}

// What a stripe protects in the test: the plain numbers show a violation as a wrong sum and to the thread sanitizer.
struct Guarded {
  std::atomic<int> writers{0};
  std::atomic<int> readers{0};
  std::uint64_t value = 0;
};

class Crowd {
 public:
  explicit Crowd(std::size_t stripes) : locks_(stripes), guarded_(stripes), expected_(stripes) {}

  void run(int rounds, std::uint64_t seed) {
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < 6; ++i) threads.emplace_back([this, rounds, seed, i] { work(rounds, seed + i); });
    }
    EXPECT_EQ(violations_, 0);
    for (std::size_t i = 0; i < guarded_.size(); ++i) EXPECT_EQ(guarded_[i].value, expected_[i]) << "stripe " << i;
    EXPECT_EQ(locks_.waiting(), 0u);
    for (std::size_t i = 0; i < guarded_.size(); ++i) {
      EXPECT_TRUE(is_free(locks_, {key_in(locks_, static_cast<std::uint32_t>(i))})) << "stripe " << i;
    }
  }

 private:
  void work(int rounds, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < rounds; ++round) {
      std::vector<std::string> names;
      for (std::uint64_t i = 0, count = 1 + random() % 5; i < count; ++i) {
        names.push_back("key" + std::to_string(random() % (3 * guarded_.size())));
      }
      std::vector<LockKey> keys;
      for (const std::string& name : names) keys.push_back({name, random() % 2 == 0 ? kShared : kExclusive});
      const nanoseconds timeout = random() % 4 == 0 ? nanoseconds(random() % 100'000) : kForever;
      auto code = code_of([&] {
        auto guard = locks_.acquire(keys, timeout);
        for (std::size_t i = 0; i < guard.size(); ++i) enter(guard[i]);
        if (random() % 8 == 0) std::this_thread::yield();
        for (std::size_t i = 0; i < guard.size(); ++i) leave(guard[i]);
      });
      if (code && (*code != ErrorCode::LockTimeout || timeout == kForever)) ++violations_;
    }
  }

  void enter(HeldStripe stripe) {
    Guarded& guarded = guarded_[stripe.stripe];
    if (stripe.mode == kExclusive) {
      if (guarded.writers.fetch_add(1) != 0 || guarded.readers != 0) ++violations_;
      ++guarded.value;
      ++expected_[stripe.stripe];
    } else {
      guarded.readers.fetch_add(1);
      if (guarded.writers != 0) ++violations_;
      seen_.fetch_add(guarded.value, std::memory_order_relaxed);
    }
  }

  void leave(HeldStripe stripe) {
    Guarded& guarded = guarded_[stripe.stripe];
    (stripe.mode == kExclusive ? guarded.writers : guarded.readers).fetch_sub(1);
  }

  StripeLocks locks_;
  std::vector<Guarded> guarded_;
  std::vector<std::atomic<std::uint64_t>> expected_;
  std::atomic<int> violations_{0};
  std::atomic<std::uint64_t> seen_{0};
};

TEST(StripeLocks, RandomKeysOfManyThreadsExcludeEachOtherAndNeverDeadlock) {
  for (std::size_t stripes : {1u, 2u, 5u, 16u, 64u}) Crowd(stripes).run(2'000, test::test_seed());
}

TEST(StripeLocks, ClosedTheyRefuseEveryLaterAcquisition) {
  StripeLocks locks;
  locks.close();
  locks.close();
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{"a"}}); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{"a", kShared}}, kAtOnce); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({}); }), ErrorCode::Closed);
}

TEST(StripeLocks, ClosingSendsEveryWaiterAway) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  auto first = hold(locks, {{two, kShared}});
  auto second = hold(locks, {{five}});
  std::atomic<int> closed{0};
  std::vector<std::jthread> threads;
  const std::vector<std::vector<LockKey>> wishes = {{{two}},           {{two, kShared}},  {{two}, {five}},
                                                    {{five, kShared}}, {{five, kShared}}, {{key_in(locks, 0)}, {five}}};
  const std::vector<std::string> names = {key_in(locks, 0)};
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    threads.emplace_back([&, i] {
      std::vector<LockKey> keys = wishes[i];
      if (i == 5) keys[0].key = names[0];
      closed += code_of([&] { auto none = locks.acquire(keys, kForever); }) == ErrorCode::Closed;
    });
    await([&] { return locks.waiting() == i + 1; });
  }
  locks.close();
  threads.clear();
  EXPECT_EQ(closed, 6);
  EXPECT_EQ(locks.waiting(), 0u);
  EXPECT_TRUE(second.covers(five, kExclusive));  // what is held stays held
}

// What an acquisition does that looked whether the locks are closed just before they were.
TEST(Stripe, ClosedBetweenTheFirstLookAndTheQueueItIsNotWaitedFor) {
  Stripe stripe;
  std::atomic<bool> closed{true};
  std::atomic<std::uint32_t> waiting{0};
  ASSERT_TRUE(stripe.try_lock(kExclusive));
  stripe.close();
  EXPECT_EQ(stripe.lock_until(kShared, kNoDeadline, closed, waiting), Stripe::Result::Closed);
  EXPECT_EQ(stripe.lock_until(kExclusive, kNoDeadline, closed, waiting), Stripe::Result::Closed);
  stripe.unlock(kExclusive);
}

TEST(StripeLocks, ClosingInTheMiddleOfTrafficEndsIt) {
  for (int round = 0; round < 50; ++round) {
    StripeLocks locks(2);
    std::atomic<int> acquired{0};
    std::atomic<int> closed{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        auto code = code_of([&] {
          for (;; ++acquired) auto guard = locks.acquire({{"a", i % 2 == 0 ? kShared : kExclusive}, {"b"}}, kForever);
        });
        closed += code == ErrorCode::Closed;
      });
    }
    await([&] { return acquired > 20; });
    locks.close();
    threads.clear();
    EXPECT_EQ(closed, 4);
  }
}

}  // namespace
}  // namespace azoth
