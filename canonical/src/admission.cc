#include "admission.h"

#include "azoth/core/error.h"

namespace azoth {

bool Admission::has_room(std::size_t bytes, std::size_t promised) const {
  std::size_t taken = live_.load(std::memory_order_relaxed) + promised;
  return taken == 0 || taken + bytes <= limit_;
}

void Admission::let_in() {
  std::size_t promised = 0;
  while (!queue_.empty() && has_room(queue_.front()->bytes, promised)) {
    Waiter& next = *queue_.front();
    promised += next.bytes;
    next.let_in = true;
    next.woken.notify_one();
    queue_.pop_front();
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
  }
}

// Counted before the flusher is woken, so that it either sees who waits or is woken for them. Who has been let in looks
// whether there is still room for the next: what it was promised it may never book.
bool Admission::wait_for_turn(std::size_t bytes, Deadline deadline, Signal& flusher,
                              std::unique_lock<std::mutex>& lock) {
  Waiter self{bytes};
  auto place = queue_.insert(queue_.end(), &self);
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  let_in();  // there may be room by now
  if (!self.let_in) flusher.notify_if_asleep();
  auto settled = [&] { return self.let_in || closed_ || failure_.failed(); };
  if (deadline == kNoDeadline) {
    self.woken.wait(lock, settled);
  } else {
    self.woken.wait_until(lock, deadline, settled);
  }
  bool in_time = settled();
  if (!self.let_in) {
    queue_.erase(place);
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
  }
  let_in();
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
  std::lock_guard lock(mutex_);
  let_in();
}

void Admission::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  wake_queue();
}

void Admission::wake_all() {
  std::lock_guard lock(mutex_);
  wake_queue();
}

void Admission::wake_queue() {
  for (Waiter* waiter : queue_) waiter->woken.notify_one();
}

}  // namespace azoth
