// How far the store is, and whether it can go on: what every part of the write path shares.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>

#include "azoth/canonical/durability.h"
#include "azoth/core/error.h"
#include "azoth/core/futex.h"
#include "azoth/core/ids.h"

namespace azoth {

// flushed <= durable <= visible <= applied. Each moves forward only, and before the wake-up it allows.
struct Watermarks {
  std::atomic<CommitSeq> applied{0};  // sequenced: moved by the sequencer after everything is inserted in the Delta
  std::atomic<CommitSeq> visible{0};  // complete at the strongest level anyone asked for: what read() shows
  std::atomic<CommitSeq> durable{0};  // synced
  std::atomic<CommitSeq> flushed{0};  // in LMDB, synced

  CommitSeq of(Durability level) const {
    if (level == Durability::Durable) return durable.load(std::memory_order_acquire);
    return (level == Durability::Written ? visible : applied).load(std::memory_order_acquire);
  }
  bool reached(CommitSeq commit, Durability level) const { return of(level) >= commit; }
};

// Those who follow the marks without asking for anything: subscriptions, the notifier.
class Followers {
 public:
  // After a mark has moved. Costs a fence and a load when nobody follows.
  void announce() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (count_.load(std::memory_order_relaxed) == 0) return;
    news_.fetch_add(1, std::memory_order_seq_cst);
    futex::wake_all(news_);
  }

  // Sleeps until `arrived` says so; false on the deadline. Counted before it looks, so that nothing that is announced
  // after the look is missed.
  template <class Arrived>
  bool wait_until(Arrived arrived, Deadline deadline) {
    count_.fetch_add(1, std::memory_order_seq_cst);
    bool in_time = true;
    bool there = false;
    while (true) {
      std::uint32_t seen = news_.load(std::memory_order_seq_cst);
      there = arrived();
      if (there || !in_time) break;
      in_time = futex::wait(news_, seen, deadline);
    }
    count_.fetch_sub(1, std::memory_order_seq_cst);
    return there;
  }

 private:
  std::atomic<std::uint32_t> news_{0};
  std::atomic<std::uint32_t> count_{0};
};

// The first error after which nothing more may be written. Sticky: what is on disk behind a failed write or sync is
// unknown, and a second sync would report success without having written anything.
class Failure {
 public:
  void set(const Error& cause) noexcept {
    {
      std::lock_guard lock(mutex_);
      if (failed_.load(std::memory_order_relaxed)) return;
      try {
        cause_ = cause;
      } catch (...) {  // out of memory: failed all the same
      }
      failed_.store(true, std::memory_order_seq_cst);
    }
    if (on_set_) on_set_();
  }

  // For those who only read: error() is the cause itself.
  void set_as_it_is(const Error& cause) noexcept {
    as_it_is_.store(true);
    set(cause);
  }

  // What is to be done when it happens; set before any thread could. It must not throw.
  void on_set(std::function<void()> action) { on_set_ = std::move(action); }

  // Needs none itself.
  void set_out_of_memory() noexcept {
    std::lock_guard lock(mutex_);
    failed_.store(true, std::memory_order_seq_cst);
  }

  bool failed() const { return failed_.load(std::memory_order_seq_cst); }

  // StoreFailed, naming the cause.
  Error error() const {
    std::lock_guard lock(mutex_);
    if (as_it_is_.load() && cause_) return *cause_;
    return Error(ErrorCode::StoreFailed,
                 std::string("the store refuses writes because writing failed; close and reopen it. The cause: ") +
                     (cause_ ? cause_->what() : "out of memory"));
  }

  void check() const {
    if (failed()) throw error();
  }

 private:
  mutable std::mutex mutex_;
  std::function<void()> on_set_;
  std::optional<Error> cause_;
  std::atomic<bool> failed_{false};
  std::atomic<bool> as_it_is_{false};
};

struct CommitState {
  Watermarks marks;
  Failure failure;
  Followers followers;
  std::atomic<bool> closed{false};  // nothing will move any more
};

}  // namespace azoth
