// Sleeping and being woken without a lost wake-up: Signal, for the background threads, and Followers, for those who
// follow the marks.
#include "wake_signal.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "commit_state.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::in_background;
using test::rounds;

class SignalTest : public test::WritePath {
 protected:
  Signal signal_;
};

TEST_F(SignalTest, ANotificationBeforeThePauseEndsIt) {
  signal_.notify();
  signal_.pause_until(kNoDeadline);
}

TEST_F(SignalTest, ANotificationEndsOnePause) {
  signal_.notify();
  signal_.notify();
  signal_.pause_until(kNoDeadline);
  Deadline deadline = steady_clock::now() + milliseconds{2};
  signal_.pause_until(deadline);
  EXPECT_GE(steady_clock::now(), deadline);
}

TEST_F(SignalTest, ADeadlineThatHasPassedEndsThePauseAtOnce) { signal_.pause_until(Deadline{}); }

TEST_F(SignalTest, AThreadWithWorkDoesNotSleep) {
  signal_.sleep_unless([] { return true; }, kNoDeadline);
}

TEST_F(SignalTest, WorkThatComesBetweenTheLookAndTheSleepWakes) {
  bool first_look = true;
  auto look = [&] {
    // A writer publishes its work and looks whether the thread sleeps, right after the thread has looked.
    if (std::exchange(first_look, false)) signal_.notify_if_asleep();
    return false;
  };
  signal_.sleep_unless(look, kNoDeadline);
  EXPECT_FALSE(first_look);
}

TEST_F(SignalTest, ABusyThreadIsNotSignalled) {
  signal_.notify_if_asleep();
  Deadline deadline = steady_clock::now() + milliseconds{2};
  signal_.pause_until(deadline);  // a notification would end it early
  EXPECT_GE(steady_clock::now(), deadline);
}

TEST_F(SignalTest, ASleepingThreadIsWoken) {
  std::atomic<bool> looked{false};
  auto sleeper = in_background([&] {
    signal_.sleep_unless([&] { return looked.exchange(true); }, kNoDeadline);
  });
  test::await([&] { return looked.load(); });
  signal_.notify_if_asleep();
  sleeper.get();
}

TEST_F(SignalTest, NoWakeUpIsLostOverManyRounds) {
  const int kRounds = rounds(20'000, 2'000'000);
  std::atomic<int> published{0};
  std::atomic<int> seen{0};
  auto sleeper = in_background([&] {
    while (seen.load() < kRounds) {
      signal_.sleep_unless([&] { return published.load() > seen.load(); }, kNoDeadline);
      seen.store(published.load());
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    published.store(round);
    signal_.notify_if_asleep();
    if (round % 3 == 0) test::await([&] { return seen.load() == round; });  // and else run ahead
  }
  sleeper.get();
  EXPECT_EQ(seen.load(), kRounds);
}

class FollowersTest : public test::WritePath {
 protected:
  Followers followers_;
};

TEST_F(FollowersTest, WhatHasArrivedIsNotWaitedFor) {
  EXPECT_TRUE(followers_.wait_until([] { return true; }, Deadline{}));
}

TEST_F(FollowersTest, ADeadlineEndsTheWait) {
  EXPECT_FALSE(followers_.wait_until([] { return false; }, steady_clock::now() + milliseconds{1}));
  EXPECT_FALSE(followers_.wait_until([] { return false; }, Deadline{}));
}

TEST_F(FollowersTest, WhatIsAnnouncedBetweenTheLookAndTheSleepIsNotMissed) {
  int looks = 0;
  auto arrived = [&] {
    if (++looks == 1) followers_.announce();
    return looks == 2;
  };
  EXPECT_TRUE(followers_.wait_until(arrived, kNoDeadline));
}

TEST_F(FollowersTest, EveryFollowerIsWoken) {
  constexpr int kFollowers = 8;
  const int kRounds = rounds(1000, 100'000);
  std::atomic<int> mark{0};
  std::atomic<int> behind{0};
  auto follow = [&] {
    for (int seen = 0; seen < kRounds; ++seen) {
      followers_.wait_until([&] { return mark.load() > seen; }, kNoDeadline);
      behind.fetch_sub(1);
    }
  };
  std::vector<std::future<void>> threads;
  for (int i = 0; i < kFollowers; ++i) threads.push_back(in_background(follow));
  for (int round = 1; round <= kRounds; ++round) {
    behind.store(kFollowers);
    mark.store(round);
    followers_.announce();
    test::await([&] { return behind.load() == 0; });
  }
  for (auto& thread : threads) thread.get();
}

}  // namespace
}  // namespace azoth
