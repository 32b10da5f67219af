#include "block_file.h"

#include "allocations.h"
#include "azoth/core/fault.h"
#include "block_support.h"
#include "support/seed.h"
#include "support/sim_disk.h"
#include "support/temp_dir.h"

namespace azoth::backup::test {
namespace {

using azoth::test::SimDisk;
using azoth::test::test_seed;

TEST(BlockFile, RecordsComeBackWhateverTheirSizesAndTheOptions) {
  const std::uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  const Key key = Key::random();
  for (const std::uint32_t block_bytes : {64u, 100u, 4096u}) {
    for (const int level : {0, 1, 19}) {
      for (const Key* with : {static_cast<const Key*>(nullptr), &key}) {
        SimDisk disk;
        const auto records = random_records(random, random() % 40, 1000);
        const FileSummary summary = write_file(disk, "f", records, {block_bytes, level, with});
        EXPECT_EQ(summary.records, records.size());
        EXPECT_EQ(summary.bytes, get_file(disk, "f").size());
        EXPECT_EQ(read_back(disk, "f", {.key = with, .expected = summary}), records);
      }
    }
  }
}

TEST(BlockFile, AFileWithoutRecordsIsAFile) {
  SimDisk disk;
  const FileSummary summary = write_file(disk, "f", {}, {});
  EXPECT_EQ(summary.records, 0u);
  EXPECT_TRUE(read_back(disk, "f", {.expected = summary}).empty());
  write_file(disk, "g", {""}, {});
  EXPECT_EQ(read_back(disk, "g", {}).size(), 1u) << "an empty record is a record";
}

TEST(BlockFile, TheSameRecordsGiveTheSameBytesUnlessTheyAreEncrypted) {
  std::mt19937_64 random(1);
  const auto records = random_records(random, 100, 500);
  const Key key = Key::random();
  SimDisk disk;
  for (const int level : {0, 3}) {
    const std::string name = std::to_string(level);
    const FileSummary a = write_file(disk, name + "a", records, {1024, level});
    const FileSummary b = write_file(disk, name + "b", records, {1024, level});
    EXPECT_EQ(a, b);
    EXPECT_EQ(get_file(disk, name + "a"), get_file(disk, name + "b"));
    EXPECT_NE(write_file(disk, name + "c", records, {1024, level, &key}).hash,
              write_file(disk, name + "d", records, {1024, level, &key}).hash);
  }
}

TEST(BlockFile, EncryptedFilesShowNothingOfTheirContent) {
  SimDisk disk;
  const Key key = Key::random();
  write_file(disk, "f", {"the secret word"}, {64, 0, &key});
  EXPECT_THAT(get_file(disk, "f"), testing::Not(testing::HasSubstr("secret")));
}

// --- limits and failures ---------------------------------------------------------------------------------------------

TEST(BlockFile, MemoryStaysBoundedWhateverTheSizeOfTheStream) {
  const azoth::test::TempDir dir;
  FileSystem& fs = FileSystem::posix();
  const std::string chunk(10'000, 'r');
  constexpr std::uint64_t kRecords = 20'000;  // 200 MB
  FileSummary summary;
  {
    Allocations counted;
    BlockFileWriter writer(fs, dir.path() / "f", kIdentity, {.compression_level = 1});
    for (std::uint64_t i = 0; i < kRecords; ++i) writer.add(chunk);
    summary = writer.finish();
    EXPECT_LT(counted.peak(), std::size_t{2} << 20);
  }
  Allocations counted;
  BlockFileReader reader(fs, dir.path() / "f", kIdentity, {.expected = summary});
  std::uint64_t records = 0;
  while (const auto record = reader.next()) records += record->size() == chunk.size() ? 1 : 0;
  EXPECT_EQ(records, kRecords);
  EXPECT_LT(counted.peak(), std::size_t{2} << 20);
}

TEST(BlockFile, AFailedWriterTakesNothingMore) {
  const azoth::test::TempDir dir;
  BlockFileWriter writer(FileSystem::posix(), dir.path() / "f", kIdentity, {64, 0});
  {
    const fault::Armed full("file.write", {.fail_with = ENOSPC});
    expect_error([&] { writer.add(std::string(1000, 'a')); }, ErrorCode::NoSpace, "free space on this file system");
  }
  expect_error([&] { writer.add("b"); }, ErrorCode::InvalidArgument, "has failed");
  expect_error([&] { writer.finish(); }, ErrorCode::InvalidArgument, "has failed");
}

TEST(BlockFile, AFailedSyncIsNoFinish) {
  const azoth::test::TempDir dir;
  BlockFileWriter writer(FileSystem::posix(), dir.path() / "f", kIdentity, {});
  const fault::Armed broken("file.sync", {.fail_with = EIO});
  expect_error([&] { writer.finish(); }, ErrorCode::Io, "check the device");
  expect_error([&] { writer.finish(); }, ErrorCode::InvalidArgument, "has failed");
}

TEST(BlockFile, OptionsOutOfRangeAreRefusedBeforeTheFileIsMade) {
  SimDisk disk;
  const auto refused = [&](const FileIdentity& identity, const BlockOptions& options) {
    expect_error([&] { BlockFileWriter(disk, "f", identity, options); }, ErrorCode::InvalidArgument, "");
    EXPECT_FALSE(disk.exists("f"));
  };
  refused(kIdentity, {63, 0});
  refused(kIdentity, {(4u << 20) + 1, 0});
  refused(kIdentity, {64, 20});
  refused(kIdentity, {64, -1});
  FileIdentity none = kIdentity;
  none.shard = none.shards;
  refused(none, {});
}

}  // namespace
}  // namespace azoth::backup::test
