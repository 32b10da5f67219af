// The command projection: declaring, running, following, rebuilding, dropping; each in a process of its own.
#include "accounts.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ProjectionCommand : public AccountsTest {};

TEST_F(ProjectionCommand, ADeclarationIsKeptAndRunAndAnswers) {
  Json added = add(accounts_sql()).json();
  EXPECT_EQ(added["projection"], "accounts");
  EXPECT_EQ(added["change"], "new");
  EXPECT_EQ(info()["state"], "never_run");
  EXPECT_EQ(info()["lag"], 2);
  Json ran = store_.ok({"--json", "projection", "run"}).json();
  EXPECT_EQ(ran["events"], 2);
  EXPECT_EQ(ran["cursor"], 2);
  EXPECT_EQ(cents(), (Cents{{"alice", 100}, {"bob", 7}}));
  EXPECT_EQ(add(accounts_sql()).json()["change"], "unchanged");
  EXPECT_EQ(store_.ok({"--json", "projection", "run", "accounts"}).json()["events"], 0);
}

TEST_F(ProjectionCommand, WhatIsWrongWithAFileIsSaidWithItsLine) {
  Result bad =
      add("-- azoth:projection accounts version 1\nCREATE TABLE t (x);\n-- azoth:on a\nINSERT INTO u VALUES (1);\n");
  EXPECT_EQ(bad.exit, 1);
  EXPECT_THAT(bad.err, HasSubstr("accounts.sql:4: "));
  EXPECT_EQ(store_.run({"projection", "add", store_.file("none.sql").string()}).exit, 4);
  EXPECT_EQ(store_.ok({"--json", "projection", "list"}).out, "");
  EXPECT_EQ(store_.run({"projection", "add"}).exit, 2);
}

TEST_F(ProjectionCommand, ADeclarationIsReadFromAPipeToo) {
  for (const char* input : {"-", "/dev/stdin"}) {
    const Result added = store_.run({"--json", "projection", "add", input}, accounts_sql());
    EXPECT_EQ(added.exit, 0) << added.err;
    EXPECT_EQ(Json::parse(added.out)["projection"], "accounts");
  }
  EXPECT_THAT(store_.run({"projection", "add", "-"}, "-- azoth:projection\n").err, HasSubstr("standard input:1: "));
}

TEST_F(ProjectionCommand, ListAndStatusSayTheSameAndItsMembersAreDocumented) {
  declare_and_run();
  deposit("carol", 1);
  Json row = info();
  std::vector<std::string> members;
  for (const auto& [member, value] : row.items()) members.push_back(member);
  EXPECT_EQ(members,
            (std::vector<std::string>{"name", "declared", "version", "state", "pid", "cursor", "newest", "lag",
                                      "lag_seconds", "dead_letters", "generation", "failure", "rebuild", "problem"}));
  EXPECT_EQ(row["state"], "stopped");
  EXPECT_EQ(row["lag"], 1);
  EXPECT_EQ(row["generation"], 1);
  EXPECT_EQ(row["pid"], nullptr);
  Json in_status = store_.ok({"--json", "status"}).json()["projections"].at(0);
  in_status.erase("lag_seconds");
  row.erase("lag_seconds");
  EXPECT_EQ(in_status, row);
  EXPECT_THAT(store_.ok({"status"}).out, HasSubstr("accounts   at event 2, lag 1 events"));
}

TEST_F(ProjectionCommand, ASecondProcessIsRefusedAndToldWhoHasIt) {
  declare();
  auto first = follow();
  Result second = store_.run({"projection", "run"});
  EXPECT_EQ(second.exit, 3);
  EXPECT_THAT(second.err, HasSubstr("process " + std::to_string(first->pid())));
  EXPECT_EQ(store_.run({"projection", "rebuild", "accounts"}).exit, 3);
  EXPECT_EQ(store_.run({"projection", "drop", "accounts"}).exit, 3);
  EXPECT_EQ(info()["pid"], first->pid());
  EXPECT_EQ(info()["state"], "running");
  EXPECT_EQ(end(*first).exit, 0);
  EXPECT_EQ(store_.run({"projection", "run"}).exit, 0);
}

TEST_F(ProjectionCommand, FollowTakesUpWhatOtherProcessesCommitUntilASignal) {
  declare();
  for (int signal : {SIGINT, SIGTERM}) {
    auto child = follow();
    const int before = info()["cursor"];
    store_.ok({"apply", "-"},
              "{\"events\":[{\"type\":\"deposited\",\"payload\":{\"account\":\"dave\",\"amount\":5}}]}\n");
    Json state;
    do {
      state = next_state(*child);
    } while (!state.is_null() && state["cursor"] != before + 1);
    EXPECT_EQ(state["state"], "live");
    Result ended = end(*child, signal);
    EXPECT_EQ(ended.exit, 0);
    EXPECT_EQ(ended.out, "");
  }
  EXPECT_EQ(cents()["dave"], 10);
}

TEST_F(ProjectionCommand, AChangedDeclarationIsBuiltAnewWhileTheOldTablesAnswer) {
  declare_and_run();
  Json replaced = add(accounts_sql(2, ":amount * 2")).json();
  EXPECT_EQ(replaced["change"], "replaced");
  EXPECT_EQ(replaced["rebuild"], true);
  EXPECT_THAT(info()["rebuild"].get<std::string>(), HasSubstr("version 2 takes the place of version 1"));
  EXPECT_EQ(cents()["alice"], 100) << "nothing has run";
  // Killed in front of an event that stops it, the new tables are not complete: the old ones go on answering.
  append("{}");
  EXPECT_EQ(store_.run({"projection", "run"}).exit, 1);
  EXPECT_EQ(cents()["alice"], 100);
  Json ran = store_.ok({"--json", "projection", "run", "--on-error", "dead-letter"}).json();
  EXPECT_THAT(ran["rebuilt"].get<std::string>(), HasSubstr("version 2"));
  EXPECT_EQ(cents()["alice"], 200);
  EXPECT_EQ(info()["generation"], 2);
  EXPECT_EQ(info()["rebuild"], nullptr);
}

TEST_F(ProjectionCommand, RebuildBeginsAtTheFirstEvent) {
  declare_and_run();
  Json rebuilt = store_.ok({"--json", "projection", "rebuild", "accounts"}).json();
  EXPECT_EQ(rebuilt["events"], 2);
  EXPECT_EQ(rebuilt["rebuilt"], "it was asked for");
  EXPECT_EQ(cents(), (Cents{{"alice", 100}, {"bob", 7}}));
  EXPECT_EQ(info()["generation"], 2);
  EXPECT_EQ(store_.run({"projection", "rebuild", "none"}).exit, 4);
}

TEST_F(ProjectionCommand, PathIsTheFileOfTheCurrentTables) {
  declare();
  EXPECT_EQ(store_.run({"projection", "path", "accounts"}).exit, 4) << "it was never run";
  EXPECT_EQ(store_.run({"projection", "path", "none"}).exit, 4);
  store_.ok({"projection", "run"});
  std::filesystem::path path = store_.ok({"projection", "path", "accounts"}).lines().at(0);
  EXPECT_TRUE(path.is_absolute());
  EXPECT_TRUE(read_file(path).starts_with("SQLite format 3"));
  store_.ok({"projection", "rebuild", "accounts"});
  EXPECT_EQ(store_.ok({"--json", "projection", "path", "accounts"}).json()["path"],
            (path.parent_path() / "accounts.2.db").string());
}

TEST_F(ProjectionCommand, DropLeavesNothingOfIt) {
  declare_and_run();
  store_.ok({"projection", "drop", "accounts"});
  EXPECT_TRUE(std::filesystem::is_empty(store_.path() / "projections"));
  EXPECT_EQ(store_.run({"projection", "drop", "accounts"}).exit, 4);
  EXPECT_EQ(store_.run({"sql", "SELECT 1", "-p", "accounts"}).exit, 4);
  declare_and_run();
  EXPECT_EQ(cents()["alice"], 100);
}

TEST_F(ProjectionCommand, OneThatFailsStopsNoOtherAndTheExitCodeSaysSo) {
  append("{}");
  declare();
  write_file(store_.file("z.sql"),
             "-- azoth:projection zcount version 1\nCREATE TABLE n (n);\n-- azoth:on *\nINSERT INTO n VALUES (1);\n");
  store_.ok({"projection", "add", store_.file("z.sql").string()});
  Result ran = store_.run({"--json", "projection", "run"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.json()["projection"], "zcount");
  EXPECT_EQ(ran.json()["cursor"], 3);
  Json error = Json::parse(ran.err);
  EXPECT_EQ(error["error"], "projection_failed");
  EXPECT_EQ(error["projection"], "accounts");
  EXPECT_THAT(error["message"].get<std::string>(), AllOf(HasSubstr("event 3"), HasSubstr("no field account")));
  EXPECT_EQ(info()["state"], "failed");
  EXPECT_THAT(info()["failure"].get<std::string>(), HasSubstr("event 3"));
  EXPECT_EQ(info()["cursor"], 2);
  EXPECT_EQ(store_.run({"projection", "run", "zcount", "none"}).exit, 4);
  store_.ok({"projection", "run", "--on-error", "dead-letter"});
  EXPECT_EQ(info()["failure"], nullptr);
}

TEST_F(ProjectionCommand, ARebuildThatFailsNamesTheCommandThatGoesOn) {
  declare_and_run();
  append("{}");
  const Result rebuilt = store_.run({"projection", "rebuild", "accounts"});
  EXPECT_EQ(rebuilt.exit, 1);
  EXPECT_THAT(rebuilt.err, HasSubstr("azoth projection rebuild accounts --on-error dead-letter"));
  store_.ok({"projection", "rebuild", "accounts", "--on-error", "dead-letter"});
}

TEST_F(ProjectionCommand, TheDocumentsExampleLoadsAndRuns) {
  const std::string text = read_file(AZOTH_SOURCE_DIR "/docs/cli.md");
  const std::size_t begin = text.find("    -- azoth:projection accounts");
  ASSERT_NE(begin, std::string::npos);
  std::string declaration;
  for (const std::string& line : split_lines(text.substr(begin, text.find("\n\n", begin) - begin))) {
    declaration += line.substr(4) + "\n";
  }
  declare_and_run();
  ASSERT_EQ(add(declaration).exit, 0);
  store_.ok({"append", "withdrawn", R"({"account":"bob","amount":2,"memo":"tea"})"});
  store_.ok({"projection", "run"});
  EXPECT_THAT(store_.ok({"sql", "SELECT owner, cents, memo FROM accounts ORDER BY 1", "--csv"}).out,
              HasSubstr("bob,5,tea"));
}

TEST_F(ProjectionCommand, FollowEndsWhenAllHaveFailed) {
  append("{}");
  declare();
  Child child(store_.arguments({"--json", "projection", "run", "--follow"}));
  Result result = child.finish();
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(Json::parse(split_lines(result.err).back())["error"], "projection_failed");
}

TEST_F(ProjectionCommand, ItWorksBesideAWriterAndOnASealedStore) {
  Child writer(store_.arguments({"apply", "-", "--ack"}));
  writer.send("{\"events\":[{\"type\":\"deposited\",\"payload\":{\"account\":\"eve\",\"amount\":3}}]}\n");
  ASSERT_TRUE(writer.read_line());
  declare_and_run();
  EXPECT_EQ(cents()["eve"], 3);
  EXPECT_EQ(writer.finish().exit, 0);
  store_.ok({"seal"});
  store_.ok({"projection", "rebuild", "accounts"});
  EXPECT_EQ(cents()["eve"], 3);
  store_.ok({"projection", "drop", "accounts"});
}

TEST_F(ProjectionCommand, TablesWithoutADeclarationAreListedAndQueriedButNotRun) {
  declare_and_run();
  std::filesystem::remove(store_.path() / "projections" / "accounts.sql");
  EXPECT_EQ(info()["declared"], false);
  EXPECT_EQ(cents()["alice"], 100);
  Result run = store_.run({"projection", "run", "accounts"});
  EXPECT_EQ(run.exit, 4);
  EXPECT_THAT(run.err, HasSubstr("handlers of its own"));
}

TEST_F(ProjectionCommand, OneWhoseDeclarationCannotBeReadIsShownWithItsTables) {
  declare_and_run();
  append(R"({"account":"carol"})");
  store_.run({"projection", "run", "--on-error", "dead-letter"});
  write_file(store_.path() / "projections" / "accounts.sql", "x");
  EXPECT_EQ(info()["generation"], 1);
  EXPECT_EQ(info()["cursor"], 3);
  EXPECT_EQ(store_.ok({"--json", "dlq", "list"}).json_lines().size(), 1u);
  const Result query = store_.run({"sql", "--csv", "SELECT count(*) AS n FROM accounts"});
  EXPECT_EQ(query.exit, 0);
  EXPECT_EQ(query.out, "n\r\n2\r\n");
  EXPECT_THAT(query.err, HasSubstr("accounts is not to be relied on"));
}

TEST_F(ProjectionCommand, MessagesInJsonAreUtf8WhateverTheNameIs) {
  const Result run = store_.run({"--json", "projection", "run", "\xff"});
  EXPECT_EQ(run.exit, 4);
  for (const std::string& line : split_lines(run.err)) EXPECT_TRUE(Json::accept(line)) << line;
  declare_and_run();
  const Result query = store_.run({"--json", "sql", "SELECT 1 AS \"\xff\", 2 AS \"\xff\""});
  EXPECT_NO_THROW((void)query.json()) << query.out;
}

TEST_F(ProjectionCommand, WithoutAStoreItIsNotFoundAndNothingIsMade) {
  StoreDir none;
  for (const char* command : {"list", "run"}) EXPECT_EQ(none.run({"projection", command}).exit, 4);
  EXPECT_FALSE(std::filesystem::exists(none.path()));
  EXPECT_EQ(store_.run({"projection"}).exit, 2);
  EXPECT_EQ(store_.run({"projection", "run", "--on-error", "maybe"}).exit, 2);
}

class ProjectedHistory : public testing::TestWithParam<const char*> {};

TEST_P(ProjectedHistory, CountsAreThoseExpected) {
  const std::filesystem::path directory = AZOTH_HISTORY_DIR;
  const std::filesystem::path input = directory / (std::string(GetParam()) + "-history.jsonl");
  if (!std::filesystem::exists(input)) GTEST_SKIP() << input << " is not there";
  const Json expected = Json::parse(read_file(directory / (std::string(GetParam()) + "-history.expected.json")));
  StoreDir store;
  store.init();
  store.ok({"apply", input.string(), "--durability", "written"});
  store.ok({"projection", "add", AZOTH_EXAMPLES_DIR "/git-history.sql"});
  store.ok({"projection", "run"});
  auto counts = [&](const std::string& query) {
    std::map<std::string, int> all;
    for (const Json& row : store.ok({"--json", "sql", query}).json_lines()) all[row["k"]] = row["n"];
    return all;
  };
  EXPECT_EQ(counts("SELECT type AS k, events AS n FROM event_types"),
            (expected["events_by_type"].get<std::map<std::string, int>>()));
  EXPECT_EQ(counts("SELECT author AS k, sum(commits) AS n FROM commits GROUP BY author"),
            (expected["commits_by_author"].get<std::map<std::string, int>>()));
  EXPECT_EQ(counts("SELECT 'files' AS k, count(*) AS n FROM files WHERE exists_now")["files"],
            expected["state"].size());
}

INSTANTIATE_TEST_SUITE_P(Of, ProjectedHistory, testing::Values("leveldb", "lmdb"),
                         [](const auto& suite) { return std::string(suite.param); });

}  // namespace
}  // namespace azoth::test
