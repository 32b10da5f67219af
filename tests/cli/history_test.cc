// Real histories: each commit of a repository is one transaction, the state is its set of files. They lie beside the
// source tree where they are available; without them these tests are skipped.
#include <gtest/gtest.h>

#include <map>

#include "program.h"

namespace azoth::test {
namespace {

class History : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::filesystem::path directory = AZOTH_HISTORY_DIR;
    input_ = directory / (std::string(GetParam()) + "-history.jsonl");
    std::filesystem::path expected = directory / (std::string(GetParam()) + "-history.expected.json");
    if (!std::filesystem::exists(input_) || !std::filesystem::exists(expected)) {
      GTEST_SKIP() << input_ << " is not there";
    }
    expected_ = Json::parse(read_file(expected));
    store_.init();
  }

  std::filesystem::path input_;
  Json expected_;
  StoreDir store_;
};

TEST_P(History, ComesOutAsExpected) {
  Json summary = store_.ok({"--json", "apply", input_.string(), "--durability", "written"}).json();
  EXPECT_EQ(summary["transactions"], expected_["transactions"]);
  EXPECT_EQ(summary["events"], expected_["events"]);
  EXPECT_EQ(summary["refused"], 0);

  std::map<std::string, int> types;
  std::map<std::string, int> authors;
  std::map<std::uint64_t, int> events_of_commit;
  std::uint64_t id = 0;
  for (const Json& event : store_.ok({"events", "--json"}).json_lines()) {
    ASSERT_EQ(event["id"], ++id);
    ++types[event["type"]];
    ++events_of_commit[event["commit"].get<std::uint64_t>()];
    if (event["type"] == "commit.made") ++authors[event["payload"]["author"]];
  }
  EXPECT_EQ(types, (expected_["events_by_type"].get<std::map<std::string, int>>()));
  EXPECT_EQ(authors, (expected_["commits_by_author"].get<std::map<std::string, int>>()));
  int largest = 0;
  for (const auto& [commit, events] : events_of_commit) largest = std::max(largest, events);
  EXPECT_EQ(largest, expected_["largest_transaction_events"]);

  std::map<std::string, std::string> state;
  for (const Json& entry : store_.ok({"scan", "--json"}).json_lines()) state[entry["key"]] = entry["value"];
  EXPECT_EQ(state, (expected_["state"].get<std::map<std::string, std::string>>()));

  Json status = store_.ok({"--json", "status"}).json();
  EXPECT_EQ(status["last_commit"], expected_["transactions"]);
  EXPECT_EQ(status["last_event"], expected_["events"]);
  EXPECT_EQ(status["state_keys"], expected_["state"].size());
}

TEST_P(History, ReopeningAndExportingKeepTheDigest) {
  store_.ok({"apply", input_.string(), "--durability", "written"});
  std::string digest = store_.ok({"digest"}).out;
  EXPECT_EQ(store_.ok({"digest"}).out, digest);
  StoreDir copy;
  copy.init();
  copy.ok({"apply", "-", "--durability", "written"}, store_.ok({"export"}).out);
  EXPECT_EQ(copy.ok({"digest"}).out, digest);
  store_.ok({"verify"});
  copy.ok({"verify"});
}

INSTANTIATE_TEST_SUITE_P(Of, History, testing::Values("leveldb", "lmdb"),
                         [](const auto& suite) { return std::string(suite.param); });

}  // namespace
}  // namespace azoth::test
