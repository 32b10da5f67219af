// How the write path wakes a background thread without paying for it: a flag says whether the thread sleeps for want of
// work, and only then is it notified. An idle thread sleeps for good; a busy one is never signalled.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "azoth/core/clock.h"

namespace azoth {

class Signal {
 public:
  // By the writers, after the work was published with a sequentially consistent store or under a mutex.
  void notify_if_asleep() {
    if (asleep_.load(std::memory_order_seq_cst)) notify();
  }

  // By those who have something to say that cannot wait for the deadline.
  void notify() {
    std::lock_guard lock(mutex_);
    notified_ = true;
    wakes_.notify_all();
  }

  // By the thread: sleeps until notified or the deadline, unless `work` says that there is some already. The flag goes
  // up before `work` looks, so that no work is published between the look and the sleep unnoticed.
  template <class Work>
  void sleep_unless(Work work, Deadline deadline) {
    asleep_.store(true, std::memory_order_seq_cst);
    if (!work()) pause_until(deadline);
    asleep_.store(false, std::memory_order_seq_cst);
  }

  // By the thread: only notify() ends it early.
  void pause_until(Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (deadline == kNoDeadline) {
      wakes_.wait(lock, [&] { return notified_; });
    } else {
      wakes_.wait_until(lock, deadline, [&] { return notified_; });
    }
    notified_ = false;
  }

 private:
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable wakes_;
  bool notified_ = false;
};

}  // namespace azoth
