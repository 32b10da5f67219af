// What workloads commit: steps. All of a step follows from its number, with which the payloads of its events begin. So a
// log tells which steps a store has and in which order, and that order what its state and its digest must be.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "azoth/canonical/write_set.h"
#include "azoth/core/ids.h"

namespace azoth::test {

struct Step {
  struct OneEvent {
    std::string type;
    std::vector<std::string> tags;
    std::string payload;
    std::string metadata;
    Timestamp time;
  };
  std::vector<std::string> deletes;  // come first
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<OneEvent> events;  // at least one

  // Works for a WriteSet, a Txn and a WriteTxn.
  template <class Writer>
  void write_to(Writer& writer) const {
    for (const std::string& key : deletes) writer.del(key);
    for (const auto& [key, value] : puts) writer.put(key, value);
    for (const OneEvent& event : events) {
      Event view{
          .type = event.type, .tags = {}, .payload = event.payload, .metadata = event.metadata, .time = event.time};
      for (const std::string& tag : event.tags) view.tags.push_back(tag);
      writer.append(view);
    }
  }

  WriteSet set() const;
};

using StepMaker = Step (*)(int number);

// Which commit is which step; commits that are missing are the store's own and change neither state nor events.
using Order = std::map<CommitSeq, int>;

// What a store must hold that has some steps.
class Model {
 public:
  void apply(const Step& step);

  const std::map<std::string, std::string>& state() const { return state_; }
  const std::vector<Step::OneEvent>& events() const { return events_; }
  std::string digest() const;  // as Store::digest() gives it

 private:
  std::map<std::string, std::string> state_;
  std::vector<Step::OneEvent> events_;
};

// What it must hold at each commit of an order, worked out when it is asked for.
class History {
 public:
  struct Moment {
    std::string digest;
    EventId last_event;
  };

  History(StepMaker make, Order order, CommitSeq last) : make_(make), order_(std::move(order)), last_(last) {}

  const Moment& at(CommitSeq commit) const;
  CommitSeq last() const { return last_; }

 private:
  StepMaker make_;
  Order order_;
  CommitSeq last_;
  mutable std::map<CommitSeq, Moment> known_;
};

}  // namespace azoth::test
