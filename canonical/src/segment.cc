#include "segment.h"

#include <cstring>

#include "azoth/core/codec.h"
#include "azoth/core/digest.h"

namespace azoth {

namespace {

constexpr std::uint64_t kSegmentMagic = 0x4c4e524a48545a41;  // "AZTHJRNL"
constexpr std::uint32_t kBatchMagic = 0x42415a41;            // "AZAB"
constexpr std::uint32_t kJournalFormat = 1;
constexpr std::size_t kSegmentHeaderUsed = 92;
constexpr std::size_t kNumberDigits = 16;
constexpr std::size_t kHeaderCheckAt = 56;  // in a batch: the check of what lies between it and the checksum

// Behind what every header has: the size of the file, and a checksum of that. Zeros in files from before it was noted.
std::uint64_t noted_file_bytes(std::string_view behind, std::uint64_t seed) {
  codec::Reader reader(behind);
  const std::string_view noted = behind.substr(0, sizeof(std::uint64_t));
  const auto bytes = reader.read<std::uint64_t>();
  return reader.read<std::uint64_t>() == checksum64(noted, seed) && !reader.failed() ? bytes : 0;
}

std::uint64_t header_check(std::string_view batch, std::uint64_t seed) {
  return checksum64(batch.substr(8, kHeaderCheckAt - 8), seed);
}

}  // namespace

std::string SegmentHeader::encode(const JournalIdentity& identity) {
  std::string bytes(8, '\0');  // the checksum
  codec::append(bytes, kSegmentMagic);
  codec::append(bytes, kJournalFormat);
  timeline = identity.timeline;
  bytes.append(identity.store_id.view()).append(timeline.view());
  codec::append(bytes, number);
  codec::append(bytes, first_commit);
  codec::append(bytes, previous_number);
  codec::append(bytes, previous_valid_bytes);
  codec::append(bytes, previous_checksum);
  checksum = checksum64(std::string_view(bytes).substr(8), number);
  codec::store(bytes.data(), checksum);
  codec::append(bytes, file_bytes);
  codec::append(bytes, checksum64(std::string_view(bytes).substr(kSegmentHeaderUsed), checksum));
  bytes.resize(kSegmentHeaderBytes);
  return bytes;
}

std::optional<SegmentHeader> SegmentHeader::decode(std::string_view bytes, const JournalIdentity& identity,
                                                   std::uint64_t number) {
  auto header = decode_of_any_timeline(bytes, identity.store_id, number);
  return header && header->timeline == identity.timeline ? header : std::nullopt;
}

std::optional<SegmentHeader> SegmentHeader::decode_of_any_timeline(std::string_view bytes, const Uuid& store_id,
                                                                   std::uint64_t number) {
  if (bytes.size() < kSegmentHeaderUsed) return std::nullopt;
  const std::string_view behind = bytes.substr(kSegmentHeaderUsed);
  bytes = bytes.substr(0, kSegmentHeaderUsed);
  codec::Reader reader(bytes);
  SegmentHeader header;
  header.checksum = reader.read<std::uint64_t>();
  if (header.checksum != checksum64(bytes.substr(8), number)) return std::nullopt;
  if (reader.read<std::uint64_t>() != kSegmentMagic || reader.read<std::uint32_t>() != kJournalFormat) {
    return std::nullopt;
  }
  if (reader.take(16) != store_id.view()) return std::nullopt;
  std::memcpy(header.timeline.bytes.data(), reader.take(16).data(), header.timeline.bytes.size());
  header.number = reader.read<std::uint64_t>();
  header.first_commit = reader.read<std::uint64_t>();
  header.previous_number = reader.read<std::uint64_t>();
  header.previous_valid_bytes = reader.read<std::uint64_t>();
  header.previous_checksum = reader.read<std::uint64_t>();
  header.file_bytes = noted_file_bytes(behind, header.checksum);
  if (header.number != number || header.previous_number >= number || header.first_commit == 0) return std::nullopt;
  return header;
}

void BatchHeader::encode(std::string& batch, std::uint64_t seed) {
  length = static_cast<std::uint32_t>(batch.size());
  char* at = batch.data();
  codec::store(at + 8, kBatchMagic);
  codec::store(at + 12, length);
  codec::store(at + 16, first_commit);
  codec::store(at + 24, last_commit);
  codec::store(at + 32, synced_through);
  codec::store(at + 40, lmdb_through);
  codec::store(at + 48, previous_checksum);
  codec::store(at + kHeaderCheckAt, header_check(batch, seed));
  checksum = checksum64(std::string_view(batch).substr(8), seed);
  codec::store(at, checksum);
}

std::optional<BatchHeader> BatchHeader::decode(std::string_view bytes, std::uint64_t room,
                                               std::uint64_t seed) {
  if (bytes.size() < kBatchHeaderBytes) return std::nullopt;
  codec::Reader reader(bytes);
  BatchHeader header;
  header.checksum = reader.read<std::uint64_t>();
  if (reader.read<std::uint32_t>() != kBatchMagic) return std::nullopt;
  header.length = reader.read<std::uint32_t>();
  header.first_commit = reader.read<std::uint64_t>();
  header.last_commit = reader.read<std::uint64_t>();
  header.synced_through = reader.read<std::uint64_t>();
  header.lmdb_through = reader.read<std::uint64_t>();
  header.previous_checksum = reader.read<std::uint64_t>();
  bool possible = header.length >= kBatchHeaderBytes && header.length <= room && header.first_commit != 0 &&
                  header.first_commit <= header.last_commit &&
                  reader.read<std::uint64_t>() == header_check(bytes, seed);
  return possible ? std::optional(header) : std::nullopt;
}

bool BatchHeader::checksum_matches(std::string_view batch, std::uint64_t seed) {
  return codec::load<std::uint64_t>(batch.data()) == checksum64(batch.substr(8), seed);
}

std::uint64_t batch_seed(const JournalIdentity& identity, std::uint64_t segment_number) {
  return checksum64(identity.timeline.view(), checksum64(identity.store_id.view(), segment_number));
}

std::string segment_name(std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < kNumberDigits) digits.insert(0, kNumberDigits - digits.size(), '0');
  return digits + ".seg";
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) {
  if (name.size() < kNumberDigits + 4 || !name.ends_with(".seg")) return std::nullopt;
  std::uint64_t number = 0;
  for (char digit : name.substr(0, name.size() - 4)) {
    if (digit < '0' || digit > '9' || number > (UINT64_MAX - 9) / 10) return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  return number != 0 && segment_name(number) == name ? std::optional(number) : std::nullopt;
}

}  // namespace azoth
