#include "step.h"

#include <cstdio>

#include "azoth/core/digest.h"

namespace azoth::proof {

Step::Step(int number) {
  const int index = number / 3;
  const auto size = static_cast<StepSize>(number % 3);
  char text[16];  // of one width, so that records of different steps can be of one length
  std::snprintf(text, sizeof text, "%09d", number);
  const std::string n = text;
  auto filler = static_cast<std::size_t>(index % kSameLength * 37 % 200);
  if (size == StepSize::Large) filler = 11'000;
  if (size == StepSize::Bulk) filler = 34'000;
  puts.emplace_back("shared/" + std::to_string(index % 7), n + std::string(filler, 'v'));
  puts.emplace_back("own/" + std::to_string(index % 100), n);
  deleted = "own/" + std::to_string((index + 97) % 100);
  for (int i = 0; i <= index % 2; ++i) {
    events.push_back({.type = "type" + std::to_string(index % 4),
                      .tags = {"group:" + std::to_string(index % 5)},
                      .payload = n + " " + std::to_string(i),
                      .time = Timestamp(std::chrono::microseconds(number))});
  }
}

WriteSet Step::set() const {
  WriteSet set;
  set.del(deleted);
  for (const auto& [key, value] : puts) set.put(key, value);
  for (const OneEvent& event : events) {
    Event view{.type = event.type, .tags = {}, .payload = event.payload, .metadata = {}, .time = event.time};
    for (const std::string& tag : event.tags) view.tags.push_back(tag);
    set.append(view);
  }
  return set;
}

Model::Model(const Order& order, CommitSeq last) {
  std::map<std::string, std::string> state;
  std::vector<Step::OneEvent> events;
  note(state, events);
  for (CommitSeq commit = 1; commit <= last; ++commit) {
    auto found = order.find(commit);
    if (found == order.end()) {
      digests_.push_back(digests_.back());
      last_events_.push_back(last_events_.back());
      continue;
    }
    Step step(found->second);
    state.erase(step.deleted);
    for (const auto& [key, value] : step.puts) state[key] = value;
    for (auto& event : step.events) {
      payloads_.push_back(event.payload);
      events.push_back(std::move(event));
    }
    note(state, events);
  }
}

// docs/format.md, "Digest".
void Model::note(const std::map<std::string, std::string>& state, const std::vector<Step::OneEvent>& events) {
  Digest keys;
  for (const auto& [key, value] : state) {
    keys.add_length_prefixed(key);
    keys.add_length_prefixed(value);
  }
  keys.add(static_cast<std::uint64_t>(state.size()));
  Digest log;
  std::uint64_t id = 0;
  for (const auto& event : events) {
    log.add(++id);
    log.add(static_cast<std::uint64_t>(event.time.time_since_epoch().count()));
    log.add_length_prefixed(event.type);
    log.add(static_cast<std::uint64_t>(event.tags.size()));
    for (const std::string& tag : event.tags) log.add_length_prefixed(tag);
    log.add_length_prefixed("");
    log.add_length_prefixed(event.payload);
  }
  Digest both;
  both.add(keys.finish_hex());
  both.add(log.finish_hex());
  digests_.push_back(both.finish_hex());
  last_events_.push_back(id);
}

}  // namespace azoth::proof
