// What a program has been told by the library so far, and so what a power cut must leave. A workload says it in marks,
// which the recorder puts between the operations: each after the library has acknowledged it, or, of what is only
// begun, before it is begun.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/ids.h"
#include "support/invariants.h"

namespace azoth::proof {

struct Promises : test::Promises {
  enum class Repair { None, Damaged, Repaired };

  bool begun = false;    // the store that the rest is about may be there
  bool created = false;  // it is
  test::Order order;     // of everything that was sequenced
  CommitSeq sequenced = 0;
  Repair repair = Repair::None;
  CommitSeq kept = 0;  // by the repair

  bool has_projection = false;  // may be there
  std::uint32_t projection_version = 1;

  bool has_set = false;               // a snapshot set may be there
  bool restoring = false;             // a restored store may be there
  std::optional<CommitSeq> restored;  // it is, with everything up to this commit

  Promises() { seal = Seal::Open; }
  void apply(std::string_view mark);
  // The same of marks that say which step a commit is, and of no others: those of commits that were under way.
  void apply_order(std::string_view mark);
};

// The marks, one function each.
namespace mark {

std::string begins();
std::string created();
std::string sequenced(CommitSeq commit, int step);
std::string durable(CommitSeq commit);
std::string opened(CommitSeq last, bool sealed);
std::string sequence(std::string_view name, std::uint64_t next);
std::string command(std::string_view id, CommitSeq commit);
std::string bulk();
std::string seal(Promises::Seal state);
std::string damaged(CommitSeq kept);
std::string repaired();
std::string projects(std::uint32_t version);
std::string projected();
std::string backs_up();
std::string snapshot(std::uint64_t ordinal, CommitSeq commit);
std::string purges(std::uint64_t below);
std::string restores();
std::string restored(CommitSeq commit);

}  // namespace mark

}  // namespace azoth::proof
