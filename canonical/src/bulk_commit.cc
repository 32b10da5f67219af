#include "bulk_commit.h"

#include <utility>

#include "azoth/core/fault.h"
#include "lmdb_tables.h"

namespace azoth {

Sequencer::Result BulkCommit::commit(WriteSet& set, const Evaluate& evaluate, Deadline deadline, Gate::Writer writer) {
  Timed timed(times_);
  Sequencer::Closure closure(sequencer_, set, deadline, writer);
  flusher_.flush_all(deadline);
  group_.write_queued();  // the batches of bulk transactions before this one, which the flusher does not wait for
  closure.check();
  CommitSeq before = state_.marks.applied.load();
  if (Rejection rejection = evaluate(); !rejection.failures.empty()) {
    return Sequencer::Rejected{std::move(rejection), before};
  }
  if (closure.take_room(deadline)) group_.start_segment(before + 1);
  write(*closure.place(set));
  flusher_.note_flushed(before + 1);  // while closed: once it is open, the store may be closed and LMDB gone
  Sequencer::Sequenced done = closure.finish();
  AZOTH_FAULT("bulk.sequenced");
  flusher_.announce();
  group_.wait(*done.batch, done.info.commit_seq, Durability::Written, kNoDeadline);
  return done;
}

// NoSpace leaves everything as it was. After any other error it is unknown whether LMDB has committed.
void BulkCommit::write(const Delta& delta) {
  try {
    if (int error = AZOTH_FAULT("bulk.apply")) throw_errno(error, "writing a bulk transaction");
    flush_delta(environment_.lmdb, environment_.rows, delta, {.bulk = true, .journal_begin = journal_.first_commit()});
    if (AZOTH_FAULT("bulk.committed")) throw Error(ErrorCode::Io, "a fault was injected after LMDB's commit");
  } catch (const Error& error) {
    if (error.code() == ErrorCode::NoSpace) throw;
    state_.failure.set(error);
    sequencer_.wake_all_waiters();
    throw state_.failure.error().with_unknown_outcome();
  }
}

}  // namespace azoth
