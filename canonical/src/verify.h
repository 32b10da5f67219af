// Checking and summing up everything that is stored.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "azoth/canonical/store.h"
#include "segment.h"
#include "snapshot.h"
#include "store_files.h"

namespace azoth {

// LMDB's pages, then its tables, then the journal. `take` makes a snapshot without Deltas. If the pages are not whole
// nothing else is looked at, because LMDB would not survive it.
void verify_store(const std::function<std::unique_ptr<Snapshot>()>& take, Environment& environment, FileSystem& fs,
                  const std::filesystem::path& journal, const JournalIdentity& identity, VerifyReport& report,
                  const Progress& progress);

// LMDB's tables, in a snapshot without Deltas: every checksum, gapless ids, the tag index against the events, the
// store's own rows against the log, the counts and times of the head against what is there.
void verify_tables(const Snapshot& snapshot, VerifyReport& report, const Progress& progress);

// The journal's chain from LMDB's commit on.
void verify_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                    Environment& environment, VerifyReport& report);

// What snapshot sets have registered: that it can be read, and that none of them has more than there is.
void verify_registrations(FileSystem& fs, const std::filesystem::path& directory, const Uuid& timeline,
                          const std::function<CommitSeq()>& last_commit, VerifyReport& report);

// The journal that is kept for snapshot sets: every commit that LMDB holds and that the set furthest behind has not.
// What was trimmed before a set registered, or beside this, is a note. `take` makes a snapshot of everything durable.
void verify_kept_journal(FileSystem& fs, const StorePaths& paths, const JournalIdentity& identity,
                         const std::function<std::unique_ptr<Snapshot>()>& take, VerifyReport& report);

std::string digest_of(const Snapshot& snapshot, const Progress& progress);

}  // namespace azoth
