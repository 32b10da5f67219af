// Sleeping until a directory changes: what wakes, and that nothing that happens before the sleep is missed.
#include "directory_watch.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <vector>

#include "azoth/core/file.h"
#include "support/temp_dir.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;

class DirectoryWatchTest : public test::WritePath {
 protected:
  std::filesystem::path file(const char* name) const { return directory_.path() / name; }
  void write(const char* name, const char* text = "x") const {
    std::ofstream out(file(name), std::ios::app);
    out << text << std::flush;
    ASSERT_TRUE(out);
  }

  test::TempDir directory_;
};

TEST_F(DirectoryWatchTest, WhatHappenedBeforeTheSleepEndsIt) {
  DirectoryWatch watch(directory_.path());
  write("a");
  watch.wait();
}

TEST_F(DirectoryWatchTest, AWriteAndARenameWake) {
  write("a");
  DirectoryWatch watch(directory_.path());
  write("a");
  watch.wait();
  std::filesystem::rename(file("a"), file("b"));
  watch.wait();
}

TEST_F(DirectoryWatchTest, NoChangeIsMissedOverManyRounds) {
  DirectoryWatch watch(directory_.path());
  const int kRounds = test::rounds(1000, 100'000);
  std::atomic<int> written{0};
  std::atomic<int> seen{0};
  auto writer = test::in_background([&] {
    for (int round = 1; round <= kRounds; ++round) {
      written.store(round);
      write("a");
      if (round % 2 == 0) test::await([&] { return seen.load() >= round; });
    }
  });
  while (seen.load() < kRounds) {
    watch.wait();
    seen.store(written.load());
  }
  writer.get();
  EXPECT_EQ(seen.load(), kRounds);
}

TEST_F(DirectoryWatchTest, AnInterruptEndsTheSleepAndEveryLaterOne) {
  DirectoryWatch watch(directory_.path());
  EXPECT_FALSE(watch.interrupted_within(milliseconds{0}));
  auto sleeper = test::in_background([&] { watch.wait(); });
  watch.interrupt();
  sleeper.get();
  watch.wait();
  EXPECT_TRUE(watch.interrupted_within(std::chrono::hours{1}));
}

TEST_F(DirectoryWatchTest, AMoveOrARemovalOfTheDirectoryOrItsParentWakesAndIsTold) {
  using Change = std::function<void(const std::filesystem::path& parent)>;
  const std::vector<Change> changes = {
      [&](const auto& parent) { std::filesystem::rename(parent, file("aside")); },
      [](const auto& parent) { std::filesystem::rename(parent / "journal", parent / "aside"); },
      [](const auto& parent) { std::filesystem::remove_all(parent); },
      [](const auto& parent) { std::filesystem::remove_all(parent / "journal"); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    std::filesystem::path parent = file(("store" + std::to_string(i)).c_str());
    std::filesystem::create_directories(parent / "journal");
    DirectoryWatch watch(parent / "journal");
    watch.watch_place(parent, "journal");
    std::ofstream(parent / "journal" / "segment") << "x" << std::flush;
    std::ofstream(parent / "other") << "x" << std::flush;
    std::filesystem::remove(parent / "other");
    watch.wait();
    EXPECT_FALSE(watch.gone()) << i;
    changes[i](parent);
    while (!watch.gone()) watch.wait();
  }
}

TEST_F(DirectoryWatchTest, AMissingDirectoryIsAnError) {
  EXPECT_EQ(test::code_of([&] {
              DirectoryWatch watch(file("missing"));
              return 0;
            }),
            ErrorCode::NotFound);
}

}  // namespace
}  // namespace azoth
