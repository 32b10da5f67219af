// What a reader needs to put a snapshot together: LMDB, and the live Deltas that are not in it yet.
#pragma once

#include <memory>
#include <vector>

#include "delta.h"
#include "environment.h"

namespace azoth {

// Immutable; replaced as a whole when a Delta is added or dropped, and by an empty one when the store is closed.
struct View {
  std::shared_ptr<Environment> environment;
  std::vector<std::shared_ptr<const Delta>> deltas;  // newest first
};

}  // namespace azoth
