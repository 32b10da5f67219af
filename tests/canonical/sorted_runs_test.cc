// Sorting more than memory holds.
#include "sorted_runs.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "support/child_process.h"
#include "support/seed.h"
#include "support/temp_dir.h"
#include "support/thrown.h"

namespace azoth {
namespace {

constexpr std::size_t kLongest = 65'535;

class SortedRunsTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return directory_.path() / "runs"; }
  std::vector<std::string> files() const { return FileSystem::posix().list(directory_.path()); }

  std::vector<std::string> sorted(const std::vector<std::string>& strings, std::size_t run_bytes) const {
    SortedRuns runs(FileSystem::posix(), file(), run_bytes);
    for (const std::string& one : strings) runs.add(one);
    std::vector<std::string> all;
    runs.for_each([&](std::string_view one) { all.emplace_back(one); });
    return all;
  }

  void expect_sorts(std::vector<std::string> strings, std::size_t run_bytes) const {
    const std::vector<std::string> all = sorted(strings, run_bytes);
    std::sort(strings.begin(), strings.end());
    ASSERT_EQ(all, strings);
    ASSERT_EQ(files(), std::vector<std::string>()) << "files are left";
  }

  test::TempDir directory_;
};

TEST_F(SortedRunsTest, OfNothingAreNothing) { expect_sorts({}, 100); }

TEST_F(SortedRunsTest, SortRandomStringsInAnyNumberOfRuns) {
  std::mt19937_64 random(test::test_seed());
  for (std::size_t run_bytes : {1, 50, 1000, 20'000, 1'000'000}) {
    std::vector<std::string> strings;
    for (int i = 0; i < 300; ++i) {
      std::string one(random() % 40, '\0');
      for (char& byte : one) byte = static_cast<char>(random() % 3 == 0 ? 0xFF : random() % 3);
      strings.push_back(one);
    }
    ASSERT_NO_FATAL_FAILURE(expect_sorts(strings, run_bytes)) << run_bytes;
  }
}

TEST_F(SortedRunsTest, HowManyRunsThereAreFewFilesAreOpen) {
  test::ChildProcess child([&] {
    const rlimit few{100, 100};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) throw std::runtime_error("setting a limit");
    SortedRuns runs(FileSystem::posix(), file(), 1);
    for (int i = 0; i < 5000; ++i) runs.add(std::to_string(i * 7919 % 5000));
    std::vector<std::string> all;
    runs.for_each([&](std::string_view one) { all.emplace_back(one); });
    if (all.size() != 5000 || !std::is_sorted(all.begin(), all.end()))
      throw std::runtime_error("not all, or not sorted");
  });
  child.wait();
  EXPECT_TRUE(child.succeeded());
  EXPECT_EQ(files(), std::vector<std::string>());
}

TEST_F(SortedRunsTest, KeepEqualAndEmptyStringsAsOftenAsTheyCame) {
  expect_sorts({"b", "", "a", "b", "", "b", "a", ""}, 4);
  expect_sorts({"", "", ""}, 1);
}

TEST_F(SortedRunsTest, TakeStringsOfTheGreatestLength) {
  std::mt19937_64 random(test::test_seed());
  std::vector<std::string> strings;
  for (int i = 0; i < 12; ++i) {
    strings.emplace_back(kLongest - random() % 3, static_cast<char>('a' + random() % 3));
    strings.push_back(std::string(random() % 5, 'b'));
  }
  expect_sorts(strings, 3 * kLongest);
  expect_sorts(strings, 100);
}

TEST_F(SortedRunsTest, HaveNoFilesWhileAllFitsIntoMemory) {
  SortedRuns runs(FileSystem::posix(), file(), 100);
  for (int i = 0; i < 10; ++i) runs.add("12345678");
  EXPECT_TRUE(files().empty());
  runs.add("12345678");
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(SortedRunsTest, AreCalledLikeTheTemporaryFilesThatTheyAre) {
  SortedRuns runs(FileSystem::posix(), file(), 1);
  for (int i = 0; i < 3; ++i) runs.add("12345678");
  EXPECT_EQ(files(), (std::vector<std::string>{"runs.0.tmp", "runs.1.tmp"}));
}

TEST_F(SortedRunsTest, LeaveNoFilesWhenTheyAreGivenUp) {
  {
    SortedRuns runs(FileSystem::posix(), file(), 10);
    for (int i = 0; i < 10; ++i) runs.add("12345678");
    EXPECT_FALSE(files().empty());
  }
  EXPECT_TRUE(files().empty());
}

TEST_F(SortedRunsTest, AFullDiskIsAnErrorAndLeavesNoFiles) {
  for (const char* point : {"file.create", "file.write"}) {
    fault::Armed armed(point, {.fail_with = ENOSPC, .skip = 2});
    std::vector<std::string> strings(20, "12345678");
    EXPECT_EQ(test::code_of([&] { return sorted(strings, 20); }), ErrorCode::NoSpace) << point;
    EXPECT_TRUE(files().empty()) << point;
  }
}

}  // namespace
}  // namespace azoth
