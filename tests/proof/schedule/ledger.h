// The ledger: what the clients of a store have asked for and been told, over all of its lives, and so what it must
// hold. A copy of it is what was promised at that moment.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "azoth/canonical/commit.h"
#include "deed.h"

namespace azoth::proof {

class Ledger {
 public:
  enum class Seal { Open, Sealing, Sealed, Unsealing };

  int begin_deed();
  // Nothing of it may ever be seen.
  void refused(int deed);
  void sequenced(int deed, const CommitInfo& info);
  void acknowledged(int deed, Durability level);
  // The greatest commit that was acknowledged at this level or a higher one; at Applied: that has a place.
  CommitSeq acknowledged(Durability level) const { return acknowledged_.at(static_cast<std::size_t>(level)); }
  const CommitInfo* place(int deed) const;  // null if none is known

  // Of a named sequence: no number below is handed out any more to who asks now.
  std::uint64_t next_number(const std::string& name) const;
  // Fails if one of them was handed out before.
  void handed_out(const std::string& name, std::uint64_t first, std::uint64_t count, Durability level);
  const std::map<std::string, std::array<std::uint64_t, 4>>& numbers() const { return numbers_; }

  Seal seal = Seal::Open;
  std::uint64_t seals = 0;  // how often it was sealed
  // Which of its seals it is under now; 0 if it is not known to be sealed.
  std::uint64_t current_seal() const { return seal == Seal::Sealed ? seals : 0; }

  // From now on only what is safe at this level is promised; of the rest each commit may be lost, from the last one on.
  void lose_below(Durability level);
  // Fails if a snapshot lacks what it must hold, which is at least everything up to a commit, or holds what it must
  // not.
  void check(const Content& content, CommitSeq at_least) const;
  // After a recovery: what it has is durable, and what it has not is gone for good.
  void recovered(const Content& content);

 private:
  struct Entry {
    CommitInfo info;  // without a number while it has no place
    Durability level = Durability::Applied;
    bool is_gone = false;
  };

  void note(Durability level, CommitSeq commit);

  std::map<int, Entry> deeds_;
  std::array<CommitSeq, 4> acknowledged_{};
  std::map<std::string, std::array<std::uint64_t, 4>> numbers_;  // by level: the next one
  // What was handed out in this life: the end of each range, by its begin.
  std::map<std::string, std::map<std::uint64_t, std::uint64_t>> ranges_;
};

}  // namespace azoth::proof
