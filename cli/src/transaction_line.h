// One line of `apply` (docs/cli.md, "The line format"), and what is submitted for it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "azoth/canonical/condition.h"
#include "azoth/canonical/write_set.h"
#include "azoth/core/clock.h"

namespace azoth::cli {

// Bytes that are either a part of the line's text or were spelled in it ({"hex":"..."}).
class LineBytes {
 public:
  LineBytes() = default;
  explicit LineBytes(std::string_view part) : part_(part) {}
  explicit LineBytes(std::string owned) : owned_(std::move(owned)) {}

  std::string_view view() const { return owned_ ? std::string_view(*owned_) : part_; }

 private:
  std::string_view part_;
  std::optional<std::string> owned_;
};

struct LineEvent {
  std::string type;
  std::vector<std::string> tags;
  LineBytes payload;
  LineBytes metadata;
  std::optional<Timestamp> time;
};

struct Requirement {
  std::string key;
  std::optional<std::string> value;  // the key must be absent if there is none
};

// No event of this kind has an id above `after`.
struct NoEventSince {
  EventPattern pattern;
  EventId after = 0;
};

struct Expectation {
  std::string tag;
  ExpectedVersion version;
};

// One transaction. Payloads may point into the text it was parsed from.
struct TransactionLine {
  std::vector<std::string> dels;
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<LineEvent> events;
  std::vector<Requirement> requirements;
  std::vector<NoEventSince> no_events;
  std::vector<Expectation> expectations;
  std::optional<std::string> command;
};

// What to submit: deletes, then puts, then events. Throws Error when a fixed limit is exceeded.
WriteSet write_set_of(const TransactionLine& line);
// Its conditions, in the order "require", "if_none", "expect". Throws Error when one is not possible.
std::vector<Condition> conditions_of(const TransactionLine& line);

}  // namespace azoth::cli
