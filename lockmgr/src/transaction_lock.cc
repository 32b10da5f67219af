#include "azoth/lockmgr/transaction_lock.h"

#include "azoth/core/error.h"

// How it works. A reader adds one to state_ and is in, unless a bit says that a writer is in or that entry is barred;
// then it takes the mutex, takes its one back and waits. Because that one was visible for a moment, taking it back does
// what leaving does: it lets in the writer that may have seen it.
//
// Nobody who waits looks for a chance himself: whoever makes one (the last reader, the leaving writer, a writer that
// gives up) hands the lock over under the mutex, by counting the waiter into state_ and marking it admitted. So no
// newcomer can overtake those who waited, and a waiter whose deadline passes while it is handed the lock has the lock.
//
// No wake-up is lost: a writer sets kBarred before it looks at the number of readers, and both are one atomic word.
// Either it sees no readers, or each of them sees kBarred when it leaves, and the last one takes the mutex.
namespace azoth {
namespace {

[[noreturn]] void throw_closed() { throw Error(ErrorCode::Closed, "the store was closed; open it again to go on"); }

// False when the deadline has passed.
bool wait(std::condition_variable& condition, std::unique_lock<std::mutex>& guard, Deadline deadline) {
  if (deadline != kNoDeadline) return condition.wait_until(guard, deadline) == std::cv_status::no_timeout;
  condition.wait(guard);
  return true;
}

}  // namespace

// Lives on the stack of the waiting thread, in the list from its arrival until it is admitted, gives up or the lock
// is closed. It is woken under the mutex, so that it cannot leave before the call that wakes it has returned.
struct TransactionLock::WaitingWriter {
  std::condition_variable can_go;
  WaitingWriter* next = nullptr;
  bool admitted = false;
};

bool TransactionLock::lock_shared_until(Deadline deadline) {
  const std::uint32_t before = state_.fetch_add(1, std::memory_order_acquire);
  if ((before & (kWriter | kBarred)) == 0) return true;
  return wait_shared_until(deadline);
}

bool TransactionLock::wait_shared_until(Deadline deadline) {
  std::unique_lock guard(mutex_);
  // The bars can have gone since they were seen, and cannot come back while the mutex is held: then the one that was
  // added counts.
  if ((state_.load(std::memory_order_acquire) & (kWriter | kBarred)) == 0) return true;
  state_.fetch_sub(1, std::memory_order_release);
  admit_writer();
  if (closed_) throw_closed();

  const std::uint64_t round = reader_rounds_;
  ++waiting_readers_;
  while (reader_rounds_ == round && !closed_) {
    if (!wait(readers_can_go_, guard, deadline)) break;
  }
  if (reader_rounds_ != round) return true;
  if (closed_) throw_closed();
  --waiting_readers_;
  return false;
}

void TransactionLock::unlock_shared() {
  const std::uint32_t before = state_.fetch_sub(1, std::memory_order_release);
  if ((before & kBarred) == 0 || (before & kReaders) != 1) return;
  std::lock_guard guard(mutex_);
  admit_writer();
}

bool TransactionLock::lock_until(Deadline deadline) {
  std::unique_lock guard(mutex_);
  if (closed_) throw_closed();
  WaitingWriter self;
  append(self);
  admit_writer();
  while (!self.admitted && !closed_) {
    if (!wait(self.can_go, guard, deadline)) break;
  }
  if (self.admitted) return true;
  if (closed_) throw_closed();
  give_up(self);
  return false;
}

void TransactionLock::unlock() {
  std::lock_guard guard(mutex_);
  state_.fetch_and(~kWriter, std::memory_order_release);
  admit_readers();  // those that waited for this writer, before the next one
  admit_writer();
}

void TransactionLock::close() {
  std::lock_guard guard(mutex_);
  closed_ = true;
  state_.fetch_or(kBarred, std::memory_order_relaxed);  // for ever: every later caller comes to the mutex
  waiting_readers_ = 0;
  readers_can_go_.notify_all();
  for (WaitingWriter* writer = first_writer_; writer != nullptr; writer = writer->next) writer->can_go.notify_one();
  first_writer_ = nullptr;
  last_writer_ = nullptr;
}

std::uint32_t TransactionLock::waiting_readers() const {
  std::lock_guard guard(mutex_);
  return waiting_readers_;
}

std::uint32_t TransactionLock::waiting_writers() const {
  std::lock_guard guard(mutex_);
  std::uint32_t count = 0;
  for (const WaitingWriter* writer = first_writer_; writer != nullptr; writer = writer->next) ++count;
  return count;
}

void TransactionLock::append(WaitingWriter& writer) {
  (last_writer_ != nullptr ? last_writer_->next : first_writer_) = &writer;
  last_writer_ = &writer;
  state_.fetch_or(kBarred, std::memory_order_relaxed);
}

void TransactionLock::remove(WaitingWriter& writer) {
  WaitingWriter* previous = nullptr;
  WaitingWriter** link = &first_writer_;
  while (*link != &writer) {
    previous = *link;
    link = &previous->next;
  }
  *link = writer.next;
  if (last_writer_ == &writer) last_writer_ = previous;
  if (first_writer_ == nullptr) state_.fetch_and(~kBarred, std::memory_order_relaxed);
}

void TransactionLock::give_up(WaitingWriter& writer) {
  remove(writer);
  // Readers that waited only because this writer did. Those that wait for the writer that is in go on waiting.
  if (first_writer_ == nullptr && (state_.load(std::memory_order_relaxed) & kWriter) == 0) admit_readers();
}

void TransactionLock::admit_writer() {
  if (first_writer_ == nullptr) return;
  // The writer that gets in must see what the readers before it did: acquires what they released when they left.
  if ((state_.load(std::memory_order_acquire) & (kWriter | kReaders)) != 0) return;
  WaitingWriter& writer = *first_writer_;
  state_.fetch_or(kWriter, std::memory_order_acquire);  // first this bit, so that entry is barred without a break
  remove(writer);
  writer.admitted = true;
  writer.can_go.notify_one();
}

void TransactionLock::admit_readers() {
  if (waiting_readers_ == 0) return;
  state_.fetch_add(waiting_readers_, std::memory_order_acquire);
  waiting_readers_ = 0;
  ++reader_rounds_;
  readers_can_go_.notify_all();
}

}  // namespace azoth
