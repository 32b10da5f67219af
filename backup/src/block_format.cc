#include "block_format.h"

#include <cstdio>

#include "azoth/core/codec.h"
#include "azoth/core/digest.h"

namespace azoth::backup {

std::string_view type_name(SnapshotType type) { return type == SnapshotType::Full ? "full" : "diff"; }

std::string_view kind_name(FileKind kind) {
  switch (kind) {
    case FileKind::State:
      return "state";
    case FileKind::Events:
      return "events";
    case FileKind::System:
      return "system";
    case FileKind::Commits:
      return "commits";
    case FileKind::Projections:
      return "projections";
  }
  return "unknown";
}

std::string describe(const FileIdentity& identity) {
  return std::string(type_name(identity.type)) + " snapshot " + std::to_string(identity.ordinal) + " of set " +
         identity.set_id.text() + ", " + std::string(kind_name(identity.kind)) + " shard " +
         std::to_string(identity.shard) + " of " + std::to_string(identity.shards);
}

std::string file_name(const FileIdentity& identity) {
  char ordinal[24];
  std::snprintf(ordinal, sizeof ordinal, "%020llu", static_cast<unsigned long long>(identity.ordinal));
  return std::string("snapshot_") + ordinal + "_" + std::string(type_name(identity.type)) + "_" +
         std::string(kind_name(identity.kind)) + "_" + std::to_string(identity.shard) + "-of-" +
         std::to_string(identity.shards) + ".azs";
}

namespace block_format {
namespace {

constexpr std::string_view kMagic = "AZTHSNAP";
constexpr std::size_t kKeyIdBytes = 8;
constexpr std::size_t kIdentityBytes = 56;  // of the header, before the stream's
constexpr std::size_t kSummedBytes = kFileHeaderBytes - 8;

std::string identity_bytes(const FileHeader& header) {
  std::string bytes(kMagic);
  codec::append(bytes, kVersion);
  bytes += static_cast<char>(header.identity.type);
  bytes += static_cast<char>(header.identity.kind);
  bytes += header.compressed ? '\1' : '\0';
  bytes += header.encrypted() ? '\1' : '\0';
  bytes += header.identity.set_id.view();
  codec::append(bytes, header.identity.ordinal);
  codec::append(bytes, header.identity.shard);
  codec::append(bytes, header.identity.shards);
  codec::append(bytes, header.block_bytes);
  codec::append(bytes, std::uint32_t{0});
  return bytes;
}

bool known(const FileHeader& header, std::uint8_t compressed, std::uint8_t encrypted, std::uint32_t reserved) {
  const auto type = static_cast<std::uint8_t>(header.identity.type);
  const auto kind = static_cast<std::uint8_t>(header.identity.kind);
  return type >= 1 && type <= 2 && kind >= 1 && kind <= kFileKinds.size() && compressed <= 1 && encrypted <= 1 &&
         reserved == 0 && header.identity.shard < header.identity.shards && header.block_bytes >= kMinBlockBytes &&
         header.block_bytes <= kMaxBlockBytes;
}

}  // namespace

void damaged(const std::filesystem::path& path, std::uint64_t offset, const std::string& why) {
  throw Error(ErrorCode::Corruption, path.native() + " is damaged at byte " + std::to_string(offset) + ": " + why +
                                         "; use another copy of this snapshot, or an older one");
}

std::string encode(const FileHeader& header) {
  std::string bytes = identity_bytes(header);
  bytes += header.encrypted() ? header.stream_header : std::string(kStreamHeaderBytes, '\0');
  bytes += header.encrypted() ? from_hex(header.key_id).value() : std::string(kKeyIdBytes, '\0');
  codec::append(bytes, checksum64(bytes));
  return bytes;
}

FileHeader decode_file_header(std::string_view bytes, const std::filesystem::path& path) {
  if (bytes.size() < kFileHeaderBytes) damaged(path, bytes.size(), "it ends within its header");
  if (!bytes.starts_with(kMagic)) damaged(path, 0, "it does not begin like a snapshot file");
  if (checksum64(bytes.substr(0, kSummedBytes)) != codec::load<std::uint64_t>(bytes.data() + kSummedBytes)) {
    damaged(path, 0, "the checksum of its header does not match");
  }
  codec::Reader in(bytes.substr(kMagic.size()));
  if (const auto version = in.read<std::uint32_t>(); version != kVersion) {
    throw Error(ErrorCode::UnsupportedFormat, path.native() + " has format version " + std::to_string(version) +
                                                  ", this program reads version " + std::to_string(kVersion) +
                                                  "; use the program that wrote it, or a newer one");
  }
  FileHeader header;
  header.identity.type = static_cast<SnapshotType>(in.read<std::uint8_t>());
  header.identity.kind = static_cast<FileKind>(in.read<std::uint8_t>());
  const auto compressed = in.read<std::uint8_t>();
  const auto encrypted = in.read<std::uint8_t>();
  in.take(16).copy(reinterpret_cast<char*>(header.identity.set_id.bytes.data()), 16);
  header.identity.ordinal = in.read<std::uint64_t>();
  header.identity.shard = in.read<std::uint32_t>();
  header.identity.shards = in.read<std::uint32_t>();
  header.block_bytes = in.read<std::uint32_t>();
  const auto reserved = in.read<std::uint32_t>();
  if (!known(header, compressed, encrypted, reserved)) damaged(path, 8, "its header has values that no writer writes");
  header.compressed = compressed == 1;
  if (encrypted == 1) {
    header.stream_header = in.take(kStreamHeaderBytes);
    header.key_id = to_hex(in.take(kKeyIdBytes));
  } else if (in.take(kStreamHeaderBytes + kKeyIdBytes).find_first_not_of('\0') != std::string_view::npos) {
    damaged(path, kIdentityBytes, "it has the header of an encrypted file, but is not encrypted");
  }
  return header;
}

void encode(const BlockHeader& header, char* to) {
  codec::store(to, header.checksum);
  codec::store(to + 8, header.flags);
  codec::store(to + 12, header.raw_bytes);
  codec::store(to + 16, header.stored_bytes);
  codec::store(to + 20, std::uint32_t{0});
}

BlockHeader decode_block_header(const char* from) {
  return {.checksum = codec::load<std::uint64_t>(from),
          .flags = codec::load<std::uint32_t>(from + 8),
          .raw_bytes = codec::load<std::uint32_t>(from + 12),
          .stored_bytes = codec::load<std::uint32_t>(from + 16)};
}

void file_key(const Key& key, const FileHeader& header, Secret& to) {
  derive(key, "azoth backup file", identity_bytes(header), to);
}

std::uint64_t file_seed(std::string_view file_header) {
  return codec::load<std::uint64_t>(file_header.data() + kSummedBytes);
}

std::uint64_t block_checksum(std::uint64_t seed, std::uint64_t index, std::string_view block) {
  char number[sizeof index];
  codec::store(number, index);
  return checksum64(block.substr(8), checksum64(std::string_view(number, sizeof number), seed));
}

std::uint64_t fold_in(std::uint64_t fold, std::uint64_t block_checksum) {
  char bytes[sizeof block_checksum];
  codec::store(bytes, block_checksum);
  return checksum64({bytes, sizeof bytes}, fold);
}

std::string associated_data(const char* block_header, std::uint64_t index) {
  std::string data(block_header + 8, kBlockHeaderBytes - 8);
  codec::append(data, index);
  return data;
}

std::string encode(const Trailer& trailer) {
  std::string bytes;
  codec::append(bytes, trailer.blocks);
  codec::append(bytes, trailer.records);
  codec::append(bytes, trailer.raw_bytes);
  return bytes;
}

Trailer decode_trailer(std::string_view bytes) {
  codec::Reader in(bytes);
  Trailer trailer;
  trailer.blocks = in.read<std::uint64_t>();
  trailer.records = in.read<std::uint64_t>();
  trailer.raw_bytes = in.read<std::uint64_t>();
  return trailer;
}

}  // namespace block_format
}  // namespace azoth::backup
