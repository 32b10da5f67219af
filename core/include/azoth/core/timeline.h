// Timelines: which line of history a store is on, and which ones it comes from.
//
// A timeline is named by a random id. Where history is cut, by repair or by restoring a backup, a new one begins: commit
// numbers beyond the cut are given out again, and without another name two commits of one number could not be told
// apart. The store id stays the same.
#pragma once

#include <optional>
#include <vector>

#include "azoth/core/bytes.h"
#include "azoth/core/ids.h"

namespace azoth {

struct Timeline {
  Uuid id;
  Uuid parent{};       // all zero: the store was created on this timeline
  CommitSeq fork = 0;  // the last commit that it shares with its parent

  friend bool operator==(const Timeline&, const Timeline&) = default;
};

// The timeline that a store is on, and behind it its ancestors, each the parent of the one before it.
using Lineage = std::vector<Timeline>;

// The last commit of this timeline that belongs to the history of `lineage`: of an ancestor the least fork on the way to
// it, of the current timeline the greatest number there is. Nothing if it is neither.
std::optional<CommitSeq> shared_through(const Lineage& lineage, const Uuid& timeline);

}  // namespace azoth
