#include "azoth/backup/snapshot_set.h"

#include <unistd.h>

#include <fstream>

#include "set_fixture.h"
#include "support/watched_files.h"

namespace azoth::backup::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(SnapshotSetTest, IsMadeOpenedAndKnowsItsStore) {
  Uuid id;
  {
    const SnapshotSet set = create();
    id = set.id();
    EXPECT_THAT(set.list(), IsEmpty());
    EXPECT_NO_THROW(set.require_store(kStore));
    expect_error([&] { set.require_store(uuid_of(1)); }, ErrorCode::InvalidArgument, "use another set");
  }
  EXPECT_EQ(open().id(), id);
  EXPECT_EQ(open().store_id(), kStore);
  expect_error([&] { create(); }, ErrorCode::AlreadyExists, "is a snapshot set already");
  expect_error([&] { SnapshotSet::open(dir_.path(), {}); }, ErrorCode::NotFound, "is no snapshot set");
  expect_error([&] { SnapshotSet::open(dir_.path() / "none", {}); }, ErrorCode::NotFound, "there is no snapshot set");
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "lock")) << "left in a directory that is no set";
}

TEST_F(SnapshotSetTest, IsNotMadeAmongOtherFiles) {
  std::filesystem::create_directory(path_);
  std::ofstream(file("precious")) << "x";
  expect_error([&] { create(); }, ErrorCode::AlreadyExists, "is not empty");
}

TEST_F(SnapshotSetTest, FullsAndDiffsAreRestoredInTheirOrder) {
  SnapshotSet set = create();
  const auto full = take_full(set, 6);
  EXPECT_EQ(full.state, SnapshotState::Whole);
  const auto diff = take_diff(set, full.ordinal, 6, 9);
  EXPECT_EQ(diff.manifest->base_hash, full.manifest_hash);
  const Chain chain = set.chain(RestoreTarget::newest());
  EXPECT_THAT(ordinals(chain), ElementsAre(1, 2));
  EXPECT_EQ(read_chain(set, chain), content_of(1, 9));
  set.verify(1);
  set.verify(2);
  expect_error([&] { set.verify(3); }, ErrorCode::NotFound, "no published snapshot 3");
}

TEST_F(SnapshotSetTest, MoreThanTenShardsKeepTheirOrder) {
  SnapshotSet set = create();
  PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
  for (std::uint32_t shard = 12; shard-- > 0;) {
    auto writer = pending.add_file(FileKind::State, shard, 12);
    writer->add("commit " + std::to_string(shard + 1));
    pending.close_file(std::move(writer));
  }
  pending.publish(facts(0, 12));
  EXPECT_EQ(read_chain(set, set.chain(RestoreTarget::newest())), content_of(1, 12));
}

TEST_F(SnapshotSetTest, IsOpenForWritingOnceAndTheProcessIsNamed) {
  const SnapshotSet set = create();
  expect_error([&] { open(); }, ErrorCode::Locked, "process " + std::to_string(getpid()));
  expect_error([&] { SnapshotSet::open(path_, {.read_only = true}); }, ErrorCode::Locked, "in use");
}

TEST_F(SnapshotSetTest, ManyMayReadAndNoneOfThemWrites) {
  {
    SnapshotSet set = create();
    take_full(set, 6);
  }
  std::filesystem::remove(file("lock"));  // a copy without one is read all the same
  const auto before = names();
  SnapshotSet a = SnapshotSet::open(path_, {.read_only = true});
  SnapshotSet b = SnapshotSet::open(path_, {.read_only = true});
  EXPECT_EQ(read_chain(b, a.chain(RestoreTarget::newest())), content_of(1, 6));
  expect_error([&] { a.begin(SnapshotType::Full, {}); }, ErrorCode::ReadOnly, "for reading only");
  expect_error([&] { a.purge(1); }, ErrorCode::ReadOnly, "for reading only");
  expect_error([&] { a.repair(); }, ErrorCode::ReadOnly, "for reading only");
  EXPECT_EQ(names(), before);
}

TEST_F(SnapshotSetTest, NothingIsThereBeforeItIsPublishedAndNothingAfterItIsAbandoned) {
  SnapshotSet set = create();
  const auto before = names();
  {
    PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
    pending.close_file(pending.add_file(FileKind::State, 0, 1));
    ASSERT_EQ(set.list().size(), 1u);
    EXPECT_EQ(set.list()[0].state, SnapshotState::Unfinished);
    EXPECT_EQ(set.list()[0].why, "it is being written");
    set.repair();
    set.purge(1);
    EXPECT_EQ(set.list().size(), 1u) << "what is being written is no remains";
    expect_error([&] { set.chain(RestoreTarget::newest()); }, ErrorCode::NotFound, "no snapshot");
  }
  EXPECT_EQ(names(), before);
  EXPECT_EQ(take_full(set, 1).ordinal, 2u) << "an ordinal is not given out again";
}

TEST_F(SnapshotSetTest, OrdinalsAreNotGivenOutAgainAfterPurgesAndReopening) {
  {
    SnapshotSet set = create();
    for (int i = 0; i < 3; ++i) take_full(set, 5);
    EXPECT_THAT(set.purge(1).removed, ElementsAre(2, 1));
    set.begin(SnapshotType::Full, kSmall).abandon();
  }
  SnapshotSet set = open();
  EXPECT_EQ(set.begin(SnapshotType::Full, kSmall).ordinal(), 5u);
}

TEST_F(SnapshotSetTest, WrongUseOfAPendingSnapshotIsRefused) {
  SnapshotSet set = create();
  PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
  expect_error([&] { pending.publish(facts(0, 1)); }, ErrorCode::InvalidArgument, "names no file");
  auto writer = pending.add_file(FileKind::State, 0, 1);
  expect_error([&] { pending.add_file(FileKind::State, 0, 1); }, ErrorCode::AlreadyExists, "");
  expect_error([&] { pending.publish(facts(0, 1)); }, ErrorCode::InvalidArgument, "was not closed");
  pending.close_file(std::move(writer));
  Manifest foreign = facts(0, 1);
  foreign.store_id = uuid_of(1);
  expect_error([&] { pending.publish(foreign); }, ErrorCode::InvalidArgument, "use another set");
  pending.publish(facts(0, 1));
  expect_error([&] { pending.publish(facts(0, 1)); }, ErrorCode::InvalidArgument, "published once");
  expect_error([&] { pending.add_file(FileKind::State, 1, 2); }, ErrorCode::InvalidArgument, "nothing can be added");
}

TEST_F(SnapshotSetTest, ADiffContinuesOnlyAWholeSnapshotThatEndsWhereItBegins) {
  SnapshotSet set = create();
  take_full(set, 6);
  expect_error([&] { take_diff(set, 1, 5, 9); }, ErrorCode::InvalidArgument, "it ends at commit 6");
  expect_error([&] { take_diff(set, 2, 6, 9); }, ErrorCode::InvalidArgument, "none of this ordinal");
  expect_error([&] { take_diff(set, 1, 6, 9, {{uuid_of(4)}}); }, ErrorCode::InvalidArgument, "another timeline");
  const Lineage cut_earlier = {{uuid_of(4), kTimeline, 5}, {kTimeline}};
  expect_error([&] { take_diff(set, 1, 6, 9, cut_earlier); }, ErrorCode::InvalidArgument, "behind the fork");
  const Lineage cut_here = {{uuid_of(4), kTimeline, 6}, {kTimeline}};
  EXPECT_EQ(take_diff(set, 1, 6, 9, cut_here).state, SnapshotState::Whole);
  std::filesystem::remove(file(set.list()[0].files[0]));
  expect_error([&] { take_diff(set, 1, 6, 9); }, ErrorCode::InvalidArgument, "not whole");
}

TEST_F(SnapshotSetTest, AFileThatWasChangedBeforePublishingIsNotPublished) {
  SnapshotSet set = create();
  PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
  auto writer = pending.add_file(FileKind::State, 0, 1);
  writer->add("content");
  pending.close_file(std::move(writer));
  const std::string name = set.list()[0].files.at(0);
  std::string bytes = get_file(FileSystem::posix(), file(name));
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  replace_file(FileSystem::posix(), file(name), bytes);
  expect_error([&] { pending.publish(facts(0, 1)); }, ErrorCode::Corruption, name);
  pending.abandon();
  EXPECT_THAT(set.list(), IsEmpty());
}

// --- purge -----------------------------------------------------------------------------------------------------------

TEST_F(SnapshotSetTest, PurgeKeepsFullsAndEveryDiffAboveTheOldestOfThem) {
  SnapshotSet set = create();
  take_full(set, 2);        // 1
  take_diff(set, 1, 2, 4);  // 2
  take_full(set, 4);        // 3
  take_diff(set, 3, 4, 6);  // 4
  take_full(set, 6);        // 5
  take_diff(set, 5, 6, 8);  // 6
  EXPECT_THAT(set.purge(3).removed, IsEmpty());
  EXPECT_THAT(set.purge(2).removed, ElementsAre(2, 1));
  EXPECT_THAT(ordinals(set), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(set.purge(7).removed, IsEmpty());
  EXPECT_EQ(read_chain(set, set.chain(RestoreTarget::commit(5))), content_of(1, 6));
  EXPECT_THAT(set.purge(1).removed, ElementsAre(4, 3));
  expect_error([&] { set.purge(0); }, ErrorCode::InvalidArgument, "at least one");
  EXPECT_EQ(read_chain(set, set.chain(RestoreTarget::newest())), content_of(1, 8));
}

TEST_F(SnapshotSetTest, PurgeOfASetWithoutFullsRemovesNothing) {
  SnapshotSet set = create();
  EXPECT_THAT(set.purge(1).removed, IsEmpty());
}

TEST_F(SnapshotSetTest, PurgeRemovesNothingWhenTheNewestFullIsDamagedInside) {
  std::string name;
  {
    SnapshotSet set = create();
    take_full(set, 4);
    name = take_full(set, 6).files[1];
  }
  std::string bytes = get_file(FileSystem::posix(), file(name));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  replace_file(FileSystem::posix(), file(name), bytes);
  SnapshotSet set = open();
  expect_error([&] { set.purge(1); }, ErrorCode::Corruption, name);
  EXPECT_THAT(ordinals(set), ElementsAre(1, 2));
}

TEST_F(SnapshotSetTest, PurgeKeepsWhatADiffThatRunsPastAFullContinues) {
  SnapshotSet set = create();
  take_full(set, 2);        // 1
  take_diff(set, 1, 2, 4);  // 2
  take_full(set, 5);        // 3
  take_diff(set, 2, 4, 8);  // 4
  EXPECT_THAT(set.purge(1).removed, IsEmpty());
  EXPECT_EQ(read_chain(set, set.chain(RestoreTarget::newest())), content_of(1, 8));
  take_full(set, 8);  // 5
  EXPECT_THAT(set.purge(1).removed, ElementsAre(4, 3, 2, 1));
}

TEST_F(SnapshotSetTest, NothingIsRemovedThatWhatCannotBeReadNowMayContinue) {
  {
    SnapshotSet set = create();
    take_full(set, 2);                                                   // 1
    take_diff(set, 1, 2, 4, {{uuid_of(4), kTimeline, 2}, {kTimeline}});  // 2
    take_full(set, 6);                                                   // 3
  }
  azoth::test::WatchedFiles files({.open = [&](const std::filesystem::path& path) {
    if (path.filename() == manifest(2)) throw Error(ErrorCode::Io, "a bad sector");
  }});
  const PurgeReport report = SnapshotSet::open(path_, {.file_system = &files}).purge(1);
  EXPECT_THAT(report.removed, IsEmpty());
  EXPECT_THAT(report.note, AllOf(HasSubstr("nothing up to snapshot 2 was removed"), HasSubstr("a bad sector")));
  EXPECT_EQ(open().purge(1).note, "");
  EXPECT_THAT(open().purge(1).removed, IsEmpty()) << "the second timeline has no full of its own";
}

TEST_F(SnapshotSetTest, RepairLeavesASnapshotWhoseFilesMerelyCannotBeOpenedNow) {
  std::string name;
  {
    SnapshotSet set = create();
    name = take_full(set, 2).files.at(0);
  }
  azoth::test::WatchedFiles files({.open = [&](const std::filesystem::path& path) {
    if (path.filename() == name) throw Error(ErrorCode::Io, "permission denied");
  }});
  SnapshotSet set = SnapshotSet::open(path_, {.file_system = &files});
  ASSERT_EQ(set.list().at(0).state, SnapshotState::Broken);
  EXPECT_THAT(set.repair(true).removed, IsEmpty());
}

// It may be of another history, of which it is the last.
TEST_F(SnapshotSetTest, NothingIsRemovedThatMerelyCannotBeReadNow) {
  {
    SnapshotSet set = create();
    for (CommitSeq commit : {2, 4, 6}) take_full(set, commit);
  }
  azoth::test::WatchedFiles files({.open = [&](const std::filesystem::path& path) {
    if (path.filename() == manifest(1)) throw Error(ErrorCode::Io, "a bad sector");
  }});
  {
    SnapshotSet set = SnapshotSet::open(path_, {.file_system = &files});
    EXPECT_THAT(set.purge(1).removed, ElementsAre(2));
    EXPECT_THAT(set.repair(true).removed, IsEmpty());
  }
  replace_file(FileSystem::posix(), file(manifest(1)), "damaged");
  EXPECT_THAT(open().purge(1).removed, ElementsAre(1));
}

TEST_F(SnapshotSetTest, PurgeDoesNotCountBrokenFulls) {
  SnapshotSet set = create();
  take_full(set, 4);
  std::filesystem::remove(file(take_full(set, 6).files[0]));
  EXPECT_THAT(set.purge(1).removed, IsEmpty());
  EXPECT_THAT(ordinals(set), ElementsAre(1));
}

}  // namespace
}  // namespace azoth::backup::test
