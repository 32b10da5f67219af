// What a commit was, and waiting for it to be safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>

#include "azoth/canonical/durability.h"
#include "azoth/core/clock.h"
#include "azoth/core/error.h"
#include "azoth/core/ids.h"

namespace azoth {

struct CommitInfo {
  CommitSeq commit_seq = 0;      // an empty transaction takes none: then the commit it was read at
  EventId first_event = 0;       // 0 if it appended none
  EventId last_event = 0;
  std::uint32_t events = 0;
  std::uint32_t keys_written = 0;  // put operations
  std::uint32_t keys_deleted = 0;  // delete operations
  Timestamp time{};                // of the commit
  bool already_applied = false;    // a repeat of a command: all of this is of the commit that did it
};

// Called once with how a commit ended: `failure` is null when it has reached the level, else StoreFailed. On a thread of
// the store's own, under no lock, in commit order; a slow callback delays other callbacks and nothing else. Calls that
// would wait for the store (submit, begin, flush, close, ...) fail with NestedUse there.
using TicketCallback = std::function<void(const CommitInfo& commit, const Error* failure)>;

class Batch;        // canonical/src/batch.h
class GroupCommit;

// A sequenced commit. It has its place in the order for good; what remains is how safe it is. Copyable, thread-safe,
// and readable after the store was closed. Dropping a ticket changes nothing: the store makes the commit durable by
// itself within Options::sync_interval.
class Ticket {
 public:
  const CommitInfo& info() const { return info_; }
  Durability level() const { return level_; }  // what it was submitted with

  // Waits until the commit is at least that safe, and answers what it was. The waiting thread may do the group's write
  // itself. Throws StoreFailed, with outcome_unknown(), if the commit can no longer become so.
  const CommitInfo& wait() const { return wait(level_); }
  const CommitInfo& wait(Durability level) const;
  // The same with a timeout: false when it is over. The commit is not undone. A write of the group that this thread has
  // begun is carried through, however long the device takes.
  [[nodiscard]] bool wait_for(Durability level, std::chrono::nanoseconds timeout) const;
  bool reached(Durability level) const;  // without waiting

  // The same without a thread that waits. When the store is closed already, the callback runs at once, on this thread.
  void then(Durability level, TicketCallback callback) const;
  std::future<CommitInfo> future(Durability level) const;

 private:
  friend class TicketMaker;  // canonical/src/group_commit.h
  bool wait_until(Durability level, Deadline deadline) const;

  CommitInfo info_;
  Durability level_ = Durability::Durable;
  std::shared_ptr<Batch> batch_;
  std::shared_ptr<GroupCommit> group_;
};

}  // namespace azoth
