// What another process sees of projections, and how their files are opened.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstdio>
#include <fstream>
#include <string_view>

#include "projection_support.h"

namespace {

std::atomic<int> log_syncs{0};  // of write-ahead logs

// Called by SQLite, and where there is no memory: takes none.
int note_sync(int fd, long call) {
  std::array<char, 32> link{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", fd);
  std::array<char, PATH_MAX> path{};
  const ssize_t size = readlink(link.data(), path.data(), path.size());
  if (size > 0 && std::string_view(path.data(), static_cast<std::size_t>(size)).ends_with("-wal")) ++log_syncs;
  return static_cast<int>(syscall(call, fd));
}

}  // namespace

// In place of the C library's: what syncs is SQLite.
extern "C" int fsync(int fd) { return note_sync(fd, SYS_fsync); }
extern "C" int fdatasync(int fd) { return note_sync(fd, SYS_fdatasync); }

namespace azoth::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class InspectTest : public ProjectionTest {
 protected:
  std::vector<ProjectionInfo> inspect() { return inspect_projections(directory_.path(), source_, clock_); }
};

TEST_F(InspectTest, WithoutProjectionsThereIsNothing) { EXPECT_TRUE(inspect().empty()); }

TEST_F(InspectTest, SaysWhatTheFileSaysAndWhoHasIt) {
  count(3);
  {
    auto projector = projector_with(counting(7));
    projector->catch_up("counts");
    EXPECT_EQ(inspect().at(0).owner, std::to_string(getpid()));
  }
  source_.time = clock_.time - seconds{5};
  count(2);
  std::vector<ProjectionInfo> all = inspect();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].name, "counts");
  EXPECT_EQ(all[0].version, 7u);
  EXPECT_EQ(all[0].generation, 1u);
  EXPECT_EQ(all[0].cursor, 3u);
  EXPECT_EQ(all[0].newest, 5u);
  EXPECT_EQ(all[0].lag, 2u);
  EXPECT_EQ(all[0].lag_time, seconds{5});
  EXPECT_EQ(all[0].owner, std::nullopt);
  EXPECT_EQ(all[0].problem, std::nullopt);
  EXPECT_EQ(all[0].file, folder() / "counts.1.db");
}

TEST_F(InspectTest, SaysWhatIsWrong) {
  count(3);
  projector_with(counting())->catch_up("counts");
  source_.cut(2);
  EXPECT_THAT(inspect().at(0).problem.value_or(""), HasSubstr("which the store does not have"));
  EXPECT_TRUE(inspect().at(0).unbelievable);
  std::ofstream(folder() / "counts.1.db") << std::string(5000, 'x');
  EXPECT_THAT(inspect().at(0).problem.value_or(""), HasSubstr("not a database"));
  EXPECT_TRUE(inspect().at(0).unbelievable);
  std::ofstream(folder() / "counts") << "x";
  EXPECT_THAT(inspect().at(0).problem.value_or(""), HasSubstr("does not name a generation"));
}

// Its tables are there, whatever has become of what they were made by.
TEST_F(InspectTest, ADeclarationThatCannotBeReadDoesNotHideTheTables) {
  count(3);
  projector_with(counting(7))->catch_up("counts");
  std::ofstream(folder() / "counts.sql") << "x";
  const ProjectionInfo info = inspect().at(0);
  EXPECT_TRUE(info.declared);
  EXPECT_EQ(info.generation, 1u);
  EXPECT_EQ(info.version, 7u);
  EXPECT_EQ(info.cursor, 3u);
  EXPECT_EQ(info.file, folder() / "counts.1.db");
  EXPECT_THAT(info.problem.value_or(""), HasSubstr("does not begin with"));
  EXPECT_FALSE(info.unbelievable);
}

// Another process writes the log and runs the projection, and this one's log has not heard of it yet.
TEST_F(InspectTest, ALogThatHasNotHeardOfTheNewestEventsIsNoProblem) {
  count(5);
  projector_with(counting())->catch_up("counts");
  source_.lag(2);
  const ProjectionInfo info = inspect().at(0);
  EXPECT_EQ(info.problem, std::nullopt);
  EXPECT_EQ(info.cursor, 5u);
  EXPECT_EQ(info.lag, 0u);
}

TEST_F(InspectTest, FilesAreTheOwnersOnly) {
  count(1);
  auto projector = projector_with(counting());
  projector->catch_up("counts");
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    struct stat status {};
    ASSERT_EQ(lstat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << entry.path();
  }
}

TEST_F(InspectTest, SyncedProjectionsAreSyncedAtEachCommit) {
  for (bool synced : {false, true}) {
    Projection projection = counting();
    projection.synced(synced).batch({.events = 1});
    count(1);
    auto projector = projector_with(std::move(projection));
    projector->catch_up("counts");
    count(20);
    const int before = log_syncs;
    EXPECT_EQ(projector->catch_up("counts").events, 20u);
    EXPECT_EQ(log_syncs - before, synced ? 20 : 0);
  }
}

TEST_F(InspectTest, TheWriteAheadLogIsMovedIntoTheFileAsItGrows) {
  Projection projection("large", 1);
  projection.schema("CREATE TABLE t (x)").batch({.events = 10}).on("*", [](const EventView&, Sql& sql) {
    sql.run("INSERT INTO t VALUES (zeroblob(100000))");
  });
  count(400);
  auto projector = projector_with(std::move(projection));
  projector->catch_up("large");
  EXPECT_LT(std::filesystem::file_size(folder() / "large.1.db-wal"), 12u << 20);
  EXPECT_GT(std::filesystem::file_size(folder() / "large.1.db"), 24u << 20);
}

}  // namespace
}  // namespace azoth::test
