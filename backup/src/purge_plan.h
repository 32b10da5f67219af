// Which snapshots a purge removes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "azoth/backup/snapshot_set.h"

namespace azoth::backup {

struct PurgePlan {
  std::vector<std::uint64_t> remove;  // the newest first
  std::string note;                   // why less goes than was asked for
  std::vector<const SnapshotInfo*> verify;  // before that: the newest fulls of the histories that lose something
};

// As SnapshotSet::purge() says, over what list() has found.
PurgePlan plan_purge(const std::vector<SnapshotInfo>& snapshots, std::size_t keep_fulls);

}  // namespace azoth::backup
