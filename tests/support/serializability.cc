#include "support/serializability.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "support/history_index.h"

namespace azoth::test {
namespace {

class Checker {
 public:
  Checker(const HistoryIndex& index, const CheckOptions& options, CheckResult& result)
      : index_(index), options_(options), result_(result) {}

  void run() {
    check_internal();
    for (std::uint32_t list = 0; list < index_.lists().size(); ++list) {
      check_shown(list, *index_.lists()[list].longest, index_.lists()[list].longest_by);
    }
    check_prefixes();
    check_intermediate();
    check_lost();
    DependencyGraph graph = find_dependencies(index_, options_);
    result_.edges = graph.edge_count();
    for (const DependencyCycle& cycle : graph.cycles()) report(cycle);
  }

 private:
  void report(std::string name, const std::set<std::uint32_t>& txns, std::string text) {
    Anomaly anomaly{std::move(name), {}, std::move(text)};
    for (std::uint32_t t : txns) {
      if (t != kFinalState) anomaly.transactions.push_back(index_.txn(t).id);
    }
    add_anomaly(result_, std::move(anomaly));
  }

  const std::string& list_name(std::uint32_t list) const { return index_.lists()[list].name; }
  std::string name(std::uint32_t t) const { return txn_name(index_.txn(t)); }
  std::string shown_by(std::uint32_t t, std::uint32_t list, const List& seen) const {
    return (t == kFinalState ? "the final state shows " : name(t) + " read ") + list_name(list) + " = " +
           list_text(seen);
  }

  void check_internal();
  void check_shown(std::uint32_t list, const List& shown, std::uint32_t by);
  void check_prefix(std::uint32_t list, const List& shown, std::uint32_t by);
  void check_prefixes();
  void check_intermediate();
  void check_lost();

  void report(const DependencyCycle& cycle);
  std::string explain(const DependencyEdge& edge) const;

  const HistoryIndex& index_;
  const CheckOptions& options_;
  CheckResult& result_;
  std::set<std::pair<std::uint32_t, ListValue>> reported_;
};

// What a transaction knows of a list from its own operations: the end of it, or all of it.
struct Known {
  std::uint32_t list;
  List end;
  bool whole;
};

void Checker::check_internal() {
  std::vector<Known> known;
  for (std::uint32_t t = 0; t < index_.size(); ++t) {
    if (!index_.committed(t)) continue;
    known.clear();
    const std::vector<MicroOp>& ops = index_.txn(t).ops;
    for (std::uint32_t op = 0; op < ops.size(); ++op) {
      const std::uint32_t list = index_.list_of(ops[op].key);
      auto at = std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.list == list; });
      if (at == known.end()) at = known.insert(at, {list, {}, false});
      if (ops[op].kind == MicroOp::Kind::Append) {
        at->end.push_back(ops[op].value);
        continue;
      }
      const List& seen = ops[op].seen;
      const bool fits =
          at->whole ? seen == at->end
                    : seen.size() >= at->end.size() && std::equal(at->end.rbegin(), at->end.rend(), seen.rbegin());
      const bool foretold = std::any_of(ops.begin() + op, ops.end(), [&](const MicroOp& later) {
        return later.kind == MicroOp::Kind::Append && later.key == ops[op].key &&
               std::find(seen.begin(), seen.end(), later.value) != seen.end();
      });
      if (foretold) {
        report("internal", {t}, shown_by(t, list, seen) + ", with a value that it appended only later");
      } else if (!fits) {
        report("internal", {t},
               shown_by(t, list, seen) + ", but after its own operations the list must " +
                   (at->whole ? "be " : "end with ") + list_text(at->end));
      }
      at->end = seen;
      at->whole = true;
    }
  }
}

// Every value of it: once is enough for the longest, as the prefixes of it show nothing else.
void Checker::check_shown(std::uint32_t list, const List& shown, std::uint32_t by) {
  std::unordered_set<ListValue> values;
  std::unordered_map<std::uint32_t, std::uint32_t> appended;  // by each transaction: how many of its appends
  for (ListValue value : shown) {
    const IndexedAppend* append = index_.append(list, value);
    const std::string text = std::to_string(value);
    if (!values.insert(value).second) {
      report("duplicate value", {by}, shown_by(by, list, shown) + ", with " + text + " twice");
    } else if (append == nullptr) {
      if (reported_.insert({list, value}).second)
        report("unwritten value", {by}, shown_by(by, list, shown) + ", but nobody appended " + text);
    } else if (!index_.committed(append->txn)) {
      if (reported_.insert({list, value}).second)
        report("G1a", {append->txn, by},
               shown_by(by, list, shown) + ", but " + name(append->txn) + ", which appended " + text + ", was aborted");
    } else if (append->ordinal != appended[append->txn]++ && reported_.insert({list, value}).second) {
      report("internal", {append->txn, by},
             shown_by(by, list, shown) + ", where " + text + " does not follow what " + name(append->txn) +
                 " had appended before it");
    }
  }
}

void Checker::check_prefix(std::uint32_t list, const List& shown, std::uint32_t by) {
  if (index_.is_prefix(list, shown)) return;
  const IndexedList& order = index_.lists()[list];
  report("incompatible orders", {order.longest_by, by},
         shown_by(order.longest_by, list, *order.longest) + ", but " + shown_by(by, list, shown));
  check_shown(list, shown, by);
}

void Checker::check_prefixes() {
  for (std::uint32_t list = 0; list < index_.lists().size(); ++list) {
    if (const List* shown = index_.final_list(list)) check_prefix(list, *shown, kFinalState);
  }
  for (const IndexedRead& read : index_.reads()) check_prefix(read.list, *read.seen, read.txn);
}

void Checker::check_intermediate() {
  auto check = [&](std::uint32_t list, const List& shown, std::uint32_t by) {
    if (shown.empty()) return;
    const IndexedAppend* append = index_.append(list, shown.back());
    if (append == nullptr || append->last || append->txn == by || !index_.committed(append->txn)) return;
    report("G1b", {append->txn, by},
           shown_by(by, list, shown) + ", which ends amid the appends of " + name(append->txn));
  };
  for (const IndexedRead& read : index_.reads()) check(read.list, *read.seen, read.txn);
  for (std::uint32_t list = 0; list < index_.lists().size(); ++list) {
    if (const List* shown = index_.final_list(list)) check(list, *shown, kFinalState);
  }
}

void Checker::check_lost() {
  for (std::uint32_t list = 0; list < index_.lists().size(); ++list) {
    const List* shown = index_.final_list(list);
    if (shown == nullptr) return;
    const std::unordered_set<ListValue> values(shown->begin(), shown->end());
    for (const auto& [value, append] : index_.lists()[list].appends) {
      if (!index_.committed(append.txn) || values.contains(value)) continue;
      report("lost update", {append.txn},
             shown_by(kFinalState, list, *shown) + ", without " + std::to_string(value) + ", which " +
                 name(append.txn) + " appended and committed");
    }
  }
}

std::string Checker::explain(const DependencyEdge& edge) const {
  const std::string from = name(edge.from);
  const std::string to = name(edge.to);
  const std::string value = std::to_string(edge.value);
  switch (edge.kind) {
    case Dependency::Ww:
      return to + " appended " + value + " to " + list_name(edge.key) + " after an append of " + from;
    case Dependency::Wr:
      return to + " read " + value + " in " + list_name(edge.key) + ", which " + from + " appended";
    case Dependency::Rw:
      return from + " read " + list_name(edge.key) + " before " + to + " appended " + value;
    case Dependency::Session:
      return from + " was before " + to + " on client " + std::to_string(index_.txn(edge.from).client);
    default:
      return from + " completed at " + std::to_string(index_.shown(edge.from, index_.txn(edge.to).looks_at)) +
             ", before " + to + " was invoked at " + std::to_string(index_.txn(edge.to).invoked);
  }
}

void Checker::report(const DependencyCycle& cycle) {
  Anomaly anomaly{cycle.name, {}, {}};
  std::string reasons;
  for (const DependencyEdge& edge : cycle.edges) {
    anomaly.transactions.push_back(index_.txn(edge.from).id);
    anomaly.text += name(edge.from) + " -" + dependency_name(edge.kind) + "-> ";
    reasons += "\n  " + dependency_name(edge.kind) + ": " + explain(edge);
  }
  anomaly.text += name(cycle.edges.front().from) + reasons;
  add_anomaly(result_, std::move(anomaly));
}

}  // namespace

bool CheckResult::has(const std::string& name) const {
  return std::any_of(anomalies.begin(), anomalies.end(), [&](const Anomaly& anomaly) { return anomaly.name == name; });
}

std::string CheckResult::text() const {
  std::string all = std::to_string(committed) + " committed transactions, " + std::to_string(edges) +
                    " dependencies, " + std::to_string(replayed_reads) + " reads replayed, " +
                    std::to_string(anomalies.size() + left_out) + " anomalies\n";
  for (const Anomaly& anomaly : anomalies) all += anomaly.name + ": " + anomaly.text + '\n';
  if (left_out != 0) all += "and " + std::to_string(left_out) + " more\n";
  return all;
}

CheckResult check_history(const History& history, const CheckOptions& options) {
  CheckResult result;
  const HistoryIndex index(history, options);
  for (std::uint32_t t = 0; t < index.size(); ++t) result.committed += index.committed(t) ? 1 : 0;
  Checker(index, options, result).run();
  replay_commits(index, options, result);
  return result;
}

}  // namespace azoth::test
