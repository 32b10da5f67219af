#include "retained_journal.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "azoth/core/error.h"
#include "azoth/core/log.h"

namespace azoth {

namespace {

constexpr CommitSeq kNothing = std::numeric_limits<CommitSeq>::max();

// The journal begins with the current timeline: a set of an ancestor is served if it ends exactly at the fork.
bool can_be_served(const RetainedSet& set, const JournalIdentity& identity) {
  if (set.timeline == identity.timeline) return true;
  return !identity.lineage.empty() && set.timeline == identity.lineage.front().parent &&
         set.commit == identity.lineage.front().fork;
}

std::vector<RetainedSet> served(const Retention& retention, const JournalIdentity& identity) {
  std::vector<RetainedSet> sets = retention.list();
  std::erase_if(sets, [&](const RetainedSet& set) { return !can_be_served(set, identity); });
  return sets;
}

}  // namespace

CommitSeq retained_behind(const Retention& retention, const JournalIdentity& identity) noexcept {
  try {
    CommitSeq least = kNothing;
    for (const RetainedSet& set : served(retention, identity)) least = std::min(least, set.commit);
    return least;
  } catch (const std::exception& error) {
    log(LogLevel::Warning,
        "the journal is kept until it is known what snapshot sets need: ", error.what());
    return 0;
  }
}

RetainedJournal::RetainedJournal(FileSystem& fs, const std::filesystem::path& store_directory, Journal& journal,
                                 const JournalIdentity& identity)
    : retention_(store_directory, fs), journal_(journal), identity_(identity) {}

void RetainedJournal::trim(CommitSeq lmdb_through) noexcept {
  if (!journal_.has_segments_through(lmdb_through)) return;
  try {
    if (!retention_.in_use()) return journal_.trim(lmdb_through, lmdb_through);
    const auto lock = retention_.try_lock();
    if (lock) journal_.trim(std::min(needed_behind(lmdb_through), lmdb_through), lmdb_through);
  } catch (const std::exception& error) {
    log(LogLevel::Warning, "the journal is not trimmed: ", error.what());
  }
}

// A set that keeps more than it may is given up, also by those who read what is left for it.
CommitSeq RetainedJournal::needed_behind(CommitSeq lmdb_through) {
  CommitSeq least = kNothing;
  for (const RetainedSet& set : served(retention_, identity_)) {
    const std::uint64_t kept = journal_.bytes_kept(set.commit, lmdb_through);
    if (kept <= set.limit_bytes) {
      least = std::min(least, set.commit);
      continue;
    }
    log(LogLevel::Warning, "the journal is no longer kept for the snapshot set " + set.set_id.text() + " (" +
                               printable(set.place) + "): it would need " + std::to_string(kept) + " bytes and may have " +
                               std::to_string(set.limit_bytes) + "; its next snapshot must be a full one");
    retention_.remove(set.set_id);
  }
  return least;
}

}  // namespace azoth
