// Which snapshots to restore.
#pragma once

#include <vector>

#include "azoth/backup/snapshot_set.h"

namespace azoth::backup {

// As SnapshotSet::chain() says, over what list() has found.
Chain plan_chain(const std::vector<SnapshotInfo>& snapshots, const RestoreTarget& target);

}  // namespace azoth::backup
