// Reading the journal while another process writes it.
//
// Follows the chain batch by batch, as recovery does, but never concludes anything from a batch that is not there yet:
// the writer may be in the middle of it. What it hands on it has synced itself before, so that nothing is ever shown
// that a power cut could take back. When the journal does not hold what was to be read next (the writer has recycled
// it, or it is a bulk transaction), that is said, and the caller starts again from what LMDB holds by then.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "journal.h"
#include "journal_reader.h"

namespace azoth {

class JournalFollower {
 public:
  using EachRecord = std::function<void(std::string_view record)>;

  JournalFollower(FileSystem& fs, std::filesystem::path directory, const JournalIdentity& identity)
      : fs_(&fs), directory_(std::move(directory)), identity_(identity) {}

  // Begins behind LMDB's commit, and hands on everything above it. Throws Corruption if the chain cannot be followed,
  // which beside a writer may only mean that it has moved on.
  void start(CommitSeq lmdb_commit, const EachRecord& each);

  // Hands on what came since, up to this call at least. False: the place was recycled, or a bulk transaction came,
  // which only LMDB holds; start again.
  bool advance(const EachRecord& each);

 private:
  bool read_batches(std::vector<std::string>& batches);
  enum class Next { Nothing, Segment, Lost };
  // `newest`: the last segment that there was at the first of several looks, which notes it.
  Next next_segment(std::optional<std::uint64_t>& newest);

  FileSystem* fs_;
  std::filesystem::path directory_;
  JournalIdentity identity_;
  JournalTail tail_;
  std::unique_ptr<SegmentReader> segment_;
};

}  // namespace azoth
