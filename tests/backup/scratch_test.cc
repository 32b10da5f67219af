// The directory in which a store is built before it is put in its place.
#include "scratch.h"

#include <atomic>
#include <thread>

#include "backup_support.h"

namespace azoth::backup::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Scratch : public testing::Test {
 protected:
  ~Scratch() override { fault::disarm_all(); }
  Path place() const { return dir_.path() / "store"; }
  static void fill(const ScratchDirectory& scratch) {
    std::filesystem::create_directory(scratch.path());
    put_file(FileSystem::posix(), scratch.path() / "file", "content");
  }

  azoth::test::MemoryDir dir_;
};

TEST_F(Scratch, IsRemovedWhetherOrNotItsContentWasMoved) {
  { fill(ScratchDirectory(place(), ".restore-")); }
  EXPECT_THAT(names_in(dir_.path()), IsEmpty());
  {
    ScratchDirectory scratch(place(), ".restore-");
    fill(scratch);
    scratch.move_into_place(place());
  }
  EXPECT_THAT(names_in(dir_.path()), ElementsAre("store"));
  EXPECT_THAT(names_in(place()), ElementsAre("file"));
}

TEST_F(Scratch, DirectoriesMadeForItGoWithItUnlessSomethingIsThere) {
  const Path inside = dir_.path() / "a" / "b";
  {
    const MissingDirectories parents(inside);
    ScratchDirectory scratch(inside / "store", ".restore-");
    fill(scratch);
  }
  EXPECT_THAT(names_in(dir_.path()), IsEmpty());
  for (const bool again : {false, true}) {  // the second time they are there
    {
      const MissingDirectories parents(inside);
      if (again) std::filesystem::remove_all(inside / "store");
      ScratchDirectory scratch(inside / "store", ".restore-");
      fill(scratch);
      if (!again) scratch.move_into_place(inside / "store");
    }
    EXPECT_TRUE(std::filesystem::exists(inside));
  }
}

TEST_F(Scratch, DirectoriesThatCannotBeMadeAreNotHalfThere) {
  fault::arm("file.make_directory", {.fail_with = ENOSPC, .skip = 1});
  expect_error([&] { MissingDirectories(dir_.path() / "a" / "b"); }, ErrorCode::NoSpace, "free space");
  EXPECT_THAT(names_in(dir_.path()), IsEmpty());
}

TEST_F(Scratch, WhatACrashHasLeftIsRemovedAndWhatIsInUseIsNot) {
  std::filesystem::create_directories(dir_.path() / (".store.restore-" + uuid_of(1).text()) / "store");
  std::filesystem::create_directories(dir_.path() / (".store.restore-" + uuid_of(2).text()));
  ScratchDirectory used(place(), ".restore-");
  fill(used);
  const ScratchDirectory other(place(), ".restore-");
  EXPECT_EQ(names_in(dir_.path()).size(), 2u);
  EXPECT_TRUE(std::filesystem::exists(used.path() / "file"));
}

TEST_F(Scratch, WhatIsNobodysIsLeftAlone) {
  const std::string link = ".store.restore-" + uuid_of(3).text();
  std::filesystem::create_directories(dir_.path() / "elsewhere");
  std::filesystem::create_directory_symlink(dir_.path() / "elsewhere", dir_.path() / link);
  for (const std::string& name :
       {std::string(".store.restore-abc"), ".other.restore-" + uuid_of(1).text(), std::string("store2")}) {
    std::filesystem::create_directories(dir_.path() / name);
  }
  const std::set<std::string> before = names_in(dir_.path());
  { const ScratchDirectory scratch(place(), ".restore-"); }
  EXPECT_EQ(names_in(dir_.path()), before);
  EXPECT_THAT(names_in(dir_.path() / "elsewhere"), IsEmpty());
}

// Between making it and locking it, another one takes it for what a crash has left.
TEST_F(Scratch, ThatAnotherOneRemovesBeforeItIsLockedIsMadeAgain) {
  fault::arm("restore.scratch", {.run = [&] { const ScratchDirectory other(place(), ".restore-"); }});
  ScratchDirectory scratch(place(), ".restore-");
  fill(scratch);
  scratch.move_into_place(place());
  EXPECT_THAT(names_in(place()), ElementsAre("file"));
}

TEST_F(Scratch, SeveralAtOnceDoNotHinderEachOther) {
  std::atomic<int> moved{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < rounds(100, 2000); ++i) {
        ScratchDirectory scratch(place(), ".restore-");
        fill(scratch);
        const auto error = error_of([&] { scratch.move_into_place(place()); });
        EXPECT_TRUE(!error || error->code() == ErrorCode::AlreadyExists) << error->what();
        if (error) continue;
        ++moved;
        EXPECT_TRUE(std::filesystem::exists(place() / "file"));
        std::filesystem::rename(place(), dir_.path() / ("moved" + std::to_string(thread) + "-" + std::to_string(i)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(moved, 0);
  for (const std::string& name : names_in(dir_.path())) {
    EXPECT_THAT(name, testing::StartsWith("moved"));
    EXPECT_THAT(names_in(dir_.path() / name), ElementsAre("file"));
  }
}

// Whoever hears of the failure restores again, and that needs the place.
TEST_F(Scratch, AMoveWhoseLastSyncFailsIsTakenBack) {
  ScratchDirectory scratch(place(), ".restore-");
  fill(scratch);
  fault::arm("file.sync_directory", {.fail_with = EIO, .skip = 1});
  const auto error = error_of([&] { scratch.move_into_place(place()); });
  ASSERT_TRUE(error);
  EXPECT_FALSE(error->outcome_unknown());
  EXPECT_FALSE(std::filesystem::exists(place()));
  scratch.move_into_place(place());
  EXPECT_THAT(names_in(place()), ElementsAre("file"));
}

// One restore waits while another one of the same place is made: each has its own directory, one of them gets there.
class TwoRestores : public BackupTest {};

TEST_F(TwoRestores, OfOnePlaceAtOnceOneOfThemIsThere) {
  put("a", "b");
  back_up();
  fault::arm("restore.built", {.run = [&] {
               fault::disarm("restore.built");
               backup::restore(set_path(), target(), {.store = options_});
             }});
  expect_error([&] { backup::restore(set_path(), target(), {.store = options_}); }, ErrorCode::AlreadyExists,
               "nothing is restored over data");
  expect_restored(target(), model_, store_->status().visible_seq, options_);
  EXPECT_THAT(names_in(targets()), ElementsAre("store"));
}

}  // namespace
}  // namespace azoth::backup::test
