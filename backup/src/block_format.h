// The bytes of a snapshot file (docs/format.md, "Snapshot files"), but not its records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "azoth/backup/manifest.h"
#include "azoth/core/error.h"
#include "crypto.h"

namespace azoth::backup {

// Which file of which snapshot of which set. Part of the header, of every block's checksum, and of the file's key.
struct FileIdentity {
  Uuid set_id;
  std::uint64_t ordinal = 0;
  SnapshotType type = SnapshotType::Full;
  FileKind kind = FileKind::State;
  std::uint32_t shard = 0;
  std::uint32_t shards = 1;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

std::string describe(const FileIdentity& identity);  // for messages
std::string file_name(const FileIdentity& identity);

namespace block_format {

inline constexpr std::size_t kFileHeaderBytes = 96;
inline constexpr std::size_t kBlockHeaderBytes = 24;
inline constexpr std::size_t kTrailerBytes = 24;
inline constexpr std::uint32_t kMinBlockBytes = 64;
inline constexpr std::uint32_t kMaxBlockBytes = std::uint32_t{4} << 20;
inline constexpr std::uint32_t kVersion = 1;

inline constexpr std::uint32_t kCompressed = 1;  // flags of a block
inline constexpr std::uint32_t kLast = 2;        // the trailer

struct FileHeader {
  FileIdentity identity;
  bool compressed = false;
  std::uint32_t block_bytes = 0;
  std::string stream_header;  // of an encrypted file; else empty
  std::string key_id;         // hexadecimal; else empty

  bool encrypted() const { return !key_id.empty(); }
};

struct BlockHeader {
  std::uint64_t checksum = 0;
  std::uint32_t flags = 0;
  std::uint32_t raw_bytes = 0;
  std::uint32_t stored_bytes = 0;
};

struct Trailer {
  std::uint64_t blocks = 0;
  std::uint64_t records = 0;
  std::uint64_t raw_bytes = 0;
};

std::string encode(const FileHeader& header);
// Throws Corruption or UnsupportedFormat, naming the path.
FileHeader decode_file_header(std::string_view bytes, const std::filesystem::path& path);

// The header of a block, its checksum still zero.
void encode(const BlockHeader& header, char* to);
BlockHeader decode_block_header(const char* from);

// The key of one file: another file's blocks do not decrypt with it.
void file_key(const Key& key, const FileHeader& header, Secret& to);
// What the checksums of a file's blocks begin with, given its encoded header.
std::uint64_t file_seed(std::string_view file_header);
// `block` is the header and what is stored behind it; the checksum field itself does not count.
std::uint64_t block_checksum(std::uint64_t file_seed, std::uint64_t index, std::string_view block);
// A fold of block checksums with one more.
std::uint64_t fold_in(std::uint64_t fold, std::uint64_t block_checksum);
// Authenticated with each block: its header without the checksum, and its index.
std::string associated_data(const char* block_header, std::uint64_t index);

std::string encode(const Trailer& trailer);
Trailer decode_trailer(std::string_view bytes);

[[noreturn]] void damaged(const std::filesystem::path& path, std::uint64_t offset, const std::string& why);

}  // namespace block_format
}  // namespace azoth::backup
