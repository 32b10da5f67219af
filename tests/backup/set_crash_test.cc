// Power cuts and failures at every step of a set's life, on a simulated disk.
#include <map>
#include <set>

#include "set_files.h"
#include "support.h"
#include "support/seed.h"
#include "support/sim_disk.h"

namespace azoth::backup::test {
namespace {

using azoth::test::DiskOperation;
using azoth::test::SimDisk;
using azoth::test::test_seed;
namespace choose = azoth::test::choose;

// What must hold of the set at a moment of the workload.
struct Known {
  bool made = false;
  std::uint64_t given_out = 0;                   // the highest ordinal that begin() has returned
  std::map<std::uint64_t, CommitSeq> published;  // ordinal, and the first commit of its content
  std::map<std::uint64_t, CommitSeq> last;       // ordinal, last commit; also of what is being published
  std::set<std::uint64_t> going;                 // being published or removed: there or not
};

class Workload {
 public:
  Known known;

  void run(FileSystem& fs, const Key* key) {
    const SnapshotSet::Options options{.key = key, .file_system = &fs};
    {
      SnapshotSet set = SnapshotSet::create("/set", kStore, options);
      known.made = true;
      full(set, 4);
      diff(set, 1, 4, 6);
      abandoned(set);
      full(set, 6);
      diff(set, 4, 6, 8);
    }
    SnapshotSet set = SnapshotSet::open("/set", options);
    remains(set, fs);
    purge(set, 1, {1, 2});
    set.repair();
    full(set, 9);
    purge(set, 1, {4, 5});
  }

 private:
  void full(SnapshotSet& set, CommitSeq last) { publish(set, SnapshotType::Full, 0, 0, last); }
  void diff(SnapshotSet& set, std::uint64_t base, CommitSeq after, CommitSeq last) {
    publish(set, SnapshotType::Diff, base, after, last);
  }
  void publish(SnapshotSet& set, SnapshotType type, std::uint64_t base, CommitSeq after, CommitSeq last) {
    PendingSnapshot pending = set.begin(type, kSmall);
    known.given_out = pending.ordinal();
    const FileKind kind = type == SnapshotType::Full ? FileKind::State : FileKind::Commits;
    auto writer = pending.add_file(kind, 0, 1);
    write_records(*writer, content_of(after + 1, last));
    pending.close_file(std::move(writer));
    known.going.insert(pending.ordinal());
    known.last[pending.ordinal()] = last;
    pending.publish(facts(after, last, base));
    known.going.erase(pending.ordinal());
    known.published[pending.ordinal()] = after + 1;
  }
  void abandoned(SnapshotSet& set) {
    PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
    known.given_out = pending.ordinal();
    pending.close_file(pending.add_file(FileKind::State, 0, 2));
    auto writer = pending.add_file(FileKind::State, 1, 2);
    writer->add("not finished");
  }
  // As a crash would leave them.
  void remains(SnapshotSet& set, FileSystem& fs) {
    const std::uint64_t ordinal = set.begin(SnapshotType::Full, kSmall).ordinal();
    known.given_out = ordinal;
    put_file(fs, "/set/" + file_name({.set_id = {}, .ordinal = ordinal, .shard = 0, .shards = 1}), "part");
    put_file(fs, "/set/" + SetFiles::manifest_name(ordinal) + "." + uuid_of(1).text() + ".tmp", "part");
  }
  void purge(SnapshotSet& set, std::size_t keep, const std::vector<std::uint64_t>& removed) {
    for (const std::uint64_t ordinal : removed) known.going.insert(ordinal);
    set.purge(keep);
    for (const std::uint64_t ordinal : removed) {
      known.published.erase(ordinal);
      known.going.erase(ordinal);
      known.last.erase(ordinal);
    }
  }
};

void check_snapshots(SnapshotSet& set, const Known& known, const std::string& trace) {
  std::set<std::uint64_t> whole;
  for (const SnapshotInfo& info : set.list()) {
    ASSERT_NE(info.state, SnapshotState::Broken) << trace << ": " << info.why;
    if (info.state != SnapshotState::Whole) continue;
    ASSERT_NO_THROW(set.verify(info.ordinal)) << trace;
    ASSERT_TRUE(known.published.contains(info.ordinal) || known.going.contains(info.ordinal))
        << trace << ": " << info.ordinal << " is half visible";
    ASSERT_EQ(info.manifest->last_commit, known.last.at(info.ordinal)) << trace;
    if (info.manifest->type == SnapshotType::Diff) {  // never one that nothing leads to
      ASSERT_NO_THROW(set.chain(RestoreTarget::commit(info.manifest->after_commit + 1))) << trace;
    }
    whole.insert(info.ordinal);
  }
  for (const auto& [ordinal, first] : known.published) {
    ASSERT_TRUE(whole.contains(ordinal) || known.going.contains(ordinal)) << trace << ": " << ordinal << " is lost";
  }
  if (known.published.empty() || whole.empty()) return;
  const Chain chain = set.chain(RestoreTarget::newest());
  ASSERT_EQ(read_chain(set, chain), content_of(1, chain.snapshots.back().last_commit)) << trace;
}

// What a process finds that opens the set on this disk, and that it can go on with it.
void check(FileSystem& disk, const Known& known, const Key* key, const std::string& trace) {
  const SnapshotSet::Options options{.key = key, .file_system = &disk};
  std::optional<SnapshotSet> set;
  const auto error = error_of([&] { set.emplace(SnapshotSet::open("/set", options)); });
  if (error) {
    ASSERT_FALSE(known.made) << trace << ": " << error->what();
    ASSERT_EQ(error->code(), ErrorCode::NotFound) << trace << ": " << error->what();
    set.emplace(SnapshotSet::create("/set", kStore, options));
  }
  check_snapshots(*set, known, trace);
  set->repair();
  check_snapshots(*set, known, trace + ", repaired");
  for (const SnapshotInfo& info : set->list()) ASSERT_EQ(info.state, SnapshotState::Whole) << trace;
  for (const std::string& name : disk.list("/set")) ASSERT_FALSE(name.ends_with(".tmp")) << trace;
  const SnapshotInfo taken = take_full(*set, 20);
  ASSERT_GT(taken.ordinal, known.given_out) << trace << ": an ordinal is given out again";
  ASSERT_EQ(read_chain(*set, set->chain({})), content_of(1, 20)) << trace;
}

class SetCrash : public testing::TestWithParam<bool> {
 protected:
  const Key* key() const { return GetParam() ? &key_ : nullptr; }
  Key key_ = Key::random();
};

TEST_P(SetCrash, AtAnyStepAPowerCutLeavesEveryPublishedSnapshotWholeAndNothingHalfVisible) {
  const std::uint64_t seed = test_seed();
  SimDisk disk;
  Workload workload;
  std::size_t states = 0;
  bool checking = false;
  disk.observe([&](const DiskOperation& operation) {
    if (checking || HasFatalFailure()) return;
    checking = true;
    const auto look = [&](std::unique_ptr<SimDisk> cut, const std::string& name) {
      ++states;
      check(*cut, workload.known, key(),
            "before operation " + std::to_string(operation.number) + " on " + operation.path + ", " + name);
    };
    look(disk.crash(), "killed");
    look(disk.power_cut(choose::none(), choose::none()), "nothing");
    look(disk.power_cut(choose::all(), choose::none()), "no entries");
    look(disk.power_cut(choose::none(), choose::all()), "no bytes");
    const std::size_t entries = disk.pending_entries().size();
    for (std::size_t i = 1; i < entries; ++i) look(disk.power_cut(choose::none(), choose::first(i)), "some entries");
    const std::size_t writes = disk.pending_writes().size();
    for (std::size_t i = 0; i < writes; ++i) look(disk.power_cut(choose::only(i)), "one piece");
    for (std::uint64_t i = 0; i < 3; ++i) {
      look(disk.power_cut(choose::random(seed + i), choose::random(seed + 7 + i)), "seed " + std::to_string(seed));
    }
    checking = false;
  });
  workload.run(disk, key());
  disk.observe({});
  EXPECT_GT(states, 1000u);
  check(disk, workload.known, key(), "at the end");
}

TEST_P(SetCrash, AFailureOfAnyStepLeavesEveryPublishedSnapshotWholeAndNothingHalfVisible) {
  std::uint64_t operations = 0;
  {
    SimDisk disk;
    Workload().run(disk, key());
    operations = disk.operations();
  }
  ASSERT_GT(operations, 100u);
  for (std::uint64_t n = 1; n <= operations; ++n) {
    SimDisk disk;
    std::uint64_t seen = 0;
    disk.observe([&](const DiskOperation&) {
      if (++seen == n) throw Error(ErrorCode::NoSpace, "the disk is full");
    });
    Workload workload;
    error_of([&] { workload.run(disk, key()); });
    ASSERT_GE(seen, n);
    check(disk, workload.known, key(), "operation " + std::to_string(n) + " failed");
    if (HasFatalFailure()) return;
  }
}

// From the failure on nothing works any more, the cleaning up after it included; then the power is cut.
TEST_P(SetCrash, ADiskThatStopsWorkingAtAnyStepLeavesEveryPublishedSnapshotWhole) {
  const std::uint64_t seed = test_seed();
  std::uint64_t operations = 0;
  {
    SimDisk disk;
    Workload().run(disk, key());
    operations = disk.operations();
  }
  for (std::uint64_t n = 1; n <= operations; ++n) {
    SimDisk disk;
    std::uint64_t seen = 0;
    disk.observe([&](const DiskOperation&) {
      if (++seen >= n) throw Error(ErrorCode::Io, "the disk is gone");
    });
    Workload workload;
    EXPECT_TRUE(error_of([&] { workload.run(disk, key()); }));
    check(*disk.crash(), workload.known, key(), "killed at " + std::to_string(n));
    check(*disk.power_cut(choose::random(seed), choose::random(seed + n)), workload.known, key(),
          "power cut at " + std::to_string(n) + ", seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
  }
}

TEST_P(SetCrash, APowerCutDuringRepairCanBeRepaired) {
  SimDisk disk;
  const SnapshotSet::Options options{.key = key(), .file_system = &disk};
  Known known;
  known.made = true;
  {
    SnapshotSet set = SnapshotSet::create("/set", kStore, options);
    take_full(set, 4);
    take_full(set, 6);
    known.published = {{1, 1}, {2, 1}};
    known.last = {{1, 4}, {2, 6}};
    known.given_out = 2;
  }
  for (const std::string name : {"SET", "next"}) replace_file(disk, "/set/" + name, "damaged");
  for (std::uint32_t shard = 0; shard < 3; ++shard) {
    put_file(disk, "/set/" + file_name({.set_id = {}, .ordinal = 3, .shard = shard, .shards = 3}), "part");
  }
  disk.sync_directory("/set");
  bool checking = false;
  std::size_t states = 0;
  disk.observe([&](const DiskOperation& operation) {
    if (checking) return;
    checking = true;
    const std::string trace = "before operation " + std::to_string(operation.number);
    check(*disk.crash(), known, key(), trace + ", killed");
    check(*disk.power_cut(choose::none(), choose::none()), known, key(), trace + ", nothing");
    check(*disk.power_cut(choose::none(), choose::all()), known, key(), trace + ", no bytes");
    states += 3;
    checking = false;
  });
  SnapshotSet set = SnapshotSet::open("/set", options);
  EXPECT_THAT(set.repair().remains, testing::ElementsAre(3));
  EXPECT_GT(states, 20u);
}

INSTANTIATE_TEST_SUITE_P(All, SetCrash, testing::Bool(),
                         [](const auto& variant) { return variant.param ? "Encrypted" : "Plain"; });

TEST(SetCrash, APublishWhoseLastSyncFailsSaysThatItsOutcomeIsUnknown) {
  SimDisk disk;
  const SnapshotSet::Options options{.file_system = &disk};
  SnapshotSet set = SnapshotSet::create("/set", kStore, options);
  bool renamed = false;
  disk.observe([&](const DiskOperation& operation) {
    if (renamed && operation.kind == DiskOperation::Kind::SyncDirectory) throw Error(ErrorCode::Io, "no sync");
    renamed = operation.kind == DiskOperation::Kind::Rename && operation.path.find("manifest_") != std::string::npos;
  });
  const auto error = error_of([&] { take_full(set, 4); });
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->outcome_unknown());
  EXPECT_THAT(ordinals(set), testing::ElementsAre(1));
  EXPECT_NO_THROW(set.verify(1));
}

// The simulated disk keeps the order of a directory's changes, and so do the file systems that are common. The set does
// not count on it: what one change presupposes is synced before it.
TEST(SetCrash, NoChangeOfTheDirectoryCountsOnOneThatIsNotSynced) {
  SimDisk disk;
  std::set<std::string> unsynced;  // snapshot files that were made, manifests that were removed
  std::size_t manifests_made = 0, files_removed = 0;
  disk.observe([&](const DiskOperation& operation) {
    using Kind = DiskOperation::Kind;
    const bool manifest = operation.path.ends_with(".json");
    const bool file = operation.path.ends_with(".azs");
    if (operation.kind == Kind::SyncDirectory) unsynced.clear();
    if (operation.kind == Kind::Create && file) unsynced.insert(operation.path);
    if (operation.kind == Kind::Remove && manifest) unsynced.insert(operation.path);
    if (operation.kind == Kind::Rename && manifest) {
      ++manifests_made;
      EXPECT_THAT(unsynced, testing::IsEmpty()) << operation.path << " is put in place";
    }
    if (operation.kind == Kind::Remove && file) {
      ++files_removed;
      for (const std::string& path : unsynced) {
        EXPECT_FALSE(path.ends_with(".json")) << operation.path << " is removed before that of " << path << " is sure";
      }
    }
  });
  Workload().run(disk, nullptr);
  EXPECT_EQ(manifests_made, 5u);
  EXPECT_GE(files_removed, 5u);
}

}  // namespace
}  // namespace azoth::backup::test
