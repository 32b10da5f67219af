// Taking snapshots: a store's content, or what was committed since the last one, into a snapshot set.
//
//   azoth::backup::BackupReport report = db.backup("/backups/ledger");                          // a full one
//   azoth::backup::BackupReport next = db.backup("/backups/ledger", {.incremental = true});     // what came since
//
// Writers go on meanwhile: a snapshot is of one commit, which has everything that was acknowledged as Durable before
// the call. While it is taken LMDB keeps the pages of that commit. Works beside a writer in another process, too, on a
// store that is open for reading only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/backup/key_file.h"
#include "azoth/backup/snapshot_set.h"
#include "azoth/canonical/retention.h"
#include "azoth/canonical/store.h"
#include "azoth/projection/projector.h"

namespace azoth::backup {

// How far long work is. One step comes after the other; `total` is 0 while unknown.
struct Step {
  std::string_view what;  // "copying"
  std::string_view unit;  // what is counted: "rows", "bytes"
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};
// Called a few times a second and at the end of each step, by one thread at a time; `done` never gets less. What it
// throws ends the work, as any other error does: that is how a user who has enough of waiting stops it.
using StepProgress = std::function<void(const Step&)>;

enum class SealMode {
  None,
  // The projections of this process and the declared ones are brought up to date, writing is paused, the rest of the
  // events is applied (what takes longer than two seconds is a note), and the snapshot says that its history ends
  // there; writing goes on as soon as its commit is pinned. Two of them of one store are equal if the store is. Needs
  // the store open for writing.
  Snapshot,
  Store,  // the store itself is sealed first, for good
};

inline constexpr std::uint32_t kMaxShards = 500;

struct BackupOptions {
  bool incremental = false;  // a diff; throws NotFound, saying why, when only a full can bring what came since
  SealMode seal = SealMode::None;
  bool projections = true;    // the tables of projections, too; without them a restore builds them from the events
  int compression_level = 3;  // of zstd, 1..19; 0: none
  // Of a full, for state and events each, at most kMaxShards; fewer of a small store. Part of what makes the same
  // content the same bytes.
  std::uint32_t shards = 4;
  unsigned threads = 2;
  const Key* key = nullptr;  // encrypts a set that is made by this, opens an encrypted one
  // How much of the journal the store may keep for the next diff, beyond what it needs itself.
  std::uint64_t retain_bytes = RetainedSet::kDefaultLimitBytes;
  StepProgress progress = {};
  FileSystem* file_system = &FileSystem::posix();  // of the set
  Clock* clock = &Clock::system();
};

struct BackupReport {
  SnapshotInfo snapshot;
  bool made_set = false;
  std::vector<std::string> notes;  // what was left out, or could not be done, and why
};

// Publishes a snapshot in the set in this directory, which is made if there is nothing. The store keeps its journal
// from there on (retention.h). `projector`: null if this process has none. Throws InvalidArgument if the set is another
// store's, Locked if another process writes to it; what a damaged store throws. When it throws, no snapshot was added
// (but see PendingSnapshot::publish()), and the store is neither paused nor, unless it was asked to be for good,
// sealed.
BackupReport back_up(Store& store, const std::filesystem::path& store_directory, Projector* projector,
                     const std::filesystem::path& set_directory, const BackupOptions& options = {});

}  // namespace azoth::backup
