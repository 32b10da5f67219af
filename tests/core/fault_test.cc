#include "azoth/core/fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <thread>

namespace azoth::fault {
namespace {

using testing::ElementsAre;

class Fault : public testing::Test {
 protected:
  Fault() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  ~Fault() override {
    disarm_all();
    record(false);
  }
};

std::vector<int> hits(const char* name, int count) {
  std::vector<int> results;
  for (int i = 0; i < count; ++i) results.push_back(AZOTH_FAULT(name));
  return results;
}

TEST_F(Fault, APointPassesWhileNothingIsArmed) {
  EXPECT_FALSE(internal::active);
  EXPECT_EQ(AZOTH_FAULT("test.point"), 0);
}

TEST_F(Fault, AnArmedPointFailsOnce) {
  arm("test.point", {.fail_with = EIO});
  EXPECT_THAT(hits("test.point", 3), ElementsAre(EIO, 0, 0));
}

TEST_F(Fault, OtherPointsPass) {
  arm("test.point", {.fail_with = EIO});
  EXPECT_EQ(AZOTH_FAULT("test.points"), 0);
  EXPECT_EQ(AZOTH_FAULT("test.poin"), 0);
  EXPECT_EQ(AZOTH_FAULT("test.point"), EIO);
}

TEST_F(Fault, SkipLetsTheFirstHitsPass) {
  arm("test.point", {.fail_with = EIO, .skip = 2});
  EXPECT_THAT(hits("test.point", 4), ElementsAre(0, 0, EIO, 0));
}

TEST_F(Fault, TimesSaysHowManyHitsAreAffected) {
  arm("test.point", {.fail_with = EIO, .skip = 1, .times = 2});
  EXPECT_THAT(hits("test.point", 5), ElementsAre(0, EIO, EIO, 0, 0));
  arm("test.point", {.fail_with = ENOSPC, .times = -1});
  EXPECT_THAT(hits("test.point", 4), ElementsAre(ENOSPC, ENOSPC, ENOSPC, ENOSPC));
}

TEST_F(Fault, DisarmingEndsIt) {
  arm("a", {.fail_with = EIO, .times = -1});
  arm("b", {.fail_with = EIO, .times = -1});
  disarm("a");
  disarm("never armed");
  EXPECT_EQ(AZOTH_FAULT("a"), 0);
  EXPECT_EQ(AZOTH_FAULT("b"), EIO);
  disarm_all();
  EXPECT_EQ(AZOTH_FAULT("b"), 0);
  EXPECT_FALSE(internal::active);
}

TEST_F(Fault, AScopeArmsAndDisarms) {
  {
    const Armed armed("test.point", {.fail_with = EIO, .times = -1});
    EXPECT_EQ(AZOTH_FAULT("test.point"), EIO);
  }
  EXPECT_EQ(AZOTH_FAULT("test.point"), 0);
  EXPECT_FALSE(internal::active);
}

TEST_F(Fault, RunIsCalledForEachAffectedHitAndThenThePointFails) {
  int calls = 0;
  arm("test.point", {.fail_with = EIO, .run = [&] { ++calls; }, .skip = 1, .times = 2});
  EXPECT_THAT(hits("test.point", 5), ElementsAre(0, EIO, EIO, 0, 0));
  EXPECT_EQ(calls, 2);
}

TEST_F(Fault, RunKeepsItsOwnState) {
  int last = 0;
  arm("test.point", {.run = [n = 0, &last]() mutable { last = ++n; }, .times = -1});
  hits("test.point", 3);
  EXPECT_EQ(last, 3);
}

TEST_F(Fault, WhatRunThrowsComesOut) {
  arm("test.point", {.run = [] { throw std::runtime_error("thrown"); }});
  EXPECT_THROW(AZOTH_FAULT("test.point"), std::runtime_error);
}

TEST_F(Fault, RunMayUseTheRegistry) {
  arm("test.point", {.run = [] {
        EXPECT_EQ(AZOTH_FAULT("other"), 0);
        disarm("test.point");
        arm("other", {.fail_with = EIO});
      }});
  EXPECT_EQ(AZOTH_FAULT("test.point"), 0);
  EXPECT_EQ(AZOTH_FAULT("other"), EIO);
}

TEST_F(Fault, ABlockedPointBlocksNoOther) {
  std::promise<void> reached_it;
  std::promise<void> go_on;
  arm("test.point", {.fail_with = EIO, .run = [&] {
                       reached_it.set_value();
                       go_on.get_future().wait();
                     }});
  int result = 0;
  std::thread blocked([&] { result = AZOTH_FAULT("test.point"); });
  reached_it.get_future().wait();
  arm("other", {.fail_with = ENOSPC});
  EXPECT_EQ(AZOTH_FAULT("other"), ENOSPC);
  disarm("test.point");
  go_on.set_value();
  blocked.join();
  EXPECT_EQ(result, EIO);
}

TEST_F(Fault, RecordingRemembersEveryPointThatIsReached) {
  record(true);
  hits("b", 2);
  hits("a", 1);
  record(false);
  hits("c", 1);
  EXPECT_THAT(reached(), ElementsAre("a", "b"));
  record(true);
  EXPECT_THAT(reached(), ElementsAre());
}

TEST_F(Fault, APointIsKnownWhileArmedToo) {
  record(true);
  record(false);
  arm("a", {.fail_with = EIO});
  hits("a", 1);
  hits("b", 1);
  EXPECT_THAT(reached(), ElementsAre("a", "b"));
}

TEST_F(Fault, KillEndsTheProcessAsKillNineDoes) {
  EXPECT_EXIT(
      {
        arm("test.point", {.kill = true, .skip = 1});
        if (AZOTH_FAULT("test.point") != 0) std::_Exit(1);
        AZOTH_FAULT("test.point");
        std::_Exit(2);
      },
      testing::KilledBySignal(SIGKILL), "");
}

TEST_F(Fault, RunComesBeforeTheKill) {
  EXPECT_EXIT(
      {
        arm("test.point", {.kill = true, .run = [] { std::fputs("last words", stderr); }});
        AZOTH_FAULT("test.point");
        std::_Exit(2);
      },
      testing::KilledBySignal(SIGKILL), "last words");
}

TEST_F(Fault, ManyThreadsHitExactlyAsOftenAsAsked) {
  constexpr int kThreads = 4;
  constexpr int kHits = 500;
  arm("test.point", {.fail_with = EIO, .skip = 100, .times = 700});
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kHits; ++n) failed += AZOTH_FAULT("test.point") != 0 ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 700);
}

}  // namespace
}  // namespace azoth::fault
