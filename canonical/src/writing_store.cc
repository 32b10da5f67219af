#include "writing_store.h"

#include <algorithm>
#include <utility>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "azoth/core/log.h"
#include "bulk_rows.h"
#include "recovery.h"
#include "replay_into_lmdb.h"
#include "settings.h"
#include "store_event_source.h"
#include "store_metrics.h"
#include "verify.h"

namespace azoth {

// --- Opening

WritingStore::WritingStore(const std::filesystem::path& directory, const Options& options, FileSystem& fs)
    : options_(options),
      fs_(fs),
      paths_(directory),
      admission_((kMaxFrozen + 1) * options.delta_bytes, state_.failure) {
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
    log(LogLevel::Error, std::string("closing the store: ") + error.what());
  }
}

// Replays what the journal holds above LMDB's commit, in pieces no larger than a Delta. Nothing is changed before all
// of it was found readable, and LMDB is given only what is durable in the journal.
void WritingStore::recover(const std::shared_ptr<Environment>& environment) {
  Head head;
  {
    LmdbReadTxn txn = environment->lmdb.begin_read();
    head = environment->rows.head(txn);
    environment->lmdb.publish(txn.id(), head.last_commit);  // for all snapshots until the first flush
  }
  JournalFiles files = list_journal(fs_, paths_.journal, identity_);
  ReplayPlan plan = plan_recovery(fs_, paths_.journal, identity_, files, head.last_commit, head.clean,
                                  was_bulk(environment->lmdb.begin_read(), head.last_commit));
  recovery_.clean = head.clean && head.clean->segment_number == plan.tail.segment_number;
  recovery_.damage = plan.damage;
  recovery_.last_commit = plan.tail.last_commit;
  recovery_.recovered_commits = plan.tail.last_commit - head.last_commit;
  if (!recovery_.clean) sync_plan(fs_, paths_.journal, plan);

  EventId last_event = replay_into_lmdb(environment->lmdb, environment->rows, fs_, paths_.journal, identity_, plan,
                                        head, options_.delta_bytes);
  for (auto* mark : {&state_.marks.applied, &state_.marks.visible, &state_.marks.durable, &state_.marks.flushed}) {
    mark->store(plan.tail.last_commit);
  }
  environment->claim->failure_is_settled();  // before the journal changes, which wakes those who follow it
  state_.failure.on_set([this, claim = environment->claim.get()] { claim->note_failure(state_.marks.durable.load()); });
  journal_ = std::make_unique<Journal>(fs_, paths_.journal, identity_, options_.segment_bytes, plan.tail, files);
  sequencer_ = std::make_unique<Sequencer>(environment, *journal_, state_, admission_, *gate_, options_,
                                           clock_of(options_), Sequencer::Start{plan.tail.last_commit, last_event});
  load_seal();
  group_ = std::make_shared<GroupCommit>(*journal_, *sequencer_, shared_state_);
  syncer_ = std::make_unique<Syncer>(*group_, sequencer_->syncer_signal(), state_, options_.sync_interval);
  flusher_ = std::make_unique<Flusher>(*environment, *journal_, *sequencer_, *group_, state_, options_);
  bulk_commit_ = std::make_unique<BulkCommit>(*environment, *journal_, *sequencer_, *group_, *flusher_, state_);
}

// --- Writing

Outcome<Ticket> WritingStore::submit(WriteSet set, std::span<const Condition> conditions,
                                     const SubmitOptions& options) {
  gate_->check(Gate::Writer::User);
  check_not_nested();
  check_limits(set);
  Deadline until = deadline(options.timeout);
  bool bulk = is_bulk(set);
  if (!bulk) admission_.wait_for(set.bytes(), until, sequencer_->flusher_signal());
  if (!transaction_lock_.lock_shared_until(until)) {
    throw Error(ErrorCode::LockTimeout, "an exclusive transaction did not end in time; try again");
  }
  struct Unlock {
    TransactionLock& lock;
    ~Unlock() { lock.unlock_shared(); }
  };
  std::optional<Sequencer::Result> result;
  {
    Unlock unlock{transaction_lock_};
    do {
      CommitSeq at = 0;
      if (auto rejection = evaluate(conditions, at)) {
        result = Sequencer::Rejected{*rejection, at};
      } else if (bulk) {
        auto again = [&] { return evaluate(conditions, at); };
        result = bulk_commit_->commit(set, again, until, Gate::Writer::User);
      } else {
        result = sequencer_->commit(set, conditions, at, options.level, until);
      }
    } while (std::holds_alternative<Sequencer::Stale>(*result));
  }
  if (auto* rejected = std::get_if<Sequencer::Rejected>(&*result)) {
    rejections_.fetch_add(1, std::memory_order_relaxed);
    // The answer waits for what it rests on: a crash must not undo the reason of a rejection that was given.
    try {
      group_->wait_for_all(rejected->at, options.level, kNoDeadline);
    } catch (const Error&) {
      throw state_.failure.error();  // nothing of this transaction is in doubt
    }
    return std::move(rejected->rejection);
  }
  auto& sequenced = std::get<Sequencer::Sequenced>(*result);
  return TicketMaker::make(sequenced.info, options.level, std::move(sequenced.batch), group_);
}

// Evaluates on the newest applied state; `at` is what it was.
std::optional<Rejection> WritingStore::evaluate(std::span<const Condition> conditions, CommitSeq& at) const {
  if (conditions.empty()) return std::nullopt;
  at = applied();
  std::unique_ptr<Snapshot> newest = snapshot(at);
  at = newest->commit_seq();
  for (const Condition& condition : conditions) {
    if (auto rejection = condition.evaluate(newest->get(Space::State, condition.key()))) return rejection;
  }
  return std::nullopt;
}

Ticket WritingStore::sequence(WriteSet& set, Durability level, Gate::Writer writer) {
  check_limits(set);
  Sequencer::Result result = is_bulk(set) ? bulk_commit_->commit(
                                                set, [] { return std::nullopt; }, deadline({}), writer)
                                          : sequencer_->commit(set, {}, 0, level, deadline({}), writer);
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
  exclusive_thread_.store(std::this_thread::get_id());
}

void WritingStore::end_exclusive() {
  exclusive_thread_.store(std::thread::id());
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
  if (exclusive_thread_.load() != std::this_thread::get_id()) return;
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
    if (auto sealed = gate_->sealed()) {
      last = *sealed;
    } else {
      last = next_event() - 1;
      std::string value;
      codec::append(value, last);
      RecordBuilder::put(set, Space::Meta, kSealKey, value);
      sequencer_->change_gate([&](Gate& gate) { gate.set_sealed(last); });
    }
    try {
      ticket = sequence(set, Durability::Durable, Gate::Writer::Seal);
    } catch (...) {
      if (!set.empty()) gate_->set_sealed(std::nullopt);
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
    ticket = sequence(set, Durability::Durable, Gate::Writer::Seal);
    gate_->set_sealed(std::nullopt);
  }
  ticket.wait();
}

void WritingStore::pause(const std::string& owner, Deadline until) {
  drain(until);
  Finally release{[this] { end_exclusive(); }};
  sequencer_->change_gate([&](Gate& gate) { gate.pause(owner); });
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
  status.waiting_writers = admission_.waiting() + static_cast<std::uint32_t>(sequencer_->waiting());
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
  report_measures({admission_, *sequencer_, *group_, *flusher_, *bulk_commit_, rejections_.load()}, callback);
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
  std::unique_ptr<Snapshot> snapshot = lmdb_snapshot();
  verify_tables(*snapshot, report, progress);
  verify_journal(fs_, paths_.journal, identity_, *sequencer_->view()->environment, report);
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

void WritingStore::shut_down() {
  if (closed_.exchange(true)) return;
  sequencer_->change_gate([](Gate& gate) { gate.close(); });
  sequencer_->wait_until_open();
  transaction_lock_.close();
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
  try {
    if (!state_.failure.failed()) flusher_->mark_clean(journal_->tail());
  } catch (const Error& error) {
    log(LogLevel::Warning, std::string("the next open will read the journal: ") + error.what());
  }
  journal_->stop();
  state_.closed.store(true);
  state_.followers.announce();
  group_->notifier().stop();
  sequencer_->view()->environment->claim->store_closed();
  sequencer_->retire_view();
  if (failure) throw *failure;
}

}  // namespace azoth
