// Repair: what to do with a store whose journal is damaged so that it cannot be opened (docs/durability.md, "Repair").
//
// Opening refuses when commits that were durable cannot be read any more. Repair explains what is left; if the loss is
// accepted it keeps everything up to the damage, gives up what lies behind it, and starts a new timeline. It takes the
// writer's lock, so it fails with Locked or AlreadyOpen while the store is open for writing.
//
// Repair mends the journal alone. Damage in LMDB (its data file is missing, cut, of another store, has lost commits, or
// has pages that are not whole) is Corruption, with nothing changed: restoring a backup is the way. All of LMDB's pages
// are looked at first, which takes as long as reading its file; what stands in them is for Store::verify() to check.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "azoth/core/ids.h"
#include "azoth/core/timeline.h"

namespace azoth {

struct RepairOptions {
  bool accept_loss = false;  // false: explain, and change nothing
};

struct RepairReport {
  struct Damage {
    std::filesystem::path file;
    std::uint64_t offset = 0;
    std::string what;
  };

  std::vector<Damage> damage;      // why the store cannot be opened; empty: nothing is wrong
  std::vector<std::string> notes;  // damage to bytes that are no longer needed

  // What the store ends with once it is repaired.
  CommitSeq kept_commit = 0;
  EventId kept_event = 0;
  CommitSeq kept_from_journal = 0;  // how many of the kept commits were not in LMDB yet

  // What is lost: every commit behind kept_commit. The newest one that anything which is left speaks of, and how many
  // there are whose bytes can still be read; of the others nothing is known.
  CommitSeq newest_known_commit = 0;
  CommitSeq lost_commits = 0;
  std::uint64_t lost_events = 0;
  std::uint64_t lost_bytes = 0;

  bool repaired = false;  // the loss was accepted, and the store can be opened
  Timeline timeline;      // the one that the store is on: the new one if it was repaired

  bool ok() const { return damage.empty(); }
};

}  // namespace azoth
