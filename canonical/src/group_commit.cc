#include "group_commit.h"

#include <exception>
#include <utility>

#include "azoth/core/fault.h"
#include "azoth/core/futex.h"
#include "journal.h"
#include "sequencer.h"

namespace azoth {

namespace {
// The write buffer keeps its memory between batches up to this size.
constexpr std::size_t kKeptBuffer = std::size_t{4} << 20;

void raise(std::atomic<CommitSeq>& mark, CommitSeq commit) {
  CommitSeq seen = mark.load(std::memory_order_relaxed);
  while (seen < commit && !mark.compare_exchange_weak(seen, commit, std::memory_order_seq_cst)) {
  }
}

// False on the deadline.
bool sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t seen, Deadline deadline) {
  if (AZOTH_FAULT("group.sleep")) return true;  // woken for no reason
  return futex::wait(word, seen, deadline);
}
}  // namespace

GroupCommit::GroupCommit(Journal& journal, Sequencer& sequencer, std::shared_ptr<CommitState> state)
    : journal_(journal),
      sequencer_(sequencer),
      shared_state_(std::move(state)),
      state_(*shared_state_),
      notifier_(shared_state_),
      written_(state_.marks.applied.load()) {}

bool GroupCommit::wait(Batch& batch, CommitSeq commit, Durability level, Deadline deadline) {
  if (level == Durability::Applied || (batch.complete() && reached(commit, level))) return true;
  Timed timed(level == Durability::Durable ? measures_.wait_durable : measures_.wait_written);
  bool in_time = wait_in_batch(batch, commit, level, deadline);
  if (timed.elapsed() > kStall) measures_.stalls.fetch_add(1, std::memory_order_relaxed);
  return in_time;
}

bool GroupCommit::wait_in_batch(Batch& batch, CommitSeq commit, Durability level, Deadline deadline) {
  while (true) {
    std::uint32_t seen = batch.word.load(std::memory_order_seq_cst);
    if (batch.state() == Batch::Failed) throw state_.failure.error().with_unknown_outcome();
    if (batch.complete()) return wait_for_all(commit, level, deadline);
    if (try_lead()) {
      lead();
      continue;
    }
    batch.waiters.fetch_add(1, std::memory_order_seq_cst);
    bool in_time = sleep_on(batch.word, seen, deadline);
    batch.waiters.fetch_sub(1, std::memory_order_seq_cst);
    if (in_time) continue;
    // The lead may have been offered to this thread in particular: pass it on.
    if (!batch.complete()) futex::wake(batch.word, 1);
    return reached(commit, level);
  }
}

bool GroupCommit::wait_for_all(CommitSeq commit, Durability level, Deadline deadline) {
  if (reached(commit, level)) return true;
  if (level == Durability::Durable) raise(durable_wanted_, commit);
  round_waiters_.fetch_add(1, std::memory_order_seq_cst);
  bool in_time = true;
  while (true) {
    std::uint32_t round = round_.load(std::memory_order_seq_cst);
    if (reached(commit, level) || state_.failure.failed() || !in_time) break;
    if (try_lead()) {
      lead();
    } else {
      in_time = sleep_on(round_, round, deadline);
    }
  }
  round_waiters_.fetch_sub(1, std::memory_order_seq_cst);
  if (reached(commit, level)) return true;
  if (state_.failure.failed()) throw state_.failure.error().with_unknown_outcome();
  return false;
}

void GroupCommit::call_back(Notifier::Request request) {
  if (!reached(request.info.commit_seq, request.level) && enter()) {
    raise(demanded_.at(static_cast<std::size_t>(request.level)), request.info.commit_seq);
    sequencer_.syncer_signal().notify();
    leave();
  }
  if (!notifier_.add(request)) notify(request, state_);
}

bool GroupCommit::demanded() const {
  for (Durability level : {Durability::Written, Durability::Durable}) {
    if (!reached(demanded_.at(static_cast<std::size_t>(level)).load(std::memory_order_seq_cst), level)) return true;
  }
  return false;
}

void GroupCommit::satisfy_demands() {
  for (Durability level : {Durability::Written, Durability::Durable}) {
    wait_for_all(demanded_.at(static_cast<std::size_t>(level)).load(std::memory_order_seq_cst), level, kNoDeadline);
  }
}

bool GroupCommit::enter() {
  inside_.fetch_add(1, std::memory_order_seq_cst);
  if (!ended_.load(std::memory_order_seq_cst)) return true;
  leave();
  return false;
}

void GroupCommit::leave() {
  bool last = inside_.fetch_sub(1, std::memory_order_seq_cst) == 1;
  if (last && ended_.load(std::memory_order_seq_cst)) futex::wake_all(inside_);
}

// What a failure left in the queue is failed by whoever leads next; if nobody does, it is done here.
void GroupCommit::end() noexcept {
  take_lead();
  lead();
  ended_.store(true, std::memory_order_seq_cst);
  while (std::uint32_t inside = inside_.load(std::memory_order_seq_cst)) futex::wait(inside_, inside, kNoDeadline);
}

// Only before end().
void GroupCommit::take_lead() {
  round_waiters_.fetch_add(1, std::memory_order_seq_cst);
  while (true) {
    std::uint32_t round = round_.load(std::memory_order_seq_cst);
    if (try_lead()) break;
    futex::wait(round_, round, kNoDeadline);
  }
  round_waiters_.fetch_sub(1, std::memory_order_seq_cst);
}

void GroupCommit::write_queued() {
  take_lead();
  lead();
  state_.failure.check();
}

void GroupCommit::start_segment(CommitSeq first_commit) {
  take_lead();
  try {
    state_.failure.check();
    if (written_.load(std::memory_order_relaxed) > state_.marks.durable.load()) sync();
    journal_.start_segment(first_commit);
  } catch (const Error& error) {
    fail(error, nullptr);
  } catch (const std::exception&) {
    fail(no_memory(), nullptr);
  }
  give_up_lead();
  leave();
  state_.failure.check();
}

bool GroupCommit::try_lead() {
  if (leading_.load(std::memory_order_seq_cst) || !enter()) return false;
  if (!leading_.exchange(true, std::memory_order_seq_cst)) return true;
  leave();
  return false;
}

// --- Leading

void GroupCommit::lead() noexcept {
  std::shared_ptr<Batch> taken = sequencer_.take_batches();
  try {
    state_.failure.check();
    write_and_sync(taken);
  } catch (const Error& error) {
    fail(error, taken);
  } catch (const std::exception&) {
    fail(no_memory(), taken);
  }
  give_up_lead();
  leave();
  for (Batch* batch = taken.get(); batch != nullptr; batch = batch->next.get()) {
    if (batch->waiters.load(std::memory_order_seq_cst) != 0) futex::wake_all(batch->word);
  }
}

void GroupCommit::write_and_sync(const std::shared_ptr<Batch>& taken) {
  Batch* unsynced = nullptr;  // the first that completes only with the sync
  for (Batch* batch = taken.get(); batch != nullptr; batch = batch->next.get()) {
    write(*batch);
    state_.failure.check();  // the syncer's sync of what is before this batch may have failed meanwhile
    if (unsynced == nullptr && batch->wants_durable) unsynced = batch;
    if (unsynced == nullptr) complete(*batch, Batch::Written);
  }
  CommitSeq durable = state_.marks.durable.load(std::memory_order_relaxed);
  if (unsynced == nullptr && durable_wanted_.load(std::memory_order_seq_cst) <= durable) return;
  for (Batch* batch = taken.get(); batch != unsynced; batch = batch->next.get()) {
    if (batch->waiters.load(std::memory_order_seq_cst) != 0) futex::wake_all(batch->word);  // no need to wait for it
  }
  if (written_.load(std::memory_order_relaxed) > durable) sync();
  for (Batch* batch = unsynced; batch != nullptr; batch = batch->next.get()) complete(*batch, Batch::Durable);
}

void GroupCommit::write(Batch& batch) {
  if (batch.starts_segment) {
    if (written_.load(std::memory_order_relaxed) > state_.marks.durable.load()) sync();
    journal_.start_segment(batch.first_commit);
  }
  buffer_.reserve(batch.bytes);
  buffer_.resize(kBatchHeaderBytes);
  for (const CommitEntry* entry = batch.first_entry; entry != nullptr; entry = entry->next_in_batch) {
    buffer_.append(entry->record);
  }
  BatchHeader header;
  header.first_commit = batch.first_commit;
  header.last_commit = batch.last_commit;
  header.synced_through = state_.marks.durable.load(std::memory_order_relaxed);
  header.lmdb_through = state_.marks.flushed.load(std::memory_order_acquire);
  journal_.write(buffer_, header);
  written_.store(batch.last_commit, std::memory_order_release);
  batches_.fetch_add(1, std::memory_order_relaxed);
  measures_.batch_commits.record(batch.last_commit - batch.first_commit + 1);
  measures_.bytes.fetch_add(buffer_.size(), std::memory_order_relaxed);
  if (buffer_.capacity() > kKeptBuffer) std::string().swap(buffer_);
}

// One at a time, because the kernel tells only one of two concurrent syncs about an error; so whoever comes second sees
// the failure that the first has noted. What is written meanwhile is not counted.
void GroupCommit::sync() {
  std::lock_guard lock(sync_mutex_);
  state_.failure.check();
  CommitSeq written = written_.load(std::memory_order_acquire);
  if (reached(written, Durability::Durable)) return;  // by the one this one has waited for
  try {
    Timed timed(measures_.sync);
    journal_.sync();
    if (AZOTH_FAULT("group.synced")) throw Error(ErrorCode::Io, "a fault was injected after the sync");
  } catch (const Error& error) {
    state_.failure.set(error);
    throw;
  } catch (const std::exception&) {  // it has failed, and there was no memory to say why
    state_.failure.set(no_memory());
    throw;
  }
  syncs_.fetch_add(1, std::memory_order_relaxed);
  // What is durable is visible: a batch that was written but not yet complete completes with this sync, and the ones
  // before it have.
  raise(state_.marks.visible, written);
  raise(state_.marks.durable, written);
  state_.failure.durable_has_moved();
}

void GroupCommit::sync_in_background() {
  wait_for_all(state_.marks.applied.load(), Durability::Written, kNoDeadline);
  if (!enter()) return;
  try {
    if (written_.load(std::memory_order_acquire) > state_.marks.durable.load()) sync();
  } catch (const Error& error) {
    fail(error, nullptr);
  } catch (const std::exception&) {
    fail(no_memory(), nullptr);
  }
  announce();
  leave();
}

void GroupCommit::complete(Batch& batch, Batch::State state) {
  raise(state_.marks.visible, batch.last_commit);
  batch.word.store(state, std::memory_order_seq_cst);
}

// This batch and all after it: those taken, and those that were sequenced before the sequencer saw the failure. What a
// change of segments has synced before is durable all the same.
void GroupCommit::fail(const Error& cause, const std::shared_ptr<Batch>& taken) noexcept {
  state_.failure.set(cause);
  std::shared_ptr<Batch> rest = sequencer_.take_batches();
  for (Batch* batch : {taken.get(), rest.get()}) {
    for (; batch != nullptr; batch = batch->next.get()) {
      if (batch->complete()) continue;
      bool safe = reached(batch->last_commit, Durability::Durable);
      batch->word.store(safe ? Batch::Durable : Batch::Failed, std::memory_order_seq_cst);
      futex::wake_all(batch->word);
    }
  }
  sequencer_.wake_all_waiters();
}

void GroupCommit::give_up_lead() {
  leading_.store(false, std::memory_order_seq_cst);
  offer_lead();
  announce();
}

// To those who wait for no batch, or for one that is complete at Written.
void GroupCommit::announce() {
  if (round_waiters_.load(std::memory_order_seq_cst) != 0) {
    round_.fetch_add(1, std::memory_order_seq_cst);
    futex::wake_all(round_);
  }
  state_.followers.announce();
}

void GroupCommit::offer_lead() {
  for (auto batch = sequencer_.first_batch(); batch; batch = sequencer_.batch_after(*batch)) {
    std::uint32_t seen = batch->word.load(std::memory_order_relaxed);
    do {
      if (seen % Batch::kStates != Batch::Waiting) return;  // another leader has been faster
    } while (!batch->word.compare_exchange_weak(seen, seen + Batch::kStates, std::memory_order_seq_cst));
    if (batch->waiters.load(std::memory_order_seq_cst) != 0) futex::wake(batch->word, 1);
  }
}

Ticket TicketMaker::make(const CommitInfo& info, Durability level, std::shared_ptr<Batch> batch,
                         std::shared_ptr<GroupCommit> group) {
  Ticket ticket;
  ticket.info_ = info;
  ticket.level_ = level;
  ticket.batch_ = std::move(batch);
  ticket.group_ = std::move(group);
  return ticket;
}

}  // namespace azoth
