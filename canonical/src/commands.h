// Command ids in the store: one row in the Command space for each, written by the commit that it names.
//
//   u64 commit | u64 first event | i64 commit time (microseconds) | u32 events | u32 keys written | u32 keys deleted
//   | [32 bytes: BLAKE2b of the fingerprint]
//
// The numbers are known when the transaction is sequenced and not before: RecordBuilder::seal() fills them in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "azoth/canonical/command.h"
#include "azoth/canonical/commit.h"
#include "azoth/canonical/write_set.h"
#include "snapshot.h"

namespace azoth {

// Throws InvalidArgument.
void check_command(const Command& command);

// The key that a command is locked by, besides those of the state.
std::string command_lock(std::string_view id);

// Adds the row of a command.
void record_command(WriteSet& set, const Command& command);

// The commit that has done it, with already_applied. Throws CommandMismatch.
std::optional<CommitInfo> find_command(const Snapshot& snapshot, const Command& command);

// A walk over the recorded commands, piece by piece and round and round, that finds those that are too old.
class OldCommands {
 public:
  static constexpr std::size_t kRowsAtOnce = 2048;

  struct Found {
    std::string id;
    CommitSeq commit_seq;
  };
  // Of the next kRowsAtOnce rows, those of commits before `time`. Not thread-safe.
  std::vector<Found> next(const Snapshot& snapshot, Timestamp before);

 private:
  std::string after_;  // the last row that was looked at
};

}  // namespace azoth
