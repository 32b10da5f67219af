// Restoring: a new store out of a snapshot set, at its newest commit or at any before it that a chain leads to.
//
// Everything that is to be used is verified first: the chain's lineage, every hash, every checksum, every count. The
// store is built in a scratch directory beside the target, compared with what the manifests say of it, synced, and
// renamed into place. So a restore that fails, whenever it does, leaves no target, and at most a scratch directory
// (.NAME.restore-HEX), which the next one removes. The set is only read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "azoth/backup/backup.h"
#include "azoth/backup/key_file.h"
#include "azoth/backup/snapshot_set.h"
#include "azoth/canonical/options.h"

namespace azoth::backup {

struct RestoreOptions {
  RestoreTarget target = {};
  bool sealed = false;  // the restored store is sealed at its last event
  // Each named sequence skips so many numbers, as if they had been handed out; those, too, that only later snapshots
  // have.
  std::uint64_t advance_sequences = 0;
  bool projections = true;  // bring back the tables that the snapshot has; else they are built anew
  const Key* key = nullptr;
  unsigned threads = 2;
  Options store = {};  // with which the store is made: its segment size stays
  StepProgress progress = {};
  FileSystem* file_system = &FileSystem::posix();  // of the set
};

struct RestoreReport {
  Uuid store_id;
  Uuid timeline;  // the new one
  CommitSeq commit = 0;
  EventId event = 0;                     // the last one; 0 if there is none
  std::optional<Timestamp> time;         // of the last commit, if a diff tells; else no commit is later than it
  std::vector<std::uint64_t> snapshots;  // that it was made of
  std::optional<std::string> rounded;    // why it ends before what was asked for: the event lies inside a transaction
  std::optional<EventId> sealed_event;
  // Named sequences that later snapshots of the set had further on: these numbers can be handed out a second time.
  struct MovedBack {
    std::string name;
    std::uint64_t next = 0;
    std::uint64_t was = 0;
  };
  std::vector<MovedBack> sequences_moved_back;
  std::vector<std::string> projections;  // that came back with their tables
  std::vector<std::string> rebuilt;      // of which only the declaration did: they are built anew when they are run
  std::vector<std::string> notes;
};

// An empty target is replaced by a directory that only its owner may enter.
//
// Throws AlreadyExists if the target exists and is not an empty directory, NotFound if the set does not reach the
// target (naming what it does reach), Corruption, naming the file, for what is damaged; nothing was written then.
// Whenever it throws there is no target, unless the error's outcome_unknown() says that only the last sync failed.
RestoreReport restore(const std::filesystem::path& set_directory, const std::filesystem::path& target_directory,
                      const RestoreOptions& options = {});

struct VerifyOptions {
  // Restores the newest state into a scratch directory, which is removed again, and verifies that store. Else all that
  // can be found by reading is looked at: every snapshot, every record.
  bool restore = true;
  std::filesystem::path scratch = {};  // where; beside the set if empty
  const Key* key = nullptr;
  unsigned threads = 2;
  Options store = {};
  StepProgress progress = {};
  FileSystem* file_system = &FileSystem::posix();
};

struct SetReport {
  struct Snapshot {
    std::uint64_t ordinal = 0;
    std::optional<Manifest> manifest;
    std::vector<std::string> problems;
  };
  std::vector<Snapshot> snapshots;  // by ordinal, unfinished ones left out
  std::vector<std::uint64_t> unfinished;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::optional<RestoreReport> restored;  // if it was asked for, and could be
  std::vector<std::string> problems;      // of the set, and of what was restored
  std::vector<std::string> checked;       // what was looked at, a sentence each
  bool ok() const;
};

// Proves that a set restores, or says what is wrong with it.
SetReport verify_set(const std::filesystem::path& set_directory, const VerifyOptions& options = {});

}  // namespace azoth::backup
