// Group commit: whoever waits first writes for all who wait.
//
// A client that waits for its batch tries to become the leader; there is one at a time. The leader takes every batch
// that is queued, writes each with one pwrite, syncs once if anyone asked for Durable, publishes the watermarks, and
// wakes the waiters with one call a batch. Commits that arrive meanwhile gather in the next batch: the device sets the
// pace, and no timer is needed. On leaving, the leader offers the lead to one waiter of the next batch. A lone client
// always leads itself, without a hand-over.
//
// INVARIANTS. Batches complete in order. A batch is complete when written or, if anyone asked for Durable before it was
// taken, when synced; then visible moves, then durable, and only then are its waiters woken. Any error while leading
// fails this batch and all after it, and the store: a failed sync is never retried. Waiting for Durable on a batch that
// is complete at Written syncs without a new batch.
//
// Lost wake-ups. A waiter tries to lead before each sleep, and sleeps only on the state that it saw before it tried. A
// leaving leader first gives up the lead, then looks at the queue, and changes the state of the batches it finds there
// before it wakes. So a waiter that failed to lead is either seen by that look, or its sleep returns at once. Every
// queued batch is offered the lead, since nobody may wait for the first.
//
// Lifetime. Tickets, and so this, outlive the store; the journal and the sequencer do not. end() waits for the threads
// that use them on behalf of a ticket and lets no others in. By then every commit is durable or has failed, so nobody
// needs to lead any more.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "azoth/canonical/commit.h"
#include "azoth/core/clock.h"
#include "batch.h"
#include "commit_state.h"
#include "histogram.h"
#include "notifier.h"

namespace azoth {

class Journal;
class Sequencer;

class GroupCommit {
 public:
  GroupCommit(Journal& journal, Sequencer& sequencer, std::shared_ptr<CommitState> state);

  // Waits until the commit, which is in `batch`, has reached the level; false on the deadline. Throws StoreFailed with
  // an unknown outcome if it never will.
  bool wait(Batch& batch, CommitSeq commit, Durability level, Deadline deadline);

  // The same for everything up to `commit`, in whatever batches.
  bool wait_for_all(CommitSeq commit, Durability level, Deadline deadline);

  bool reached(CommitSeq commit, Durability level) const { return state_.marks.reached(commit, level); }

  // Runs a callback when its commit has ended; the syncer leads for it at once.
  void call_back(Notifier::Request request);
  Notifier& notifier() { return notifier_; }

  // Makes what was applied durable without holding the lead while the device works: writers who ask for Written only go
  // on meanwhile. The syncer's.
  void sync_in_background();

  // For the one thread that may sequence: writes what is queued, at whatever level that is complete already; begins a
  // journal segment, with this commit, when nothing is queued. Both throw StoreFailed if that fails, and the store has.
  void write_queued();
  void start_segment(CommitSeq first_commit);

  // What callbacks wait for: the syncer's to do.
  bool demanded() const;
  void satisfy_demands();

  // When nothing is sequenced any more: settles what is still queued, and returns when nobody leads, for good.
  void end() noexcept;

  std::uint64_t batches() const { return batches_.load(std::memory_order_relaxed); }
  std::uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }

  struct Measures {
    Histogram wait_written;  // of those who had to wait
    Histogram wait_durable;
    Histogram sync;
    Histogram batch_commits;
    std::atomic<std::uint64_t> bytes{0};   // written to the journal
    std::atomic<std::uint64_t> stalls{0};  // waits longer than kStall
  };
  static constexpr std::chrono::milliseconds kStall{50};
  const Measures& measures() const { return measures_; }

 private:
  bool wait_in_batch(Batch& batch, CommitSeq commit, Durability level, Deadline deadline);
  bool enter();  // false after end()
  void leave();
  bool try_lead();
  void take_lead();
  void lead() noexcept;
  void write_and_sync(const std::shared_ptr<Batch>& taken);
  void write(Batch& batch);
  void sync();
  void complete(Batch& batch, Batch::State state);
  void fail(const Error& cause, const std::shared_ptr<Batch>& taken) noexcept;
  void give_up_lead();
  void offer_lead();
  void announce();

  Journal& journal_;
  Sequencer& sequencer_;
  const std::shared_ptr<CommitState> shared_state_;  // tickets outlive the store, and ask for it
  CommitState& state_;

  Notifier notifier_;
  std::array<std::atomic<CommitSeq>, 4> demanded_{};  // by level, by callbacks

  std::atomic<std::uint32_t> inside_{0};  // threads that use the journal and the sequencer, or are about to
  std::atomic<bool> ended_{false};
  std::atomic<bool> leading_{false};
  std::atomic<CommitSeq> durable_wanted_{0};  // by waiters of no batch, or of one that is complete at Written
  std::atomic<std::uint32_t> round_{0};       // what those sleep on; changes when a leader leaves
  std::atomic<std::uint32_t> round_waiters_{0};
  std::atomic<std::uint64_t> batches_{0};
  std::atomic<std::uint64_t> syncs_{0};
  Measures measures_;

  std::atomic<CommitSeq> written_;  // in the journal file; moved by the leader
  std::mutex sync_mutex_;           // held while the device syncs, and to move the durable mark

  // The leader's.
  std::string buffer_;
};

// Makes tickets: the one friend they have.
class TicketMaker {
 public:
  static Ticket make(const CommitInfo& info, Durability level, std::shared_ptr<Batch> batch,
                     std::shared_ptr<GroupCommit> group);
};

}  // namespace azoth
