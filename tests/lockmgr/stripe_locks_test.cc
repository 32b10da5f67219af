#include "azoth/lockmgr/stripe_locks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <latch>
#include <limits>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "count_allocations.h"
#include "stripe_testing.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using test::await;
using test::code_of;
using test::error_of;
using test::held;
using test::hold;
using test::is_free;
using test::kAtOnce;
using test::kExclusive;
using test::key_in;
using test::kForever;
using test::kShared;
using test::waiter;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(StripeLocks, HaveTwoHundredAndFiftySixStripesUnlessToldOtherwise) {
  StripeLocks locks;
  EXPECT_EQ(locks.stripes(), 256u);
  EXPECT_EQ(StripeLocks(7).stripes(), 7u);
  auto guard = locks.acquire({{"a"}, {"b"}});
  EXPECT_EQ(guard.size(), 2u);
}

TEST(StripeLocks, RefuseNoStripesAndTooMany) {
  EXPECT_EQ(code_of([] { StripeLocks locks(0); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([] { StripeLocks locks(StripeLocks::kMaxStripes + 1); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([] { StripeLocks locks(std::numeric_limits<std::size_t>::max()); }), ErrorCode::InvalidArgument);
}

TEST(StripeLocks, KnownKeysHaveKnownStripes) {
  StripeLocks locks;
  EXPECT_EQ(locks.stripe_of(""), 119u);
  EXPECT_EQ(locks.stripe_of("balance/alice"), 148u);
  EXPECT_EQ(locks.stripe_of("balance/bob"), 70u);
  EXPECT_EQ(locks.stripe_of(std::string_view("\0\xff", 2)), 191u);
  EXPECT_EQ(locks.stripe_of(std::string(511, 'x')), 165u);
  EXPECT_EQ(StripeLocks(1000).stripe_of("balance/alice"), 578u);
  EXPECT_EQ(StripeLocks(1).stripe_of("balance/alice"), 0u);
}

TEST(StripeLocks, SpreadKeysOverAllStripesAndOnlyThose) {
  for (std::size_t count : {1u, 3u, 256u, 1000u}) {
    StripeLocks locks(count);
    std::set<std::uint32_t> seen;
    for (int i = 0; i < 30'000; ++i) seen.insert(locks.stripe_of("key" + std::to_string(i)));
    EXPECT_EQ(seen.size(), count);
    EXPECT_EQ(*seen.rbegin(), count - 1);
  }
}

TEST(StripeLocks, NoKeysLockNothingAndSucceed) {
  StripeLocks locks(1);
  auto all = hold(locks, {{"a"}});
  StripeGuard guard = locks.acquire({}, kAtOnce);
  EXPECT_TRUE(guard.empty());
  EXPECT_FALSE(guard.covers("a", kShared));
  auto other = hold(locks, {});  // nothing is held, so this is no nested use
  EXPECT_TRUE(other.empty());
}

TEST(StripeLocks, TheSameKeyThreeTimesIsLockedOnce) {
  StripeLocks locks;
  auto guard = locks.acquire({{"a"}, {"a"}, {"a"}}, kAtOnce);
  EXPECT_THAT(held(guard), ElementsAre(HeldStripe{locks.stripe_of("a"), kExclusive}));
  guard.release();
  EXPECT_TRUE(is_free(locks, {"a"}));
}

TEST(StripeLocks, TwoKeysOfOneStripeAreLockedOnce) {
  StripeLocks locks(4);
  const std::string one = key_in(locks, 2, 0), two = key_in(locks, 2, 1);
  auto guard = locks.acquire({{one}, {two}}, kAtOnce);
  EXPECT_THAT(held(guard), ElementsAre(HeldStripe{2, kExclusive}));
}

TEST(StripeLocks, AStripeAskedForSharedAndExclusiveIsExclusive) {
  StripeLocks locks(4);
  const std::string one = key_in(locks, 2, 0), two = key_in(locks, 2, 1);
  const std::vector<std::vector<LockKey>> wishes = {{{one, kShared}, {one, kExclusive}},
                                                    {{one, kExclusive}, {one, kShared}},
                                                    {{one, kShared}, {two, kExclusive}},
                                                    {{one, kExclusive}, {two, kShared}, {one, kShared}}};
  for (const auto& keys : wishes) {
    auto guard = locks.acquire(keys, kAtOnce);
    guard.detach();
    EXPECT_THAT(held(guard), ElementsAre(HeldStripe{2, kExclusive}));
    EXPECT_FALSE(is_free(locks, {one, kShared}));
    guard.release();
    EXPECT_TRUE(is_free(locks, {one}));
  }
}

TEST(StripeLocks, AGuardShowsItsStripesInAscendingOrder) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5), seven = key_in(locks, 7);
  auto guard = locks.acquire({{seven}, {two, kShared}, {five}, {two, kShared}});
  EXPECT_THAT(held(guard), ElementsAre(HeldStripe{2, kShared}, HeldStripe{5, kExclusive}, HeldStripe{7, kExclusive}));
  EXPECT_TRUE(guard.covers(two, kShared));
  EXPECT_FALSE(guard.covers(two, kExclusive));
  EXPECT_TRUE(guard.covers(five, kShared));
  EXPECT_TRUE(guard.covers(seven, kExclusive));
  EXPECT_FALSE(guard.covers(key_in(locks, 3), kShared));
}

TEST(StripeLocks, OneStripeIsOneLockForAllKeys) {
  StripeLocks locks(1);
  auto guard = hold(locks, {{"a", kShared}});
  EXPECT_TRUE(is_free(locks, {"b", kShared}));
  EXPECT_FALSE(is_free(locks, {"b", kExclusive}));
  guard.release();
  guard = hold(locks, {{"a"}, {"b"}, {"c", kShared}});
  EXPECT_EQ(guard.size(), 1u);
  EXPECT_FALSE(is_free(locks, {"d", kShared}));
}

TEST(StripeLocks, ReadersOfAKeyAreInTogether) {
  StripeLocks locks(1);
  std::latch all_in(5);
  std::vector<std::jthread> readers;
  for (int i = 0; i < 5; ++i) {
    readers.emplace_back([&] {
      auto guard = locks.acquire({{"a", kShared}}, kForever);
      all_in.arrive_and_wait();
    });
  }
  readers.clear();
  EXPECT_TRUE(is_free(locks, {"a"}));
}

TEST(StripeLocks, AWriterWaitsForEveryReader) {
  StripeLocks locks(1);
  auto first = hold(locks, {{"a", kShared}});
  auto second = hold(locks, {{"a", kShared}});
  first.release();
  EXPECT_FALSE(is_free(locks, {"a", kExclusive}));
  second.release();
  EXPECT_TRUE(is_free(locks, {"a", kExclusive}));
}

TEST(StripeLocks, TenThreadsHoldTenKeysOfDifferentStripesAtOnce) {
  StripeLocks locks;
  std::latch all_in(10);
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < 10; ++i) {
    threads.emplace_back([&, i] {
      const std::string key = key_in(locks, 25 * i);
      auto guard = locks.acquire({{key}}, kForever);
      all_in.arrive_and_wait();
    });
  }
  threads.clear();
  EXPECT_EQ(locks.waits(), 0u);
}

TEST(StripeLocks, TenThousandKeysAreOneAcquisition) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("key" + std::to_string(i));
  std::vector<LockKey> keys(names.begin(), names.end());
  for (std::size_t count : {std::size_t{1}, std::size_t{256}, StripeLocks::kMaxStripes}) {
    StripeLocks locks(count);
    std::set<std::uint32_t> stripes;
    for (const std::string& name : names) stripes.insert(locks.stripe_of(name));
    StripeGuard guard = locks.acquire(keys);
    guard.detach();
    EXPECT_EQ(guard.size(), stripes.size());
    StripeGuard moved = std::move(guard);
    for (const std::string& name : names) ASSERT_TRUE(moved.covers(name, kExclusive));
    EXPECT_FALSE(is_free(locks, {names[9'999], kShared}));
    moved.release();
    EXPECT_EQ(locks.acquire(keys, kAtOnce).size(), stripes.size());
  }
}

TEST(StripeLocks, TenThousandSharedKeysLetReadersIn) {
  StripeLocks locks;
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("key" + std::to_string(i));
  std::vector<LockKey> keys;
  for (const std::string& name : names) keys.push_back({name, kShared});
  StripeGuard guard = locks.acquire(keys);
  guard.detach();
  EXPECT_EQ(guard.size(), 256u);
  EXPECT_TRUE(is_free(locks, {"another", kShared}));
  EXPECT_FALSE(is_free(locks, {"another", kExclusive}));
}

TEST(StripeLocks, SixteenKeysAreLockedWithoutAnAllocation) {
  StripeLocks locks;
  std::vector<std::string> names;
  for (int i = 0; i < 17; ++i) names.push_back("key" + std::to_string(i));
  std::vector<LockKey> keys(names.begin(), names.end());
  const std::uint64_t before = test::allocations();
  { auto guard = locks.acquire(std::span(keys).first(16)); }
  EXPECT_EQ(test::allocations(), before);
  { auto guard = locks.acquire(keys); }
  EXPECT_EQ(test::allocations(), before + 1);  // so the counter counts
}

TEST(StripeLocks, ATimeoutNamesTheKeyAndTheTimeWaited) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  auto guard = hold(locks, {{five}});
  auto error = error_of([&] { auto none = locks.acquire({{two}, {five}}, milliseconds(20)); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::LockTimeout);
  EXPECT_TRUE(error->retryable());
  const std::string message = error->what();
  EXPECT_THAT(message, HasSubstr("exclusive lock on the key " + five + " "));
  const std::size_t number = message.find("after waiting ");
  ASSERT_NE(number, std::string::npos) << message;
  EXPECT_GE(std::stol(message.substr(number + 14)), 20) << message;
}

TEST(StripeLocks, ATimeoutShowsAKeyThatIsNoTextAsHex) {
  StripeLocks locks(1);
  auto guard = hold(locks, {{"a"}});
  auto error = error_of([&] { auto none = locks.acquire({{std::string_view("\0\xfe", 2), kShared}}, kAtOnce); });
  ASSERT_TRUE(error);
  EXPECT_THAT(error->what(), HasSubstr("shared lock on the key 0x00fe after waiting 0 ms"));
}

TEST(StripeLocks, ATimeoutReleasesWhatWasTaken) {
  StripeLocks locks(8);
  const std::string zero = key_in(locks, 0), one = key_in(locks, 1), four = key_in(locks, 4), six = key_in(locks, 6);
  auto guard = hold(locks, {{four}});
  for (nanoseconds timeout : {kAtOnce, nanoseconds(milliseconds(5)), nanoseconds(-1)}) {
    EXPECT_EQ(code_of([&] {
                auto none = locks.acquire({{six}, {four}, {one, kShared}, {zero}}, timeout);
              }),
              ErrorCode::LockTimeout);
    for (const std::string& key : {zero, one, six}) EXPECT_TRUE(is_free(locks, {key}));
    EXPECT_FALSE(is_free(locks, {four}));
  }
  EXPECT_EQ(locks.timeouts(), 6u);
  EXPECT_EQ(locks.waiting(), 0u);
  guard.release();
  EXPECT_TRUE(is_free(locks, {four}));
}

TEST(StripeLocks, ADeadlineThatHasPassedMakesAnAttemptThatDoesNotWait) {
  StripeLocks locks(1);
  const std::vector<LockKey> key = {{"a"}};
  locks.acquire_until(key, Deadline{}).release();
  auto guard = hold(locks, {{"a"}});
  EXPECT_EQ(code_of([&] { auto none = locks.acquire_until(key, Deadline{}); }), ErrorCode::LockTimeout);
  EXPECT_EQ(code_of([&] { auto none = locks.acquire(key, kAtOnce); }), ErrorCode::LockTimeout);
  EXPECT_EQ(locks.waits(), 0u);
}

// A timeout that began anew with each stripe could not end before the first wait's time and the timeout are over. A
// slow machine can only hide that the deadline is one; then the experiment is repeated.
TEST(StripeLocks, TheTimeoutIsOneForAllStripes) {
  constexpr nanoseconds timeout = milliseconds(60);
  for (int attempt = 0; attempt < 50; ++attempt) {
    StripeLocks locks(8);
    const std::string zero = key_in(locks, 0), one = key_in(locks, 1);
    auto first = hold(locks, {{zero}});
    auto second = hold(locks, {{one}});
    std::string message;
    std::jthread thread([&] {
      auto error = error_of([&] { auto none = locks.acquire({{zero}, {one}}, timeout); });
      if (error) message = error->what();
    });
    await([&] { return locks.waiting() == 1 || locks.timeouts() == 1; });
    const Deadline waiting = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(timeout / 2);
    const nanoseconds first_wait = std::chrono::steady_clock::now() - waiting;
    first.release();
    thread.join();
    ASSERT_FALSE(message.empty());
    if (message.find(one) != std::string::npos && locks.time_waited() < first_wait + timeout) return;
  }
  FAIL() << "the second stripe was always waited for as long as the first";
}

TEST(StripeLocks, AWaiterThatGivesUpLetsThoseBehindItIn) {
  StripeLocks locks(1);
  auto reader = hold(locks, {{"a", kShared}});
  std::jthread writer([&] {
    EXPECT_EQ(code_of([&] { auto none = locks.acquire({{"a"}}, milliseconds(50)); }), ErrorCode::LockTimeout);
  });
  std::latch in(1);
  await([&] { return locks.waiting() == 1 || locks.timeouts() == 1; });
  std::jthread behind([&] {
    auto guard = locks.acquire({{"a", kShared}}, kForever);
    in.count_down();
  });
  in.wait();  // the first reader is still in
  EXPECT_FALSE(reader.empty());
}

TEST(StripeLocks, AWaiterThatGivesUpInTheMiddleOfTheQueueLeavesTheOthersTheirPlaces) {
  StripeLocks locks(1);
  auto guard = hold(locks, {{"a"}});
  std::mutex mutex;
  std::vector<int> order;
  auto note = [&](int number) {
    std::lock_guard lock(mutex);
    order.push_back(number);
  };
  std::jthread first = waiter(locks, {{"a"}}, [&] { note(1); });
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{"a"}}, milliseconds(2)); }), ErrorCode::LockTimeout);
  std::jthread second = waiter(locks, {{"a"}}, [&] { note(2); });
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{"a"}}, milliseconds(2)); }), ErrorCode::LockTimeout);
  std::jthread third = waiter(locks, {{"a"}}, [&] { note(3); });
  guard.release();
  first.join();
  second.join();
  third.join();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(StripeLocks, CountWhatWaitedAndNothingElse) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  for (int i = 0; i < 10; ++i) locks.acquire({{two}, {five}}).release();
  EXPECT_EQ(locks.waits(), 0u);
  EXPECT_EQ(locks.time_waited(), nanoseconds::zero());
  auto first = hold(locks, {{two}});
  auto second = hold(locks, {{five}});
  {
    std::jthread thread = waiter(locks, {{two}, {five}});
    first.release();
    await([&] { return !is_free(locks, {two, kShared}) && locks.waiting() == 1; });
    second.release();
  }
  EXPECT_EQ(locks.waits(), 1u);  // one acquisition, two waits
  EXPECT_GT(locks.time_waited(), nanoseconds::zero());
  const nanoseconds before = locks.time_waited();
  auto third = hold(locks, {{two}});
  const std::uint64_t timeouts = locks.timeouts();
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{two}}, milliseconds(2)); }), ErrorCode::LockTimeout);
  EXPECT_EQ(locks.waits(), 2u);
  EXPECT_EQ(locks.timeouts(), timeouts + 1);
  EXPECT_GE(locks.time_waited() - before, milliseconds(2));
}

}  // namespace
}  // namespace azoth
