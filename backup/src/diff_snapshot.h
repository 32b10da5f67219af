// Writing a differential snapshot: the commits behind another snapshot, as the journal has them.
#pragma once

#include <optional>

#include "azoth/backup/backup.h"
#include "azoth/canonical/backup_source.h"

namespace azoth::backup {

// The newest snapshot that a diff of this store can continue, and that a chain of whole ones leads to. NotFound, saying
// why, if there is none.
SnapshotInfo base_for_diff(const SnapshotSet& set, const Lineage& lineage);

// Makes sure that the store has what the set has through the end of `base`, and not other commits of the same numbers:
// a directory that was put back as it once was, and written to since, has. `registered` is how the set was registered
// before. InvalidArgument if the store is another, NotFound if that it is the same cannot be told.
void require_same_history(BackupSource& source, const BackupSource::Content& content, const SnapshotInfo& base,
                          const std::optional<RetainedSet>& registered, const Key* key);

// Makes sure that a full of this store belongs into the set: InvalidArgument if the set has commits of this timeline
// that the store does not have, or other ones of the same numbers. That it cannot be told is no reason against a full.
void refuse_older_copy(BackupSource& source, const BackupSource::Content& content, const SnapshotSet& set,
                       const Key* key);

// Writes the commits behind `base` through the content's; answers what the manifest says of them.
Manifest write_diff(BackupSource& source, const BackupSource::Content& content, PendingSnapshot& pending,
                    const Manifest& base, const BackupOptions& options);

}  // namespace azoth::backup
