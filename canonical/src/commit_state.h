// How far the store is, and whether it can go on: what every part of the write path shares.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

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
//
// Whatever they wait for is published by a sequentially consistent store and looked at by a sequentially consistent
// load, as the count is. These four are in one order: if announce() finds nobody counted, then its look at the count is
// before the follower's count, the store before it is too, and the look after the count sees what was stored. So no
// fence is needed; the load is an ordinary one on x86 and an acquiring one on ARM.
class Followers {
 public:
  // After a mark has moved. Costs a load when nobody follows.
  void announce() {
    if (count_.load(std::memory_order_seq_cst) == 0) return;
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
  // When this returns, it has failed and that is noted, whoever was first.
  void set(const Error& cause) noexcept {
    std::lock_guard setting(setting_);
    if (failed()) return;
    try {
      std::lock_guard lock(mutex_);
      error_ = as_it_is_.load() ? cause : Error(ErrorCode::StoreFailed, std::string(kRefuses) + cause.what());
    } catch (...) {  // out of memory: failed all the same
    }
    note_and_fail();
  }

  // For those who only read: error() is the cause itself.
  void set_as_it_is(const Error& cause) noexcept {
    as_it_is_.store(true);
    set(cause);
  }

  // Needs none itself.
  void set_out_of_memory() noexcept {
    std::lock_guard setting(setting_);
    if (!failed()) note_and_fail();
  }

  // How a failure is noted outside of this process; set before any thread could fail. It is called before anybody can
  // see the failure, one call at a time, with locks held: it must not throw, allocate, log or take a lock.
  void on_set(std::function<void()> note) { note_ = std::move(note); }

  // After the durable mark has moved. A sync may succeed while something else fails: then what was noted is too little,
  // and this notes it again, before those who wait for it are woken. Either the failing thread sees the mark, or this
  // sees that it is failing.
  void durable_has_moved() noexcept {
    if (!failing_.load(std::memory_order_seq_cst)) return;
    std::lock_guard setting(setting_);
    if (note_) note_();
  }

  bool failed() const { return failed_.load(std::memory_order_seq_cst); }

  // StoreFailed, naming the cause. Needs no memory: whoever has to hear of a failure hears of it.
  Error error() const noexcept {
    std::lock_guard lock(mutex_);
    return error_;
  }

  void check() const {
    if (failed()) throw error();
  }

 private:
  static constexpr std::string_view kRefuses =
      "the store refuses writes because writing failed; close and reopen it. The cause: ";

  void note_and_fail() noexcept {
    failing_.store(true, std::memory_order_seq_cst);
    if (note_) note_();
    failed_.store(true, std::memory_order_seq_cst);
  }

  std::mutex setting_;  // before mutex_
  std::function<void()> note_;
  std::atomic<bool> failing_{false};  // about to be noted
  std::atomic<bool> failed_{false};
  std::atomic<bool> as_it_is_{false};
  mutable std::mutex mutex_;
  Error error_{ErrorCode::StoreFailed, std::string(kRefuses) + "out of memory"};  // unless set() has a better one
};

struct CommitState {
  Watermarks marks;
  Failure failure;
  Followers followers;
  std::atomic<bool> closed{false};  // nothing will move any more
};

}  // namespace azoth
