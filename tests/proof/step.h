// The steps (support/step.h) that the workloads commit.
#pragma once

#include "support/step.h"

namespace azoth::proof {

using test::Step;

enum class StepSize { Small, Large, Bulk };  // Large: five of them fill a segment. Bulk: more than half of one

// Steps of equal size whose index differs by a multiple of this have records of equal length.
inline constexpr int kSameLength = 300;

inline int step_number(int index, StepSize size) { return index * 3 + static_cast<int>(size); }

Step make_step(int number);

}  // namespace azoth::proof
