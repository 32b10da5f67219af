// Steps 1 to 5 of the write path for transactions that run beside each other: what submit() and Transaction share.
//
// Admission; the transaction lock, shared; the stripes of all keys that are concerned; then, on a state of these keys
// that cannot change any more: has the command been carried out already, do validators and conditions hold, the body;
// the sequencer; and the locks are released, long before the commit is durable. What is answered without a commit waits
// until that is safe which the answer rests on, after the locks are released.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "azoth/canonical/command.h"
#include "azoth/canonical/condition.h"
#include "azoth/canonical/durability.h"
#include "azoth/canonical/write_set.h"
#include "azoth/core/clock.h"
#include "condition_check.h"
#include "lock_plan.h"
#include "snapshot.h"

namespace azoth {

class WritingStore;

// The newest state, from when it is first asked for: after the locks were taken.
class LockedReads {
 public:
  explicit LockedReads(const WritingStore& store) : store_(store) {}

  const Snapshot& get() {
    if (!snapshot_) renew();
    return *snapshot_;
  }
  void renew();
  bool used() const { return snapshot_ != nullptr; }
  CommitSeq at() const { return snapshot_->commit_seq(); }  // if used

 private:
  const WritingStore& store_;
  std::unique_ptr<Snapshot> snapshot_;
};

// What a transaction is made of, besides what it does. Borrowed for the call.
struct TransactionPlan {
  const LockPlan& locks;
  std::optional<Command> command;
  std::span<const Condition> conditions;
  Durability level;
  Deadline until;
  std::size_t bytes = 0;  // that it will need in memory, as far as that is known
  bool bulk = false;      // it is known to be one
};

class TransactionWork {
 public:
  // Adds the failures of its own validators.
  virtual void validate(LockedReads& reads, Rejection& rejection) = 0;
  // What it does. It must stay until the transaction has ended.
  virtual WriteSet& build(LockedReads& reads) = 0;

 protected:
  ~TransactionWork() = default;
};

}  // namespace azoth
