// Whether an event is of a kind.
#pragma once

#include <algorithm>
#include <span>
#include <string>

#include "azoth/core/event.h"

namespace azoth {

// Any of the types (all if there are none), all of the tags.
inline bool matches(const EventView& event, std::span<const std::string> types, std::span<const std::string> tags) {
  if (!types.empty() && std::find(types.begin(), types.end(), event.type()) == types.end()) return false;
  return std::all_of(tags.begin(), tags.end(), [&](const std::string& tag) { return event.tags().contains(tag); });
}

}  // namespace azoth
