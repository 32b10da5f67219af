// Evidence, looked up: which attempts are of one transaction, which commit it is, which commits outlived a life.
#pragma once

#include <unordered_map>
#include <vector>

#include "evidence.h"

namespace azoth::proof::histories {

class Ledger {
 public:
  struct Commit {
    Word number = 0;
    std::vector<Wish> keys = {};  // what was appended
    std::vector<Wish> tags = {};
  };
  using Attempts = std::vector<const Attempt*>;  // of one transaction, life by life

  explicit Ledger(const Evidence& evidence);

  // Of those that are in the log; null for the others.
  const Commit* commit(Word txn) const;
  const std::unordered_map<Word, Commit>& log() const { return log_; }
  const std::unordered_map<Word, Attempts>& attempts() const { return attempts_; }

  std::size_t life_of(const Attempt& attempt) const { return life_index_[attempt.life]; }  // in the evidence
  // The last commit of this life that outlived it.
  Word survived(std::size_t life) const { return survived_[life]; }
  bool committed_in(std::size_t life, Word commit) const;
  // It has committed something, or may have, that is not there.
  bool lost_something(std::size_t life) const { return lost_something_[life]; }
  // Somebody flushed after it was answered, and was told so.
  bool flushed_behind(const Attempt& attempt) const;

 private:
  const Evidence& evidence_;
  std::unordered_map<Word, Commit> log_;
  std::unordered_map<Word, Attempts> attempts_;
  std::vector<std::size_t> life_index_;  // by number
  std::vector<Word> survived_;
  std::vector<bool> lost_something_;
};

}  // namespace azoth::proof::histories
