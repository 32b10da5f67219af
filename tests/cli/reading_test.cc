// Reading commands beside a writer in another process, without one, and after a crash: they take nothing and change
// nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "program.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

const std::vector<Arguments> kReadingCommands = {{"get", "k"}, {"scan"},   {"events"}, {"status"},
                                                 {"verify"},   {"digest"}, {"export"},
                                                 {"sequence", "list"},     {"sequence", "peek", "s"}};

class Reading : public testing::Test {
 protected:
  void SetUp() override {
    store_.init();
    store_.ok({"apply", "-"},
              "{\"put\":{\"k\":\"v\"},\"events\":[{\"type\":\"t\",\"tags\":[\"a:b\"]},{\"type\":\"u\"}]}\n");
  }

  // A writer that has the store open and has committed this one line.
  std::unique_ptr<Child> writer(const std::string& line, const std::string& level = "durable") {
    auto child = std::make_unique<Child>(store_.arguments({"apply", "-", "--ack", "--durability", level}));
    child->send(line + "\n");
    EXPECT_TRUE(child->read_line()) << "the writer has ended";
    return child;
  }

  // Every file with what is in it, LMDB's lock file apart: readers have their slots in it.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> result;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store_.path())) {
      if (!entry.is_regular_file() || entry.path().filename() == "lock.mdb") continue;
      result[entry.path().string()] = read_file(entry.path());
    }
    return result;
  }

  StoreDir store_;
};

TEST_F(Reading, EveryReadingCommandWorksBesideAWriterAndSeesWhatItAcknowledged) {
  auto holder = writer(R"({"put":{"k":"w","l":"x"},"events":[{"type":"beside"}]})");
  for (const Arguments& command : kReadingCommands) {
    Result result = store_.run(command);
    EXPECT_EQ(result.exit, 0) << command.front() << ": " << result.err;
    EXPECT_EQ(result.err, "") << command.front();
  }
  EXPECT_EQ(store_.ok({"get", "k"}).out, "w\n");
  EXPECT_EQ(store_.ok({"scan"}).out, "k\tw\nl\tx\n");
  EXPECT_EQ(store_.ok({"events", "--json", "--last", "1"}).json()["type"], "beside");
  EXPECT_TRUE(store_.ok({"verify", "--json"}).json()["ok"].get<bool>());
  EXPECT_THAT(store_.ok({"export"}).out, HasSubstr("beside"));
  Json status = store_.ok({"--json", "status"}).json();
  EXPECT_EQ(status["last_commit"], 2);
  EXPECT_EQ(status["last_event"], 3);
  std::string digest = store_.ok({"digest"}).out;

  holder->send("{\"put\":{\"k\":\"still written\"}}\n");
  EXPECT_TRUE(holder->read_line()) << "reading took nothing from the writer";
  EXPECT_EQ(store_.ok({"get", "k"}).out, "still written\n");
  EXPECT_NE(store_.ok({"digest"}).out, digest);
  EXPECT_EQ(holder->finish().exit, 0);
}

TEST_F(Reading, WhatIsOnlyWrittenIsSeen) {
  auto holder = writer(R"({"put":{"k":"written"}})", "written");
  EXPECT_EQ(store_.ok({"get", "k"}).out, "written\n");
  EXPECT_EQ(holder->finish().exit, 0);
}

TEST_F(Reading, WritingCommandsBesideAWriterAreRefusedNamingIt) {
  auto holder = writer(R"({"put":{"k":"w"}})");
  for (const Arguments& command :
       std::vector<Arguments>{{"put", "k", "x"}, {"del", "k"}, {"append", "t"}, {"apply", "-"}, {"seal"}, {"unseal"}}) {
    Result result = store_.run(command);
    EXPECT_EQ(result.exit, 3) << command.front();
    EXPECT_THAT(result.err, HasSubstr(std::to_string(holder->pid()))) << command.front();
  }
  EXPECT_EQ(holder->finish().exit, 0);
}

TEST_F(Reading, AfterACrashEverythingIsSeenAndNothingIsChanged) {
  auto holder = writer(R"({"put":{"k":"crashed"},"events":[{"type":"crashed"}]})", "written");
  holder->kill();
  EXPECT_EQ(holder->finish().signal, 9);
  auto before = files();
  for (const Arguments& command : kReadingCommands) EXPECT_EQ(store_.run(command).exit, 0) << command.front();
  EXPECT_EQ(store_.ok({"get", "k"}).out, "crashed\n");
  Json status = store_.ok({"--json", "status"}).json();
  EXPECT_FALSE(status["has_writer"].get<bool>());
  EXPECT_FALSE(status["recovery"]["clean"].get<bool>());
  EXPECT_EQ(status["recovery"]["last_commit"], 2);
  EXPECT_TRUE(files() == before);
  store_.ok({"put", "k", "recovered"});
  EXPECT_TRUE(store_.ok({"--json", "status"}).json()["recovery"]["clean"].get<bool>());
}

TEST_F(Reading, WithoutAWriterNothingIsCreatedOrChanged) {
  auto before = files();
  for (const Arguments& command : kReadingCommands) EXPECT_EQ(store_.run(command).exit, 0) << command.front();
  EXPECT_TRUE(files() == before);
}

TEST_F(Reading, StatusBesideAWriterSaysWhoseNumbersItShows) {
  EXPECT_FALSE(store_.ok({"--json", "status"}).json()["has_writer"].get<bool>());
  EXPECT_THAT(store_.ok({"status"}).out, AllOf(HasSubstr("writer     none"), HasSubstr("writes     accepted")));
  auto holder = writer(R"({"put":{"k":"w"}})");
  Json status = store_.ok({"--json", "status"}).json();
  EXPECT_TRUE(status["has_writer"].get<bool>());
  EXPECT_TRUE(status["recovery"].is_null()) << "nothing is to be recovered while somebody writes";
  for (const char* own :
       {"delta_bytes", "live_deltas", "readers", "syncs", "flushes", "batches", "commits", "pauses"}) {
    EXPECT_THAT(status["own"].get<std::vector<std::string>>(), Contains(own));
  }
  for (const Json& own : status["own"]) EXPECT_TRUE(status.contains(own.get<std::string>())) << own;
  for (const char* stores :
       {"last_commit", "last_event", "sealed_event", "state_keys", "journal_bytes", "flushed_seq"}) {
    EXPECT_THAT(status["own"].get<std::vector<std::string>>(), Not(Contains(stores)));
  }
  EXPECT_THAT(store_.ok({"status"}).out, AllOf(HasSubstr("a process has the store open for writing"),
                                               HasSubstr("the writer's own numbers are not known here")));
  EXPECT_EQ(holder->finish().exit, 0);
}

TEST_F(Reading, ManyReadersAtOnceAreFine) {
  auto holder = writer(R"({"put":{"k":"w"}})");
  std::vector<std::unique_ptr<Child>> readers;
  for (int i = 0; i < 8; ++i) readers.push_back(std::make_unique<Child>(store_.arguments({"digest"})));
  std::string digest = store_.ok({"digest"}).out;
  for (auto& reader : readers) {
    Result result = reader->finish();
    EXPECT_EQ(result.exit, 0) << result.err;
    EXPECT_EQ(result.out, digest);
  }
  EXPECT_EQ(holder->finish().exit, 0);
}

}  // namespace
}  // namespace azoth::test
