// The metrics of a store, by name: those that its status has, and those that its parts have measured.
#pragma once

#include "azoth/canonical/store.h"
#include "azoth/lockmgr/stripe_locks.h"
#include "bulk_commit.h"

namespace azoth {

void report_status(const Status& status, const MetricCallback& callback);

struct Measured {
  const Admission& admission;
  const StripeLocks& stripe_locks;
  const Sequencer& sequencer;
  const GroupCommit& group;
  const Flusher& flusher;
  const BulkCommit& bulk;
  std::uint64_t rejections;
  std::uint64_t repeats;
};
void report_measures(const Measured& parts, const MetricCallback& callback);

}  // namespace azoth
