// Copies of projections, put into another store.
#include <gtest/gtest.h>

#include <fstream>

#include "projection_copy_support.h"
#include "support/child_process.h"

namespace azoth::test {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ProjectionInstallTest : public ProjectionCopyTest {
 protected:
  void put(const ProjectionParts& parts, const std::string& tables) { put(target_.path(), parts, tables); }
  static void put(const std::filesystem::path& directory, const ProjectionParts& parts, const std::string& tables) {
    ProjectionInstall install(directory, parts);
    for (std::size_t at = 0; at < tables.size(); at += 1000) install.write(std::string_view(tables).substr(at, 1000));
    install.finish();
  }
  void put(const ProjectionCopy& copy) { put(copy.parts(), content_of(copy)); }
  ErrorCode code_of_put(const ProjectionParts& parts, const std::string& tables) {
    return code_of([&] { return put(parts, tables), 0; });
  }
  std::filesystem::path into() const { return target_.path() / "projections"; }
  std::unique_ptr<Projector> projector_there() {
    return std::make_unique<Projector>(target_.path(), source_,
                                       ProjectorOptions{.clock = &clock_, .pacer = &pacer_, .seed = 1});
  }
  // The tables of a projection with events 1 to 5, and of what else `change` makes of its file.
  std::pair<ProjectionParts, std::string> changed(const std::string& change) {
    build();
    ProjectionCopy copy = this->copy();
    const auto path = elsewhere_.path() / "changed.db";
    std::ofstream(path, std::ios::binary) << content_of(copy);
    Connection(path, Connection::Mode::Write).run_script(change);
    return {copy.parts(), read_file(FileSystem::posix(), path, 1 << 20)};
  }

  TempDir target_;
};

TEST_F(ProjectionInstallTest, WhatWasCopiedIsPutInPlaceAndNothingElse) {
  declare();
  count(4);
  projector_with(Declarations(directory_.path()).load("declared"))->catch_up("declared");
  ProjectionCopy copy = this->copy("declared");
  put(copy);
  EXPECT_THAT(files_in(into()),
              ElementsAre("declared", "declared.1.db", "declared.1.lock", "declared.lock", "declared.sql"));
  EXPECT_EQ(mode_of(into()), 0700u);
  for (const std::string& file : files_in(into())) EXPECT_EQ(mode_of(into() / file), 0600u) << file;
  EXPECT_EQ(read_file(FileSystem::posix(), into() / "declared.1.db", 1 << 20), content_of(copy));
  EXPECT_FALSE(LockFile::is_held(into() / "declared.lock"));
  ProjectionCopy again(target_.path(), "declared");
  EXPECT_EQ(again.parts(), copy.parts());
  EXPECT_EQ(number(*open(again), "SELECT count(*) FROM t"), 4);
}

TEST_F(ProjectionInstallTest, ADeclarationAloneIsPutInPlace) {
  declare();
  put(copy("declared"));
  EXPECT_EQ(Declarations(target_.path()).load("declared").version(), 3u);
  EXPECT_THAT(ProjectionCopy::names(target_.path()), ElementsAre("declared"));
  EXPECT_FALSE(std::filesystem::exists(into() / "declared"));
}

TEST_F(ProjectionInstallTest, TheProjectorGoesOnFromTheCursor) {
  build();
  put(copy());
  count(2);
  auto projector = projector_there();
  projector->add(counting());
  EXPECT_EQ(projector->status("counts").rebuilt_because, std::nullopt);
  EXPECT_EQ(projector->status("counts").cursor, 5u);
  EXPECT_EQ(projector->catch_up("counts").events, 2u);
  EXPECT_EQ(projector->status("counts").generation, 1u);
}

TEST_F(ProjectionInstallTest, TheProjectorGoesOnInATimelineThatBranchesOffBehindTheCursor) {
  build();
  put(copy());
  count(3);
  source_.cut(6);
  source_.fork(6);
  count(1, "b");
  auto projector = projector_there();
  projector->add(counting());
  EXPECT_EQ(projector->status("counts").rebuilt_because, std::nullopt);
  EXPECT_EQ(projector->catch_up("counts").events, 2u);
  projector.reset();
  EXPECT_EQ(number(*open(ProjectionCopy(target_.path(), "counts")), "SELECT times FROM counts WHERE what = 'a'"), 6);
}

TEST_F(ProjectionInstallTest, InAHistoryThatHasNotItsCursorTheProjectorBuildsItAnew) {
  build();
  put(copy());
  {
    source_.cut(3);
    source_.fork(3);
    count(4, "b");
    auto projector = projector_there();
    projector->add(counting());
    EXPECT_THAT(projector->status("counts").rebuilt_because.value_or(""), HasSubstr("only what is up to commit 3"));
    EXPECT_EQ(projector->catch_up("counts").events, 7u);
  }
  TempDir other;
  put(other.path(), copy().parts(), content_of(copy()));
  source_.set_lineage({{.id = Uuid::random()}});
  Projector projector(other.path(), source_, {.clock = &clock_, .pacer = &pacer_});
  projector.add(counting());
  EXPECT_THAT(projector.status("counts").rebuilt_because.value_or(""), HasSubstr("not in the store's history"));
}

TEST_F(ProjectionInstallTest, NothingCountsBeforeItIsFinished) {
  build();
  ProjectionCopy copy = this->copy();
  {
    ProjectionInstall install(target_.path(), copy.parts());
    install.write(content_of(copy));
    EXPECT_EQ(files_in(into()).size(), 1u);
    EXPECT_EQ(mode_of(into() / files_in(into())[0]), 0600u);
    EXPECT_THAT(known_names(FileSystem::posix(), into()), IsEmpty());
  }
  EXPECT_FALSE(std::filesystem::exists(into())) << "what was not finished is removed";
  put(copy);
  EXPECT_THAT(ProjectionCopy::names(target_.path()), ElementsAre("counts"));
}

TEST_F(ProjectionInstallTest, WhatNoStoreWouldTakeIsRefusedBeforeAnythingIsTouched) {
  build();
  const ProjectionParts good = copy().parts();
  const std::string tables = content_of(copy());
  for (const std::string name : {"../x", "", ".", "..", "a/b", "/tmp/x", "a.1", "a\n", "a b"}) {
    ProjectionParts parts = good;
    parts.name = name;
    EXPECT_EQ(code_of_put(parts, tables), ErrorCode::InvalidArgument) << name;
  }
  ProjectionParts declared = good;
  declared.declaration = kDeclared;
  EXPECT_THAT(message_of([&] { return put(declared, tables), 0; }), HasSubstr("declares a projection declared, not"));
  declared.declaration = "-- azoth:projection counts version 1\nCREATE TABLE azoth_x (x);\n-- azoth:on a\nSELECT 1;\n";
  EXPECT_EQ(code_of_put(declared, tables), ErrorCode::InvalidArgument);
  declared.declaration = std::string(Declarations::kMaxBytes + 1, ' ');
  EXPECT_EQ(code_of_put(declared, tables), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of_put({.name = "counts"}, ""), ErrorCode::InvalidArgument);
  EXPECT_THAT(files_in(target_.path()), IsEmpty());
  EXPECT_EQ(code_of_put({.name = "declared", .declaration = kDeclared}, "x"), ErrorCode::InvalidArgument)
      << "there are no tables to be written";
  EXPECT_THAT(files_in(target_.path()), IsEmpty());
}

TEST_F(ProjectionInstallTest, TablesThatAreNotThoseOfThePartsAreRefused) {
  build();
  const ProjectionParts good = copy().parts();
  const std::string tables = content_of(copy());
  auto refused = [&](auto change) {
    ProjectionParts parts = good;
    change(parts);
    EXPECT_EQ(code_of_put(parts, tables), ErrorCode::Corruption);
    EXPECT_THAT(files_in(target_.path()), IsEmpty());
    return message_of([&] { return put(parts, tables), 0; });
  };
  EXPECT_THAT(refused([](auto& parts) { parts.name = "other"; }), HasSubstr("projection counts"));
  EXPECT_THAT(refused([](auto& parts) { parts.version = 2; }), HasSubstr("version 1, not 2"));
  EXPECT_THAT(refused([](auto& parts) { parts.fingerprint += "x"; }), HasSubstr("fingerprint"));
  EXPECT_THAT(refused([](auto& parts) { parts.cursor = 4; }), HasSubstr("event 5, not 4"));
}

TEST_F(ProjectionInstallTest, DamagedTablesAreRefusedAndNothingIsLeft) {
  count(40);
  projector_with(wide())->catch_up("counts");
  const ProjectionParts parts = copy().parts();
  const std::string tables = content_of(copy());
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{4096}, tables.size() / 2,
                           tables.size() - 4096, tables.size() - 1}) {
    ASSERT_EQ(code_of_put(parts, tables.substr(0, size)), ErrorCode::Corruption) << size;
    EXPECT_THAT(files_in(target_.path()), IsEmpty());
  }
  EXPECT_EQ(code_of_put(parts, tables + "x"), ErrorCode::Corruption);
  int refused = 0;
  for (std::size_t page = 0; page < tables.size(); page += 4096) {
    std::string flipped = tables;
    flipped[page] = static_cast<char>(flipped[page] ^ 0x40);  // what kind of page it is, or the page that follows
    refused += code_of_put(parts, flipped) == ErrorCode::Corruption ? 1 : 0;
    EXPECT_THAT(files_in(target_.path()), IsEmpty()) << page;
  }
  EXPECT_EQ(refused, static_cast<int>(tables.size() / 4096));
}

// A file from elsewhere says how to compute what is checked; that could take hours.
TEST_F(ProjectionInstallTest, WhatTablesSayHowToComputeIsNotComputedWhenTheyAreChecked) {
  const std::string few = "0000005";
  const std::string many = "5000000";
  const std::string letters = "replace(hex(zeroblob(" + few + ")), '0', 'a')";
  const std::string slow = "instr(" + letters + " || x, " + letters + " || 'b')";
  const auto code_with = [&](const std::string& schema) {
    TempDir from;
    Projector projector(from.path(), source_, {.clock = &clock_, .pacer = &pacer_});
    Projection projection("slow", 1);
    projection.schema(schema + "; INSERT INTO t(x) VALUES ('x')");
    projector.add(std::move(projection));
    const ProjectionCopy copy(from.path(), "slow");
    std::string tables = content_of(copy);
    for (std::size_t at = 0; (at = tables.find(few, at)) != std::string::npos;) tables.replace(at, many.size(), many);
    EXPECT_NE(tables, content_of(copy));
    TempDir to;
    return code_of([&] { return put(to.path(), copy.parts(), tables), 0; });
  };
  EXPECT_EQ(code_with("CREATE TABLE t (x TEXT); CREATE INDEX i ON t(" + slow + ")"), ErrorCode{});
  EXPECT_EQ(code_with("CREATE TABLE t (x TEXT); CREATE INDEX i ON t(x) WHERE " + slow + " = 0"), ErrorCode{});
  EXPECT_EQ(code_with("CREATE TABLE t (x TEXT CHECK (" + slow + " = 0))"), ErrorCode{});
  EXPECT_EQ(code_with("CREATE TABLE t (x TEXT, y AS (" + slow + ")); CREATE INDEX i ON t(y)"), ErrorCode{});
  EXPECT_EQ(code_with("CREATE TABLE t (x TEXT, y AS (" + slow + ") NOT NULL)"), ErrorCode::Corruption);
  EXPECT_EQ(code_with("CREATE TABLE t (x TEXT, y INTEGER AS (" + slow + ")) STRICT"), ErrorCode::Corruption);
  build();  // what computes little is checked
  EXPECT_EQ(code_of([&] {
              TempDir from;
              Projector projector(from.path(), source_, {.clock = &clock_, .pacer = &pacer_});
              projector.add(counting().schema(
                  "CREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL, last INTEGER NOT NULL,"
                  " y TEXT AS (upper(what)) NOT NULL) STRICT; CREATE VIEW v AS SELECT 1"));
              const ProjectionCopy copy(from.path(), "counts");
              return put(target_.path(), copy.parts(), content_of(copy)), 0;
            }),
            ErrorCode{});
}

// SQLite reads a file whose header has a later version for writing, and changes nothing in it.
TEST_F(ProjectionInstallTest, TablesThatCouldOnlyBeReadAreRefused) {
  build();
  const ProjectionParts parts = copy().parts();
  std::string tables = content_of(copy());
  tables[18] = 3;
  EXPECT_EQ(code_of_put(parts, tables), ErrorCode::Corruption);
  EXPECT_THAT(message_of([&] { return put(parts, tables), 0; }), HasSubstr("would not write to it"));
  EXPECT_THAT(files_in(target_.path()), IsEmpty());
}

TEST_F(ProjectionInstallTest, TablesThatContradictEachOtherAreRefused) {
  count(5, "needle");
  projector_with(counting())->catch_up("counts");
  const ProjectionParts parts = copy().parts();
  spoil_index(folder() / "counts.1.db");
  const std::string tables = read_file(FileSystem::posix(), folder() / "counts.1.db", 1 << 20);
  EXPECT_THAT(message_of([&] { return put(parts, tables), 0; }), HasSubstr("row 1 missing from index"));
  EXPECT_THAT(files_in(target_.path()), IsEmpty());
}

TEST_F(ProjectionInstallTest, AnyFlippedByteIsRefusedOrDoesNoHarm) {
  build();
  const ProjectionParts parts = copy().parts();
  const std::string tables = content_of(copy());
  count(1);
  int refused = 0;
  std::mt19937_64 random(test_seed());
  for (int i = 0; i < 100; ++i) {
    std::string flipped = tables;
    for (int flips = 0; flips < 3; ++flips) {
      char& byte = flipped[random() % (i % 2 == 0 ? 200 : flipped.size())];
      byte = static_cast<char>(random());
    }
    TempDir directory;
    const ErrorCode code = code_of([&] { return put(directory.path(), parts, flipped), 0; });
    EXPECT_THAT(code, AnyOf(ErrorCode{}, ErrorCode::Corruption, ErrorCode::UnsupportedFormat)) << i;
    EXPECT_EQ(files_in(directory.path()).empty(), code != ErrorCode{});
    refused += code != ErrorCode{} ? 1 : 0;
    if (code != ErrorCode{}) continue;
    // A value that was changed is not found. Whatever it is, the projection runs or says why not, and is built anew.
    Projector projector(directory.path(), source_, {.clock = &clock_, .pacer = &pacer_, .seed = 1});
    projector.add(counting());
    EXPECT_THAT(code_of([&] { return projector.catch_up("counts"); }), AnyOf(ErrorCode{}, ErrorCode::ProjectionFailed))
        << i;
    projector.rebuild("counts");
    projector.catch_up("counts");
    EXPECT_EQ(projector.status("counts").cursor, 6u) << i;
    projector.close();
    const ProjectionCopy built(directory.path(), "counts");
    EXPECT_EQ(number(*open(built), "SELECT times FROM counts WHERE what = 'a'"), 6) << i;
  }
  EXPECT_GT(refused, 0);
}

TEST_F(ProjectionInstallTest, AProgramInOurTablesPlaceIsRefused) {
  for (const std::string change :
       {"ALTER TABLE azoth_projection RENAME TO x; CREATE VIEW azoth_projection AS SELECT * FROM x",
        "CREATE TRIGGER t AFTER UPDATE ON azoth_projection BEGIN DELETE FROM counts; END",
        "CREATE TABLE azoth_other (x)", "CREATE VIEW AZOTH_v AS SELECT 1", "DROP TABLE azoth_dead_letters",
        "DELETE FROM azoth_projection", "PRAGMA application_id = 1", "UPDATE azoth_projection SET timeline = 'x'"}) {
    auto [parts, tables] = changed(change);
    EXPECT_EQ(code_of_put(parts, tables), ErrorCode::Corruption) << change;
    EXPECT_THAT(files_in(target_.path()), IsEmpty());
    source_.cut(0);
    std::filesystem::remove_all(folder());
  }
  auto [parts, tables] = changed("PRAGMA user_version = 2");
  EXPECT_EQ(code_of_put(parts, tables), ErrorCode::UnsupportedFormat);
}

TEST_F(ProjectionInstallTest, ASecondTimeItIsRefusedAndTheFirstStays) {
  build();
  ProjectionCopy first = copy();
  ProjectionInstall late(target_.path(), first.parts());  // begun when there was nothing
  late.write(content_of(first));
  put(first);
  EXPECT_EQ(code_of([&] { return ProjectionInstall(target_.path(), first.parts()), 0; }), ErrorCode::AlreadyExists);
  EXPECT_EQ(code_of([&] { return late.finish(), 0; }), ErrorCode::AlreadyExists);
  EXPECT_EQ(code_of_put({.name = "counts",
                         .declaration = "-- azoth:projection counts version 1\n"
                                        "-- azoth:on a\nSELECT 1;\n"},
                        ""),
            ErrorCode::AlreadyExists);
  EXPECT_EQ(ProjectionCopy(target_.path(), "counts").parts(), first.parts());
  declare();
  put(copy("declared"));
  EXPECT_EQ(code_of([&] { return put(copy("declared")), 0; }), ErrorCode::AlreadyExists);
  EXPECT_THAT(ProjectionCopy::names(target_.path()), ElementsAre("counts", "declared"));
}

TEST_F(ProjectionInstallTest, FinishingTwiceIsAnErrorAndChangesNothing) {
  build();
  ProjectionCopy copy = this->copy();
  {
    ProjectionInstall install(target_.path(), copy.parts());
    install.write(content_of(copy));
    install.finish();
    EXPECT_EQ(code_of([&] { return install.finish(), 0; }), ErrorCode::InvalidArgument);
    EXPECT_EQ(code_of([&] { return install.write("x"), 0; }), ErrorCode::InvalidArgument);
  }
  EXPECT_EQ(ProjectionCopy(target_.path(), "counts").parts(), copy.parts());
}

constexpr const char* kInstallPoints[] = {"file.create",         "file.write",     "file.sync",
                                          "file.make_directory", "file.rename",    "file.sync_directory",
                                          "projection.declare",  "projection.step"};

class ProjectionInstallFaultTest : public ProjectionInstallTest {
 protected:
  ProjectionInstallFaultTest() {
    declare();
    count(4);
    projector_with(Declarations(directory_.path()).load("declared"))->catch_up("declared");
    const ProjectionCopy copied = copy("declared");
    parts_ = copied.parts();
    tables_ = content_of(copied);
  }
  // Whatever is there is as if nothing had been begun, or the whole of it, or leads to it when it is run.
  void check_what_is_left() {
    const auto names = ProjectionCopy::names(target_.path());
    if (!names.empty()) {
      const ProjectionParts found = ProjectionCopy(target_.path(), "declared").parts();
      EXPECT_EQ(found.declaration, kDeclared);
      EXPECT_TRUE(!found.tables || found == parts_);
      auto projector = projector_there();
      projector->add(Declarations(target_.path()).load("declared"));
      EXPECT_EQ(projector->status("declared").rebuilt_because, std::nullopt);
      EXPECT_EQ(projector->catch_up("declared").cursor, 4u);
      projector.reset();
      EXPECT_EQ(number(*open(ProjectionCopy(target_.path(), "declared")), "SELECT count(*) FROM t"), 4);
      Declarations(target_.path()).drop("declared");
    }
    put(parts_, tables_);
    EXPECT_THAT(files_in(into()),
                ElementsAre("declared", "declared.1.db", "declared.1.lock", "declared.lock", "declared.sql"));
    EXPECT_EQ(ProjectionCopy(target_.path(), "declared").parts(), parts_);
    Declarations(target_.path()).drop("declared");
    std::filesystem::remove(into());
  }

  ProjectionParts parts_;
  std::string tables_;
};

TEST_F(ProjectionInstallFaultTest, WhereverItDiesTheNextOneSucceeds) {
  for (const std::string point : kInstallPoints) {
    for (int deaths = 0;; ++deaths) {
      SCOPED_TRACE(point + ", hit " + std::to_string(deaths));
      ChildProcess child([&] {
        fault::arm(point, {.kill = true, .skip = deaths});
        put(parts_, tables_);
      });
      child.wait();
      if (child.succeeded()) {
        EXPECT_GE(deaths, 1) << point << " was not reached";
        Declarations(target_.path()).drop("declared");
        std::filesystem::remove(into());
        break;
      }
      ASSERT_TRUE(child.was_killed());
      check_what_is_left();
      if (HasFailure()) return;
    }
  }
}

TEST_F(ProjectionInstallFaultTest, WhatADeadOneLeftIsRemovedWhereverThatDies) {
  std::filesystem::create_directory(into());
  for (const char* end : {".1.db", ".1.lock", ".7.db", ".7.db-wal", ".sql.x.tmp"})
    std::ofstream(into() / ("declared" + std::string(end))) << "x";
  std::ofstream(into() / ".install.declared.x") << "x";
  int deaths = 0;
  for (;; ++deaths) {
    ChildProcess child([&] {
      fault::arm("file.remove", {.kill = true, .skip = deaths});
      put(parts_, tables_);
    });
    child.wait();
    if (child.succeeded()) break;
    ASSERT_TRUE(child.was_killed());
    EXPECT_THAT(ProjectionCopy::names(target_.path()), IsEmpty());
  }
  EXPECT_GE(deaths, 3);
  EXPECT_THAT(files_in(into()),
              ElementsAre("declared", "declared.1.db", "declared.1.lock", "declared.lock", "declared.sql"));
}

TEST_F(ProjectionInstallFaultTest, WhereverItFailsNothingIsLeft) {
  for (const std::string point : kInstallPoints) {
    for (int skip = 0;; ++skip) {
      SCOPED_TRACE(point + ", hit " + std::to_string(skip));
      ErrorCode code{};
      bool hit = false;
      {
        fault::Armed fault(point, {.fail_with = EIO, .run = [&] { hit = true; }, .skip = skip});
        code = code_of_put(parts_, tables_);
      }
      EXPECT_EQ(code, hit && point != "projection.declare" ? ErrorCode::Io : ErrorCode{});  // which only kills
      if (code == ErrorCode{}) {
        Declarations(target_.path()).drop("declared");
        std::filesystem::remove(into());
      }
      EXPECT_THAT(files_in(target_.path()), IsEmpty());
      if (HasFailure()) return;
      if (hit) continue;
      EXPECT_GT(skip, 0) << point << " was not reached";
      break;
    }
  }
}

// What a power cut takes: the content is synced before it gets its name, the folder before the pointer is in it.
TEST_F(ProjectionInstallFaultTest, ThePointerComesLastAndAllElseIsSyncedBefore) {
  std::vector<std::string> order;
  auto note = [&](const std::string& what) {
    order.push_back(what + (std::filesystem::exists(into() / "declared.1.db") ? " with" : " without") + " tables");
    EXPECT_TRUE(what == "folder" || !std::filesystem::exists(into() / "declared"));
  };
  fault::arm("file.sync", {.run = [&] { note("content"); }, .times = -1});
  fault::arm("file.rename", {.run = [&] { note("rename"); }, .times = -1});
  fault::arm("file.sync_directory", {.run = [&] { note("folder"); }, .times = -1});
  put(parts_, tables_);
  fault::disarm_all();
  EXPECT_THAT(order, ElementsAre("content without tables", "folder without tables",  // the tables; the store's
                                 "rename without tables",                            // of the tables
                                 "folder with tables", "folder with tables",         // the store's
                                 "content with tables", "rename with tables",        // the declaration
                                 "folder with tables", "folder with tables",         // the projections'
                                 "content with tables", "rename with tables", "folder with tables"));
}

TEST_F(ProjectionInstallFaultTest, TheNextCopyRemovesWhatADeadInstallationLeft) {
  ChildProcess child([&] {
    ProjectionInstall install(directory_.path(), {.name = "other", .tables = true});
    install.write("x");
    raise(SIGKILL);
  });
  child.wait();
  EXPECT_EQ(remains().size(), 1u);
  EXPECT_THAT(ProjectionCopy::names(directory_.path()), ElementsAre("declared"));
  copy("declared");
  EXPECT_THAT(remains(), IsEmpty());
}

}  // namespace
}  // namespace azoth::test
