#include "azoth/core/clock.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "support/seed.h"

namespace azoth {
namespace {

using std::chrono::microseconds;

Timestamp at(std::int64_t micros) { return Timestamp{microseconds{micros}}; }

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kDay = 86'400 * kSecond;

TEST(Clock, TheSystemClockIsNearTheSystemsTime) {
  const auto before = std::chrono::floor<microseconds>(std::chrono::system_clock::now());
  const Timestamp now = Clock::system().now();
  const auto after = std::chrono::system_clock::now();
  EXPECT_LE(before, now);
  EXPECT_LE(now, after);
}

TEST(Clock, DeadlinesAreOnTheSteadyClock) {
  const auto before = std::chrono::steady_clock::now();
  const Deadline deadline = deadline_after(std::chrono::hours(1));
  EXPECT_GE(deadline, before + std::chrono::hours(1));
  EXPECT_LE(deadline, std::chrono::steady_clock::now() + std::chrono::hours(1));
}

TEST(Clock, ATimeoutTooLongToAddMeansNoDeadline) {
  EXPECT_EQ(deadline_after(std::chrono::nanoseconds::max()), kNoDeadline);
  EXPECT_EQ(deadline_after(std::chrono::nanoseconds::max() - std::chrono::nanoseconds(1)), kNoDeadline);
}

TEST(Clock, ANegativeTimeoutMeansNow) {
  const auto before = std::chrono::steady_clock::now();
  for (auto timeout : {std::chrono::nanoseconds::min(), std::chrono::nanoseconds(-1), std::chrono::nanoseconds(0)}) {
    const Deadline deadline = deadline_after(timeout);
    EXPECT_GE(deadline, before);
    EXPECT_LE(deadline, std::chrono::steady_clock::now());
  }
}

TEST(Time, IsFormattedAsRfc3339) {
  EXPECT_EQ(format_time(at(0)), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_time(at(1'795'253'400'123'456)), "2026-11-21T09:30:00.123456Z");
  EXPECT_EQ(format_time(at(-1)), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_time(at(951'782'400 * kSecond)), "2000-02-29T00:00:00.000000Z");
}

TEST(Time, KnownTextsAreParsed) {
  EXPECT_EQ(parse_time("1970-01-01T00:00:00Z"), at(0));
  EXPECT_EQ(parse_time("2026-11-21T09:30:00.123456Z"), at(1'795'253'400'123'456));
  EXPECT_EQ(parse_time("1985-04-12T23:20:50.52Z"), at(482'196'050'520'000));
  EXPECT_EQ(parse_time("1996-12-19t16:39:57-08:00"), at(851'042'397 * kSecond));
  EXPECT_EQ(parse_time("1937-01-01T12:00:27.87+00:20"), at(-1'041'337'172'130'000));
  EXPECT_EQ(parse_time("1969-12-31T23:59:59.999999z"), at(-1));
}

TEST(Time, OffsetsAreSubtracted) {
  EXPECT_EQ(parse_time("1970-01-01T01:30:00+01:30"), at(0));
  EXPECT_EQ(parse_time("1969-12-31T22:30:00-01:30"), at(0));
  EXPECT_EQ(parse_time("1970-01-01T00:00:00-00:00"), at(0));
  EXPECT_EQ(parse_time("1970-01-01T23:59:00+23:59"), at(0));
}

TEST(Time, FractionsAreCutToMicroseconds) {
  EXPECT_EQ(parse_time("1970-01-01T00:00:00.1Z"), at(100'000));
  EXPECT_EQ(parse_time("1970-01-01T00:00:00.000001Z"), at(1));
  EXPECT_EQ(parse_time("1970-01-01T00:00:00.0000019Z"), at(1));
  EXPECT_EQ(parse_time("1970-01-01T00:00:00.999999999Z"), at(999'999));
  EXPECT_EQ(parse_time("1970-01-01T00:00:00.1234567890Z"), std::nullopt);
}

TEST(Time, LeapYearsHaveTheirDay) {
  EXPECT_TRUE(parse_time("2024-02-29T00:00:00Z"));
  EXPECT_TRUE(parse_time("2000-02-29T00:00:00Z"));
  EXPECT_TRUE(parse_time("0000-02-29T00:00:00Z"));
  EXPECT_FALSE(parse_time("2023-02-29T00:00:00Z"));
  EXPECT_FALSE(parse_time("1900-02-29T00:00:00Z"));
  EXPECT_FALSE(parse_time("2024-02-30T00:00:00Z"));
  EXPECT_FALSE(parse_time("2024-04-31T00:00:00Z"));
}

TEST(Time, WhatIsNotATimeIsNoAnswer) {
  const std::vector<const char*> texts = {"",
                                          "2026",
                                          "2026-11-21",
                                          "2026-11-21T09:30:00",
                                          "2026-11-21 09:30:00Z",
                                          "2026-11-21T09:30Z",
                                          "2026-11-21T09:30:00.Z",
                                          "2026-11-21T09:30:00,5Z",
                                          "2026-11-21T09:30:00ZZ",
                                          "2026-11-21T09:30:00Z ",
                                          " 2026-11-21T09:30:00Z",
                                          "2026-11-21T09:30:00+1:00",
                                          "2026-11-21T09:30:00+0100",
                                          "2026-11-21T09:30:00+24:00",
                                          "2026-11-21T09:30:00+00:60",
                                          "2026-11-21T24:00:00Z",
                                          "2026-11-21T09:60:00Z",
                                          "2026-12-31T23:59:60Z",
                                          "2026-00-21T09:30:00Z",
                                          "2026-13-21T09:30:00Z",
                                          "2026-11-00T09:30:00Z",
                                          "2026-11-32T09:30:00Z",
                                          "26-11-21T09:30:00Z",
                                          "02026-11-21T09:30:00Z",
                                          "+002026-11-21T09:30:00Z",
                                          "-000000-01-01T00:00:00Z",
                                          "-2026-11-21T09:30:00Z",
                                          "2026-1-21T09:30:00Z",
                                          "2026-11-21T-9:30:00Z",
                                          "2026/11/21T09:30:00Z"};
  for (const char* text : texts) EXPECT_EQ(parse_time(text), std::nullopt) << text;
  EXPECT_EQ(parse_time(std::string_view("2026-11-21T09:30:00Z\0", 21)), std::nullopt);
}

TEST(Time, YearsThatFourDigitsCannotSayHaveASignAndSix) {
  EXPECT_EQ(format_time(*parse_time("9999-12-31T23:59:59.999999Z")), "9999-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_time(*parse_time("9999-12-31T23:59:59.999999Z") + microseconds(1)),
            "+010000-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_time(*parse_time("0000-01-01T00:00:00Z")), "0000-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_time(*parse_time("0000-01-01T00:00:00Z") - microseconds(1)), "-000001-12-31T23:59:59.999999Z");
}

TEST(Time, TheFirstAndTheLastTimestampComeBack) {
  EXPECT_EQ(format_time(Timestamp::max()), "+294247-01-10T04:00:54.775807Z");
  EXPECT_EQ(format_time(Timestamp::min()), "-290308-12-21T19:59:05.224192Z");
  EXPECT_EQ(parse_time(format_time(Timestamp::max())), Timestamp::max());
  EXPECT_EQ(parse_time(format_time(Timestamp::min())), Timestamp::min());
}

TEST(Time, TextsBeyondTheLastTimestampAreNoAnswer) {
  EXPECT_EQ(parse_time("+294247-01-10T04:00:54.775808Z"), std::nullopt);
  EXPECT_EQ(parse_time("-290308-12-21T19:59:05.224191Z"), std::nullopt);
  EXPECT_EQ(parse_time("+999999-12-31T23:59:59Z"), std::nullopt);
  EXPECT_EQ(parse_time("-999999-01-01T00:00:00Z"), std::nullopt);
}

TEST(Time, EveryDayOfFourCenturiesComesBack) {
  for (std::int64_t day = -150'000; day <= 150'000; ++day) {
    const Timestamp time = at(day * kDay + 12'345'678);
    ASSERT_EQ(parse_time(format_time(time)), time) << day;
  }
}

TEST(Time, AnyTimestampComesBack) {
  std::mt19937_64 random(test::test_seed());
  for (int i = 0; i < 50'000; ++i) {
    const Timestamp time = at(static_cast<std::int64_t>(random()) >> (random() % 20));
    ASSERT_EQ(parse_time(format_time(time)), time) << time.time_since_epoch().count();
  }
}

TEST(Time, DamagedTextsNeverCrashTheParser) {
  std::mt19937_64 random(test::test_seed());
  const std::string alphabet("0123456789+-:.TZtz \0\xFF", 22);
  for (int i = 0; i < 50'000; ++i) {
    std::string text = "2026-11-21T09:30:00.123456+01:00";
    for (auto left = 1 + random() % 3; left > 0; --left)
      text[random() % text.size()] = alphabet[random() % alphabet.size()];
    text.resize(random() % 4 == 0 ? random() % text.size() : text.size());
    if (const auto time = parse_time(text)) {
      EXPECT_EQ(parse_time(format_time(*time)), time) << text;
    }
  }
}

}  // namespace
}  // namespace azoth
