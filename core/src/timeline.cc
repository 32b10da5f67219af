#include "azoth/core/timeline.h"

#include <algorithm>
#include <limits>

namespace azoth {

std::optional<CommitSeq> shared_through(const Lineage& lineage, const Uuid& timeline) {
  CommitSeq through = std::numeric_limits<CommitSeq>::max();
  for (const Timeline& line : lineage) {
    if (line.id == timeline) return through;
    through = std::min(through, line.fork);
  }
  return std::nullopt;
}

}  // namespace azoth
