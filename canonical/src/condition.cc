#include "azoth/canonical/condition.h"

#include "azoth/core/error.h"
#include "azoth/core/event.h"
#include "key.h"

namespace azoth {

namespace {

// What an event of these could not have, no pattern may ask for.
void check_names(std::string_view type, const std::vector<std::string>& tags) {
  event_codec::validate({.type = type, .tags = {tags.begin(), tags.end()}, .payload = {}});
}

void check_pattern(const EventPattern& pattern) {
  if (pattern.tags.empty()) {
    throw Error(ErrorCode::InvalidArgument,
                "a pattern of events names no tag; name at least one, so that it can be answered from the index");
  }
  check_names("any", pattern.tags);
  for (const std::string& type : pattern.types) check_names(type, pattern.tags);
}

Condition::OnKey on_key(Condition::OnKey::Kind kind, BytesView key, BytesView value) {
  check_key(key);
  return {kind, std::string(key.view()), std::string(value.view())};
}

}  // namespace

// --- Making them

ExpectedVersion ExpectedVersion::exactly(EventId newest) {
  if (newest == 0) {
    throw Error(ErrorCode::InvalidArgument, "no event has the id 0; for a tag without events expect none");
  }
  return {Kind::Exactly, newest};
}

Condition Condition::key_equals(BytesView key, BytesView value) {
  return Condition(on_key(OnKey::Kind::Equals, key, value));
}
Condition Condition::key_exists(BytesView key) { return Condition(on_key(OnKey::Kind::Exists, key, {})); }
Condition Condition::key_absent(BytesView key) { return Condition(on_key(OnKey::Kind::Absent, key, {})); }

Condition Condition::no_event(std::vector<EventPattern> patterns, EventId after) {
  if (patterns.empty()) {
    throw Error(ErrorCode::InvalidArgument, "a condition on events needs at least one pattern");
  }
  for (const EventPattern& pattern : patterns) check_pattern(pattern);
  return Condition(NoEvent{std::move(patterns), after});
}

Condition Condition::tag_version(std::string_view tag, ExpectedVersion version) {
  check_names("any", {std::string(tag)});
  return Condition(OnTag{std::string(tag), version});
}

// --- What can be said without a store

bool ExpectedVersion::holds(EventId newest) const {
  switch (kind_) {
    case Kind::Any:
      return true;
    case Kind::None:
      return newest == 0;
    case Kind::Exists:
      return newest != 0;
    case Kind::Exactly:
      return newest == event_;
  }
  return false;
}

std::string ExpectedVersion::text() const {
  switch (kind_) {
    case Kind::Any:
      return "any";
    case Kind::None:
      return "none";
    case Kind::Exists:
      return "exists";
    case Kind::Exactly:
      return "exactly " + std::to_string(event_);
  }
  return "";
}

std::optional<FailedCondition> Condition::OnKey::evaluate(std::optional<std::string_view> present) const {
  auto fail = [&](const std::string& what) {
    return FailedCondition{.key = key, .message = "key " + printable(key) + " " + what};
  };
  switch (kind) {
    case Kind::Exists:
      if (!present) return fail("does not exist");
      break;
    case Kind::Absent:
      if (present) return fail("exists, with the value " + printable(*present));
      break;
    case Kind::Equals:
      if (!present) return fail("does not exist; the value " + printable(value) + " is required");
      if (*present != value) {
        return fail("is " + printable(*present) + "; the value " + printable(value) + " is required");
      }
      break;
  }
  return std::nullopt;
}

std::string Rejection::message() const {
  std::string all;
  for (const FailedCondition& failure : failures) {
    if (!all.empty()) all += "; ";
    all += failure.message;
  }
  return all;
}

}  // namespace azoth
