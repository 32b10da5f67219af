// How much of a proof but that of power cuts a run tries. With the other tests it is a sample, so that none can break
// unseen; the whole, of which the documents give figures, with AZOTH_TEST_PROOF=1 (scripts/test --proof, scripts/soak);
// many times as much with AZOTH_TEST_LONG=1.
#pragma once

#include <cstdlib>

namespace azoth::test {

inline bool whole_proof() {
  return std::getenv("AZOTH_TEST_PROOF") != nullptr || std::getenv("AZOTH_TEST_LONG") != nullptr;
}

// So many of so many that the whole proof has.
template <class Count>
Count share_of(Count whole) {
  constexpr Count kSampled = 25;  // one in so many
  return whole_proof() ? whole : whole / kSampled + (whole % kSampled != 0 ? 1 : 0);
}

}  // namespace azoth::test
