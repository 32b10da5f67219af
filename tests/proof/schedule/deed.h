// Deeds: the transactions of the workload. The first event of each says everything that the transaction does and what
// it rested on, so the log alone tells what the state must be at each commit, and whether each transaction was right to
// happen where it did.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "azoth/canonical/read_txn.h"
#include "azoth/core/event.h"
#include "azoth/core/ids.h"
#include "azoth/core/value.h"

namespace azoth::proof {

struct Deed {
  int number = 0;                                         // no two have the same
  std::vector<std::pair<std::string, std::size_t>> puts;  // a key, and how many bytes its value has
  std::vector<std::string> deletes;
  std::vector<std::string> counts;                        // keys whose number goes up by one
  std::vector<std::pair<std::string, EventId>> expected;  // tags, and the newest event of each before the deed
  std::vector<std::string> tags;                          // of its events
  int events = 1;

  std::string text() const;
  static Deed parse(std::string_view text);
  std::string value(std::size_t bytes) const;

  // All but the counts, which need somebody who reads.
  template <class Writer>
  void write(Writer& to) const {
    for (const auto& [key, bytes] : puts) to.put(key, value(bytes));
    for (const std::string& key : deletes) to.del(key);
    const std::string all = text();
    const std::string more = "+" + std::to_string(number);
    for (int i = 0; i < events; ++i) {
      Event event{.type = "deed", .tags = {}, .payload = i == 0 ? all : more};
      event.tags.assign(tags.begin(), tags.end());
      to.append(event);
    }
  }
  template <class Transaction>
  void count(Transaction& in) const {
    for (const std::string& key : counts) {
      auto before = in.get(key);
      in.put(key, i64(before ? as_i64(*before) + 1 : 1));
    }
  }
};

// What a snapshot must hold, worked out from its events. Fails if they contradict each other.
class Content {
 public:
  struct Place {
    CommitSeq commit = 0;
    EventId first_event = 0;
  };

  // Fails if the state is not what the events say.
  static Content of(const ReadTxn& snapshot);

  void add(const EventView& event);
  CommitSeq last_commit() const { return last_commit_; }
  EventId last_event() const { return last_event_; }
  const std::map<int, Place>& deeds() const { return deeds_; }

 private:
  void perform(const Deed& deed);
  void check(const ReadTxn& snapshot) const;

  std::map<std::string, std::string, std::less<>> state_;
  std::map<std::string, EventId, std::less<>> newest_;  // event of each tag
  std::map<int, Place> deeds_;
  CommitSeq last_commit_ = 0;
  EventId last_event_ = 0;
  int unfinished_ = 0;  // events that the last deed still lacks
};

}  // namespace azoth::proof
