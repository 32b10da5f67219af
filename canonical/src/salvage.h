// What can be kept of a journal that recovery refuses, and what is lost with the rest.
//
// Kept is the chain from M+1 on, up to the first batch that is damaged, missing, or not what the journal says was there.
// Where a segment behind it tells of a commit, the chain ends before that commit: what this segment holds beyond may have
// been cut by an earlier recovery, whose record of it is lost. So nothing is kept that may never have been acknowledged
// in its place.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "azoth/canonical/repair.h"
#include "azoth/core/file.h"
#include "journal.h"
#include "recovery.h"

namespace azoth {

struct Salvage {
  ReplayPlan plan;  // of what is kept; its tail names only the last commit
  std::uint64_t kept_events = 0;
  std::vector<RepairReport::Damage> damage;
  CommitSeq newest_known_commit = 0;
  CommitSeq lost_commits = 0;
  std::uint64_t lost_events = 0;
  std::uint64_t lost_bytes = 0;
};

// Reads only. At most the commits up to `at_most` are kept. Throws Corruption if a batch says that LMDB held more than
// it does: LMDB is damaged then, and the journal has no say in that.
Salvage salvage_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                        const JournalFiles& files, CommitSeq lmdb_commit, CommitSeq at_most);

}  // namespace azoth
