// Bulk transactions: past the journal, straight into LMDB.
//
// What a journal copy of a large transaction would buy is not worth writing everything twice. So the sequencer is
// closed to others, who wait in order; what was sequenced before is made durable and moved to LMDB; then the
// transaction is one synced LMDB commit of its own, and the sequencer opens again behind it.
//
// CRASH POINTS. Before LMDB's commit nothing of the transaction exists. After it the commit is durable and complete,
// and what remains is to say so in the journal: a batch without records whose lmdb_through is the commit, written
// before the transaction is acknowledged, by which recovery will know if LMDB ever loses it. If the process dies before
// that batch is written, LMDB is one commit ahead of the journal, which recovery accepts; and not more, because the
// next bulk transaction writes that batch first, if nobody has. (Nobody syncs these batches for their own sake: a power
// cut may take several, which recovery accepts as well, as LMDB has the commits and knows that they were such.) The
// segment that the batch goes to is started before LMDB's commit, so that a bulk transaction is never the first thing
// that a life of the store does (journal.h says why).
#pragma once

#include <functional>
#include <optional>

#include "azoth/canonical/condition.h"
#include "azoth/canonical/outcome.h"
#include "flusher.h"
#include "sequencer.h"

namespace azoth {

// Up to here a transaction goes through the journal, whatever else waits there.
inline constexpr std::size_t kBulkBytes = 1'000'000;

class BulkCommit {
 public:
  BulkCommit(Environment& environment, Journal& journal, Sequencer& sequencer, GroupCommit& group, Flusher& flusher,
             CommitState& state)
      : environment_(environment),
        journal_(journal),
        sequencer_(sequencer),
        group_(group),
        flusher_(flusher),
        state_(state) {}

  // Evaluates the transaction's conditions on everything that was sequenced before it.
  using Evaluate = std::function<Rejection()>;

  // Returns when the transaction is durable and the journal knows it. Throws as Sequencer::commit does, with nothing
  // changed: Backpressure when others, or the flush of what was before, do not end in time; NoSpace when LMDB has no
  // room.
  Sequencer::Result commit(WriteSet& set, const Evaluate& evaluate, Deadline deadline, Gate::Writer writer);

  const Histogram& times() const { return times_; }

 private:
  void write(const Delta& delta);

  Environment& environment_;
  Journal& journal_;
  Sequencer& sequencer_;
  GroupCommit& group_;
  Flusher& flusher_;
  CommitState& state_;
  Histogram times_;
};

}  // namespace azoth
