// apply: one line is one atomic commit, in order, acknowledged when it is as safe as was asked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Apply : public testing::Test {
 protected:
  void SetUp() override { store_.init(); }

  Result apply(std::string_view lines, Arguments options = {}) {
    options.insert(options.begin(), {"apply", "-"});
    return store_.run(options, lines);
  }
  std::string state() { return store_.ok({"scan"}).out; }
  Json status() { return store_.ok({"--json", "status"}).json(); }

  StoreDir store_;
};

TEST_F(Apply, ALineIsOneCommit) {
  Result result = apply(R"({"put":{"a":"1","b":"2"},"events":[{"type":"x"},{"type":"y"}]}
{"del":["a"],"put":{"c":"3"}}
{"events":[{"type":"z"}]}
)",
                        {"--json"});
  EXPECT_EQ(result.exit, 0) << result.err;
  Json summary = result.json();
  EXPECT_EQ(summary["transactions"], 3);
  EXPECT_EQ(summary["events"], 3);
  EXPECT_EQ(summary["first_event"], 1);
  EXPECT_EQ(summary["last_event"], 3);
  EXPECT_EQ(summary["refused"], 0);
  EXPECT_GE(summary["seconds"].get<double>(), 0.0);
  EXPECT_EQ(state(), "b\t2\nc\t3\n");
  EXPECT_EQ(status()["last_commit"], 3);
  std::vector<Json> events = store_.ok({"events", "--json"}).json_lines();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1]["type"], "y");
  EXPECT_EQ(events[1]["commit"], 1);
  EXPECT_EQ(events[2]["commit"], 3);
}

TEST_F(Apply, TheSummaryIsForPeopleUnlessJsonIsAskedFor) {
  EXPECT_THAT(apply(R"({"events":[{"type":"t"}]})").out, StartsWith("applied 1 transactions, 1 events (1 to 1) in "));
  Json none = apply("", {"--json"}).json();
  EXPECT_EQ(none["transactions"], 0);
  EXPECT_TRUE(none["first_event"].is_null());
  EXPECT_TRUE(none["last_event"].is_null());
}

TEST_F(Apply, ReadsAFileByName) {
  write_file(store_.file("in.jsonl"), "{\"put\":{\"k\":\"v\"}}");
  store_.ok({"apply", store_.file("in.jsonl").string()});
  EXPECT_EQ(state(), "k\tv\n");
  Result missing = store_.run({"apply", store_.file("none.jsonl").string()});
  EXPECT_EQ(missing.exit, 4);
  EXPECT_THAT(missing.err, HasSubstr("none.jsonl"));
  EXPECT_EQ(store_.run({"apply", store_.file("").string()}).exit, 1) << "a directory";
}

TEST_F(Apply, EmptyLinesCountAsLinesOnly) {
  Result result = apply("\n  \n{\"put\":{\"k\":\"1\"}}\r\n\t\n{\"put\":{}", {"--json"});
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(Json::parse(result.err)["line"], 5);
  EXPECT_EQ(result.json()["transactions"], 1);
  EXPECT_EQ(state(), "k\t1\n");
}

TEST_F(Apply, PayloadsAreStoredByteForByte) {
  const std::vector<std::string> payloads = {R"({"a": 1.0e5,  "b":"\u00e9\/" })",
                                             "1.0",
                                             "\"text\"",
                                             "null",
                                             "[ 1 ]",
                                             R"({"hex":5})",
                                             "12345678901234567890123",
                                             R"({"z":1,"a":2})"};
  std::string lines;
  for (const std::string& payload : payloads) {
    lines += R"({"events":[{"type":"t","payload":  )" + payload + "   ,\"metadata\": {\"p\": " + payload + " } }]}\n";
  }
  ASSERT_EQ(apply(lines).exit, 0);
  std::vector<std::string> events = store_.ok({"events", "--json"}).lines();
  ASSERT_EQ(events.size(), payloads.size());
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    EXPECT_THAT(events[i], HasSubstr("\"payload\":" + payloads[i] + ",\"metadata\":{\"p\": " + payloads[i] + " }}"));
  }
}

TEST_F(Apply, StopsAtTheFirstBadLineWithEverythingBeforeItCommitted) {
  for (const Arguments& options : std::vector<Arguments>{{}, {"--pipeline", "1"}, {"--durability", "written"}}) {
    StoreDir store;
    store.init();
    Arguments command = {"apply", "-", "--json"};
    command.insert(command.end(), options.begin(), options.end());
    Result result = store.run(
        command, "{\"put\":{\"a\":\"1\"}}\n{\"put\":{\"b\":\"2\"}}\n{\"putt\":{}}\n{\"put\":{\"c\":\"3\"}}\n");
    EXPECT_EQ(result.exit, 1);
    Json error = Json::parse(result.err);
    EXPECT_EQ(error["line"], 3);
    EXPECT_EQ(error["error"], "invalid_line");
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("unknown member \"putt\""));
    EXPECT_EQ(result.json()["transactions"], 2);
    EXPECT_EQ(result.json()["refused"], 1);
    EXPECT_EQ(store.ok({"scan"}).out, "a\t1\nb\t2\n");
  }
}

TEST_F(Apply, ARefusedLineChangesNothingAtAll) {
  Result result = apply(R"({"put":{"a":"1"},"events":[{"type":"t"},{"type":""}]})");
  EXPECT_EQ(result.exit, 1);
  EXPECT_THAT(result.err, StartsWith("azoth: line 1: "));
  EXPECT_EQ(status()["last_commit"], 0);
  EXPECT_EQ(status()["last_event"], 0);
}

TEST_F(Apply, LimitsOfTheStoreAreTheLinesOwnErrors) {
  std::string lines = "{\"put\":{\"" + std::string(512, 'k') + "\":\"v\"}}\n{\"put\":{\"k\":\"v\"}}\n";
  Result stopped = apply(lines, {"--json"});
  EXPECT_EQ(stopped.exit, 1);
  EXPECT_EQ(Json::parse(stopped.err)["error"], "key_too_large");
  Result went_on = apply(lines, {"--json", "--keep-going"});
  EXPECT_EQ(went_on.exit, 3);
  EXPECT_EQ(went_on.json()["transactions"], 1);
  EXPECT_EQ(state(), "k\tv\n");
}

TEST_F(Apply, ATransactionAboveTheLimitIsRefused) {
  std::string large(14 << 20, 'x');
  std::string line = "{\"put\":{";
  for (char key = 'a'; key < 'f'; ++key) line += std::string(key == 'a' ? "" : ",") + '"' + key + "\":\"" + large + '"';
  Result result = apply("{\"put\":{\"k\":\"1\"}}\n" + line + "}}\n", {"--json"});
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(Json::parse(result.err)["error"], "transaction_too_large");
  EXPECT_EQ(state(), "k\t1\n");
}

TEST_F(Apply, ATransactionThatTheJournalCannotTakeGoesPastIt) {
  std::string big(200'000, 'x');  // more than half a segment of 256 KiB
  Result result = apply("{\"put\":{\"k\":\"1\"}}\n{\"put\":{\"big\":\"" + big + "\"}}\n{\"put\":{\"k\":\"2\"}}\n");
  EXPECT_EQ(result.exit, 0) << result.err;
  EXPECT_EQ(store_.ok({"get", "big"}).out, big + "\n");
  EXPECT_EQ(store_.ok({"get", "k"}).out, "2\n");
  EXPECT_EQ(status()["last_commit"], 3);
}

TEST_F(Apply, KeepGoingReportsEachRefusedLine) {
  Result result = apply(R"({"put":{"a":"1"}}
nonsense
{"require":{"a":"2"},"put":{"b":"x"}}
{"require":{"a":"1"},"put":{"a":"2"}}
{"put":{"":""}}
{"require":{"a":"2"},"put":{"c":"3"}}
)",
                        {"--keep-going", "--json"});
  EXPECT_EQ(result.exit, 3);
  std::vector<std::string> errors = split_lines(result.err);
  ASSERT_EQ(errors.size(), 3u) << result.err;
  EXPECT_EQ(Json::parse(errors[0])["line"], 2);
  EXPECT_EQ(Json::parse(errors[0])["error"], "invalid_line");
  EXPECT_EQ(Json::parse(errors[1])["line"], 3);
  EXPECT_EQ(Json::parse(errors[1])["error"], "rejected");
  EXPECT_EQ(Json::parse(errors[1])["key"], "a");
  EXPECT_EQ(Json::parse(errors[2])["line"], 5);
  EXPECT_EQ(Json::parse(errors[2])["error"], "key_empty");
  EXPECT_EQ(result.json()["transactions"], 3);
  EXPECT_EQ(result.json()["refused"], 3);
  EXPECT_EQ(state(), "a\t2\nc\t3\n");
}

TEST_F(Apply, KeepGoingWithoutRefusedLinesIsOk) {
  EXPECT_EQ(apply("{\"put\":{\"a\":\"1\"}}\n", {"--keep-going"}).exit, 0);
}

TEST_F(Apply, ARequirementThatDoesNotHoldNamesLineAndKey) {
  store_.ok({"put", "k", "v"});
  Result result = apply("{\"put\":{\"a\":\"1\"}}\n\n{\"require\":{\"k\":null},\"put\":{\"k\":\"w\"}}\n");
  EXPECT_EQ(result.exit, 3);
  EXPECT_THAT(result.err, StartsWith("azoth: line 3: rejected: key k exists, with the value v\n"));
  EXPECT_EQ(state(), "a\t1\nk\tv\n");
  EXPECT_EQ(apply(R"({"require":{"none":"v"}})").exit, 3);
  EXPECT_EQ(apply(R"({"require":{"k":"v"}})").exit, 0);
  EXPECT_EQ(apply(R"({"require":{"none":null,"k":"v"},"put":{"k":"w"}})").exit, 0);
  EXPECT_EQ(apply(R"({"require_hex":{"6b":{"hex":"77"}},"del_hex":["6b"]})").exit, 0);
  EXPECT_EQ(state(), "a\t1\n");
}

TEST_F(Apply, EachLineSeesTheLinesBeforeItAtEveryPipelineDepth) {
  std::string lines = "{\"require\":{\"n\":null},\"put\":{\"n\":\"0\"}}\n";
  for (int i = 1; i <= 500; ++i) {
    lines += "{\"require\":{\"n\":\"" + std::to_string(i - 1) + "\"},\"put\":{\"n\":\"" + std::to_string(i) +
             "\"},\"events\":[{\"type\":\"t\"}]}\n";
  }
  for (const char* depth : {"1", "2", "256", "100000"}) {
    StoreDir store;
    store.init();
    Json summary = store.ok({"apply", "-", "--json", "--durability", "written", "--pipeline", depth}, lines).json();
    EXPECT_EQ(summary["transactions"], 501) << depth;
    EXPECT_EQ(store.ok({"get", "n"}).out, "500\n") << depth;
    EXPECT_EQ(store.ok({"--json", "status"}).json()["last_commit"], 501) << depth;
  }
}

TEST_F(Apply, AcksComeInLineOrderWithCommitAndEventIds) {
  Result result = apply(R"({"put":{"a":"1"}}

{"events":[{"type":"t"},{"type":"t"},{"type":"t"}]}
nonsense
{"events":[{"type":"t"}],"del":["a"]}
)",
                        {"--ack", "--keep-going"});
  EXPECT_EQ(result.exit, 3);
  EXPECT_EQ(result.lines(), (std::vector<std::string>{
                                R"({"line":1,"commit":1,"first_event":null,"last_event":null})",
                                R"({"line":3,"commit":2,"first_event":1,"last_event":3})",
                                R"({"line":5,"commit":3,"first_event":4,"last_event":4})",
                            }));
  EXPECT_THAT(result.err, HasSubstr("applied 3 transactions")) << "the summary leaves standard output to the acks";
}

TEST_F(Apply, WithJsonTheSummaryFollowsTheAcks) {
  std::vector<Json> lines =
      apply("{\"put\":{\"a\":\"1\"}}\n{\"put\":{\"a\":\"2\"}}\n", {"--ack", "--json"}).json_lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["line"], 1);
  EXPECT_EQ(lines[1]["line"], 2);
  EXPECT_EQ(lines[2]["transactions"], 2);
}

TEST_F(Apply, AcksAreThereBeforeTheNextLineIsSent) {
  for (const char* depth : {"1", "256"}) {
    for (const char* level : {"written", "durable"}) {
      Child child(store_.arguments({"apply", "-", "--ack", "--durability", level, "--pipeline", depth}));
      for (int i = 1; i <= 5; ++i) {
        child.send("{\"put\":{\"k\":\"" + std::to_string(i) + "\"}}\n");
        std::optional<std::string> ack = child.read_line();
        ASSERT_TRUE(ack);
        EXPECT_EQ(Json::parse(*ack)["line"], i);
      }
      EXPECT_EQ(child.finish().exit, 0);
    }
  }
}

TEST_F(Apply, ManyAcksAreAllThere) {
  std::string lines;
  for (int i = 0; i < 5000; ++i) lines += "{\"events\":[{\"type\":\"t\"}]}\n";
  Result result = apply(lines, {"--ack", "--durability", "written"});
  ASSERT_EQ(result.exit, 0);
  std::vector<Json> acks = result.json_lines();
  ASSERT_EQ(acks.size(), 5000u);
  for (int i = 0; i < 5000; ++i) {
    EXPECT_EQ(acks[i]["line"], i + 1);
    EXPECT_EQ(acks[i]["commit"], i + 1);
    EXPECT_EQ(acks[i]["first_event"], i + 1);
    EXPECT_EQ(acks[i]["last_event"], i + 1);
  }
}

TEST_F(Apply, WhenTheReaderOfTheAcksGoesItEndsAlsoWhileTheInputIsOpen) {
  Child child(store_.arguments({"apply", "-", "--ack"}));
  child.send("{\"put\":{\"k\":\"1\"}}\n");
  ASSERT_TRUE(child.read_line());
  child.close_output();
  child.send("{\"put\":{\"k\":\"2\"}}\n");
  // The input stays open: were it waiting for more lines, this would not end.
  int status = 0;
  ASSERT_EQ(child.wait_with_input_open(status), child.pid());
  EXPECT_EQ(status, 1);
  EXPECT_THAT(store_.ok({"get", "k"}).out, testing::AnyOf("1\n", "2\n"));
}

TEST_F(Apply, ALineBeyondTheLimitIsRefusedAndTheNextIsRead) {
  // Twice the largest transaction and 1 MiB.
  std::string big(((std::size_t{2} * 64 + 1) << 20) + 1, ' ');
  Result result = apply("{\"put\":{\"a\":\"1\"}}\n" + big + "\n{\"put\":{\"b\":\"2\"}}\n", {"--keep-going", "--json"});
  EXPECT_EQ(result.exit, 3);
  EXPECT_EQ(Json::parse(result.err)["line"], 2);
  EXPECT_EQ(state(), "a\t1\nb\t2\n");
}

TEST_F(Apply, AnEmptyTransactionTakesNoCommit) {
  store_.ok({"put", "k", "v"});
  Result result = apply("{}\n{\"put\":{}}\n", {"--ack", "--json"});
  EXPECT_EQ(result.exit, 0);
  std::vector<Json> lines = result.json_lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["commit"], 1);
  EXPECT_EQ(lines[1]["commit"], 1);
  EXPECT_EQ(lines[2]["transactions"], 2);
  EXPECT_EQ(status()["last_commit"], 1);
}

TEST_F(Apply, WhatWasDoneIsSaidWhenOnlyTheAnswerCannotBePrinted) {
  const auto without_output = [&](const Arguments& command) {
    return Child(store_.arguments(command), {.closed = {1}}).finish();
  };
  const Result appended = without_output({"append", "noted", "{}"});
  EXPECT_EQ(appended.exit, 1);
  EXPECT_THAT(appended.err,
              HasSubstr("event 1 was appended and is not to be sent again, but writing to standard output"));
  const Result taken = without_output({"sequence", "next", "invoice"});
  EXPECT_EQ(taken.exit, 1);
  EXPECT_THAT(taken.err, HasSubstr("number 0 was taken and is not given out again, but"));
}

TEST_F(Apply, TheLineIsNamedAtWhichTheStoreCouldNotGoOn) {
  store_.ok({"seal"});
  const Result result = store_.run({"--json", "apply", "-"}, "\n{\"put\":{\"k\":\"v\"}}\n");
  EXPECT_EQ(result.exit, 3);
  EXPECT_EQ(result.json()["ended_at_line"], 2);
}

// Whoever goes on from there does nothing twice and leaves nothing out.
TEST_F(Apply, TheLineIsThatOfTheCommitThatFailedHoweverManyWereBehindIt) {
  StoreDir store;
  store.sizes = {};  // a large segment, so that it is the journal that cannot grow
  store.init();
  std::string lines;
  for (int i = 0; i < 40'000; ++i) lines += "{\"events\":[{\"type\":\"e\"}]}\n";
  Child child(store.arguments({"--json", "apply", "-"}), {.largest_file = 1 << 20});
  const Result result = child.finish(lines);
  EXPECT_EQ(result.exit, 1);
  const Json summary = result.json();
  const Json status = store.ok({"--json", "status"}).json();
  EXPECT_EQ(summary["ended_at_line"], status["last_event"].get<int>() + 1) << result.out << result.err;
  EXPECT_EQ(summary["transactions"], status["last_event"]);
}

TEST_F(Apply, WhatIsCommittedBehindAnAcknowledgementThatCannotBeWrittenIsCounted) {
  std::string lines;
  for (int i = 0; i < 500; ++i) lines += "{\"events\":[{\"type\":\"e\"}]}\n";
  for (const char* depth : {"1", "64"}) {
    Child child(store_.arguments({"apply", "-", "--ack", "--pipeline", depth}), {.closed = {1}});
    const int before = status()["last_event"].get<int>();
    const Result result = child.finish(lines);
    EXPECT_EQ(result.exit, 1);
    const int taken = status()["last_event"].get<int>() - before;
    EXPECT_THAT(result.err, HasSubstr("applied " + std::to_string(taken) + " transactions"));
    EXPECT_THAT(result.err, testing::Not(HasSubstr("ended at line")));
  }
}

TEST_F(Apply, ASummaryThatCannotBePrintedTakesThePlaceOfNoError) {
  const std::string refused = R"({"require":{"k":"v"}})";
  Result line = Child(store_.arguments({"apply", "-"}), {.closed = {1}}).finish(refused);
  EXPECT_EQ(line.exit, 3);
  EXPECT_THAT(line.err, HasSubstr("standard output"));
  store_.ok({"seal"});
  Result sealed = Child(store_.arguments({"apply", "-"}), {.closed = {1}}).finish("{\"put\":{\"k\":\"v\"}}");
  EXPECT_EQ(sealed.exit, 3);
  EXPECT_THAT(sealed.err, HasSubstr("is sealed"));
  EXPECT_THAT(sealed.err, HasSubstr("standard output"));
  Child without_reader(store_.arguments({"apply", "-"}));
  without_reader.close_output();
  Result result = without_reader.finish("{\"put\":{\"k\":\"v\"}}");
  EXPECT_EQ(result.exit, 3);
  EXPECT_THAT(result.err, HasSubstr("is sealed"));
}

}  // namespace
}  // namespace azoth::test
