#include "recorded.h"

#include <algorithm>
#include <set>

namespace azoth::proof::histories {
namespace {

using test::MicroOp;
using test::RecordedTxn;
using test::ShownFrom;
using test::TxnOutcome;

constexpr ShownFrom kUnseen = {test::kNever, test::kNever, test::kNever, test::kNever};

std::size_t index(Sight sight) { return static_cast<std::size_t>(sight); }

// What has reached a level is seen there and at all that show more; beside, what is durable. What was seen beside is in
// the journal, so that it is applied; when the writing process itself will show it is another matter.
void show(ShownFrom& shown, Sight level, Word tick) {
  auto from = [&](Sight at) { shown[index(at)] = std::min<std::uint64_t>(shown[index(at)], tick); };
  from(Sight::Applied);
  if (level == Sight::Written || level == Sight::Durable) from(Sight::Written);
  if (level == Sight::Durable) from(Sight::Durable);
  if (level == Sight::Durable || level == Sight::Beside) from(Sight::Beside);
}

ShownFrom shown(const Attempt& attempt) {
  ShownFrom shown = kUnseen;
  show(shown, attempt.answer->level, attempt.answer->tick);
  if (attempt.reached) show(shown, attempt.reached->level, attempt.reached->tick);
  return shown;
}

}  // namespace

test::History Recorded::survivors() {
  history_ = {};
  history_.transactions.reserve(ledger_.attempts().size() + evidence_.beside.size());
  for (const auto& [txn, attempts] : ledger_.attempts()) add_survivor(txn, attempts);
  for (const Attempt& attempt : evidence_.beside) {
    if (attempt.answer) add_reader(attempt);
  }
  for (const Life& life : evidence_.lives) {
    add_opening(life);
    add_flushes(life);
  }
  history_.final_state.emplace();
  for (const auto& [list, values] : evidence_.lists)
    history_.final_state->emplace(name(list), test::List(values.begin(), values.end()));
  return std::move(history_);
}

test::History Recorded::life(std::size_t life) {
  history_ = {};
  add_beginning(life);
  add_flushes(evidence_.lives[life]);
  for (const Attempt& attempt : evidence_.attempts) {
    if (attempt.life == evidence_.lives[life].number) add_of_life(attempt);
  }
  return std::move(history_);
}

// --- What outlived the kills

void Recorded::add_survivor(Word txn, const Ledger::Attempts& attempts) {
  if (const Ledger::Commit* commit = ledger_.commit(txn)) return add_committed(*commit, attempts);
  const Attempt& last = *attempts.back();
  const bool reads = last.answer && (last.answer->ending == Ending::Rejected ||
                                     (last.answer->ending == Ending::Committed && !last.appends()));
  if (!reads) return add_missing(last);
  if (outlived(last)) add_reader(last);
}

// It was invoked by the attempt that did it, and its end may have been told to a later one.
void Recorded::add_committed(const Ledger::Commit& commit, const Ledger::Attempts& attempts) {
  const auto by = std::find_if(attempts.begin(), attempts.end(), [&](const Attempt* attempt) {
    return ledger_.committed_in(ledger_.life_of(*attempt), commit.number);
  });
  const Attempt& did = by == attempts.end() ? *attempts.back() : **by;
  RecordedTxn& txn = add(did, TxnOutcome::Unknown);
  txn.commit = commit.number;
  if (did.answer && did.answer->ending == Ending::Committed && !did.answer->already_applied) {
    tell(txn, did.answer->ops);
  } else {
    tell_appends(txn, did);
  }
  ShownFrom all = kUnseen;
  for (const Attempt* attempt : attempts) {
    if (attempt != &did && !(attempt->answer && attempt->answer->already_applied)) continue;
    if (!attempt->answer || attempt->answer->ending != Ending::Committed) continue;
    if (txn.outcome == TxnOutcome::Unknown) txn.completed = attempt->answer->tick;
    txn.outcome = TxnOutcome::Committed;
    const ShownFrom told = shown(*attempt);
    for (std::size_t level = 0; level < all.size(); ++level) all[level] = std::min(all[level], told[level]);
  }
  txn.shown = all;
}

// Who sees anything of it sees what is not there.
void Recorded::add_missing(const Attempt& attempt) {
  if (attempt.appends()) tell_appends(add(attempt, TxnOutcome::Aborted), attempt);
}

void Recorded::add_reader(const Attempt& attempt) {
  RecordedTxn& txn = add(attempt, TxnOutcome::Committed);
  txn.completed = attempt.answer->tick;
  txn.looks_at = static_cast<std::uint8_t>(attempt.answer->looks_at);
  txn.shown = shown(attempt);
  if (attempt.answer->ending == Ending::Committed) txn.commit = attempt.answer->commit;
  tell(txn, attempt.answer->ops);
}

// What was read as Applied may have been taken back.
bool Recorded::outlived(const Attempt& reader) const {
  const std::size_t life = ledger_.life_of(reader);
  const bool safe =
      reader.answer->level != Sight::Applied || (reader.reached && reader.reached->level != Sight::Applied);
  if (safe || !ledger_.lost_something(life)) return true;
  return reader.answer->ending == Ending::Committed && reader.answer->commit <= ledger_.survived(life);
}

// --- One life

void Recorded::add_beginning(std::size_t life) {
  const Life& lived = evidence_.lives[life];
  std::set<ListId> touched;
  for (const Attempt& attempt : evidence_.attempts) {
    if (attempt.life != lived.number) continue;
    for (const Wish& wish : attempt.wishes) touched.insert(wish.list);
  }
  RecordedTxn& txn = add_mark(lived.begun, lived.opened);
  txn.commit = lived.last_commit;
  for (const StoredEvent& event : evidence_.events) {
    if (event.commit > lived.last_commit) break;
    for (const Wish& append : event.appends) {
      if (touched.contains(append.list)) txn.ops.push_back(MicroOp::append(name(append.list), append.append));
    }
  }
}

// In an earlier life; this attempt was told so, or was killed, refused or given up before.
bool Recorded::was_applied_before(const Attempt& attempt) const {
  if (attempt.answer && attempt.answer->already_applied) return true;
  if (attempt.answer && attempt.answer->ending == Ending::Committed) return false;
  const Ledger::Commit* commit = ledger_.commit(attempt.txn);
  return commit != nullptr && commit->number <= evidence_.lives[ledger_.life_of(attempt)].last_commit;
}

void Recorded::add_of_life(const Attempt& attempt) {
  if (was_applied_before(attempt)) return;  // which the beginning has
  if (!attempt.answer) {
    RecordedTxn& txn = add(attempt, TxnOutcome::Unknown);
    tell_appends(txn, attempt);
    const Ledger::Commit* commit = ledger_.commit(attempt.txn);
    if (commit != nullptr && ledger_.committed_in(ledger_.life_of(attempt), commit->number))
      txn.commit = commit->number;
  } else if (attempt.answer->ending == Ending::Aborted) {
    tell_appends(add(attempt, TxnOutcome::Aborted), attempt);
  } else {
    add_reader(attempt);
  }
}

// --- Both

// Whatever life a transaction ended in before, who begins after the store was opened sees it, at every level.
void Recorded::add_opening(const Life& life) { add_mark(life.begun, life.opened).commit = life.last_commit; }

void Recorded::add_flushes(const Life& life) {
  for (const Note& note : life.notes) {
    if (note.kind != Note::Kind::Flushed) continue;
    RecordedTxn& mark = add_mark(note.numbers.at(0), note.numbers.at(1));
    mark.shown = kUnseen;
    show(*mark.shown, static_cast<Sight>(note.numbers.at(2)), note.numbers.at(1));
  }
}

RecordedTxn& Recorded::add(const Attempt& attempt, TxnOutcome outcome) {
  RecordedTxn& txn = history_.transactions.emplace_back();
  txn.id = attempt.txn;
  txn.client = attempt.client;
  txn.invoked = attempt.invoked;
  txn.completed = attempt.answer ? attempt.answer->tick : attempt.invoked;
  txn.outcome = outcome;
  return txn;
}

// Of a client of its own, at all levels.
RecordedTxn& Recorded::add_mark(Word invoked, Word completed) {
  RecordedTxn& txn = history_.transactions.emplace_back();
  txn.id = next_mark_++;
  txn.client = static_cast<std::uint32_t>(1'000'000 + txn.id % 1'000'000'000);
  txn.invoked = invoked;
  txn.completed = completed;
  return txn;
}

void Recorded::tell(RecordedTxn& txn, const std::vector<Op>& ops) {
  for (const Op& op : ops) {
    txn.ops.push_back(op.append != 0 ? MicroOp::append(name(op.list), op.append)
                                     : MicroOp::read(name(op.list), test::List(op.seen.begin(), op.seen.end())));
  }
}

void Recorded::tell_appends(RecordedTxn& txn, const Attempt& attempt) {
  for (const Wish& wish : attempt.wishes) {
    if (wish.append != 0) txn.ops.push_back(MicroOp::append(name(wish.list), wish.append));
  }
}

const std::string& Recorded::name(ListId list) {
  std::string& name = names_[list.word];
  if (name.empty()) name = list.name();
  return name;
}

}  // namespace azoth::proof::histories
