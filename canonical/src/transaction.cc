#include "azoth/canonical/transaction.h"

#include <algorithm>

#include "arena.h"
#include "azoth/core/error.h"
#include "azoth/core/value.h"
#include "commands.h"
#include "key.h"
#include "record.h"
#include "transact.h"
#include "writing_store.h"

namespace azoth {

// One execution: the table of the declared keys, each with what the body has written to it, and the WriteSet.
class TransactionRun final : public TransactionWork {
 public:
  TransactionRun(const Transaction& transaction, const std::function<void(Txn&)>& body, Deadline until)
      : transaction_(transaction), store_(transaction.store_), body_(body), until_(until) {
    keys_.reserve(transaction.keys_.size());
    for (const auto& [key, mode] : transaction.keys_) keys_.push_back({.key = key, .mode = mode});
    unite();
  }

  void plan(LockPlan& locks) const {
    for (const Key& key : keys_) key.mode == LockMode::Exclusive ? locks.exclusive(key.key) : locks.shared(key.key);
  }

  void validate(LockedReads& reads, Rejection& rejection) override {
    reads_ = &reads;
    for (const Condition& condition : transaction_.conditions_) {
      if (auto* on_key = std::get_if<Condition::OnKey>(&condition.kind())) declared(on_key->key).read = true;
    }
    for (const auto& check : transaction_.checks_) {
      auto failure = std::visit([&](const auto& kind) { return evaluate(kind); }, check);
      if (failure) rejection.failures.push_back(std::move(*failure));
    }
    if (!rejection.failures.empty()) note_key_sets();
  }

  WriteSet& build(LockedReads& reads) override {
    reads_ = &reads;
    Txn txn(*this);
    body_(txn);
    note_key_sets();  // now: once it is committed nothing may fail any more
    return set_;
  }

  std::optional<std::string_view> get(BytesView name) {
    Key& key = declared(name);
    if (!key.written) {
      key.read = true;
      return reads_->get().get(Space::State, key.key);
    }
    if (!key.value_size) return std::nullopt;
    if (!key.copy) {  // views stay valid while the set grows
      std::string_view value = RecordBuilder::bytes(set_).substr(key.value_at, *key.value_size);
      char* copy = arena_.allocate(value.size() + 1);
      value.copy(copy, value.size());
      key.copy = std::string_view(copy, value.size());
    }
    return key.copy;
  }

  void put(BytesView name, BytesView value) {
    Key& key = writable(name);
    store_.check_value(name, value);
    store_.check_room(set_, kSetBytes + name.size() + value.size());
    set_.put(name, value);
    key.written = true;
    key.value_size = value.size();
    key.value_at = set_.bytes() - value.size();
    key.copy.reset();
  }

  void del(BytesView name) {
    Key& key = writable(name);
    store_.check_room(set_, kUnsetBytes + name.size());
    set_.del(name);
    key.written = true;
    key.value_size.reset();
  }

  void append(const Event& event) {
    store_.check_room(set_, kEventBytes + store_.check_event(event));
    set_.append(event);
  }

  std::uint64_t next_sequence(std::string_view name, std::uint64_t n) {
    return store_.allocate_sequence(name, n, until_);
  }

  KeySets take_key_sets() noexcept { return std::move(key_sets_); }

 private:
  struct Key {
    std::string_view key;
    LockMode mode;
    bool read = false;     // from the store
    bool written = false;  // by this transaction, and then with a value, or deleted
    std::optional<std::size_t> value_size = {};
    std::size_t value_at = 0;  // in the set's record
    std::optional<std::string_view> copy = {};
  };

  // Sorted, each key once, exclusive if it was declared so anywhere.
  void unite() {
    auto less = [](const Key& a, const Key& b) { return std::tie(a.key, a.mode) < std::tie(b.key, b.mode); };
    static_assert(LockMode::Exclusive < LockMode::Shared);
    std::sort(keys_.begin(), keys_.end(), less);
    auto same = [](const Key& a, const Key& b) { return a.key == b.key; };
    keys_.erase(std::unique(keys_.begin(), keys_.end(), same), keys_.end());
    if (keys_.size() <= limits::kMaxDeclaredKeys) return;
    throw Error(ErrorCode::TooManyKeys, "a transaction declares " + std::to_string(keys_.size()) +
                                            " keys and may declare " + std::to_string(limits::kMaxDeclaredKeys) +
                                            "; split it, or use an exclusive WriteTxn");
  }

  void note_key_sets() {
    for (const Key& key : keys_) {
      if (key.read) key_sets_.read.emplace_back(key.key);
      if (key.written) key_sets_.written.emplace_back(key.key);
    }
  }

  Key& declared(std::string_view name) {
    auto key = std::lower_bound(keys_.begin(), keys_.end(), name, [](const Key& k, auto n) { return k.key < n; });
    if (key != keys_.end() && key->key == name) return *key;
    throw Error(ErrorCode::UndeclaredKey,
                "key " + printable(name) + " was not declared; declare it with shared() or exclusive() before");
  }

  Key& writable(std::string_view name) {
    Key& key = declared(name);
    if (key.mode == LockMode::Exclusive) return key;
    throw Error(ErrorCode::UndeclaredKey,
                "key " + printable(name) + " was declared to be read only; declare it with exclusive() to write it");
  }

  std::optional<FailedCondition> evaluate(const Transaction::KeyCheck& check) {
    std::optional<std::string_view> value = get(check.key);
    if (check.predicate(value)) return std::nullopt;
    std::string is = value ? " is " + printable(*value) : " does not exist";
    return FailedCondition{.key = check.key, .message = "key " + printable(check.key) + is + ": " + check.message};
  }

  std::optional<FailedCondition> evaluate(const Transaction::Check& check) {
    if (check.predicate(LockedState(*this))) return std::nullopt;
    return FailedCondition{.message = check.message};
  }

  const Transaction& transaction_;
  WritingStore& store_;
  const std::function<void(Txn&)>& body_;
  const Deadline until_;
  std::vector<Key> keys_;
  LockedReads* reads_ = nullptr;
  WriteSet set_;
  Arena arena_;
  KeySets key_sets_;
};

std::optional<std::string_view> LockedState::get(BytesView key) const { return run_.get(key); }
std::optional<std::string_view> Txn::get(BytesView key) const { return run_.get(key); }
void Txn::put(BytesView key, BytesView value) { run_.put(key, value); }
void Txn::del(BytesView key) { run_.del(key); }
void Txn::append(const Event& event) { run_.append(event); }
std::uint64_t Txn::next_sequence(std::string_view name, std::uint64_t n) { return run_.next_sequence(name, n); }

// --- Declaring

Transaction Store::transaction() { return Transaction(impl_->writer()); }

Transaction& Transaction::declare(BytesView key, LockMode mode) {
  check_key(key);
  keys_.push_back({std::string(key.view()), mode});
  return *this;
}

Transaction& Transaction::exclusive(std::initializer_list<BytesView> keys) {
  for (BytesView key : keys) exclusive(key);
  return *this;
}

Transaction& Transaction::shared(std::initializer_list<BytesView> keys) {
  for (BytesView key : keys) shared(key);
  return *this;
}

Transaction& Transaction::require(BytesView key, KeyPredicate predicate, std::string message) {
  declare(key, LockMode::Shared);
  checks_.push_back(KeyCheck{std::string(key.view()), std::move(predicate), std::move(message)});
  return *this;
}

Transaction& Transaction::require_min(BytesView key, std::int64_t least) {
  auto predicate = [least](std::optional<std::string_view> value) {
    auto number = value ? try_i64(*value) : std::nullopt;
    return number && *number >= least;
  };
  return require(key, predicate, "an integer of at least " + std::to_string(least) + " is required");
}

Transaction& Transaction::require_max(BytesView key, std::int64_t most) {
  auto predicate = [most](std::optional<std::string_view> value) {
    auto number = value ? try_i64(*value) : std::nullopt;
    return number && *number <= most;
  };
  return require(key, predicate, "an integer of at most " + std::to_string(most) + " is required");
}

Transaction& Transaction::require(Predicate predicate, std::string message) {
  checks_.push_back(Check{std::move(predicate), std::move(message)});
  return *this;
}

Transaction& Transaction::require(Condition condition) {
  if (auto* on_key = std::get_if<Condition::OnKey>(&condition.kind())) declare(on_key->key, LockMode::Shared);
  conditions_.push_back(std::move(condition));
  return *this;
}

Transaction& Transaction::command(std::string_view id, std::string_view fingerprint) {
  check_command({id, fingerprint});
  command_ = id;
  fingerprint_ = fingerprint;
  return *this;
}

Transaction& Transaction::durability(Durability level) {
  level_ = level;
  return *this;
}

Transaction& Transaction::timeout(std::chrono::nanoseconds timeout) {
  timeout_ = timeout;
  return *this;
}

// --- Running

TransactionEnd Transaction::run(const std::function<void(Txn&)>& body) {
  const Deadline until = store_.deadline(timeout_);
  TransactionRun run(*this, body, until);
  LockPlan locks(store_.stripe_locks());
  run.plan(locks);
  std::optional<Command> command;
  std::string command_key;
  if (command_) {
    command = {*command_, fingerprint_};
    command_key = command_lock(*command_);
    locks.exclusive(command_key);
  }
  Outcome<Ticket> ticket = store_.transact(
      {.locks = locks, .command = command, .conditions = conditions_, .level = level_, .until = until}, run);
  return {std::move(ticket), run.take_key_sets()};
}

}  // namespace azoth
