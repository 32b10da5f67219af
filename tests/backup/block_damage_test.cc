// Snapshot files that are damaged, mixed up or of another key.
#include "azoth/core/codec.h"
#include "block_support.h"
#include "support/sim_disk.h"

namespace azoth::backup::test {
namespace {

using azoth::test::SimDisk;

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
                         [](const auto& variant) { return variant.param.name; });

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

}  // namespace
}  // namespace azoth::backup::test
