#include "azoth/core/bytes.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "support/seed.h"

namespace azoth {
namespace {

TEST(Bytes, AViewIsMadeFromTextAndFromBytes) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(BytesView(text).view(), text);
  EXPECT_EQ(BytesView("ab").size(), 2u);
  EXPECT_EQ(BytesView(as_bytes(text)).view(), text);
  EXPECT_EQ(BytesView(as_bytes(text)).data(), text.data());
  EXPECT_TRUE(BytesView().empty());
}

TEST(Bytes, ViewsCompareAsUnsignedBytes) {
  EXPECT_LT(BytesView("\x7F").view(), BytesView("\x80").view());
  EXPECT_LT(BytesView("a").view(), BytesView("a\xFF").view());
}

TEST(Bytes, HexOfEveryByteComesBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const std::string hex = to_hex(all);
  EXPECT_EQ(hex.substr(0, 8), "00010203");
  EXPECT_EQ(hex.substr(hex.size() - 4), "feff");
  EXPECT_EQ(from_hex(hex), all);
  EXPECT_EQ(from_hex(""), "");
}

TEST(Bytes, HexIsReadInEitherCase) { EXPECT_EQ(from_hex("aBcDeF"), "\xAB\xCD\xEF"); }

TEST(Bytes, HexOfOddLengthOrWithForeignCharactersIsNoAnswer) {
  for (const char* text : {"0", "abc", "0g", "g0", " 0", "0x00", "00 ", "-1", "\xC3\xA4"}) {
    EXPECT_EQ(from_hex(text), std::nullopt) << text;
  }
}

TEST(Bytes, PrintableTextStaysAsItIs) {
  EXPECT_EQ(printable("balance/alice"), "balance/alice");
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x9C\x94"),
            "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x9C\x94");
}

TEST(Bytes, WhatIsNotPrintableBecomesHex) {
  EXPECT_EQ(printable(std::string_view("\0", 1)), "0x00");
  EXPECT_EQ(printable("a\nb"), "0x610a62");
  EXPECT_EQ(printable("\x7F"), "0x7f");
}

TEST(Bytes, MalformedOrDeceptiveUtf8BecomesHex) {
  for (const char* bytes : {"\x80",              // a continuation without a lead
                            "\xC3",              // cut
                            "\xC0\x80",          // overlong
                            "\xE0\x80\x80",      // overlong
                            "\xED\xA0\x80",      // a surrogate
                            "\xF4\x90\x80\x80",  // beyond the last code point
                            "\xC2\x9B",          // a control character of terminals
                            "\xE2\x80\xAE",      // turns the direction of writing
                            "\xFF"}) {
    EXPECT_EQ(printable(bytes), "0x" + to_hex(bytes));
  }
}

TEST(Bytes, LongKeysAreShortenedAtACharacterAndTellTheirLength) {
  EXPECT_EQ(printable(std::string(80, 'a')), std::string(80, 'a'));
  EXPECT_EQ(printable(std::string(81, 'a')), std::string(80, 'a') + "... (81 bytes)");
  std::string umlauts = "x";
  for (int i = 0; i < 100; ++i) umlauts += "\xC3\xA4";
  EXPECT_EQ(printable(umlauts), umlauts.substr(0, 79) + "... (201 bytes)");
  EXPECT_EQ(printable(std::string(33, '\x01')), "0x" + to_hex(std::string(32, '\x01')) + "... (33 bytes)");
}

TEST(Bytes, TheEndOfAPrefixIsItsSuccessor) {
  EXPECT_EQ(prefix_end("a"), "b");
  EXPECT_EQ(prefix_end("balance/"), "balance0");
  EXPECT_EQ(prefix_end("\x7F"), "\x80");
}

TEST(Bytes, TheEndOfAPrefixDropsTrailingFFs) {
  EXPECT_EQ(prefix_end("a\xFF"), "b");
  EXPECT_EQ(prefix_end("a\xFF\xFF\xFF"), "b");
  EXPECT_EQ(prefix_end("\xFE\xFF"), "\xFF");
  EXPECT_EQ(prefix_end("\xFF\x01\xFF"), "\xFF\x02");
  EXPECT_EQ(prefix_end(std::string_view("\0", 1)), "\x01");
}

TEST(Bytes, APrefixWithoutABoundHasNoEnd) {
  EXPECT_EQ(prefix_end(""), std::nullopt);
  EXPECT_EQ(prefix_end("\xFF"), std::nullopt);
  EXPECT_EQ(prefix_end(std::string(511, '\xFF')), std::nullopt);
}

TEST(Bytes, TheEndOfAPrefixDividesKeysWithItFromGreaterOnes) {
  std::mt19937_64 random(test::test_seed());
  const auto bytes = [&] {  // few different ones, so that prefixes are common
    std::string result;
    for (auto left = random() % 5; left > 0; --left) result.push_back("\x00\x01\x7F\xFE\xFF"[random() % 5]);
    return result;
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::string prefix = bytes();
    const std::string key = bytes();
    const auto end = prefix_end(prefix);
    const bool in_range = key >= prefix && (!end || key < *end);
    EXPECT_EQ(in_range, key.starts_with(prefix)) << to_hex(prefix) << ' ' << to_hex(key);
  }
}

TEST(Uuid, RandomOnesDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(Uuid::random().text());
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(Uuid, TextComesBack) {
  const Uuid uuid = Uuid::random();
  EXPECT_EQ(uuid.text().size(), 32u);
  EXPECT_EQ(Uuid::parse(uuid.text()), uuid);
  EXPECT_EQ(uuid.view().size(), 16u);
  EXPECT_EQ(to_hex(uuid.view()), uuid.text());
}

TEST(Uuid, OnlyThirtyTwoHexDigitsAreOne) {
  EXPECT_EQ(Uuid::parse(""), std::nullopt);
  EXPECT_EQ(Uuid::parse(std::string(31, '0')), std::nullopt);
  EXPECT_EQ(Uuid::parse(std::string(34, '0')), std::nullopt);
  EXPECT_EQ(Uuid::parse(std::string(31, '0') + "g"), std::nullopt);
  EXPECT_EQ(Uuid::parse(std::string(32, '0')), Uuid{});
}

}  // namespace
}  // namespace azoth
