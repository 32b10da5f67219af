#include "ledger.h"

#include <algorithm>
#include <utility>

namespace azoth::proof::histories {

Ledger::Ledger(const Evidence& evidence) : evidence_(evidence) {
  std::vector<Wish> tags;
  for (const StoredEvent& event : evidence.events) {
    if (event.txn == 0) {
      tags.push_back(event.appends.at(0));
    } else {
      log_.try_emplace(event.txn, Commit{event.commit, event.appends, std::exchange(tags, {})});
    }
  }
  const std::vector<Life>& lives = evidence.lives;
  for (std::size_t i = 0; i < lives.size(); ++i) {
    life_index_.resize(lives[i].number + 1);
    life_index_[lives[i].number] = i;
    survived_.push_back(i + 1 < lives.size() ? lives[i + 1].last_commit : evidence.content.last_commit);
    lost_something_.push_back(false);
  }
  for (const Attempt& attempt : evidence.attempts) {
    attempts_[attempt.txn].push_back(&attempt);
    // What was cut off, and is not there, may have been seen by others.
    const std::size_t life = life_of(attempt);
    if (attempt.answer ? attempt.answer->commit > survived_[life] : attempt.appends() && commit(attempt.txn) == nullptr)
      lost_something_[life] = true;
  }
}

const Ledger::Commit* Ledger::commit(Word txn) const {
  const auto at = log_.find(txn);
  return at == log_.end() ? nullptr : &at->second;
}

bool Ledger::committed_in(std::size_t life, Word commit) const {
  return commit > evidence_.lives[life].last_commit && commit <= survived_[life];
}

bool Ledger::flushed_behind(const Attempt& attempt) const {
  const std::vector<Note>& notes = evidence_.lives[life_of(attempt)].notes;
  return std::any_of(notes.begin(), notes.end(), [&](const Note& note) {
    return note.kind == Note::Kind::Flushed && note.numbers.at(0) > attempt.answer->tick;
  });
}

}  // namespace azoth::proof::histories
