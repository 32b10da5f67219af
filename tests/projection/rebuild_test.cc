// Building a projection anew: by a new version beside the old one, and because its tables do not fit the log.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>

#include "projection_support.h"

namespace azoth::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class RebuildTest : public ProjectionTest {
 protected:
  // Version 2 counts twice.
  static Projection doubled() {
    Projection projection("counts", 2);
    projection.schema("CREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL)").batch({.events = 2});
    projection.on("count", [](const EventView& event, Sql& sql) {
      sql.run("INSERT INTO counts VALUES (?, 2) ON CONFLICT DO UPDATE SET times = times + 2", event.payload());
    });
    return projection;
  }
  void build(int events) {
    count(events);
    projector_with(counting())->catch_up("counts");
  }
  // Opened again it is built anew, for this reason, and shows what the log says.
  void expect_rebuilt(const std::string& reason, const Rows& expected) {
    auto projector = projector_with(counting());
    ProjectionStatus status = projector->status("counts");
    ASSERT_TRUE(status.rebuilt_because);
    EXPECT_THAT(*status.rebuilt_because, HasSubstr(reason));
    EXPECT_EQ(rows(), (Rows{})) << "what is not true is served";
    projector->catch_up("counts");
    EXPECT_EQ(rows(), expected);
    EXPECT_EQ(projector->status("counts").generation, 2u);
    EXPECT_FALSE(exists("counts.1.db"));
  }
};

// Another process has run the projection until now, and this one's log has not heard of its last events yet.
TEST_F(RebuildTest, ALogThatHasNotHeardOfTheNewestEventsIsNoReason) {
  build(5);
  source_.lag(2);
  auto projector = projector_with(counting());
  EXPECT_EQ(projector->status("counts").rebuilt_because, std::nullopt);
  EXPECT_EQ(projector->status("counts").generation, 1u);
  EXPECT_EQ(rows(), (Rows{{"a", 5}}));
}

TEST_F(RebuildTest, ANewVersionIsBuiltBesideTheOldOneWhichServesMeanwhile) {
  build(5);
  auto projector = projector_with(doubled());
  EXPECT_EQ(rows(), (Rows{{"a", 5}}));
  projector->run_once("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 5}}));
  pacer_.pass(seconds{1});
  ProjectionStatus status = projector->status("counts");
  EXPECT_EQ(status.cursor, 5u);
  EXPECT_EQ(status.generation, 1u);
  ASSERT_TRUE(status.rebuild);
  EXPECT_EQ(status.rebuild->cursor, 2u);
  EXPECT_EQ(status.rebuild->generation, 2u);
  EXPECT_EQ(status.rebuild->events_per_second, 2);
  EXPECT_EQ(status.rebuild->remaining, seconds{2});
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 10}}));
  EXPECT_FALSE(projector->status("counts").rebuild);
  EXPECT_FALSE(exists("counts.1.db"));
  EXPECT_FALSE(exists("counts.1.lock"));
}

TEST_F(RebuildTest, ARebuildIsTakenUpWhereItWasLeft) {
  build(5);
  projector_with(doubled())->run_once("counts");
  auto projector = projector_with(doubled());
  EXPECT_EQ(projector->status("counts").rebuild->cursor, 2u);
  EXPECT_EQ(projector->catch_up("counts").events, 3u);
  EXPECT_EQ(rows(), (Rows{{"a", 10}}));
}

TEST_F(RebuildTest, ARebuildOfAnotherDeclarationIsBegunAgain) {
  build(5);
  projector_with(doubled())->run_once("counts");
  auto projector = projector_with(doubled().fingerprint("other"));
  EXPECT_EQ(projector->status("counts").rebuild->cursor, 0u);
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 10}}));
}

TEST_F(RebuildTest, GoingBackToTheOldVersionGivesTheNewOneUp) {
  build(5);
  projector_with(doubled())->run_once("counts");
  auto projector = projector_with(counting());
  EXPECT_FALSE(projector->status("counts").rebuild);
  count(1);
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 6}}));
}

TEST_F(RebuildTest, WaitingForAnEventWaitsForTheNewTablesToServe) {
  build(5);
  auto projector = projector_with(doubled());
  projector->follow("counts");
  count(1);
  EXPECT_TRUE(projector->wait_until("counts", 6, seconds{60}));
  EXPECT_EQ(rows(), (Rows{{"a", 12}}));
}

TEST_F(RebuildTest, OneThatIsAskedForLooksAtAllEventsAgain) {
  build(5);
  auto projector = projector_with(counting());
  projector->follow("counts");
  ASSERT_TRUE(projector->wait_until("counts", 5, seconds{60}));
  projector->rebuild("counts");
  count(1);
  EXPECT_TRUE(projector->wait_until("counts", 6, seconds{60}));
  EXPECT_EQ(rows(), (Rows{{"a", 6}}));
  EXPECT_EQ(projector->status("counts").generation, 2u);
}

TEST_F(RebuildTest, AGenerationStaysWhileItIsRead) {
  build(5);
  auto read = read_current_generation(FileSystem::posix(), folder(), "counts");
  auto reader = std::make_unique<Connection>(read->file, Connection::Mode::Read);
  auto projector = projector_with(doubled());
  projector->catch_up("counts");
  EXPECT_TRUE(exists("counts.1.db"));
  SqlStatement(reader->prepare("SELECT times FROM counts")).step();
  reader.reset();
  read.reset();
  count(1);
  projector->catch_up("counts");
  EXPECT_FALSE(exists("counts.1.db"));
  EXPECT_EQ(rows(), (Rows{{"a", 12}}));
}

TEST_F(RebuildTest, ASchemaThatIsWrongLeavesNothingBehind) {
  for (const char* schema :
       {"CREATE TABEL t (x)", "CREATE TABLE azoth_projection (x)", "CREATE TABLE azoth_mine (x)",
        "CREATE TABLE t (x); CREATE INDEX i ON azoth_projection (name)", "PRAGMA journal_mode = OFF",
        "CREATE TABLE t (x); COMMIT", "ATTACH ':memory:' AS other", "CREATE TEMP TABLE t (x)"}) {
    Projection projection("wrong", 1);
    projection.schema(schema);
    EXPECT_EQ(code_of([&] { return projector_with(projection) == nullptr; }), ErrorCode::SqlFailed) << schema;
    EXPECT_FALSE(exists("wrong.1.db")) << schema;
    EXPECT_FALSE(exists("wrong")) << schema;
  }
}

// --- Tables that do not fit the log

TEST_F(RebuildTest, ACursorAheadOfTheLog) {
  build(5);
  source_.cut(3);
  expect_rebuilt("shows event 5, which the store does not have", {{"a", 3}});
}

TEST_F(RebuildTest, ACursorAtAnEventThatSaysSomethingElse) {
  build(5);
  source_.cut(4);
  count(3, "b");
  expect_rebuilt("event 5 is not the one that it shows", {{"a", 4}, {"b", 3}});
}

TEST_F(RebuildTest, AForeignStore) {
  build(5);
  source_.set_store(Uuid::random());
  expect_rebuilt("another store", {{"a", 5}});
}

TEST_F(RebuildTest, AForeignTimeline) {
  build(5);
  source_.set_lineage({{.id = Uuid::random()}});
  expect_rebuilt("not in the store's history", {{"a", 5}});
}

TEST_F(RebuildTest, AnAncestorsCursorBeyondTheFork) {
  build(5);
  source_.fork(4);
  expect_rebuilt("up to commit 4", {{"a", 5}});
}

TEST_F(RebuildTest, AnAncestorsCursorUpToTheForkIsAccepted) {
  build(5);
  source_.fork(5);
  {
    auto projector = projector_with(counting());
    EXPECT_FALSE(projector->status("counts").rebuilt_because);
    count(2, "b");
    EXPECT_EQ(projector->catch_up("counts").events, 2u);
  }
  source_.fork(6);
  expect_rebuilt("up to commit 6", {{"a", 5}, {"b", 2}});
}

TEST_F(RebuildTest, ADamagedFile) {
  build(5);
  std::ofstream(folder() / "counts.1.db", std::ios::binary) << "this is no database" << std::string(5000, 'x');
  expect_rebuilt("not a database", {{"a", 5}});
}

TEST_F(RebuildTest, AnEmptyFile) {
  build(5);
  std::ofstream(folder() / "counts.1.db", std::ios::binary | std::ios::trunc);
  expect_rebuilt("is damaged", {{"a", 5}});
}

TEST_F(RebuildTest, AFileThatIsGone) {
  build(5);
  std::filesystem::remove(folder() / "counts.1.db");
  expect_rebuilt("its file is gone", {{"a", 5}});
}

TEST_F(RebuildTest, ADamagedPointerIsMadeAnewToTablesThatFit) {
  build(5);
  std::ofstream(folder() / "counts", std::ios::trunc) << "nonsense";
  EXPECT_EQ(code_of([&] { return rows(); }), ErrorCode::Corruption);
  auto projector = projector_with(counting());
  EXPECT_FALSE(projector->status("counts").rebuilt_because);
  EXPECT_EQ(rows(), (Rows{{"a", 5}}));
}

// Damage of a page in the middle is met by a batch.
TEST_F(RebuildTest, DamageThatABatchMeets) {
  for (int i = 0; i < 2000; ++i) count(1, "what " + std::to_string(i));
  projector_with(counting())->catch_up("counts");
  {
    std::fstream file(folder() / "counts.1.db", std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(0, std::ios::end);
    const auto pages = static_cast<int>(file.tellg()) / 4096;
    for (int page = 8; page < pages; ++page) {
      file.seekp(page * 4096);
      file << std::string(64, '\xff');
    }
  }
  auto projector = projector_with(counting());
  for (int i = 0; i < 2000; ++i) count(1, "what " + std::to_string(i));
  projector->catch_up("counts");
  ProjectionStatus status = projector->status("counts");
  ASSERT_TRUE(status.rebuilt_because);
  EXPECT_THAT(*status.rebuilt_because, HasSubstr("damaged"));
  EXPECT_EQ(status.cursor, 4000u);
  EXPECT_EQ(rows("SELECT 'n', count(*) FROM counts WHERE times = 2"), (Rows{{"n", 2000}}));
  EXPECT_FALSE(exists("counts.1.db")) << "what was replaced is not kept until the end";
}

TEST_F(RebuildTest, DamageInTheLogIsNotThatOfTheTables) {
  build(5);
  source_.damage_read();
  EXPECT_EQ(code_of([&] { return projector_with(counting()) == nullptr; }), ErrorCode::Corruption);
  EXPECT_EQ(rows(), (Rows{{"a", 5}}));
  auto projector = projector_with(counting());
  EXPECT_FALSE(projector->status("counts").rebuilt_because);
  EXPECT_EQ(projector->status("counts").generation, 1u);
}

TEST_F(RebuildTest, DamageInTheLogIsNotThatOfAnUnfinishedGeneration) {
  build(5);
  projector_with(doubled())->run_once("counts");
  source_.damage_read(1);  // the first is for the tables that serve
  EXPECT_EQ(code_of([&] { return projector_with(doubled()) == nullptr; }), ErrorCode::Corruption);
  EXPECT_EQ(projector_with(doubled())->status("counts").rebuild->cursor, 2u);
}

// --- While others write

TEST_F(RebuildTest, EndsThoughTheLogGrowsWithEachBatch) {
  build(5);
  Projection growing = doubled();
  growing.before_commit([this](Sql&) {
    if (source_.newest() < 200) count(1);
  });
  auto projector = projector_with(std::move(growing));
  projector->catch_up("counts");
  EXPECT_FALSE(projector->status("counts").rebuild);
  EXPECT_LT(source_.newest(), 20u);
  EXPECT_GE(projector->status("counts").cursor, 5u);
  EXPECT_EQ(projector->status("counts").generation, 2u);
}

TEST_F(RebuildTest, OnAThreadEndsThoughTheLogGrowsWithEachBatch) {
  build(5);
  Projection growing = doubled();
  std::atomic<EventId> switched_at{0};
  growing.before_commit([&](Sql&) {
    if (switched_at == 0 && source_.newest() < 500) count(1);
  });
  fault::Armed switched("projection.switched", {.run = [&] { switched_at = source_.newest(); }});
  auto projector = projector_with(std::move(growing));
  count(1);
  projector->follow("counts");
  EXPECT_TRUE(projector->wait_until("counts", 6, seconds{60}));
  EXPECT_GT(switched_at.load(), 0u);
  EXPECT_LT(switched_at.load(), 20u);
  projector->stop("counts");
}

TEST_F(RebuildTest, OneThatWasAskedForAndInterruptedLeavesNothing) {
  count(3);
  {
    auto projector = projector_with(counting());
    projector->catch_up("counts");
    projector->rebuild("counts");
    ASSERT_TRUE(exists("counts.2.db"));
  }
  auto projector = projector_with(counting());
  EXPECT_FALSE(exists("counts.2.db"));
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
  projector->rebuild("counts");
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
}

}  // namespace
}  // namespace azoth::test
