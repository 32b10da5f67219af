// The command backup: snapshot sets are made, listed, verified, pruned and mended; each command in a process of its
// own.
#include <sys/stat.h>

#include <csignal>

#include "backups.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kManifestMembers = {"ordinal",
                                                   "state",
                                                   "why",
                                                   "authenticated",
                                                   "manifest_hash",
                                                   "set_id",
                                                   "store_id",
                                                   "created",
                                                   "timeline",
                                                   "lineage",
                                                   "type",
                                                   "base",
                                                   "taken",
                                                   "sealed",
                                                   "encrypted",
                                                   "key_id",
                                                   "compression_level",
                                                   "after_commit",
                                                   "last_commit",
                                                   "after_event",
                                                   "last_event",
                                                   "earliest",
                                                   "latest",
                                                   "state_keys",
                                                   "events",
                                                   "commits",
                                                   "operations",
                                                   "state_digest",
                                                   "events_digest",
                                                   "content_sums",
                                                   "bytes",
                                                   "files",
                                                   "projections",
                                                   "azoth_version"};

class BackupCommand : public BackupsTest {};

TEST_F(BackupCommand, CreateMakesTheSetAndSaysWhatTheSnapshotHas) {
  const Json full = create();
  std::vector<std::string> expected = kManifestMembers;
  expected.insert(expected.begin(), {"directory", "made_set"});
  expected.insert(expected.end(), {"seconds", "notes"});
  EXPECT_EQ(members(full), expected);
  EXPECT_EQ(full["directory"], set());
  EXPECT_EQ(full["made_set"], true);
  EXPECT_EQ(full["ordinal"], 1);
  EXPECT_EQ(full["state"], "whole");
  EXPECT_EQ(full["type"], "full");
  EXPECT_EQ(full["base"], nullptr);
  EXPECT_EQ(full["last_commit"], 2);
  EXPECT_EQ(full["last_event"], 3);
  EXPECT_EQ(full["events"], 3);
  EXPECT_EQ(full["state_keys"], 2);
  EXPECT_EQ(full["sealed"], false);
  EXPECT_EQ(full["encrypted"], false);
  EXPECT_EQ(full["store_id"], status()["store_id"]);
  EXPECT_EQ(full["timeline"], status()["timeline"]);

  commit(R"({"put":{"c":"1"}})");
  const Json diff = increment();
  EXPECT_EQ(diff["made_set"], false);
  EXPECT_EQ(diff["type"], "diff");
  EXPECT_EQ(diff["base"], 1);
  EXPECT_EQ(diff["after_commit"], 2);
  EXPECT_EQ(diff["last_commit"], 3);
  EXPECT_EQ(diff["events"], 0);
  EXPECT_EQ(diff["commits"], 1);
}

TEST_F(BackupCommand, CreateTellsPeopleTheSame) {
  const std::string full = store_.ok({"backup", "create", set()}).out;
  EXPECT_THAT(full, HasSubstr("made the snapshot set " + set() + "\n"));
  EXPECT_THAT(full, HasSubstr("snapshot 1 (full) in " + set() + ": through commit 2 and event 3\n"));
  EXPECT_THAT(full, HasSubstr("2 keys, 3 events; "));
  commit(R"({"put":{"c":"1"},"events":[{"type":"v"}]})");
  const std::string diff = store_.ok({"backup", "create", set(), "--incremental"}).out;
  EXPECT_THAT(diff, Not(HasSubstr("made the")));
  EXPECT_THAT(diff, HasSubstr("snapshot 2 (incremental, on snapshot 1) in " + set() + ": commit 3, event 4\n"));
}

TEST_F(BackupCommand, ASnapshotChangesNeitherTheStoreNorTheOthers) {
  const std::string before = digest();
  create();
  const std::string manifest = list()[0]["manifest_hash"];
  create();
  EXPECT_EQ(digest(), before);
  EXPECT_EQ(list()[0]["manifest_hash"], manifest);
  EXPECT_EQ(status()["last_commit"], 2);
}

TEST_F(BackupCommand, OptionsAreTaken) {
  const Json plain = create({"--level", "0", "--no-projections", "--shards", "1", "--threads", "1", "--retain", "64K"});
  EXPECT_EQ(plain["compression_level"], 0);
  EXPECT_EQ(store_.ok({"--json", "backup", "sets"}).json()["limit_bytes"], 65536);
  EXPECT_EQ(create({"--level", "19"})["compression_level"], 19);
}

TEST_F(BackupCommand, AnIncrementalOneNeedsSomethingToContinue) {
  const Result result = store_.run({"--json", "backup", "create", set(), "--incremental"});
  EXPECT_EQ(result.exit, 4);
  EXPECT_EQ(Json::parse(result.err)["error"], "not_found");
  EXPECT_THAT(message(result), HasSubstr("full"));
}

TEST_F(BackupCommand, WorksBesideAProcessThatWrites) {
  auto holder = writer(R"({"put":{"w":"1"},"events":[{"type":"w"}]})");
  EXPECT_EQ(create()["last_commit"], 3) << "what was acknowledged is in it";
  holder->send("{\"put\":{\"w\":\"2\"}}\n");
  EXPECT_TRUE(holder->read_line()) << "the backup took nothing from the writer";
  const std::string then = digest();
  EXPECT_EQ(increment()["last_commit"], 4);
  holder->send("{\"put\":{\"w\":\"3\"}}\n");
  EXPECT_TRUE(holder->read_line());
  EXPECT_EQ(holder->finish().exit, 0);
  restore();
  EXPECT_EQ(on("target", {"digest"}).out, then);
}

TEST_F(BackupCommand, SealedNeedsTheStoreForItself) {
  auto holder = writer(R"({"put":{"w":"1"}})");
  for (const char* option : {"--sealed", "--seal-store"}) {
    const Result result = store_.run({"backup", "create", set(), option});
    EXPECT_EQ(result.exit, 3) << option;
    EXPECT_THAT(result.err, HasSubstr(std::to_string(holder->pid()))) << option;
  }
  EXPECT_FALSE(std::filesystem::exists(set()));
  EXPECT_EQ(holder->finish().exit, 0);

  EXPECT_EQ(create({"--sealed"})["sealed"], true);
  EXPECT_EQ(status()["sealed_event"], nullptr);
  store_.ok({"put", "k", "v"});
  EXPECT_EQ(create({"--seal-store"})["sealed"], true);
  EXPECT_EQ(status()["sealed_event"], 3);
  EXPECT_EQ(store_.run({"put", "k", "w"}).exit, 3);
  store_.ok({"unseal"});
}

TEST_F(BackupCommand, ThatTheStoreStaysSealedWithoutASnapshotIsSaid) {
  auto interrupted = [&] {
    Child child(store_.arguments({"--json", "backup", "create", set(), "--seal-store"}), {.pending_signal = SIGTERM});
    const Result result = child.finish();
    EXPECT_EQ(result.exit, 1);
    return message(result);
  };
  EXPECT_EQ(interrupted(), "interrupted; no snapshot was added; the store is sealed now: azoth --db " +
                               store_.path().string() + " unseal");
  EXPECT_EQ(status()["sealed_event"], 3);
  EXPECT_EQ(interrupted(), "interrupted; no snapshot was added") << "it was sealed before";
  store_.ok({"unseal"});
}

TEST_F(BackupCommand, ListShowsEachSnapshotAndWhatCanBeRestored) {
  create();
  commit(R"({"put":{"c":"1"},"events":[{"type":"v"}]})");
  increment();
  const std::vector<Json> all = list();
  ASSERT_EQ(all.size(), 2u);
  for (const Json& snapshot : all) EXPECT_EQ(members(snapshot), kManifestMembers);
  EXPECT_EQ(members(all[0]["files"].at(0)),
            (std::vector<std::string>{"name", "kind", "shard", "shards", "records", "bytes", "hash"}));
  EXPECT_EQ(all[0]["lineage"].at(0)["timeline"], status()["timeline"]);
  EXPECT_EQ(all[1]["files"].at(0)["kind"], "commits");
  const Json range = restorable();
  EXPECT_EQ(members(range),
            (std::vector<std::string>{"set_id", "store_id", "key_id", "earliest", "newest", "problem"}));
  EXPECT_EQ(range["earliest"]["commit"], 2);
  EXPECT_EQ(range["earliest"]["event"], 3);
  EXPECT_EQ(range["newest"]["commit"], 3);
  EXPECT_EQ(range["newest"]["event"], 4);
  EXPECT_EQ(range["newest"]["time"], all[1]["latest"]);
  EXPECT_EQ(range["problem"], nullptr);

  const Result text = store_.ok({"backup", "list", set()});
  EXPECT_THAT(text.lines().at(0), HasSubstr("ordinal  type  state  taken"));
  EXPECT_THAT(text.lines().at(2), AllOf(HasSubstr("full"), HasSubstr("whole"), HasSubstr("to 2"), HasSubstr("to 3")));
  EXPECT_THAT(text.lines().at(3), AllOf(HasSubstr("diff"), HasSubstr("whole")));
  EXPECT_THAT(text.out, HasSubstr("earliest that can be restored: commit 2, event 3 ("));
  EXPECT_THAT(text.out, HasSubstr("newest that can be restored:   commit 3, event 4 ("));
}

TEST_F(BackupCommand, ListNeedsNoStoreAndShowsWhatIsBroken) {
  create();
  commit(R"({"put":{"c":"1"}})");
  increment();
  std::filesystem::resize_file(snapshot_file("diff_commits"), 5);
  const Result result = Child({"--json", "backup", "list", set()}).finish();
  EXPECT_EQ(result.exit, 0) << result.err;
  const std::vector<Json> lines = result.json_lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["state"], "whole");
  EXPECT_EQ(lines[0]["why"], nullptr);
  EXPECT_EQ(lines[1]["state"], "broken");
  EXPECT_THAT(lines[1]["why"].get<std::string>(), HasSubstr("5 bytes"));
  EXPECT_EQ(lines[2]["restorable"]["newest"]["commit"], 2);
  EXPECT_THAT(lines[2]["restorable"]["problem"].get<std::string>(), HasSubstr("snapshot 2 is broken"));
  EXPECT_THAT(store_.ok({"backup", "list", set()}).out, HasSubstr("\nsnapshot 2 is broken: "));
}

TEST_F(BackupCommand, ASetThatIsEmptyListsNothing) {
  create();
  for (const auto& entry : std::filesystem::directory_iterator(set())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("snapshot_") || name.starts_with("manifest_")) std::filesystem::remove(entry.path());
  }
  EXPECT_TRUE(list().empty());
  EXPECT_EQ(restorable()["newest"], nullptr);
  EXPECT_EQ(restorable()["earliest"], nullptr);
  EXPECT_EQ(try_restore({}).exit, 4);
}

TEST_F(BackupCommand, VerifyProvesThatTheSetRestores) {
  create();
  commit(R"({"put":{"c":"1"},"events":[{"type":"v"}]})");
  increment();
  const Json report = store_.ok({"--json", "backup", "verify", set()}).json();
  EXPECT_EQ(members(report), (std::vector<std::string>{"ok", "snapshots", "unfinished", "files", "bytes", "records",
                                                       "restored", "problems", "checked"}));
  EXPECT_EQ(report["ok"], true);
  ASSERT_EQ(report["snapshots"].size(), 2u);
  EXPECT_EQ(report["snapshots"][1]["ordinal"], 2);
  EXPECT_EQ(report["snapshots"][1]["type"], "diff");
  EXPECT_EQ(report["snapshots"][1]["ok"], true);
  EXPECT_EQ(report["snapshots"][1]["problems"], Json::array());
  EXPECT_GT(report["bytes"].get<std::uint64_t>(), 0u);
  EXPECT_EQ(report["restored"]["commit"], 3);
  EXPECT_EQ(report["restored"]["snapshots"], (Json{1, 2}));
  EXPECT_FALSE(report["checked"].empty());

  const std::string text = store_.ok({"backup", "verify", set()}).out;
  EXPECT_THAT(text,
              AllOf(HasSubstr("snapshot 1 (full), through commit 2 and event 3: whole\n"),
                    HasSubstr("snapshot 2 (diff), commit 3, event 4: whole\n"),
                    HasSubstr("restored on trial: commit 3, event 4"), HasSubstr("everything is as it was written\n")));
  const Json read = store_.ok({"--json", "backup", "verify", set(), "--no-restore", "--threads", "1"}).json();
  EXPECT_EQ(read["ok"], true);
  EXPECT_EQ(read["restored"], nullptr);
}

TEST_F(BackupCommand, VerifyLeavesNothingWhereItTries) {
  create();
  std::filesystem::create_directory(store_.file("scratch"));
  store_.ok({"backup", "verify", set(), "--scratch", store_.file("scratch").string()});
  EXPECT_TRUE(std::filesystem::is_empty(store_.file("scratch")));
  std::vector<std::string> before;
  for (const auto& entry : std::filesystem::directory_iterator(store_.file(".")))
    before.push_back(entry.path().string());
  store_.ok({"backup", "verify", set()});
  std::vector<std::string> after;
  for (const auto& entry : std::filesystem::directory_iterator(store_.file(".")))
    after.push_back(entry.path().string());
  EXPECT_THAT(after, testing::UnorderedElementsAreArray(before));
}

TEST_F(BackupCommand, ThatThereIsNoDirectoryToTryInIsNoMissingSet) {
  create();
  const Result result = store_.run({"backup", "verify", set(), "--scratch", store_.file("none").string()});
  EXPECT_EQ(result.exit, 1);
  EXPECT_THAT(result.err, HasSubstr("there is no directory " + store_.file("none").string()));
}

TEST_F(BackupCommand, VerifyFindsABitThatFlipped) {
  create();
  flip_a_bit(snapshot_file("full_state"));
  EXPECT_EQ(list()[0]["state"], "whole") << "list does not read the files";
  for (const Arguments& options : {Arguments{}, Arguments{"--no-restore"}}) {
    Arguments command = {"--json", "backup", "verify", set()};
    command.insert(command.end(), options.begin(), options.end());
    const Result result = store_.run(command);
    EXPECT_EQ(result.exit, 5);
    const Json report = result.json();
    EXPECT_EQ(report["ok"], false);
    EXPECT_EQ(report["snapshots"][0]["ok"], false);
    EXPECT_FALSE(report["snapshots"][0]["problems"].empty());
    EXPECT_EQ(report["restored"], nullptr);
  }
  const Result text = store_.run({"backup", "verify", set()});
  EXPECT_EQ(text.exit, 5);
  EXPECT_THAT(text.out, AllOf(HasSubstr("problem: "), HasSubstr(" problems found\n")));
}

TEST_F(BackupCommand, PruneKeepsTheNewestFullOnesAndWhatBuildsOnThem) {
  create();
  commit(R"({"put":{"c":"1"}})");
  increment();
  create();
  commit(R"({"put":{"c":"2"}})");
  increment();
  const std::string then = digest();
  EXPECT_EQ(store_.ok({"backup", "prune", set(), "--keep", "2"}).out, "nothing was to be removed\n");
  const Json report = store_.ok({"--json", "backup", "prune", set(), "--keep", "1"}).json();
  EXPECT_EQ(report, (Json{{"removed", {2, 1}}, {"remains", Json::array()}, {"note", nullptr}}));
  const std::vector<Json> left = list();
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0]["ordinal"], 3);
  restore();
  EXPECT_EQ(on("target", {"digest"}).out, then);
  commit(R"({"put":{"c":"3"}})");
  EXPECT_EQ(increment()["ordinal"], 5);
}

TEST_F(BackupCommand, WhatPruneNotesIsJsonWhateverTheNamesOfTheFilesAre) {
  const std::string odd = store_.file("odd\xff").string();
  for (int i = 0; i < 3; ++i) store_.ok({"backup", "create", odd});
  const std::filesystem::path manifest = odd + "/manifest_00000000000000000002.json";
  std::filesystem::rename(manifest, store_.file("manifest"));
  std::filesystem::create_symlink(store_.file("manifest"), manifest);  // cannot be read: links are not followed
  const Result result = store_.ok({"--json", "backup", "prune", odd, "--keep", "1"});
  EXPECT_THAT(result.json()["note"].get<std::string>(), HasSubstr("odd\\xff"));
}

TEST_F(BackupCommand, PruneRemovesNothingWhenTheNewestFullOneIsDamaged) {
  create();
  const std::filesystem::path old = snapshot_file("full_state");
  create();
  for (const auto& entry : std::filesystem::directory_iterator(set())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("snapshot_00000000000000000002_full_state")) flip_a_bit(entry.path());
  }
  EXPECT_EQ(store_.run({"backup", "prune", set(), "--keep", "1"}).exit, 5);
  EXPECT_TRUE(std::filesystem::exists(old));
}

TEST_F(BackupCommand, RepairRemovesRemainsAndBrokenOnesWhenAsked) {
  create();
  write_file(store_.file("set") / "snapshot_00000000000000000009_full_state_0-of-1.azs", "remains");
  EXPECT_EQ(list().back()["state"], "unfinished");
  EXPECT_EQ(store_.ok({"--json", "backup", "repair", set()}).json(),
            (Json{{"removed", Json::array()}, {"remains", {9}}, {"note", nullptr}}));
  std::filesystem::resize_file(snapshot_file("full_state"), 5);
  EXPECT_EQ(store_.ok({"backup", "repair", set()}).out, "nothing was to be removed\n");
  EXPECT_EQ(list()[0]["state"], "broken");
  EXPECT_EQ(store_.ok({"backup", "repair", set(), "--remove-broken"}).out, "removed: 1\n");
  EXPECT_TRUE(list().empty());
  create();
  EXPECT_EQ(list()[0]["state"], "whole");
}

TEST_F(BackupCommand, TheStoreKnowsTheSetUntilItIsForgotten) {
  EXPECT_EQ(status()["backup_sets"], Json::array());
  EXPECT_EQ(store_.ok({"--json", "backup", "sets"}).out, "");
  EXPECT_THAT(store_.ok({"backup", "sets"}).err, HasSubstr("for no snapshot set"));
  const Json full = create();
  const Json known = store_.ok({"--json", "backup", "sets"}).json();
  EXPECT_EQ(members(known), (std::vector<std::string>{"set_id", "timeline", "commit", "limit_bytes", "place"}));
  EXPECT_EQ(known["set_id"], full["set_id"]);
  EXPECT_EQ(known["timeline"], status()["timeline"]);
  EXPECT_EQ(known["commit"], 2);
  EXPECT_EQ(known["limit_bytes"], 1u << 30);
  EXPECT_EQ(status()["backup_sets"], Json::array({known}));
  const std::string id = full["set_id"];
  EXPECT_THAT(store_.ok({"status"}).out, HasSubstr("\n" + id + "  has everything through commit 2; up to 1.0 GiB of "));
  EXPECT_THAT(store_.ok({"backup", "sets"}).out, HasSubstr(id + "  has everything through commit 2"));

  EXPECT_EQ(store_.ok({"--json", "backup", "forget", set()}).json(), (Json{{"set_id", id}, {"forgotten", true}}));
  EXPECT_EQ(status()["backup_sets"], Json::array());
  EXPECT_EQ(store_.run({"backup", "forget", set()}).exit, 4);
  EXPECT_EQ(store_.run({"backup", "forget", id}).exit, 4);
  EXPECT_EQ(list().size(), 1u) << "the set itself is not touched";
}

TEST_F(BackupCommand, ASetThatIsGoneIsForgottenByItsIdOrItsPlace) {
  const std::string id = create()["set_id"];
  std::filesystem::remove_all(set());
  EXPECT_THAT(store_.ok({"backup", "forget", id}).out, HasSubstr(id));
  create();
  std::filesystem::remove_all(set());
  store_.ok({"backup", "forget", set()});
  EXPECT_EQ(store_.ok({"--json", "backup", "sets"}).out, "");
  EXPECT_EQ(store_.run({"backup", "forget", set()}).exit, 4);
  store_.ok({"backup", "create", set() + "/"});
  std::filesystem::remove_all(set());
  store_.ok({"backup", "forget", set()});
}

TEST_F(BackupCommand, AnEncryptedSetOpensWithItsKeyOnly) {
  const Arguments with_key = {"--key-file", key()};
  const Json made = create({"--encrypt", "--key-file", key()});
  EXPECT_EQ(made["encrypted"], true);
  EXPECT_EQ(made["key_id"].get<std::string>().size(), 16u);
  commit(R"({"put":{"c":"1"}})");
  const Json again = create({"--incremental", "--key-file", key()});
  EXPECT_EQ(again["made_set"], false);
  EXPECT_EQ(again["encrypted"], true);
  EXPECT_EQ(create({"--encrypt", "--key-file", key()})["ordinal"], 3) << "--encrypt may stay in a script";

  const std::string other = key("other");
  const std::vector<Arguments> commands = {{"backup", "create", set()},
                                           {"backup", "verify", set()},
                                           {"backup", "prune", set(), "--keep", "1"},
                                           {"backup", "repair", set()},
                                           {"restore", set(), target()}};
  for (Arguments command : commands) {
    const Result without = store_.run(command);
    EXPECT_EQ(without.exit, 1) << command[1] << without.out << without.err;
    EXPECT_THAT(without.err, HasSubstr("key")) << command[1];
    command.insert(command.end(), {"--key-file", other});
    const Result wrong = store_.run(command);
    EXPECT_EQ(wrong.exit, 1) << command[1] << wrong.out << wrong.err;
    EXPECT_THAT(wrong.err, HasSubstr(made["key_id"].get<std::string>())) << command[1];
  }
  EXPECT_FALSE(std::filesystem::exists(target()));
  EXPECT_EQ(list().size(), 3u) << "manifests can be read without the key";
  EXPECT_EQ(list()[0]["authenticated"], false);
  EXPECT_THAT(restorable()["problem"].get<std::string>(), HasSubstr("--key-file"));
  const std::vector<Json> opened = store_.ok({"--json", "backup", "list", set(), "--key-file", key()}).json_lines();
  EXPECT_EQ(opened[0]["authenticated"], true);
  EXPECT_EQ(opened.back()["restorable"]["newest"]["commit"], 3);
  store_.ok({"backup", "verify", set(), "--key-file", key()});
  restore({"--key-file", key()});
  EXPECT_EQ(on("target", {"digest"}).out, digest());
  EXPECT_EQ(store_.ok({"--json", "backup", "prune", set(), "--keep", "1", "--key-file", key()}).json()["removed"],
            (Json{2, 1}));
}

TEST_F(BackupCommand, EncryptionIsNeverAMisunderstanding) {
  const Result no_key = store_.run({"backup", "create", set(), "--encrypt"});
  EXPECT_EQ(no_key.exit, 2);
  EXPECT_THAT(no_key.err, HasSubstr("azoth keygen"));
  const Result not_asked = store_.run({"backup", "create", set(), "--key-file", key()});
  EXPECT_EQ(not_asked.exit, 1);
  EXPECT_THAT(not_asked.err, HasSubstr("--encrypt"));
  EXPECT_FALSE(std::filesystem::exists(set()));
  create();
  for (const Arguments& options : {Arguments{"--encrypt"}, Arguments{}}) {
    Arguments command = {"backup", "create", set(), "--key-file", key()};
    command.insert(command.end(), options.begin(), options.end());
    const Result plain = store_.run(command);
    EXPECT_EQ(plain.exit, 1);
    EXPECT_THAT(plain.err, HasSubstr("is not encrypted"));
  }
  EXPECT_EQ(list().size(), 1u);
}

TEST_F(BackupCommand, AKeyFileMustBeThereAndOnesOwn) {
  create({"--encrypt", "--key-file", key()});
  const std::string none = store_.file("none").string();
  EXPECT_EQ(store_.run({"backup", "verify", set(), "--key-file", none}).exit, 4);
  write_file(store_.file("junk"), "not a key\n");
  ASSERT_EQ(::chmod(store_.file("junk").c_str(), 0600), 0);
  EXPECT_EQ(store_.run({"backup", "verify", set(), "--key-file", store_.file("junk").string()}).exit, 1);
  ASSERT_EQ(::chmod(key().c_str(), 0644), 0);
  for (const Arguments& command : std::vector<Arguments>{{"backup", "create", set()},
                                                         {"backup", "list", set()},
                                                         {"backup", "verify", set()},
                                                         {"backup", "repair", set()},
                                                         {"restore", set(), target()}}) {
    Arguments with_key = command;
    with_key.insert(with_key.end(), {"--key-file", key()});
    const Result open = store_.run(with_key);
    EXPECT_EQ(open.exit, 1) << command[1];
    EXPECT_THAT(open.err, HasSubstr("chmod 600")) << command[1];
  }
}

TEST_F(BackupCommand, NothingPrintsAKey) {
  const std::string secret = split_lines(read_file(key())).at(1);
  ASSERT_EQ(secret.size(), 64u);
  std::string printed = store_.ok({"--json", "keygen", store_.file("second").string()}).out;
  for (const Arguments& command : std::vector<Arguments>{{"backup", "create", set(), "--encrypt", "--key-file", key()},
                                                         {"--json", "backup", "list", set(), "--key-file", key()},
                                                         {"--json", "backup", "verify", set(), "--key-file", key()},
                                                         {"restore", set(), target(), "--key-file", key()},
                                                         {"--json", "status"},
                                                         {"backup", "create", "--help"}}) {
    const Result result = store_.ok(command);
    printed += result.out + result.err;
  }
  EXPECT_THAT(printed, Not(HasSubstr(secret)));
  EXPECT_THAT(printed, Not(HasSubstr(split_lines(read_file(store_.file("second"))).at(1))));
  for (const Arguments& command : std::vector<Arguments>{{"backup", "create", set(), "--key", secret},
                                                         {"restore", set(), target("t"), "--key", secret}}) {
    EXPECT_EQ(store_.run(command).exit, 2) << "a key is only ever given as a file";
  }
}

TEST_F(BackupCommand, WhatIsNoSetIsNotTouched) {
  const std::filesystem::path foreign = store_.file("foreign");
  std::filesystem::create_directory(foreign);
  write_file(foreign / "letter.txt", "dear");
  for (const std::string& directory : {foreign.string(), store_.file("none").string()}) {
    for (const Arguments& command : std::vector<Arguments>{{"backup", "list", directory},
                                                           {"backup", "verify", directory},
                                                           {"backup", "prune", directory, "--keep", "1"},
                                                           {"backup", "repair", directory},
                                                           {"backup", "forget", directory},
                                                           {"restore", directory, target()}}) {
      const Result result = store_.run(command);
      EXPECT_EQ(result.exit, 4) << command[1] << ' ' << directory << result.err;
      EXPECT_THAT(result.err, HasSubstr(directory)) << command[1];
    }
  }
  EXPECT_EQ(store_.run({"backup", "create", foreign.string()}).exit, 3);
  EXPECT_FALSE(std::filesystem::exists(foreign / "SET"));
  EXPECT_EQ(read_file(foreign / "letter.txt"), "dear");
  EXPECT_FALSE(std::filesystem::exists(store_.file("none")));
  EXPECT_FALSE(std::filesystem::exists(target()));
}

TEST_F(BackupCommand, ASetBelongsToOneStore) {
  create();
  StoreDir other;
  other.init();
  other.ok({"put", "k", "v"});
  const Result result = other.run({"--json", "backup", "create", set()});
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(Json::parse(result.err)["error"], "invalid_argument");
  EXPECT_EQ(list().size(), 1u);
  EXPECT_EQ(other.ok({"--json", "backup", "sets"}).out, "");
}

TEST_F(BackupCommand, WrongCommandLinesOpenNothing) {
  for (const Arguments& command : std::vector<Arguments>{{"backup"},
                                                         {"backup", "nonsense"},
                                                         {"backup", "create"},
                                                         {"backup", "create", ""},
                                                         {"backup", "create", set(), "more"},
                                                         {"backup", "create", set(), "--level", "20"},
                                                         {"backup", "create", set(), "--level", "-1"},
                                                         {"backup", "create", set(), "--level", "x"},
                                                         {"backup", "create", set(), "--shards", "0"},
                                                         {"backup", "create", set(), "--threads", "0"},
                                                         {"backup", "create", set(), "--retain", "much"},
                                                         {"backup", "create", set(), "--key-file"},
                                                         {"backup", "create", set(), "--sealed", "--seal-store"},
                                                         {"backup", "list"},
                                                         {"backup", "verify", set(), "--threads", "257"},
                                                         {"backup", "verify", set(), "--no-restore", "--scratch", "x"},
                                                         {"backup", "prune", set()},
                                                         {"backup", "prune", set(), "--keep", "0"},
                                                         {"backup", "prune", set(), "--keep", "x"},
                                                         {"backup", "forget"},
                                                         {"backup", "sets", "more"}}) {
    const Result result = store_.run(command);
    std::string shown;
    for (const std::string& word : command) shown += word + ' ';
    EXPECT_EQ(result.exit, 2) << shown << result.err;
    EXPECT_EQ(result.out, "") << shown;
    EXPECT_THAT(result.err, testing::StartsWith("azoth: ")) << shown;
  }
  EXPECT_FALSE(std::filesystem::exists(set()));
}

TEST_F(BackupCommand, EachOneHasHelpWithExamples) {
  for (const char* name : {"create", "list", "verify", "prune", "repair", "sets", "forget"}) {
    const Result help = Child({"backup", name, "--help"}).finish();
    EXPECT_EQ(help.exit, 0) << name;
    EXPECT_THAT(help.out, AllOf(HasSubstr("Usage: azoth backup " + std::string(name)), HasSubstr("Example"),
                                HasSubstr("  azoth ")))
        << name;
  }
}

}  // namespace
}  // namespace azoth::test
