#include "judge.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "ledger.h"
#include "recorded.h"

namespace azoth::proof::histories {
namespace {

std::string text_of(Word number) { return std::to_string(number); }

class Judge {
 public:
  explicit Judge(const Evidence& evidence) : evidence_(evidence), ledger_(evidence) {}

  Verdict operator()() {
    for (const std::string& problem : evidence_.problems) find("store", problem);
    check_events();
    check_folds();
    check_lives();
    check_backups();
    for (const auto& [txn, attempts] : ledger_.attempts()) check_attempts(txn, attempts);
    for (const auto& [txn, commit] : ledger_.log()) {
      if (!ledger_.attempts().contains(txn)) find("torn", "nobody asked for transaction " + text_of(txn));
    }
    check_histories();
    return std::move(verdict_);
  }

 private:
  using Attempts = Ledger::Attempts;

  void find(const std::string& name, const std::string& text) {
    if (verdict_.counted[name]++ == 0) verdict_.findings.push_back({name, text});
  }

  void check_events();
  void check_folds();
  void check_lives();
  void check_notes(std::size_t life);
  void check_backups();
  void check_attempts(Word txn, const Attempts& attempts);
  void check_committed(Word txn, const Ledger::Commit& commit, const Attempts& attempts);
  void check_missing(const Attempt& attempt);
  void check_histories();
  void report(const std::string& of, const test::CheckResult& result);

  const Evidence& evidence_;
  const Ledger ledger_;
  Verdict verdict_;
};

// --- The log

void Judge::check_events() {
  Word commit = 0;
  bool ended = true;  // the commit's last event was seen
  std::set<Word> txns;
  Word expected = 1;
  for (const StoredEvent& event : evidence_.events) {
    if (event.id != expected || event.commit < commit)
      find("gap", "event " + text_of(event.id) + " of commit " + text_of(event.commit) + " follows event " +
                      text_of(expected - 1) + " of commit " + text_of(commit));
    if ((event.commit == commit) == ended)
      find("torn", "commit " + text_of(ended ? event.commit : commit) + " is more or less than a transaction");
    expected = event.id + 1;
    commit = event.commit;
    ended = event.txn != 0;
    if (ended && !txns.insert(event.txn).second)
      find("twice", "transaction " + text_of(event.txn) + " is commit " + text_of(ledger_.commit(event.txn)->number) +
                        " and " + text_of(commit));
  }
  if (!ended) find("torn", "the last commit is less than a transaction");
  if (expected - 1 != evidence_.content.last_event) find("gap", "the last event is not " + text_of(expected - 1));
}

// What the events say, compared wherever somebody has said what it was at an event.
void Judge::check_folds() {
  std::multimap<Word, std::function<void(const Lists&, const StoredEvent*)>> at;
  auto add = [&](const std::string& of, const Content& content) {
    at.emplace(content.last_event, [this, of, &content](const Lists& lists, const StoredEvent* last) {
      if (content.chain != (last == nullptr ? 0 : last->chain))
        find(of == "store" ? "fold" : "backup", of + ": its events are not those of the log");
      if (content.state != hash_of_keys(lists))
        find(of == "store" ? "fold" : "backup", of + ": its state is not that of its events");
    });
    if (!content.tally) return;
    at.emplace(content.tally->cursor, [this, of, &content](const Lists& lists, const StoredEvent*) {
      if (content.tally->hash != hash_of_tally(lists))
        find("projection", of + ": its tables are not the fold of the events up to its cursor");
    });
  };
  add("store", evidence_.content);
  for (const Backup& backup : evidence_.backups) {
    if (backup.failure.empty()) add("snapshot " + text_of(backup.ordinal), backup.restored);
  }
  Lists lists;
  const StoredEvent* last = nullptr;
  auto compare = at.begin();
  auto compare_up_to = [&](Word event) {
    for (; compare != at.end() && compare->first <= event; ++compare) compare->second(lists, last);
  };
  compare_up_to(0);
  for (const StoredEvent& event : evidence_.events) {
    for (const Wish& append : event.appends) lists[append.list].push_back(append.append);
    last = &event;
    compare_up_to(event.id);
  }
  for (; compare != at.end(); ++compare) find("backup", "something holds an event that the log has not");
  if (lists != evidence_.lists) find("fold", "the lists, as they are read, are not those of the events");
}

// --- Lives

void Judge::check_lives() {
  for (std::size_t i = 0; i < evidence_.lives.size(); ++i) {
    if (ledger_.survived(i) < evidence_.lives[i].last_commit)
      find("lost", "what life " + text_of(evidence_.lives[i].number) + " found was lost later");
    check_notes(i);
  }
}

void Judge::check_notes(std::size_t i) {
  bool sealed = evidence_.lives[i].sealed.has_value();
  Word event = evidence_.lives[i].sealed.value_or(0);  // at which it is
  Word still = 0;                                      // the last commit since then
  for (const Note& note : evidence_.lives[i].notes) {
    const std::vector<Word>& n = note.numbers;
    switch (note.kind) {
      case Note::Kind::Paused:
        ++verdict_.pauses;
        if (n.at(2) != n.at(3)) find("pause", "commits " + text_of(n[2]) + " to " + text_of(n[3]) + " in a pause");
        break;
      case Note::Kind::Sealed:
        ++verdict_.seals;
        sealed = true;
        event = n.at(2);
        still = n.at(3);
        break;
      case Note::Kind::StillSealed:
        if (!sealed || n.at(1) != event || n.at(2) != still)
          find("pause", "commit " + text_of(n[2]) + " in a sealed store");
        break;
      case Note::Kind::Unsealing:
        sealed = false;
        break;
      case Note::Kind::Closed:
        if (ledger_.survived(i) < n.at(2))
          find("lost", "a store was closed at commit " + text_of(n[2]) + ", then had less");
        break;
      case Note::Kind::Flushed:
        ++verdict_.flushes;
        break;
      default:
        break;
    }
  }
  if (sealed && i + 1 < evidence_.lives.size() && evidence_.lives[i + 1].sealed != event)
    find("seal", "life " + text_of(evidence_.lives[i].number) + " sealed the store, and it was found unsealed");
}

// A backup has what was acknowledged as Durable before it was called.
void Judge::check_backups() {
  std::map<Word, const Note*> notes;
  std::map<Word, Word> durable;  // by tick: the highest commit acknowledged as Durable up to it
  for (const Life& life : evidence_.lives) {
    for (const Note& note : life.notes) {
      if (note.kind == Note::Kind::Backup) notes[note.numbers.at(2)] = &note;
    }
  }
  for (const Attempt& attempt : evidence_.attempts) {
    if (attempt.acknowledged() != Sight::Durable || !attempt.appends()) continue;
    const Word tick = attempt.reached ? attempt.reached->tick : attempt.answer->tick;
    durable[tick] = std::max(durable[tick], attempt.answer->commit);
  }
  for (const Backup& backup : evidence_.backups) {
    const std::string name = "snapshot " + text_of(backup.ordinal);
    ++(backup.incremental ? verdict_.incrementals : verdict_.fulls);
    if (!backup.failure.empty()) {
      find("backup", name + " cannot be restored: " + backup.failure);
      continue;
    }
    if (backup.restored.last_event != backup.last_event || backup.restored.last_commit < backup.last_commit)
      find("backup", name + " ends elsewhere than it says");
    if (!notes.contains(backup.ordinal)) continue;  // its process was killed before it was told
    const std::vector<Word>& n = notes.at(backup.ordinal)->numbers;
    notes.erase(backup.ordinal);
    if (n.at(3) != backup.last_commit || n.at(4) != backup.last_event) find("backup", name + " is not as reported");
    for (auto at = durable.begin(); at != durable.end() && at->first < n.at(0); ++at) {
      if (at->second > backup.last_commit)
        find("backup", name + " lacks commit " + text_of(at->second) + ", which was Durable before it was begun");
    }
  }
  for (const auto& [ordinal, note] : notes) find("backup", "snapshot " + text_of(ordinal) + " was made and is gone");
}

// --- Attempts

void Judge::check_attempts(Word txn, const Attempts& attempts) {
  ++verdict_.transactions;
  verdict_.asked_again += attempts.size() - 1;
  for (const Attempt* attempt : attempts)
    verdict_.already_applied += attempt->answer && attempt->answer->already_applied ? 1 : 0;
  if (const Ledger::Commit* there = ledger_.commit(txn)) {
    ++verdict_.writes;
    if (!attempts.back()->answer) ++verdict_.unknown, ++verdict_.unknown_there;
    return check_committed(txn, *there, attempts);
  }
  const std::optional<Answer>& last = attempts.back()->answer;
  if (!last) {
    ++verdict_.unknown;
  } else if (last->ending == Ending::Aborted) {
    ++verdict_.aborted;
  } else if (!attempts.back()->appends() || last->ending == Ending::Rejected) {
    ++verdict_.reads;
  } else {
    ++verdict_.lost;
  }
  for (const Attempt* attempt : attempts) check_missing(*attempt);
}

void Judge::check_committed(Word txn, const Ledger::Commit& commit, const Attempts& attempts) {
  std::vector<Wish> keys, tags;
  for (const Wish& wish : attempts.front()->wishes) {
    if (wish.append != 0) (wish.list.is_key() ? keys : tags).push_back(wish);
  }
  if (keys != commit.keys || tags != commit.tags)
    find("torn", "commit " + text_of(commit.number) + " is not what transaction " + text_of(txn) + " asked for");
  bool asked = false;
  for (const Attempt* attempt : attempts) {
    const bool here = ledger_.committed_in(ledger_.life_of(*attempt), commit.number);
    asked = asked || here;
    if (!attempt->answer) continue;
    if (attempt->answer->ending != Ending::Committed) {
      find("aborted",
           "transaction " + text_of(txn) + " is commit " + text_of(commit.number) + ", its client was told it is not");
    } else if (attempt->answer->commit != commit.number && (here || attempt->answer->already_applied)) {
      find("number", "transaction " + text_of(txn) + " is commit " + text_of(commit.number) + ", its client was told " +
                         text_of(attempt->answer->commit));
    } else if (!here && !attempt->answer->already_applied) {
      check_missing(*attempt);  // this attempt was lost, a later one was not
    }
  }
  if (!asked) find("number", "commit " + text_of(commit.number) + " is in no life in which it was asked for");
}

// Nothing of this attempt is in the log.
void Judge::check_missing(const Attempt& attempt) {
  const std::optional<Sight> level = attempt.acknowledged();
  if (!level) return;
  const Word kept = ledger_.survived(ledger_.life_of(attempt));
  const Word commit = attempt.answer->commit;
  const std::string text = "transaction " + text_of(attempt.txn) + " of life " + text_of(attempt.life) + ", commit " +
                           text_of(commit) + ", where " + text_of(kept) + " was the last that was kept";
  if (!attempt.appends()) {
    if (*level != Sight::Applied && commit > kept) find("taken back", text);
    return;
  }
  if (*level != Sight::Applied || ledger_.flushed_behind(attempt)) find("lost", text);
  if (commit <= kept) find("hole", text);
}

// --- Histories

// Real time has the order of each client in it: sessions are looked at apart only to name what is wrong.
test::CheckResult check(const test::History& history) {
  test::CheckResult result = test::check_history(history, {.session = false});
  return result.clean() ? result : test::check_history(history);
}

void Judge::report(const std::string& of, const test::CheckResult& result) {
  verdict_.edges += result.edges;
  verdict_.replayed_reads += result.replayed_reads;
  for (const test::Anomaly& anomaly : result.anomalies) find(of + ": " + anomaly.name, anomaly.text);
}

void Judge::check_histories() {
  for (const Attempt& attempt : evidence_.beside) {
    if (!attempt.answer) continue;
    ++verdict_.transactions;
    ++verdict_.reads_beside;
  }
  Recorded recorded(evidence_, ledger_);
  report("survivors", check(recorded.survivors()));
  for (std::size_t life = 0; life < evidence_.lives.size(); ++life) {
    if (!ledger_.lost_something(life)) continue;
    ++verdict_.lives_with_losses;
    report("life " + text_of(evidence_.lives[life].number), check(recorded.life(life)));
  }
}

}  // namespace

std::string Verdict::text() const {
  std::string all;
  for (const Finding& finding : findings)
    all += finding.name + " (" + std::to_string(counted.at(finding.name)) + "): " + finding.text + '\n';
  return all;
}

std::string Verdict::figures() const {
  std::ostringstream out;
  out << transactions << " transactions: " << writes << " in the log, " << reads
      << " that only read or were rejected by a check, " << reads_beside << " read in another process, " << aborted
      << " refused or given up, " << unknown << " cut off (" << unknown_there << " of them in the log), " << lost
      << " Applied and lost; " << asked_again << " asked again, " << already_applied
      << " of them had been carried out\n"
      << pauses << " pauses, " << seals << " seals, " << flushes << " flushes, " << fulls << " full and "
      << incrementals << " incremental snapshots restored\n"
      << edges << " dependencies, " << replayed_reads << " reads replayed, " << lives_with_losses
      << " lives judged with what their kill took";
  return out.str();
}

Verdict judge(const Evidence& evidence) { return Judge(evidence)(); }

}  // namespace azoth::proof::histories
