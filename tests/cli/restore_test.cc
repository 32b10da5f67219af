// The command restore: a store as it was, at every point that a set leads to, and what it says of those it does not.
#include "accounts.h"
#include "backups.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class RestoreCommand : public BackupsTest {};

TEST_F(RestoreCommand, TheStoreComesBackAsItWas) {
  const std::string exported = store_.ok({"export"}).out;
  create();
  const Json report = restore();
  EXPECT_EQ(members(report), (std::vector<std::string>{"store_id", "directory", "timeline", "commit", "event", "time",
                                                       "snapshots", "rounded", "sealed_event", "sequences_moved_back",
                                                       "projections", "rebuilt", "notes", "seconds"}));
  EXPECT_EQ(report["store_id"], status()["store_id"]);
  EXPECT_EQ(report["directory"], target());
  EXPECT_EQ(report["commit"], 2);
  EXPECT_EQ(report["event"], 3);
  EXPECT_EQ(report["snapshots"], (Json{1}));
  EXPECT_EQ(report["rounded"], nullptr);
  EXPECT_EQ(report["sealed_event"], nullptr);
  EXPECT_EQ(report["sequences_moved_back"], Json::array());
  EXPECT_EQ(on("target", {"digest"}).out, digest());
  EXPECT_EQ(on("target", {"export"}).out, exported);
  EXPECT_EQ(on("target", {"verify"}).exit, 0);
  const Json restored = on("target", {"--json", "status"}).json();
  EXPECT_EQ(restored["store_id"], status()["store_id"]);
  EXPECT_EQ(restored["timeline"], report["timeline"]);
  EXPECT_NE(restored["timeline"], status()["timeline"]);
  EXPECT_EQ(restored["last_commit"], 2);
  EXPECT_EQ(restored["backup_sets"], Json::array()) << "the set is the old timeline's";
}

TEST_F(RestoreCommand, PeopleAreToldTheSame) {
  create();
  const std::string text = store_.ok({"restore", set(), target()}).out;
  const std::string id = status()["store_id"];
  EXPECT_THAT(text, AllOf(HasSubstr("restored store " + id + " into " + target() + " in "),
                          HasSubstr("it ends with commit 2, event 3"), HasSubstr(", from snapshots 1\n"),
                          HasSubstr("its timeline is ")));
}

TEST_F(RestoreCommand, EveryCommitBehindTheFullOneComesBack) {
  create();
  std::map<int, std::string> digests = {{2, digest()}};
  for (int i = 3; i <= 8; ++i) {
    commit(R"({"put":{"a":")" + std::to_string(i) + R"("},"events":[{"type":"t","payload":)" + std::to_string(i) +
           "}]}");
    digests[i] = digest();
    if (i % 2 == 0) increment();
  }
  for (const auto& [seq, expected] : digests) {
    const std::string by_commit = "commit-" + std::to_string(seq);
    EXPECT_EQ(restore({"--commit", std::to_string(seq)}, by_commit)["commit"], seq);
    EXPECT_EQ(on(by_commit, {"digest"}).out, expected) << seq;
    const std::string by_event = "event-" + std::to_string(seq);  // commit 2 ends with event 3
    EXPECT_EQ(restore({"--event", std::to_string(seq + 1)}, by_event)["event"], seq + 1);
    EXPECT_EQ(on(by_event, {"digest"}).out, expected) << seq;
  }
}

TEST_F(RestoreCommand, AnEventInsideATransactionIsRoundedAndThatIsSaid) {
  create();
  const std::string then = digest();
  commit(R"({"put":{"a":"3"},"events":[{"type":"p"},{"type":"q"}]})");
  increment();
  const Json report = restore({"--event", "4"});
  EXPECT_EQ(report["commit"], 2);
  EXPECT_EQ(report["event"], 3);
  EXPECT_THAT(report["rounded"].get<std::string>(), HasSubstr("4"));
  EXPECT_EQ(on("target", {"digest"}).out, then);
  EXPECT_THAT(store_.ok({"restore", set(), target("text"), "--event", "4"}).out, HasSubstr("\nrounded: "));
}

TEST_F(RestoreCommand, ATimeIsTheLastCommitBeforeALaterOne) {
  create();
  const std::string then = digest();
  const std::string time = restorable()["newest"]["time"];
  commit(R"({"put":{"a":"3"}})");
  increment();
  EXPECT_EQ(restore({"--time", time})["commit"], 2);
  EXPECT_EQ(on("target", {"digest"}).out, then);
  EXPECT_EQ(restore({"--time", "2100-01-01T00:00:00+01:00"}, "later")["commit"], 3);
}

TEST_F(RestoreCommand, WhatTheSetDoesNotReachIsNamedWithWhatItDoes) {
  create();
  commit(R"({"put":{"a":"3"},"events":[{"type":"t"}]})");
  increment();
  for (const Arguments& beyond : std::vector<Arguments>{{"--event", "100"}, {"--commit", "100"}}) {
    const Result result = try_restore(beyond);
    EXPECT_EQ(result.exit, 4) << beyond[0];
    EXPECT_EQ(Json::parse(result.err)["error"], "not_found");
    EXPECT_THAT(message(result), AllOf(HasSubstr("100"), HasSubstr("commit 3"))) << beyond[0];
  }
  for (const Arguments& before :
       std::vector<Arguments>{{"--event", "1"}, {"--commit", "1"}, {"--time", "2000-01-01T00:00:00Z"}}) {
    const Result result = try_restore(before);
    EXPECT_EQ(result.exit, 4) << before[0];
    EXPECT_THAT(message(result), AllOf(HasSubstr("earliest"), HasSubstr("commit 2"))) << before[0];
  }
  const Result timeline = try_restore({"--timeline", std::string(32, '0')});
  EXPECT_EQ(timeline.exit, 4);
  EXPECT_FALSE(std::filesystem::exists(target()));
}

TEST_F(RestoreCommand, ARestoredStoreGoesOnUnlessItIsSealed) {
  create();
  restore();
  EXPECT_EQ(on("target", {"append", "t"}).out, "4\n");
  EXPECT_EQ(on("target", {"put", "k", "v"}).exit, 0);
  EXPECT_EQ(on("target", {"verify"}).exit, 0);

  const Json report = restore({"--sealed"}, "sealed");
  EXPECT_EQ(report["sealed_event"], 3);
  EXPECT_EQ(on("sealed", {"append", "t"}).exit, 3);
  EXPECT_EQ(on("sealed", {"digest"}).out, digest());
  EXPECT_EQ(on("sealed", {"unseal"}).exit, 0);
  EXPECT_EQ(on("sealed", {"append", "t"}).out, "4\n");
}

TEST_F(RestoreCommand, ABackupOfASealedStoreIsNotSealedUnlessAsked) {
  create({"--seal-store"});
  EXPECT_EQ(restore()["sealed_event"], nullptr);
  EXPECT_EQ(on("target", {"append", "t"}).exit, 0);
}

TEST_F(RestoreCommand, ARestoredStoreIsBackedUpIntoTheSameSetAndBothHistoriesStay) {
  create();
  commit(R"({"put":{"a":"old"}})");
  increment();
  const std::string old_timeline = status()["timeline"];
  const std::string old_digest = digest();
  restore({"--commit", "2"});
  EXPECT_EQ(on("target", {"put", "a", "new"}).exit, 0);
  const std::string new_digest = on("target", {"digest"}).out;
  const Result full = on("target", {"--json", "backup", "create", set()});
  EXPECT_EQ(full.exit, 0) << full.err;
  restore({}, "newest");
  EXPECT_EQ(on("newest", {"digest"}).out, new_digest);
  restore({"--timeline", old_timeline}, "older");
  EXPECT_EQ(on("older", {"digest"}).out, old_digest);
}

TEST_F(RestoreCommand, SequencesThatMovedBackAreNamedAndCanBeAdvanced) {
  store_.ok({"sequence", "next", "invoice", "10"});
  const int last_commit = create()["last_commit"];
  store_.ok({"sequence", "next", "invoice", "5000"});
  increment();
  const Json report = restore({"--commit", std::to_string(last_commit)});
  ASSERT_EQ(report["sequences_moved_back"].size(), 1u);
  const Json moved = report["sequences_moved_back"][0];
  EXPECT_EQ(members(moved), (std::vector<std::string>{"sequence", "next", "was"}));
  EXPECT_EQ(moved["sequence"], "invoice");
  EXPECT_LT(moved["next"].get<int>(), moved["was"].get<int>());
  EXPECT_EQ(on("target", {"--json", "sequence", "peek", "invoice"}).json()["next"], moved["next"]);
  const std::string text = store_.ok({"restore", set(), target("text"), "--commit", std::to_string(last_commit)}).out;
  EXPECT_THAT(text, AllOf(HasSubstr("warning: sequence invoice goes on with "), HasSubstr("--advance-sequences ")));
  const int missing = moved["was"].get<int>() - moved["next"].get<int>();
  const Json advanced =
      restore({"--commit", std::to_string(last_commit), "--advance-sequences", std::to_string(missing)}, "advanced");
  EXPECT_EQ(advanced["sequences_moved_back"], Json::array());
  EXPECT_EQ(on("advanced", {"--json", "sequence", "peek", "invoice"}).json()["next"], moved["was"]);
}

TEST_F(RestoreCommand, ProjectionsComeBackOrAreBuiltAnew) {
  commit(R"({"events":[{"type":"deposited","payload":{"account":"alice","amount":100}}]})");
  write_file(store_.file("accounts.sql"), accounts_sql());
  store_.ok({"projection", "add", store_.file("accounts.sql").string()});
  store_.ok({"projection", "run"});
  create();
  const Arguments query = {"--json", "sql", "SELECT cents FROM accounts WHERE owner = 'alice'"};
  const Json with_tables = restore();
  EXPECT_EQ(with_tables["projections"], (Json{"accounts"}));
  EXPECT_EQ(with_tables["rebuilt"], Json::array());
  EXPECT_EQ(on("target", query).json()["cents"], 100);
  const Json without = restore({"--no-projections"}, "without");
  EXPECT_EQ(without["projections"], Json::array());
  EXPECT_EQ(without["rebuilt"], (Json{"accounts"}));
  EXPECT_EQ(on("without", query).exit, 4) << "there are no tables yet";
  EXPECT_EQ(on("without", {"projection", "run"}).exit, 0);
  EXPECT_EQ(on("without", query).json()["cents"], 100);
}

TEST_F(RestoreCommand, ATargetThatHoldsSomethingIsRefused) {
  create();
  std::filesystem::create_directory(target());
  restore();
  const Result again = try_restore({});
  EXPECT_EQ(again.exit, 3);
  EXPECT_EQ(Json::parse(again.err)["error"], "already_exists");
  EXPECT_THAT(message(again), HasSubstr(target()));
  write_file(store_.file("file"), "mine");
  EXPECT_EQ(try_restore({}, "file").exit, 3);
  EXPECT_EQ(read_file(store_.file("file")), "mine");
  const Result itself = store_.run({"restore", set(), store_.path().string()});
  EXPECT_EQ(itself.exit, 3);
  EXPECT_EQ(on("target", {"digest"}).out, digest());
}

TEST_F(RestoreCommand, LinksToDirectoriesAreFollowed) {
  std::filesystem::create_directory(store_.file("real"));
  std::filesystem::create_symlink("real", store_.file("link"));
  const std::string set = store_.file("link/set").string();
  store_.ok({"backup", "create", set});
  std::filesystem::create_symlink(set, store_.file("to-set"));
  commit(R"({"put":{"a":"3"}})");
  const std::string to_set = store_.file("to-set").string();
  store_.ok({"backup", "create", to_set, "--incremental"});
  EXPECT_THAT(store_.ok({"backup", "list", to_set}).out, HasSubstr("2  diff"));
  store_.ok({"backup", "verify", to_set});
  std::filesystem::create_directory(store_.file("empty"));
  std::filesystem::create_symlink("empty", store_.file("to-empty"));
  store_.ok({"restore", to_set, store_.file("to-empty").string()});
  EXPECT_EQ(on("empty", {"digest"}).out, digest());
  store_.ok({"keygen", store_.file("link/key").string()});
  EXPECT_TRUE(std::filesystem::exists(store_.file("real/key")));
}

TEST_F(RestoreCommand, TheDirectoryInWhichItRunsIsNotReplaced) {
  create();
  std::filesystem::create_directory(target());
  Child child(store_.arguments({"restore", set(), "."}), {.work_directory = target()});
  const Result result = child.finish();
  EXPECT_EQ(result.exit, 1);
  EXPECT_THAT(result.err, HasSubstr("name it from outside"));
  EXPECT_TRUE(std::filesystem::is_empty(target()));
}

TEST_F(RestoreCommand, WhatIsMadeIsSaidWhenOnlyTheAnswerCannotBePrinted) {
  const auto without_output = [&](const Arguments& command) {
    const Result result = Child(store_.arguments(command), {.closed = {1}}).finish();
    EXPECT_EQ(result.exit, 1);
    return result.err;
  };
  EXPECT_THAT(without_output({"backup", "create", set()}), HasSubstr("snapshot 1 was made, but "));
  EXPECT_THAT(without_output({"restore", set(), target()}), HasSubstr("the store was restored into " + target()));
  EXPECT_EQ(on("target", {"digest"}).out, digest());
  EXPECT_THAT(without_output({"--json", "put", "k", "v"}), HasSubstr("the key was set by commit 3, but "));
  EXPECT_THAT(without_output({"seal"}), HasSubstr("the store is sealed at event 3, but "));
  EXPECT_THAT(without_output({"keygen", store_.file("key").string()}),
              HasSubstr(" is in " + store_.file("key").string()));
}

TEST_F(RestoreCommand, DamageLeavesNoTarget) {
  create();
  flip_a_bit(snapshot_file("full_events"));
  const Result result = try_restore({});
  EXPECT_EQ(result.exit, 5);
  EXPECT_EQ(Json::parse(result.err)["error"], "corruption");
  EXPECT_FALSE(std::filesystem::exists(target()));
  for (const auto& entry : std::filesystem::directory_iterator(store_.file("."))) {
    EXPECT_THAT(entry.path().filename().string(), testing::Not(HasSubstr(".restore-")));
  }
}

TEST_F(RestoreCommand, WrongCommandLinesOpenNothing) {
  create();
  for (const Arguments& options : std::vector<Arguments>{{"more"},
                                                         {"--event", "1", "--commit", "1"},
                                                         {"--event", "1", "--time", "2026-11-21T09:30:00Z"},
                                                         {"--commit", "1", "--time", "2026-11-21T09:30:00Z"},
                                                         {"--event", "x"},
                                                         {"--event", "-1"},
                                                         {"--commit", "1x"},
                                                         {"--time", "noon"},
                                                         {"--time", "2026-11-21"},
                                                         {"--timeline", "main"},
                                                         {"--advance-sequences", "some"},
                                                         {"--threads", "0"},
                                                         {"--key-file"}}) {
    const Result result = try_restore(options);
    EXPECT_EQ(result.exit, 2) << options[0] << result.err;
    EXPECT_EQ(result.out, "") << options[0];
  }
  EXPECT_EQ(store_.run({"restore", set()}).exit, 2);
  EXPECT_EQ(store_.run({"restore", set(), ""}).exit, 2);
  EXPECT_FALSE(std::filesystem::exists(target()));
}

}  // namespace
}  // namespace azoth::test
