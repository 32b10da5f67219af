#include "azoth/core/lock_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "azoth/core/error.h"
#include "support/temp_dir.h"

namespace azoth {
namespace {

class LockFileTest : public testing::Test {
 protected:
  std::filesystem::path path() const { return directory_.path() / "lock"; }
  test::TempDir directory_;
};

using enum LockFile::Mode;

TEST_F(LockFileTest, AnExclusiveLockExcludesEveryOtherAndNamesItsHolder) {
  auto lock = LockFile::try_lock(path(), Exclusive);
  ASSERT_TRUE(lock);
  EXPECT_FALSE(LockFile::try_lock(path(), Exclusive));
  EXPECT_FALSE(LockFile::try_lock(path(), Shared));
  EXPECT_EQ(LockFile::last_holder(path()), std::to_string(getpid()));
  EXPECT_TRUE(LockFile::is_held(path()));
  lock.reset();
  EXPECT_FALSE(LockFile::is_held(path()));
  EXPECT_TRUE(LockFile::try_lock(path(), Exclusive));
}

TEST_F(LockFileTest, SharedLocksKeepOnlyAnExclusiveOneOut) {
  EXPECT_THROW(LockFile::try_lock(path(), Shared), Error) << "made a file";
  LockFile::try_lock(path(), Exclusive);
  auto first = LockFile::try_lock(path(), Shared);
  auto second = LockFile::try_lock(path(), Shared);
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(LockFile::is_held(path())) << "it is held, but not exclusively";
  EXPECT_FALSE(LockFile::try_lock(path(), Exclusive));
  first.reset();
  EXPECT_FALSE(LockFile::try_lock(path(), Exclusive));
  second.reset();
  EXPECT_TRUE(LockFile::try_lock(path(), Exclusive));
}

// There may be no room for a pid.
TEST_F(LockFileTest, AnUnsignedOneExcludesEveryOtherAndWritesNothing) {
  auto lock = LockFile::try_lock(path(), Unsigned);
  ASSERT_TRUE(lock);
  EXPECT_FALSE(LockFile::try_lock(path(), Exclusive));
  EXPECT_FALSE(LockFile::try_lock(path(), Shared));
  EXPECT_EQ(std::filesystem::file_size(path()), 0u);
}

TEST_F(LockFileTest, SymbolicLinksAreNotFollowed) {
  std::filesystem::create_symlink(directory_.path() / "elsewhere", path());
  EXPECT_THROW(LockFile::try_lock(path(), Exclusive), Error);
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "elsewhere"));
}

TEST_F(LockFileTest, APipeInItsPlaceIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  alarm(60);
  for (LockFile::Mode mode : {Shared, Exclusive}) EXPECT_THROW(LockFile::try_lock(path(), mode), Error);
  EXPECT_FALSE(LockFile::is_held(path()));
  EXPECT_EQ(LockFile::last_holder(path()), std::nullopt);
  alarm(0);
}

TEST_F(LockFileTest, ItsHolderMayRemoveItAndStillThereIsOneAtATime) {
  std::atomic<int> holders{0};
  std::atomic<int> violations{0};
  std::atomic<int> times{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (times < 2000) {
        auto lock = LockFile::try_lock(path(), Exclusive);
        if (!lock) continue;
        if (++holders > 1) ++violations;
        ++times;
        std::this_thread::yield();
        --holders;
        std::filesystem::remove(path());  // the last that it does with it
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(violations, 0);
}

}  // namespace
}  // namespace azoth
