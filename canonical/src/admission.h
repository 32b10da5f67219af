// Admission: how much memory the live Deltas may take. A transaction waits here, before it takes any lock, until there
// is room; the sequencer books what it really took. One transaction is always let in when nothing is live.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "azoth/core/clock.h"
#include "commit_state.h"

namespace azoth {

class Admission {
 public:
  Admission(std::size_t limit, const Failure& failure) : limit_(limit), failure_(failure) {}

  // Throws Backpressure on the deadline, Closed, StoreFailed.
  void wait_for(std::size_t bytes, Deadline deadline);

  void book(std::size_t bytes) { live_.fetch_add(bytes, std::memory_order_relaxed); }
  void release(std::size_t bytes);
  void close();
  void wake_all();

  std::size_t live_bytes() const { return live_.load(std::memory_order_relaxed); }

 private:
  bool has_room(std::size_t bytes) const;

  const std::size_t limit_;
  const Failure& failure_;
  std::atomic<std::size_t> live_{0};
  std::mutex mutex_;
  std::condition_variable room_;
  bool closed_ = false;
};

}  // namespace azoth
