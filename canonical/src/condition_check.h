// Where conditions are evaluated, in two steps that together are exact.
//
// Outside of the sequencer, on a snapshot S: everything, however much there is to look at. In the sequencer, under its
// mutex: only what came since S, which the Deltas' indexes tell. The keys that conditions are on are locked meanwhile,
// so what can have come is events. An event that a condition forbids is a conflict at once; nothing that comes can mend
// a condition that failed on S, except for `exists`, whose answer was true at S and stands.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "azoth/canonical/condition.h"
#include "snapshot.h"

namespace azoth {

// The commit that conditions were evaluated at, and its last event.
struct Evaluated {
  CommitSeq at = 0;
  EventId last_event = 0;
};

// Adds those that do not hold on a snapshot.
void evaluate(std::span<const Condition> conditions, const Snapshot& snapshot, Rejection& rejection);

// The first condition that an event after `since` violates. The Deltas hold all of these. For the sequencer: allocates
// nothing unless a tag that a condition names has a new event.
std::optional<FailedCondition> violated_since(std::span<const Condition> conditions,
                                              const std::vector<std::shared_ptr<const Delta>>& newest_first,
                                              const Evaluated& since);

// Whether any of them is on events: the sequencer needs to look at no others.
bool any_on_events(std::span<const Condition> conditions);

}  // namespace azoth
