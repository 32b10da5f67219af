#include "transaction_line.h"

namespace azoth::cli {

WriteSet write_set_of(const TransactionLine& line) {
  WriteSet set;
  for (const std::string& key : line.dels) set.del(key);
  for (const auto& [key, value] : line.puts) set.put(key, value);
  for (const LineEvent& event : line.events) {
    set.append({.type = event.type,
                .tags = {event.tags.begin(), event.tags.end()},
                .payload = event.payload.view(),
                .metadata = event.metadata.view(),
                .time = event.time});
  }
  return set;
}

std::vector<Condition> conditions_of(const TransactionLine& line) {
  std::vector<Condition> conditions;
  for (const Requirement& requirement : line.requirements) {
    conditions.push_back(requirement.value ? Condition::key_equals(requirement.key, *requirement.value)
                                           : Condition::key_absent(requirement.key));
  }
  for (const NoEventSince& none : line.no_events) {
    conditions.push_back(Condition::no_event({none.pattern}, none.after));
  }
  for (const Expectation& expectation : line.expectations) {
    conditions.push_back(Condition::tag_version(expectation.tag, expectation.version));
  }
  return conditions;
}

}  // namespace azoth::cli
