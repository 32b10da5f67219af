#include "admission.h"

#include "azoth/core/error.h"

namespace azoth {

bool Admission::has_room(std::size_t bytes) const {
  std::size_t live = live_.load(std::memory_order_relaxed);
  return live == 0 || live + bytes <= limit_;
}

// Counted before the flusher is woken, so that it either sees who waits or is woken for them.
bool Admission::wait_for_turn(std::size_t bytes, Deadline deadline, Signal& flusher,
                              std::unique_lock<std::mutex>& lock) {
  auto self = queue_.insert(queue_.end(), bytes);
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  flusher.notify_if_asleep();
  auto settled = [&] { return closed_ || failure_.failed() || (self == queue_.begin() && has_room(bytes)); };
  bool in_time = true;
  if (deadline == kNoDeadline) {
    room_.wait(lock, settled);
  } else {
    in_time = room_.wait_until(lock, deadline, settled);
  }
  queue_.erase(self);
  waiting_.fetch_sub(1, std::memory_order_seq_cst);
  if (!queue_.empty()) room_.notify_all();  // the next one's turn
  return in_time;
}

void Admission::wait_for(std::size_t bytes, Deadline deadline, Signal& flusher) {
  if (waiting() == 0 && has_room(bytes)) return;
  Timed timed(waits_);
  std::unique_lock lock(mutex_);
  bool in_time = wait_for_turn(bytes, deadline, flusher, lock);
  if (closed_) throw Error(ErrorCode::Closed, "the store is closed");
  failure_.check();
  if (!in_time) {
    throw Error(ErrorCode::Backpressure, std::to_string(live_bytes()) +
                                             " bytes of commits wait to be moved to LMDB, and " +
                                             std::to_string(limit_) +
                                             " are allowed; LMDB is slower than the writers. "
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
