// sequence next, peek and list.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Sequence : public testing::Test {
 protected:
  void SetUp() override { store_.init(); }
  std::string next(const std::string& name) { return store_.ok({"sequence", "next", name}).out; }
  Json last_commit() { return store_.ok({"--json", "status"}).json()["last_commit"]; }

  StoreDir store_;
};

TEST_F(Sequence, NextPrintsOneNumberAndLeavesNoGapBetweenCalls) {
  EXPECT_EQ(next("invoice"), "0\n");
  EXPECT_EQ(next("invoice"), "1\n");
  EXPECT_EQ(next("order"), "0\n");
  EXPECT_EQ(store_.ok({"sequence", "next", "invoice", "1"}).out, "2\n");
}

TEST_F(Sequence, NextPrintsTheFirstAndTheLastOfSeveral) {
  EXPECT_EQ(store_.ok({"sequence", "next", "invoice", "10"}).out, "0..9\n");
  EXPECT_EQ(store_.ok({"sequence", "next", "invoice", "10000"}).out, "10..10009\n");
  EXPECT_EQ(next("invoice"), "10010\n");
}

TEST_F(Sequence, NextAsJson) {
  EXPECT_EQ(store_.ok({"sequence", "next", "invoice", "5", "--json"}).out,
            "{\"sequence\":\"invoice\",\"first\":0,\"last\":4,\"count\":5}\n");
  EXPECT_EQ(store_.ok({"--json", "sequence", "next", "invoice"}).out,
            "{\"sequence\":\"invoice\",\"first\":5,\"last\":5,\"count\":1}\n");
}

TEST_F(Sequence, PeekUsesUpNothingAndWritesNothing) {
  EXPECT_EQ(store_.ok({"sequence", "peek", "invoice"}).out, "0\n");
  next("invoice");
  Json before = last_commit();
  EXPECT_EQ(store_.ok({"sequence", "peek", "invoice"}).out, "1\n");
  EXPECT_EQ(store_.ok({"sequence", "peek", "invoice", "--json"}).out, "{\"sequence\":\"invoice\",\"next\":1}\n");
  EXPECT_EQ(last_commit(), before);
  EXPECT_EQ(next("invoice"), "1\n");
}

TEST_F(Sequence, ListShowsAllByName) {
  EXPECT_EQ(store_.ok({"sequence", "list"}).out, "");
  next("order");
  store_.ok({"sequence", "next", "invoice", "7"});
  next("a\tb");
  EXPECT_EQ(store_.ok({"sequence", "list"}).out, "a\\tb\t1\ninvoice\t7\norder\t1\n");
  EXPECT_EQ(store_.ok({"--json", "sequence", "list"}).out,
            "{\"sequence\":\"a\\tb\",\"next\":1}\n{\"sequence\":\"invoice\",\"next\":7}\n"
            "{\"sequence\":\"order\",\"next\":1}\n");
  EXPECT_EQ(store_.ok({"scan"}).out, "") << "they are no part of the state";
}

TEST_F(Sequence, ANameThatIsNotTextIsShownAsHex) {
  std::string name = "\xFF\x01";
  EXPECT_EQ(store_.ok({"sequence", "next", name, "--json"}).json()["sequence_hex"], "ff01");
  EXPECT_EQ(store_.ok({"sequence", "list", "--json"}).out, "{\"sequence_hex\":\"ff01\",\"next\":1}\n");
  EXPECT_EQ(store_.ok({"sequence", "list"}).out, "\\xff\\x01\t1\n");
}

TEST_F(Sequence, WhatIsWrongWithTheNameIsAFailureThatChangesNothing) {
  for (const std::string& name : {std::string(), std::string(129, 'n')}) {
    for (const char* command : {"next", "peek"}) {
      Result result = store_.run({"sequence", command, name});
      EXPECT_EQ(result.exit, 1) << command;
      EXPECT_THAT(result.err, HasSubstr("sequence")) << command;
      EXPECT_EQ(result.out, "");
    }
  }
  EXPECT_EQ(last_commit(), 0);
}

TEST_F(Sequence, ASequenceAtItsEndIsAFailure) {
  EXPECT_EQ(store_.ok({"sequence", "next", "s", "18446744073709551615"}).out, "0..18446744073709551614\n");
  Result result = store_.run({"--json", "sequence", "next", "s"});
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(Json::parse(result.err)["error"], "sequence_exhausted");
}

TEST_F(Sequence, ASealedStoreHandsOutNothingAndCanBeLookedAt) {
  next("invoice");
  store_.ok({"seal"});
  Result result = store_.run({"sequence", "next", "invoice"});
  EXPECT_EQ(result.exit, 3);
  EXPECT_THAT(result.err, HasSubstr("unseal"));
  EXPECT_EQ(store_.ok({"sequence", "peek", "invoice"}).out, "1\n");
  store_.ok({"unseal"});
  EXPECT_EQ(next("invoice"), "1\n");
}

TEST_F(Sequence, ReadingWorksBesideAWriterAndHandingOutDoesNot) {
  next("invoice");
  Child writer(store_.arguments({"apply", "-", "--ack"}));
  writer.send("{\"put\":{\"k\":\"v\"}}\n");
  ASSERT_TRUE(writer.read_line());
  EXPECT_EQ(store_.ok({"sequence", "peek", "invoice"}).out, "1\n");
  EXPECT_EQ(store_.ok({"sequence", "list"}).out, "invoice\t1\n");
  Result result = store_.run({"sequence", "next", "invoice"});
  EXPECT_EQ(result.exit, 3);
  EXPECT_THAT(result.err, HasSubstr(std::to_string(writer.pid())));
  EXPECT_EQ(writer.finish().exit, 0);
}

TEST_F(Sequence, NoneOfThemCreatesAStore) {
  StoreDir none;
  for (const Arguments& command :
       std::vector<Arguments>{{"sequence", "next", "s"}, {"sequence", "peek", "s"}, {"sequence", "list"}}) {
    EXPECT_EQ(none.run(command).exit, 4) << command[1];
  }
  EXPECT_FALSE(std::filesystem::exists(none.path()));
}

TEST_F(Sequence, WrongCommandLinesExitWith2AndSayWhereHelpIs) {
  for (const Arguments& command : std::vector<Arguments>{{"sequence"},
                                                         {"sequence", "nonsense"},
                                                         {"sequence", "next"},
                                                         {"sequence", "next", "s", "0"},
                                                         {"sequence", "next", "s", "-1"},
                                                         {"sequence", "next", "s", "x"},
                                                         {"sequence", "next", "s", "18446744073709551616"},
                                                         {"sequence", "next", "s", "1", "more"},
                                                         {"sequence", "peek"},
                                                         {"sequence", "list", "more"}}) {
    Result result = store_.run(command);
    EXPECT_EQ(result.exit, 2) << testing::PrintToString(command) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("see azoth sequence ")) << testing::PrintToString(command);
  }
  EXPECT_THAT(store_.run({"sequence"}).err, StartsWith("azoth: a command is required"));
  EXPECT_THAT(store_.run({"sequence", "nonsense"}).err, StartsWith("azoth: there is no command"));
  EXPECT_THAT(store_.run({"sequence", "next"}).err, HasSubstr("see azoth sequence next --help"));
  EXPECT_EQ(last_commit(), 0);
}

TEST_F(Sequence, EachHasHelpWithExamples) {
  for (const char* command : {"next", "peek", "list"}) {
    Result help = store_.ok({"sequence", command, "--help"});
    EXPECT_THAT(help.out, HasSubstr(std::string("Usage: azoth sequence ") + command));
    EXPECT_THAT(help.out, HasSubstr("Example"));
  }
}

}  // namespace
}  // namespace azoth::test
