// A full and a thousand diffs; purging sets of real content.
#include <atomic>
#include <chrono>

#include "azoth/canonical/commit_record.h"
#include "backup_support.h"
#include "support/watched_files.h"

namespace azoth::backup::test {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class LongChain : public BackupTest {
 protected:
  // As back_up() makes them: of the commits that the store has, one to a diff. Many at once, without registering.
  void take_diffs(std::uint64_t base, CommitSeq after, CommitSeq last) {
    SnapshotSet set = SnapshotSet::open(set_path(), {});
    const auto source = store_->backup_source();
    const BackupSource::Content content = source->content(1);
    Manifest facts = *set.list().at(base - 1).manifest;
    std::vector<std::pair<std::string, CommitFacts>> commits;
    source->for_each_commit(content.readers[0], after, facts.last_event, last, [&](std::string_view bytes, bool) {
      commits.emplace_back("\1" + std::string(bytes), commit_facts(bytes));
    });
    facts.files.clear();
    facts.projections.clear();
    facts.state_digest = facts.events_digest = facts.content_sums = "";
    for (const auto& [record, commit] : commits) {
      PendingSnapshot pending = set.begin(SnapshotType::Diff, {});
      auto file = pending.add_file(FileKind::Commits, 0, 1);
      file->add(record);
      pending.close_file(std::move(file));
      facts.base_ordinal = pending.ordinal() - 1;
      facts.after_commit = commit.commit - 1;
      facts.last_commit = commit.commit;
      facts.after_event = facts.last_event;
      facts.last_event += commit.events;
      if (commit.events != 0) facts.last_event_commit = commit.commit;
      facts.earliest = facts.latest = commit.time;
      facts.commits = 1;
      facts.operations = commit.operations;
      facts.state_rows = model_.state(commit.commit).size();
      pending.publish(facts);
    }
  }
  std::vector<std::uint64_t> ordinals_left() const {
    std::vector<std::uint64_t> ordinals;
    for (const SnapshotInfo& info : list()) ordinals.push_back(info.ordinal);
    return ordinals;
  }
};

TEST_F(LongChain, OfAThousandDiffsIsListedRestoredAndPurged) {
  constexpr int diffs = 1000;
  std::mt19937_64 random(azoth::test::test_seed());
  put("a", "b");
  const CommitSeq first = back_up().snapshot.manifest->last_commit;
  for (int i = 0; i < diffs; ++i) commit(random_change(random));
  const CommitSeq last = first + static_cast<CommitSeq>(diffs);
  take_diffs(1, first, last);
  EXPECT_EQ(list().size(), static_cast<std::size_t>(diffs) + 1);
  EXPECT_EQ(restore().snapshots.size(), static_cast<std::size_t>(diffs) + 1);
  expect_restored(target(), model_, last, options_);
  restore_to(RestoreTarget::commit(last / 2));
  expect_restored(target(), model_, last / 2, options_);
  EXPECT_EQ(incremental().snapshot.ordinal, static_cast<std::uint64_t>(diffs) + 1);  // nothing was committed since
  put("a", "c");
  incremental();
  EXPECT_TRUE(verify({.restore = false}).ok());
  back_up();
  EXPECT_EQ(SnapshotSet::open(set_path(), {}).purge(1).removed.size(), static_cast<std::size_t>(diffs) + 2);
  restore();
  expect_restored(target(), model_, store_->status().visible_seq, options_);
}

// A path through the snapshots takes one look at the set, however long it is.
TEST_F(LongChain, RestoringReadsEachManifestAFewTimesOnly) {
  put("a", "b");
  const CommitSeq first = back_up().snapshot.manifest->last_commit;
  for (int i = 0; i < 40; ++i) put("a", std::to_string(i));
  take_diffs(1, first, first + 40);
  std::atomic<int> manifests{0};
  azoth::test::WatchedFiles files(
      {.open = [&](const Path& path) { manifests += path.extension() == ".json" ? 1 : 0; }});
  restore({.file_system = &files});
  EXPECT_GE(manifests, 41);
  EXPECT_LE(manifests, 41 * 4);
}

class Purging : public LongChain {
 protected:
  // 1 full, 2 diff, 3 full, 4 diff, 5 full, 6 diff; the last commit of each.
  Purging() {
    for (int i = 0; i < 6; ++i) {
      put("a", std::to_string(i));
      append(std::to_string(i));
      ends_.push_back(back_up({.incremental = i % 2 == 1}).snapshot.manifest->last_commit);
    }
  }
  PurgeReport purge(std::size_t keep) { return SnapshotSet::open(set_path(), {}).purge(keep); }
  void expect_restores(const std::vector<int>& snapshots) {
    for (const int i : snapshots) {
      restore_to(RestoreTarget::commit(ends_[static_cast<std::size_t>(i) - 1]));
      expect_restored(target(), model_, ends_[static_cast<std::size_t>(i) - 1], options_);
    }
  }

  std::vector<CommitSeq> ends_;
};

TEST_F(Purging, KeepsAsManyFullsAsAskedAndWhatLiesBehindThem) {
  EXPECT_THAT(purge(3).removed, IsEmpty());
  EXPECT_THAT(purge(9).removed, IsEmpty());
  EXPECT_THAT(purge(2).removed, ElementsAre(2, 1));
  expect_restores({3, 4, 5, 6});
  EXPECT_THAT(purge(1).removed, ElementsAre(4, 3));
  expect_restores({5, 6});
  EXPECT_THAT(ordinals_left(), ElementsAre(5, 6));
  put("a", "more");
  EXPECT_EQ(incremental().snapshot.manifest->base_ordinal, 6u);
  EXPECT_TRUE(verify().ok());
  expect_error([&] { restore_to(RestoreTarget::commit(ends_[0])); }, ErrorCode::NotFound, "before the oldest full");
}

TEST_F(Purging, RemovesNothingWhileTheNewestFullIsDamaged) {
  const std::string name = list()[4].files[0];
  const std::string good = get_file(FileSystem::posix(), set_path() / name);
  std::string bytes = good;
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  replace_file(FileSystem::posix(), set_path() / name, bytes);
  expect_error([&] { purge(1); }, ErrorCode::Corruption, name);
  EXPECT_EQ(ordinals_left().size(), 6u);
  expect_restores({1, 2, 3, 4});
  replace_file(FileSystem::posix(), set_path() / name, good);
  EXPECT_THAT(purge(1).removed, ElementsAre(4, 3, 2, 1));
  expect_restores({5, 6});
}

TEST_F(Purging, ABrokenFullDoesNotCount) {
  std::filesystem::remove(set_path() / list()[4].files[0]);
  EXPECT_THAT(purge(2).removed, IsEmpty());  // 1 and 3 are whole
  EXPECT_THAT(purge(1).removed, ElementsAre(2, 1));
  expect_restores({3, 4});
}

TEST_F(Purging, RepairRemovesBrokenSnapshotsWhenAskedAndTheRestIsAsBefore) {
  std::filesystem::remove(set_path() / list()[2].files[0]);
  EXPECT_FALSE(verify().ok());
  EXPECT_THAT(SnapshotSet::open(set_path(), {}).repair().removed, IsEmpty());
  EXPECT_THAT(SnapshotSet::open(set_path(), {}).repair(true).removed, ElementsAre(3));
  EXPECT_TRUE(verify().ok());
  EXPECT_THAT(ordinals_left(), ElementsAre(1, 2, 4, 5, 6));
  expect_restores({1, 2, 5, 6});
}

}  // namespace
}  // namespace azoth::backup::test
