#include "block_file.h"

#include <sys/stat.h>

#include "allocations.h"
#include "azoth/core/codec.h"
#include "azoth/core/fault.h"
#include "support.h"
#include "support/seed.h"
#include "support/sim_disk.h"
#include "support/temp_dir.h"

namespace azoth::backup::test {
namespace {

using azoth::test::SimDisk;
using azoth::test::test_seed;

const FileIdentity kIdentity{.set_id = uuid_of(1), .ordinal = 7, .shard = 1, .shards = 3};

FileSummary write_file(FileSystem& fs, const std::filesystem::path& path, const std::vector<std::string>& records,
                       const BlockOptions& options) {
  BlockFileWriter writer(fs, path, kIdentity, options);
  write_records(writer, records);
  return writer.finish();
}

std::vector<std::string> read_back(FileSystem& fs, const std::filesystem::path& path,
                                   BlockFileReader::Options options) {
  BlockFileReader reader(fs, path, kIdentity, std::move(options));
  return read_records(reader);
}

std::vector<std::string> random_records(std::mt19937_64& random, std::size_t count, std::size_t largest) {
  std::vector<std::string> records(count);
  for (std::string& record : records) {
    record.resize(random() % (largest + 1));
    const bool repetitive = random() % 2 == 0;
    for (char& c : record) c = static_cast<char>(repetitive ? 'a' : random());
  }
  return records;
}

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

// --- damage ----------------------------------------------------------------------------------------------------------

struct Variant {
  const char* name;
  int level;
  bool encrypted;
};

class DamagedBlockFile : public testing::TestWithParam<Variant> {
 protected:
  DamagedBlockFile() {
    std::mt19937_64 random(5);
    summary_ = write_file(disk_, "f", random_records(random, 12, 60), {64, GetParam().level, key()});
    good_ = get_file(disk_, "f");
  }
  const Key* key() const { return GetParam().encrypted ? &key_ : nullptr; }

  // That reading finds it, with and without a manifest's word.
  void expect_found(const std::string& bytes, const std::string& what) {
    replace_file(disk_, "f", bytes);
    for (const bool with_manifest : {false, true}) {
      BlockFileReader::Options options{.key = key()};
      if (with_manifest) options.expected = summary_;
      expect_error([&] { read_back(disk_, "f", options); }, ErrorCode::Corruption, "f is damaged at byte", what);
    }
  }

  // Header, blocks, trailer.
  std::vector<std::string> pieces() const {
    std::vector<std::string> list{good_.substr(0, block_format::kFileHeaderBytes)};
    for (std::size_t at = list[0].size(); at < good_.size();) {
      const std::size_t size =
          block_format::kBlockHeaderBytes + block_format::decode_block_header(good_.data() + at).stored_bytes;
      list.push_back(good_.substr(at, size));
      at += size;
    }
    return list;
  }

  static std::string join(const std::vector<std::string>& pieces) {
    std::string all;
    for (const std::string& piece : pieces) all += piece;
    return all;
  }

  SimDisk disk_;
  Key key_ = Key::random();
  FileSummary summary_;
  std::string good_;
};

TEST_P(DamagedBlockFile, EveryFlippedBitOfEveryByteIsFound) {
  for (std::size_t at = 0; at < good_.size(); ++at) {
    for (const char flip : {'\x01', '\x80'}) {
      std::string bytes = good_;
      bytes[at] = static_cast<char>(bytes[at] ^ flip);
      expect_found(bytes, "byte " + std::to_string(at));
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
  }
}

TEST_P(DamagedBlockFile, EveryTruncationIsFound) {
  for (std::size_t size = 0; size < good_.size(); ++size) {
    expect_found(good_.substr(0, size), "cut to " + std::to_string(size));
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST_P(DamagedBlockFile, WhatFollowsTheTrailerIsFound) {
  expect_found(good_ + '\0', "one byte");
  expect_found(good_ + good_, "the file again");
  expect_found(good_ + pieces().back(), "another trailer");
  expect_found(good_ + std::string(4096, '\0'), "zeros");
}

TEST_P(DamagedBlockFile, RemovedDoubledAndReorderedBlocksAreFound) {
  const std::vector<std::string> good = pieces();
  ASSERT_GE(good.size(), 5u);
  ASSERT_EQ(join(good), good_);
  for (std::size_t i = 1; i < good.size(); ++i) {
    std::vector<std::string> removed = good;
    removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(i));
    expect_found(join(removed), "without block " + std::to_string(i));
    std::vector<std::string> doubled = good;
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), good[i]);
    expect_found(join(doubled), "block twice " + std::to_string(i));
    if (i + 1 == good.size() || good[i] == good[i + 1]) continue;
    std::vector<std::string> swapped = good;
    std::swap(swapped[i], swapped[i + 1]);
    expect_found(join(swapped), "swapped " + std::to_string(i));
  }
}

TEST_P(DamagedBlockFile, ZeroedPiecesAreFound) {
  for (std::size_t at = 0; at + 32 <= good_.size(); at += 32) {
    std::string bytes = good_;
    bytes.replace(at, 32, 32, '\0');
    if (bytes != good_) expect_found(bytes, "zeros at " + std::to_string(at));
  }
}

TEST_P(DamagedBlockFile, AFileOfAnotherPlaceIsFound) {
  std::vector<FileIdentity> others(6, kIdentity);
  others[0].set_id = uuid_of(2);
  others[1].ordinal = 8;
  others[2].type = SnapshotType::Diff;
  others[3].kind = FileKind::Events;
  others[4].shard = 2;
  others[5].shards = 4;
  for (const FileIdentity& other : others) {
    expect_error([&] { BlockFileReader(disk_, "f", other, {.key = key()}); }, ErrorCode::Corruption,
                 "in the place of " + describe(other));
  }
}

TEST_P(DamagedBlockFile, ABlockOfAnotherFileIsFound) {
  FileIdentity identity = kIdentity;
  identity.shard = 2;
  BlockFileWriter writer(disk_, "other", identity, {64, GetParam().level, key()});
  std::mt19937_64 random(5);
  write_records(writer, random_records(random, 12, 60));  // the same records
  writer.finish();
  std::vector<std::string> mixed = pieces();
  const std::string other = get_file(disk_, "other");
  mixed[1] = other.substr(block_format::kFileHeaderBytes, mixed[1].size());
  expect_found(join(mixed), "the first block of another shard");
  expect_found(pieces()[0] + other.substr(block_format::kFileHeaderBytes), "all blocks of another shard");
}

TEST_P(DamagedBlockFile, AnotherFileOfTheSameIdentityIsNotTheManifests) {
  SimDisk disk;
  write_file(disk, "f", {"other"}, {64, GetParam().level, key()});
  expect_error([&] { read_back(disk, "f", {.key = key(), .expected = summary_}); }, ErrorCode::Corruption,
               "its manifest says");
  FileSummary same_size = summary_;
  same_size.hash[0] = same_size.hash[0] == '0' ? '1' : '0';
  expect_error([&] { read_back(disk_, "f", {.key = key(), .expected = same_size}); }, ErrorCode::Corruption,
               "not the one that its manifest names");
}

TEST_P(DamagedBlockFile, NothingIsReadAfterAnError) {
  std::string bytes = good_;
  bytes[bytes.size() - 30] = static_cast<char>(bytes[bytes.size() - 30] ^ 1);
  replace_file(disk_, "f", bytes);
  BlockFileReader reader(disk_, "f", kIdentity, {.key = key()});
  expect_error([&] { read_records(reader); }, ErrorCode::Corruption, "damaged");
  expect_error([&] { reader.next(); }, ErrorCode::InvalidArgument, "nothing more is read");
}

INSTANTIATE_TEST_SUITE_P(All, DamagedBlockFile,
                         testing::Values(Variant{"Plain", 0, false}, Variant{"Compressed", 3, false},
                                         Variant{"Encrypted", 0, true}, Variant{"CompressedAndEncrypted", 3, true}),
                         [](const auto& info) { return info.param.name; });

// --- keys ------------------------------------------------------------------------------------------------------------

TEST(BlockFileKeys, AWrongOrMissingKeyIsSaidAndNoCorruption) {
  SimDisk disk;
  const Key key = Key::random();
  const Key other = Key::random();
  write_file(disk, "f", {"a"}, {64, 0, &key});
  expect_error([&] { read_back(disk, "f", {.key = &other}); }, ErrorCode::InvalidArgument, other.id());
  expect_error([&] { read_back(disk, "f", {}); }, ErrorCode::InvalidArgument, "give the key file with key " + key.id());
}

TEST(BlockFileKeys, APlainFileInAnEncryptedSetIsRefused) {
  SimDisk disk;
  const Key key = Key::random();
  write_file(disk, "f", {"a"}, {64, 0, nullptr});
  expect_error([&] { read_back(disk, "f", {.key = &key}); }, ErrorCode::Corruption, "is not encrypted, but its set is");
}

// Whoever can write the file but lacks the key can make checksums match, and no more.
TEST(BlockFileKeys, ForgedBlocksWithRightChecksumsAreFound) {
  SimDisk disk;
  const Key key = Key::random();
  write_file(disk, "f", {"some content"}, {64, 0, &key});
  const std::string good = get_file(disk, "f");
  const std::size_t begin = block_format::kFileHeaderBytes;
  const std::size_t size =
      block_format::kBlockHeaderBytes + block_format::decode_block_header(good.data() + begin).stored_bytes;
  for (std::size_t at = block_format::kBlockHeaderBytes; at < size; ++at) {
    std::string block = good.substr(begin, size);
    block[at] = static_cast<char>(block[at] ^ 1);
    codec::store(block.data(), block_format::block_checksum(block_format::file_seed(good), 0, block));
    replace_file(disk, "f", good.substr(0, begin) + block + good.substr(begin + size));
    expect_error([&] { read_back(disk, "f", {.key = &key}); }, ErrorCode::Corruption, "changed on purpose");
  }
}

// --- hostile files ---------------------------------------------------------------------------------------------------

// Writes blocks that no writer writes, with checksums that match.
class Forger {
 public:
  explicit Forger(std::uint32_t block_bytes = 64, bool compressed = true) {
    header_.identity = kIdentity;
    header_.compressed = compressed;
    header_.block_bytes = block_bytes;
    bytes_ = encode(header_);
    seed_ = block_format::file_seed(bytes_);
  }

  Forger& block(block_format::BlockHeader header, std::string_view stored) {
    std::string block(block_format::kBlockHeaderBytes, '\0');
    block_format::encode(header, block.data());
    block += stored;
    codec::store(block.data(), block_format::block_checksum(seed_, index_++, block));
    bytes_ += block;
    return *this;
  }
  Forger& data(std::string_view raw) {
    const auto size = static_cast<std::uint32_t>(raw.size());
    return block({.flags = 0, .raw_bytes = size, .stored_bytes = size}, raw);
  }
  Forger& trailer(block_format::Trailer counts) {
    const std::string raw = block_format::encode(counts);
    const auto size = static_cast<std::uint32_t>(raw.size());
    return block({.flags = block_format::kLast, .raw_bytes = size, .stored_bytes = size}, raw);
  }

  // That it is refused, and that nothing is allocated that a file of such blocks does not need.
  void expect_refused(const std::string& part, std::size_t memory = 100'000) {
    SimDisk disk;
    put_file(disk, "f", bytes_);
    Allocations counted;
    const auto error = error_of([&] { read_back(disk, "f", {}); });
    EXPECT_LT(counted.largest(), memory);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::Corruption);
    EXPECT_THAT(std::string(error->what()), testing::HasSubstr(part));
  }

  const std::string& bytes() const { return bytes_; }

 private:
  block_format::FileHeader header_;
  std::string bytes_;
  std::uint64_t seed_ = 0;
  std::uint64_t index_ = 0;
};

std::string record(std::string_view content) {
  std::string bytes;
  codec::append(bytes, static_cast<std::uint32_t>(content.size()));
  return bytes += content;
}

TEST(HostileBlockFile, TheForgerCanForgeAValidFile) {
  SimDisk disk;
  put_file(disk, "f", Forger().data(record("a")).trailer({.blocks = 1, .records = 1, .raw_bytes = 5}).bytes());
  EXPECT_THAT(read_back(disk, "f", {}), testing::ElementsAre("a"));
}

TEST(HostileBlockFile, HugeSizesAreRefusedBeforeAnythingIsAllocated) {
  const std::string some(64, 'x');
  for (const std::uint32_t huge : {65u, 0x10000000u, 0x7fffffffu, 0xffffffffu}) {
    Forger().block({.flags = 0, .raw_bytes = huge, .stored_bytes = huge}, some).expect_refused("no writer writes");
    Forger().block({.flags = 0, .raw_bytes = 64, .stored_bytes = huge}, some).expect_refused("no writer writes");
    Forger().block({.flags = 1, .raw_bytes = huge, .stored_bytes = 64}, some).expect_refused("no writer writes");
    Forger().block({.flags = 1, .raw_bytes = 64, .stored_bytes = huge}, some).expect_refused("no writer writes");
  }
  Forger().block({.flags = 0, .raw_bytes = 0, .stored_bytes = 0}, "").expect_refused("no writer writes");
  Forger().block({.flags = 4, .raw_bytes = 64, .stored_bytes = 64}, some).expect_refused("no writer writes");
  Forger(64, false).block({.flags = 1, .raw_bytes = 64, .stored_bytes = 10}, some).expect_refused("no writer writes");
}

TEST(HostileBlockFile, HugeRecordsAreRefusedBeforeAnythingIsAllocated) {
  for (const std::uint32_t size : {0x20000001u, 0xffffffffu}) {
    std::string raw;
    codec::append(raw, size);
    Forger().data(raw + "abc").expect_refused("more than the limit");
  }
  std::string raw;  // a permitted size, but nothing behind it
  codec::append(raw, std::uint32_t{400u << 20});
  raw.resize(64, 'x');
  Forger().data(raw).trailer({.blocks = 1, .records = 1, .raw_bytes = 64}).expect_refused("end within a record");
  Forger().data(raw).expect_refused("without a trailer");
}

TEST(HostileBlockFile, ABlockThatDecompressesToMoreOrLessThanItSaysIsRefused) {
  for (const std::size_t real : {std::size_t{63}, std::size_t{65}, std::size_t{50} << 20}) {
    Compressor compressor(19);
    const std::string bomb(compressor.compress(std::string(real, 'a')));
    ASSERT_FALSE(bomb.empty());
    Forger forger(4096);
    forger.block({.flags = 1, .raw_bytes = 4000, .stored_bytes = static_cast<std::uint32_t>(bomb.size())}, bomb);
    forger.expect_refused(bomb.size() < 4000 ? "does not decompress to its size" : "no writer writes");
  }
  Forger(4096)
      .block({.flags = 1, .raw_bytes = 4000, .stored_bytes = 100}, std::string(100, 'x'))
      .expect_refused("does not decompress");
}

TEST(HostileBlockFile, WrongCountsAndMisplacedBlocksAreRefused) {
  Forger().data(record("a")).trailer({.blocks = 2, .records = 1, .raw_bytes = 5}).expect_refused("trailer counts");
  Forger().data(record("a")).trailer({.blocks = 1, .records = 2, .raw_bytes = 5}).expect_refused("trailer counts");
  Forger().data(record("a")).trailer({.blocks = 1, .records = 1, .raw_bytes = 6}).expect_refused("trailer counts");
  Forger()
      .data(record("a"))
      .data(record("b"))
      .expect_refused("no writer writes");  // a short block that is not the last
  Forger().data(record("a").substr(0, 4)).trailer({.blocks = 1, .records = 1, .raw_bytes = 4}).expect_refused("");
}

TEST(HostileBlockFile, UnknownVersionsAndImpossibleHeadersAreRefused) {
  SimDisk disk;
  write_file(disk, "f", {"a"}, {});
  const std::string good = get_file(disk, "f");
  const auto with = [&](std::size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    codec::store(bytes.data() + 88, checksum64(std::string_view(bytes).substr(0, 88)));
    replace_file(disk, "f", bytes);
  };
  with(8, 2);
  expect_error([&] { read_back(disk, "f", {}); }, ErrorCode::UnsupportedFormat, "format version 2");
  for (const std::size_t at : {12u, 13u, 14u, 15u}) {  // type, kind, compressed, encrypted
    with(at, 9);
    expect_error([&] { read_back(disk, "f", {}); }, ErrorCode::Corruption, "no writer writes");
  }
  with(48 + 3, 1);  // blocks of 16 MiB and more
  expect_error([&] { read_back(disk, "f", {}); }, ErrorCode::Corruption, "no writer writes");
  with(52, 1);
  expect_error([&] { read_back(disk, "f", {}); }, ErrorCode::Corruption, "no writer writes");
  with(60, 1);
  expect_error([&] { read_back(disk, "f", {}); }, ErrorCode::Corruption, "is not encrypted");
}

TEST(HostileBlockFile, LinksPipesAndDirectoriesAreNotOpened) {
  const azoth::test::TempDir dir;
  FileSystem& fs = FileSystem::posix();
  write_file(fs, dir.path() / "real", {"a"}, {});
  std::filesystem::create_symlink("real", dir.path() / "link");
  ASSERT_EQ(mkfifo((dir.path() / "pipe").c_str(), 0600), 0);
  std::filesystem::create_directory(dir.path() / "directory");
  expect_error([&] { read_back(fs, dir.path() / "link", {}); }, ErrorCode::Io, "symbolic links are not followed");
  expect_error([&] { read_back(fs, dir.path() / "pipe", {}); }, ErrorCode::Io, "not a regular file");
  expect_error([&] { read_back(fs, dir.path() / "directory", {}); }, ErrorCode::Io, "not a regular file");
  expect_error([&] { write_file(fs, dir.path() / "link", {}, {}); }, ErrorCode::AlreadyExists, "link");
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
