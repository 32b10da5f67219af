// What can be kept of a journal that recovery refuses, and what is lost with the rest.
//
// Kept is the chain from M+1 on, up to the first batch that is damaged, missing, or not what the journal says was
// there. Where a segment and one behind it hold a commit of the same number, the first one was cut by an earlier
// recovery, and if the record of that is lost, nothing above M is kept of it. What cannot be told: header and first
// batch of a segment are both lost, and of the cut part before it, which the device shows again, nothing reaches the
// commits that are left.
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
