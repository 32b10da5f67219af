// Snapshot files that were made to do harm.
#include <sys/stat.h>

#include "allocations.h"
#include "azoth/core/codec.h"
#include "block_support.h"
#include "support/sim_disk.h"
#include "support/temp_dir.h"

namespace azoth::backup::test {
namespace {

using azoth::test::SimDisk;

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

}  // namespace
}  // namespace azoth::backup::test
