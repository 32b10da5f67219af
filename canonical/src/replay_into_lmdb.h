// Records into LMDB, many commits at a time: the second half of recovery and of repair, where the journal is read
// again, and of a restore, where a backup is.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "azoth/core/file.h"
#include "lmdb_tables.h"
#include "recovery.h"

namespace azoth {

// Fills one Delta while the one before it is flushed: both take about as long.
class RecordsIntoLmdb {
 public:
  // Behind what `head` says.
  RecordsIntoLmdb(LmdbEnv& env, const Rows& rows, const Head& head, std::size_t delta_bytes);

  void insert(std::string record);  // whose commit follows the last one
  EventId finish();                 // when all is in LMDB; the last event then

 private:
  std::unique_ptr<Delta> next(CommitSeq last_commit) const;
  void flush();

  LmdbEnv& env_;
  const Rows& rows_;
  const std::size_t delta_bytes_;
  EventId last_event_;
  std::unique_ptr<Delta> delta_;
  std::future<void> flushing_;  // its destructor waits
};

// Moves the plan's commits behind `head` to LMDB, in pieces of about `delta_bytes`, each one synced transaction.
// Answers the last event then.
EventId replay_into_lmdb(LmdbEnv& env, const Rows& rows, FileSystem& fs, const std::filesystem::path& directory,
                         const JournalIdentity& identity, const ReplayPlan& plan, const Head& head,
                         std::size_t delta_bytes);

}  // namespace azoth
