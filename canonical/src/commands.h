// Command ids in the store: one row in the Command space for each, written by the commit that it names.
//
//   u64 commit | u64 first event | i64 commit time (microseconds) | u32 events | u32 keys written | u32 keys deleted
//   | [32 bytes: BLAKE2b of the fingerprint]
//
// The numbers are known when the transaction is sequenced and not before: RecordBuilder::seal() fills them in.
#pragma once

#include <optional>
#include <string>
#include <string_view>
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

// What the row of a command says. Throws Corruption if it cannot be decoded.
CommitInfo decode_command(std::string_view id, std::string_view row);

// Adds the row of a command.
void record_command(WriteSet& set, const Command& command);

// The commit that has done it, with already_applied. Throws CommandMismatch.
std::optional<CommitInfo> find_command(const Snapshot& snapshot, const Command& command);

// A walk over the recorded commands, piece by piece and round and round, that finds those that are too old. It looks at
// two rows for each command that is carried out, whether the store stays open for a million of them or for three: a life
// of the store begins the walk where its own commands are, and the count to the first piece at random. Not thread-safe.
class OldCommands {
 public:
  static constexpr std::size_t kRowsAtOnce = 256;

  OldCommands();

  struct Found {
    std::string id;
    CommitSeq commit_seq;
  };
  // To be asked for each command that is carried out: whether it is time to look at the next piece.
  bool due();
  // Of the next kRowsAtOnce rows, those of commits before `time`. The walk begins behind the row of `first`.
  std::vector<Found> next(const Snapshot& snapshot, Timestamp before, std::string_view first);

 private:
  std::size_t commands_;              // since the last piece
  std::optional<std::string> after_;  // the last row that was looked at
};

}  // namespace azoth
