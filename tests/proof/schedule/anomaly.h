// Misbehaviour of what a store stands on, planted to see that it is found: of the calls that it could befall it befalls
// one, chosen by its number.
#pragma once

#include <cstdint>
#include <string>

namespace azoth::proof::anomaly {

enum class Kind {
  None,
  LostWakeUp,          // a call wakes nobody
  OpenMutex,           // a second thread gets into a mutex
  LyingSync,           // a file's sync succeeds and does nothing
  LyingDirectorySync,  // the same of a directory
  LyingMeta,           // the same of a write to a file that was opened with O_DSYNC: LMDB's meta page
};

struct Plan {
  Kind kind = Kind::None;
  std::uint64_t number = 0;  // 0: befalls all
};

inline Plan plan;
inline std::uint64_t seen = 0;  // calls that it could befall

// Whether it befalls the call that asks.
inline bool happens(Kind kind) {
  if (plan.kind != kind) return false;
  ++seen;
  return plan.number == 0 || plan.number == seen;
}

}  // namespace azoth::proof::anomaly
