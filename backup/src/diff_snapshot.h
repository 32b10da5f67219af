// Writing a differential snapshot: the commits behind another snapshot, as the journal has them.
#pragma once

#include "azoth/backup/backup.h"
#include "azoth/canonical/backup_source.h"

namespace azoth::backup {

// The newest snapshot that a diff of this store can continue, and that a chain of whole ones leads to. NotFound, saying
// why, if there is none.
SnapshotInfo base_for_diff(const SnapshotSet& set, const Lineage& lineage);

// Writes the commits behind `base` through the content's; answers what the manifest says of them.
Manifest write_diff(BackupSource& source, const BackupSource::Content& content, PendingSnapshot& pending,
                    const Manifest& base, const BackupOptions& options);

}  // namespace azoth::backup
