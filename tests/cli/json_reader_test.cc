#include "json_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace azoth::cli {
namespace {

// Notes the source text of every value.
class Recorder : public JsonSink {
 public:
  explicit Recorder(std::string_view text) : text_(text) {}
  void open(JsonKind, std::size_t begin) override { begins_.push_back(begin); }
  void close(std::size_t end) override {
    values.emplace_back(text_.substr(begins_.back(), end - begins_.back()));
    begins_.pop_back();
  }
  void key(std::string& name) override { keys.push_back(name); }
  void scalar(JsonKind, std::string*, std::size_t begin, std::size_t end) override {
    values.emplace_back(text_.substr(begin, end - begin));
  }

  std::vector<std::string> values;
  std::vector<std::string> keys;

 private:
  std::string_view text_;
  std::vector<std::size_t> begins_;
};

std::vector<std::string> values_of(std::string_view text) {
  Recorder recorder(text);
  read_json(text, recorder);
  return recorder.values;
}

std::string error_of(std::string_view text) {
  Recorder recorder(text);
  try {
    read_json(text, recorder);
  } catch (const JsonError& error) {
    return error.what();
  }
  return "";
}

using Values = std::vector<std::string>;

TEST(JsonReader, EveryValueIsFoundByteForByte) {
  EXPECT_EQ(values_of(R"( {"a" : 1.0e5 , "b":[ true,null , -0],"c" :"\u00e9\/x" ,"d":{ } } )"),
            (Values{"1.0e5", "true", "null", "-0", "[ true,null , -0]", R"("\u00e9\/x")", "{ }",
                    R"({"a" : 1.0e5 , "b":[ true,null , -0],"c" :"\u00e9\/x" ,"d":{ } })"}));
  EXPECT_EQ(values_of("[1]"), (Values{"1", "[1]"}));
  EXPECT_EQ(values_of("[12,3.5E-2]"), (Values{"12", "3.5E-2", "[12,3.5E-2]"}));
  EXPECT_EQ(values_of("42"), Values{"42"});
  EXPECT_EQ(values_of(" \"x\\\"y\" "), Values{"\"x\\\"y\""});
  EXPECT_EQ(values_of("[\":\",\",\"]"), (Values{"\":\"", "\",\"", "[\":\",\",\"]"}));
}

TEST(JsonReader, AByteOrderMarkAtTheFrontIsSkipped) {
  EXPECT_EQ(values_of("\xef\xbb\xbf[7]"), (Values{"7", "[7]"}));
  EXPECT_NE(error_of("[\xef\xbb\xbf"
                     "7]"),
            "");
}

TEST(JsonReader, WhatIsNotStrictJsonIsRefused) {
  for (std::string_view bad : {"",
                               " ",
                               "{",
                               "{}}",
                               "{} {}",
                               "[1,]",
                               "{\"a\":}",
                               "{\"a\" 1}",
                               "{a:1}",
                               "[01]",
                               "[+1]",
                               "[.5]",
                               "[1.]",
                               "[NaN]",
                               "'x'",
                               "[\"\n\"]",
                               "[\"\t\"]",
                               "// c\n1",
                               "[1] // c",
                               "tru",
                               "[\"\\x\"]",
                               "[\"\\ud800\"]",
                               "[\"\xff\"]",
                               "[\"\xc0\xaf\"]",
                               "[\"\xed\xa0\x80\"]",
                               "[1e400]",
                               "nul",
                               "\"abc"}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
}

TEST(JsonReader, NothingHidesBehindAZeroByte) {
  using namespace std::string_view_literals;
  EXPECT_EQ(error_of("{}\0garbage"sv), "invalid JSON at byte 3: a zero byte");
  EXPECT_NE(error_of("[1\0,2]"sv), "");
}

TEST(JsonReader, AMemberThatOccursTwiceIsRefusedAtAnyDepth) {
  EXPECT_EQ(error_of(R"({"a":1,"a":2})"), R"(the member "a" occurs twice in one object (byte 10))");
  EXPECT_NE(error_of(R"([{"x":{"b":1,"c":2,"\u0062":3}}])"), "");
  EXPECT_EQ(error_of(R"([{"a":1},{"a":{"a":1}}])"), "");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_EQ(error_of(many + "\"last\":0}"), "");
  EXPECT_NE(error_of(many + "\"k3\":0}"), "");
  EXPECT_NE(error_of(many + "\"k99\":0}"), "");
}

TEST(JsonReader, NestingIsBounded) {
  auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(error_of(nested(1000)), "");
  EXPECT_EQ(error_of(nested(1001)), "nested deeper than 1000 levels (byte 1001)");
  EXPECT_NE(error_of(std::string(5'000'000, '[')), "");
}

TEST(JsonReader, MessagesAreShortHoweverLongTheText) {
  EXPECT_LT(error_of('"' + std::string(1'000'000, 'x')).size(), 300u);
}

TEST(JsonReader, ShapeTellsWhatCanBeKeptAsItIs) {
  EXPECT_TRUE(inspect_json("{\"a\": 1}").one_line);
  EXPECT_TRUE(inspect_json("{\"a\": 1}").object);
  EXPECT_TRUE(inspect_json("\"text\"").one_line);
  EXPECT_FALSE(inspect_json("\"text\"").object);
  EXPECT_TRUE(inspect_json("1.50").one_line);
  for (std::string_view other : {"", " {}", "{} ", "{\n}", "{\r}", "\xef\xbb\xbf{}", "{", "1 2", "{\"a\":1,\"a\":1}"}) {
    EXPECT_FALSE(inspect_json(other).one_line) << other;
    EXPECT_FALSE(inspect_json(other).object) << other;
  }
}

TEST(JsonReader, ShapeFindsObjectsWhoseOnlyMemberIsHex) {
  EXPECT_TRUE(inspect_json(R"({"hex":"00"})").only_hex);
  EXPECT_TRUE(inspect_json(R"({"h\u0065x":{"a":1}})").only_hex);
  for (std::string_view other : {R"({"hex":"00","a":1})", R"({"a":1,"hex":"00"})", "{}", R"(["hex"])",
                                 R"({"a":{"hex":1}})", R"([{"hex":"00"}])"}) {
    EXPECT_TRUE(inspect_json(other).one_line) << other;
    EXPECT_FALSE(inspect_json(other).only_hex) << other;
  }
}

}  // namespace
}  // namespace azoth::cli
