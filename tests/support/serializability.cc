#include "support/serializability.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "support/dependency_graph.h"
#include "support/history_index.h"

namespace azoth::test {
namespace {

constexpr std::uint32_t kFinalState = 0xFFFFFFFF;  // who showed a list, when no transaction did

class Checker {
 public:
  Checker(const HistoryIndex& index, const CheckOptions& options, CheckResult& result)
      : index_(index), options_(options), result_(result), orders_(index.lists().size()), graph_(index.size()) {}

  void run() {
    check_internal();
    find_orders();
    for (std::uint32_t list = 0; list < orders_.size(); ++list)
      check_shown(list, *orders_[list].longest, orders_[list].by);
    check_prefixes();
    check_intermediate();
    check_lost();
    add_list_edges();
    if (options_.session) add_session_edges();
    if (options_.real_time) add_real_time_edges();
    result_.edges = graph_.edge_count();
    for (const DependencyCycle& cycle : graph_.cycles()) report(cycle);
  }

 private:
  struct Order {
    const List* longest = &kEmpty;
    std::uint32_t by = kFinalState;
  };

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
  void find_orders();
  void check_shown(std::uint32_t list, const List& shown, std::uint32_t by);
  void check_prefix(std::uint32_t list, const List& shown, std::uint32_t by);
  void check_prefixes();
  void check_intermediate();
  void check_lost();

  bool is_prefix(std::uint32_t list, const List& seen) const {
    const List& order = *orders_[list].longest;
    return seen.size() <= order.size() && std::equal(seen.begin(), seen.end(), order.begin());
  }
  // The transaction that appended it, if it counts as committed.
  std::optional<std::uint32_t> writer(std::uint32_t list, ListValue value) const {
    const IndexedAppend* append = index_.append(list, value);
    return append != nullptr && index_.committed(append->txn) ? std::optional(append->txn) : std::nullopt;
  }
  void add_list_edges();
  void add_read_edges(const IndexedRead& read);
  void add_unseen_edges(std::uint32_t list, std::vector<const IndexedRead*> readers);
  void add_session_edges();
  void add_real_time_edges();
  void report(const DependencyCycle& cycle);
  std::string explain(const DependencyEdge& edge) const;

  static inline const List kEmpty{};
  const HistoryIndex& index_;
  const CheckOptions& options_;
  CheckResult& result_;
  std::vector<Order> orders_;  // of each list: its versions, as far as anyone saw them
  std::set<std::pair<std::uint32_t, ListValue>> reported_;
  DependencyGraph graph_;
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

void Checker::find_orders() {
  for (std::uint32_t list = 0; list < orders_.size(); ++list) {
    if (const List* shown = index_.final_list(list)) orders_[list].longest = shown;
  }
  for (const IndexedRead& read : index_.reads()) {
    Order& order = orders_[read.list];
    if (read.seen->size() > order.longest->size()) order = {read.seen, read.txn};
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
  if (is_prefix(list, shown)) return;
  const Order& order = orders_[list];
  report("incompatible orders", {order.by, by},
         shown_by(order.by, list, *order.longest) + ", but " + shown_by(by, list, shown));
  check_shown(list, shown, by);
}

void Checker::check_prefixes() {
  for (std::uint32_t list = 0; list < orders_.size(); ++list) {
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
  for (std::uint32_t list = 0; list < orders_.size(); ++list) {
    if (const List* shown = index_.final_list(list)) check(list, *shown, kFinalState);
  }
}

void Checker::check_lost() {
  for (std::uint32_t list = 0; list < orders_.size(); ++list) {
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

void Checker::add_list_edges() {
  std::vector<std::vector<const IndexedRead*>> readers(orders_.size());  // those who saw the longest
  for (const IndexedRead& read : index_.reads()) {
    add_read_edges(read);
    if (*read.seen == *orders_[read.list].longest) readers[read.list].push_back(&read);
  }
  for (std::uint32_t list = 0; list < orders_.size(); ++list) {
    std::optional<std::uint32_t> before;
    for (ListValue value : *orders_[list].longest) {
      const std::optional<std::uint32_t> now = writer(list, value);
      if (!now) continue;
      if (before && *before != *now) graph_.add({*before, *now, Dependency::Ww, list, value});
      before = now;
    }
    add_unseen_edges(list, std::move(readers[list]));
  }
}

// wr: from who appended the last value that is not the reader's own. rw: to who appended the next one.
void Checker::add_read_edges(const IndexedRead& read) {
  for (auto value = read.seen->rbegin(); value != read.seen->rend(); ++value) {
    const std::optional<std::uint32_t> by = writer(read.list, *value);
    if (!by || *by == read.txn) continue;
    graph_.add({*by, read.txn, Dependency::Wr, read.list, *value});
    break;
  }
  if (!is_prefix(read.list, *read.seen)) return;
  const List& order = *orders_[read.list].longest;
  for (std::size_t i = read.seen->size(); i < order.size(); ++i) {
    const std::optional<std::uint32_t> by = writer(read.list, order[i]);
    if (!by) continue;
    if (*by != read.txn) graph_.add({read.txn, *by, Dependency::Rw, read.list, order[i]});
    break;  // its own append next: the ww edge from there says the rest
  }
}

// A committed append that nobody saw is later than the longest list that anybody saw. Its order among the others unseen
// is not known. Every reader of the longest leads to every unseen append but its own: through two chains of helpers,
// one for those before its own and one for those after it.
void Checker::add_unseen_edges(std::uint32_t list, std::vector<const IndexedRead*> readers) {
  const List& longest = *orders_[list].longest;
  const std::unordered_set<ListValue> seen(longest.begin(), longest.end());
  std::unordered_map<std::uint32_t, ListValue> unseen;  // one append of each transaction will do
  for (const auto& [value, append] : index_.lists()[list].appends) {
    if (index_.committed(append.txn) && !seen.contains(value)) unseen.emplace(append.txn, value);
  }
  if (unseen.empty()) return;
  for (auto last = longest.rbegin(); last != longest.rend(); ++last) {
    const std::optional<std::uint32_t> by = writer(list, *last);
    if (!by) continue;
    for (const auto& [txn, value] : unseen) {
      if (txn != *by) graph_.add({*by, txn, Dependency::Ww, list, value});
    }
    break;
  }
  if (readers.empty()) return;
  std::vector<std::pair<std::uint32_t, ListValue>> writers(unseen.begin(), unseen.end());
  std::sort(writers.begin(), writers.end());
  const std::size_t count = writers.size();
  std::vector<std::uint32_t> up_to(count), from(count);  // helpers that lead to 0..i, to i..count-1
  for (std::size_t i = 0; i < count; ++i) {
    up_to[i] = graph_.add_helper();
    from[i] = graph_.add_helper();
    for (std::uint32_t helper : {up_to[i], from[i]})
      graph_.add({helper, writers[i].first, Dependency::Onward, list, writers[i].second});
    if (i == 0) continue;
    graph_.add({up_to[i], up_to[i - 1], Dependency::Onward});
    graph_.add({from[i - 1], from[i], Dependency::Onward});
  }
  for (const IndexedRead* read : readers) {
    const auto own =
        std::lower_bound(writers.begin(), writers.end(), std::pair<std::uint32_t, ListValue>{read->txn, 0});
    const auto at = static_cast<std::size_t>(own - writers.begin());
    const bool is_own = own != writers.end() && own->first == read->txn;
    if (at > 0) graph_.add({read->txn, up_to[at - 1], Dependency::Rw, list});
    if (at + is_own < count) graph_.add({read->txn, from[at + is_own], Dependency::Rw, list});
  }
}

void Checker::add_session_edges() {
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> clients;
  for (std::uint32_t t = 0; t < index_.size(); ++t) {
    if (index_.committed(t)) clients[index_.txn(t).client].push_back(t);
  }
  for (auto& [client, txns] : clients) {
    std::sort(txns.begin(), txns.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::pair(index_.txn(a).invoked, index_.txn(a).completed) <
             std::pair(index_.txn(b).invoked, index_.txn(b).completed);
    });
    std::optional<std::uint32_t> before;
    for (std::uint32_t t : txns) {
      if (before) graph_.add({*before, t, Dependency::Session});
      if (index_.completes(t)) before = t;
    }
  }
}

// One helper for each completion, in their order, each leading to the next: what completes leads to its helper, and
// the helper of the last completion before an invocation leads to what is invoked.
void Checker::add_real_time_edges() {
  std::vector<std::uint32_t> invocations, completions;
  for (std::uint32_t t = 0; t < index_.size(); ++t) {
    if (!index_.committed(t)) continue;
    invocations.push_back(t);
    if (index_.completes(t)) completions.push_back(t);
  }
  std::sort(invocations.begin(), invocations.end(),
            [&](std::uint32_t a, std::uint32_t b) { return index_.txn(a).invoked < index_.txn(b).invoked; });
  std::sort(completions.begin(), completions.end(),
            [&](std::uint32_t a, std::uint32_t b) { return index_.txn(a).completed < index_.txn(b).completed; });
  std::optional<std::uint32_t> helper;
  auto completed = completions.begin();
  for (std::uint32_t t : invocations) {
    for (; completed != completions.end() && index_.txn(*completed).completed < index_.txn(t).invoked; ++completed) {
      const std::uint32_t next = graph_.add_helper();
      if (helper) graph_.add({*helper, next, Dependency::Onward});
      graph_.add({*completed, next, Dependency::RealTime});
      helper = next;
    }
    if (helper) graph_.add({*helper, t, Dependency::Onward});
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
      return from + " completed at " + std::to_string(index_.txn(edge.from).completed) + ", before " + to +
             " was invoked at " + std::to_string(index_.txn(edge.to).invoked);
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
