// A WriteTxn is an interactive, exclusive transaction: while it lives, no other transaction of any thread commits. It
// reads the newest state and its own writes, and appends events with their real ids at once. Destroying it without
// commit() changes nothing.
//
// It must end before the store is destroyed; after close() its commit fails with Closed. One thread at a time. Starting
// anything that would wait for it on the thread that began it (submit, begin, flush, close) fails with NestedUse instead
// of waiting for ever.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "azoth/canonical/commit.h"
#include "azoth/canonical/read_txn.h"

namespace azoth {

class WriteTxnState;  // canonical/src/write_txn.cc

class WriteTxn {
 public:
  WriteTxn(WriteTxn&&) noexcept;
  WriteTxn& operator=(WriteTxn&&) noexcept;  // aborts what it held
  ~WriteTxn();

  // Views stay valid until the transaction ends; a later put or del of the key does not change what was handed out.
  std::optional<std::string_view> get(BytesView key) const;
  bool exists(BytesView key) const;
  // The state as it is with this transaction's writes so far. Writing while a range is being walked is allowed: the
  // range shows what was there when it was made.
  StateRange scan(BytesView prefix = {}, ScanOptions options = {}) const;
  StateRange range(KeyRange range, ScanOptions options = {}) const;

  // Limits and errors as WriteSet's; a call that throws changes nothing.
  void put(BytesView key, BytesView value);
  void del(BytesView key);
  EventId append(const Event& event);  // the id the event has if this commits
  // The first of n new numbers of a sequence (sequence.h), to be written in this transaction: if its commit survives a
  // crash, they are not handed out again. They are used up whether it commits or not, and before it has they must not
  // leave it. Throws as Store::next_sequence does.
  std::uint64_t next_sequence(std::string_view name, std::uint64_t n = 1);

  // Commits and waits for the level. Throws as Store::submit and Ticket::wait do; afterwards the transaction is over,
  // whatever the result.
  CommitInfo commit(Durability level = Durability::Durable);
  // Commits without waiting; the locks are released.
  Ticket commit_async(Durability level = Durability::Durable);
  void abort() noexcept;

 private:
  friend class Store;
  explicit WriteTxn(std::unique_ptr<WriteTxnState> state);

  std::unique_ptr<WriteTxnState> state_;
};

}  // namespace azoth
