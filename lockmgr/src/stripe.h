// One stripe: a fair reader-writer lock with deadlines, on a cache line of its own.
//
// Uncontended, taking and releasing are one atomic operation each. Who does not get in joins a queue in the order of
// arrival and sleeps on a word of its own; readers that stand next to each other in the queue get in together.
//
// A stripe that is released while somebody waits is not handed over at once: the first of the queue is woken, and until
// it runs a newcomer may take the stripe. (Handing over at once makes each release of a hot key cost a switch of
// threads, and everybody who comes while the chosen one wakes up has to queue too: a convoy that never ends.) That is
// bounded by counting: the first of the queue is overtaken kMaxOvertakes times, or once after it was woken and found
// the stripe taken; then entry is barred and the stripe is handed to it. While readers are in and somebody waits, no
// newcomer joins them, so a writer waits for the readers that were there before it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "azoth/core/clock.h"
#include "azoth/lockmgr/stripe_locks.h"

namespace azoth {

class alignas(64) Stripe {
 public:
  enum class Result : std::uint8_t { Taken, TimedOut, Closed };

  // Does not wait.
  bool try_lock(LockMode mode) { return mode == LockMode::Shared ? try_lock_shared() : try_lock_exclusive(); }
  // `closed` is set before close() is called; `waiting` counts those that wait in all stripes.
  Result lock_until(LockMode mode, Deadline deadline, const std::atomic<bool>& closed,
                    std::atomic<std::uint32_t>& waiting);
  void unlock(LockMode mode) { mode == LockMode::Shared ? unlock_shared() : unlock_exclusive(); }
  // Sends away those that wait.
  void close();

 private:
  struct Waiter;

  // Bits of state_: the number of readers that are in, whether a writer is in, whether somebody waits (whoever leaves
  // last looks at the queue), whether entry past the queue is barred.
  static constexpr std::uint32_t kWriter = 1u << 31;
  static constexpr std::uint32_t kQueued = 1u << 30;
  static constexpr std::uint32_t kBarred = 1u << 29;
  static constexpr std::uint32_t kReaders = kBarred - 1;
  static constexpr std::uint32_t kMaxOvertakes = StripeLocks::kMaxOvertakes;

  bool try_lock_shared();
  bool try_lock_exclusive();
  void unlock_shared();
  void unlock_exclusive();
  void hand_over();

  // With mutex_ held.
  void append(Waiter& waiter);
  void remove(Waiter& waiter);
  void first_has_changed();
  bool grant(const Waiter& waiter);
  // Lets in whoever may go, in the order of the queue: one writer, or readers. Returns them, for tell().
  Waiter* admit_first();

  // Without it.
  Result wait_in_queue(Waiter& self, Deadline deadline);
  bool try_again(Waiter& self);  // true when that settled it
  Result give_up(Waiter& self);
  static Result await_outcome(Waiter& self);
  static void tell(Waiter* settled);

  std::atomic<std::uint32_t> state_{0};
  std::uint32_t overtaken_ = 0;  // how often the first of the queue was; with the queue guarded by mutex_
  std::mutex mutex_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

static_assert(sizeof(Stripe) == 64, "two stripes on a cache line slow each other down");

inline bool Stripe::try_lock_shared() {
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  while ((state & (kWriter | kBarred)) == 0 && ((state & kQueued) == 0 || (state & kReaders) == 0)) {
    if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire, std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

inline bool Stripe::try_lock_exclusive() {
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  while ((state & (kWriter | kBarred | kReaders)) == 0) {
    if (state_.compare_exchange_weak(state, state | kWriter, std::memory_order_acquire, std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

inline void Stripe::unlock_shared() {
  const std::uint32_t before = state_.fetch_sub(1, std::memory_order_release);
  if ((before & kQueued) != 0 && (before & kReaders) == 1) hand_over();
}

inline void Stripe::unlock_exclusive() {
  const std::uint32_t before = state_.fetch_and(~kWriter, std::memory_order_release);
  if ((before & kQueued) != 0) hand_over();
}

}  // namespace azoth
