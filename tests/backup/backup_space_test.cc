// A disk that is full at each step of a backup and of a restore, once or from then on.
#include "azoth/projection/declarations.h"
#include "backup_support.h"

namespace azoth::backup::test {
namespace {

using testing::IsEmpty;

const std::string kProjection =
    "-- azoth:projection counts version 1\nCREATE TABLE counts (n INTEGER);\n"
    "-- azoth:on count\nINSERT INTO counts VALUES (1);\n";
const std::vector<std::string> kPoints = {"file.write",  "file.sync",           "file.create",  "file.make_directory",
                                          "file.rename", "file.sync_directory", "lmdb.reserve", "file.allocate"};

class BackupSpace : public BackupTest {
 protected:
  BackupSpace() {
    Declarations(store_path()).add(kProjection, "counts.sql");
    put("a", "b");
    append("{}", 2);
    const auto source = store_->event_source();
    Projector projector(store_path(), *source);
    projector.add(Declarations(store_path()).load("counts"));
    projector.catch_up("counts");
  }

  // Calls `work` with each of the points failing at each of its hits until it is not hit any more. What `failed` finds
  // is what must hold after an error, what `succeeded` finds if there was none all the same.
  void fill_the_disk(const std::function<void()>& prepare, const std::function<void()>& work,
                     const std::function<void(const Error&)>& failed, const std::function<void()>& succeeded) {
    int errors = 0;
    for (const std::string& point : kPoints) {
      for (const int times : {1, -1}) {
        for (int skip = 0;; skip += skip < kEachHit ? 1 : 9) {
          prepare();
          bool hit = false;
          fault::arm(point, {.fail_with = ENOSPC, .run = [&] { hit = true; }, .skip = skip, .times = times});
          const auto error = error_of(work);
          fault::disarm_all();
          if (!hit) break;
          SCOPED_TRACE(point + ", hit " + std::to_string(skip + 1) + (times == 1 ? "" : " and all behind it"));
          error ? failed(*error) : succeeded();
          errors += error ? 1 : 0;
          if (HasFailure()) return;
        }
      }
    }
    EXPECT_GT(errors, 20);
  }
  void expect_nothing_was_taken(const Error& error, std::size_t snapshots, const std::vector<RetainedSet>& before) {
    if (error.code() == ErrorCode::StoreFailed) {  // its journal did not fit: that is not for the backup to mend
      EXPECT_THAT(std::string(error.what()), testing::HasSubstr("/journal/"));
      close();
      open();
    } else {
      EXPECT_EQ(error.code(), ErrorCode::NoSpace) << error.what();
    }
    if (std::filesystem::exists(set_path() / "SET") && !error.outcome_unknown()) {
      std::size_t published = 0;
      for (const SnapshotInfo& info : list()) published += info.state == SnapshotState::Unfinished ? 0 : 1;
      EXPECT_EQ(published, snapshots);
      EXPECT_EQ(registrations(), before);
    }
    expect_usable();
  }
  void start_over() {
    std::filesystem::remove_all(set_path());
    std::filesystem::remove_all(store_path() / "retain");
  }

  const int kEachHit = rounds(6, 1000);
};

TEST_F(BackupSpace, AFirstFullThatDoesNotFitIsNoSnapshotAndIsNotRegistered) {
  fill_the_disk([&] { start_over(); }, [&] { back_up(); },
                [&](const Error& error) {
                  EXPECT_EQ(error.code(), ErrorCode::NoSpace) << error.what();
                  // What cannot be taken back on a disk that is full keeps too much until the next backup.
                  for (const RetainedSet& set : registrations()) EXPECT_LE(set.commit, store_->status().flushed_seq);
                  expect_usable();
                  back_up();
                  ASSERT_EQ(list().back().state, SnapshotState::Whole);
                },
                [&] { EXPECT_TRUE(verify().ok()); });
  EXPECT_TRUE(verify().ok());
}

TEST_F(BackupSpace, ADiffThatDoesNotFitIsNoSnapshotAndTheNextOneIs) {
  start_over();
  back_up();
  std::size_t snapshots = 1;
  std::vector<RetainedSet> before;
  const auto prepare = [&] {
    put("a", std::to_string(snapshots));
    store_->checkpoint();
    before = registrations();
    snapshots = list().size();
    if (snapshots < 8) return;
    start_over();
    back_up();
    put("a", "b");
    snapshots = 1;
    before = registrations();
  };
  fill_the_disk(
      prepare, [&] { incremental(); },
      [&](const Error& error) {
        expect_nothing_was_taken(error, snapshots, before);
        SnapshotSet::open(set_path(), {}).repair();
        EXPECT_THAT(incremental().notes, IsEmpty());
      },
      [&] {
        EXPECT_EQ(list().size(), snapshots + 1);
        EXPECT_TRUE(verify().ok());
      });
  restore();
  expect_restored(target(), model_, list().back().manifest->last_commit, options_);
}

TEST_F(BackupSpace, ARestoreThatDoesNotFitLeavesNoTarget) {
  start_over();
  back_up();
  put("a", "c");
  incremental();
  const CommitSeq last = store_->status().visible_seq;
  close();
  const auto work = [&] {
    backup::restore(set_path(), target(), {.sealed = true, .advance_sequences = 3, .store = options_});
  };
  fill_the_disk([&] { std::filesystem::remove_all(targets()); }, work,
                [&](const Error& error) {
                  // The restored store itself, when it is sealed, says why it has failed.
                  const std::string what = error.what();
                  EXPECT_TRUE(error.code() == ErrorCode::NoSpace || error.code() == ErrorCode::StoreFailed) << what;
                  EXPECT_THAT(what, testing::HasSubstr("No space left"));
                  EXPECT_FALSE(std::filesystem::exists(targets())) << "a directory that was made for it is left";
                },
                [&] { expect_restored(target(), model_, last, options_); });
  restore();
  expect_restored(target(), model_, last, options_);
}

// The tables of a projection are a reason to give a restore up only if there is no room for them.
TEST_F(BackupSpace, VerifyingThatDoesNotFitLeavesNothing) {
  start_over();
  back_up();
  std::filesystem::create_directories(targets());
  bool ok = false;
  fill_the_disk([] {}, [&] { ok = verify({.scratch = targets()}).ok(); },
                [&](const Error& error) {
                  EXPECT_EQ(error.code(), ErrorCode::NoSpace) << error.what();
                  expect_no_target();
                },
                [&] {
                  EXPECT_TRUE(ok) << "what does not fit is no damage";
                  expect_no_target();
                });
  EXPECT_TRUE(verify().ok());
}

}  // namespace
}  // namespace azoth::backup::test
