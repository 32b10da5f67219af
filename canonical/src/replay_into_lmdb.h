// The second half of recovery and of repair: what the plan found goes into LMDB.
#pragma once

#include <filesystem>

#include "azoth/core/file.h"
#include "lmdb_tables.h"
#include "recovery.h"

namespace azoth {

// Moves the plan's commits behind `head` to LMDB, in pieces of about `delta_bytes`, each one synced transaction.
// Answers the last event then.
EventId replay_into_lmdb(LmdbEnv& env, const Rows& rows, FileSystem& fs, const std::filesystem::path& directory,
                         const JournalIdentity& identity, const ReplayPlan& plan, const Head& head,
                         std::size_t delta_bytes);

}  // namespace azoth
