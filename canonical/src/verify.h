// Checking and summing up everything that is stored.
#pragma once

#include <filesystem>
#include <string>

#include "azoth/canonical/store.h"
#include "segment.h"
#include "snapshot.h"

namespace azoth {

// LMDB's tables, in a snapshot without Deltas: every checksum, gapless ids, the tag index against the events, the counts
// of the head against what is there.
void verify_tables(const Snapshot& snapshot, VerifyReport& report, const Progress& progress);

// The journal's chain from LMDB's commit on.
void verify_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                    Environment& environment, VerifyReport& report);

std::string digest_of(const Snapshot& snapshot, const Progress& progress);

}  // namespace azoth
