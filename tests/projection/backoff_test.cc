#include <gtest/gtest.h>

#include "azoth/projection/projection.h"

namespace azoth {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(Backoff, GrowsByItsFactorUpToItsMaximum) {
  Backoff backoff{.initial = seconds{1}, .factor = 2, .max = seconds{60}, .jitter = 0};
  EXPECT_EQ(backoff.delay(1, 0.5), seconds{1});
  EXPECT_EQ(backoff.delay(2, 0.5), seconds{2});
  EXPECT_EQ(backoff.delay(3, 0.5), seconds{4});
  EXPECT_EQ(backoff.delay(4, 0.5), seconds{8});
  EXPECT_EQ(backoff.delay(7, 0.5), seconds{60});
}

TEST(Backoff, NoNumberOfFailuresMakesItShort) {
  Backoff backoff{.initial = seconds{1}, .factor = 2, .max = seconds{60}, .jitter = 0};
  for (std::uint32_t failures : {32u, 33u, 63u, 64u, 65u, 1'000'000u, 4'000'000'000u}) {
    EXPECT_EQ(backoff.delay(failures, 0), seconds{60}) << failures;
  }
}

TEST(Backoff, AFactorOfOneIsConstant) {
  Backoff backoff{.initial = seconds{10}, .factor = 1, .max = seconds{60}, .jitter = 0};
  EXPECT_EQ(backoff.delay(1, 0), seconds{10});
  EXPECT_EQ(backoff.delay(100, 0), seconds{10});
}

TEST(Backoff, JitterTakesAwayAtMostItsPart) {
  Backoff backoff{.initial = seconds{10}, .factor = 2, .max = seconds{60}, .jitter = 0.5};
  EXPECT_EQ(backoff.delay(1, 0), seconds{10});
  EXPECT_EQ(backoff.delay(1, 0.5), std::chrono::milliseconds{7500});
  EXPECT_EQ(backoff.delay(3, 0.5), seconds{30});
}

TEST(Backoff, NoWaitStaysNone) {
  for (std::uint32_t failures : {1u, 1024u, 1025u, 5000u, 4'000'000'000u}) {
    EXPECT_EQ((Backoff{.initial = nanoseconds{0}, .jitter = 0}.delay(failures, 0)), nanoseconds{0}) << failures;
    EXPECT_EQ((Backoff{.initial = nanoseconds{0}}.delay(failures, 0.5)), nanoseconds{0}) << failures;
  }
}

TEST(Backoff, TheLongestIsWaited) {
  for (nanoseconds most : {nanoseconds::max(), nanoseconds::max() - nanoseconds{1}}) {
    for (double jitter : {0.0, 1e-18, 1.0}) {
      Backoff backoff{.initial = seconds{1}, .factor = 10, .max = most, .jitter = jitter};
      EXPECT_EQ(backoff.delay(5000, 0), most);
      EXPECT_GE(backoff.delay(5000, 0.5), nanoseconds{most.count() / 2});
    }
  }
}

}  // namespace
}  // namespace azoth
