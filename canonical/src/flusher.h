// The flusher: step 8 of the write path. A thread that moves frozen Deltas to LMDB, in order and only when durable, one
// synced LMDB transaction each; then drops them and trims the journal behind them.
//
// A flush can fail for space or I/O only. Without space it is tried again, with growing pauses: nothing is lost, and
// writers wait at admission. An LMDB commit that fails leaves LMDB's meta page in doubt: that fails the store.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "azoth/canonical/options.h"
#include "commit_state.h"
#include "environment.h"
#include "group_commit.h"
#include "journal.h"
#include "retained_journal.h"
#include "sequencer.h"

namespace azoth {

class Flusher {
 public:
  Flusher(Environment& environment, Journal& journal, RetainedJournal& retained, Sequencer& sequencer,
          GroupCommit& group, CommitState& state, const Options& options);
  ~Flusher();

  // Returns when everything applied before is in LMDB and no longer in a Delta. Throws StoreFailed, NoSpace (the last
  // attempt's), Closed, Backpressure on the deadline.
  void flush_all(Deadline deadline = kNoDeadline);

  // After a commit has reached LMDB, also without the flusher, which had nothing to do: sees to space and journal.
  void note_flushed(CommitSeq commit) noexcept;
  void announce();  // to those in flush_all, that marks have changed without the flusher

  // Flushes everything, if it can, and ends the thread.
  void stop();

  // Marks the end of the journal in LMDB, so that the next open need not look for it. After stop().
  void mark_clean(const JournalTail& tail);

  const Histogram& flush_times() const { return flush_times_; }
  std::uint64_t flushes() const { return flushes_.load(std::memory_order_relaxed); }

 private:
  void run();
  bool work_to_do(Deadline wake_up) const;
  Deadline next_wake_up() const;
  bool due() const;
  void flush_oldest();
  bool try_flush(const Delta& delta);
  void note_failed_attempt(const Error& error);
  void pause_after_failure();
  void note_space();
  void note_space_anew() noexcept;
  void clear_stale_readers() noexcept;
  void clear_stale_readers_now_and_then() noexcept;

  Environment& environment_;
  Journal& journal_;
  RetainedJournal& retained_;
  Sequencer& sequencer_;
  GroupCommit& group_;
  CommitState& state_;
  const Options options_;
  std::atomic<std::uint64_t> flushes_{0};
  Histogram flush_times_;
  std::atomic<CommitSeq> wanted_{0};  // flush through here now
  std::atomic<bool> stopping_{false};
  std::chrono::milliseconds back_off_{0};
  CommitSeq in_lmdb_ = 0;  // by a flush of this life
  Deadline readers_checked_ = std::chrono::steady_clock::now();

  std::mutex mutex_;
  std::condition_variable flushed_;
  std::optional<Error> last_error_;  // of the attempt that is being repeated
  std::uint64_t attempts_failed_ = 0;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace azoth
