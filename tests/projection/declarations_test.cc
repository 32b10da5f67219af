// Declarations that are registered with a store: kept whole or not at all, and dropped to the last file, wherever the
// process dies on its way.
#include "azoth/projection/declarations.h"

#include <gtest/gtest.h>

#include <fstream>

#include "azoth/projection/sql_projection.h"
#include "projection_support.h"
#include "support/child_process.h"
#include "support/sim_disk.h"

namespace azoth::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using enum Declarations::Change;

std::string declared(int version = 1) {
  std::string text = "-- azoth:projection counts version ";
  text += std::to_string(version);
  text += "\nCREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL);\n-- azoth:on count\n";
  text += "INSERT INTO counts VALUES (:payload, 1) ON CONFLICT DO UPDATE SET times = times + 1;\n";
  return text;
}

class DeclarationsTest : public ProjectionTest {
 protected:
  Declarations declarations() { return Declarations(directory_.path()); }
  void run() { projector_with(declarations().load("counts"))->catch_up("counts"); }
  std::vector<std::string> files() { return projection_files(FileSystem::posix(), folder(), "counts"); }
};

TEST_F(DeclarationsTest, AreKeptAndLoaded) {
  EXPECT_THAT(declarations().names(), IsEmpty());
  EXPECT_EQ(declarations().add(declared(), "c.sql").change, New);
  EXPECT_EQ(declarations().add(declared(), "c.sql").change, Unchanged);
  Declarations::Added added = declarations().add(declared(2), "c.sql");
  EXPECT_EQ(added.change, Replaced);
  EXPECT_EQ(added.name, "counts");
  EXPECT_EQ(added.version, 2u);
  EXPECT_THAT(declarations().names(), ElementsAre("counts"));
  EXPECT_EQ(declarations().load("counts").version(), 2u);
  EXPECT_EQ(code_of([&] { return declarations().load("other").version(); }), ErrorCode::NotFound);
  EXPECT_EQ(code_of([&] { return declarations().load("../x").version(); }), ErrorCode::NotFound);
}

TEST_F(DeclarationsTest, ABadOneChangesNothing) {
  declarations().add(declared(), "c.sql");
  EXPECT_THAT(message_of([&] { return declarations().add(declared(2) + "-- azoth:of x\n", "c.sql").name; }),
              HasSubstr("c.sql:5: "));
  EXPECT_EQ(declarations().load("counts").version(), 1u);
  EXPECT_EQ(code_of([&] { return declarations().add(std::string(Declarations::kMaxBytes + 1, ' '), "c.sql").name; }),
            ErrorCode::InvalidArgument);
  std::ofstream(folder() / "counts.sql") << "-- azoth:projection other version 1\n-- azoth:on x\nSELECT 1;\n";
  EXPECT_THAT(message_of([&] { return declarations().load("counts").version(); }),
              HasSubstr("declares a projection other"));
}

TEST_F(DeclarationsTest, WhoRunsOrReadsItKeepsItFromBeingDropped) {
  declarations().add(declared(), "c.sql");
  count(2);
  {
    auto projector = projector_with(declarations().load("counts"));
    EXPECT_THAT(message_of([&] { return declarations().drop("counts"), 0; }), HasSubstr(std::to_string(getpid())));
    projector->catch_up("counts");
  }
  {
    auto reader = read_current_generation(FileSystem::posix(), folder(), "counts");
    EXPECT_EQ(code_of([&] { return declarations().drop("counts"), 0; }), ErrorCode::Locked);
    EXPECT_EQ(rows(), (Rows{{"a", 2}})) << "nothing was removed";
  }
  declarations().drop("counts");
  EXPECT_THAT(files(), IsEmpty());
  EXPECT_EQ(code_of([&] { return declarations().drop("counts"), 0; }), ErrorCode::NotFound);
}

TEST_F(DeclarationsTest, ADropThatDiesAnywhereIsFinishedByTheNext) {
  count(2);
  for (const std::string point : {"projection.drop", "projection.remove", "file.remove", "file.sync_directory"}) {
    int deaths = 0;
    for (;; ++deaths) {
      declarations().add(declared(), "c.sql");
      run();
      ChildProcess child([&] {
        fault::arm(point, {.kill = true, .skip = deaths});
        declarations().drop("counts");
      });
      child.wait();
      if (child.succeeded()) break;
      ASSERT_TRUE(child.was_killed());
      SCOPED_TRACE(point + ", hit " + std::to_string(deaths));
      ASSERT_FALSE(files().empty()) << "it is to be seen that something is left";
      auto seen = inspect_projections(directory_.path(), source_, clock_);
      ASSERT_EQ(seen.size(), 1u);
      if (deaths % 2 == 0) {  // what is left may also be used again
        declarations().add(declared(), "c.sql");
        run();
        ASSERT_EQ(rows(), (Rows{{"a", 2}}));
      }
      declarations().drop("counts");
      ASSERT_THAT(files(), IsEmpty());
    }
    EXPECT_GE(deaths, 2) << point;
    EXPECT_THAT(files(), IsEmpty());
  }
}

TEST_F(DeclarationsTest, AddingThatDiesAnywhereKeepsTheOldOneOrTheNewOne) {
  for (const std::string point :
       {"projection.declare", "file.create", "file.write", "file.sync", "file.rename", "file.sync_directory"}) {
    declarations().add(declared(1), "c.sql");
    ChildProcess child([&] {
      fault::arm(point, {.kill = true});
      declarations().add(declared(2), "c.sql");
    });
    child.wait();
    EXPECT_TRUE(child.was_killed()) << point << " was not reached";
    EXPECT_THAT(declarations().load("counts").version(), testing::AnyOf(1u, 2u)) << point;
    declarations().drop("counts");
    EXPECT_THAT(files(), IsEmpty()) << point;
  }
}

// Also if all of it is there already, by one that did not come to its end.
TEST_F(DeclarationsTest, WhatWasAddedOutlastsAPowerCutWhereverTheOneBeforeHasFailed) {
  std::uint64_t failing = 0;
  for (bool failed = true; failed;) {
    SCOPED_TRACE("operation " + std::to_string(++failing));
    SimDisk disk;
    disk.make_directory("store");
    disk.sync_directory("/");
    const std::uint64_t before = disk.operations();
    disk.observe([&](const DiskOperation& operation) {
      if (operation.number == before + failing) throw Error(ErrorCode::Io, "failed by the test");
    });
    Declarations declarations("store", disk);
    failed = code_of([&] { return declarations.add(declared(), "c.sql").change; }) == ErrorCode::Io;
    disk.observe({});
    declarations.add(declared(), "c.sql");
    auto cut = disk.power_cut(choose::none(), choose::none());
    EXPECT_THAT(Declarations("store", *cut).names(), ElementsAre("counts"));
  }
  EXPECT_GT(failing, 5u);
}

TEST_F(DeclarationsTest, OthersSeeThatItFailedUntilItGoesOn) {
  declarations().add(declared(), "c.sql");
  count(1);
  auto projector = this->projector();
  bool poison = true;
  Projection failing = counting();
  failing.on("bad", [&](const EventView&, Sql&) {
    if (poison) throw std::runtime_error("poisoned");
  });
  std::filesystem::remove(folder() / "counts.sql");
  projector->add(std::move(failing));
  source_.append("bad", "");
  EXPECT_EQ(code_of([&] { return projector->catch_up("counts").events; }), ErrorCode::ProjectionFailed);
  EXPECT_THAT(inspect_projections(directory_.path(), source_, clock_).at(0).failure.value_or(""),
              HasSubstr("poisoned"));
  poison = false;
  projector->resume("counts");
  projector->catch_up("counts");
  EXPECT_EQ(inspect_projections(directory_.path(), source_, clock_).at(0).failure, std::nullopt);
}

}  // namespace
}  // namespace azoth::test
