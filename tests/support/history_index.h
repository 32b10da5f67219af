// A history made ready for the checks: which transactions count as committed, who appended what, which reads count.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "support/dependency_graph.h"
#include "support/serializability.h"

namespace azoth::test {

struct IndexedAppend {
  std::uint32_t txn;      // its index in the history
  std::uint32_t ordinal;  // from 0, among the appends of its transaction to the list
  bool last;              // ... the last of them
};

constexpr std::uint32_t kFinalState = 0xFFFFFFFF;  // who showed a list, when no transaction did

struct IndexedList {
  std::string name;
  std::unordered_map<ListValue, IndexedAppend> appends{};  // of all transactions, the aborted ones too
  const List* longest = nullptr;                           // its versions, as far as anyone saw them
  std::uint32_t longest_by = kFinalState;                  // who showed that
};

// A read of a committed transaction.
struct IndexedRead {
  std::uint32_t txn;
  std::uint32_t list;
  const List* seen;
};

// Refers to the history, which must outlive it. Throws std::invalid_argument as check_history() does.
class HistoryIndex {
 public:
  HistoryIndex(const History& history, const CheckOptions& options);

  const RecordedTxn& txn(std::uint32_t index) const { return history_.transactions[index]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(history_.transactions.size()); }
  // An unknown outcome counts as committed exactly if a committed transaction or the final state shows its effect.
  bool committed(std::uint32_t index) const { return committed_[index]; }
  // The tick from which on it must be seen by who looks at this level. Nothing is known to be after a transaction of
  // unknown outcome.
  std::uint64_t shown(std::uint32_t index, std::uint8_t level) const;

  const std::vector<IndexedList>& lists() const { return lists_; }
  std::uint32_t list_of(const std::string& key) const { return list_numbers_.at(key); }
  const std::vector<IndexedRead>& reads() const { return reads_; }
  // Nothing for a value that nobody appended.
  const IndexedAppend* append(std::uint32_t list, ListValue value) const;
  // The transaction that appended it, if it counts as committed.
  std::optional<std::uint32_t> writer(std::uint32_t list, ListValue value) const;
  bool is_prefix(std::uint32_t list, const List& seen) const;  // ... of the longest
  // What the final state shows; null when there is none.
  const List* final_list(std::uint32_t list) const;

 private:
  void index_operations();
  void decide_unknown_outcomes();
  void collect_reads();
  void find_longest();

  const History& history_;
  std::vector<bool> committed_;
  std::vector<IndexedList> lists_;
  std::unordered_map<std::string, std::uint32_t> list_numbers_;
  std::vector<IndexedRead> reads_;
};

// Those who report. Of each name only the first are kept.
void add_anomaly(CheckResult& result, Anomaly anomaly);
// "T17"
std::string txn_name(const RecordedTxn& txn);
// "[1 2 3]", the middle left out when it is long
std::string list_text(const List& list);

// history_dependencies.cc: nodes are the transactions by their index.
DependencyGraph find_dependencies(const HistoryIndex& index, const CheckOptions& options);

// history_replay.cc: "replay" and "commit order".
void replay_commits(const HistoryIndex& index, const CheckOptions& options, CheckResult& result);

}  // namespace azoth::test
