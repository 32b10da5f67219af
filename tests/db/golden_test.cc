// Files as this version writes them, kept in tests/golden: they must be readable for ever. Another format than they
// have needs another version number, and code that reads both.
//
// AZOTH_WRITE_GOLDEN=1 makes them anew: for a new format only. The ids in them are random; expected.txt says what must
// come out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "azoth/db.h"
#include "support/manual_clock.h"
#include "support/temp_dir.h"

namespace azoth {
namespace {

namespace fs = std::filesystem;
using backup::RestoreTarget;
using test::ManualClock;

const fs::path kGolden = AZOTH_GOLDEN_DIR;
constexpr int kTaken = 5000;  // when the snapshots are

constexpr std::string_view kDeclaration = R"(-- azoth:projection balances version 1
CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL) WITHOUT ROWID;
-- azoth:on deposited
INSERT INTO balances VALUES (:account, :amount) ON CONFLICT (account) DO UPDATE SET cents = cents + excluded.cents;
)";

Options options_with(Clock& clock) {
  Options options;
  options.segment_bytes = limits::kMinSegmentBytes;
  options.delta_bytes = limits::kMinDeltaBytes;
  options.delta_age = std::chrono::hours{1};
  options.sync_interval = std::chrono::hours{1};
  options.map_bytes = std::size_t{16} << 20;
  options.clock = &clock;
  return options;
}

void deposit(Db& db, const std::string& account, int amount, std::optional<Timestamp> time = {}) {
  const std::string payload = R"({"account":")" + account + R"(","amount":)" + std::to_string(amount) + "}";
  const std::string tag = "account:" + account;
  WriteSet set;
  set.put("last/" + account, std::to_string(amount))
      .append({.type = "deposited",
               .tags = {tag, "kind:deposit"},
               .payload = payload,
               .metadata = R"({"by":"test"})",
               .time = time});
  db.submit(std::move(set))->wait();
}

// Something of everything that a store can hold.
void fill(Db& db, ManualClock& clock) {
  clock.set(2000);
  deposit(db, "alice", 100);
  deposit(db, "bob", 250, Timestamp(std::chrono::microseconds(1'234'567'890)));
  WriteSet set;
  set.put("empty", "").put(std::string(limits::kMaxKeyBytes, 'k'), std::string("\x00\xff", 2)).put("gone", "soon");
  db.submit(std::move(set), {}, {.command = Command{.id = "request-1", .fingerprint = "print"}})->wait();
  clock.set(1990);  // it goes back
  db.submit(std::move(WriteSet().del("gone")))->wait();
  db.next_sequence("invoice", 3);
  Declarations(db.directory()).add(kDeclaration, "balances.sql");
  db.projections().add(Declarations(db.directory()).load("balances"));
  db.projections().catch_up("balances");
  db.projections().release("balances");
}

void fill_more(Db& db, ManualClock& clock) {
  clock.set(3000);
  WriteSet bulk;  // larger than half a segment: past the journal
  bulk.put("bulk", std::string(40'000, 'b')).append({.type = "bulk", .tags = {"kind:bulk"}, .payload = "{}"});
  db.submit(std::move(bulk))->wait();
  deposit(db, "alice", 11);
  deposit(db, "carol", 7);
}

// --- Reading

fs::path copy_of(const std::string& name, const test::TempDir& temp) {
  fs::copy(kGolden / name, temp.path() / name, fs::copy_options::recursive);
  for (const auto& entry : fs::recursive_directory_iterator(temp.path() / name)) {
    fs::permissions(entry.path(), entry.is_directory() ? fs::perms(0700) : fs::perms(0600));
  }
  return temp.path() / name;
}

std::map<std::string, std::string> expected() {
  std::map<std::string, std::string> values;
  std::ifstream file(kGolden / "expected.txt");
  for (std::string name, value; file >> name >> value;) values[name] = value;
  return values;
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void expect_first_part(const ReadTxn& read) {
  EXPECT_EQ(read.get("last/bob"), "250");
  EXPECT_EQ(read.get("empty"), "");
  EXPECT_EQ(read.get(std::string(limits::kMaxKeyBytes, 'k')), std::string_view("\x00\xff", 2));
  EXPECT_EQ(read.get("gone"), std::nullopt);
  const auto bob = read.event(2);
  ASSERT_TRUE(bob);
  EXPECT_EQ(bob->type(), "deposited");
  EXPECT_EQ(bob->time(), Timestamp(std::chrono::microseconds(1'234'567'890)));
  EXPECT_EQ(bob->commit_time(), Timestamp(std::chrono::seconds(2000)));
  EXPECT_EQ(bob->metadata(), R"({"by":"test"})");
  EXPECT_EQ(bob->payload(), R"({"account":"bob","amount":250})");
  EXPECT_EQ(bob->tags().size(), 2u);
  EXPECT_EQ(read.tag_version("kind:deposit"), read.last_event() == 2 ? 2u : 5u);
}

void expect_whole(Db& db, const std::string& name) {
  EXPECT_EQ(db.digest(), expected()[name]);
  EXPECT_THAT(db.verify().problems, testing::IsEmpty());
  expect_first_part(db.read());
}

class Golden : public testing::Test {
 protected:
  static void SetUpTestSuite();

  ManualClock clock_;
  test::TempDir temp_;
};

TEST_F(Golden, AStoreThatWasClosedOpensWithAllThatItHeld) {
  Db db = Db::open(copy_of("store", temp_), options_with(clock_));
  expect_whole(db, "whole");
  EXPECT_TRUE(db.status().recovery.clean);
  EXPECT_EQ(db.peek_sequence("invoice"), 3u);
  auto repeated = db.submit(std::move(WriteSet().put("x", "y")), {},
                            {.command = Command{.id = "request-1", .fingerprint = "print"}});
  EXPECT_TRUE(repeated->wait().already_applied);
  auto row = db.sql("balances", "SELECT cents FROM balances WHERE account = ?", "bob");
  EXPECT_EQ((*row.begin()).int64(0), 250);
  deposit(db, "dave", 1);
  EXPECT_THAT(db.verify().problems, testing::IsEmpty());
}

TEST_F(Golden, AStoreThatWasKilledRecoversWhatItsJournalHolds) {
  Db db = Db::open(copy_of("killed", temp_), options_with(clock_));
  EXPECT_FALSE(db.status().recovery.clean);
  EXPECT_GT(db.status().recovery.recovered_commits, 0u);
  expect_whole(db, "whole");
}

TEST_F(Golden, AStoreIsReadBesideAWriterAndAfterAKill) {
  for (const char* name : {"store", "killed"}) {
    Db db = Db::open_read_only(copy_of(name, temp_), options_with(clock_));
    expect_whole(db, "whole");
  }
}

TEST_F(Golden, WhatASetHasRegisteredWithIsRead) {
  const std::vector<RetainedSet> sets = Db::retained_sets(copy_of("killed", temp_));
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_EQ(sets[0].set_id.text(), expected()["set"]);
  EXPECT_EQ(std::to_string(sets[0].commit), expected()["registered"]);
  EXPECT_EQ(sets[0].limit_bytes, RetainedSet::kDefaultLimitBytes);
  EXPECT_EQ(sets[0].place, "/backups/golden");
}

TEST_F(Golden, EachSetRestoresToEachOfItsPoints) {
  for (const std::string name : {"set", "encrypted"}) {
    std::optional<backup::Key> key;
    if (name == "encrypted") {
      copy_of("key", temp_);
      key.emplace(backup::load_key_file(temp_.path() / "key" / "file"));
    }
    const backup::Key* key_or_null = key ? &*key : nullptr;
    const fs::path set = copy_of(name, temp_);
    const backup::SetReport report = Db::verify_backup(set, {.key = key_or_null});
    EXPECT_TRUE(report.ok()) << testing::PrintToString(report.problems);
    const RestoreTarget first = RestoreTarget::commit(std::stoull(expected()["first_commit"]));
    for (const auto& [point, target] : {std::pair("first", first), {"whole", RestoreTarget::newest()}}) {
      const fs::path to = temp_.path() / (name + "-" + point);
      const backup::RestoreReport restored =
          Db::restore(set, to, {.target = target, .key = key_or_null, .store = options_with(clock_)});
      EXPECT_THAT(restored.projections, testing::ElementsAre("balances"));
      Db db = Db::open(to, options_with(clock_));
      expect_whole(db, point);
    }
  }
}

// The bytes themselves: the same content at the same time in the same set.
TEST_F(Golden, ASnapshotIsWrittenAsItAlwaysWas) {
  const fs::path set = copy_of("empty-set", temp_);
  Db db = Db::open_read_only(copy_of("first", temp_), options_with(clock_));
  clock_.set(kTaken);
  db.backup(set, {.projections = false, .compression_level = 0, .clock = &clock_});
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(set)) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".azs")) continue;
    EXPECT_TRUE(content(entry.path()) == content(kGolden / "set" / name)) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 4);  // state, events, system, the declaration
}

// --- Writing them anew

// What a kill leaves; with LMDB's file as short as its content allows.
void keep(const fs::path& from, const std::string& name) {
  const fs::path to = kGolden / name;
  fs::remove_all(to);
  fs::create_directories(to.parent_path());
  fs::copy(from, to, fs::copy_options::recursive);
  fs::remove(to / "lock");
  fs::remove(to / "canonical" / "lock.mdb");
  const fs::path data = to / "canonical" / "data.mdb";
  if (!fs::exists(data)) return;
  const std::string bytes = content(data);
  constexpr std::size_t kPage = 4096;
  const std::size_t used = (bytes.find_last_not_of('\0') / kPage + 1) * kPage;
  fs::resize_file(data, std::max(used, 16 * kPage));
}

void write_golden() {
  ManualClock clock;
  test::TempDir temp;
  const fs::path store = temp.path() / "store";
  const Options options = options_with(clock);
  std::ofstream values;
  fs::create_directories(kGolden);
  values.open(kGolden / "expected.txt");
  {
    Db db = Db::create(store, options);
    fill(db, clock);
    values << "first " << db.digest() << '\n';
    db.close();
  }
  keep(store, "first");
  clock.set(kTaken);
  const fs::path set = temp.path() / "set";
  { backup::SnapshotSet::create(set, Db::open_read_only(store, options).meta().store_id, {.clock = &clock}); }
  keep(set, "empty-set");
  fs::create_directories(temp.path() / "key");
  const backup::Key key = backup::make_key_file(temp.path() / "key" / "file");
  keep(temp.path() / "key", "key");
  const fs::path encrypted = temp.path() / "encrypted";
  {
    Db db = Db::open(store, options);
    // Without projections first, for the bytes; the one that is restored has their tables.
    const backup::BackupReport report = db.backup(set, {.projections = false, .compression_level = 0, .clock = &clock});
    values << "first_commit " << report.snapshot.manifest->last_commit << '\n';
    db.backup(set, {.clock = &clock});
    db.backup(encrypted, {.key = &key, .clock = &clock});
    fill_more(db, clock);
    clock.set(kTaken + 1000);
    db.backup(set, {.incremental = true, .clock = &clock});
    db.backup(encrypted, {.incremental = true, .key = &key, .clock = &clock});
    values << "whole " << db.digest() << '\n';
    keep(set, "set");
    keep(encrypted, "encrypted");
  }
  fs::remove_all(store / "retain");  // which names places of the machine that made it
  keep(store, "store");
  // The same history, the end of which is in the journal alone.
  const fs::path killed = temp.path() / "killed";
  fs::copy(kGolden / "first", killed, fs::copy_options::recursive);
  Db db = Db::open(killed, options);
  fill_more(db, clock);
  const Meta meta = db.meta();
  const Uuid set_id = backup::SnapshotSet::open(set, {.read_only = true}).id();
  Retention(killed).set({.set_id = set_id, .timeline = meta.timeline, .commit = 4, .place = "/backups/golden"});
  values << "set " << set_id.text() << "\nregistered 4\n";
  keep(killed, "killed");
}

void Golden::SetUpTestSuite() {
  if (std::getenv("AZOTH_WRITE_GOLDEN") != nullptr) write_golden();
}

}  // namespace
}  // namespace azoth
