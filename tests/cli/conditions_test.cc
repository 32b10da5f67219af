// Conditions and commands on the command line: what is refused and how it is said, and what is done only once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Conditions : public testing::Test {
 protected:
  void SetUp() override { store_.init(); }

  Result apply(std::string_view lines, Arguments options = {}) {
    options.insert(options.begin(), {"apply", "-"});
    return store_.run(options, lines);
  }
  Result append(Arguments options) {
    options.insert(options.begin(), {"append", "t", "{}"});
    return store_.run(options);
  }
  Json status() { return store_.ok({"--json", "status"}).json(); }
  // Everything there is.
  std::string content() { return store_.ok({"digest"}).out + status()["last_commit"].dump(); }

  StoreDir store_;
};

// --- apply

// Lines of every kind, each with a command.
std::string lines_with_commands(int count) {
  std::string lines;
  for (int n = 1; n <= count; ++n) {
    std::string id = std::to_string(n);
    lines += "{\"command\":\"c" + id +
             "\",\"require\":{\"n\":" + (n == 1 ? "null" : '"' + std::to_string(n - 1) + '"') + "},\"put\":{\"n\":\"" +
             id + "\"}";
    if (n % 3 != 0) lines += ",\"events\":[{\"type\":\"t\",\"tags\":[\"n:" + id + "\"]},{\"type\":\"u\"}]";
    lines += "}\n";
  }
  return lines;
}

TEST_F(Conditions, AFileOfCommandsAppliedAgainChangesNothing) {
  constexpr int kLines = 300;
  const std::string lines = lines_with_commands(kLines);
  Result first = apply(lines, {"--ack"});
  ASSERT_EQ(first.exit, 0) << first.err;
  const std::string before = content();
  for (const char* depth : {"1", "256"}) {
    Result again = apply(lines, {"--ack", "--json", "--pipeline", depth});
    EXPECT_EQ(again.exit, 0) << again.err;
    std::vector<Json> acks = again.json_lines();
    ASSERT_EQ(acks.size(), kLines + 1u);
    Json summary = acks.back();
    acks.pop_back();
    EXPECT_EQ(summary["repeated"], kLines);
    EXPECT_EQ(summary["transactions"], 0);
    EXPECT_EQ(summary["events"], 0);
    EXPECT_TRUE(summary["first_event"].is_null());
    EXPECT_EQ(summary["refused"], 0);
    for (Json& ack : acks) EXPECT_EQ(ack["already_applied"], true);
    for (Json& ack : acks) ack.erase("already_applied");
    EXPECT_EQ(acks, first.json_lines()) << "the numbers are those of the first time, in line order";
    EXPECT_EQ(content(), before);
  }
}

TEST_F(Conditions, WhatIsNewInAFileThatWasAppliedBeforeIsApplied) {
  ASSERT_EQ(apply(lines_with_commands(10)).exit, 0);
  Result more = apply(lines_with_commands(14), {"--ack"});
  EXPECT_EQ(more.exit, 0) << more.err;
  EXPECT_THAT(more.err, StartsWith("applied 4 transactions, 6 events (15 to 20), repeated 10 lines in "));
  std::vector<Json> acks = more.json_lines();
  ASSERT_EQ(acks.size(), 14u);
  EXPECT_EQ(acks[9]["already_applied"], true);
  EXPECT_FALSE(acks[10].contains("already_applied"));
  EXPECT_EQ(acks[13]["commit"], 14);
}

TEST_F(Conditions, ACommandInTheSameInputIsDoneOnceAtEveryPipelineDepth) {
  std::string lines;
  for (int n = 0; n < 200; ++n) {
    lines += "{\"command\":\"c" + std::to_string(n % 40) +
             "\",\"events\":[{\"type\":\"t\",\"payload\":" + std::to_string(n % 40) + "}]}\n";
  }
  for (const char* depth : {"1", "2", "256"}) {
    StoreDir store;
    store.init();
    Json summary = store.ok({"apply", "-", "--json", "--durability", "written", "--pipeline", depth}, lines).json();
    EXPECT_EQ(summary["transactions"], 40) << depth;
    EXPECT_EQ(summary["events"], 40) << depth;
    EXPECT_EQ(summary["repeated"], 160) << depth;
    EXPECT_EQ(store.ok({"events", "--json"}).lines().size(), 40u) << depth;
  }
}

TEST_F(Conditions, ACommandWithAnotherLineIsRefused) {
  ASSERT_EQ(apply("{\"command\":\"c\",\"put\":{\"k\":\"1\"}}\n").exit, 0);
  Result other = apply("{\"command\":\"c\",\"put\":{\"k\":\"2\"}}\n");
  EXPECT_EQ(other.exit, 3);
  EXPECT_THAT(other.err, StartsWith("azoth: line 1: command c was done by commit 1 with other content"));
  Result spaces =
      apply("{\"put\":{\"a\":\"1\"}}\n{\"command\":\"c\", \"put\":{\"k\":\"1\"}}\n{\"put\":{\"b\":\"1\"}}\n",
            {"--json", "--keep-going"});
  EXPECT_EQ(spaces.exit, 3) << "the bytes of the line count";
  Json error = Json::parse(spaces.err);
  EXPECT_EQ(error["line"], 2);
  EXPECT_EQ(error["error"], "command_mismatch");
  EXPECT_EQ(spaces.json()["transactions"], 2);
  EXPECT_EQ(spaces.json()["repeated"], 0);
  EXPECT_EQ(spaces.json()["refused"], 1);
  EXPECT_EQ(store_.ok({"scan"}).out, "a\t1\nb\t1\nk\t1\n");
}

TEST_F(Conditions, ARejectedCommandMayBeTriedAgain) {
  const std::string line = "{\"command\":\"c\",\"require\":{\"k\":\"1\"},\"put\":{\"done\":\"1\"}}\n";
  EXPECT_EQ(apply(line).exit, 3);
  store_.ok({"put", "k", "1"});
  EXPECT_EQ(apply(line, {"--json"}).json()["transactions"], 1);
  store_.ok({"del", "k"});
  EXPECT_EQ(apply(line, {"--json"}).json()["repeated"], 1) << "the conditions of a repeat are not looked at";
}

TEST_F(Conditions, ACommandIdHasItsLimits) {
  const std::string longest(128, 'c');
  EXPECT_EQ(apply("{\"command\":\"" + longest + "\"}").exit, 0);
  for (const std::string& bad : {longest + "c", std::string()}) {
    Result result = apply("{\"command\":\"" + bad + "\"}", {"--json"});
    EXPECT_EQ(result.exit, 1);
    EXPECT_EQ(Json::parse(result.err)["error"], "invalid_argument");
  }
  EXPECT_EQ(status()["last_commit"], 1) << "a command takes a commit though nothing else changes";
}

TEST_F(Conditions, AnEventThatIsInTheWayIsNamed) {
  ASSERT_EQ(apply(R"({"events":[{"type":"opened","tags":["a:1"]},{"type":"noted","tags":["a:1","b:2"]}]})").exit, 0);
  const std::string booked = R"({"if_none":{"types":["noted"],"tags":["a:1"],"after":1},"put":{"k":"v"}})";
  Result text = apply(booked);
  EXPECT_EQ(text.exit, 3);
  EXPECT_THAT(text.err, StartsWith("azoth: line 1: rejected: event 2 (noted: a:1, b:2) "));
  Result json = apply(booked, {"--json"});
  EXPECT_EQ(json.exit, 3);
  Json error = Json::parse(json.err);
  EXPECT_EQ(error["line"], 1);
  EXPECT_EQ(error["error"], "rejected");
  EXPECT_EQ(error["event"], 2);
  EXPECT_FALSE(error.contains("key"));
  EXPECT_FALSE(error.contains("tag"));
  EXPECT_EQ(store_.ok({"scan"}).out, "");
  EXPECT_EQ(apply(R"({"if_none":{"types":["noted"],"tags":["a:1"],"after":2},"put":{"k":"v"}})").exit, 0);
}

TEST_F(Conditions, TagsOfAPatternMustAllMatchAndOneOfItsTypes) {
  ASSERT_EQ(apply(R"({"events":[{"type":"t","tags":["a","b"]}]})").exit, 0);
  auto exit_of = [&](const std::string& if_none) { return apply("{\"if_none\":" + if_none + "}").exit; };
  EXPECT_EQ(exit_of(R"({"tags":["a"]})"), 3);
  EXPECT_EQ(exit_of(R"({"tags":["a","b"],"types":["s","t"]})"), 3);
  EXPECT_EQ(exit_of(R"({"tags":["a","c"]})"), 0);
  EXPECT_EQ(exit_of(R"({"tags":["a"],"types":["s"]})"), 0);
  EXPECT_EQ(exit_of(R"([{"tags":["c"]},{"tags":["a"],"after":1}])"), 0);
  EXPECT_EQ(exit_of(R"([{"tags":["c"]},{"tags":["b"]}])"), 3);
  EXPECT_EQ(exit_of(R"([{"tags":["a"],"after":1},{"tags":["a"],"after":2}])"), 3) << "2 is ahead of the log";
}

TEST_F(Conditions, LinesExpectVersionsOfTags) {
  Result result = apply(R"({"expect":{"a":"none"},"events":[{"type":"t","tags":["a"]}]}
{"expect":{"a":1,"b":"none"},"events":[{"type":"t","tags":["a"]}]}
{"expect":{"a":1},"put":{"k":"v"}}
{"expect":{"a":"exists","b":"exists"},"put":{"k":"v"}}
{"expect":{"a":"exists","b":"any"},"put":{"k":"w"}}
)",
                        {"--json", "--keep-going"});
  EXPECT_EQ(result.exit, 3);
  EXPECT_EQ(result.json()["transactions"], 3);
  std::vector<std::string> errors = split_lines(result.err);
  ASSERT_EQ(errors.size(), 2u) << result.err;
  Json stale = Json::parse(errors[0]);
  EXPECT_EQ(stale["line"], 3);
  EXPECT_EQ(stale["tag"], "a");
  EXPECT_EQ(stale["event"], 2);
  EXPECT_THAT(stale["message"].get<std::string>(), HasSubstr("expected: exactly 1"));
  Json missing = Json::parse(errors[1]);
  EXPECT_EQ(missing["line"], 4);
  EXPECT_EQ(missing["tag"], "b");
  EXPECT_FALSE(missing.contains("event"));
  EXPECT_EQ(store_.ok({"get", "k"}).out, "w\n");
}

// --- append, put, del

TEST_F(Conditions, AppendGoesOnFromTheVersionItExpects) {
  EXPECT_EQ(append({"--tag", "a=b", "--expect", "a=b=none"}).out, "1\n");
  EXPECT_EQ(append({"--tag", "a=b", "--expect", "a=b=1", "--expect", "c=none"}).out, "2\n");
  Result stale = append({"--tag", "a=b", "--expect", "a=b=1"});
  EXPECT_EQ(stale.exit, 3);
  EXPECT_EQ(stale.out, "");
  EXPECT_EQ(stale.err, "azoth: rejected: tag a=b is at event 2; expected: exactly 1\n");
  Result json = append({"--json", "--tag", "a=b", "--expect", "c=exists", "--expect", "a=b=none"});
  EXPECT_EQ(json.exit, 3);
  Json error = Json::parse(json.err);
  EXPECT_EQ(error["error"], "rejected");
  EXPECT_EQ(error["tag"], "c") << "the first";
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("a=b is at event 2")) << "all of them";
  EXPECT_EQ(append({"--tag", "a=b", "--expect", "a=b=exists", "--expect", "c=any"}).out, "3\n");
  EXPECT_EQ(status()["last_event"], 3);
}

TEST_F(Conditions, AppendIfThereIsNoSuchEvent) {
  const Arguments seat = {"--tag", "seat:7", "--tag", "day:1", "--if-none-tag", "seat:7", "--if-none-tag", "day:1"};
  auto with = [&](const Arguments& more) {
    Arguments all = seat;
    all.insert(all.end(), more.begin(), more.end());
    return append(all);
  };
  EXPECT_EQ(with({}).out, "1\n");
  Result taken = with({"--json"});
  EXPECT_EQ(taken.exit, 3);
  EXPECT_EQ(Json::parse(taken.err)["event"], 1);
  EXPECT_EQ(with({"--if-none-type", "s", "--if-none-type", "t"}).exit, 3);
  EXPECT_EQ(with({"--if-none-type", "s"}).out, "2\n");
  EXPECT_EQ(with({"--after", "1"}).exit, 3);
  EXPECT_EQ(with({"--after", "2"}).out, "3\n");
}

TEST_F(Conditions, AnAppendWithACommandIsDoneOnce) {
  store_.ok({"put", "k", "v"});
  const Arguments request = {"--tag", "a", "--expect", "a=none", "--command", "r-1"};
  Result first = append(request);
  EXPECT_EQ(first.out, "1\n");
  EXPECT_EQ(first.err, "");
  Result again = append(request);
  EXPECT_EQ(again.exit, 0);
  EXPECT_EQ(again.out, "1\n");
  EXPECT_EQ(again.err, "azoth: command r-1 was carried out before, by commit 2; nothing was changed\n");
  Arguments json = request;
  json.push_back("--json");
  EXPECT_EQ(append(json).out, "{\"event\":1,\"commit\":2,\"already_applied\":true}\n");
  for (const Arguments& other :
       std::vector<Arguments>{{"append", "t", "{ }", "--tag", "a"},
                              {"append", "u", "{}", "--tag", "a"},
                              {"append", "t", "{}"},
                              {"append", "t{}", "--tag", "a"},
                              {"append", "t", "{}", "--tag", "a", "--metadata", "{}"},
                              {"append", "t", "{}", "--tag", "a", "--time", "2001-01-01T00:00:00Z"},
                              {"put", "t", "{}"},
                              {"del", "k"}}) {
    Arguments command = other;
    command.insert(command.end(), {"--command", "r-1", "--json"});
    Result result = store_.run(command);
    EXPECT_EQ(result.exit, 3) << other[0];
    EXPECT_EQ(Json::parse(result.err)["error"], "command_mismatch") << other[0];
  }
  EXPECT_EQ(status()["last_commit"], 2);
}

TEST_F(Conditions, ARejectionIsJsonWhateverTheKey) {
  const std::string key = "k\x7f\u200d";
  store_.ok({"put", key, "1"});
  const Result refused = store_.run({"put", key, "2", "--if-absent", "--json"});
  EXPECT_EQ(refused.exit, 3);
  EXPECT_EQ(Json::parse(refused.err)["key"], key);
}

TEST_F(Conditions, PutAndDelCompareWithTheValueThatIsThere) {
  EXPECT_EQ(store_.ok({"put", "k", "1", "--if-absent"}).err, "");
  Result there = store_.run({"put", "k", "2", "--if-absent", "--json"});
  EXPECT_EQ(there.exit, 3);
  EXPECT_EQ(Json::parse(there.err)["key"], "k");
  EXPECT_EQ(store_.run({"put", "k", "2", "--if-value", "0"}).exit, 3);
  store_.ok({"put", "k", "2", "--if-value", "1"});
  Result other = store_.run({"del", "k", "--if-value", "1"});
  EXPECT_EQ(other.exit, 3);
  EXPECT_THAT(other.err, StartsWith("azoth: rejected: key k is 2"));
  EXPECT_EQ(store_.ok({"get", "k"}).out, "2\n");
  EXPECT_EQ(store_.ok({"del", "--hex", "6b", "--if-value", "32", "--json"}).out, "{\"commit\":3,\"existed\":true}\n");
  EXPECT_EQ(store_.run({"del", "k", "--if-value", "2"}).exit, 3) << "absent is not that value";
}

TEST_F(Conditions, PutAndDelWithACommandAreDoneOnce) {
  EXPECT_EQ(store_.ok({"put", "k", "1", "--command", "p", "--json"}).out, "{\"commit\":1}\n");
  EXPECT_EQ(store_.ok({"del", "k", "--command", "d", "--json"}).out, "{\"commit\":2,\"existed\":true}\n");
  EXPECT_EQ(store_.ok({"put", "k", "1", "--command", "p", "--json"}).out, "{\"commit\":1,\"already_applied\":true}\n");
  EXPECT_EQ(store_.run({"get", "k"}).exit, 4);
  EXPECT_THAT(store_.ok({"put", "k", "1", "--command", "p"}).err, HasSubstr("by commit 1; nothing was changed"));
  store_.ok({"put", "k", "3"});
  EXPECT_EQ(store_.ok({"del", "k", "--command", "d", "--json"}).out,
            "{\"commit\":2,\"existed\":true,\"already_applied\":true}\n");
  EXPECT_EQ(store_.ok({"get", "k"}).out, "3\n");
  EXPECT_EQ(store_.run({"del", "other", "--command", "d"}).exit, 3);
  EXPECT_EQ(store_.ok({"del", "none", "--command", "n", "--json"}).out, "{\"commit\":4,\"existed\":false}\n");
  EXPECT_EQ(store_.ok({"del", "none", "--command", "n", "--json"}).out,
            "{\"commit\":4,\"existed\":false,\"already_applied\":true}\n");
}

}  // namespace
}  // namespace azoth::test
