// A disk without room, and other trouble that passes.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <stdexcept>
#include <thread>

#include "projection_support.h"
#include "support/watched_files.h"

namespace azoth::test {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// No file can grow beyond this: the errno is EFBIG, which SQLite calls an I/O error.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  rlimit before_{};
  void (*const signal_)(int) = std::signal(SIGXFSZ, SIG_IGN);
};

class FullDiskTest : public ProjectionTest {
 protected:
  static fault::Action throwing(ErrorCode code, int times = 1) {
    return {.run = [code] { throw Error(code, "injected"); }, .times = times};
  }
  static Projection second() { return counting(2).batch({.events = 1}); }
  void build(int events) {
    count(events);
    projector_with(counting())->catch_up("counts");
  }
};

TEST_F(FullDiskTest, AFileThatMayNotGrowIsNoBrokenDisk) {
  auto projector = projector_with(counting());
  count(3, std::string(10'000, 'p'));
  {
    FileSizeLimit limit(20'000);
    EXPECT_EQ(code_of([&] { return projector->run_once("counts"); }), ErrorCode::NoSpace);
  }
  projector->catch_up("counts");
  EXPECT_EQ(projector->status("counts").cursor, 3u);
}

TEST_F(FullDiskTest, OldGenerationsCanBeRemovedAndProjectionsDropped) {
  build(1);
  std::filesystem::copy(folder() / "counts.1.db", folder() / "counts.2.db");
  Generations generations(FileSystem::posix(), folder(), "counts");
  generations.make_current(2);
  FileSizeLimit limit(0);
  EXPECT_EQ(generations.remove_old(), 0u);
  EXPECT_FALSE(exists("counts.1.db"));
  generations.remove_all();
  EXPECT_FALSE(exists("counts.2.db"));
}

TEST_F(FullDiskTest, AnUnfinishedRebuildThatCannotBeReadNowIsKept) {
  build(3);
  projector_with(second())->run_once("counts");
  bool failed = true;
  int met = 0;
  for (int step = 0; failed; ++step) {
    fault::Armed broken("projection.step", {.fail_with = EIO, .skip = step});
    auto projector = this->projector();
    failed = code_of([&] { return projector->add(second()), 0; }) == ErrorCode::Io;
    met += failed ? 1 : 0;
    ASSERT_TRUE(exists("counts.2.db")) << step;
    if (!failed) {
      EXPECT_EQ(projector->status("counts").rebuild->cursor, 1u);
    }
  }
  EXPECT_GT(met, 0);
}

TEST_F(FullDiskTest, AnOldGenerationThatCannotBeRemovedStopsNothing) {
  build(3);
  auto projector = projector_with(second());
  {
    fault::Armed stuck("projection.remove", throwing(ErrorCode::Io, -1));
    projector->catch_up("counts");
    EXPECT_EQ(projector->status("counts").generation, 2u);
    EXPECT_TRUE(exists("counts.1.db"));
    projector.reset();
    projector = projector_with(second());
  }
  count(1);
  projector->catch_up("counts");
  EXPECT_FALSE(exists("counts.1.db"));
  EXPECT_EQ(rows(), (Rows{{"a", 4}}));
}

// The pointer is there, and its sync has failed: whatever is begun then, what it names stays.
TEST_F(FullDiskTest, WhatThePointerNamesIsNotRemovedWhenItsSyncHasFailed) {
  build(3);
  auto projector = projector_with(counting(2));
  {
    fault::Armed unsynced("file.sync_directory", {.fail_with = EIO, .skip = 1});
    EXPECT_EQ(code_of([&] { return projector->run_once("counts"); }), ErrorCode::Io);
  }
  ASSERT_EQ(read_current_generation(FileSystem::posix(), folder(), "counts")->number, 2u);
  {
    fault::Armed full("projection.create", throwing(ErrorCode::NoSpace));
    EXPECT_EQ(code_of([&] { return projector->rebuild("counts"), 0; }), ErrorCode::NoSpace);
  }
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
  projector->catch_up("counts");
  EXPECT_EQ(projector->status("counts").generation, 3u);
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
}

TEST_F(FullDiskTest, ARebuildThatLacksSpaceShowsWhatTheOldTablesShow) {
  build(3);
  auto projector = projector_with(counting());
  for (int i = 0; i < 2; ++i) {
    fault::Armed full("projection.create", throwing(ErrorCode::NoSpace));
    EXPECT_EQ(code_of([&] { return projector->rebuild("counts"), 0; }), ErrorCode::NoSpace);
    EXPECT_EQ(projector->status("counts").cursor, 3u);
  }
  projector->rebuild("counts");
  EXPECT_EQ(projector->status("counts").cursor, 3u);
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
}

// The batch is there, and what comes behind it lacks space: it stops at the event that it cannot apply all the same.
TEST_F(FullDiskTest, AnObstacleIsMetThoughTheCheckpointBehindItFails) {
  Projection projection = counting();
  projection.on("bad", [](const EventView&, Sql&) { throw std::runtime_error("no"); });
  projection.on_error({.then = ErrorPolicy::Then::Fail, .retries = 0}).batch({.bytes = 100'000'000});
  auto projector = projector_with(std::move(projection));
  for (int i = 0; i < 10; ++i) count(1, std::string(1'000'000, static_cast<char>('a' + i)));
  source_.append("bad", "");
  fault::Armed full("projection.checkpoint", {.fail_with = ENOSPC, .times = -1});
  EXPECT_EQ(code_of([&] { return projector->run_once("counts"); }), ErrorCode::NoSpace);
  const ProjectionStatus status = projector->status("counts");
  EXPECT_EQ(status.cursor, 10u);
  EXPECT_EQ(status.state, ProjectionState::Failed);
  EXPECT_THAT(status.last_error.value_or(""), HasSubstr("stopped at event 11"));
}

TEST_F(FullDiskTest, WhatPassesIsOutlastedWhileItWaits) {
  auto projector = projector_with(counting());
  source_.fail_wait([] { throw Error(ErrorCode::ReadersFull, "injected"); });
  projector->follow("counts");
  while (source_.waits() < 2 && projector->status("counts").state != ProjectionState::Failed) std::this_thread::yield();
  count(1);
  EXPECT_TRUE(projector->wait_until("counts", 1, seconds{60}));
}

TEST_F(FullDiskTest, TheFolderThatTheFirstProjectionMakesIsSynced) {
  std::vector<std::filesystem::path> synced;
  WatchedFiles files({.sync_directory = [&](const std::filesystem::path& path) { synced.push_back(path); }});
  Projector projector(directory_.path(), source_, {.clock = &clock_, .pacer = &pacer_, .seed = 1}, files);
  projector.add(counting());
  EXPECT_THAT(synced, testing::Contains(std::filesystem::canonical(directory_.path())));
}

TEST_F(FullDiskTest, TheLongestTimeOfABatchIsNotInThePast) {
  count(3);
  auto projector = projector_with(counting().batch({.time = std::chrono::nanoseconds::max()}));
  EXPECT_EQ(projector->run_once("counts").events, 3u);
}

}  // namespace
}  // namespace azoth::test
