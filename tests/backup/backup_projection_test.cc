// Projections in backups: their tables as they are at their cursor, their dead letters, their declarations.
//
// Covers of the defects that other stores had: rows that are missing in a copy while others read or write (E8), dead
// letters that are not backed up (E9), projections that are not saved (E12), tables of before that are mixed with those
// that are restored (E7).
#include <atomic>
#include <thread>

#include "azoth/projection/declarations.h"
#include "azoth/projection/query.h"
#include "backup_support.h"

namespace azoth::backup::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Of each payload how often it was counted; some cannot be.
Projection counting() {
  Projection projection("counts", 1);
  projection.schema("CREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL)");
  projection.on_error({.then = ErrorPolicy::Then::DeadLetter});
  projection.on("count", [](const EventView& event, Sql& sql) {
    if (event.payload() == "bad") throw std::runtime_error("it cannot be counted");
    sql.run("INSERT INTO counts VALUES (?1, 1) ON CONFLICT (what) DO UPDATE SET times = times + 1", event.payload());
  });
  return projection;
}

const std::string kDeclared =
    "-- azoth:projection sums version 2\nCREATE TABLE sums (n INTEGER);\n"
    "-- azoth:on count\nINSERT INTO sums VALUES (1);\n";

class BackupProjection : public BackupTest {
 protected:
  // A store, open, with a projector that has both.
  struct Running {
    Running(Store& store, const Path& directory) : source(store.event_source()), projector(directory, *source) {
      projector.add(counting());
      projector.add(Declarations(directory).load("sums"));
    }
    void catch_up() {
      for (const std::string name : {"counts", "sums"}) projector.catch_up(name);
    }
    std::unique_ptr<EventSource> source;
    Projector projector;
  };

  BackupProjection() { Declarations(store_path()).add(kDeclared, "sums.sql"); }

  void count(const std::string& what, int times = 1) {
    for (int i = 0; i < times; ++i) append(what);
    store_->flush();
  }
  void project() { Running(*store_, store_path()).catch_up(); }
  // What the tables show of the first so many events.
  void expect_tables(const Path& directory, EventId cursor) {
    std::map<std::string, std::int64_t> expected;
    std::int64_t sum = 0;
    const LogModel log = model_.log(~CommitSeq{0});
    for (EventId id = 1; id <= cursor; ++id, ++sum) {
      if (log[id - 1].payload != "bad") ++expected[log[id - 1].payload];
    }
    EXPECT_EQ(counts_in(directory), expected);
    EXPECT_EQ(sum_in(directory), sum);
  }
  static std::map<std::string, std::int64_t> counts_in(const Path& directory) {
    std::map<std::string, std::int64_t> counts;
    Queries queries(directory);
    const std::vector<std::string> names{"counts"};
    for (const SqlRow& row : queries.sql(names, "SELECT what, times FROM counts")) {
      counts[std::string(row.text(0))] = row.int64(1);
    }
    return counts;
  }
  static std::int64_t sum_in(const Path& directory) {
    Queries queries(directory);
    const std::vector<std::string> names{"sums"};
    return queries.sql(names, "SELECT count(*) FROM sums").next()->int64(0);
  }
  // That a program that goes on with the restored store need build nothing anew.
  void expect_go_on(const Path& directory, bool rebuilt = false) {
    const std::unique_ptr<Store> store = Store::open(directory, options_);
    Running running(*store, directory);
    running.catch_up();
    for (const ProjectionStatus& status : running.projector.status()) {
      EXPECT_EQ(status.rebuilt_because.has_value(), rebuilt) << status.name << ": " << *status.rebuilt_because;
      EXPECT_EQ(status.cursor, store->meta().last_event);
    }
  }
  void change_file(const std::string& name, const std::function<void(std::string&)>& change) {
    for (const std::string& file : names_in(store_path() / "projections")) {
      if (!file.starts_with(name + ".") || !file.ends_with(".db")) continue;
      std::string bytes = get_file(FileSystem::posix(), store_path() / "projections" / file);
      change(bytes);
      replace_file(FileSystem::posix(), store_path() / "projections" / file, bytes);
    }
  }
  void damage(const std::string& name) {
    change_file(name, [](std::string& bytes) { bytes.replace(0, 4096, 4096, 'x'); });
  }
};

TEST_F(BackupProjection, ComeBackWithTheirCursorAndGoOn) {
  count("a", 3);
  count("b", 2);
  project();
  count("a", 4);  // behind their cursor
  const Manifest full = *back_up().snapshot.manifest;
  ASSERT_EQ(full.projections.size(), 2u);
  for (const ProjectionCursor& projection : full.projections) {
    EXPECT_TRUE(projection.tables);
    EXPECT_EQ(projection.cursor, 5u);
  }
  EXPECT_EQ(full.projections[1].version, 2u);
  const RestoreReport report = restore();
  EXPECT_THAT(report.projections, ElementsAre("counts", "sums"));
  EXPECT_THAT(report.rebuilt, IsEmpty());
  EXPECT_THAT(report.notes, IsEmpty());
  expect_tables(target(), 5);
  expect_go_on(target());
  expect_tables(target(), 9);
}

TEST_F(BackupProjection, DeadLettersComeAlong) {
  count("a");
  count("bad", 2);
  project();
  back_up();
  restore();
  const std::vector<DeadLetter> letters = read_dead_letters(target(), "counts");
  ASSERT_EQ(letters.size(), 2u);
  EXPECT_EQ(letters[0].event_id, 2u);
  EXPECT_THAT(letters[0].error, HasSubstr("it cannot be counted"));
  EXPECT_EQ(letters[0].event().payload(), "bad");
  expect_go_on(target());
}

TEST_F(BackupProjection, ADeclarationWithoutTablesComesBackAsOne) {
  count("a", 2);
  const Manifest full = *back_up().snapshot.manifest;
  ASSERT_EQ(full.projections.size(), 1u);
  EXPECT_FALSE(full.projections[0].tables);
  const RestoreReport report = restore();
  EXPECT_THAT(report.projections, IsEmpty());
  EXPECT_THAT(report.rebuilt, ElementsAre("sums"));
  EXPECT_THAT(Declarations(target()).names(), ElementsAre("sums"));
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  Running(*store, target()).catch_up();
  expect_tables(target(), 2);
}

TEST_F(BackupProjection, AreLeftOutOrNotBroughtBackWhenThatIsAskedFor) {
  count("a", 2);
  project();
  EXPECT_FALSE(back_up({.projections = false}).snapshot.manifest->projections[0].tables);
  EXPECT_THAT(restore().rebuilt, ElementsAre("counts", "sums"));
  EXPECT_THAT(Declarations(target()).names(), ElementsAre("sums"));
  back_up();
  const RestoreReport report = restore({.projections = false});
  EXPECT_THAT(report.projections, IsEmpty());
  EXPECT_THAT(report.rebuilt, ElementsAre("counts", "sums"));
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  Running(*store, target()).catch_up();
  expect_tables(target(), 2);
}

// A projection is made of events, and can be made again.
TEST_F(BackupProjection, OneWhoseTablesAreDamagedIsLeftOutWithANote) {
  count("a", 2);
  project();
  damage("counts");
  damage("sums");
  const BackupReport report = back_up();
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("the tables of projection counts are left out"),
                                        HasSubstr("the tables of projection sums are left out")));
  EXPECT_THAT(restore().rebuilt, ElementsAre("counts", "sums"));
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  Running(*store, target()).catch_up();
  expect_tables(target(), 2);
}

// SQLite has no checksums: what it says is looked at.
TEST_F(BackupProjection, OneWhoseFingerprintIsDamagedIsLeftOutWithANote) {
  count("a", 2);
  project();
  for (const std::string wrong : {"\u00e9", "xy"}) {
    change_file("counts", [&](std::string& bytes) {
      const std::size_t at = bytes.find(counting().fingerprint().substr(2));
      ASSERT_NE(at, std::string::npos);
      bytes.replace(at - 2, 2, wrong);
    });
    EXPECT_THAT(back_up().notes, ElementsAre(HasSubstr("the tables of projection counts are left out")));
    EXPECT_THAT(restore().rebuilt, ElementsAre("counts"));
  }
}

TEST_F(BackupProjection, ADeclarationThatCouldNotBeInstalledIsLeftOutWithANote) {
  count("a", 2);
  replace_file(FileSystem::posix(), store_path() / "projections" / "sums.sql", "this is no declaration");
  for (const bool projections : {true, false}) {
    const BackupReport report = back_up({.projections = projections});
    EXPECT_THAT(report.notes, testing::Contains(HasSubstr("projection sums is left out: ")));
    EXPECT_THAT(report.snapshot.manifest->projections, IsEmpty());
    EXPECT_THAT(restore().rebuilt, IsEmpty());
  }
}

// As a repair leaves them that has cut the history: the tables show what is no longer there.
TEST_F(BackupProjection, TablesThatAreAheadOfTheStoreAreLeftOutWithANote) {
  count("a", 2);
  back_up();
  count("a", 2);
  project();
  restore();
  std::filesystem::remove_all(target() / "projections");
  std::filesystem::copy(store_path() / "projections", target() / "projections",
                        std::filesystem::copy_options::recursive);
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  const BackupReport report = backup::back_up(*store, target(), nullptr, set_path(), {});
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("they show event 4, behind the end of the store"),
                                        HasSubstr("the tables of projection sums are left out")));
  EXPECT_FALSE(report.snapshot.manifest->projections[0].tables);
}

TEST_F(BackupProjection, TablesThatAreAheadOfTheTargetAreBuiltAnew) {
  count("a", 2);
  back_up();
  count("a", 3);
  incremental();
  count("a", 1);
  project();
  back_up();
  EXPECT_THAT(restore().projections, ElementsAre("counts", "sums"));
  expect_tables(target(), 6);
  const RestoreReport report = restore_to(RestoreTarget::event(4));  // of the first full, which has no tables
  EXPECT_THAT(report.projections, IsEmpty());
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  Running(*store, target()).catch_up();
  expect_tables(target(), 4);
}

TEST_F(BackupProjection, AreCopiedWhileTheyAreWritten) {
  const auto running = std::make_unique<Running>(*store_, store_path());
  running->projector.follow_all();
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (int i = 0; !over; ++i) {
      unless_paused([&] { append(i % 9 == 0 ? "bad" : "what" + std::to_string(i % 5)); });
    }
  });
  for (int i = 0; i < rounds(6, 60); ++i) {
    store_->flush();
    const SealMode seal = i % 3 == 2 ? SealMode::Snapshot : SealMode::None;
    const auto error = error_of([&] {
      const BackupReport report =
          backup::back_up(*store_, store_path(), &running->projector, set_path(), {.seal = seal});
      const bool is_told = std::any_of(report.notes.begin(), report.notes.end(), [](const std::string& note) {
        return note.find("for too long") != std::string::npos;  // a slow machine does not catch up in time
      });
      if (seal != SealMode::Snapshot || is_told) return;
      for (const ProjectionCursor& projection : report.snapshot.manifest->projections) {
        EXPECT_EQ(projection.cursor, report.snapshot.manifest->last_event);
      }
    });
    EXPECT_FALSE(error) << error->what();
  }
  over = true;
  writer.join();
  running->projector.stop("counts");
  running->projector.stop("sums");
  for (const SnapshotInfo& info : list()) {
    const RestoreReport report = restore_to(RestoreTarget::commit(info.manifest->last_commit));
    EXPECT_THAT(report.notes, IsEmpty());
    const auto projections = list()[report.snapshots.at(0) - 1].manifest->projections;  // of several, the newest
    EXPECT_EQ(projections.size(), 2u);
    const EventId cursor = projections[0].cursor;
    EXPECT_EQ(sum_in(target()), static_cast<std::int64_t>(projections[1].cursor));
    std::int64_t counted = 0;
    for (const auto& [what, times] : counts_in(target())) counted += times;
    EXPECT_EQ(counted + static_cast<std::int64_t>(read_dead_letters(target(), "counts").size()),
              static_cast<std::int64_t>(cursor));
    expect_go_on(target());
    if (HasFailure()) return;
  }
}

// Whoever has charge of a declared projection keeps it.
TEST_F(BackupProjection, ASealedSnapshotReleasesOnlyWhatItHasAdded) {
  count("a", 2);
  const auto source = store_->event_source();
  Projector projector(store_path(), *source);
  Projector other(store_path(), *source);
  other.add(Declarations(store_path()).load("sums"));
  const BackupReport report =
      backup::back_up(*store_, store_path(), &projector, set_path(), {.seal = SealMode::Snapshot});
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("projection sums is in the snapshot as far as it is")));
  EXPECT_THAT(other.names(), ElementsAre("sums"));
  other.release("sums");
  backup::back_up(*store_, store_path(), &projector, set_path(), {.seal = SealMode::Snapshot});
  EXPECT_THAT(projector.names(), IsEmpty());
  EXPECT_EQ(sum_in(store_path()), 2);
}

TEST_F(BackupProjection, MoreThanAManifestNamesAreRefusedBeforeAnythingIsCopied) {
  const Path folder = store_path() / "projections";
  std::filesystem::create_directories(folder);
  for (int i = 0; i < 1100; ++i) std::ofstream(folder / ("p" + std::to_string(i) + ".sql")) << "-- a declaration\n";
  fault::arm("backup.pinning", {.run = [] { ADD_FAILURE() << "it was not looked at first"; }, .times = -1});
  expect_error([&] { back_up(); }, ErrorCode::InvalidArgument, "a snapshot has room for 1024");
  EXPECT_TRUE(list().empty());
}

}  // namespace
}  // namespace azoth::backup::test
