// Admission: how much memory the live Deltas may take. A transaction waits here, before it takes any lock, until there
// is room; the sequencer books what it really took. One transaction is always let in when nothing is live.
//
// Those who wait are let in in the order of their arrival, and nobody overtakes them: a large transaction gets its turn
// however many small ones come. When a Delta is freed, all those whom it has room for are let in together, each woken
// once; until the memory is full again nobody queues. While somebody waits, the flusher flushes at once, whatever the
// Delta's size and age.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>

#include "azoth/core/clock.h"
#include "commit_state.h"
#include "histogram.h"
#include "wake_signal.h"

namespace azoth {

class Admission {
 public:
  Admission(std::size_t limit, const Failure& failure) : limit_(limit), failure_(failure) {}

  // `flusher` is woken when there is no room. Throws Backpressure on the deadline, Closed, StoreFailed.
  void wait_for(std::size_t bytes, Deadline deadline, Signal& flusher);

  void book(std::size_t bytes) { live_.fetch_add(bytes, std::memory_order_relaxed); }
  void release(std::size_t bytes);
  void close();
  void wake_all();

  const Histogram& waits() const { return waits_; }  // of those who had to
  std::uint32_t waiting() const { return waiting_.load(std::memory_order_seq_cst); }
  std::size_t live_bytes() const { return live_.load(std::memory_order_relaxed); }

 private:
  struct Waiter {
    std::size_t bytes;
    bool let_in = false;
    std::condition_variable woken = {};
  };

  bool has_room(std::size_t bytes, std::size_t promised = 0) const;
  bool wait_for_turn(std::size_t bytes, Deadline deadline, Signal& flusher, std::unique_lock<std::mutex>& lock);
  void let_in();  // all of the queue's beginning that there is room for
  void wake_queue();

  const std::size_t limit_;
  const Failure& failure_;
  std::atomic<std::size_t> live_{0};
  std::atomic<std::uint32_t> waiting_{0};
  Histogram waits_;
  std::mutex mutex_;  // everything below
  std::list<Waiter*> queue_;
  bool closed_ = false;
};

}  // namespace azoth
