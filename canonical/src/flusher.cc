#include "flusher.h"

#include <algorithm>
#include <utility>

#include "azoth/core/fault.h"
#include "azoth/core/log.h"
#include "azoth/core/thread.h"

namespace azoth {

namespace {
constexpr std::chrono::milliseconds kFirstPause{10};
constexpr std::chrono::milliseconds kLongestPause{1000};
constexpr std::chrono::minutes kReaderCheckInterval{1};
}  // namespace

Flusher::Flusher(Environment& environment, Journal& journal, RetainedJournal& retained, Sequencer& sequencer,
                 GroupCommit& group, CommitState& state, const Options& options)
    : environment_(environment),
      journal_(journal),
      retained_(retained),
      sequencer_(sequencer),
      group_(group),
      state_(state),
      options_(options) {
  note_space();
  thread_ = start_thread([this] { run(); });
}

Flusher::~Flusher() { stop(); }

void Flusher::run() {
  while (true) {
    Deadline wake_up = next_wake_up();
    sequencer_.flusher_signal().sleep_unless([&] { return work_to_do(wake_up); }, wake_up);
    if (state_.failure.failed()) break;
    bool stopping = stopping_.load();
    try {
      if (stopping || due()) sequencer_.freeze();
      if (sequencer_.oldest_frozen()) flush_oldest();
    } catch (const Error& error) {
      state_.failure.set(error);
      sequencer_.wake_all_waiters();
      break;
    } catch (const std::bad_alloc&) {
      note_failed_attempt(no_memory());
      pause_after_failure();
    }
    bool given_up = stopping && back_off_.count() != 0;
    if (stopping && (given_up || (!sequencer_.filling_since() && !sequencer_.oldest_frozen()))) break;
  }
  std::lock_guard lock(mutex_);
  ended_ = true;
  flushed_.notify_all();
}

bool Flusher::work_to_do(Deadline wake_up) const {
  bool age_counts_now = wake_up == kNoDeadline && sequencer_.filling_since();
  return stopping_.load() || state_.failure.failed() || sequencer_.oldest_frozen() || due() || age_counts_now;
}

bool Flusher::due() const {
  auto since = sequencer_.filling_since();
  if (!since) return false;
  bool wanted = wanted_.load() > state_.marks.flushed.load() || sequencer_.room_wanted();
  return wanted || std::chrono::steady_clock::now() >= *since + options_.delta_age;
}

Deadline Flusher::next_wake_up() const {
  auto since = sequencer_.filling_since();
  return since ? *since + options_.delta_age : kNoDeadline;
}

void Flusher::flush_oldest() {
  std::shared_ptr<const Delta> delta = sequencer_.oldest_frozen();
  CommitSeq last_commit = delta->last_commit();
  group_.wait_for_all(last_commit, Durability::Durable, kNoDeadline);
  if (last_commit > in_lmdb_ && !try_flush(*delta)) return;
  back_off_ = std::chrono::milliseconds{0};
  sequencer_.drop_oldest();
  delta.reset();  // whoever waits for the flush finds its memory free, unless a snapshot has it
  flushes_.fetch_add(1, std::memory_order_relaxed);  // and finds it counted
  note_space_anew();  // before a bulk transaction that waits for the flush goes on, and takes more
  state_.marks.flushed.store(last_commit, std::memory_order_release);
  retained_.trim(last_commit);
  clear_stale_readers_now_and_then();
  std::lock_guard lock(mutex_);
  last_error_.reset();
  flushed_.notify_all();
}

// False: no room, nothing changed, try again. What can be repeated is everything up to the commit.
bool Flusher::try_flush(const Delta& delta) {
  Timed timed(flush_times_);
  try {
    flush_delta(environment_.lmdb, environment_.rows, delta, {.journal_begin = journal_.first_commit()});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NoSpace && error.code() != ErrorCode::OutOfMemory) throw;
    log(LogLevel::Warning, "commits cannot be moved to LMDB and wait: ", error.what());
    note_failed_attempt(error);
    clear_stale_readers();
    pause_after_failure();
    return false;
  }
  in_lmdb_ = delta.last_commit();  // should there be no memory for what follows, it is not flushed again
  if (AZOTH_FAULT("flush.committed")) throw Error(ErrorCode::Io, "a fault was injected after LMDB's commit");
  return true;
}

// For those who wait for the flush: it is tried again, but not for ever at their expense.
void Flusher::note_failed_attempt(const Error& error) {
  std::lock_guard lock(mutex_);
  last_error_ = error;
  ++attempts_failed_;
  flushed_.notify_all();
}

void Flusher::pause_after_failure() {
  back_off_ = std::clamp(back_off_ * 2, kFirstPause, kLongestPause);
  if (!stopping_.load()) sequencer_.flusher_signal().pause_until(std::chrono::steady_clock::now() + back_off_);
}

// Another process may have died in the middle of a snapshot, which would keep pages from being used again.
void Flusher::clear_stale_readers() noexcept {
  try {
    environment_.lmdb.clear_stale_readers();
  } catch (const std::exception& error) {
    log(LogLevel::Warning, "readers that have died: ", error.what());
  }
}

void Flusher::clear_stale_readers_now_and_then() noexcept {
  Deadline now = std::chrono::steady_clock::now();
  if (now - readers_checked_ < kReaderCheckInterval) return;
  clear_stale_readers();
  readers_checked_ = now;
}

void Flusher::note_space() {
  LmdbEnv::Space space = environment_.lmdb.space();
  sequencer_.set_lmdb_space(space.used(), space.map_bytes);
}

// What fails here is made up for by the next flush.
void Flusher::note_space_anew() noexcept {
  try {
    note_space();
  } catch (const std::exception& error) {
    log(LogLevel::Warning, "after commits were moved to LMDB: ", error.what());
  }
}

// LMDB has it.
void Flusher::note_flushed(CommitSeq commit) noexcept {
  note_space_anew();
  retained_.trim(commit);
}

void Flusher::announce() {
  std::lock_guard lock(mutex_);
  flushed_.notify_all();
}

void Flusher::flush_all(Deadline deadline) {
  CommitSeq target = state_.marks.applied.load();
  CommitSeq wanted = wanted_.load();
  while (wanted < target && !wanted_.compare_exchange_weak(wanted, target)) {
  }
  std::unique_lock lock(mutex_);
  std::uint64_t failed_before = attempts_failed_;
  while (state_.marks.flushed.load() < target) {
    state_.failure.check();
    if (ended_) throw Error(ErrorCode::Closed, "the store is closed");
    if (attempts_failed_ != failed_before && last_error_) throw *last_error_;
    failed_before = attempts_failed_;
    lock.unlock();
    sequencer_.flusher_signal().notify();
    lock.lock();
    auto settled = [&] { return ended_ || state_.marks.flushed.load() >= target || attempts_failed_ != failed_before; };
    if (deadline == kNoDeadline) {
      flushed_.wait(lock, settled);
    } else if (!flushed_.wait_until(lock, deadline, settled)) {
      throw Error(ErrorCode::Backpressure, "what was committed before was not moved to LMDB in time; try again");
    }
  }
}

void Flusher::stop() {
  stopping_.store(true);
  sequencer_.flusher_signal().notify();
  if (thread_.joinable()) thread_.join();
}

void Flusher::mark_clean(const JournalTail& tail) {
  if (int error = AZOTH_FAULT("flush.clean")) throw_errno(error, "noting where the journal ends");
  LmdbWriteTxn txn(environment_.lmdb);
  Head head = environment_.rows.head(txn);
  if (head.last_commit != tail.last_commit) return;
  if (head.clean && head.clean->segment_number == tail.segment_number) return;
  head.clean = tail;
  environment_.rows.put_head(txn, head);
  txn.commit(head.last_commit);
}

}  // namespace azoth
