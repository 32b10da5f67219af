#include "transact.h"

#include <exception>
#include <new>
#include <utility>
#include <variant>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/log.h"
#include "commands.h"
#include "out_of_memory.h"
#include "record.h"
#include "settings.h"
#include "user_code.h"
#include "writing_store.h"

namespace azoth {

void LockedReads::renew() { snapshot_ = store_.snapshot(store_.applied()); }

// The transaction lock and the stripes, in this order, for the length of a transaction.
class WritingStore::Locks {
 public:
  Locks(WritingStore& store, const std::vector<LockKey>& keys, Deadline until) : lock_(store.transaction_lock_) {
    if (!lock_.lock_shared_until(until)) {
      throw Error(ErrorCode::LockTimeout, "an exclusive transaction did not end in time; try again");
    }
    try {
      stripes_ = store.stripe_locks_.acquire_until(keys, until);
    } catch (...) {
      lock_.unlock_shared();
      throw;
    }
  }
  ~Locks() {
    stripes_.release();
    lock_.unlock_shared();
  }
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;

 private:
  TransactionLock& lock_;
  StripeGuard stripes_;
};

Outcome<Ticket> WritingStore::transact(const TransactionPlan& plan, TransactionWork& work) {
  gate_->check(Gate::Writer::User);
  check_not_nested();
  if (!plan.bulk) admission_.wait_for(plan.bytes, plan.until, sequencer_->flusher_signal());
  LockedReads reads(*this);
  // That of the body itself is an answer.
  Answer answer = or_out_of_memory(kNoMemoryForTransaction, [&] {
    Locks locks(*this, plan.locks.keys(), plan.until);
    return run(plan, work, reads);
  });
  if (auto* sequenced = std::get_if<Sequencer::Sequenced>(&answer)) {
    if (plan.command) forget_old_commands(plan.command->id);
    return TicketMaker::make(sequenced->info, plan.level, std::move(sequenced->batch), group_);
  }
  if (auto* repeated = std::get_if<CommitInfo>(&answer)) {
    repeats_.fetch_add(1, std::memory_order_relaxed);
    wait_for_reason(repeated->commit_seq, plan.level);
    return TicketMaker::make(*repeated, plan.level, nullptr, group_);
  }
  if (auto* rejected = std::get_if<Sequencer::Rejected>(&answer)) {
    rejections_.fetch_add(1, std::memory_order_relaxed);
    wait_for_reason(rejected->at, plan.level);
    return std::move(rejected->rejection);
  }
  if (reads.used()) wait_for_reason(reads.at(), plan.level);
  std::rethrow_exception(std::get<std::exception_ptr>(answer));
}

// Under the locks.
WritingStore::Answer WritingStore::run(const TransactionPlan& plan, TransactionWork& work, LockedReads& reads) {
  if (plan.command) {
    try {
      if (auto original = find_command(reads.get(), *plan.command)) return *original;
    } catch (const Error&) {  // a mismatch is an answer that rests on the original's commit
      return std::current_exception();
    }
  }
  WriteSet* set = nullptr;
  Rejection rejection;
  if (!plan.conditions.empty()) evaluate(plan.conditions, reads.get(), rejection);
  try {
    UserCode code(this);
    work.validate(reads, rejection);
    if (rejection.failures.empty()) set = &work.build(reads);
  } catch (...) {
    return std::current_exception();
  }
  if (set == nullptr) return Sequencer::Rejected{std::move(rejection), reads.used() ? reads.at() : applied()};
  if (plan.command) record_command(*set, *plan.command);
  check_limits(*set);
  return place(*set, plan, reads);
}

WritingStore::Answer WritingStore::place(WriteSet& set, const TransactionPlan& plan, LockedReads& reads) {
  std::span<const Condition> to_watch = any_on_events(plan.conditions) ? plan.conditions : std::span<const Condition>();
  auto evaluated = [&] {
    if (to_watch.empty()) return Evaluated{};
    return Evaluated{reads.at(), reads.get().last_event()};
  };
  auto evaluate_anew = [&] {
    Rejection rejection;
    if (plan.conditions.empty()) return rejection;
    reads.renew();
    evaluate(plan.conditions, reads.get(), rejection);
    return rejection;
  };
  while (true) {
    Sequencer::Result result =
        plan.bulk || is_bulk(set)
            ? bulk_commit_->commit(set, evaluate_anew, plan.until, Gate::Writer::User)
            : sequencer_->commit(set, to_watch, evaluated(), plan.level, plan.until);
    if (auto* sequenced = std::get_if<Sequencer::Sequenced>(&result)) return std::move(*sequenced);
    if (auto* rejected = std::get_if<Sequencer::Rejected>(&result)) return std::move(*rejected);
    Rejection rejection = evaluate_anew();
    if (!rejection.failures.empty()) return Sequencer::Rejected{std::move(rejection), reads.at()};
  }
}

// An answer waits for what it rests on: a crash must not undo the reason of what was answered.
void WritingStore::wait_for_reason(CommitSeq commit, Durability level) {
  try {
    group_->wait_for_all(commit, level, kNoDeadline);
  } catch (const Error&) {
    throw state_.failure.error();  // nothing of this transaction is in doubt
  }
}

// --- submit

namespace {

// A set that was made beforehand.
class Submission final : public TransactionWork {
 public:
  explicit Submission(WriteSet& set) : set_(set) {}

  void validate(LockedReads&, Rejection&) override {}
  WriteSet& build(LockedReads&) override { return set_; }

 private:
  WriteSet& set_;
};

void plan_writes(LockPlan& plan, WriteSet& set) {
  if (set.operations() == 0) return;
  RecordBuilder::seal(set, 0, {}, 0);  // so that it can be read; it gets its numbers later
  RecordReader reader(RecordBuilder::bytes(set));
  std::uint32_t left = set.operations();
  while (left != 0) {
    auto entry = reader.next();
    if (entry->kind == RecordEntry::Kind::Event) continue;
    plan.exclusive(entry->key);
    --left;
  }
}

void plan_conditions(LockPlan& plan, std::span<const Condition> conditions) {
  for (const Condition& condition : conditions) {
    if (auto* on_key = std::get_if<Condition::OnKey>(&condition.kind())) plan.shared(on_key->key);
  }
}

}  // namespace

Outcome<Ticket> WritingStore::submit(WriteSet set, std::span<const Condition> conditions,
                                     const SubmitOptions& options) {
  check_limits(set);
  LockPlan locks(stripe_locks_);
  plan_writes(locks, set);
  plan_conditions(locks, conditions);
  std::string command_key;
  if (options.command) {
    check_command(*options.command);
    command_key = command_lock(options.command->id);
    locks.exclusive(command_key);
  }
  Submission work(set);
  return transact({.locks = locks,
                   .command = options.command,
                   .conditions = conditions,
                   .level = options.level,
                   .until = deadline(options.timeout),
                   .bytes = set.bytes(),
                   .bulk = is_bulk(set)},
                  work);
}

// --- Old commands

// Now and then, by a thread that has just carried a command out; what fails here is tried again later.
void WritingStore::forget_old_commands(std::string_view carried_out) {
  if (options_.command_retention == std::chrono::seconds::zero()) return;
  std::unique_lock lock(forgetting_, std::try_to_lock);
  if (!lock || !old_commands_.due()) return;
  try {
    Timestamp before = clock_of(options_).now() - options_.command_retention;
    auto old = old_commands_.next(*snapshot(applied()), before, carried_out);
    AZOTH_FAULT("commands.forget");
    // Without waiting: whoever is in the way may be waiting for this commit.
    if (!old.empty()) forget(old, std::chrono::steady_clock::now());
  } catch (const Error& error) {
    log(LogLevel::Info, "old command ids are kept for now: ", error.what());
  } catch (const std::bad_alloc&) {  // the caller's commit has happened: it must hear of that, and of nothing else
  }
}

// With their ids locked, so that none of them is being repeated: and if one has been meanwhile, it is not old.
void WritingStore::forget(const std::vector<OldCommands::Found>& old, Deadline until) {
  std::vector<std::string> keys;
  for (const auto& command : old) keys.push_back(command_lock(command.id));
  LockPlan plan(stripe_locks_);
  for (const std::string& key : keys) plan.exclusive(key);
  Locks locks(*this, plan.keys(), until);
  std::unique_ptr<Snapshot> newest = snapshot(applied());
  WriteSet set;
  for (const auto& command : old) {
    auto found = find_command(*newest, {.id = command.id});
    if (found && found->commit_seq == command.commit_seq) RecordBuilder::del(set, Space::Command, command.id);
  }
  sequencer_->commit(set, {}, {}, Durability::Applied, until);
}

}  // namespace azoth
