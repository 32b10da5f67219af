// Transaction: declared keys, checks, and a body, committed together or not at all. The usual way to write.
//
//   auto outcome = db.transaction()
//       .exclusive("balance/alice")
//       .require_min("balance/alice", 100)
//       .execute([](azoth::Txn& txn) {
//         txn.put("balance/alice", azoth::i64(azoth::as_i64(*txn.get("balance/alice")) - 100));
//         txn.append({.type = "withdrawn", .tags = {"account:alice"}, .payload = R"({"amount":100})"});
//       });
//   if (!outcome) std::cerr << outcome.rejection().message();
//
// What happens. The declared keys are locked, shared or exclusive, all at once and without deadlocks; from then on
// nobody else changes them. All checks are evaluated, in parallel with every transaction that has no key in common with
// this one. If one does not hold, the outcome is a rejection that lists all that do not, and nothing was changed. Else
// the body runs, on the caller's thread, and fills a private WriteSet. It is sequenced, and the locks are released: long
// before the commit is durable, so that transactions on one key follow each other at the speed of memory. A body or a
// check that throws changes nothing; its exception reaches the caller.
//
// Stripes protect keys, not ranges: there are no scans here, and an access to a key that was not declared is an error,
// UndeclaredKey. To decide on events, read them with ReadTxn::guarded() and add unchanged() as a condition.
//
// Any number of threads may run transactions at once; one Transaction belongs to one thread. It may be executed again
// (to retry it after LockTimeout, say). Inside of its checks and its body no call may be made that waits for the store
// (submit, another transaction, begin, flush, pause, seal, close): NestedUse. Reading is allowed there, but a snapshot
// may be older than what the locked keys show.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "azoth/canonical/command.h"
#include "azoth/canonical/commit.h"
#include "azoth/canonical/condition.h"
#include "azoth/canonical/outcome.h"
#include "azoth/core/bytes.h"
#include "azoth/core/event.h"
#include "azoth/core/value.h"
#include "azoth/lockmgr/stripe_locks.h"

namespace azoth {

class TransactionRun;  // canonical/src/transaction.cc
class WritingStore;

// The declared keys, as they are under their locks: for checks. Views are valid until the transaction has ended.
class LockedState {
 public:
  // Throws UndeclaredKey.
  std::optional<std::string_view> get(BytesView key) const;
  bool exists(BytesView key) const { return get(key).has_value(); }

 private:
  friend class TransactionRun;
  explicit LockedState(TransactionRun& run) : run_(run) {}

  TransactionRun& run_;
};

// What the body of a transaction works with. Valid during the body only, on its thread. A call that throws changes
// nothing; limits and errors are those of WriteSet.
class Txn {
 public:
  // The value of a declared key, with this transaction's own writes. Views are valid until the transaction has ended,
  // whatever is written meanwhile.
  std::optional<std::string_view> get(BytesView key) const;
  bool exists(BytesView key) const { return get(key).has_value(); }

  // Of keys that were declared exclusive; UndeclaredKey else.
  void put(BytesView key, BytesView value);
  void del(BytesView key);
  void append(const Event& event);

  // The first of n numbers of a named sequence (azoth/canonical/sequence.h). They are this transaction's for good, also
  // if it does not commit; a commit that holds one is never safer than what reserved it.
  std::uint64_t next_sequence(std::string_view name, std::uint64_t n = 1);

 private:
  friend class TransactionRun;
  explicit Txn(TransactionRun& run) : run_(run) {}

  TransactionRun& run_;
};

// The keys that a transaction really used, sorted.
struct KeySets {
  std::vector<std::string> read;     // by checks or the body
  std::vector<std::string> written;  // put or deleted
};

// How a transaction ended: with a commit, or with a rejection.
class [[nodiscard]] TransactionEnd {
 public:
  bool has_value() const { return ticket_.has_value(); }
  explicit operator bool() const { return has_value(); }

  const Ticket& ticket() const& { return ticket_.value(); }          // throws Rejected if there is none
  const CommitInfo& commit() const& { return ticket().info(); }      // the same
  bool already_applied() const { return has_value() && commit().already_applied; }
  const Rejection& rejection() const& { return ticket_.rejection(); }  // empty if there was none
  const KeySets& keys() const& { return keys_; }

 private:
  friend class Transaction;
  TransactionEnd(Outcome<Ticket> ticket, KeySets keys) : ticket_(std::move(ticket)), keys_(std::move(keys)) {}

  Outcome<Ticket> ticket_;
  KeySets keys_;
};

// The same of a body that returns something.
template <class T>
class [[nodiscard]] TransactionResult : public TransactionEnd {
 public:
  // What the body returned; nothing if it did not run: after a rejection, or when its command had been carried out
  // before.
  const std::optional<T>& result() const& { return result_; }
  std::optional<T>&& result() && { return std::move(result_); }

 private:
  friend class Transaction;
  TransactionResult(TransactionEnd end, std::optional<T> result)
      : TransactionEnd(std::move(end)), result_(std::move(result)) {}

  std::optional<T> result_;
};

class Transaction {
 public:
  // Declares keys, at most limits::kMaxDeclaredKeys of them. Exclusive: to read and write. Shared: to read, while others
  // read them too. A key declared both ways is exclusive. Throws KeyEmpty, KeyTooLarge.
  Transaction& exclusive(BytesView key) { return declare(key, LockMode::Exclusive); }
  Transaction& exclusive(std::initializer_list<BytesView> keys);
  Transaction& shared(BytesView key) { return declare(key, LockMode::Shared); }
  Transaction& shared(std::initializer_list<BytesView> keys);

  // Checks; each of the first kinds declares its key shared unless it is declared exclusive. A predicate gets the value,
  // or nothing where there is none.
  using KeyPredicate = std::function<bool(std::optional<std::string_view> value)>;
  Transaction& require(BytesView key, KeyPredicate predicate, std::string message);
  Transaction& require_equals(BytesView key, BytesView value) { return require(Condition::key_equals(key, value)); }
  Transaction& require_exists(BytesView key) { return require(Condition::key_exists(key)); }
  Transaction& require_absent(BytesView key) { return require(Condition::key_absent(key)); }
  // The value is an integer (azoth/core/value.h) of at least, or at most, so much. What is no integer fails the check,
  // as does a key that does not exist.
  Transaction& require_min(BytesView key, std::int64_t least);
  Transaction& require_max(BytesView key, std::int64_t most);
  // Over several keys, which must be declared.
  using Predicate = std::function<bool(const LockedState& state)>;
  Transaction& require(Predicate predicate, std::string message);
  // A condition of any kind (azoth/canonical/condition.h).
  Transaction& require(Condition condition);

  // Makes the transaction idempotent: see azoth/canonical/command.h. The command id is locked like a key, and looked up
  // before checks and body, which a repeat does not run. Throws InvalidArgument.
  Transaction& command(std::string_view id, std::string_view fingerprint = {});

  Transaction& durability(Durability level);                // Durable if not called
  Transaction& timeout(std::chrono::nanoseconds timeout);   // for everything up to the commit; Options::timeout else

  // Runs the transaction and returns when its commit has reached the level. The body takes a Txn&; what it returns (a
  // value: not a view of the store) is the result. Throws what the body or a check throws, UndeclaredKey, TooManyKeys,
  // LockTimeout (naming the key), and what Store::submit and Ticket::wait throw.
  template <class Body>
  auto execute(Body&& body) {
    auto end = submit(std::forward<Body>(body));
    if (end) end.ticket().wait();
    return end;
  }

  // The same without waiting for the level: the outcome's ticket does that, so that one thread can keep many commits in
  // flight. (A rejection, and a repeated command, are answered when what they rest on has reached the level.)
  template <class Body>
  auto submit(Body&& body) {
    using T = std::invoke_result_t<Body&, Txn&>;
    if constexpr (std::is_void_v<T>) {
      return run(std::ref(body));
    } else {
      std::optional<T> result;
      TransactionEnd end = run([&](Txn& txn) { result.emplace(body(txn)); });
      if (!end) result.reset();  // of a body whose decision was refused afterwards
      return TransactionResult<T>(std::move(end), std::move(result));
    }
  }

 private:
  friend class Store;
  friend class TransactionRun;
  explicit Transaction(WritingStore& store) : store_(store) {}

  struct DeclaredKey {
    std::string key;
    LockMode mode;
  };
  struct KeyCheck {
    std::string key;
    KeyPredicate predicate;
    std::string message;
  };
  struct Check {
    Predicate predicate;
    std::string message;
  };

  Transaction& declare(BytesView key, LockMode mode);
  TransactionEnd run(const std::function<void(Txn&)>& body);

  WritingStore& store_;
  std::vector<DeclaredKey> keys_;
  std::vector<Condition> conditions_;
  std::vector<std::variant<KeyCheck, Check>> checks_;
  std::optional<std::string> command_;
  std::string fingerprint_;
  Durability level_ = Durability::Durable;
  std::optional<std::chrono::nanoseconds> timeout_;
};

}  // namespace azoth
