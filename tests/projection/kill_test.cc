// kill -9 at every fault point: a child runs a projection through creation, batches, dead letters, a retry and a
// rebuild and dies on its way; afterwards the tables are the fold of the log, each effect once.
#include <gtest/gtest.h>

#include <random>

#include "projection_support.h"
#include "support/child_process.h"

namespace azoth::test {
namespace {

constexpr int kEvents = 40;

class ProjectionKillTest : public ProjectionTest {
 protected:
  ProjectionKillTest() {
    for (int i = 1; i <= kEvents; ++i) source_.append("count", i % 7 == 0 ? "p" : "k" + std::to_string(i % 5));
  }

  static Projection version(std::uint32_t number, bool poison) {
    Projection projection("counts", number);
    projection.schema("CREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL, last INTEGER NOT NULL)");
    projection.batch({.events = 6}).on_error({.then = ErrorPolicy::Then::DeadLetter});
    projection.on("count", [poison](const EventView& event, Sql& sql) {
      sql.run("INSERT INTO counts VALUES (?1, 1, ?2) ON CONFLICT DO UPDATE SET times = times + 1, last = ?2",
              event.payload(), static_cast<std::int64_t>(event.id()));
      if (poison && event.payload() == "p" && event.id() % 2 == 0) throw std::runtime_error("poison");
    });
    return projection;
  }

  void work() {
    {
      auto projector = projector_with(version(1, true));
      projector->catch_up("counts");
    }
    {
      auto projector = projector_with(version(1, false));  // the same, mended
      retry_all(*projector);
    }
    auto projector = projector_with(version(2, true));
    projector->catch_up("counts");
  }
  static void retry_all(Projector& projector) {
    for (const DeadLetter& letter : projector.dead_letters("counts"))
      projector.retry_dead_letter("counts", letter.event_id);
  }

  Rows fold() {
    Rows folded;
    EventSlice all;
    source_.read(0, {}, all);
    for (std::size_t i = 0; i < all.size(); ++i) ++folded[std::string(all[i].payload())];
    return folded;
  }

  // Whatever a reader sees is true of the log up to the cursor beside it, dead letters left out.
  void check_after_kill() {
    if (auto generation = read_current_generation(FileSystem::posix(), folder(), "counts"))
      check_prefix(generation->file);
    {
      auto projector = projector_with(version(2, false));
      projector->catch_up("counts");
      retry_all(*projector);
      ASSERT_FALSE(projector->status("counts").rebuild);
      ASSERT_EQ(projector->status("counts").dead_letters, 0u);
    }
    ASSERT_EQ(rows(), fold());
    // Nothing is left of other generations.
    auto generation = read_current_generation(FileSystem::posix(), folder(), "counts");
    Generations generations(FileSystem::posix(), folder(), "counts");
    ASSERT_EQ(generations.all(), std::vector<Generation>{generation->number});
  }
  void check_prefix(const std::filesystem::path& path) {
    ProjectionFile file(path, Connection::Mode::Read);
    Rows expected;
    EventSlice events;
    source_.read(0, {.to = file.cursor().event_id}, events);
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (!file.dead_letter(events[i].id())) ++expected[std::string(events[i].payload())];
    }
    Rows found;
    SqlStatement row = file.connection().prepare("SELECT what, times FROM counts");
    while (row.step()) found[std::string(row.text(0))] = row.int64(1);
    ASSERT_EQ(found, expected);
  }

  // False if the point is not reached as often.
  bool killed_at(const std::string& point, int skip) {
    std::filesystem::remove_all(folder());
    ChildProcess child([&] {
      fault::arm(point, {.kill = true, .skip = skip});
      work();
    });
    child.wait();
    EXPECT_TRUE(child.was_killed() || child.succeeded()) << point;
    return child.was_killed();
  }
};

TEST_F(ProjectionKillTest, AtEveryPointTheTablesAreTheFoldOfTheLog) {
  fault::record(true);
  work();
  fault::record(false);
  std::vector<std::string> points = fault::reached();
  EXPECT_GE(points.size(), 12u);
  std::mt19937_64 random(test_seed());
  int kills = 0;
  for (const std::string& point : points) {
    // The first ones, and then ever larger steps.
    for (int skip = 0; killed_at(point, skip); skip += 1 + skip / 4 + static_cast<int>(random() % 3)) {
      SCOPED_TRACE(point + ", skipping " + std::to_string(skip));
      ++kills;
      check_after_kill();
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GE(kills, 60);
}

TEST_F(ProjectionKillTest, ARetryIsThereWithoutItsDeadLetterOrNotAtAll) {
  for (const char* point : {"projection.retried", "projection.commit", "projection.committed"}) {
    SCOPED_TRACE(point);
    std::filesystem::remove_all(folder());
    { projector_with(version(1, true))->catch_up("counts"); }
    ChildProcess child([&] {
      auto projector = projector_with(version(1, false));
      fault::arm(point, {.kill = true});
      retry_all(*projector);
    });
    child.wait();
    ASSERT_TRUE(child.was_killed());
    check_after_kill();
  }
}

TEST_F(ProjectionKillTest, AProcessThatIsKilledLeavesTheProjectionToOthers) {
  Pipe started;
  ChildProcess child([&] {
    auto projector = projector_with(version(1, false));
    started.send(getpid());
    pause();
  });
  pid_t pid = 0;
  ASSERT_TRUE(started.receive(pid));
  EXPECT_THAT(message_of([&] { return projector_with(version(1, false)) == nullptr; }),
              testing::HasSubstr("process " + std::to_string(child.pid())));
  child.kill();
  projector_with(version(1, false))->catch_up("counts");
  EXPECT_EQ(rows(), fold());
}

// A reader in another process asks all the time while one rebuild after the other takes the place of the one before.
TEST_F(ProjectionKillTest, AReaderInAnotherProcessSeesWholeGenerationsOnly) {
  { projector_with(version(1, false))->catch_up("counts"); }
  const Rows expected = fold();
  Pipe answers;
  ChildProcess reader([&] {
    Generation last = 0;
    for (int looks = 0; last < 10; ++looks) {
      auto generation = read_current_generation(FileSystem::posix(), folder(), "counts");
      if (!generation || generation->number < last) _exit(3);
      last = generation->number;
      Connection connection(generation->file, Connection::Mode::Read);
      Rows found;
      SqlStatement row = connection.prepare("SELECT what, times FROM counts");
      while (row.step()) found[std::string(row.text(0))] = row.int64(1);
      if (found != expected) _exit(4);
      if (looks == 0) answers.send(1);
    }
  });
  int first = 0;
  ASSERT_TRUE(answers.receive(first));
  auto projector = projector_with(version(1, false));
  for (int i = 0; i < 12; ++i) {
    projector->rebuild("counts");
    projector->catch_up("counts");
  }
  reader.wait();
  EXPECT_TRUE(reader.succeeded());
}

}  // namespace
}  // namespace azoth::test
