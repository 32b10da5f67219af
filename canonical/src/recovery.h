// Recovery: what of the journal is to be replayed into LMDB, and whether it may be.
//
// A plan is made by reading only, and refuses (Corruption, naming file and offset) before anything was changed. It
// begins at the segment that holds commit M+1, M being LMDB's last commit, and follows the chain of batches to its end.
//
// Where a batch fails its check, three things are possible, and the journal tells them apart:
//   a torn tail        the last group before a crash was never synced: the chain ends here, nothing acknowledged as
//                      Durable is lost;
//   damage above M     a later batch says it was written when this one had already been synced, or a successor recorded
//                      an end behind it: acknowledged commits are missing. Refuse;
//   damage up to M     LMDB holds those commits: reported, not a reason to refuse.
//
// Segments of an ancestor timeline are passed over. One of a timeline that the store does not come from is refused if
// it may hold commits above M; else it is what a repair left that did not get to its end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/file.h"
#include "journal.h"

namespace azoth {

struct ReplayPlan {
  struct Extent {  // of one segment: batches that hold commits above M, back to back
    std::uint64_t segment_number;
    std::uint64_t begin;
    std::uint64_t end;
  };
  std::vector<Extent> extents;
  JournalTail tail;
  std::vector<std::string> damage;  // up to M
  std::uint64_t batches = 0;        // that were checked
};

// `clean` is where the journal ended when the store was last closed, if it was: while no newer segment exists, nothing
// was written since and nothing needs to be read. `told_through`: what LMDB holds behind that commit are bulk
// transactions, which are durable before the journal is told of them; that they are not in it is no damage. `lmdb_now`:
// beside a writer, what LMDB holds by now, of which a batch may tell that was written since.
ReplayPlan plan_recovery(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                         const JournalFiles& files, CommitSeq lmdb_commit, const std::optional<JournalTail>& clean,
                         CommitSeq told_through = std::numeric_limits<CommitSeq>::max(),
                         const std::function<CommitSeq()>& lmdb_now = {});

// Whether a segment of another timeline only waits to be recycled: one of an ancestor, of which everything is in LMDB
// or lies behind the fork and is dead; or any from before the timeline began, which repair has seen and given up.
bool is_done_with(const JournalIdentity& identity, const JournalFiles::Segment& segment);

// Of a segment of another timeline that is not done with: the newest commit that it tells of.
std::optional<CommitSeq> held_by_stranger(FileSystem& fs, const std::filesystem::path& directory,
                                          const JournalIdentity& identity, const JournalFiles::Segment& segment);

// Makes what is to be replayed durable: LMDB must never hold a commit that the journal could still lose.
void sync_plan(FileSystem& fs, const std::filesystem::path& directory, const ReplayPlan& plan);

// Calls `each` for every record above `lmdb_commit`, in order.
void replay(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
            const ReplayPlan& plan, CommitSeq lmdb_commit, const std::function<void(std::string_view)>& each);

}  // namespace azoth
