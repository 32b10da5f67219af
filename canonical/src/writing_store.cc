#include "writing_store.h"

#include <algorithm>
#include <utility>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/log.h"
#include "azoth/core/thread.h"
#include "bulk_rows.h"
#include "recovery.h"
#include "replay_into_lmdb.h"
#include "settings.h"
#include "store_event_source.h"
#include "store_metrics.h"
#include "user_code.h"
#include "verify.h"

namespace azoth {

// --- Opening

WritingStore::WritingStore(const std::filesystem::path& directory, const Options& options, FileSystem& fs)
    : options_(options),
      fs_(fs),
      paths_(directory),
      admission_((kMaxFrozen + 1) * options.delta_bytes, state_.failure),
      stripe_locks_(options.stripes) {
  check_options(options_);
  identity_.store_id = read_identity(fs_, paths_).store_id;
  recover(open_environment());
  // Left by a creation that was interrupted at its very end.
  if (fs_.exists(paths_.creating)) fs_.remove(paths_.creating);
}

std::shared_ptr<Environment> WritingStore::open_environment() {
  auto environment = std::make_shared<Environment>(
      std::make_unique<DirectoryClaim>(paths_, DirectoryClaim::Mode::Write), paths_.canonical, lmdb_settings(options_),
      LmdbEnv::Mode::Write, identity_.store_id, options_.verify_reads);
  StoreRow row = environment->rows.store(environment->lmdb.begin_read());
  identity_ = journal_identity(row, identity_.store_id, paths_);
  created_ = row.created;
  return environment;
}

WritingStore::~WritingStore() {
  try {
    shut_down();
  } catch (const std::exception& error) {
    log(LogLevel::Error, "closing the store: ", error.what());
  }
}

namespace {

// What is looked at whenever a store is opened after a crash: a gigabyte takes less than a second if it is in memory.
// Of a larger file only `verify` and `repair` look at all pages.
constexpr std::uint64_t kMostPageBytes = std::uint64_t{1} << 30;

}  // namespace

// Replays what the journal holds above LMDB's commit, in pieces no larger than a Delta. Nothing is changed before all
// of it was found readable, and LMDB is given only what is durable in the journal.
void WritingStore::recover(const std::shared_ptr<Environment>& environment) {
  // Who was killed while LMDB was being written has left pages that are seen but may not be durable; from here on the
  // journal is given up for what LMDB says that it has.
  environment->lmdb.sync();
  Head head;
  {
    LmdbReadTxn txn = environment->lmdb.begin_read();
    head = environment->rows.head(txn);
    environment->lmdb.publish(txn.id(), head.last_commit);  // for all snapshots until the first flush
  }
  JournalFiles files = list_journal(fs_, paths_.journal, identity_);
  ReplayPlan plan = plan_recovery(fs_, paths_.journal, identity_, files, head.last_commit, head.clean,
                                  last_not_bulk(environment->lmdb.begin_read(), head.last_commit));
  recovery_.clean = head.clean && head.clean->segment_number == plan.tail.segment_number;
  recovery_.damage = plan.damage;
  recovery_.last_commit = plan.tail.last_commit;
  recovery_.recovered_commits = plan.tail.last_commit - head.last_commit;
  if (!plan.extents.empty() && environment->lmdb.space().end_bytes <= kMostPageBytes) {
    environment->lmdb.require_whole_pages();
  }
  if (!recovery_.clean) sync_plan(fs_, paths_.journal, plan);

  EventId last_event = replay_into_lmdb(environment->lmdb, environment->rows, fs_, paths_.journal, identity_, plan,
                                        head, options_.delta_bytes);
  for (auto* mark : {&state_.marks.applied, &state_.marks.visible, &state_.marks.durable, &state_.marks.flushed}) {
    mark->store(plan.tail.last_commit);
  }
  environment->claim->failure_is_settled();  // before the journal changes, which wakes those who follow it
  state_.failure.on_set([this, claim = environment->claim.get()] { claim->note_failure(state_.marks.durable.load()); });
  journal_ = std::make_unique<Journal>(fs_, paths_.journal, identity_, options_.segment_bytes, plan.tail, files,
                                       retained_behind(Retention(paths_.directory, fs_), identity_));
  retained_ = std::make_unique<RetainedJournal>(fs_, paths_.directory, *journal_, identity_);
  sequencer_ = std::make_unique<Sequencer>(environment, *journal_, state_, admission_, *gate_, options_,
                                           clock_of(options_), Sequencer::Start{plan.tail.last_commit, last_event});
  load_seal();
  group_ = std::make_shared<GroupCommit>(*journal_, *sequencer_, shared_state_);
  syncer_ = std::make_unique<Syncer>(*group_, sequencer_->syncer_signal(), state_, options_.sync_interval);
  flusher_ = std::make_unique<Flusher>(*environment, *journal_, *retained_, *sequencer_, *group_, state_, options_);
  bulk_commit_ = std::make_unique<BulkCommit>(*environment, *journal_, *sequencer_, *group_, *flusher_, state_);
  make_sequences();
}

// --- Writing

Ticket WritingStore::sequence(WriteSet& set, Durability level, Deadline until, Gate::Writer writer) {
  if (writer == Gate::Writer::User) check_limits(set);
  Sequencer::Result result = is_bulk(set) ? bulk_commit_->commit(
                                                set, [] { return Rejection{}; }, until, writer)
                                          : sequencer_->commit(set, {}, {}, level, until, writer);
  auto& sequenced = std::get<Sequencer::Sequenced>(result);
  return TicketMaker::make(sequenced.info, level, std::move(sequenced.batch), group_);
}

// What the journal cannot take, and what is larger than all that would have to be flushed before it.
bool WritingStore::is_bulk(const WriteSet& set) const {
  if (set.bytes() > journal_->max_batch_bytes() - kBatchHeaderBytes) return true;
  return set.bytes() > kBulkBytes && set.bytes() > admission_.live_bytes();
}

void WritingStore::check_limits(const WriteSet& set) const {
  auto check = [](std::size_t bytes, std::size_t most, ErrorCode code, const char* what) {
    if (bytes <= most) return;
    throw Error(code, std::string(what) + " has " + std::to_string(bytes) + " bytes and may have " +
                          std::to_string(most) + "; split it, or open the store with a larger limit");
  };
  check(set.largest_value(), options_.max_value_bytes, ErrorCode::ValueTooLarge, "a value");
  check(set.largest_event(), options_.max_event_bytes, ErrorCode::EventTooLarge, "an event");
  check(set.bytes(), options_.max_transaction_bytes, ErrorCode::TransactionTooLarge, "the transaction");
}

void WritingStore::check_value(std::string_view key, std::string_view value) const {
  if (value.size() <= options_.max_value_bytes) return;
  throw Error(ErrorCode::ValueTooLarge, "the value of key " + printable(key) + " has " + std::to_string(value.size()) +
                                            " bytes and may have " + std::to_string(options_.max_value_bytes));
}

std::size_t WritingStore::check_event(const Event& event) const {
  event_codec::validate(event);
  std::size_t size = event_codec::limited_size(event);
  if (size <= options_.max_event_bytes) return event_codec::encoded_size(event);
  throw Error(ErrorCode::EventTooLarge, "the event has " + std::to_string(size) + " bytes and may have " +
                                            std::to_string(options_.max_event_bytes));
}

void WritingStore::check_room(const WriteSet& set, std::size_t bytes) const {
  if (set.bytes() + bytes <= options_.max_transaction_bytes) return;
  throw Error(ErrorCode::TransactionTooLarge,
              "the transaction would have " + std::to_string(set.bytes() + bytes) + " bytes and may have " +
                  std::to_string(options_.max_transaction_bytes) + "; commit what it has and begin another");
}

void WritingStore::begin_exclusive(Deadline until) {
  gate_->check(Gate::Writer::User);
  state_.failure.check();
  check_not_nested();
  admission_.wait_for(0, until, sequencer_->flusher_signal());
  drain(until);
  try {
    gate_->check(Gate::Writer::User);  // what was waited for may have been a seal or a pause
  } catch (...) {
    end_exclusive();
    throw;
  }
}

// Waits for the transactions that are under way, and keeps others out until end_exclusive().
void WritingStore::drain(Deadline until) {
  check_open();
  check_not_nested();
  if (!transaction_lock_.lock_until(until)) {
    throw Error(ErrorCode::LockTimeout, "other transactions did not end in time; try again");
  }
  exclusive_thread_.store(this_thread_number());
}

void WritingStore::end_exclusive() {
  exclusive_thread_.store(0);
  transaction_lock_.unlock();
}

Deadline WritingStore::deadline(std::optional<std::chrono::nanoseconds> timeout) const {
  return deadline_after(timeout.value_or(options_.timeout));
}

void WritingStore::check_open() const {
  if (closed_.load()) throw Error(ErrorCode::Closed, "the store is closed");
}

void WritingStore::check_not_nested() const {
  if (group_->notifier().is_this_thread()) {
    throw Error(ErrorCode::NestedUse, "a callback may not make calls that wait for the store; hand them to a thread");
  }
  if (UserCode::runs_for(this)) {
    throw Error(ErrorCode::NestedUse,
                "this thread runs the body or a validator of a transaction, which this call would wait for; do it "
                "inside of that transaction, or after it");
  }
  if (exclusive_thread_.load() != this_thread_number()) return;
  throw Error(ErrorCode::NestedUse,
              "this thread has an exclusive transaction open, which this call would wait for; end that first");
}

// --- Seal and pause

namespace {

// Runs at the end of a scope.
template <class Action>
struct Finally {
  Action action;
  ~Finally() { action(); }
};
template <class Action>
Finally(Action) -> Finally<Action>;

}  // namespace

void WritingStore::load_seal() { gate_->set_sealed(sealed_event(*lmdb_snapshot())); }

// With the transactions drained no event id is assigned, and the gate is shut before the seal is sequenced: nothing
// gets between the last event and the seal, and nothing behind it.
EventId WritingStore::seal(Deadline until) {
  drain(until);
  Ticket ticket;
  EventId last = 0;
  {
    Finally release{[this] { end_exclusive(); }};
    WriteSet set;
    const std::optional<EventId> sealed = gate_->sealed();
    bool sealing = !sealed;
    if (!sealing) {
      last = *sealed;
    } else {
      last = next_event() - 1;
      RecordBuilder::put(set, Space::Meta, kSealKey, encode_seal(last));
      sequencer_->change_gate([&](Gate& gate) { gate.set_sealed(last); });
    }
    std::lock_guard returning(returning_);
    try {
      if (sealing) sequences_->return_rests(set);
      ticket = sequence(set, Durability::Durable, until, Gate::Writer::Seal);
      if (sealing) sequences_->rests_returned();
    } catch (...) {
      if (sealing) gate_->set_sealed(std::nullopt);
      throw;
    }
  }
  try {
    ticket.wait();
  } catch (const Error&) {  // nothing gets in any more, and for another reason than a seal
    gate_->set_sealed(std::nullopt);
    throw;
  }
  return last;
}

void WritingStore::unseal(Deadline until) {
  drain(until);
  Ticket ticket;
  {
    Finally release{[this] { end_exclusive(); }};
    WriteSet set;
    if (gate_->sealed()) RecordBuilder::del(set, Space::Meta, kSealKey);
    ticket = sequence(set, Durability::Durable, until, Gate::Writer::Seal);
    gate_->set_sealed(std::nullopt);
  }
  ticket.wait();
}

void WritingStore::pause(const std::string& owner, Deadline until) {
  drain(until);
  Finally release{[this] { end_exclusive(); }};
  sequencer_->change_gate([&](Gate& gate) { gate.pause(owner); });
  try {
    return_rests(until);
  } catch (...) {
    gate_->resume(owner);
    throw;
  }
}

// --- Sequences

void WritingStore::make_sequences() {
  Sequences::Backing backing;
  backing.check = [this] {
    gate_->check(Gate::Writer::User);
    state_.failure.check();
  };
  backing.load = [this](std::string_view name) { return stored_block(*read(Durability::Applied), name); };
  backing.reserve = [this](std::string_view name, const SequenceBlock& block, Durability level, Deadline until) {
    return reserve(name, block, level, until);
  };
  sequences_ = std::make_unique<Sequences>(options_.sequence_block, std::move(backing));
}

// Straight to the sequencer: whoever needs a number may hold the transaction lock and stripes.
CommitSeq WritingStore::reserve(std::string_view name, const SequenceBlock& block, Durability level, Deadline until) {
  WriteSet set;
  RecordBuilder::put(set, Space::Sequence, name, encode_block(block));
  return std::get<Sequencer::Sequenced>(sequencer_->commit(set, {}, {}, level, until)).info.commit_seq;
}

std::uint64_t WritingStore::allocate_sequence(std::string_view name, std::uint64_t n, Deadline until) {
  return sequences_->allocate(name, n, Durability::Applied, until).first;
}

std::uint64_t WritingStore::next_sequence(std::string_view name, std::uint64_t n, Durability level) {
  check_sequence_name(name);
  if (exclusive_thread_.load() == this_thread_number()) {
    throw Error(ErrorCode::NestedUse,
                "this thread has an exclusive transaction open; take the number with its own next_sequence");
  }
  check_not_nested();
  gate_->check(Gate::Writer::User);
  Deadline until = deadline({});
  admission_.wait_for(0, until, sequencer_->flusher_signal());
  Sequences::Range range = sequences_->allocate(name, n, level, until);
  // A number that is outside must not be handed out again after a crash.
  try {
    group_->wait_for_all(range.reserved_by, level, kNoDeadline);
  } catch (const Error&) {
    throw state_.failure.error();  // nothing was handed out, so nothing is in doubt
  }
  return range.first;
}

// What has no state in memory has not been used since the store was opened, and its row is exact. Hence the row first:
// a sequence that is used meanwhile is found behind it.
std::uint64_t WritingStore::peek_sequence(std::string_view name) {
  check_sequence_name(name);
  check_open();
  std::uint64_t stored = stored_block(*read(Durability::Applied), name).value_or(SequenceBlock{}).end();
  return sequences_->peek(name).value_or(stored);
}

std::vector<SequenceInfo> WritingStore::sequences() {
  check_open();
  std::vector<SequenceInfo> all = stored_sequences(*read(Durability::Applied));
  for (SequenceInfo& sequence : all) sequence.next = sequences_->peek(sequence.name).value_or(sequence.next);
  return all;
}

// For those who have shut the gate. A store that has failed keeps its rests: they are a gap. A close beside a pause
// waits until that one has returned them, and finds nothing more to do: else its commit could come after the pause has
// begun.
void WritingStore::return_rests(Deadline until) {
  std::lock_guard returning(returning_);
  if (state_.failure.failed()) return;
  WriteSet set;
  sequences_->return_rests(set);
  if (set.empty()) return;
  AZOTH_FAULT("sequences.return");
  sequence(set, Durability::Applied, until, Gate::Writer::Seal);
  sequences_->rests_returned();
}

// Answers why the rests were not returned.
std::optional<Error> WritingStore::close_sequences() noexcept {
  sequences_->close();
  try {
    return_rests(deadline({}));
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  } catch (const std::exception&) {
    return no_memory();
  }
}

// --- Reading

// An Applied snapshot of a failed store would show what can no longer be kept.
CommitSeq WritingStore::mark(Durability level) const {
  const Watermarks& marks = state_.marks;
  if (level == Durability::Durable) return marks.durable.load();
  bool applied = level == Durability::Applied && !state_.failure.failed();
  return applied ? marks.applied.load() : marks.visible.load();
}

std::unique_ptr<Snapshot> WritingStore::snapshot(CommitSeq at) const {
  return std::make_unique<Snapshot>(at, sequencer_->view());
}

std::unique_ptr<SubscriptionState> WritingStore::subscribe(EventId after) {
  check_open();
  return make_subscription(shared_state_, sequencer_->views(), after);
}

std::unique_ptr<EventSource> WritingStore::event_source() {
  check_open();
  return std::make_unique<StoreEventSource>(shared_state_, sequencer_->views(), identity_);
}

std::shared_ptr<Environment> WritingStore::environment() {
  std::shared_ptr<Environment> environment = sequencer_->view()->environment;
  if (!environment) throw Error(ErrorCode::Closed, "the store is closed");
  return environment;
}

// In LMDB there is nothing that is not durable.
PinnedView WritingStore::pin() {
  checkpoint();
  return {.commit = 0, .view = sequencer_->view()};
}

PinnedView WritingStore::pin_recent() {
  flush(Durability::Durable);
  const CommitSeq durable = state_.marks.durable.load();  // before the view
  return {.commit = durable, .view = sequencer_->view()};
}

Meta WritingStore::meta() { return make_meta(*read(Durability::Written), identity_, created_); }

Status WritingStore::status() {
  std::shared_ptr<const View> view = sequencer_->view();
  if (!view->environment) throw Error(ErrorCode::Closed, "the store is closed");
  Status status;
  status.flushed_seq = state_.marks.flushed.load();
  status.durable_seq = state_.marks.durable.load();
  status.visible_seq = state_.marks.visible.load();
  status.applied_seq = state_.marks.applied.load();
  status.meta = meta();
  status.state_keys = count_keys(*read(Durability::Written));
  status.delta_bytes = admission_.live_bytes();
  status.live_deltas = static_cast<std::uint32_t>(view->deltas.size());
  status.waiting_writers =
      admission_.waiting() + stripe_locks_.waiting() + static_cast<std::uint32_t>(sequencer_->waiting());
  status.journal_bytes = journal_->disk_bytes();
  status.journal_segments = journal_->segments_on_disk();
  describe_lmdb(view->environment->lmdb, status);
  status.pinned_delta_bytes = sequencer_->pinned_bytes();
  status.batches = group_->batches();
  status.syncs = group_->syncs();
  status.flushes = flusher_->flushes();
  status.commits = status.applied_seq - recovery_.last_commit;
  if (state_.failure.failed()) status.failure = state_.failure.error().what();
  for (const auto& [owner, count] : gate_->pauses()) status.pauses.push_back({owner, count});
  status.recovery = recovery_;
  return status;
}

void WritingStore::metrics(const MetricCallback& callback) {
  report_status(status(), callback);
  report_measures(
      {admission_, stripe_locks_, *sequencer_, *group_, *flusher_, *bulk_commit_, rejections_.load(), repeats_.load()},
      callback);
}

void WritingStore::flush(Durability level) {
  check_open();
  check_not_nested();
  group_->wait_for_all(applied(), level, kNoDeadline);
}

void WritingStore::checkpoint() {
  flush(Durability::Durable);
  flusher_->flush_all();
}

VerifyReport WritingStore::verify(const Progress& progress) {
  checkpoint();
  VerifyReport report;
  const std::shared_ptr<Environment> open = environment();
  verify_store([this] { return lmdb_snapshot(); }, *open, fs_, paths_.journal, identity_, report, progress);
  return report;
}

std::string WritingStore::digest(const Progress& progress) {
  flush(Durability::Durable);
  return digest_of(*snapshot(state_.marks.durable.load()), progress);
}

// --- Closing

void WritingStore::close() {
  check_not_nested();
  shut_down();
}

// What is logged is logged when nobody waits for it.
void WritingStore::shut_down() {
  std::optional<Error> failure;
  std::optional<Error> why_gap;
  std::optional<Error> why_unclean;
  {
    std::lock_guard closing(closing_);  // who comes second returns when it is closed
    if (closed_.exchange(true)) return;
    why_gap = close_sequences();
    failure = end_writing();
    why_unclean = end_journal();
    state_.closed.store(true);
    state_.followers.announce();
    group_->notifier().stop();
    sequencer_->view()->environment->claim->store_closed();
    sequencer_->retire_view();
  }
  if (why_gap) log(LogLevel::Warning, "numbers that sequences have reserved are left out: ", why_gap->what());
  if (why_unclean) log(LogLevel::Warning, "the next open will read the journal: ", why_unclean->what());
  if (failure) throw *failure;
}

// Answers why what was sequenced did not become durable.
std::optional<Error> WritingStore::end_writing() {
  sequencer_->change_gate([](Gate& gate) { gate.close(); });
  sequencer_->wait_until_open();
  transaction_lock_.close();
  stripe_locks_.close();
  admission_.close();
  journal_->refuse_waiters();
  std::optional<Error> failure;
  try {
    group_->wait_for_all(applied(), Durability::Durable, kNoDeadline);
  } catch (const Error& error) {
    failure = error;
  }
  flusher_->stop();
  syncer_->stop();
  group_->end();
  return failure;
}

// Answers why the next open will read it.
std::optional<Error> WritingStore::end_journal() {
  std::optional<Error> why;
  try {
    if (!state_.failure.failed()) flusher_->mark_clean(journal_->tail());
  } catch (const Error& error) {
    why = error;
  } catch (const std::exception&) {
    why = no_memory();
  }
  journal_->stop();
  return why;
}

}  // namespace azoth
