#include "sequencer.h"

#include <new>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "journal.h"

namespace azoth {

namespace {

// A Delta with more rows than this is followed by a new one, so that flushing it dirties fewer pages than LMDB holds in
// memory for one transaction (131,071).
constexpr std::size_t kMaxRows = 100'000;

}  // namespace

Sequencer::Sequencer(std::shared_ptr<Environment> environment, Journal& journal, CommitState& state,
                     Admission& admission, Gate& gate, const Options& options, Clock& clock, Start start)
    : journal_(journal),
      state_(state),
      admission_(admission),
      gate_(gate),
      options_(options),
      clock_(clock),
      next_event_(start.last_event + 1),
      delta_(std::make_shared<Delta>(start.last_commit + 1, next_event_, options.delta_bytes)),
      offset_(journal.segment_bytes()),  // the first batch starts a segment
      view_(std::make_shared<View>(View{std::move(environment), {delta_}})) {
  views_->store(view_);
}

Sequencer::Result Sequencer::commit(WriteSet& set, std::span<const Condition> conditions, const Evaluated& evaluated,
                                    Durability level, Deadline deadline, Gate::Writer writer) {
  Timestamp now = clock_.now();
  std::unique_lock lock(mutex_);
  while (true) {
    wait_for_turn(lock, deadline);
    check(set, writer);
    if (set.empty() || make_room(set.bytes())) break;
    wait_for_journal_room(lock, deadline);
  }
  if (auto result = check_conditions(conditions, evaluated)) return *result;
  CommitInfo info;
  info.commit_seq = state_.marks.applied.load(std::memory_order_relaxed);
  if (set.empty()) return Sequenced{info, nullptr};
  bool full = delta_->bytes() >= options_.delta_bytes || delta_->rows() >= kMaxRows;
  bool flusher_concerned = (full && freeze_locked()) || !filling_since_;
  info = assign(set, level, now);
  std::shared_ptr<Batch> batch = last_batch_;
  lock.unlock();
  syncer_signal_.notify_if_asleep();
  if (flusher_concerned) flusher_signal_.notify_if_asleep();
  return Sequenced{info, std::move(batch)};
}

// While a bulk transaction is under way, and until those who came before have had their turn.
void Sequencer::wait_for_turn(std::unique_lock<ShortMutex>& lock, Deadline deadline) {
  if (!closed_ && turns_.empty()) return;
  Timed timed(bulk_waits_);
  auto turn = turns_.emplace(turns_.end());
  auto mine = [&] { return !closed_ && turn == turns_.begin(); };
  bool in_time = true;
  if (deadline == kNoDeadline) {
    turn->wait(lock, mine);
  } else {
    in_time = turn->wait_until(lock, deadline, mine);
  }
  turns_.erase(turn);
  if (!closed_ && !turns_.empty()) turns_.front().notify_one();
  if (in_time) return;
  throw Error(ErrorCode::Backpressure, "a bulk transaction is being committed and did not end in time; try again");
}

void Sequencer::wait_for_journal_room(std::unique_lock<ShortMutex>& lock, Deadline deadline) {
  Timed timed(journal_waits_);
  lock.unlock();
  if (!journal_.wait_for_spare(deadline)) {
    throw Error(ErrorCode::Backpressure, "the journal has no room yet; the disk is slower than the writers. Try again");
  }
  lock.lock();
}

void Sequencer::open() {
  closed_ = false;
  if (!turns_.empty()) turns_.front().notify_one();
  opened_.notify_all();
}

void Sequencer::wait_until_open() {
  std::unique_lock lock(mutex_);
  opened_.wait(lock, [&] { return !closed_; });
}

std::size_t Sequencer::waiting() const {
  std::lock_guard lock(mutex_);
  return turns_.size();
}

void Sequencer::check(const WriteSet& set, Gate::Writer writer) const {
  gate_.check(writer);
  state_.failure.check();
  if (writer == Gate::Writer::User) check_space(set);
}

// Above the soft limit, less what the live Deltas may take when they are flushed, only deletions pass, and the store's
// own operations, which are not counted among the puts.
void Sequencer::check_space(const WriteSet& set) const {
  if (lmdb_map_ == 0 || (set.puts() == 0 && set.events() == 0)) return;
  const std::uint64_t limit = soft_limit(lmdb_map_);
  const std::uint64_t needed = 2 * (admission_.live_bytes() + set.bytes());
  if (lmdb_used_ + needed <= limit) return;
  throw Error(ErrorCode::NoSpace, "the map has too little room: of " + std::to_string(lmdb_map_) + " bytes " +
                                      std::to_string(lmdb_used_) + " are used, " + std::to_string(lmdb_map_ - limit) +
                                      " are kept free, and this transaction with those that are on their way there "
                                      "may need " +
                                      std::to_string(needed) + ". Delete keys, or open the store with a larger map");
}

// Room for one more record: in the open batch, or in a new one behind it, or in a new segment.
bool Sequencer::make_room(std::size_t record_bytes) {
  std::uint64_t alone = kBatchHeaderBytes + record_bytes;
  if (open_) {
    std::uint64_t together = last_batch_->bytes + record_bytes;
    if (together <= journal_.max_batch_bytes() && offset_ + together <= journal_.segment_bytes()) return true;
    finish_open_batch();
  }
  if (offset_ + alone <= journal_.segment_bytes()) return true;
  if (!journal_.take_spare()) return false;
  offset_ = kSegmentHeaderBytes;
  next_starts_segment_ = true;
  return true;
}

void Sequencer::finish_open_batch() {
  offset_ += align_batch(last_batch_->bytes);
  open_ = false;
}

// What came since the evaluation is all in the Deltas, unless the oldest of them begins later.
std::optional<Sequencer::Result> Sequencer::check_conditions(std::span<const Condition> conditions,
                                                             const Evaluated& evaluated) const {
  CommitSeq applied = state_.marks.applied.load(std::memory_order_relaxed);
  if (conditions.empty() || applied <= evaluated.at) return std::nullopt;
  if (view_->deltas.back()->first_commit() > evaluated.at + 1) return Stale{};
  auto failure = violated_since(conditions, view_->deltas, evaluated);
  if (!failure) return std::nullopt;
  return Rejected{{{std::move(*failure)}}, applied};
}

CommitInfo Sequencer::next_info(const WriteSet& set, Timestamp time) const {
  CommitInfo info;
  info.commit_seq = state_.marks.applied.load(std::memory_order_relaxed) + 1;
  info.events = set.events();
  info.first_event = set.events() == 0 ? 0 : next_event_;
  info.last_event = set.events() == 0 ? 0 : next_event_ + set.events() - 1;
  info.keys_written = set.puts();
  info.keys_deleted = set.deletes();
  info.time = time;
  return info;
}

CommitInfo Sequencer::assign(WriteSet& set, Durability level, Timestamp time) {
  Batch& batch = open_batch();
  if (!filling_since_) filling_since_ = std::chrono::steady_clock::now();
  CommitInfo info = next_info(set, time);
  RecordBuilder::seal(set, info.commit_seq, time, next_event_);
  std::size_t bytes = set.bytes();
  std::size_t before = delta_->bytes();
  CommitEntry* entry = nullptr;
  try {
    if (AZOTH_FAULT("sequencer.insert")) throw std::bad_alloc();
    entry = delta_->insert(RecordBuilder::take(std::move(set)));
  } catch (const std::bad_alloc&) {
    state_.failure.set_out_of_memory();
    wake_all_waiters();
    throw state_.failure.error();
  }
  admission_.book(delta_->bytes() - before);
  if (batch.last_entry == nullptr) {
    batch.first_entry = entry;
    batch.first_commit = info.commit_seq;
  } else {
    batch.last_entry->next_in_batch = entry;
  }
  batch.last_entry = entry;
  batch.last_commit = info.commit_seq;
  batch.bytes += bytes;
  batch.wants_durable |= level == Durability::Durable;
  next_event_ += info.events;
  state_.marks.applied.store(info.commit_seq, std::memory_order_seq_cst);
  return info;
}

Batch& Sequencer::open_batch() {
  if (open_) return *last_batch_;
  AZOTH_FAULT("sequencer.batch");
  auto batch = std::make_shared<Batch>();
  batch->bytes = kBatchHeaderBytes;
  batch->starts_segment = std::exchange(next_starts_segment_, false);
  queue_batch(std::move(batch));
  return *last_batch_;
}

void Sequencer::queue_batch(std::shared_ptr<Batch> batch) {
  if (last_batch_) {
    last_batch_->next = batch;
  } else {
    first_batch_ = batch;
  }
  last_batch_ = std::move(batch);
  open_ = true;
}

void Sequencer::publish(std::shared_ptr<const View> view) {
  view_ = std::move(view);
  views_->store(view_);
}

void Sequencer::retire_view() {
  std::lock_guard lock(mutex_);
  view_ = nothing_;
  views_->retire(nothing_);
}

EventId Sequencer::next_event() const {
  std::lock_guard lock(mutex_);
  return next_event_;
}

std::shared_ptr<Batch> Sequencer::take_batches() noexcept {
  std::lock_guard lock(mutex_);
  if (open_) finish_open_batch();
  last_batch_.reset();
  return std::exchange(first_batch_, nullptr);
}

std::shared_ptr<Batch> Sequencer::first_batch() const {
  std::lock_guard lock(mutex_);
  return first_batch_;
}

std::shared_ptr<Batch> Sequencer::batch_after(const Batch& batch) const {
  std::lock_guard lock(mutex_);
  return batch.next;
}

bool Sequencer::freeze() {
  std::lock_guard lock(mutex_);
  return !delta_->empty() && freeze_locked();
}

// The new Delta is in the published view before anything is inserted in it.
bool Sequencer::freeze_locked() {
  if (view_->deltas.size() > kMaxFrozen) return false;
  auto fresh = std::make_shared<Delta>(delta_->last_commit() + 1, next_event_, options_.delta_bytes);
  auto view = std::make_shared<View>(*view_);
  view->deltas.insert(view->deltas.begin(), fresh);
  delta_ = std::move(fresh);
  filling_since_.reset();
  publish(std::move(view));
  return true;
}

std::shared_ptr<const Delta> Sequencer::oldest_frozen() const {
  std::shared_ptr<const View> now = view();
  return now->deltas.size() > 1 ? now->deltas.back() : nullptr;
}

void Sequencer::drop_oldest() {
  std::shared_ptr<const View> old = view();  // whose last Delta is freed outside the lock
  std::lock_guard lock(mutex_);
  auto view = std::make_shared<View>(*view_);
  std::erase_if(dropped_, [](const auto& delta) { return delta.expired(); });
  dropped_.push_back(view->deltas.back());
  admission_.release(view->deltas.back()->bytes());  // when nothing can fail any more
  view->deltas.pop_back();
  publish(std::move(view));
}

std::size_t Sequencer::pinned_bytes() const {
  std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& dropped : dropped_) {
    if (auto delta = dropped.lock()) bytes += delta->bytes();
  }
  return bytes;
}

std::optional<Deadline> Sequencer::filling_since() const {
  std::lock_guard lock(mutex_);
  return filling_since_;
}

void Sequencer::set_lmdb_space(std::uint64_t used, std::uint64_t map) {
  std::lock_guard lock(mutex_);
  lmdb_used_ = used;
  lmdb_map_ = map;
}

void Sequencer::wake_all_waiters() {
  admission_.wake_all();
  syncer_signal_.notify();
  flusher_signal_.notify();
  state_.followers.announce();
}

// --- Bulk transactions

Sequencer::Closure::Closure(Sequencer& sequencer, const WriteSet& set, Deadline deadline, Gate::Writer writer)
    : sequencer_(sequencer), set_(set), writer_(writer) {
  std::unique_lock lock(sequencer_.mutex_);
  sequencer_.wait_for_turn(lock, deadline);
  sequencer_.check(set_, writer_);
  sequencer_.closed_ = true;
}

Sequencer::Closure::~Closure() {
  if (!closed_) return;
  std::lock_guard lock(sequencer_.mutex_);
  sequencer_.open();
}

void Sequencer::Closure::check() {
  std::lock_guard lock(sequencer_.mutex_);
  sequencer_.check(set_, writer_);
}

bool Sequencer::Closure::take_room(Deadline deadline) {
  std::unique_lock lock(sequencer_.mutex_);
  while (!sequencer_.make_room(0)) sequencer_.wait_for_journal_room(lock, deadline);
  return std::exchange(sequencer_.next_starts_segment_, false);
}

std::unique_ptr<Delta> Sequencer::Closure::place(WriteSet& set) {
  Sequencer& s = sequencer_;
  info_ = s.next_info(set, s.clock_.now());
  EventId next_event = s.next_event_ + info_.events;
  next_delta_ = std::make_shared<Delta>(info_.commit_seq + 1, next_event, s.options_.delta_bytes);
  next_view_ = std::make_shared<View>(View{s.view_->environment, {next_delta_}});
  batch_ = std::make_shared<Batch>();
  batch_->first_commit = batch_->last_commit = info_.commit_seq;
  batch_->bytes = kBatchHeaderBytes;
  RecordBuilder::seal(set, info_.commit_seq, info_.time, s.next_event_);
  auto delta = std::make_unique<Delta>(info_.commit_seq, s.next_event_, set.bytes());
  delta->insert(RecordBuilder::take(std::move(set)));
  return delta;
}

// What a snapshot finds is right at each step: LMDB holds the commit, so it needs none of what changes here.
Sequencer::Sequenced Sequencer::Closure::finish() {
  Sequencer& s = sequencer_;
  std::lock_guard lock(s.mutex_);
  s.next_event_ += info_.events;
  s.delta_ = std::move(next_delta_);
  s.publish(std::move(next_view_));
  for (auto* mark : {&s.state_.marks.applied, &s.state_.marks.visible, &s.state_.marks.durable}) {
    mark->store(info_.commit_seq);
  }
  AZOTH_FAULT("bulk.marks");
  s.state_.marks.flushed.store(info_.commit_seq);
  s.state_.failure.durable_has_moved();
  s.queue_batch(batch_);
  s.finish_open_batch();
  closed_ = false;
  s.open();
  return {info_, std::move(batch_)};
}

}  // namespace azoth
