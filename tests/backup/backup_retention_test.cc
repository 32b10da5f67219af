// What the store keeps for a set, and what happens when it does not: registrations before, during and after backups.
#include <unistd.h>

#include <csignal>

#include "backup_support.h"
#include "support/child_process.h"

namespace azoth::backup::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class BackupRetention : public BackupTest {
 protected:
  // So much that the journal would be trimmed several times over, and all of it is in LMDB.
  void write_much(int commits = 60) {
    for (int i = 0; i < commits; ++i) put("key" + std::to_string(i % 7), std::string(8000, static_cast<char>('a' + i)));
    store_->checkpoint();
  }
  RetainedSet registration() const { return registrations().at(0); }
  void expect_needs_a_full() {
    const std::size_t before = list().size();
    expect_error([&] { incremental(); }, ErrorCode::NotFound, "make a full one");
    EXPECT_EQ(list().size(), before);
    EXPECT_EQ(names_in(set_path()).count("snapshot_00000000000000000002_diff_commits_0-of-1.azs"), 0u);
    back_up();
    write_much(3);
    EXPECT_THAT(incremental().notes, IsEmpty());
    restore();
    expect_restored(target(), model_, store_->status().visible_seq, options_);
  }
};

TEST_F(BackupRetention, ASetRegistersWithWhatItHasAndMovesOn) {
  back_up({.retain_bytes = std::uint64_t{5} << 20});
  EXPECT_EQ(registration().commit, list()[0].manifest->last_commit);
  EXPECT_EQ(registration().timeline, store_->meta().timeline);
  EXPECT_EQ(registration().limit_bytes, std::uint64_t{5} << 20);
  EXPECT_EQ(registration().place, set_path().string());
  put("a", "1");
  const Manifest next = *incremental().snapshot.manifest;
  EXPECT_EQ(registration().commit, next.last_commit);
  EXPECT_EQ(registrations().size(), 1u);
}

TEST_F(BackupRetention, WhatIsWrittenBetweenTwoSnapshotsIsKeptForTheNext) {
  back_up();
  for (int i = 0; i < 3; ++i) {
    write_much();
    EXPECT_THAT(incremental().notes, IsEmpty());
  }
  restore();
  expect_restored(target(), model_, store_->status().visible_seq, options_);
}

// The journal is trimmed behind what was chosen while the files are written: the next diff still finds its beginning.
TEST_F(BackupRetention, WhatIsWrittenWhileASnapshotIsTakenIsKept) {
  for (const bool first : {true, false}) {
    SCOPED_TRACE(first);
    if (!first) write_much();
    fault::arm("backup.written", {.run = [&] { write_much(); }});
    back_up({.incremental = !first});
    fault::arm("backup.pinning", {.run = [&] { write_much(); }});
    EXPECT_THAT(incremental().notes, IsEmpty());
  }
  restore();
  expect_restored(target(), model_, list().back().manifest->last_commit, options_);
}

// What was kept for the snapshot before does not count against what a full needs from its own commit on.
TEST_F(BackupRetention, WhatIsWrittenWhileAFullIsTakenIsKeptThoughMuchWasKeptBefore) {
  constexpr std::uint64_t kLimit = 1'000'000;
  back_up({.retain_bytes = kLimit});
  write_much(100);
  ASSERT_EQ(registrations().size(), 1u);
  fault::arm("backup.written", {.run = [&] { write_much(60); }});
  EXPECT_THAT(back_up({.retain_bytes = kLimit}).notes, IsEmpty());
  EXPECT_EQ(registration().limit_bytes, kLimit);
  EXPECT_THAT(incremental().notes, IsEmpty());
  restore();
  expect_restored(target(), model_, list().back().manifest->last_commit, options_);
}

TEST_F(BackupRetention, FullsThatAreKilledDoNotAddToWhatIsKept) {
  constexpr std::uint64_t kLimit = 1'000'000;
  back_up({.retain_bytes = kLimit});
  close();
  for (int i = 0; i < 3; ++i) {
    azoth::test::ChildProcess child([&] {
      open();
      fault::arm("backup.written", {.run = [] { ::kill(::getpid(), SIGKILL); }});
      back_up({.retain_bytes = kLimit});
    });
    child.wait();
    ASSERT_TRUE(child.was_killed());
    EXPECT_EQ(registration().limit_bytes, 2 * kLimit);
  }
  open();
  put("a", "1");
  incremental();
  EXPECT_EQ(registration().limit_bytes, RetainedSet::kDefaultLimitBytes);
}

// What is trimmed while a set registers lies in front of the commit that is chosen then.
TEST_F(BackupRetention, TheCommitIsChosenWhenTheSetHasRegistered) {
  back_up();
  Retention(store_path()).forget(registration().set_id);
  write_much();
  fault::arm("file.make_directory", {.run = [&] { write_much(); }});  // the first thing that registering does
  back_up();
  write_much();
  EXPECT_THAT(incremental().notes, IsEmpty());
  restore();
  expect_restored(target(), model_, list().back().manifest->last_commit, options_);
}

TEST_F(BackupRetention, ASetThatWasForgottenNeedsAFull) {
  back_up();
  Retention(store_path()).forget(registration().set_id);
  write_much();
  expect_needs_a_full();
}

TEST_F(BackupRetention, ASetThatKeepsMoreThanItMayIsGivenUpAndNeedsAFull) {
  back_up({.retain_bytes = 100'000});
  write_much(200);
  EXPECT_THAT(registrations(), IsEmpty());
  expect_needs_a_full();
}

TEST_F(BackupRetention, WithoutASetOrAWholeSnapshotThereIsNothingToContinue) {
  expect_error([&] { incremental(); }, ErrorCode::NotFound, "make a full one");
  EXPECT_FALSE(std::filesystem::exists(set_path()));
  EXPECT_THAT(registrations(), IsEmpty());
  SnapshotSet::create(set_path(), store_->meta().store_id, {});
  expect_error([&] { incremental(); }, ErrorCode::NotFound, "make a full one");
  EXPECT_THAT(registrations(), IsEmpty());
  back_up();
  put("a", "1");
  std::filesystem::remove(set_path() / list()[0].files[0]);
  expect_error([&] { incremental(); }, ErrorCode::NotFound, "make a full one");
  EXPECT_EQ(registration().commit, list()[0].manifest->last_commit);
}

TEST_F(BackupRetention, IsTakenBackWhenTheFirstBackupFailsAndStaysWhenALaterOneDoes) {
  const auto fail_at = [&](const std::string& point, bool incremental) {
    fault::arm(point, {.run = [] { throw Error(ErrorCode::Io, "given up"); }});
    expect_error([&] { back_up({.incremental = incremental}); }, ErrorCode::Io, "given up");
    fault::disarm_all();
  };
  for (const std::string point : {"backup.registered", "backup.pinning", "backup.written"}) {
    fail_at(point, false);
    EXPECT_THAT(registrations(), IsEmpty()) << point;
    EXPECT_THAT(list(), IsEmpty()) << point;
  }
  back_up();
  const RetainedSet before = registration();
  for (const std::string point : {"backup.registered", "backup.pinning", "backup.written"}) {
    for (const bool incremental : {false, true}) {
      put("a", point);
      fail_at(point, incremental);
      EXPECT_EQ(registration(), before) << point;
      EXPECT_EQ(list().size(), 1u) << point;
    }
  }
  incremental();
  restore();
  expect_restored(target(), model_, store_->status().visible_seq, options_);
}

// It is there, whatever the error says.
TEST_F(BackupRetention, IsTakenBackWhenOnlyItsLastSyncFails) {
  int syncs = 0;
  int syncs_of_registering = 0;
  fault::arm("file.sync_directory", {.run = [&] { ++syncs; }, .times = -1});
  fault::arm("backup.registered", {.run = [&] {
               syncs_of_registering = syncs;
               throw Error(ErrorCode::Io, "given up");
             }});
  expect_error([&] { back_up(); }, ErrorCode::Io, "given up");
  fault::disarm_all();
  std::filesystem::remove_all(set_path());
  fault::arm("file.sync_directory", {.fail_with = EIO, .skip = syncs_of_registering - 1});
  expect_error([&] { back_up(); }, ErrorCode::Io, "sync");
  fault::disarm_all();
  EXPECT_THAT(registrations(), IsEmpty());
}

// While it is written nothing more is kept for an older snapshot than there was: the newest one's registration counts.
TEST_F(BackupRetention, ADiffThatContinuesAnOlderSnapshotKeepsTheJournalFromThere) {
  back_up();
  const CommitSeq first = registration().commit;
  put("a", "1");
  incremental();
  const RetainedSet moved_on = registration();
  std::filesystem::remove(set_path() / list()[1].files[0]);  // the newest is broken now
  CommitSeq during = 0;
  fault::arm("backup.pinning", {.run = [&] { during = registration().commit; }});
  const Manifest again = *incremental().snapshot.manifest;
  EXPECT_EQ(during, first);
  EXPECT_EQ(again.base_ordinal, 1u);
  EXPECT_GE(registration().commit, moved_on.commit);
  SnapshotSet::open(set_path(), {}).repair(true);
  restore();
  expect_restored(target(), model_, store_->status().visible_seq, options_);
}

// The registration of before a repair is of another timeline and keeps nothing: the next full registers anew at once,
// and if it fails the old one is there again.
TEST_F(BackupRetention, OfAnotherTimelineKeepsNothingAndIsReplacedAtOnce) {
  back_up();
  RetainedSet other = registration();
  other.timeline = uuid_of(9);
  Retention(store_path()).set(other);
  fault::arm("backup.written", {.run = [] { throw Error(ErrorCode::Io, "given up"); }});
  expect_error([&] { back_up(); }, ErrorCode::Io, "given up");
  EXPECT_EQ(registration(), other);
  fault::arm("backup.written", {.run = [&] { write_much(); }});
  back_up();
  EXPECT_THAT(incremental().notes, IsEmpty());
  restore();
  expect_restored(target(), model_, store_->status().visible_seq, options_);
}

// The snapshot is there: that the registration cannot be moved on is no reason to say that it is not.
TEST_F(BackupRetention, ThatCannotBeMovedOnIsANoteAndTheNextDiffWorks) {
  back_up();
  put("a", "1");
  fault::arm("backup.published", {.run = [] { fault::arm("file.write", {.fail_with = ENOSPC, .times = -1}); }});
  const BackupReport report = incremental();
  fault::disarm_all();
  EXPECT_THAT(report.notes, testing::ElementsAre(HasSubstr("goes on keeping the journal")));
  EXPECT_EQ(list().size(), 2u);
  EXPECT_EQ(registration().commit, list()[0].manifest->last_commit);
  write_much();
  EXPECT_EQ(incremental().snapshot.manifest->base_ordinal, 2u);
  EXPECT_TRUE(verify().ok());
}

TEST_F(BackupRetention, ACrashBetweenRegisteringAndPublishingBreaksNothing) {
  close();
  for (const std::string point : {"backup.registered", "backup.written", "backup.published"}) {
    azoth::test::ChildProcess child([&] {
      open();
      fault::arm(point, {.kill = true});
      back_up();
      _exit(0);
    });
    child.wait();
    EXPECT_TRUE(child.was_killed());
    EXPECT_EQ(registrations().size(), 1u);  // it may keep too much, never too little
    open();
    write_much();
    back_up();
    write_much();
    EXPECT_THAT(incremental().notes, IsEmpty());
    restore();
    expect_restored(target(), model_, store_->status().visible_seq, options_);
    close();
    std::filesystem::remove_all(set_path());
    std::filesystem::remove_all(store_path() / "retain");
  }
}

TEST_F(BackupRetention, TwoSetsOfOneStoreAreKeptForEach) {
  back_up();
  backup::back_up(*store_, store_path(), nullptr, dir_.path() / "other", {});
  write_much();
  incremental();
  write_much();
  EXPECT_EQ(registrations().size(), 2u);
  const BackupReport other =
      backup::back_up(*store_, store_path(), nullptr, dir_.path() / "other", {.incremental = true});
  EXPECT_THAT(other.notes, IsEmpty());
  EXPECT_EQ(other.snapshot.manifest->last_commit, store_->status().visible_seq);
  EXPECT_TRUE(verify_set(dir_.path() / "other", {.store = options_}).ok());
}

TEST_F(BackupRetention, OneBackupIntoASetAtATime) {
  back_up();
  fault::arm("backup.pinning", {.run = [&] {
               fault::disarm("backup.pinning");
               expect_error([&] { back_up(); }, ErrorCode::Locked, "is in use by process " + std::to_string(getpid()));
               expect_error([&] { restore(); }, ErrorCode::Locked, "is in use");
             }});
  put("a", "1");
  incremental();
  EXPECT_EQ(list().size(), 2u);
}

}  // namespace
}  // namespace azoth::backup::test
