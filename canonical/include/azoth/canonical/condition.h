// Conditions: what must hold for a transaction to be committed. They are evaluated at the transaction's place in the
// commit order, exactly: between the evaluation and the commit nothing else can happen.
//
// On keys: a key has a value, exists, or is absent. On events: no event of some kind has come since a position (the
// condition of a decision that was made by reading such events; "dynamic consistency boundary" is its name elsewhere),
// or a tag is at a version, which is the id of its newest event (optimistic locking of a stream).
//
// A condition is a value: copyable, reusable, bound to no store and to no thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "azoth/canonical/outcome.h"
#include "azoth/core/bytes.h"
#include "azoth/core/ids.h"

namespace azoth {

// Events of any of these types (of all types if there are none) that carry all of these tags (at least one).
struct EventPattern {
  std::vector<std::string> types = {};
  std::vector<std::string> tags = {};
};

// How far a tag's events must have come. A tag's version is the id of its newest event.
class ExpectedVersion {
 public:
  static ExpectedVersion any() { return {Kind::Any, 0}; }
  static ExpectedVersion none() { return {Kind::None, 0}; }      // it has no event yet
  static ExpectedVersion exists() { return {Kind::Exists, 0}; }  // it has one at least
  // InvalidArgument for 0: an id that no event has; say none().
  static ExpectedVersion exactly(EventId newest);

  // Whether a tag with this newest event (0: without one) is as expected.
  bool holds(EventId newest) const;
  std::string text() const;  // "none", "exists", "exactly 17"

 private:
  enum class Kind : std::uint8_t { Any, None, Exists, Exactly };
  ExpectedVersion(Kind kind, EventId event) : kind_(kind), event_(event) {}

  Kind kind_;
  EventId event_;
};

class Condition {
 public:
  // Each throws KeyEmpty or KeyTooLarge.
  static Condition key_equals(BytesView key, BytesView value);
  static Condition key_exists(BytesView key);
  static Condition key_absent(BytesView key);

  // There is no event with an id above `after` that fits any of the patterns. Where the decision is made by this program,
  // GuardedEvents::unchanged() (ReadTxn::guarded) makes this condition from the very read, and cannot be wrong. Throws
  // InvalidArgument without a pattern or with one that names no tag; EventTypeInvalid, TagInvalid, TooManyTags.
  static Condition no_event(std::vector<EventPattern> patterns, EventId after);

  // The tag is at this version. Throws TagInvalid.
  static Condition tag_version(std::string_view tag, ExpectedVersion version);

  // What each kind is made of.
  struct OnKey {
    enum class Kind : std::uint8_t { Equals, Exists, Absent };
    Kind kind;
    std::string key;
    std::string value;

    // Whether a key with this value (or without one) is as it must be; if not, why.
    std::optional<FailedCondition> evaluate(std::optional<std::string_view> value) const;
  };
  struct NoEvent {
    std::vector<EventPattern> patterns;
    EventId after;
  };
  struct OnTag {
    std::string tag;
    ExpectedVersion version;
  };
  using Kind = std::variant<OnKey, NoEvent, OnTag>;
  const Kind& kind() const { return kind_; }

 private:
  explicit Condition(Kind kind) : kind_(std::move(kind)) {}

  Kind kind_;
};

}  // namespace azoth
