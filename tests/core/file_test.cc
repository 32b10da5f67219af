// What both file systems have in common, and what the helpers promise on either.
#include "azoth/core/file.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "azoth/core/error.h"
#include "support/seed.h"
#include "support/sim_disk.h"
#include "support/temp_dir.h"

namespace azoth {
namespace {

using Mode = FileSystem::Mode;

enum class Kind { Posix, Simulated };

class Files : public testing::TestWithParam<Kind> {
 protected:
  Files() {
    if (GetParam() == Kind::Simulated) disk_.make_directory(root_);  // it begins empty
  }

  FileSystem& fs() { return GetParam() == Kind::Posix ? FileSystem::posix() : disk_; }
  std::filesystem::path at(std::string_view name) const { return root_ / name; }

  void put(std::string_view name, std::string_view content) {
    if (fs().exists(at(name))) fs().remove(at(name));
    fs().open(at(name), Mode::Create)->write_at(0, content);
  }
  std::string get(std::string_view name) { return read_file(fs(), at(name), 10'000'000); }

  template <typename Call>
  static ErrorCode error_of(Call call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode{};
  }

 private:
  test::TempDir directory_;
  std::filesystem::path root_ = GetParam() == Kind::Posix ? directory_.path() : "/store";
  test::SimDisk disk_;
};

INSTANTIATE_TEST_SUITE_P(, Files, testing::Values(Kind::Posix, Kind::Simulated),
                         [](const auto& param) { return param.param == Kind::Posix ? "Posix" : "Simulated"; });

TEST_P(Files, WhatIsWrittenIsRead) {
  const auto file = fs().open(at("f"), Mode::Create);
  file->write_at(0, "hello");
  file->write_at(3, "LOW");
  char bytes[8] = {};
  EXPECT_EQ(file->read_at(0, bytes, 8), 6u);
  EXPECT_EQ(std::string(bytes), "helLOW");
  EXPECT_EQ(file->size(), 6u);
  EXPECT_EQ(get("f"), "helLOW");
}

TEST_P(Files, AGapReadsAsZeros) {
  const auto file = fs().open(at("f"), Mode::Create);
  file->write_at(4, "x");
  EXPECT_EQ(get("f"), std::string_view("\0\0\0\0x", 5));
}

TEST_P(Files, ReadingStopsAtTheEnd) {
  put("f", "abc");
  const auto file = fs().open(at("f"), Mode::Read);
  char bytes[8];
  EXPECT_EQ(file->read_at(1, bytes, 8), 2u);
  EXPECT_EQ(file->read_at(3, bytes, 8), 0u);
  EXPECT_EQ(file->read_at(100, bytes, 8), 0u);
  EXPECT_EQ(file->read_at(0, bytes, 0), 0u);
  EXPECT_NO_THROW(file->will_need(0, 3));
}

TEST_P(Files, LargeTransfersAreWhole) {
  std::mt19937_64 random(test::test_seed());
  std::string content(5'000'000, '\0');
  for (std::size_t i = 0; i < content.size(); i += 97) content[i] = static_cast<char>(random());
  put("f", content);
  EXPECT_TRUE(get("f") == content);
}

TEST_P(Files, TruncatingCutsAndExtendsWithZeros) {
  const auto file = fs().open(at("f"), Mode::Create);
  file->write_at(0, "abcdef");
  file->truncate(2);
  file->truncate(4);
  file->sync_data();
  EXPECT_EQ(get("f"), std::string_view("ab\0\0", 4));
}

TEST_P(Files, AllocatingKeepsTheContent) {
  const auto file = fs().open(at("f"), Mode::Create);
  file->write_at(0, "abc");
  file->allocate(0);
  file->allocate(100'000);
  file->write_at(99'999, "z");
  EXPECT_EQ(get("f").substr(0, 3), "abc");
  EXPECT_EQ(file->size(), 100'000u);
}

TEST_P(Files, AMissingFileIsNotFound) {
  EXPECT_EQ(error_of([&] { fs().open(at("none"), Mode::Read); }), ErrorCode::NotFound);
  EXPECT_EQ(error_of([&] { fs().open(at("none"), Mode::Write); }), ErrorCode::NotFound);
  EXPECT_EQ(error_of([&] { fs().open(at("none/f"), Mode::Create); }), ErrorCode::NotFound);
  EXPECT_EQ(error_of([&] { fs().remove(at("none")); }), ErrorCode::NotFound);
  EXPECT_EQ(error_of([&] { fs().rename(at("none"), at("f")); }), ErrorCode::NotFound);
  EXPECT_EQ(error_of([&] { fs().list(at("none")); }), ErrorCode::NotFound);
  EXPECT_EQ(error_of([&] { fs().sync_directory(at("none")); }), ErrorCode::NotFound);
  EXPECT_EQ(error_of([&] { read_file(fs(), at("none"), 10); }), ErrorCode::NotFound);
  EXPECT_FALSE(fs().exists(at("none")));
  EXPECT_FALSE(fs().exists(at("none/f")));
}

TEST_P(Files, CreatingRefusesWhatExists) {
  put("f", "old");
  fs().make_directory(at("d"));
  EXPECT_EQ(error_of([&] { fs().open(at("f"), Mode::Create); }), ErrorCode::AlreadyExists);
  EXPECT_EQ(error_of([&] { fs().open(at("d"), Mode::Create); }), ErrorCode::AlreadyExists);
  EXPECT_EQ(get("f"), "old");
}

TEST_P(Files, AReadOnlyFileIsNotWritten) {
  put("f", "old");
  const auto file = fs().open(at("f"), Mode::Read);
  EXPECT_EQ(error_of([&] { file->write_at(0, "x"); }), ErrorCode::Io);
  EXPECT_THROW(file->truncate(0), Error);
  EXPECT_NO_THROW(file->sync_data());
  EXPECT_EQ(get("f"), "old");
}

TEST_P(Files, OpeningForWritingKeepsTheContent) {
  put("f", "abc");
  fs().open(at("f"), Mode::Write)->write_at(1, "X");
  EXPECT_EQ(get("f"), "aXc");
}

TEST_P(Files, MakingADirectoryTwiceIsFineUnlessItIsAFile) {
  fs().make_directory(at("d"));
  EXPECT_NO_THROW(fs().make_directory(at("d")));
  EXPECT_TRUE(fs().exists(at("d")));
  put("f", "");
  EXPECT_EQ(error_of([&] { fs().make_directory(at("f")); }), ErrorCode::AlreadyExists);
  EXPECT_EQ(error_of([&] { fs().make_directory(at("none/d")); }), ErrorCode::NotFound);
}

TEST_P(Files, NamesAreListedSorted) {
  for (const char* name : {"b", "a", "c.tmp", "B"}) put(name, "");
  fs().make_directory(at("bb"));
  EXPECT_EQ(fs().list(at("")), (std::vector<std::string>{"B", "a", "b", "bb", "c.tmp"}));
  EXPECT_TRUE(fs().list(at("bb")).empty());
  EXPECT_EQ(error_of([&] { fs().list(at("a")); }), ErrorCode::Io);
}

TEST_P(Files, RenamingReplacesAFile) {
  put("new", "new");
  put("old", "old");
  fs().rename(at("new"), at("old"));
  EXPECT_EQ(get("old"), "new");
  EXPECT_FALSE(fs().exists(at("new")));
}

TEST_P(Files, RenamingMovesBetweenDirectories) {
  fs().make_directory(at("d"));
  put("f", "content");
  fs().rename(at("f"), at("d/g"));
  EXPECT_EQ(get("d/g"), "content");
  EXPECT_FALSE(fs().exists(at("f")));
  fs().rename(at("d"), at("e"));
  EXPECT_EQ(get("e/g"), "content");
}

TEST_P(Files, RenamingRefusesWhatMakesNoSense) {
  fs().make_directory(at("d"));
  fs().make_directory(at("e"));
  put("e/f", "");
  put("f", "kept");
  EXPECT_EQ(error_of([&] { fs().rename(at("f"), at("d")); }), ErrorCode::Io);
  EXPECT_EQ(error_of([&] { fs().rename(at("d"), at("f")); }), ErrorCode::Io);
  EXPECT_EQ(error_of([&] { fs().rename(at("d"), at("e")); }), ErrorCode::Io);
  EXPECT_EQ(error_of([&] { fs().rename(at("e"), at("e/inside")); }), ErrorCode::Io);
  EXPECT_NO_THROW(fs().rename(at("f"), at("f")));
  EXPECT_EQ(get("f"), "kept");
}

TEST_P(Files, AnOpenFileOutlivesItsName) {
  const auto file = fs().open(at("f"), Mode::Create);
  file->write_at(0, "abc");
  fs().remove(at("f"));
  EXPECT_FALSE(fs().exists(at("f")));
  char bytes[3];
  EXPECT_EQ(file->read_at(0, bytes, 3), 3u);
  EXPECT_NO_THROW(file->sync_data());
  put("f", "other");
  EXPECT_EQ(file->size(), 3u);
}

TEST_P(Files, OnlyEmptyDirectoriesAreRemoved) {
  fs().make_directory(at("d"));
  put("d/f", "");
  EXPECT_EQ(error_of([&] { fs().remove(at("d")); }), ErrorCode::Io);
  fs().remove(at("d/f"));
  fs().remove(at("d"));
  EXPECT_FALSE(fs().exists(at("d")));
}

TEST_P(Files, OpeningADirectoryAsAFileIsRefusedForWriting) {
  fs().make_directory(at("d"));
  EXPECT_EQ(error_of([&] { fs().open(at("d"), Mode::Write); }), ErrorCode::Io);
}

TEST_P(Files, ADirectoryIsSyncedAndAFileIsNotADirectory) {
  put("f", "");
  EXPECT_NO_THROW(fs().sync_directory(at("")));
  EXPECT_EQ(error_of([&] { fs().sync_directory(at("f")); }), ErrorCode::Io);
}

TEST_P(Files, ReadFileRefusesWhatIsLargerThanTheLimit) {
  put("f", "abc");
  EXPECT_EQ(read_file(fs(), at("f"), 3), "abc");
  EXPECT_EQ(error_of([&] { read_file(fs(), at("f"), 2); }), ErrorCode::Corruption);
  put("g", "");
  EXPECT_EQ(read_file(fs(), at("g"), 0), "");
}

TEST_P(Files, AnAtomicWriteLeavesTheNewContentAndNothingElse) {
  write_file_atomically(fs(), at("f"), "one");
  EXPECT_EQ(get("f"), "one");
  write_file_atomically(fs(), at("f"), "");
  EXPECT_EQ(get("f"), "");
  EXPECT_EQ(fs().list(at("")), std::vector<std::string>{"f"});
}

TEST_P(Files, AnAtomicWriteIntoNowhereIsNotFound) {
  EXPECT_EQ(error_of([&] { write_file_atomically(fs(), at("none/f"), "x"); }), ErrorCode::NotFound);
}

TEST_P(Files, ZeroFilledFilesHaveTheirSize) {
  for (std::uint64_t size : {0u, 1u, 512u, (1u << 20) - 1, 1u << 20, (1u << 20) + 1, 2'500'000u}) {
    create_zero_filled(fs(), at("f"), size);
    EXPECT_TRUE(get("f") == std::string(size, '\0')) << size;
    fs().remove(at("f"));
  }
}

TEST_P(Files, AZeroFilledFileReplacesNothing) {
  put("f", "old");
  EXPECT_EQ(error_of([&] { create_zero_filled(fs(), at("f"), 100); }), ErrorCode::AlreadyExists);
  EXPECT_EQ(get("f"), "old");
}

}  // namespace
}  // namespace azoth
