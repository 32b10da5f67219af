// What a store may hold, and the ways to write it: whatever it is, it is restored; whoever writes it, it is the same.
//
// Covers of the defects that other stores had: events that are too large for a copy (E1).
#include "backup_support.h"

namespace azoth::backup::test {
namespace {

class BackupContent : public BackupTest {
 protected:
  void expect_round_trip(const std::string& trace, const BackupOptions& options = {}) {
    SCOPED_TRACE(trace);
    back_up(options);
    restore();
    expect_restored(target(), model_, store_->status().visible_seq, options_);
    EXPECT_TRUE(verify().ok());
  }
  void expect_round_trip_of_a_diff(const std::string& trace) { expect_round_trip(trace, {.incremental = true}); }
  std::map<std::string, std::string> files(const Path& set) const {
    std::map<std::string, std::string> files;
    for (const std::string& name : names_in(set)) {
      if (name.ends_with(".azs")) files[name] = get_file(FileSystem::posix(), set / name);
    }
    return files;
  }
};

TEST_F(BackupContent, AnEmptyStore) {
  EXPECT_EQ(back_up().snapshot.manifest->last_commit, 0u);
  const RestoreReport report = restore();
  EXPECT_EQ(report.commit, 0u);
  EXPECT_EQ(report.event, 0u);
  EXPECT_EQ(report.time, std::nullopt);
  expect_restored(target(), model_, 0, options_);
  EXPECT_EQ(restore_to(RestoreTarget::commit(0)).commit, 0u);
  EXPECT_EQ(restore_to(RestoreTarget::event(0)).commit, 0u);
  EXPECT_EQ(restore_to(RestoreTarget::at(Timestamp{})).commit, 0u);
  EXPECT_THAT(incremental().notes, testing::SizeIs(1));
  append("the first");
  expect_round_trip_of_a_diff("a diff that has everything");
}

TEST_F(BackupContent, OneKeyOnlyStateOnlyEvents) {
  put("a", "b");
  expect_round_trip("one key");
  append("event");
  expect_round_trip_of_a_diff("one event");
  commit({{{"a", std::nullopt}}, {}});
  expect_round_trip("only events");
  expect_round_trip("no key any more", {.projections = false});
}

TEST_F(BackupContent, KeysAndValuesThatAreHardToHold) {
  for (const std::string& key : azoth::test::tricky_keys()) put(key, "");
  expect_round_trip("empty values");
  std::mt19937_64 random(azoth::test::test_seed());
  for (const std::string& key : azoth::test::tricky_keys()) {
    commit({{{key, std::string(random() % 3000, static_cast<char>(random()))}}, {azoth::test::random_event(random)}});
  }
  expect_round_trip_of_a_diff("random values in a diff");
  expect_round_trip("random values in a full");
}

// The largest values and events there may be, in fulls and, as bulk transactions, in diffs.
TEST_F(BackupContent, WhatIsAsLargeAsItMayBe) {
  put("small", "value");
  back_up();
  const std::string value(limits::kDefaultMaxValueBytes, 'v');
  const std::string payload(limits::kDefaultMaxEventBytes - 100, 'p');
  commit({{{"large", value}}, {{.type = "large", .payload = payload}, {.type = "small"}}});
  put("small", "again");
  commit({{{"large", std::nullopt}, {"larger", value}}, {}});
  expect_round_trip_of_a_diff("diff");
  expect_round_trip("full");
}

TEST_F(BackupContent, BulkTransactionsInADiffAmongOthers) {
  std::mt19937_64 random(azoth::test::test_seed());
  put("a", "b");
  back_up();
  for (int i = 0; i < 12; ++i) {
    Change change = random_change(random);
    if (i % 3 == 0) {  // above half a segment
      for (int key = 0; key < 10; ++key) {
        change.writes.emplace_back("bulk" + std::to_string(key), std::string(5000, static_cast<char>(random())));
      }
      change.events.insert(change.events.end(), 20, azoth::test::random_event(random));
    }
    commit(std::move(change));
    if (i == 5) store_->checkpoint();
  }
  incremental();
  for (CommitSeq last = 1; last <= store_->status().visible_seq; ++last) {
    restore_to(RestoreTarget::commit(last));
    ASSERT_NO_FATAL_FAILURE(expect_restored(target(), model_, last, options_));
  }
}

// Threads change nothing in the files, shards only how many there are.
TEST_F(BackupContent, IsTheSameForAnyNumberOfThreadsAndShards) {
  std::mt19937_64 random(azoth::test::test_seed());
  for (int i = 0; i < 5000; ++i) {
    Change change{{{"key" + std::to_string(i), std::to_string(random())}}, {{.type = "event"}}};
    model_.add(store_->submit(change.set(), {}, {.level = Durability::Applied}).value().info(), change);
  }
  store_->flush();
  std::string digest;
  for (const std::uint32_t shards : {0U, 1U, 2U, 3U, 16U}) {
    std::map<std::string, std::string> first;
    for (const unsigned threads : {0U, 1U, 8U}) {
      std::filesystem::remove_all(set_path());
      std::filesystem::remove_all(store_path() / "retain");
      const Manifest taken = *back_up({.shards = shards, .threads = threads}).snapshot.manifest;
      std::size_t state_files = 0;
      std::map<std::string, std::vector<std::string>> records;
      const SnapshotSet set = SnapshotSet::open(set_path(), {.read_only = true});
      for (const ManifestFile& file : taken.files) {
        for (std::string& record : read_records(*set.read(taken, file))) {
          records[std::string(kind_name(file.kind))].push_back(std::move(record));
        }
        state_files += file.kind == FileKind::State ? 1 : 0;
      }
      EXPECT_EQ(state_files, std::min(std::max(shards, 1U), 5U));  // never more than are worth it
      std::string all;
      for (const auto& [kind, of_kind] : records) {
        for (const std::string& record : of_kind) all += kind + record;
      }
      if (digest.empty()) digest = all;
      EXPECT_TRUE(all == digest) << shards << " shards, " << threads << " threads";
      restore({.threads = threads});
      expect_restored(target(), model_, store_->status().visible_seq, options_);
    }
  }
}

// Two copies of one store that do the same at the same times, with other Deltas, flushes and openings in between.
TEST_F(BackupContent, OfTwoStoresThatHaveDoneTheSameIsTheSameBytes) {
  azoth::test::ManualClock clock;
  options_.clock = &clock;
  put("a", "b");
  close();
  const Uuid id = Store::open_read_only(store_path(), options_)->meta().store_id;
  SnapshotSet::create(set_path(), id, {.clock = &clock});
  const auto run = [&](const std::string& name, std::size_t delta_bytes, int reopen_every) {
    const Path base = dir_.path() / name;
    std::filesystem::create_directories(base);
    const auto recursive = std::filesystem::copy_options::recursive;
    std::filesystem::copy(store_path(), base / "store", recursive);
    std::filesystem::copy(set_path(), base / "set", recursive);
    std::filesystem::remove(base / "set" / "lock");
    Options options = options_;
    options.delta_bytes = delta_bytes;
    std::unique_ptr<Store> store = Store::open(base / "store", options);
    std::mt19937_64 random(42);
    for (int i = 0; i < 400; ++i) {
      clock.set(5000 + i);
      azoth::test::commit(*store, random_change(random, 100).set());
      if (i % 100 == 99) {
        backup::back_up(*store, base / "store", nullptr, base / "set",
                        {.incremental = i > 100, .compression_level = 0, .threads = 1 + i % 3U, .clock = &clock});
      }
      if (i % reopen_every == reopen_every - 1) {
        store.reset();
        store = Store::open(base / "store", options);
      }
      if (i % 70 == 0 && reopen_every == 50) store->checkpoint();
    }
    return files(base / "set");
  };
  const auto one = run("one", limits::kMinDeltaBytes, 50);
  const auto two = run("two", std::size_t{8} << 20, 1000);
  EXPECT_EQ(one.size(), 6u);
  EXPECT_TRUE(one == two);
  for (const std::string manifest : {"manifest_00000000000000000001.json", "manifest_00000000000000000004.json"}) {
    EXPECT_EQ(get_file(FileSystem::posix(), dir_.path() / "one" / "set" / manifest),
              get_file(FileSystem::posix(), dir_.path() / "two" / "set" / manifest));
  }
}

TEST_F(BackupContent, ASetWithoutANameIsRefused) {
  expect_error([&] { backup::back_up(*store_, store_path(), nullptr, "", {}); }, ErrorCode::InvalidArgument, "empty");
}

}  // namespace
}  // namespace azoth::backup::test
