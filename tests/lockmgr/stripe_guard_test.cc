#include "azoth/lockmgr/stripe_locks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "stripe_testing.h"

namespace azoth {
namespace {

using test::code_of;
using test::held;
using test::hold;
using test::is_free;
using test::kAtOnce;
using test::kExclusive;
using test::key_in;
using test::kForever;
using test::kShared;
using testing::ElementsAre;

TEST(StripeGuard, ReleasesOnceWhateverIsDoneWithIt) {
  static_assert(!std::is_copy_constructible_v<StripeGuard> && !std::is_copy_assignable_v<StripeGuard>);
  static_assert(std::is_nothrow_move_constructible_v<StripeGuard> && std::is_nothrow_move_assignable_v<StripeGuard>);
  static_assert(noexcept(std::declval<StripeGuard&>().release()));
  StripeLocks locks(1);
  auto reader = hold(locks, {{"a", kShared}});
  auto guard = hold(locks, {{"a", kShared}});
  guard.release();
  guard.release();  // must not take the other reader's share away
  EXPECT_TRUE(guard.empty());
  EXPECT_FALSE(is_free(locks, {"a"}));
  reader.release();
  EXPECT_TRUE(is_free(locks, {"a"}));
  { auto scoped = hold(locks, {{"a"}}); }
  EXPECT_TRUE(is_free(locks, {"a"}));
}

TEST(StripeGuard, MovedItHoldsTheSameAndTheOldOneNothing) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  auto guard = hold(locks, {{two}, {five, kShared}});
  StripeGuard moved = std::move(guard);
  EXPECT_TRUE(guard.empty());  // NOLINT: what is tested
  guard.release();
  EXPECT_THAT(held(moved), ElementsAre(HeldStripe{2, kExclusive}, HeldStripe{5, kShared}));
  EXPECT_FALSE(is_free(locks, {two, kShared}));
  EXPECT_TRUE(is_free(locks, {five, kShared}));
  EXPECT_FALSE(is_free(locks, {five}));
}

TEST(StripeGuard, AssignedItReleasesWhatItHeldBefore) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  auto guard = hold(locks, {{two}});
  guard = hold(locks, {{five}});
  EXPECT_TRUE(is_free(locks, {two}));
  EXPECT_FALSE(is_free(locks, {five}));
  StripeGuard& same = guard;
  guard = std::move(same);
  EXPECT_FALSE(is_free(locks, {five}));
  guard = StripeGuard();
  EXPECT_TRUE(is_free(locks, {five}));
}

TEST(StripeLocks, AcquiringWithAGuardInHandIsNestedUse) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  auto guard = locks.acquire({{two, kShared}});
  for (const std::string& key : {two, five}) {  // with no deadline: it must not wait
    EXPECT_EQ(code_of([&] { auto none = locks.acquire({{key}}, kForever); }), ErrorCode::NestedUse);
    EXPECT_EQ(code_of([&] { auto none = locks.acquire({{key, kShared}}, kForever); }), ErrorCode::NestedUse);
  }
  EXPECT_THAT(held(guard), ElementsAre(HeldStripe{2, kShared}));
  guard.release();
  EXPECT_TRUE(is_free(locks, {five}));
  EXPECT_TRUE(is_free(locks, {two}));
}

TEST(StripeLocks, AFailedAcquisitionLeavesNoMarkOnItsThread) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  auto other = hold(locks, {{five}});
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{two}, {five}}, kAtOnce); }), ErrorCode::LockTimeout);
  EXPECT_TRUE(is_free(locks, {two}));
}

TEST(StripeLocks, OtherLocksOfTheSameThreadAreNotNested) {
  StripeLocks locks(1), others(1);
  auto guard = locks.acquire({{"a"}});
  EXPECT_TRUE(is_free(others, {"a"}));
}

TEST(StripeGuard, MovedWithinItsThreadItStillCounts) {
  StripeLocks locks(8);
  auto guard = locks.acquire({{"a"}});
  StripeGuard moved = std::move(guard);
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{"b"}}); }), ErrorCode::NestedUse);
  guard = std::move(moved);
  moved.release();
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{"b"}}); }), ErrorCode::NestedUse);
  guard.release();
  EXPECT_TRUE(is_free(locks, {"b"}));
}

TEST(StripeGuard, MovedByAnotherThreadItCountsForThatOne) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  StripeGuard sent = locks.acquire({{two}});
  std::latch received(1), done(1);
  std::jthread receiver([&] {
    StripeGuard guard = std::move(sent);
    EXPECT_EQ(code_of([&] { auto none = locks.acquire({{five}}, kForever); }), ErrorCode::NestedUse);
    received.count_down();
    done.wait();
  });
  received.wait();
  EXPECT_TRUE(is_free(locks, {five}));
  EXPECT_FALSE(is_free(locks, {two}));
  done.count_down();
}

TEST(StripeGuard, ReleasedByAnotherThreadItCountsNoLonger) {
  StripeLocks locks(8);
  StripeGuard guard = locks.acquire({{"a"}});
  std::jthread([&] { guard.release(); }).join();
  EXPECT_TRUE(is_free(locks, {"a"}));
  auto heap = std::make_unique<StripeGuard>(locks.acquire({{"a"}}));
  std::jthread([&] { heap.reset(); }).join();
  EXPECT_TRUE(is_free(locks, {"a"}));
}

TEST(StripeGuard, DetachedItCountsForNobodyUntilItIsAdopted) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  StripeGuard guard = locks.acquire({{two}});
  guard.detach();
  StripeGuard moved = std::move(guard);  // still for nobody
  EXPECT_TRUE(is_free(locks, {five}));
  EXPECT_FALSE(is_free(locks, {two}));
  std::jthread([&] {
    moved.adopt();
    moved.adopt();
    EXPECT_EQ(code_of([&] { auto none = locks.acquire({{five}}, kForever); }), ErrorCode::NestedUse);
  }).join();
  EXPECT_TRUE(is_free(locks, {five}));  // the guard is that thread's, though it has ended
  moved.release();
  EXPECT_TRUE(is_free(locks, {two}));
}

TEST(StripeGuard, IsNotAdoptedByAThreadThatHoldsAnother) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  StripeGuard one = hold(locks, {{two}});
  StripeGuard other = locks.acquire({{five}});
  EXPECT_EQ(code_of([&] { one.adopt(); }), ErrorCode::NestedUse);
  EXPECT_FALSE(one.empty());
  other.release();
  EXPECT_TRUE(is_free(locks, {five}));  // it stayed detached
  one.adopt();
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{five}}); }), ErrorCode::NestedUse);
}

TEST(StripeGuard, OfAThreadThatHasEndedCountsForNoNewThread) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5);
  std::optional<StripeGuard> guard;
  std::jthread([&] { guard.emplace(locks.acquire({{two}})); }).join();
  for (int i = 0; i < 100; ++i) {
    std::jthread([&] { EXPECT_TRUE(is_free(locks, {five})); }).join();
  }
  EXPECT_FALSE(is_free(locks, {two}));
  guard.reset();
  EXPECT_TRUE(is_free(locks, {two}));
}

TEST(StripeGuard, TwoThatOneThreadReceivedBothCount) {
  StripeLocks locks(8);
  const std::string two = key_in(locks, 2), five = key_in(locks, 5), six = key_in(locks, 6);
  auto one = std::async(std::launch::async, [&] { return locks.acquire({{two}}); }).get();
  auto other = std::async(std::launch::async, [&] { return locks.acquire({{five}}); }).get();
  StripeGuard mine = std::move(one), also = std::move(other);
  mine.release();
  EXPECT_EQ(code_of([&] { auto none = locks.acquire({{six}}); }), ErrorCode::NestedUse);
  also.release();
  EXPECT_TRUE(is_free(locks, {six}));
}

}  // namespace
}  // namespace azoth
