// Copies of projections while they are written.
#include "azoth/projection/projection_copy.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "projection_copy_support.h"
#include "support/child_process.h"

namespace azoth::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
  for (int skip = 0; skip < 1000; ++skip) {  // each row of what SQLite explains is a step
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

}  // namespace
}  // namespace azoth::test
