#include "line_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "azoth/core/clock.h"
#include "azoth/core/error.h"
#include "json_reader.h"

namespace azoth::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::string error_of(std::string_view line) {
  try {
    (void)parse_line(line);
  } catch (const JsonError& error) {
    return error.what();
  }
  return "";
}

std::string payload_of(const std::string& payload) {
  std::string line = R"({"events":[{"type":"t","payload":)" + payload + "}]}";
  TransactionLine transaction = parse_line(line);
  return std::string(transaction.events.at(0).payload.view());
}

TEST(LineParser, TakesEveryMember) {
  std::string line =
      R"({"events":[{"type":"t","tags":["a:b","c"],"payload":{"n": 1},"metadata":{"by":"x"},"time":"2026-11-21T09:30:00Z"}],)"
      R"("put":{"k":"v","e":""},"put_hex":{"00ff":{"hex":"0102"}},"del":["d"],"del_hex":["0a"],)"
      R"("require":{"k":"old","gone":null,"b":{"hex":"ff"}},"require_hex":{"01":null}})";
  TransactionLine transaction = parse_line(line);
  EXPECT_THAT(transaction.puts, ElementsAre(Pair("k", "v"), Pair("e", ""), Pair(std::string("\0\xff", 2), "\x01\x02")));
  EXPECT_THAT(transaction.dels, ElementsAre("d", "\n"));
  ASSERT_EQ(transaction.requirements.size(), 4u);
  EXPECT_EQ(transaction.requirements[0].key, "k");
  EXPECT_EQ(transaction.requirements[0].value, "old");
  EXPECT_EQ(transaction.requirements[1].key, "gone");
  EXPECT_EQ(transaction.requirements[1].value, std::nullopt);
  EXPECT_EQ(transaction.requirements[2].value, "\xff");
  EXPECT_EQ(transaction.requirements[3].key, "\x01");
  ASSERT_EQ(transaction.events.size(), 1u);
  const LineEvent& event = transaction.events[0];
  EXPECT_EQ(event.type, "t");
  EXPECT_THAT(event.tags, ElementsAre("a:b", "c"));
  EXPECT_EQ(event.payload.view(), R"({"n": 1})");
  EXPECT_EQ(event.metadata.view(), R"({"by":"x"})");
  EXPECT_EQ(event.time, parse_time("2026-11-21T09:30:00Z"));
}

TEST(LineParser, TakesConditionsOnEventsAndACommand) {
  TransactionLine line = parse_line(
      R"({"command":"request-1","expect":{"a=b":17,"n":"none","e":"exists","\u0061ny":"any"},"expect_hex":{"ff":1},)"
      R"("if_none":[{"tags":["x:y",{"hex":"fe"}]},{"after":18446744073709551615,"tags":["t"],"types":["u",{"hex":"76"}]}]})");
  EXPECT_EQ(line.command, "request-1");
  ASSERT_EQ(line.expectations.size(), 5u);
  EXPECT_EQ(line.expectations[0].tag, "a=b");
  EXPECT_EQ(line.expectations[0].version.text(), "exactly 17");
  EXPECT_EQ(line.expectations[1].version.text(), "none");
  EXPECT_EQ(line.expectations[2].version.text(), "exists");
  EXPECT_EQ(line.expectations[3].tag, "any");
  EXPECT_EQ(line.expectations[3].version.text(), "any");
  EXPECT_EQ(line.expectations[4].tag, "\xff");
  ASSERT_EQ(line.no_events.size(), 2u);
  EXPECT_THAT(line.no_events[0].pattern.tags, ElementsAre("x:y", "\xfe"));
  EXPECT_THAT(line.no_events[0].pattern.types, ElementsAre());
  EXPECT_EQ(line.no_events[0].after, 0u);
  EXPECT_THAT(line.no_events[1].pattern.tags, ElementsAre("t"));
  EXPECT_THAT(line.no_events[1].pattern.types, ElementsAre("u", "v"));
  EXPECT_EQ(line.no_events[1].after, 18446744073709551615u);
}

TEST(LineParser, EachConditionIsOneOfItsOwn) {
  std::vector<Condition> conditions = conditions_of(parse_line(
      R"({"expect":{"a":3},"require":{"k":null},"if_none":[{"tags":["x"],"after":7},{"tags":["y"],"types":[]}]})"));
  ASSERT_EQ(conditions.size(), 4u);
  EXPECT_EQ(std::get<Condition::OnKey>(conditions[0].kind()).key, "k");
  const auto& first = std::get<Condition::NoEvent>(conditions[1].kind());
  ASSERT_EQ(first.patterns.size(), 1u);
  EXPECT_THAT(first.patterns[0].tags, ElementsAre("x"));
  EXPECT_EQ(first.after, 7u);
  EXPECT_THAT(std::get<Condition::NoEvent>(conditions[2].kind()).patterns[0].tags, ElementsAre("y"));
  EXPECT_EQ(std::get<Condition::OnTag>(conditions[3].kind()).tag, "a");
}

TEST(LineParser, AfterIfNoneTheLineGoesOn) {
  TransactionLine line = parse_line(
      R"({"if_none":{"tags":["x"]},"put":{"k":"v"},"command":{"hex":"00ff"},"events":[{"type":"t","tags":["x"]}]})");
  ASSERT_EQ(line.no_events.size(), 1u);
  EXPECT_THAT(line.puts, ElementsAre(Pair("k", "v")));
  EXPECT_EQ(line.command, std::string("\0\xff", 2));
  EXPECT_EQ(line.events.at(0).type, "t");
  EXPECT_EQ(parse_line(R"({"if_none":[],"put":{"k":"v"}})").puts.size(), 1u);
}

TEST(LineParser, AnEmptyObjectIsAnEmptyTransaction) {
  TransactionLine transaction = parse_line("{}");
  EXPECT_TRUE(write_set_of(transaction).empty());
  EXPECT_TRUE(conditions_of(transaction).empty());
  EXPECT_TRUE(write_set_of(parse_line(R"({"put":{},"del":[],"events":[],"require":{}})")).empty());
}

TEST(LineParser, PayloadsAreKeptByteForByte) {
  for (const char* payload :
       {R"({"a": 1.0e5,  "b":"\u00e9\/" })", "1.0", "-0", "1e5", R"("text \" with quotes")", "null", "true",
        "[ 1 , 2 ]", "{ }", R"({"hex":5})", R"({"hex":"00","more":1})", R"({"a":{"hex":"00"}})", R"([{"hex":"00"}])",
        R"({"hex":{"hex":"00"}})", "{\t\"x\" :\t[{},[]]\r}", "12345678901234567890123"}) {
    EXPECT_EQ(payload_of(payload), payload);
  }
  EXPECT_EQ(payload_of("  {\"a\":1}  "), "{\"a\":1}");
  EXPECT_EQ(payload_of("  7  "), "7");
}

TEST(LineParser, AnObjectWithOnlyHexIsBytes) {
  EXPECT_EQ(payload_of(R"({"hex":"00fF"})"), std::string("\0\xff", 2));
  EXPECT_EQ(payload_of(R"({ "h\u0065x" : "41" })"), "A");
  EXPECT_EQ(payload_of(R"({"hex":""})"), "");
  TransactionLine transaction = parse_line(
      R"({"events":[{"type":{"hex":"ff"},"tags":["t",{"hex":"fe"}],"metadata":{"hex":"fd"}}],"del":[{"hex":"fc"}]})");
  EXPECT_EQ(transaction.events[0].type, "\xff");
  EXPECT_THAT(transaction.events[0].tags, ElementsAre("t", "\xfe"));
  EXPECT_EQ(transaction.events[0].metadata.view(), "\xfd");
  EXPECT_EQ(transaction.events[0].payload.view(), "");
  EXPECT_THAT(transaction.dels, ElementsAre("\xfc"));
}

TEST(LineParser, PayloadsOfSeveralEventsDoNotMix) {
  TransactionLine transaction = parse_line(
      R"({"events":[{"payload":{"hex":"41","x":1},"type":"a"},{"type":"b","payload":{"y":2}},{"payload":{"hex":"42"},"type":"c"}]})");
  ASSERT_EQ(transaction.events.size(), 3u);
  EXPECT_EQ(transaction.events[0].payload.view(), R"({"hex":"41","x":1})");
  EXPECT_EQ(transaction.events[1].payload.view(), R"({"y":2})");
  EXPECT_EQ(transaction.events[2].payload.view(), "B");
}

TEST(LineParser, UnknownMembersAreNamed) {
  EXPECT_EQ(error_of(R"({"puts":{}})"), R"(unknown member "puts" in the line)");
  EXPECT_EQ(error_of(R"({"events":[{"type":"a"},{"type":"t","body":1}]})"), R"(unknown member "body" in event 2)");
  EXPECT_THAT(error_of(R"({"put":{"k":{"hex":"00","x":1}}})"), HasSubstr(R"(unknown member "x" in "put" of key "k")"));
  EXPECT_THAT(error_of(R"({"put":{"k":{"base64":"AA"}}})"), HasSubstr(R"(unknown member "base64")"));
}

TEST(LineParser, EveryMemberMustBeOfItsKind) {
  for (std::string_view bad : {"[]",
                               "1",
                               "\"x\"",
                               "null",
                               R"({"put":[]})",
                               R"({"put":1})",
                               R"({"put":null})",
                               R"({"put":{"k":1}})",
                               R"({"put":{"k":null}})",
                               R"({"put":{"k":true}})",
                               R"({"put":{"k":[]}})",
                               R"({"put":{"k":{}}})",
                               R"({"put":{"k":{"hex":1}}})",
                               R"({"put":{"k":{"hex":{}}}})",
                               R"({"put":{"k":{"hex":"0"}}})",
                               R"({"put":{"k":{"hex":"zz"}}})",
                               R"({"put_hex":{"k":"v"}})",
                               R"({"del":{}})",
                               R"({"del":"k"})",
                               R"({"del":[1]})",
                               R"({"del":[null]})",
                               R"({"del":[["k"]]})",
                               R"({"del_hex":["xx"]})",
                               R"({"del_hex":[{"hex":"00"}]})",
                               R"({"require":[]})",
                               R"({"require":{"k":1}})",
                               R"({"require":{"k":[]}})",
                               R"({"require_hex":{"q":null}})",
                               R"({"command":1})",
                               R"({"command":null})",
                               R"({"command":[]})",
                               R"({"command":{}})",
                               R"({"command":{"hex":"0"}})",
                               R"({"command":{"hex":["00"]}})",
                               R"({"command":{"id":"x"}})",
                               R"({"if_none":"x"})",
                               R"({"if_none":null})",
                               R"({"if_none":[1]})",
                               R"({"if_none":[["x"]]})",
                               R"({"if_none":[null]})",
                               R"({"if_none":{}})",
                               R"({"if_none":[{}]})",
                               R"({"if_none":{"tags":[]}})",
                               R"({"if_none":{"types":["t"]}})",
                               R"({"if_none":{"tags":"x"}})",
                               R"({"if_none":{"tags":{"hex":"00"}}})",
                               R"({"if_none":{"tags":[1]}})",
                               R"({"if_none":{"tags":[["x"]]}})",
                               R"({"if_none":{"tags":[{}]}})",
                               R"({"if_none":{"tags":[{"hex":1}]}})",
                               R"({"if_none":{"tags":[{"hex":"0"}]}})",
                               R"({"if_none":{"tags":[{"hex":{}}]}})",
                               R"({"if_none":{"tags":[{"text":"x"}]}})",
                               R"({"if_none":{"tags":["x"],"types":"t"}})",
                               R"({"if_none":{"tags":["x"],"types":null}})",
                               R"({"if_none":{"tags":["x"],"type":["t"]}})",
                               R"({"if_none":{"tags":["x"],"after":-1}})",
                               R"({"if_none":{"tags":["x"],"after":1.0}})",
                               R"({"if_none":{"tags":["x"],"after":1e3}})",
                               R"({"if_none":{"tags":["x"],"after":18446744073709551616}})",
                               R"({"if_none":{"tags":["x"],"after":"1"}})",
                               R"({"if_none":{"tags":["x"],"after":null}})",
                               R"({"if_none":{"tags":["x"],"after":[1]}})",
                               R"({"expect":[]})",
                               R"({"expect":1})",
                               R"({"expect":{"a":0}})",
                               R"({"expect":{"a":-1}})",
                               R"({"expect":{"a":1.5}})",
                               R"({"expect":{"a":"1"}})",
                               R"({"expect":{"a":"None"}})",
                               R"({"expect":{"a":null}})",
                               R"({"expect":{"a":true}})",
                               R"({"expect":{"a":[1]}})",
                               R"({"expect":{"a":{"hex":"01"}}})",
                               R"({"expect_hex":{"a":1}})",
                               R"({"events":{}})",
                               R"({"events":null})",
                               R"({"events":[1]})",
                               R"({"events":[[]]})",
                               R"({"events":[{}]})",
                               R"({"events":[{"payload":1}]})",
                               R"({"events":[{"type":1}]})",
                               R"({"events":[{"type":[]}]})",
                               R"({"events":[{"type":{}}]})",
                               R"({"events":[{"type":"t","tags":"x"}]})",
                               R"({"events":[{"type":"t","tags":{}}]})",
                               R"({"events":[{"type":"t","tags":[1]}]})",
                               R"({"events":[{"type":"t","metadata":"x"}]})",
                               R"({"events":[{"type":"t","metadata":[]}]})",
                               R"({"events":[{"type":"t","metadata":null}]})",
                               R"({"events":[{"type":"t","metadata":{"hex":"x"}}]})",
                               R"({"events":[{"type":"t","payload":{"hex":"x"}}]})",
                               R"({"events":[{"type":"t","time":1}]})",
                               R"({"events":[{"type":"t","time":{}}]})",
                               R"({"events":[{"type":"t","time":"yesterday"}]})"}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
}

TEST(LineParser, MessagesSayWhere) {
  EXPECT_EQ(error_of(R"({"put":{"k":1}})"), R"("put" of key "k" must be a string or {"hex":"..."})");
  EXPECT_EQ(error_of(R"({"require":{"k":1}})"), R"("require" of key "k" must be a string, null or {"hex":"..."})");
  EXPECT_EQ(error_of(R"({"events":[{"type":"t","tags":5}]})"), R"("tags" of event 1 must be an array)");
  EXPECT_EQ(error_of(R"({"events":[{"type":"a"},{"tags":[]}]})"), R"(event 2 has no "type")");
  EXPECT_EQ(error_of(R"({"del":{}})"), R"("del" must be an array)");
  EXPECT_EQ(error_of(R"({"put":3})"), R"("put" must be an object)");
  EXPECT_EQ(error_of(R"({"command":7})"), R"("command" takes a string or {"hex":"..."})");
  EXPECT_EQ(error_of(R"({"if_none":7})"), R"("if_none" must be an object, or an array of objects)");
  EXPECT_EQ(error_of(R"({"if_none":{"types":["t"]}})"),
            R"("if_none" names no tag; at least one is needed in its "tags")");
  EXPECT_EQ(error_of(R"({"if_none":[{"tags":["t"]},{"tags":[7]}]})"),
            R"("tags" of number 2 of "if_none" takes a string or {"hex":"..."})");
  EXPECT_EQ(error_of(R"({"if_none":{"tags":["t"],"after":"7"}})"),
            R"("after" of "if_none" must be a whole number: an event id)");
  EXPECT_EQ(error_of(R"({"if_none":{"tags":["t"],"since":7}})"), R"(unknown member "since" in "if_none")");
  EXPECT_EQ(error_of(R"({"expect":{"a:b":0}})"),
            R"("expect" of tag "a:b" must be the id of an event (from 1), "none", "exists" or "any")");
  EXPECT_THAT(error_of(R"({"put":{"a":"b"})"), HasSubstr("invalid JSON at byte"));
}

TEST(LineParser, AKeyIsWrittenOnce) {
  for (std::string_view bad :
       {R"({"put":{"k":"1","k":"2"}})", R"({"put":{"k":"1","\u006b":"2"}})",
        R"({"put":{"k":"1"},"put_hex":{"6b":"2"}})", R"({"put_hex":{"6b":"1","6B":"2"}})", R"({"put":{},"put":{}})",
        R"({"put_hex":{"6a":"1","6A":"2"}})", R"({"put":{"k":"1"},"del":["k"]})",
        R"({"put":{"k":"1"},"del_hex":["6b"]})", R"({"del":["k","k"]})", R"({"del":["k"],"del_hex":["6B"]})",
        R"({"require":{"k":"1"},"require_hex":{"6b":null}})", R"({"events":[{"type":"a","type":"b"}]})",
        R"({"events":[{"type":"a","payload":{"x":1,"x":1}}]})",
        R"({"events":[{"type":"a","payload":[{"x":{"y":1,"y":2}}]}]})"}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
  EXPECT_EQ(error_of(R"({"put":{"k":"1"},"put_hex":{"6b":"2"}})"), R"(the key "k" is put twice)");
  EXPECT_EQ(error_of(R"({"put":{"k":"1"},"del":["k"]})"), R"(the key "k" is both put and deleted)");
  EXPECT_EQ(error_of(R"({"require":{"k":"1"},"put":{"k":"2"}})"), "");
  EXPECT_EQ(error_of(R"({"require":{"k":"1"},"del":["k"]})"), "");
}

TEST(LineParser, NothingIsConditionedTwice) {
  EXPECT_EQ(error_of(R"({"expect":{"k":1},"expect_hex":{"6b":2}})"), R"(the tag "k" is expected twice)");
  EXPECT_EQ(error_of(R"({"if_none":{"tags":["k",{"hex":"6b"}]}})"), R"(the tag "k" is twice in "if_none")");
  EXPECT_EQ(error_of(R"({"if_none":[{"tags":["k"],"types":["t","t"]}]})"),
            R"(the type "t" is twice in number 1 of "if_none")");
  for (std::string_view bad :
       {R"({"expect":{"k":1,"k":1}})", R"({"expect":{"k":1,"\u006b":1}})", R"({"command":"a","command":"a"})",
        R"({"if_none":{"tags":["k"],"tags":["k"]}})", R"({"if_none":{"tags":["k"]},"if_none":{"tags":["l"]}})"}) {
    EXPECT_THAT(error_of(bad), HasSubstr("twice")) << bad;
  }
}

TEST(LineParser, FixedLimitsAreErrorsOfTheirOwn) {
  auto code_of = [](const std::string& line) {
    try {
      TransactionLine transaction = parse_line(line);
      (void)conditions_of(transaction);
      (void)write_set_of(transaction);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::Io;
  };
  EXPECT_EQ(code_of(R"({"put":{"":"v"}})"), ErrorCode::KeyEmpty);
  EXPECT_EQ(code_of(R"({"put":{")" + std::string(512, 'k') + R"(":"v"}})"), ErrorCode::KeyTooLarge);
  EXPECT_EQ(code_of(R"({"require":{"":null}})"), ErrorCode::KeyEmpty);
  EXPECT_EQ(code_of(R"({"events":[{"type":""}]})"), ErrorCode::EventTypeInvalid);
  EXPECT_EQ(code_of(R"({"expect":{"":1}})"), ErrorCode::TagInvalid);
  EXPECT_EQ(code_of(R"({"if_none":{"tags":[""]}})"), ErrorCode::TagInvalid);
  EXPECT_EQ(code_of(R"({"if_none":{"tags":["x"],"types":[""]}})"), ErrorCode::EventTypeInvalid);
  EXPECT_EQ(code_of(R"({"events":[{"type":"t","tags":["a","a"]}]})"), ErrorCode::TagInvalid);
}

TEST(LineParser, TheWriteSetHasEverything) {
  WriteSet set =
      write_set_of(parse_line(R"({"put":{"a":"1","b":"2"},"del":["c"],"events":[{"type":"t"},{"type":"u"}]})"));
  EXPECT_EQ(set.puts(), 2u);
  EXPECT_EQ(set.deletes(), 1u);
  EXPECT_EQ(set.events(), 2u);
}

}  // namespace
}  // namespace azoth::cli
