// Copies of projections while they are written, and putting them into another store.
#include "azoth/projection/projection_copy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "azoth/projection/declarations.h"
#include "projection_support.h"
#include "support/child_process.h"

namespace azoth::test {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kDeclared =
    "-- azoth:projection declared version 3\nCREATE TABLE t (x);\n-- azoth:on count\nINSERT INTO t VALUES (1);\n";

std::vector<std::string> files_in(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder) ? FileSystem::posix().list(folder) : std::vector<std::string>{};
}

unsigned mode_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

std::string content_of(const ProjectionCopy& copy) {
  std::string content;
  copy.read([&](std::string_view bytes) { content += bytes; });
  return content;
}

class ProjectionCopyTest : public ProjectionTest {
 protected:
  // Of each event one row that fills a page: the tables have as many pages as there are events.
  static Projection wide(std::uint32_t version = 1) {
    Projection projection("counts", version);
    projection.schema("CREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL, filling BLOB)");
    projection.batch({.events = 10}).on("count", [](const EventView& event, Sql& sql) {
      sql.run("INSERT INTO counts VALUES (?1, 1, zeroblob(3000)) ON CONFLICT (what) DO UPDATE SET times = times + 1",
              std::string(event.payload()) + std::to_string(event.id() % 600));
    });
    return projection;
  }
  void build(int events = 5) {
    count(events);
    projector_with(counting())->catch_up("counts");
  }
  void declare() { Declarations(directory_.path()).add(kDeclared, "d.sql"); }
  ProjectionCopy copy(const std::string& name = "counts") { return {directory_.path(), name}; }

  // The tables of a copy, as a file of their own.
  std::unique_ptr<ProjectionFile> open(const ProjectionCopy& copy) {
    const auto path = elsewhere_.path() / ("copy" + std::to_string(++opened_) + ".db");
    std::ofstream(path, std::ios::binary) << content_of(copy);
    return std::make_unique<ProjectionFile>(path, Connection::Mode::Read);
  }
  static std::int64_t number(ProjectionFile& file, const std::string& query) {
    SqlStatement row = file.connection().prepare(query);
    return row.step() ? row.int64(0) : -1;
  }
  // What the tables show is all events up to the cursor, and so do the parts say.
  void expect_consistent(const ProjectionCopy& copy) {
    auto file = open(copy);
    EXPECT_EQ(file->cursor().event_id, copy.parts().cursor);
    EXPECT_EQ(number(*file, "SELECT coalesce(sum(times), 0) FROM counts"),
              static_cast<std::int64_t>(copy.parts().cursor));
    EXPECT_THAT(file->connection().integrity_problems(), IsEmpty());
  }
  // One letter of the primary key's index, whose page comes after the table's.
  static void spoil_index(const std::filesystem::path& path) {
    std::string content = read_file(FileSystem::posix(), path, 1 << 20);
    std::vector<std::size_t> places;
    for (std::size_t at = content.find("needle"); at != std::string::npos; at = content.find("needle", at + 1))
      places.push_back(at);
    ASSERT_EQ(places.size(), 2u);
    content[places[1]] = 'N';
    std::ofstream(path, std::ios::binary) << content;
  }
  std::vector<std::string> remains() const {
    std::vector<std::string> found = files_in(folder());
    std::erase_if(found, [](const std::string& file) { return !file.starts_with('.'); });
    return found;
  }

  TempDir elsewhere_;
  int opened_ = 0;
};

// --- copies

TEST_F(ProjectionCopyTest, WithoutAFolderThereIsNothingAndNothingIsMade) {
  EXPECT_THAT(ProjectionCopy::names(directory_.path()), IsEmpty());
  EXPECT_EQ(code_of([&] { return copy().bytes(); }), ErrorCode::NotFound);
  EXPECT_FALSE(std::filesystem::exists(folder()));
}

TEST_F(ProjectionCopyTest, ANameThatIsNoneIsRefused) {
  build();
  for (const std::string name : {"../counts", "", ".", "counts.1", "/etc/passwd"})
    EXPECT_EQ(code_of([&] { return copy(name).bytes(); }), ErrorCode::InvalidArgument) << name;
  EXPECT_EQ(code_of([&] { return copy("other").bytes(); }), ErrorCode::NotFound);
}

TEST_F(ProjectionCopyTest, ADeclarationNeedsNoTables) {
  declare();
  EXPECT_THAT(ProjectionCopy::names(directory_.path()), ElementsAre("declared"));
  ProjectionCopy copy = this->copy("declared");
  EXPECT_EQ(copy.parts(), (ProjectionParts{.name = "declared", .declaration = kDeclared}));
  EXPECT_EQ(copy.bytes(), 0u);
  EXPECT_EQ(content_of(copy), "");
  EXPECT_THAT(files_in(folder()), ElementsAre("declared.sql"));
}

TEST_F(ProjectionCopyTest, TablesNeedNoDeclaration) {
  build();
  EXPECT_THAT(ProjectionCopy::names(directory_.path()), ElementsAre("counts"));
  ProjectionCopy copy = this->copy();
  EXPECT_EQ(copy.parts().declaration, "");
  EXPECT_TRUE(copy.parts().tables);
  EXPECT_EQ(copy.parts().cursor, 5u);
  EXPECT_EQ(copy.parts().version, 1u);
  EXPECT_EQ(copy.parts().fingerprint, counting().fingerprint());
  EXPECT_EQ(content_of(copy).size(), copy.bytes());
  expect_consistent(copy);
}

TEST_F(ProjectionCopyTest, BothAreCopiedOrTheDeclarationAlone) {
  declare();
  count(4);
  projector_with(Declarations(directory_.path()).load("declared"))->catch_up("declared");
  ProjectionCopy both = copy("declared");
  EXPECT_EQ(both.parts().declaration, kDeclared);
  EXPECT_EQ(both.parts().version, 3u);
  EXPECT_EQ(number(*open(both), "SELECT count(*) FROM t"), 4);
  ProjectionCopy declaration(directory_.path(), "declared", false);
  EXPECT_EQ(declaration.parts(), (ProjectionParts{.name = "declared", .declaration = kDeclared}));
  EXPECT_EQ(declaration.bytes(), 0u);
}

TEST_F(ProjectionCopyTest, ADeclarationThatCouldNotBeInstalledIsNotCopied) {
  declare();
  std::filesystem::rename(folder() / "declared.sql", folder() / "other.sql");
  EXPECT_THAT(message_of([&] { return copy("other").bytes(); }), HasSubstr("other.sql declares a projection declared"));
  std::ofstream(folder() / "other.sql") << "-- azoth:projection other version 1\n-- azoth:off\n";
  EXPECT_EQ(code_of([&] { return copy("other").bytes(); }), ErrorCode::InvalidArgument);
}

TEST_F(ProjectionCopyTest, WhatHasOnlyRemainsIsNoProjection) {
  build();
  std::filesystem::remove(folder() / "counts");
  EXPECT_THAT(ProjectionCopy::names(directory_.path()), IsEmpty());
  EXPECT_EQ(code_of([&] { return copy().bytes(); }), ErrorCode::NotFound);
}

TEST_F(ProjectionCopyTest, WhileAThreadWritesEachCopyAgreesWithItsCursor) {
  auto projector = projector_with(wide());
  count(400);
  projector->catch_up("counts");
  std::atomic<bool> over{false};
  std::thread writer([&] {
    while (!over) {
      count(10);
      projector->run_once("counts");
    }
  });
  EventId last = 0;
  for (int i = 0; i < 30; ++i) {
    ProjectionCopy copy = this->copy();
    expect_consistent(copy);
    EXPECT_GE(copy.parts().cursor, last);
    last = copy.parts().cursor;
  }
  over = true;
  writer.join();
  EXPECT_GT(last, 400u) << "the writer was kept from writing";
  EXPECT_THAT(remains(), IsEmpty());
}

TEST_F(ProjectionCopyTest, WhileAnotherProcessWritesEachCopyAgreesWithItsCursor) {
  Pipe started;
  ChildProcess writer([&] {
    auto projector = projector_with(wide());
    for (int i = 0;; ++i) {
      count(10);
      projector->run_once("counts");
      if (i == 40) started.send(1);
    }
  });
  int one = 0;
  ASSERT_TRUE(started.receive(one));
  EventId first = copy().parts().cursor;
  EventId last = first;
  for (int i = 0; i < 1000 && last < first + 200; ++i) {
    ProjectionCopy copy = this->copy();
    expect_consistent(copy);
    last = copy.parts().cursor;
  }
  EXPECT_GE(last, first + 200) << "the writer was kept from writing";
  writer.kill();
  expect_consistent(copy());
}

// Without a transaction around it the copy would begin again with each batch, and end with the last one's state.
TEST_F(ProjectionCopyTest, WhatIsWrittenMeanwhileNeitherComesAlongNorDelaysIt) {
  auto projector = projector_with(wide());
  count(600);
  projector->catch_up("counts");
  int steps = 0;
  auto write = [&] {
    ++steps;
    count(10);
    EXPECT_EQ(projector->run_once("counts").cursor, 600u + 10 * steps);
  };
  fault::arm("projection.copy", {.run = write, .times = -1});
  ProjectionCopy copy = this->copy();
  fault::disarm_all();
  EXPECT_EQ(copy.parts().cursor, 600u);
  EXPECT_GE(copy.bytes(), 600u * 4096);
  EXPECT_EQ(steps, static_cast<int>(copy.bytes() / 4096 / 256) + 1);
  expect_consistent(copy);
}

TEST_F(ProjectionCopyTest, ALongReaderIsNotInTheWay) {
  auto projector = projector_with(wide());
  count(20);
  projector->catch_up("counts");
  ProjectionFile reader(folder() / "counts.1.db", Connection::Mode::Read);
  reader.connection().run("BEGIN");
  EXPECT_EQ(number(reader, "SELECT sum(times) FROM counts"), 20);
  for (int i = 1; i <= 3; ++i) {
    count(100);
    projector->catch_up("counts");
    ProjectionCopy copy = this->copy();
    EXPECT_EQ(copy.parts().cursor, 20u + 100 * i);
    expect_consistent(copy);
  }
  EXPECT_EQ(number(reader, "SELECT sum(times) FROM counts"), 20);
}

TEST_F(ProjectionCopyTest, DeadLettersComeAlong) {
  Projection poisoned = counting();
  poisoned.on_error({.then = ErrorPolicy::Then::DeadLetter}).on("bad", [](const EventView&, Sql&) {
    throw std::runtime_error("poison");
  });
  source_.append("bad", "the payload");
  projector_with(std::move(poisoned))->catch_up("counts");
  auto letters = open(copy())->dead_letters();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].event().payload(), "the payload");
}

TEST_F(ProjectionCopyTest, TheCurrentGenerationIsTheOneThatIsCopied) {
  count(25);
  projector_with(wide(1))->catch_up("counts");
  {
    auto projector = projector_with(wide(2));
    projector->run_once("counts");
    EXPECT_EQ(copy().parts().version, 1u) << "the next one is not finished";
    projector->catch_up("counts");
  }
  ASSERT_TRUE(exists("counts.2.db"));
  EXPECT_EQ(copy().parts().version, 2u);
  expect_consistent(copy());
}

TEST_F(ProjectionCopyTest, AGenerationThatIsReplacedMeanwhileStaysUntilItIsCopied) {
  count(300);
  projector_with(wide(1))->catch_up("counts");
  auto projector = projector_with(wide(2));
  auto replace = [&] {
    projector->catch_up("counts");
    EXPECT_TRUE(exists("counts.1.db") && exists("counts.2.db"));
  };
  fault::arm("projection.copy", {.run = replace, .skip = 1});
  ProjectionCopy copy = this->copy();
  fault::disarm_all();
  EXPECT_EQ(copy.parts().version, 1u);
  expect_consistent(copy);
  EXPECT_EQ(this->copy().parts().version, 2u);
  projector->catch_up("counts");
  projector.reset();
  EXPECT_FALSE(exists("counts.1.db")) << "nothing holds it any more";
}

TEST_F(ProjectionCopyTest, TheFileIsReadInPieces) {
  count(100);
  projector_with(wide())->catch_up("counts");
  ProjectionCopy first = copy();
  const ProjectionCopy moved = std::move(first);
  std::uint64_t bytes = 0;
  int pieces = 0;
  moved.read([&](std::string_view piece) {
    EXPECT_LE(piece.size(), 64u << 10);
    EXPECT_FALSE(piece.empty());
    bytes += piece.size();
    ++pieces;
  });
  EXPECT_EQ(bytes, moved.bytes());
  EXPECT_GE(pieces, 6);
}

TEST_F(ProjectionCopyTest, DamagedTablesAreNotCopied) {
  count(100);
  projector_with(wide())->catch_up("counts");
  const auto path = folder() / "counts.1.db";
  ASSERT_EQ(copy().parts().cursor, 100u);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096 * 50);
    file.put('\x7f');
  }
  EXPECT_EQ(code_of([&] { return copy().bytes(); }), ErrorCode::Corruption);
  EXPECT_THAT(message_of([&] { return copy().bytes(); }), HasSubstr("counts.1.db"));
  std::filesystem::resize_file(path, 4096 * 20);
  EXPECT_EQ(code_of([&] { return copy().bytes(); }), ErrorCode::Corruption);
  std::ofstream(path) << std::string(5000, 'x');
  EXPECT_EQ(code_of([&] { return copy().bytes(); }), ErrorCode::Corruption);
  for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + end);
  EXPECT_THAT(message_of([&] { return copy().bytes(); }), HasSubstr("counts.1.db is damaged: it is gone"));
  std::ofstream(folder() / "counts") << "x";
  EXPECT_EQ(code_of([&] { return copy().bytes(); }), ErrorCode::Corruption);
  EXPECT_THAT(remains(), IsEmpty());
}

// SQLite can read each page; only when it compares them it sees that table and index differ.
TEST_F(ProjectionCopyTest, TablesThatContradictEachOtherAreNotCopied) {
  count(5, "needle");
  projector_with(counting())->catch_up("counts");
  ASSERT_EQ(copy().parts().cursor, 5u);
  spoil_index(folder() / "counts.1.db");
  EXPECT_EQ(rows(), (Rows{{"needle", 5}}));
  EXPECT_THAT(message_of([&] { return copy().bytes(); }),
              HasSubstr("counts.1.db is damaged: row 1 missing from index"));
}

TEST_F(ProjectionCopyTest, TheFileOfAnotherProjectionIsNotCopied) {
  build();
  for (const char* end : {".1.db", ".1.lock", ""})
    std::filesystem::copy_file(folder() / (std::string("counts") + end), folder() / (std::string("other") + end));
  EXPECT_THAT(message_of([&] { return copy("other").bytes(); }), HasSubstr("it is that of projection counts"));
}

TEST_F(ProjectionCopyTest, ACopyHasNoNameWhenItHasContent) {
  build();
  int removed = 0;
  int writes = 0;
  auto look_at_removal = [&] {
    ++removed;
    ASSERT_EQ(remains().size(), 1u);
    const auto path = folder() / remains()[0];
    EXPECT_EQ(std::filesystem::file_size(path), 0u);
    EXPECT_EQ(mode_of(path), 0600u);
  };
  auto look_at_write = [&] {
    ++writes;
    EXPECT_THAT(remains(), IsEmpty());
  };
  fault::arm("file.remove", {.run = look_at_removal, .times = -1});
  fault::arm("file.write", {.run = look_at_write, .times = -1});
  const std::vector<std::string> before = files_in(folder());
  expect_consistent(copy());
  EXPECT_EQ(removed, 1);
  EXPECT_GE(writes, 1);
  EXPECT_THAT(files_in(folder()), testing::IsSupersetOf(before));
  EXPECT_THAT(remains(), IsEmpty());
}

TEST_F(ProjectionCopyTest, AnErrorLeavesNothing) {
  build();
  struct Case {
    const char* point;
    int fail_with;
    ErrorCode code;
  };
  for (const auto& [point, fail_with, code] :
       {Case{"file.write", ENOSPC, ErrorCode::NoSpace}, Case{"file.write", EIO, ErrorCode::Io},
        Case{"file.create", ENOSPC, ErrorCode::NoSpace}, Case{"projection.copy", EIO, ErrorCode::Io},
        Case{"projection.copy", ENOSPC, ErrorCode::NoSpace}}) {
    fault::Armed fault(point, {.fail_with = fail_with});
    EXPECT_EQ(code_of([&] { return copy().bytes(); }), code) << point;
    EXPECT_THAT(remains(), IsEmpty()) << point;
  }
  for (int skip = 0; skip < 100; ++skip) {
    fault::Armed fault("projection.step", {.fail_with = EIO, .skip = skip});
    const ErrorCode code = code_of([&] { return copy().bytes(); });
    EXPECT_THAT(remains(), IsEmpty());
    if (code == ErrorCode{}) return;
    EXPECT_EQ(code, ErrorCode::Io);
  }
  ADD_FAILURE() << "it never came to its end";
}

TEST_F(ProjectionCopyTest, ACrashLeavesAtMostAnEmptyFileUntilTheNextCopy) {
  build();
  for (const std::string point : {"file.create", "file.remove", "file.write", "projection.copy", "projection.step"}) {
    ChildProcess child([&] {
      fault::arm(point, {.kill = true});
      copy();
    });
    child.wait();
    ASSERT_TRUE(child.was_killed()) << point << " was not reached";
    EXPECT_EQ(remains().size(), point == "file.remove" ? 1u : 0u) << point;
    for (const std::string& file : remains()) EXPECT_EQ(std::filesystem::file_size(folder() / file), 0u);
    EXPECT_THAT(known_names(FileSystem::posix(), folder()), ElementsAre("counts"));
    EXPECT_THAT(ProjectionCopy::names(directory_.path()), ElementsAre("counts"));
    expect_consistent(copy());
    EXPECT_THAT(remains(), IsEmpty()) << point;
  }
}

// --- installations

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
  }
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
      {
        fault::Armed fault(point, {.fail_with = EIO, .skip = skip});
        code = code_of_put(parts_, tables_);
      }
      if (code == ErrorCode{}) {
        Declarations(target_.path()).drop("declared");
        std::filesystem::remove(into());
        if (point == "projection.declare" && skip == 0) continue;  // it only kills
        break;
      }
      EXPECT_EQ(code, ErrorCode::Io);
      EXPECT_THAT(files_in(target_.path()), IsEmpty());
      if (HasFailure()) return;
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
  EXPECT_THAT(order, ElementsAre("content without tables", "rename without tables",  // the tables
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
