// The sequencer: step 5 of the write path. Under one mutex, held for a microsecond or two, a transaction gets its
// place: gate and conditions are checked, journal room is taken, commit number and event ids are assigned, its versions
// and events enter the Delta, its record joins the open batch, and it is Applied.
//
// Everything that can fail is checked before a number is assigned; what fails after that (memory) fails the store, and
// the record is in no batch. Nobody waits while holding the mutex, and no user code runs under it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "admission.h"
#include "azoth/canonical/commit.h"
#include "azoth/canonical/condition.h"
#include "azoth/canonical/options.h"
#include "azoth/canonical/write_set.h"
#include "batch.h"
#include "commit_state.h"
#include "condition_check.h"
#include "delta.h"
#include "gate.h"
#include "histogram.h"
#include "short_mutex.h"
#include "view.h"
#include "wake_signal.h"

namespace azoth {

class Journal;

// How much of a map of this size may be used before only deletions pass: LMDB needs room to delete, too.
constexpr std::uint64_t soft_limit(std::uint64_t map_bytes) { return map_bytes / 10 * 9; }

// At most this many Deltas wait to be flushed; another one fills meanwhile.
inline constexpr std::size_t kMaxFrozen = 2;

class Sequencer {
 public:
  struct Start {
    CommitSeq last_commit;
    EventId last_event;
  };

  Sequencer(std::shared_ptr<Environment> environment, Journal& journal, CommitState& state, Admission& admission,
            Gate& gate, const Options& options, Clock& clock, Start start);

  struct Sequenced {
    CommitInfo info;
    std::shared_ptr<Batch> batch;  // null for an empty transaction
  };
  struct Rejected {
    Rejection rejection;
    CommitSeq at;  // the commit it rests on
  };
  struct Stale {};  // the conditions were evaluated too long ago to know what came since: evaluate them again
  using Result = std::variant<Sequenced, Rejected, Stale>;

  // `conditions` held when they were evaluated, and the keys they are on have been locked since before that. Throws as
  // Store::submit does; on anything but Sequenced the set is untouched.
  Result commit(WriteSet& set, std::span<const Condition> conditions, const Evaluated& evaluated, Durability level,
                Deadline deadline, Gate::Writer writer = Gate::Writer::User);

  // Shuts everyone else out, for a bulk transaction; at its end they go on, in the order in which they came.
  class Closure;

  // Returns when no bulk transaction is under way.
  void wait_until_open();
  std::size_t waiting() const;  // for the end of one

  const Histogram& bulk_waits() const { return bulk_waits_; }  // of those who had to
  const Histogram& journal_waits() const { return journal_waits_; }

  // Changes the gate between two commits.
  template <class Change>
  void change_gate(Change change) {
    std::lock_guard lock(mutex_);
    change(gate_);
  }

  std::shared_ptr<const View> view() const { return views_->load(); }
  const std::shared_ptr<ViewHolder>& views() const { return views_; }
  void retire_view();  // no new snapshots; the environment ends with those that are alive
  EventId next_event() const;

  // --- The leader's part.
  std::shared_ptr<Batch> take_batches() noexcept;  // all that are queued, linked by `next`
  std::shared_ptr<Batch> first_batch() const;
  std::shared_ptr<Batch> batch_after(const Batch& batch) const;

  // --- The flusher's part.
  // Starts a new Delta if the current one holds commits; false if it is empty or as many as allowed are frozen.
  bool freeze();
  std::shared_ptr<const Delta> oldest_frozen() const;
  void drop_oldest();                // after LMDB holds it
  std::size_t pinned_bytes() const;  // of those that were dropped and that snapshots keep alive
  // When the oldest commit of the filling Delta was sequenced, if it has one.
  std::optional<Deadline> filling_since() const;
  bool room_wanted() const { return admission_.waiting() != 0; }
  // What LMDB has used, for the limit above which only deletions pass.
  void set_lmdb_space(std::uint64_t used, std::uint64_t map);

  void wake_all_waiters();  // to look at the failure
  Signal& syncer_signal() { return syncer_signal_; }
  Signal& flusher_signal() { return flusher_signal_; }

 private:
  void wait_for_turn(std::unique_lock<ShortMutex>& lock, Deadline deadline);
  void wait_for_journal_room(std::unique_lock<ShortMutex>& lock, Deadline deadline);
  void open();
  void check(const WriteSet& set, Gate::Writer writer) const;
  void check_space(const WriteSet& set) const;
  bool make_room(std::size_t record_bytes);
  void finish_open_batch();
  std::optional<Result> check_conditions(std::span<const Condition> conditions, const Evaluated& evaluated) const;
  bool freeze_locked();
  void publish(std::shared_ptr<const View> view);
  CommitInfo next_info(const WriteSet& set, Timestamp time) const;
  CommitInfo assign(WriteSet& set, Durability level, Timestamp time);
  Batch& open_batch();
  void queue_batch(std::shared_ptr<Batch> batch);

  Journal& journal_;
  CommitState& state_;
  Admission& admission_;
  Gate& gate_;
  const Options options_;
  Clock& clock_;
  Signal syncer_signal_;
  Signal flusher_signal_;
  Histogram bulk_waits_;
  Histogram journal_waits_;

  mutable ShortMutex mutex_;  // everything below
  EventId next_event_;
  std::shared_ptr<Delta> delta_;  // the one that is filled: the first of the view
  std::optional<Deadline> filling_since_;
  std::vector<std::weak_ptr<const Delta>> dropped_;  // some of them still alive
  std::uint64_t lmdb_used_ = 0;
  std::uint64_t lmdb_map_ = 0;

  bool closed_ = false;                           // to all but the bulk transaction that closed it
  std::list<std::condition_variable_any> turns_;  // of those who came meanwhile
  std::condition_variable_any opened_;

  // The queue of batches; the last one is open if `open_`.
  std::shared_ptr<Batch> first_batch_;
  std::shared_ptr<Batch> last_batch_;
  bool open_ = false;
  std::uint64_t offset_;  // in the segment, where the open batch stands or the next one will
  bool next_starts_segment_ = false;

  const std::shared_ptr<View> nothing_ = std::make_shared<View>();  // to close with: there may be no memory then
  std::shared_ptr<const View> view_;                                // what views_ shows
  const std::shared_ptr<ViewHolder> views_ = std::make_shared<ViewHolder>();
};

// The steps of a bulk transaction that concern the order of commits (bulk_commit.h has all of them). One thread.
class Sequencer::Closure {
 public:
  // Waits in turn, checks what commit() checks, and closes the sequencer. Throws Backpressure on the deadline.
  Closure(Sequencer& sequencer, const WriteSet& set, Deadline deadline, Gate::Writer writer);
  ~Closure();  // opens it; unless finish() was called, nothing has changed
  Closure(const Closure&) = delete;
  Closure& operator=(const Closure&) = delete;

  void check();  // gate, failure, space

  // Takes journal room for a batch without records; whether a segment must be started for it.
  bool take_room(Deadline deadline);

  // Gives the transaction its number and its event ids, which nobody sees yet, and makes a Delta of it alone.
  std::unique_ptr<Delta> place(WriteSet& set);

  // When LMDB holds it: everybody sees it, its batch is queued, and the sequencer is open again.
  Sequenced finish();

 private:
  Sequencer& sequencer_;
  const WriteSet& set_;
  const Gate::Writer writer_;
  bool closed_ = true;
  CommitInfo info_;
  // Made before LMDB's commit, so that nothing can fail behind it.
  std::shared_ptr<Delta> next_delta_;
  std::shared_ptr<View> next_view_;
  std::shared_ptr<Batch> batch_;
};

}  // namespace azoth
