#include "step.h"

#include "azoth/core/digest.h"

namespace azoth::test {

WriteSet Step::set() const {
  WriteSet set;
  write_to(set);
  return set;
}

void Model::apply(const Step& step) {
  for (const std::string& key : step.deletes) state_.erase(key);
  for (const auto& [key, value] : step.puts) state_[key] = value;
  events_.insert(events_.end(), step.events.begin(), step.events.end());
}

// docs/format.md, "Digest".
std::string Model::digest() const {
  Digest keys;
  for (const auto& [key, value] : state_) {
    keys.add_length_prefixed(key);
    keys.add_length_prefixed(value);
  }
  keys.add(static_cast<std::uint64_t>(state_.size()));
  Digest log;
  std::uint64_t id = 0;
  for (const Step::OneEvent& event : events_) {
    log.add(++id);
    log.add(static_cast<std::uint64_t>(event.time.time_since_epoch().count()));
    log.add_length_prefixed(event.type);
    log.add(static_cast<std::uint64_t>(event.tags.size()));
    for (const std::string& tag : event.tags) log.add_length_prefixed(tag);
    log.add_length_prefixed(event.metadata);
    log.add_length_prefixed(event.payload);
  }
  Digest both;
  both.add(keys.finish_hex());
  both.add(log.finish_hex());
  return both.finish_hex();
}

const History::Moment& History::at(CommitSeq commit) const {
  const auto known = known_.find(commit);
  if (known != known_.end()) return known->second;
  Model model;
  for (const auto& [number, step] : order_) {
    if (number <= commit) model.apply(make_(step));
  }
  return known_.emplace(commit, Moment{model.digest(), model.events().size()}).first->second;
}

}  // namespace azoth::test
