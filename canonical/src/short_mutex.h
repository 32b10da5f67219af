// A mutex for sections that are shorter than a change of threads: who finds it locked looks again for as long as such a
// section takes, and only then sleeps. With std::mutex a fifth of the processor time of many pipelined writers went
// into falling asleep for a microsecond and being woken. The three states are those of U. Drepper, "Futexes Are
// Tricky" (2011). Not fair, not recursive; std::lock_guard and std::unique_lock take it.
#pragma once

#include <atomic>
#include <cstdint>

#include "azoth/core/futex.h"

namespace azoth {

class ShortMutex {
 public:
  void lock() {
    for (int looks = 0; looks < kLooks; ++looks) {
      if (try_lock()) return;
      relax();
    }
    while (word_.exchange(kSleptOn, std::memory_order_acquire) != kFree) futex::wait(word_, kSleptOn, kNoDeadline);
  }

  bool try_lock() {
    std::uint32_t expected = kFree;
    return word_.load(std::memory_order_relaxed) == kFree &&
           word_.compare_exchange_strong(expected, kLocked, std::memory_order_acquire, std::memory_order_relaxed);
  }

  void unlock() {
    if (word_.exchange(kFree, std::memory_order_release) == kSleptOn) futex::wake(word_, 1);
  }

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kLocked = 1;
  static constexpr std::uint32_t kSleptOn = 2;  // locked, and perhaps somebody sleeps
  static constexpr int kLooks = 100;            // some microseconds

  static void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::atomic<std::uint32_t> word_{kFree};
};

}  // namespace azoth
