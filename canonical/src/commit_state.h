// How far the store is, and whether it can go on: what every part of the write path shares.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "azoth/core/error.h"
#include "azoth/core/ids.h"

namespace azoth {

// flushed <= durable <= visible <= applied. Each moves forward only, and before the wake-up it allows.
struct Watermarks {
  std::atomic<CommitSeq> applied{0};  // sequenced: moved by the sequencer after everything is inserted in the Delta
  std::atomic<CommitSeq> visible{0};  // complete at the strongest level anyone asked for: what read() shows
  std::atomic<CommitSeq> durable{0};  // synced
  std::atomic<CommitSeq> flushed{0};  // in LMDB, synced
};

// The first error after which nothing more may be written. Sticky: what is on disk behind a failed write or sync is
// unknown, and a second sync would report success without having written anything.
class Failure {
 public:
  void set(const Error& cause) noexcept {
    std::lock_guard lock(mutex_);
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      cause_ = cause;
    } catch (...) {  // out of memory: failed all the same
    }
    failed_.store(true, std::memory_order_seq_cst);
  }

  bool failed() const { return failed_.load(std::memory_order_seq_cst); }

  // StoreFailed, naming the cause.
  Error error() const {
    std::lock_guard lock(mutex_);
    return Error(ErrorCode::StoreFailed,
                 std::string("the store refuses writes because writing failed; close and reopen it. The cause: ") +
                     (cause_ ? cause_->what() : "out of memory"));
  }

  void check() const {
    if (failed()) throw error();
  }

 private:
  mutable std::mutex mutex_;
  std::optional<Error> cause_;
  std::atomic<bool> failed_{false};
};

struct CommitState {
  Watermarks marks;
  Failure failure;
};

}  // namespace azoth
