#include "admission.h"

#include "azoth/core/error.h"

namespace azoth {

bool Admission::has_room(std::size_t bytes) const {
  std::size_t live = live_.load(std::memory_order_relaxed);
  return live == 0 || live + bytes <= limit_;
}

void Admission::wait_for(std::size_t bytes, Deadline deadline) {
  if (has_room(bytes)) return;
  std::unique_lock lock(mutex_);
  auto settled = [&] { return closed_ || failure_.failed() || has_room(bytes); };
  bool in_time = true;
  if (deadline == kNoDeadline) {
    room_.wait(lock, settled);
  } else {
    in_time = room_.wait_until(lock, deadline, settled);
  }
  if (closed_) throw Error(ErrorCode::Closed, "the store is closed");
  failure_.check();
  if (!in_time) {
    throw Error(ErrorCode::Backpressure, std::to_string(live_bytes()) + " bytes of commits wait to be moved to LMDB, and " +
                                             std::to_string(limit_) + " are allowed; LMDB is slower than the writers. "
                                             "Try again, or open the store with a larger Delta");
  }
}

void Admission::release(std::size_t bytes) {
  live_.fetch_sub(bytes, std::memory_order_relaxed);
  wake_all();
}

void Admission::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  room_.notify_all();
}

void Admission::wake_all() {
  std::lock_guard lock(mutex_);
  room_.notify_all();
}

}  // namespace azoth
