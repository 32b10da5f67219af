// What the files of a snapshot hold, taken apart: each record checked as far as it can be by itself.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "azoth/backup/snapshot_set.h"
#include "azoth/canonical/commit_record.h"
#include "azoth/core/event.h"

namespace azoth::backup {

struct ReadingOptions {
  SnapshotSet::Reads reads = SnapshotSet::Reads::Hashed;
  // How much of the files has been read since the last call; on a thread that reads ahead.
  std::function<void(std::uint64_t)> on_bytes = {};
  // Each record, on that thread: for what would hold up whoever takes them.
  std::function<void(std::string_view)> on_record = {};
};

// Of a full, each in the order in which they were written. They throw Corruption for what is damaged.
void for_each_row(const SnapshotSet& set, const Manifest& full, const ReadingOptions& options,
                  const std::function<void(std::string_view key, std::string_view value)>& each);
void for_each_event(const SnapshotSet& set, const Manifest& full, const ReadingOptions& options,
                    const std::function<void(const EventView&)>& each);
void for_each_own_row(
    const SnapshotSet& set, const Manifest& full, const ReadingOptions& options,
    const std::function<void(std::uint8_t space, std::string_view key, std::string_view value)>& each);

// Of a diff: whole records, which follow each other without a gap; until `each` answers false.
void for_each_commit(const SnapshotSet& set, const Manifest& diff, const ReadingOptions& options,
                     const std::function<bool(const CommitFacts& commit, std::string record)>& each);

}  // namespace azoth::backup
