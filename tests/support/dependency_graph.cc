#include "support/dependency_graph.h"

#include <algorithm>
#include <deque>
#include <limits>

namespace azoth::test {
namespace {

using Node = std::uint32_t;
using Mask = unsigned;

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMostSteps = 50'000'000;  // of the searches for shortest cycles, all together

constexpr Mask bit(Dependency kind) { return 1u << static_cast<unsigned>(kind); }

struct Edges {
  const std::vector<DependencyEdge>& all;
  const std::vector<std::uint32_t>& first;
};

// Tarjan's strongly connected components, without recursion, of the edges in a mask and the nodes that are not out.
class Components {
 public:
  Components(const Edges& edges, Mask mask, const std::vector<bool>& out)
      : edges_(edges), mask_(mask), component_(out.size(), kNone), number_(out.size(), kNone), low_(out.size(), 0) {
    for (Node node = 0; node < out.size(); ++node) {
      if (!out[node] && number_[node] == kNone) visit(node, out);
    }
  }

  const std::vector<std::vector<Node>>& knots() const { return knots_; }  // the components of more than one node
  std::uint32_t of(Node node) const { return component_[node]; }

 private:
  struct Frame {
    Node node;
    std::uint32_t edge;
  };

  void enter(Node node) {
    number_[node] = low_[node] = next_number_++;
    open_.push_back(node);
    frames_.push_back({node, edges_.first[node]});
  }

  void visit(Node root, const std::vector<bool>& out) {
    enter(root);
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      const Node node = frame.node;
      if (frame.edge == edges_.first[node + 1]) {
        leave(node);
        continue;
      }
      const DependencyEdge& edge = edges_.all[frame.edge++];
      if ((bit(edge.kind) & mask_) == 0 || out[edge.to]) continue;
      if (number_[edge.to] == kNone) {
        enter(edge.to);
      } else if (component_[edge.to] == kNone) {
        low_[node] = std::min(low_[node], number_[edge.to]);
      }
    }
  }

  void leave(Node node) {
    frames_.pop_back();
    if (!frames_.empty()) low_[frames_.back().node] = std::min(low_[frames_.back().node], low_[node]);
    if (low_[node] != number_[node]) return;
    std::vector<Node> members;
    do {
      members.push_back(open_.back());
      component_[open_.back()] = components_;
      open_.pop_back();
    } while (members.back() != node);
    ++components_;
    if (members.size() > 1) {
      std::sort(members.begin(), members.end());
      knots_.push_back(std::move(members));
    }
  }

  const Edges& edges_;
  const Mask mask_;
  std::vector<std::vector<Node>> knots_;
  std::vector<std::uint32_t> component_;  // kNone while it is open
  std::vector<std::uint32_t> number_, low_;
  std::vector<Node> open_;
  std::vector<Frame> frames_;
  std::uint32_t next_number_ = 0;
  std::uint32_t components_ = 0;
};

// Shortest walks from a transaction back to itself. A state is a node and whether an rw edge was passed (counted only
// when a limit asks for it). Steps to helpers cost nothing: a length is a number of transactions.
class CycleSearch {
 public:
  CycleSearch(const Edges& edges, Node transactions, std::size_t nodes)
      : edges_(edges), transactions_(transactions), seen_(2 * nodes, 0), length_(2 * nodes), entered_by_(2 * nodes) {}

  // The indexes of the edges of the shortest cycle within one component, or nothing if each has more than one rw edge
  // and only one is allowed.
  std::vector<std::uint32_t> shortest(const std::vector<Node>& knot, const Components& within, Mask mask, bool one_rw) {
    best_.clear();
    best_length_ = kNone;
    for (Node start : knot) {
      if (start >= transactions_ || best_length_ == 2) break;  // sorted: only helpers follow
      if (steps_ >= kMostSteps && (!best_.empty() || one_rw)) break;
      from(start, within, mask, one_rw);
    }
    return best_;
  }

 private:
  void from(Node start, const Components& within, Mask mask, bool one_rw) {
    ++round_;
    std::deque<std::uint32_t> queue;
    reach(2 * start, 0, kNone, true, queue);
    while (!queue.empty()) {
      const std::uint32_t state = queue.front();
      queue.pop_front();
      const std::uint32_t length = length_[state];
      if (length + 1 >= best_length_) return;
      for (std::uint32_t i = edges_.first[state / 2]; i < edges_.first[state / 2 + 1]; ++i) {
        ++steps_;
        const DependencyEdge& edge = edges_.all[i];
        if ((bit(edge.kind) & mask) == 0 || within.of(edge.to) != within.of(start)) continue;
        const bool counted = one_rw && edge.kind == Dependency::Rw;
        if (counted && state % 2 == 1) continue;
        if (edge.to == start) return finish(start, state, i);
        const bool transaction = edge.to < transactions_;
        const std::uint32_t next = 2 * edge.to + (counted || state % 2 == 1 ? 1 : 0);
        reach(next, length + (transaction ? 1 : 0), i, transaction, queue, state % 2 == 1);
      }
    }
  }

  void reach(std::uint32_t state, std::uint32_t length, std::uint32_t edge, bool costs,
             std::deque<std::uint32_t>& queue, bool had_rw = false) {
    if (seen_[state] == round_ && length_[state] <= length) return;
    seen_[state] = round_;
    length_[state] = length;
    entered_by_[state] = {edge, had_rw};
    costs ? queue.push_back(state) : queue.push_front(state);
  }

  void finish(Node start, std::uint32_t state, std::uint32_t closing) {
    best_length_ = length_[state] + 1;
    best_.assign(1, closing);
    while (state != 2 * start) {
      const Entry& entry = entered_by_[state];
      best_.push_back(entry.edge);
      state = 2 * edges_.all[entry.edge].from + (entry.had_rw ? 1 : 0);
    }
    std::reverse(best_.begin(), best_.end());
  }

  struct Entry {
    std::uint32_t edge;
    bool had_rw;  // of the state before
  };

  const Edges& edges_;
  const Node transactions_;
  std::vector<std::uint32_t> seen_;  // the round in which the state was reached
  std::vector<std::uint32_t> length_;
  std::vector<Entry> entered_by_;
  std::uint32_t round_ = 0;
  std::uint64_t steps_ = 0;
  std::vector<std::uint32_t> best_;
  std::uint32_t best_length_ = kNone;
};

std::string cycle_name(const std::vector<DependencyEdge>& edges) {
  auto count = [&](Dependency kind) {
    return std::count_if(edges.begin(), edges.end(), [&](const DependencyEdge& edge) { return edge.kind == kind; });
  };
  const auto rw = count(Dependency::Rw);
  const std::string order = count(Dependency::RealTime) != 0  ? "strict "
                            : count(Dependency::Session) != 0 ? "session "
                                                              : "";
  return order + (rw > 1 ? "G2" : rw == 1 ? "G-single" : count(Dependency::Wr) != 0 ? "G1c" : "G0");
}

}  // namespace

std::string dependency_name(Dependency kind) {
  switch (kind) {
    case Dependency::Ww:
      return "ww";
    case Dependency::Wr:
      return "wr";
    case Dependency::Rw:
      return "rw";
    case Dependency::Session:
      return "session";
    case Dependency::RealTime:
      return "real time";
    case Dependency::Onward:
      break;
  }
  return "onward";
}

void DependencyGraph::sort_edges() {
  std::stable_sort(edges_.begin(), edges_.end(), [](const DependencyEdge& a, const DependencyEdge& b) {
    return a.from != b.from ? a.from < b.from : a.kind < b.kind;
  });
  first_.assign(nodes_ + 1, 0);
  for (const DependencyEdge& edge : edges_) ++first_[edge.from + 1];
  for (Node node = 0; node < nodes_; ++node) first_[node + 1] += first_[node];
}

std::vector<DependencyCycle> DependencyGraph::cycles() {
  sort_edges();
  const Edges edges{edges_, first_};
  constexpr Mask kWw = bit(Dependency::Ww) | bit(Dependency::Onward);
  constexpr Mask kWr = kWw | bit(Dependency::Wr);
  constexpr Mask kRw = kWr | bit(Dependency::Rw);
  constexpr Mask kSession = bit(Dependency::Session);
  constexpr Mask kRealTime = kSession | bit(Dependency::RealTime);

  // A node on no cycle of all edges is on no cycle.
  std::vector<bool> out(nodes_, true);
  const Components all(edges, kRw | kRealTime, std::vector<bool>(nodes_, false));
  for (const std::vector<Node>& knot : all.knots()) {
    for (Node node : knot) out[node] = false;
  }
  std::vector<DependencyCycle> found;
  if (all.knots().empty()) return found;

  CycleSearch search(edges, transactions_, nodes_);
  for (Mask mask : {kWw, kWr, kRw, kWw | kSession, kWr | kSession, kRw | kSession, kWw | kRealTime, kWr | kRealTime,
                    kRw | kRealTime}) {
    const Components components(edges, mask, out);
    for (const std::vector<Node>& knot : components.knots()) {
      std::vector<std::uint32_t> path;
      if ((mask & bit(Dependency::Rw)) != 0) path = search.shortest(knot, components, mask, true);
      if (path.empty()) path = search.shortest(knot, components, mask, false);
      DependencyCycle cycle;
      for (std::uint32_t i : path) {
        if (edges_[i].from < transactions_) {
          cycle.edges.push_back(edges_[i]);
        } else {  // on from a helper
          cycle.edges.back().to = edges_[i].to;
          cycle.edges.back().value = edges_[i].value;
        }
      }
      cycle.name = cycle_name(cycle.edges);
      found.push_back(std::move(cycle));
      // What is reported once is enough. Helpers stay: others may need them.
      for (Node node : knot) out[node] = node < transactions_;
    }
  }
  return found;
}

}  // namespace azoth::test
