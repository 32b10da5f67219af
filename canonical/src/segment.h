// Segment files and the batches in them: how the journal looks on disk (docs/format.md, "Journal").
//
// A segment is a file journal/NUMBER.seg of zeros into which batches are written one after the other, each starting on
// a 64-byte boundary. Its header is written, and synced, before its first batch; a file whose header does not carry the
// file's own number is a spare. Each batch carries the checksum of the batch before it (the first one: of its segment's
// header), and its own checksum is seeded with store, timeline and segment number. So bytes that another store, another
// timeline, an earlier life of the file or a lost write left behind never pass for a batch of this chain.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "azoth/core/bytes.h"
#include "azoth/core/file.h"
#include "azoth/core/ids.h"
#include "azoth/core/timeline.h"

namespace azoth {

inline constexpr std::uint64_t kSegmentHeaderBytes = 4096;
inline constexpr std::uint64_t kBatchAlignment = 64;
inline constexpr std::uint64_t kBatchHeaderBytes = 64;

constexpr std::uint64_t align_batch(std::uint64_t bytes) {
  return (bytes + kBatchAlignment - 1) / kBatchAlignment * kBatchAlignment;
}

// Which store's journal: what every header and every checksum is bound to.
struct JournalIdentity {
  Uuid store_id;
  Uuid timeline;
  // To tell what is done with from the segments of a stranger: its ancestors, and with which segment it began.
  Lineage lineage{};
  std::uint64_t first_segment = 0;
};

struct SegmentHeader {
  std::uint64_t number = 0;
  CommitSeq first_commit = 0;              // the commit its first batch begins with
  std::uint64_t previous_number = 0;       // the segment before it; 0 if none
  std::uint64_t previous_valid_bytes = 0;  // where that one ends; bytes behind it are dead for ever
  std::uint64_t previous_checksum = 0;     // of its last batch (of its header if it has none)
  std::uint64_t file_bytes = 0;            // of the segment, which was allocated whole; 0 if that is not known
  std::uint64_t checksum = 0;              // of this header; the link of the first batch
  Uuid timeline{};                         // set by encode() and decode()

  // kSegmentHeaderBytes of them, with the checksum filled in.
  std::string encode(const JournalIdentity& identity);
  // Nothing if these are not a header of this store, timeline and number.
  static std::optional<SegmentHeader> decode(std::string_view bytes, const JournalIdentity& identity,
                                             std::uint64_t number);
  // The same, of any timeline.
  static std::optional<SegmentHeader> decode_of_any_timeline(std::string_view bytes, const Uuid& store_id,
                                                             std::uint64_t number);
};

struct BatchHeader {
  std::uint64_t checksum = 0;        // of everything behind it, seeded
  std::uint32_t length = 0;          // header and records, without the padding
  CommitSeq first_commit = 0;
  CommitSeq last_commit = 0;
  CommitSeq synced_through = 0;      // every commit up to here was durable when this was written
  CommitSeq lmdb_through = 0;        // and up to here in LMDB, synced
  std::uint64_t previous_checksum = 0;

  // Writes the first kBatchHeaderBytes of `batch` (whose rest is the records) and sets length and checksum.
  void encode(std::string& batch, std::uint64_t seed);
  // Whether this is the header of a batch that ends by `room`, by the check that the header carries of itself; what
  // follows it needs checksum_matches. So a search reads only what was once written as a batch of this segment, and
  // values that look like batches cost it nothing.
  static std::optional<BatchHeader> decode(std::string_view bytes, std::uint64_t room, std::uint64_t seed);
  static bool checksum_matches(std::string_view batch, std::uint64_t seed);
};

std::uint64_t batch_seed(const JournalIdentity& identity, std::uint64_t segment_number);

std::string segment_name(std::uint64_t number);                                 // "0000000000000007.seg"
std::optional<std::uint64_t> parse_segment_name(std::string_view name);

}  // namespace azoth
