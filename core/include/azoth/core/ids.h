// The numbers everything is ordered by.
#pragma once

#include <cstdint>

namespace azoth {

// One per commit, from 1, without gaps, persisted. 0 is "before the first commit".
using CommitSeq = std::uint64_t;

// One per event, from 1, without gaps, in commit order across the whole store. 0 is "before everything".
// Ranges of events are always (after, to]: `after` is exclusive, `to` is inclusive.
using EventId = std::uint64_t;

}  // namespace azoth
