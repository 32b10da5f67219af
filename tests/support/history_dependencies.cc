// Which transaction must be before which, as the lists, the clients and the clock tell.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "support/history_index.h"

namespace azoth::test {
namespace {

class Dependencies {
 public:
  Dependencies(const HistoryIndex& index, DependencyGraph& graph) : index_(index), graph_(graph) {}

  void add_list_edges();
  void add_session_edges();
  void add_real_time_edges();

 private:
  void add_read_edges(const IndexedRead& read);
  void add_unseen_edges(std::uint32_t list, const std::vector<const IndexedRead*>& readers);
  void add_order_edges(const std::vector<std::uint32_t>& txns, Dependency kind);
  void add_order_edges(const std::vector<std::uint32_t>& txns, Dependency kind, std::uint8_t level);

  const HistoryIndex& index_;
  DependencyGraph& graph_;
};

void Dependencies::add_list_edges() {
  std::vector<std::vector<const IndexedRead*>> readers(index_.lists().size());  // those who saw the longest
  for (const IndexedRead& read : index_.reads()) {
    add_read_edges(read);
    if (*read.seen == *index_.lists()[read.list].longest) readers[read.list].push_back(&read);
  }
  for (std::uint32_t list = 0; list < index_.lists().size(); ++list) {
    std::optional<std::uint32_t> before;
    for (ListValue value : *index_.lists()[list].longest) {
      const std::optional<std::uint32_t> now = index_.writer(list, value);
      if (!now) continue;
      if (before && *before != *now) graph_.add({*before, *now, Dependency::Ww, list, value});
      before = now;
    }
    add_unseen_edges(list, readers[list]);
  }
}

// wr: from who appended the last value that is not the reader's own. rw: to who appended the next one.
void Dependencies::add_read_edges(const IndexedRead& read) {
  for (auto value = read.seen->rbegin(); value != read.seen->rend(); ++value) {
    const std::optional<std::uint32_t> by = index_.writer(read.list, *value);
    if (!by || *by == read.txn) continue;
    graph_.add({*by, read.txn, Dependency::Wr, read.list, *value});
    break;
  }
  if (!index_.is_prefix(read.list, *read.seen)) return;
  const List& order = *index_.lists()[read.list].longest;
  for (std::size_t i = read.seen->size(); i < order.size(); ++i) {
    const std::optional<std::uint32_t> by = index_.writer(read.list, order[i]);
    if (!by) continue;
    if (*by != read.txn) graph_.add({read.txn, *by, Dependency::Rw, read.list, order[i]});
    break;  // its own append next: the ww edge from there says the rest
  }
}

// A committed append that nobody saw is later than the longest list that anybody saw. Its order among the others unseen
// is not known. Every reader of the longest leads to every unseen append but its own: through two chains of helpers,
// one for those before its own and one for those after it.
void Dependencies::add_unseen_edges(std::uint32_t list, const std::vector<const IndexedRead*>& readers) {
  const List& longest = *index_.lists()[list].longest;
  const std::unordered_set<ListValue> seen(longest.begin(), longest.end());
  std::unordered_map<std::uint32_t, ListValue> unseen;  // one append of each transaction will do
  for (const auto& [value, append] : index_.lists()[list].appends) {
    if (index_.committed(append.txn) && !seen.contains(value)) unseen.emplace(append.txn, value);
  }
  if (unseen.empty()) return;
  for (auto last = longest.rbegin(); last != longest.rend(); ++last) {
    const std::optional<std::uint32_t> by = index_.writer(list, *last);
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

void Dependencies::add_session_edges() {
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> clients;
  for (std::uint32_t t = 0; t < index_.size(); ++t) {
    if (index_.committed(t)) clients[index_.txn(t).client].push_back(t);
  }
  for (const auto& [client, txns] : clients) add_order_edges(txns, Dependency::Session);
}

void Dependencies::add_real_time_edges() {
  std::vector<std::uint32_t> txns;
  for (std::uint32_t t = 0; t < index_.size(); ++t) {
    if (index_.committed(t)) txns.push_back(t);
  }
  add_order_edges(txns, Dependency::RealTime);
}

void Dependencies::add_order_edges(const std::vector<std::uint32_t>& txns, Dependency kind) {
  for (std::uint8_t level = 0; level < kSightLevels; ++level) add_order_edges(txns, kind, level);
}

// What is shown between two invocations leads to one helper, which leads to that of the next ones; the helper of the
// last shown before an invocation leads to what is invoked. A client may begin at the tick at which it ended.
void Dependencies::add_order_edges(const std::vector<std::uint32_t>& txns, Dependency kind, std::uint8_t level) {
  using Moment = std::pair<std::uint64_t, std::uint64_t>;
  auto invoked = [&](std::uint32_t t) { return index_.txn(t).invoked; };
  auto shown = [&](std::uint32_t t) { return Moment(index_.shown(t, level), invoked(t)); };
  std::vector<std::uint32_t> looking, seen;
  for (std::uint32_t t : txns) {
    if (index_.txn(t).looks_at == level) looking.push_back(t);
    if (index_.shown(t, level) != kNever) seen.push_back(t);
  }
  std::sort(looking.begin(), looking.end(), [&](auto a, auto b) { return invoked(a) < invoked(b); });
  std::sort(seen.begin(), seen.end(), [&](auto a, auto b) { return shown(a) < shown(b); });
  std::optional<std::uint32_t> helper;
  auto next = seen.begin();
  for (std::uint32_t t : looking) {
    const Moment now(invoked(t), kind == Dependency::Session ? invoked(t) : 0);
    if (next != seen.end() && shown(*next) < now) {
      const std::uint32_t later = graph_.add_helper();
      if (helper) graph_.add({*helper, later, Dependency::Onward});
      for (; next != seen.end() && shown(*next) < now; ++next) graph_.add({*next, later, kind});
      helper = later;
    }
    if (helper) graph_.add({*helper, t, Dependency::Onward});
  }
}

}  // namespace

DependencyGraph find_dependencies(const HistoryIndex& index, const CheckOptions& options) {
  DependencyGraph graph(index.size());
  Dependencies dependencies(index, graph);
  dependencies.add_list_edges();
  if (options.session) dependencies.add_session_edges();
  if (options.real_time) dependencies.add_real_time_edges();
  return graph;
}

}  // namespace azoth::test
