#include "azoth/core/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "azoth/core/bytes.h"

namespace azoth {
namespace {

TEST(Utf8, IsTakenStrictly) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("abc \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf"));
  EXPECT_TRUE(is_utf8(std::string_view("\0", 1)));
  for (std::string_view bad :
       {"\x80", "\xc3", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82",
        "\xe2\x82"
        "a",
        "a\xf0\x9f\x98"}) {
    EXPECT_FALSE(is_utf8(bad)) << to_hex(bad);
  }
}

// The encoding as the standard draws it, bits from left to right.
std::string encoded(char32_t code) {
  auto tail = [&](unsigned shift) { return static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xc0 | (code >> 6)), tail(0)};
  if (code < 0x10000) return {static_cast<char>(0xe0 | (code >> 12)), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | (code >> 18)), tail(12), tail(6), tail(0)};
}

TEST(Utf8, EveryCharacterIsReadAndNoSurrogateIs) {
  for (char32_t code = 0; code < 0x110100; ++code) {
    const std::string bytes = encoded(code);
    char32_t read = 0;
    const bool character = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    ASSERT_EQ(utf8_sequence(bytes + "x", read), character ? bytes.size() : 0) << std::hex << std::uint32_t{code};
    if (character) {
      ASSERT_EQ(read, code);
    }
  }
}

TEST(Utf8, ThePrefixEndsAtTheFirstByteThatDoesNotBelong) {
  EXPECT_EQ(utf8_prefix(""), 0u);
  EXPECT_EQ(utf8_prefix("abc"), 3u);
  EXPECT_EQ(utf8_prefix("a\xc3\xa9\xff"), 3u);
  EXPECT_EQ(utf8_prefix("a\xc3\xa9\xe2\x82"), 3u);
}

}  // namespace
}  // namespace azoth
