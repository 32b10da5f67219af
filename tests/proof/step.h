// What the workloads commit: steps. All of a step follows from its number, so what a store must hold follows from which
// steps it has, in which order.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "azoth/canonical/write_set.h"
#include "azoth/core/ids.h"

namespace azoth::proof {

enum class StepSize { Small, Large, Bulk };  // Large: five of them fill a segment. Bulk: more than half of one

// Steps of equal size whose index differs by a multiple of this have records of equal length.
inline constexpr int kSameLength = 300;

inline int step_number(int index, StepSize size) { return index * 3 + static_cast<int>(size); }

struct Step {
  struct OneEvent {
    std::string type;
    std::vector<std::string> tags;
    std::string payload;
    Timestamp time;
  };
  std::vector<std::pair<std::string, std::string>> puts;
  std::string deleted;
  std::vector<OneEvent> events;  // at least one

  explicit Step(int number);
  WriteSet set() const;
};

// Which commit is which step; commits that are missing are the store's own and change neither state nor events.
using Order = std::map<CommitSeq, int>;

// What the store must hold at each commit of an order.
class Model {
 public:
  explicit Model(const Order& order, CommitSeq last);

  // As Db::digest() gives it.
  const std::string& digest(CommitSeq commit) const { return digests_.at(commit); }
  EventId last_event(CommitSeq commit) const { return last_events_.at(commit); }
  const std::string& payload(EventId event) const { return payloads_.at(event - 1); }
  CommitSeq last() const { return digests_.size() - 1; }

 private:
  void note(const std::map<std::string, std::string>& state, const std::vector<Step::OneEvent>& events);

  std::vector<std::string> digests_;  // by commit, from 0
  std::vector<EventId> last_events_;
  std::vector<std::string> payloads_;
};

}  // namespace azoth::proof
