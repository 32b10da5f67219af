// The dependencies between transactions, and the cycles in them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace azoth::test {

enum class Dependency : std::uint8_t { Ww, Wr, Rw, Session, RealTime, Onward };

// "ww", "wr", "rw", "session", "real time"
std::string dependency_name(Dependency kind);

struct DependencyEdge {
  std::uint32_t from;
  std::uint32_t to;
  Dependency kind;
  std::uint32_t key = 0;    // of ww, wr and rw: the list
  std::uint64_t value = 0;  // ... and the value: ww and rw: what `to` appended; wr: what `from` appended
};

struct DependencyCycle {
  std::string name;                   // "G0", "strict G-single", ...
  std::vector<DependencyEdge> edges;  // from transaction to transaction, the last leads to the first
};

// Nodes 0 .. transactions-1 are transactions. Helper nodes stand for many edges at once: all that lead to a helper are
// joined with all that it leads to. What leaves a helper is Onward; the edge that enters it from a transaction says the
// kind.
class DependencyGraph {
 public:
  explicit DependencyGraph(std::uint32_t transactions) : transactions_(transactions), nodes_(transactions) {}

  std::uint32_t add_helper() { return nodes_++; }
  void add(const DependencyEdge& edge) { edges_.push_back(edge); }
  std::size_t edge_count() const { return edges_.size(); }

  // The worst and shortest cycle of each knot; empty exactly if there is no cycle. In huge knots the search for the
  // shortest ends early.
  std::vector<DependencyCycle> cycles();

 private:
  void sort_edges();

  std::uint32_t transactions_;
  std::uint32_t nodes_;
  std::vector<DependencyEdge> edges_;  // sorted: by from, then kind
  std::vector<std::uint32_t> first_;   // of each node: its first edge
};

}  // namespace azoth::test
