#include "text.h"

#include <gtest/gtest.h>

#include "json_writer.h"
#include "progress.h"

namespace azoth::cli {
namespace {

TEST(Text, EscapedIsOneLineFromWhichTheBytesCanBeTold) {
  EXPECT_EQ(escaped("plain \xc3\xa9"), "plain \xc3\xa9");
  EXPECT_EQ(escaped("a\nb\tc\rd\\e"), R"(a\nb\tc\rd\\e)");
  EXPECT_EQ(escaped(std::string_view("\0\x1b[31m\x7f\xff", 8)), R"(\x00\x1b[31m\x7f\xff)");
  EXPECT_EQ(escaped("\xc2\x9b"
                    "31m \xe2\x80\xae"),
            R"(\u{9b}31m \u{202e})");
}

TEST(Text, WhatShowsNothingIsEscapedButTheFormOfASign) {
  EXPECT_EQ(escaped("a\u00ad\u3164\u180e\U000e0041\U000e01ef"), R"(a\u{ad}\u{3164}\u{180e}\u{e0041}\u{e01ef})");
  EXPECT_EQ(escaped("\u2764\ufe0f"), "\u2764\ufe0f");
}

TEST(Text, OneLineEscapesNewlinesToo) { EXPECT_EQ(one_line("a\nb\t\\ \x1b\n"), "a\\nb\t\\ \\x1b\\n"); }

TEST(Text, TerminalSafeKeepsNewlinesAndBackslashes) {
  EXPECT_EQ(terminal_safe("a\n\tb\\ \x1b]0;x\x07"), "a\n\tb\\ \\x1b]0;x\\x07");
}

TEST(Text, TerminalSafeJsonMeansTheSame) {
  EXPECT_EQ(terminal_safe_json("{\"a\":\t\"\x7f\xc2\x9b\xe2\x80\xae\xc3\xa9\"}"),
            "{\"a\":\t\"\\u007f\\u009b\\u202e\xc3\xa9\"}");
  EXPECT_EQ(terminal_safe_json("\"\U000e0041\""), R"("\udb40\udc41")");
}

TEST(Text, NumbersAndSizesAreTakenWholeOrNotAtAll) {
  EXPECT_EQ(parse_number("010"), 10u);
  EXPECT_EQ(parse_number("18446744073709551615"), 18446744073709551615u);
  for (const char* bad : {"", "-1", "+1", "1x", " 1", "0x10", "18446744073709551616", "1e3"}) {
    EXPECT_FALSE(parse_number(bad)) << bad;
  }
  EXPECT_EQ(parse_size("512"), 512u);
  EXPECT_EQ(parse_size("64K"), 65536u);
  EXPECT_EQ(parse_size("3m"), std::uint64_t{3} << 20);
  EXPECT_EQ(parse_size("1T"), std::uint64_t{1} << 40);
  for (const char* bad : {"", "K", "1KB", "1.5M", "-1K", "18446744073709551615K"}) EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Text, NumbersForPeopleAreGrouped) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(12345678), "12,345,678");
  EXPECT_EQ(human_bytes(1023), "1023 bytes");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(std::uint64_t{1} << 40), "1.0 TiB");
}

TEST(Text, ProgressShowsRateAndTimeLeft) {
  EXPECT_EQ(Progress::text({.items = 1000, .bytes = 2048, .done = 1, .total = 4}, "lines", 2.0),
            "1,000 lines  2.0 KiB  500 lines/s  2.0 s  25 %  ETA 6 s");
  EXPECT_EQ(Progress::text({.items = 4096, .done = 4096, .total = 8192}, "bytes", 2.0),
            "4.0 KiB  2.0 KiB/s  2.0 s  50 %  ETA 2 s");
  EXPECT_EQ(Progress::text({.items = 10}, "entries", 1.0), "10 entries  10 entries/s  1.0 s");
}

TEST(JsonWriter, MembersKeepTheirOrderAndBytesTellTheirKind) {
  JsonObject object;
  object.number("n", 1).number_or_null("z", 0).boolean("b", true).bytes("key", "a\"\n\x01").bytes("value", "\xff");
  object.bytes("forced", "hi", true).decimal("seconds", 1.5).raw("list", json_strings(std::vector<std::string>{"x"}));
  EXPECT_EQ(object.finish(), R"({"n":1,"z":null,"b":true,"key":"a\"\n\u0001","value_hex":"ff","forced_hex":"6869",)"
                             R"("seconds":1.500,"list":["x"]})");
  EXPECT_EQ(object.number("again", 2).finish(), R"({"again":2})");
}

}  // namespace
}  // namespace azoth::cli
