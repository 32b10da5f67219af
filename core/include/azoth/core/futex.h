// Waiting on a 32-bit word with a deadline: what a batch's waiters sleep on. One wake-up call serves all of them, and
// nobody takes a mutex on the way out. (std::atomic::wait has no deadline.)
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <ctime>

#include "azoth/core/clock.h"

namespace azoth::futex {

// Sleeps while `word` holds `expected`, until woken or the deadline. False on the deadline. May wake for no reason.
inline bool wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline deadline) {
  timespec when{};
  timespec* at = nullptr;
  if (deadline != kNoDeadline) {
    auto since = std::max(deadline.time_since_epoch(), Deadline::duration::zero());  // the kernel refuses negative ones
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
    when.tv_sec = seconds.count();
    when.tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count();
    at = &when;
  }
  // FUTEX_WAIT_BITSET takes an absolute time on the monotonic clock, which is what steady_clock is.
  long rc = syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_BITSET_PRIVATE, expected, at,
                    nullptr, FUTEX_BITSET_MATCH_ANY);
  return !(rc == -1 && errno == ETIMEDOUT);
}

inline void wake(std::atomic<std::uint32_t>& word, int count) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count);
}

inline void wake_all(std::atomic<std::uint32_t>& word) { wake(word, INT_MAX); }

}  // namespace azoth::futex
