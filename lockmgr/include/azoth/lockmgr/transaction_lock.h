// The transaction lock: a reader-writer lock with deadlines that can be closed.
//
// Transactions of many threads hold it shared, from their first stripe lock until their commit is sequenced; an
// interactive WriteTxn holds it exclusively, and so excludes them all. Fair in both directions: a waiting writer stops
// new readers, and the readers that waited for a writer get in before the next one. Writers get in in the order of
// their arrival. So a reader waits for one writer at most, a writer for those that were there before it. Not recursive;
// a lock may be released by another thread than the one that took it. Uncontended, a shared acquisition is one atomic
// addition. A deadline that has passed makes an attempt that does not wait.
//
// Once closed, every waiter and every later caller gets ErrorCode::Closed; locks that are held stay held and are
// released as ever. The lock must outlive every call on it, the releasing ones included.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "azoth/core/clock.h"

namespace azoth {

class TransactionLock {
 public:
  TransactionLock() = default;
  TransactionLock(const TransactionLock&) = delete;
  TransactionLock& operator=(const TransactionLock&) = delete;

  // False on the deadline; throws Error(Closed).
  [[nodiscard]] bool lock_shared_until(Deadline deadline);
  void unlock_shared();
  [[nodiscard]] bool lock_until(Deadline deadline);
  void unlock();

  void close();

  // How many threads wait now: for reports and tests, out of date when it is read.
  std::uint32_t waiting_readers() const;
  std::uint32_t waiting_writers() const;

 private:
  struct WaitingWriter;

  // Bits of state_: the number of readers that are in, whether a writer is in, whether fast entry is barred (because
  // a writer waits, or for ever when closed).
  static constexpr std::uint32_t kWriter = 1u << 31;
  static constexpr std::uint32_t kBarred = 1u << 30;
  static constexpr std::uint32_t kReaders = kBarred - 1;

  bool wait_shared_until(Deadline deadline);
  // With mutex_ held.
  void append(WaitingWriter& writer);
  void remove(WaitingWriter& writer);
  void give_up(WaitingWriter& writer);
  void admit_writer();   // hands the lock to the first waiting writer if nobody is in
  void admit_readers();  // hands the lock to all waiting readers

  std::atomic<std::uint32_t> state_{0};
  mutable std::mutex mutex_;  // everything below, and each change of kWriter and kBarred
  std::condition_variable readers_can_go_;
  WaitingWriter* first_writer_ = nullptr;  // in the order of arrival; kBarred is set while there is one
  WaitingWriter* last_writer_ = nullptr;
  std::uint32_t waiting_readers_ = 0;
  std::uint64_t reader_rounds_ = 0;  // how often waiting readers were let in: a reader that waits sees it change
  bool closed_ = false;
};

}  // namespace azoth
