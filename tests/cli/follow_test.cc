// events --follow: what is there, then what comes, from this process's neighbours, until it is told to end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "program.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;

class Follow : public testing::Test {
 protected:
  void SetUp() override {
    store_.init();
    for (int i = 1; i <= 4; ++i) append(i % 2 == 0 ? "even" : "odd", "n:" + std::to_string(i));
  }

  void append(const std::string& type, const std::string& tag = "x:y") { store_.ok({"append", type, "--tag", tag}); }

  std::unique_ptr<Child> follow(Arguments options) {
    options.insert(options.begin(), {"events", "--follow", "--json"});
    return std::make_unique<Child>(store_.arguments(options));
  }

  // The ids of the next events that it prints; waits for them.
  static std::vector<int> ids(Child& child, std::size_t count) {
    std::vector<int> result;
    while (result.size() < count) {
      std::optional<std::string> line = child.read_line();
      if (!line) break;
      result.push_back(Json::parse(*line)["id"].get<int>());
    }
    return result;
  }

  static void expect_ends_by(Child& child, int signal) {
    ::kill(child.pid(), signal);
    Result result = child.finish();
    EXPECT_EQ(result.exit, 0) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, "");
  }

  StoreDir store_;
};

TEST_F(Follow, PrintsWhatIsThereAndThenWhatComes) {
  auto child = follow({});
  EXPECT_THAT(ids(*child, 4), ElementsAre(1, 2, 3, 4));
  append("odd");
  EXPECT_THAT(ids(*child, 1), ElementsAre(5));
  append("even");
  append("odd");
  EXPECT_THAT(ids(*child, 2), ElementsAre(6, 7));
  expect_ends_by(*child, SIGTERM);
}

TEST_F(Follow, AProcessThatKeepsTheStoreOpenIsFollowedEventByEvent) {
  Child writer(store_.arguments({"apply", "-", "--ack"}));
  auto child = follow({"--after", "4"});
  for (int id = 5; id <= 20; ++id) {
    writer.send("{\"events\":[{\"type\":\"t\"}]}\n");
    ASSERT_TRUE(writer.read_line());
    ASSERT_THAT(ids(*child, 1), ElementsAre(id)) << "each is printed without waiting for another";
  }
  EXPECT_EQ(writer.finish().exit, 0);
  expect_ends_by(*child, SIGINT);
}

TEST_F(Follow, EventsOfOneCommitComeInOrder) {
  auto child = follow({"--after", "4"});
  std::string line = "{\"events\":[";
  for (int i = 0; i < 100; ++i) line += std::string(i == 0 ? "" : ",") + R"({"type":"t"})";
  store_.ok({"apply", "-"}, line + "]}\n");
  std::vector<int> expected;
  for (int id = 5; id <= 104; ++id) expected.push_back(id);
  EXPECT_EQ(ids(*child, 100), expected);
  expect_ends_by(*child, SIGTERM);
}

TEST_F(Follow, SelectsByTypeTagAndId) {
  auto types = follow({"--type", "even", "--type", "third", "--after", "2"});
  auto tags = follow({"--tag", "n:4", "--tag", "x:y"});
  EXPECT_THAT(ids(*types, 1), ElementsAre(4));
  append("odd");
  store_.ok({"append", "third", "--tag", "x:y", "--tag", "n:4"});
  append("even", "n:4");
  EXPECT_THAT(ids(*types, 2), ElementsAre(6, 7));
  EXPECT_THAT(ids(*tags, 1), ElementsAre(6));
  expect_ends_by(*types, SIGTERM);
  expect_ends_by(*tags, SIGTERM);
}

TEST_F(Follow, AfterAnIdThatDoesNotExistYetWaitsForTheNextOne) {
  auto child = follow({"--after", "5"});
  append("odd");
  append("even");
  EXPECT_THAT(ids(*child, 1), ElementsAre(6));
  expect_ends_by(*child, SIGTERM);
}

TEST_F(Follow, LastIsTheNewestAndThenWhatComes) {
  auto child = follow({"--last", "1", "--type", "odd"});
  EXPECT_THAT(ids(*child, 1), ElementsAre(3));
  append("even");
  append("odd");
  EXPECT_THAT(ids(*child, 1), ElementsAre(6));
  auto both = follow({"--last", "2", "--limit", "3"});
  EXPECT_THAT(ids(*both, 2), ElementsAre(5, 6));
  append("even");
  EXPECT_THAT(ids(*both, 2), ElementsAre(7));
  EXPECT_EQ(both->finish().exit, 0);
  expect_ends_by(*child, SIGTERM);
}

TEST_F(Follow, LimitEndsIt) {
  auto at_once = follow({"--limit", "3"});
  EXPECT_THAT(ids(*at_once, 4), ElementsAre(1, 2, 3));
  EXPECT_EQ(at_once->finish().exit, 0);
  auto later = follow({"--limit", "5"});
  EXPECT_THAT(ids(*later, 4), ElementsAre(1, 2, 3, 4));
  store_.ok({"apply", "-"}, "{\"events\":[{\"type\":\"a\"},{\"type\":\"b\"}]}\n");
  EXPECT_THAT(ids(*later, 2), ElementsAre(5));
  EXPECT_EQ(later->finish().exit, 0);
  auto nothing = follow({"--limit", "0"});
  EXPECT_THAT(ids(*nothing, 1), ElementsAre());
  EXPECT_EQ(nothing->finish().exit, 0);
}

TEST_F(Follow, ForPeopleItIsALineEachToo) {
  Child child(store_.arguments({"events", "--follow", "--last", "1"}));
  EXPECT_THAT(child.read_line().value_or(""), testing::StartsWith("4\t"));
  append("next");
  EXPECT_THAT(child.read_line().value_or(""), testing::StartsWith("5\t"));
  expect_ends_by(child, SIGTERM);
}

TEST_F(Follow, WhatAnUnacknowledgedCrashLeftAndWhatComesAfterItAreBothPrinted) {
  Child writer(store_.arguments({"apply", "-", "--ack", "--durability", "written"}));
  auto child = follow({"--after", "4"});
  writer.send("{\"events\":[{\"type\":\"t\"}]}\n");
  ASSERT_TRUE(writer.read_line());
  writer.kill();
  EXPECT_EQ(writer.finish().signal, 9);
  EXPECT_THAT(ids(*child, 1), ElementsAre(5));
  append("after");
  EXPECT_THAT(ids(*child, 1), ElementsAre(6));
  expect_ends_by(*child, SIGTERM);
}

TEST_F(Follow, SealingAndUnsealingAreNoEventsAndDoNotEndIt) {
  auto child = follow({});
  EXPECT_THAT(ids(*child, 4), ElementsAre(1, 2, 3, 4));
  store_.ok({"seal"});
  store_.ok({"unseal"});
  append("after");
  EXPECT_THAT(ids(*child, 1), ElementsAre(5));
  expect_ends_by(*child, SIGTERM);
}

TEST_F(Follow, AReaderThatGoesAwayEndsItQuietlyEvenWhileNothingHappens) {
  auto child = follow({});
  EXPECT_THAT(ids(*child, 4), ElementsAre(1, 2, 3, 4));
  child->close_output();
  Result result = child->finish();
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(result.err, "");
}

TEST_F(Follow, ASignalEndsItAlsoWhileNobodyReadsItsOutput) {
  std::string lines;
  for (int i = 0; i < 300; ++i)
    lines += "{\"events\":[{\"type\":\"t\",\"payload\":\"" + std::string(1000, 'x') + "\"}]}\n";
  store_.ok({"apply", "-", "--durability", "written"}, lines);
  auto child = follow({});
  ASSERT_THAT(ids(*child, 4), ElementsAre(1, 2, 3, 4));  // more than a pipe takes is on its way
  ::kill(child->pid(), SIGTERM);
  int exit = -1;
  child->wait_with_input_open(exit);
  EXPECT_EQ(exit, 0);
}

TEST_F(Follow, AStoreThatIsMovedAwayOrRemovedIsAnError) {
  for (bool removed : {false, true}) {
    auto child = follow({"--last", "1"});
    ASSERT_THAT(ids(*child, 1), ElementsAre(4));
    std::filesystem::path aside = store_.file("aside");
    std::filesystem::remove_all(aside);
    if (removed) {
      std::filesystem::copy(store_.path(), aside, std::filesystem::copy_options::recursive);
      std::filesystem::remove_all(store_.path());
    } else {
      std::filesystem::rename(store_.path(), aside);
    }
    Result result = child->finish();
    EXPECT_THAT(result.exit, AllOf(Ge(1), Le(5)));  // what it says depends on how far the removal is when it looks
    EXPECT_FALSE(Json::parse(result.err)["message"].get<std::string>().empty());
    if (!removed) {
      EXPECT_EQ(result.exit, 1);
      EXPECT_EQ(Json::parse(result.err)["error"], "store_failed");
      EXPECT_THAT(result.err, HasSubstr("moved, removed or replaced"));
    }
    std::filesystem::rename(aside, store_.path());
  }
}

TEST_F(Follow, WithToOrReverseItIsAUsageErrorThatSaysWhy) {
  Result to = store_.run({"events", "--follow", "--to", "9"});
  EXPECT_EQ(to.exit, 2);
  EXPECT_THAT(to.err, HasSubstr("never ends at an id"));
  Result reverse = store_.run({"events", "--follow", "--reverse"});
  EXPECT_EQ(reverse.exit, 2);
  EXPECT_THAT(reverse.err, HasSubstr("as they come"));
}

TEST_F(Follow, WithoutAStoreItIsNotFoundAndCreatesNothing) {
  StoreDir none;
  EXPECT_EQ(none.run({"events", "--follow"}).exit, 4);
  EXPECT_FALSE(std::filesystem::exists(none.path()));
}

TEST_F(Follow, ASignalEndsItAlsoWhileItGoesThroughWhatIsNotSelected) {
  std::string line;
  for (int i = 0; i < 1000; ++i) line += std::string(i == 0 ? "" : ",") + R"({"type":"t"})";
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += "{\"events\":[" + line + "]}\n";
  store_.ok({"apply", "-", "--durability", "written"}, lines);
  append("rare");
  auto ended_before = [&](const Arguments& options) {
    Arguments command = {"events", "--follow"};
    command.insert(command.end(), options.begin(), options.end());
    const Result result = Child(store_.arguments(command), {.pending_signal = SIGTERM}).finish();
    EXPECT_EQ(result.exit, 0) << result.err;
    return result.out.empty();
  };
  // It may have come to the end before it looks.
  bool first = false;
  bool newest = false;
  for (int i = 0; i < 20 && !first; ++i) first = ended_before({"--type", "rare"});
  for (int i = 0; i < 20 && !newest; ++i) newest = ended_before({"--type", "odd", "--last", "2"});
  EXPECT_TRUE(first);
  EXPECT_TRUE(newest);
}

}  // namespace
}  // namespace azoth::test
