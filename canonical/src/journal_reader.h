// The reading side of the journal: batches one by one, each checked whole before it is believed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "azoth/core/file.h"
#include "segment.h"

namespace azoth {

class SegmentReader {
 public:
  SegmentReader(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                std::uint64_t number);

  std::uint64_t number() const { return number_; }
  std::uint64_t bytes() const { return bytes_; }
  std::filesystem::path path() const { return path_; }

  // The batch at this offset, if its checksum says it is one; batch() is then valid until the next call.
  std::optional<BatchHeader> read(std::uint64_t offset);
  void sync() { file_->sync_data(); }
  std::string_view records() const { return std::string_view(buffer_).substr(kBatchHeaderBytes); }

  // The first valid batch on a 64-byte boundary at or behind `offset`, and where it is.
  struct Found {
    std::uint64_t offset;
    BatchHeader header;
  };
  std::optional<Found> search(std::uint64_t offset);

 private:
  bool fill_window(std::uint64_t offset);

  std::uint64_t number_;
  std::filesystem::path path_;
  std::uint64_t seed_;
  std::unique_ptr<File> file_;
  std::uint64_t bytes_;
  std::string buffer_;           // the batch read last
  std::string window_;           // what search() looks through
  std::uint64_t window_at_ = 0;
};

// Calls `each` for every record in the records of a batch. Throws Corruption if they are not whole records.
void for_each_record(std::string_view records, const std::function<void(std::string_view)>& each);

}  // namespace azoth
