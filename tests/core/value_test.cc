#include "azoth/core/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "azoth/core/error.h"
#include "support/seed.h"

namespace azoth {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kMinI64 = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMaxI64 = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kMaxU64 = std::numeric_limits<std::uint64_t>::max();

// What the Error of a call says; fails if there is none, or one of another code.
template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(Value, IntegersAreDecimalText) {
  EXPECT_EQ(i64(0), "0");
  EXPECT_EQ(i64(-42), "-42");
  EXPECT_EQ(i64(kMinI64), "-9223372036854775808");
  EXPECT_EQ(i64(kMaxI64), "9223372036854775807");
  EXPECT_EQ(u64(0), "0");
  EXPECT_EQ(u64(kMaxU64), "18446744073709551615");
}

TEST(Value, IntegersComeBack) {
  for (std::int64_t number : {kMinI64, kMinI64 + 1, std::int64_t{-10}, std::int64_t{-1}, std::int64_t{0},
                              std::int64_t{7}, kMaxI64 - 1, kMaxI64}) {
    EXPECT_EQ(as_i64(i64(number)), number);
    EXPECT_EQ(try_i64(i64(number)), number);
  }
  for (std::uint64_t number : {std::uint64_t{0}, std::uint64_t{10}, kMaxU64 - 1, kMaxU64}) {
    EXPECT_EQ(as_u64(u64(number)), number);
    EXPECT_EQ(try_u64(u64(number)), number);
  }
}

TEST(Value, RandomIntegersComeBack) {
  std::mt19937_64 random(test::test_seed());
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t number = random() >> (random() % 64);  // of all lengths
    ASSERT_EQ(as_u64(u64(number)), number);
    const auto with_sign = static_cast<std::int64_t>(random() % 2 == 0 ? number : std::uint64_t{0} - number);
    ASSERT_EQ(as_i64(i64(with_sign)), with_sign);
  }
}

TEST(Value, OneBeyondTheRangeIsNoInteger) {
  EXPECT_EQ(try_i64("9223372036854775808"), std::nullopt);
  EXPECT_EQ(try_i64("-9223372036854775809"), std::nullopt);
  EXPECT_EQ(try_u64("18446744073709551616"), std::nullopt);
  EXPECT_EQ(try_u64("-1"), std::nullopt);
  EXPECT_EQ(try_u64("100000000000000000000000000000"), std::nullopt);
}

TEST(Value, OtherSpellingsAreNoIntegers) {
  for (std::string_view bytes : {std::string_view(""),         std::string_view("-"),
                                 std::string_view("+1"),       std::string_view("-0"),
                                 std::string_view("00"),       std::string_view("01"),
                                 std::string_view("-01"),      std::string_view(" 1"),
                                 std::string_view("1 "),       std::string_view("1\n"),
                                 std::string_view("1\0", 2),   std::string_view("--1"),
                                 std::string_view("1.0"),      std::string_view("1e3"),
                                 std::string_view("0x1"),      std::string_view("1,000"),
                                 std::string_view("abc"),      std::string_view("\xff"),
                                 std::string_view("\xd9\xa1"), std::string_view("\0\0\0\0\0\0\0\1", 8)}) {
    EXPECT_EQ(try_i64(bytes), std::nullopt) << bytes;
    EXPECT_EQ(try_u64(bytes), std::nullopt) << bytes;
    refusal([&] { as_i64(bytes); });
    refusal([&] { as_u64(bytes); });
  }
}

TEST(Value, NoRandomTextIsTakenThatIsNotTheSpellingOfItsNumber) {
  std::mt19937_64 random(test::test_seed());
  std::size_t taken = 0;
  constexpr std::string_view kCharacters = "0012789-+ .x";
  for (int i = 0; i < 100'000; ++i) {
    std::string bytes;
    for (std::size_t n = random() % 22; n-- > 0;) bytes += kCharacters[random() % kCharacters.size()];
    const auto with_sign = try_i64(bytes);
    const auto without = try_u64(bytes);
    ASSERT_EQ(with_sign ? i64(*with_sign) : bytes, bytes);
    ASSERT_EQ(without ? u64(*without) : bytes, bytes);
    taken += with_sign || without ? 1 : 0;
  }
  EXPECT_GT(taken, 1000u);
}

TEST(Value, ARefusedIntegerIsShownWithWhatWasExpected) {
  EXPECT_EQ(refusal([] { as_i64("seven"); }),
            "the value is \"seven\", but an integer from -9223372036854775808 to 9223372036854775807 was expected, as "
            "decimal digits and no more");
  EXPECT_EQ(
      refusal([] { as_u64("007"); }),
      "the value is \"007\", but an integer from 0 to 18446744073709551615 was expected, without leading zeros and "
      "without -0");
  EXPECT_THAT(refusal([] { as_i64(""); }), HasSubstr("the value is an empty value"));
  EXPECT_THAT(refusal([] { as_i64(std::string_view("\0\1", 2)); }), HasSubstr("\"0x0001\""));
  EXPECT_LT(refusal([] { as_i64(std::string(100'000, '9')); }).size(), 300u);
}

TEST(Value, TextIsUtf8) {
  for (std::string_view bytes :
       {std::string_view(""), std::string_view("gr\xC3\xBC\xC3\x9F"), std::string_view("a\0b", 3)}) {
    EXPECT_EQ(text(bytes), bytes);
    EXPECT_EQ(as_text(bytes), bytes);
  }
  EXPECT_THAT(refusal([] { text("abc\xff"); }), HasSubstr("not UTF-8 at offset 3"));
  EXPECT_THAT(refusal([] { as_text("\xed\xa0\x80"); }), HasSubstr("not UTF-8 at offset 0"));
}

TEST(Value, JsonIsItsSourceText) {
  for (std::string_view source : {"null", "true", "false", "0", "-0", "1.5e-7", "123456789012345678901234567890",
                                  "\"\"", "\"\\u00e9\\ud83d\\ude00\"", "\"gr\xC3\xBC\xC3\x9F\"", "[]", "{}",
                                  " {\"a\" : [1,\t{\"b\":null}],\r\n\"a\":2} ", "1e-400"}) {
    EXPECT_EQ(json(source), source);
    EXPECT_EQ(as_json(source), source);
  }
}

TEST(Value, WhatIsNotJsonIsRefusedWithTheOffset) {
  const std::vector<std::pair<std::string_view, std::string>> wrong{
      {"", "breaks off at offset 0"},
      {" ", "breaks off at offset 1"},
      {"{\"a\":1", "breaks off at offset 6"},
      {"[1,2", "breaks off at offset 4"},
      {"\"abc", "breaks off at offset 4"},
      {"[1,]", "not well-formed at offset 3"},
      {"{\"a\" 1}", "not well-formed at offset 5"},
      {"{a:1}", "not well-formed at offset 1"},
      {"{'a':1}", "not well-formed at offset 1"},
      {"nul", "breaks off at offset 3"},
      {"NaN", "not well-formed at offset 0"},
      {"1 2", "not well-formed at offset 2"},
      {"[1]]", "not well-formed at offset 3"},
      {"01", "not well-formed at offset 1"},
      {"+1", "not well-formed at offset 0"},
      {".5", "not well-formed at offset 0"},
      {"// x\n1", "not well-formed at offset 0"},
      {"\"\xff\"", "not well-formed at offset 1"},
      {"\"a\nb\"", "not well-formed at offset 2"},
      {"\"\\x\"", "not well-formed at offset 2"},
      {"\xEF\xBB\xBF{}", "byte order mark at offset 0"},
      {std::string_view("{}\0", 3), "not well-formed at offset 2"},
      {std::string_view("{}\0{}", 5), "not well-formed at offset 2"},
      {std::string_view("\0", 1), "not well-formed at offset 0"},
      {std::string_view("[1\0]", 4), "not well-formed at offset 2"},
      {"[1e400]", "too large for a double"},
  };
  for (const auto& [bytes, why] : wrong) {
    EXPECT_THAT(refusal([&, source = bytes] { json(source); }), HasSubstr(why)) << bytes;
    EXPECT_THAT(refusal([&, source = bytes] { as_json(source); }), HasSubstr("JSON was expected")) << bytes;
  }
}

TEST(Value, DeepNestingDoesNotOverflowTheStack) {
  constexpr std::size_t kDepth = 1'000'000;
  const std::string open(kDepth, '[');
  EXPECT_THAT(refusal([&] { json(open); }), HasSubstr("breaks off at offset 1000000"));
  const std::string whole = open + std::string(kDepth, ']');
  EXPECT_EQ(json(whole).size(), 2 * kDepth);
  std::string objects;
  for (std::size_t i = 0; i < kDepth; ++i) objects += "{\"a\":";
  EXPECT_THAT(refusal([&] { as_json(objects); }), HasSubstr("breaks off at offset 5000000"));
}

TEST(Value, TheSumIsNothingWhenItOverflows) {
  EXPECT_EQ(checked_add(2, -5), -3);
  EXPECT_EQ(checked_add(kMaxI64, kMinI64), -1);
  EXPECT_EQ(checked_add(kMaxI64, 0), kMaxI64);
  EXPECT_EQ(checked_add(kMaxI64, 1), std::nullopt);
  EXPECT_EQ(checked_add(kMinI64, -1), std::nullopt);
}

}  // namespace
}  // namespace azoth
