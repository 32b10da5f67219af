// kill -9 at every step of making a set, of taking fulls and diffs, of purging and of restoring: at each hit of each
// fault point that is reached.
#include <algorithm>
#include <array>

#include "azoth/projection/declarations.h"

#include "backup_support.h"
#include "support/child_process.h"

namespace azoth::backup::test {
namespace {

using azoth::test::ChildProcess;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kProjection =
    "-- azoth:projection counts version 1\nCREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL);\n"
    "-- azoth:on count\nINSERT INTO counts VALUES (:what, 1) ON CONFLICT (what) DO UPDATE SET times = times + 1;\n";

class BackupKill : public BackupTest {
 protected:
  BackupKill() {
    Declarations(store_path()).add(kProjection, "counts.sql");
    change();
    with_projector([](Projector& projector) { projector.catch_up("counts"); });
    close();
  }

  void change() {
    ++changes_;
    put("key" + std::to_string(changes_ % 5), std::to_string(changes_));
    append("{\"what\":\"a\"}");
  }
  void with_projector(const std::function<void(Projector&)>& use) {
    const auto source = store_->event_source();
    Projector projector(store_path(), *source);
    projector.add(Declarations(store_path()).load("counts"));
    use(projector);
  }

  // What a child has open while it works. A store counts with its threads: what they do to files while the work goes on
  // are points too, which another run need not have.
  enum class Beside { TheOpenStore, Nothing };

  // The points that this work reaches, in a child: its store, if it is open there, is not closed.
  std::vector<std::string> points_of(const std::function<void()>& work, Beside beside) {
    azoth::test::Pipe pipe;
    ChildProcess child([&] {
      if (beside == Beside::TheOpenStore) open();
      fault::record(true);
      work();
      fault::record(false);
      for (const std::string& point : fault::reached()) {
        std::array<char, 64> name{};
        point.copy(name.data(), name.size() - 1);
        pipe.send(name);
      }
      _exit(0);
    });
    pipe.close_writing();
    std::vector<std::string> points;
    for (std::array<char, 64> name{}; pipe.receive(name);) points.emplace_back(name.data());
    child.wait();
    EXPECT_TRUE(child.succeeded());
    return points;
  }

  // True if the child was killed there, false if it did not get so far.
  bool killed_at(const std::string& point, int skip, const std::function<void()>& work,
                 Beside beside = Beside::TheOpenStore) {
    ChildProcess child([&] {
      if (beside == Beside::TheOpenStore) open();
      fault::arm(point, {.kill = true, .skip = skip});
      work();
      _exit(0);
    });
    child.wait();
    EXPECT_TRUE(child.was_killed() || child.succeeded()) << point << " " << skip;
    return child.was_killed();
  }

  // `prepare` before each attempt, `check` after each kill. A point that is hit very often is killed at fewer of them.
  void kill_everywhere(const std::function<void()>& prepare, const std::function<void()>& work,
                       const std::function<void(const std::string&)>& check, Beside beside = Beside::TheOpenStore) {
    prepare();
    int kills = 0;
    std::string seen;
    for (const std::string& point : points_of(work, beside)) {
      seen += " " + point + " from " + std::to_string(kills);
      for (int skip = 0;; skip += skip < kEachHit ? 1 : 5) {
        prepare();
        if (!killed_at(point, skip, work, beside)) break;
        ++kills;
        const std::string trace = "killed at " + point + ", hit " + std::to_string(skip + 1);
        SCOPED_TRACE(trace);
        check(trace);
        if (HasFailure()) return;
      }
    }
    EXPECT_GE(kills, 8) << seen;
  }

  // What must hold after any death: the store takes writes, each published snapshot restores, what is left of another
  // one is removed, and the next backup works.
  void check_store_and_set(const std::string& trace) {
    open();
    expect_usable(trace);
    const std::vector<SnapshotInfo> before = list_or_nothing();
    for (const SnapshotInfo& info : before) {
      ASSERT_NE(info.state, SnapshotState::Broken) << info.why;
      if (info.state == SnapshotState::Whole) expect_restores(*info.manifest);
    }
    if (std::filesystem::exists(set_path() / "SET")) {
      SnapshotSet set = SnapshotSet::open(set_path(), {});
      set.repair();
      ASSERT_THAT(ordinals(set, SnapshotState::Unfinished), IsEmpty());
    }
    const std::size_t published = ordinals_of(before).size();
    const BackupReport next = back_up({.incremental = published > 0});
    EXPECT_THAT(next.notes, IsEmpty());
    expect_restores(*next.snapshot.manifest);
    EXPECT_THAT(copies_left(), IsEmpty());
    close();
  }
  void expect_restores(const Manifest& manifest) {
    restore_to(RestoreTarget::commit(manifest.last_commit));
    expect_restored(target(), model_, manifest.last_commit, options_);
  }
  std::vector<SnapshotInfo> list_or_nothing() const {
    return std::filesystem::exists(set_path() / "SET") ? list() : std::vector<SnapshotInfo>{};
  }
  static std::vector<std::uint64_t> ordinals_of(const std::vector<SnapshotInfo>& all) {
    std::vector<std::uint64_t> whole;
    for (const SnapshotInfo& info : all) {
      if (info.state == SnapshotState::Whole) whole.push_back(info.ordinal);
    }
    return whole;
  }
  std::vector<std::string> copies_left() const {
    std::vector<std::string> left;
    for (const std::string& name : names_in(store_path() / "projections")) {
      if (name.starts_with(".copy.")) left.push_back(name);
    }
    return left;
  }
  void remove_set() {
    std::filesystem::remove_all(set_path());
    std::filesystem::remove_all(store_path() / "retain");
  }
  void begin_with_a_full() {
    remove_set();
    open();
    change();
    back_up();
    change();
    close();
  }

  const int kEachHit = rounds(5, 1000);
  const std::vector<std::uint64_t> kKept = {3, 4};
  int changes_ = 0;
};

TEST_F(BackupKill, MakingASetAndItsFirstFull) {
  kill_everywhere([&] { remove_set(); }, [&] { back_up(); }, [&](const std::string& t) { check_store_and_set(t); });
}

TEST_F(BackupKill, ASealedFullWhoseProjectionsAreBroughtUpToDate) {
  begin_with_a_full();
  const auto work = [&] {
    change();
    const auto source = store_->event_source();
    Projector projector(store_path(), *source);
    backup::back_up(*store_, store_path(), &projector, set_path(), {.seal = SealMode::Snapshot});
  };
  // The child's change is none that the model knows: what there is is compared with the store itself.
  int kills = 0;
  for (const std::string point : {"backup.registered", "backup.pinning", "backup.written", "backup.published",
                                  "projection.copy", "projection.committed", "projection.begun", "projection.commit"}) {
    if (!killed_at(point, 0, work)) continue;
    ++kills;
    SCOPED_TRACE(point);
    open();
    EXPECT_THAT(store_->status().pauses, IsEmpty());
    EXPECT_EQ(store_->meta().sealed_event, std::nullopt);
    const Manifest next = *back_up({.seal = SealMode::Snapshot}).snapshot.manifest;
    restore();
    EXPECT_EQ(Store::open_read_only(target(), options_)->digest(), store_->digest());
    EXPECT_TRUE(next.sealed);
    EXPECT_THAT(copies_left(), IsEmpty());
    close();
  }
  EXPECT_GE(kills, 6);
}

TEST_F(BackupKill, ADiff) {
  kill_everywhere([&] { begin_with_a_full(); }, [&] { incremental(); },
                  [&](const std::string& trace) {
                    EXPECT_FALSE(ordinals_of(list()).empty());
                    check_store_and_set(trace);
                  });
}

TEST_F(BackupKill, APurge) {
  const auto prepare = [&] {
    begin_with_a_full();
    open();
    incremental();
    back_up();
    change();
    incremental();
    close();
  };
  const auto work = [&] {
    const PurgeReport report = SnapshotSet::open(set_path(), {}).purge(1);
    EXPECT_THAT(report.removed, testing::ElementsAre(2, 1)) << report.note;
  };
  const auto check = [&](const std::string& trace) {
    const std::vector<std::uint64_t> whole = ordinals_of(list());
    EXPECT_TRUE(std::includes(whole.begin(), whole.end(), kKept.begin(), kKept.end()));
    check_store_and_set(trace);
    EXPECT_THAT(SnapshotSet::open(set_path(), {}).purge(1).remains, IsEmpty());
  };
  kill_everywhere(prepare, work, check, Beside::Nothing);
}

TEST_F(BackupKill, ARestoreLeavesNoTargetOrTheWholeStoreAndTheNextOneRemovesWhatIsLeft) {
  begin_with_a_full();
  open();
  const CommitSeq last = incremental().snapshot.manifest->last_commit;
  close();
  const auto prepare = [&] { std::filesystem::remove_all(targets()); };
  const auto work = [&] { backup::restore(set_path(), target(), {.advance_sequences = 1, .store = options_}); };
  int whole = 0;
  kill_everywhere(prepare, work, [&](const std::string&) {
    if (std::filesystem::exists(target())) {
      ++whole;
      expect_restored(target(), model_, last, options_);
      std::filesystem::remove_all(target());
    }
    backup::restore(set_path(), target(), {.store = options_});
    expect_restored(target(), model_, last, options_);
    EXPECT_THAT(names_in(targets()), ElementsAre("store"));
    EXPECT_EQ(ordinals_of(list()).size(), 2u);
  });
  EXPECT_GE(whole, 1);
}

}  // namespace
}  // namespace azoth::backup::test
