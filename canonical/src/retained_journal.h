// The writer's side of retention: trims the journal as far as neither LMDB nor a snapshot set needs it.
#pragma once

#include <filesystem>

#include "azoth/canonical/retention.h"
#include "azoth/core/file.h"
#include "journal.h"

namespace azoth {

class RetainedJournal {
 public:
  RetainedJournal(FileSystem& fs, const std::filesystem::path& store_directory, Journal& journal,
                  const JournalIdentity& identity);

  // LMDB holds everything through this commit, synced. Sets whose limit is exceeded are given up. While a set is just
  // registering, or what they have registered cannot be read, nothing is trimmed: the next call makes up for it.
  void trim(CommitSeq lmdb_through) noexcept;

 private:
  CommitSeq needed_behind(CommitSeq lmdb_through);

  Retention retention_;
  Journal& journal_;
  const JournalIdentity identity_;
};

// The least commit that a set has registered with, as far as this history's journal can serve it; the greatest number
// there is if no set needs anything, 0 if that cannot be found out.
CommitSeq retained_behind(const Retention& retention, const JournalIdentity& identity) noexcept;

}  // namespace azoth
