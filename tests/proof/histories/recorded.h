// Histories for the checker (support/serializability.h) out of a run's evidence.
#pragma once

#include <string>
#include <unordered_map>

#include "ledger.h"
#include "support/serializability.h"

namespace azoth::proof::histories {

class Recorded {
 public:
  Recorded(const Evidence& evidence, const Ledger& ledger) : evidence_(evidence), ledger_(ledger) {}

  // Everything that outlived the kills, in one piece, from the first life to the last; what was lost counts as aborted.
  test::History survivors();
  // One life, with what its kill took. It begins with a transaction that appends what the life found.
  test::History life(std::size_t life);

 private:
  void add_survivor(Word txn, const Ledger::Attempts& attempts);
  void add_committed(const Ledger::Commit& commit, const Ledger::Attempts& attempts);
  void add_missing(const Attempt& attempt);
  void add_reader(const Attempt& attempt);
  void add_of_life(const Attempt& attempt);
  bool was_applied_before(const Attempt& attempt) const;
  void add_beginning(std::size_t life);
  void add_opening(const Life& life);
  void add_flushes(const Life& life);
  bool outlived(const Attempt& reader) const;

  test::RecordedTxn& add(const Attempt& attempt, test::TxnOutcome outcome);
  test::RecordedTxn& add_mark(Word invoked, Word completed);
  void tell(test::RecordedTxn& txn, const std::vector<Op>& ops);
  void tell_appends(test::RecordedTxn& txn, const Attempt& attempt);
  const std::string& name(ListId list);

  const Evidence& evidence_;
  const Ledger& ledger_;
  test::History history_;
  std::uint64_t next_mark_ = std::uint64_t{1} << 32;  // ids above those of transactions
  std::unordered_map<Word, std::string> names_;
};

}  // namespace azoth::proof::histories
