#include "condition_check.h"

#include <algorithm>
#include <limits>

#include "event_match.h"

namespace azoth {

namespace {

constexpr EventId kNewest = std::numeric_limits<EventId>::max();

FailedCondition conflict(const EventView& event, EventId after) {
  std::string tags;
  for (std::string_view tag : event.tags()) tags += (tags.empty() ? "" : ", ") + printable(tag);
  return {.event = event.id(),
          .message = "event " + std::to_string(event.id()) + " (" + printable(event.type()) + ": " + tags +
                     ") has come after position " + std::to_string(after) + "; read again and decide anew"};
}

FailedCondition ahead(EventId after, EventId last) {
  return {.message = "position " + std::to_string(after) + " is ahead of the log, which ends with event " +
                     std::to_string(last) + "; read again and decide anew"};
}

FailedCondition other_version(const Condition::OnTag& condition, EventId newest) {
  std::string is = newest == 0 ? "has no event" : "is at event " + std::to_string(newest);
  return {.tag = condition.tag,
          .event = newest,
          .message = "tag " + printable(condition.tag) + " " + is + "; expected: " + condition.version.text()};
}

// --- On a snapshot

std::optional<FailedCondition> evaluate(const Condition::OnKey& condition, const Snapshot& snapshot) {
  return condition.evaluate(snapshot.get(Space::State, condition.key));
}

std::optional<FailedCondition> evaluate(const Condition::NoEvent& condition, const Snapshot& snapshot) {
  EventId last = snapshot.last_event();
  if (condition.after > last) return ahead(condition.after, last);
  std::optional<EventView> first;
  for (const EventPattern& pattern : condition.patterns) {
    EventQuery query{.after = condition.after, .types = pattern.types, .tags = pattern.tags, .limit = 1};
    if (first) query.to = first->id() - 1;
    EventCursor cursor(snapshot, std::move(query));
    if (cursor.valid()) first = cursor.event();
  }
  if (first) return conflict(*first, condition.after);
  return std::nullopt;
}

std::optional<FailedCondition> evaluate(const Condition::OnTag& condition, const Snapshot& snapshot) {
  EventId newest = snapshot.newest_event(condition.tag);
  if (condition.version.holds(newest)) return std::nullopt;
  return other_version(condition, newest);
}

// --- On what came since

using Deltas = std::vector<std::shared_ptr<const Delta>>;

std::optional<FailedCondition> violated(const Condition::OnKey&, const Deltas&, const Evaluated&) {
  return std::nullopt;
}

std::optional<EventView> first_match(const Delta& delta, const EventPattern& pattern, EventId since) {
  const TagIndex::Tag* tag = delta.tags().find(pattern.tags.front());
  if (TagIndex::newest(tag) <= since) return std::nullopt;
  TagIds ids(tag, since, kNewest);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EventView event = delta.event(ids[i]);
    if (matches(event, pattern.types, pattern.tags)) return event;
  }
  return std::nullopt;
}

std::optional<FailedCondition> violated(const Condition::NoEvent& condition, const Deltas& newest_first,
                                        const Evaluated& since) {
  for (auto delta = newest_first.rbegin(); delta != newest_first.rend(); ++delta) {
    std::optional<EventView> first;
    for (const EventPattern& pattern : condition.patterns) {
      auto event = first_match(**delta, pattern, since.last_event);
      if (event && (!first || event->id() < first->id())) first = event;
    }
    if (first) return conflict(*first, condition.after);
  }
  return std::nullopt;
}

std::optional<FailedCondition> violated(const Condition::OnTag& condition, const Deltas& newest_first,
                                        const Evaluated& since) {
  for (const auto& delta : newest_first) {
    EventId newest = TagIndex::newest(delta->tags().find(condition.tag));
    if (newest <= since.last_event) continue;
    if (condition.version.holds(newest)) return std::nullopt;
    return other_version(condition, newest);
  }
  return std::nullopt;
}

}  // namespace

void evaluate(std::span<const Condition> conditions, const Snapshot& snapshot, Rejection& rejection) {
  for (const Condition& condition : conditions) {
    auto failure = std::visit([&](const auto& kind) { return evaluate(kind, snapshot); }, condition.kind());
    if (failure) rejection.failures.push_back(std::move(*failure));
  }
}

std::optional<FailedCondition> violated_since(std::span<const Condition> conditions, const Deltas& newest_first,
                                              const Evaluated& since) {
  for (const Condition& condition : conditions) {
    auto failure = std::visit([&](const auto& kind) { return violated(kind, newest_first, since); }, condition.kind());
    if (failure) return failure;
  }
  return std::nullopt;
}

bool any_on_events(std::span<const Condition> conditions) {
  return std::any_of(conditions.begin(), conditions.end(), [](const Condition& condition) {
    return !std::holds_alternative<Condition::OnKey>(condition.kind());
  });
}

}  // namespace azoth
