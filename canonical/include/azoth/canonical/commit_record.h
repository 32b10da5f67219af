// What a commit's record says (docs/format.md, "Record"), for those who carry records from one store to another.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "azoth/canonical/sequence.h"
#include "azoth/core/clock.h"
#include "azoth/core/ids.h"

namespace azoth {

struct CommitFacts {
  static constexpr std::size_t kBytes = 40;  // of a record, that they are read from

  CommitSeq commit = 0;
  Timestamp time{};
  std::uint64_t record_bytes = 0;
  std::uint64_t operations = 0;
  std::uint64_t events = 0;
  EventId first_event = 0;  // 0 if there are none

  EventId last_event() const { return events == 0 ? 0 : first_event + events - 1; }
};

// Of the first bytes of a record; Corruption if they are too few.
CommitFacts commit_facts(std::string_view record);

// Reads all of a whole record; throws Corruption for one that no store would have written. `reserved`, if given, is
// called for each sequence that it reserves numbers of, with the number behind them.
void check_record(std::string_view record, const std::function<void(const SequenceInfo&)>& reserved = {});

// What a row of the store's own says, if it is a sequence's: the number behind what was reserved. Corruption if it is
// damaged.
bool is_sequence_space(std::uint8_t space);
SequenceInfo sequence_of_row(std::string_view key, std::string_view value);

}  // namespace azoth
