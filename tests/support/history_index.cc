#include "support/history_index.h"

#include <algorithm>
#include <stdexcept>
#include <unordered_set>

namespace azoth::test {
namespace {

const List kEmpty;

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("not a history: " + why); }

void check_times(const History& history, bool session) {
  std::unordered_set<std::uint64_t> ids;
  std::unordered_map<std::uint32_t, std::vector<const RecordedTxn*>> clients;
  for (const RecordedTxn& txn : history.transactions) {
    if (!ids.insert(txn.id).second) refuse("the id of " + txn_name(txn) + " occurs twice");
    if (txn.completed < txn.invoked) refuse(txn_name(txn) + " completes before it is invoked");
    if (txn.looks_at >= kSightLevels) refuse(txn_name(txn) + " looks at a level that there is not");
    if (txn.shown && *std::min_element(txn.shown->begin(), txn.shown->end()) < txn.invoked)
      refuse(txn_name(txn) + " is shown before it is invoked");
    clients[txn.client].push_back(&txn);
  }
  if (!session) return;
  for (auto& [client, txns] : clients) {
    std::sort(txns.begin(), txns.end(), [](auto* a, auto* b) { return a->invoked < b->invoked; });
    for (std::size_t i = 1; i < txns.size(); ++i) {
      if (txns[i]->invoked >= txns[i - 1]->completed) continue;
      refuse(txn_name(*txns[i - 1]) + " and " + txn_name(*txns[i]) + " of one client overlap");
    }
  }
}

}  // namespace

HistoryIndex::HistoryIndex(const History& history, const CheckOptions& options) : history_(history) {
  check_times(history, options.session);
  index_operations();
  decide_unknown_outcomes();
  collect_reads();
  find_longest();
}

void HistoryIndex::index_operations() {
  auto number = [&](const std::string& key) {
    auto [at, is_new] = list_numbers_.try_emplace(key, static_cast<std::uint32_t>(lists_.size()));
    if (is_new) lists_.push_back({.name = key});
    return at->second;
  };
  for (std::uint32_t t = 0; t < size(); ++t) {
    const std::vector<MicroOp>& ops = txn(t).ops;
    for (std::uint32_t op = 0; op < ops.size(); ++op) {
      IndexedList& list = lists_[number(ops[op].key)];
      if (ops[op].kind != MicroOp::Kind::Append) continue;
      auto same = [&](const MicroOp& other) { return other.kind == MicroOp::Kind::Append && other.key == ops[op].key; };
      const auto ordinal = static_cast<std::uint32_t>(std::count_if(ops.begin(), ops.begin() + op, same));
      const bool last = std::none_of(ops.begin() + op + 1, ops.end(), same);
      const auto [at, is_new] = list.appends.try_emplace(ops[op].value, IndexedAppend{t, ordinal, last});
      if (is_new) continue;
      refuse(std::to_string(ops[op].value) + " is appended to " + list.name + " by " + txn_name(txn(at->second.txn)) +
             " and by " + txn_name(txn(t)));
    }
  }
  if (!history_.final_state) return;
  for (const auto& [key, list] : *history_.final_state) number(key);
}

void HistoryIndex::decide_unknown_outcomes() {
  committed_.resize(size());
  std::vector<std::uint32_t> to_scan;
  bool unknown = false;
  for (std::uint32_t t = 0; t < size(); ++t) {
    committed_[t] = txn(t).outcome == TxnOutcome::Committed;
    unknown = unknown || txn(t).outcome == TxnOutcome::Unknown;
    if (committed_[t]) to_scan.push_back(t);
  }
  if (!unknown) return;
  auto scan = [&](std::uint32_t list, const List& seen) {
    for (ListValue value : seen) {
      const IndexedAppend* by = append(list, value);
      if (by == nullptr || committed_[by->txn] || txn(by->txn).outcome != TxnOutcome::Unknown) continue;
      committed_[by->txn] = true;
      to_scan.push_back(by->txn);
    }
  };
  for (std::uint32_t list = 0; list < lists_.size(); ++list) {
    if (const List* shown = final_list(list)) scan(list, *shown);
  }
  while (!to_scan.empty()) {
    const std::uint32_t t = to_scan.back();
    to_scan.pop_back();
    for (const MicroOp& op : txn(t).ops) {
      if (op.kind == MicroOp::Kind::Read) scan(list_of(op.key), op.seen);
    }
  }
}

void HistoryIndex::collect_reads() {
  for (std::uint32_t t = 0; t < size(); ++t) {
    if (!committed_[t]) continue;
    for (const MicroOp& op : txn(t).ops) {
      if (op.kind == MicroOp::Kind::Read) reads_.push_back({t, list_of(op.key), &op.seen});
    }
  }
}

void HistoryIndex::find_longest() {
  for (std::uint32_t list = 0; list < lists_.size(); ++list) {
    const List* shown = final_list(list);
    lists_[list].longest = shown != nullptr ? shown : &kEmpty;
  }
  for (const IndexedRead& read : reads_) {
    IndexedList& list = lists_[read.list];
    if (read.seen->size() <= list.longest->size()) continue;
    list.longest = read.seen;
    list.longest_by = read.txn;
  }
}

std::uint64_t HistoryIndex::shown(std::uint32_t index, std::uint8_t level) const {
  if (txn(index).outcome != TxnOutcome::Committed) return kNever;
  return txn(index).shown ? (*txn(index).shown)[level] : txn(index).completed;
}

const IndexedAppend* HistoryIndex::append(std::uint32_t list, ListValue value) const {
  const auto at = lists_[list].appends.find(value);
  return at == lists_[list].appends.end() ? nullptr : &at->second;
}

std::optional<std::uint32_t> HistoryIndex::writer(std::uint32_t list, ListValue value) const {
  const IndexedAppend* by = append(list, value);
  return by != nullptr && committed_[by->txn] ? std::optional(by->txn) : std::nullopt;
}

bool HistoryIndex::is_prefix(std::uint32_t list, const List& seen) const {
  const List& longest = *lists_[list].longest;
  return seen.size() <= longest.size() && std::equal(seen.begin(), seen.end(), longest.begin());
}

const List* HistoryIndex::final_list(std::uint32_t list) const {
  if (!history_.final_state) return nullptr;
  const auto at = history_.final_state->find(lists_[list].name);
  return at == history_.final_state->end() ? &kEmpty : &at->second;
}

void add_anomaly(CheckResult& result, Anomaly anomaly) {
  const auto same = std::count_if(result.anomalies.begin(), result.anomalies.end(),
                                  [&](const Anomaly& other) { return other.name == anomaly.name; });
  if (static_cast<std::size_t>(same) >= CheckResult::kMostOfAName) {
    ++result.left_out;
  } else {
    result.anomalies.push_back(std::move(anomaly));
  }
}

std::string txn_name(const RecordedTxn& txn) { return 'T' + std::to_string(txn.id); }

std::string list_text(const List& list) {
  constexpr std::size_t kLongest = 16;
  std::string text = "[";
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i != 0) text += ' ';
    if (list.size() > kLongest && i == kLongest / 2) {
      i = list.size() - kLongest / 2;
      text += "... ";
    }
    text += std::to_string(list[i]);
  }
  return text + ']';
}

}  // namespace azoth::test
