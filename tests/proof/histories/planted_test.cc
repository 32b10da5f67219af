// The verdict proves itself: into the evidence of a real run one mistake is put, and must be found. (Mistakes in
// histories as such: tests/core/serializability_test.cc.)
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <tuple>

#include "judge.h"
#include "run.h"
#include "support/seed.h"
#include "support/temp_dir.h"

namespace azoth::proof::histories {
namespace {

using Plant = std::function<bool(Evidence&)>;  // false: there is no place for it

Plant in_attempt(const std::function<bool(const Evidence&, Attempt&)>& plant) {
  return [plant](Evidence& evidence) {
    auto middle = evidence.attempts.begin() + static_cast<std::ptrdiff_t>(evidence.attempts.size() / 2);
    return std::any_of(middle, evidence.attempts.end(), [&](Attempt& a) { return plant(evidence, a); }) ||
           std::any_of(evidence.attempts.begin(), middle, [&](Attempt& a) { return plant(evidence, a); });
  };
}

bool is_in_log(const Evidence& evidence, Word txn) {
  return std::any_of(evidence.events.begin(), evidence.events.end(),
                     [&](const StoredEvent& event) { return event.txn == txn; });
}

// What was acknowledged, and not lost and done again in a later life.
bool is_kept(const Evidence& evidence, const Attempt& attempt) {
  return attempt.acknowledged() && attempt.appends() &&
         std::any_of(evidence.events.begin(), evidence.events.end(), [&](const StoredEvent& event) {
           return event.txn == attempt.txn && event.commit == attempt.answer->commit;
         });
}

// Acknowledged as Applied, and lost.
bool was_taken_by_a_kill(const Evidence& evidence, const Attempt& attempt) {
  return attempt.acknowledged() == Sight::Applied && attempt.appends() && !is_in_log(evidence, attempt.txn);
}

bool a_kill_took_something(const Evidence& evidence) {
  return std::any_of(evidence.attempts.begin(), evidence.attempts.end(),
                     [&](const Attempt& attempt) { return was_taken_by_a_kill(evidence, attempt); });
}

bool a_backup_was_made(const Evidence& evidence) {
  return std::any_of(evidence.lives.begin(), evidence.lives.end(), [&](const Life& life) {
    return std::any_of(life.notes.begin(), life.notes.end(), [](const Note& note) {
      return note.kind == Note::Kind::Backup;  // and whoever made it lived to tell
    });
  });
}

// Some mistakes are about what a kill took, about backups, or about what one life finds of another.
bool has_places_for_mistakes(const Evidence& evidence) {
  return evidence.lives.size() > 2 && a_kill_took_something(evidence) && a_backup_was_made(evidence);
}

// As if it had never been: what comes behind it has the ids that it would have then.
void erase_commit(Evidence& evidence, Word commit) {
  std::erase_if(evidence.events, [&](const StoredEvent& event) {
    if (event.commit != commit) return false;
    for (const Wish& append : event.appends) std::erase(evidence.lists[append.list], append.append);
    return true;
  });
  Word id = 1;
  for (StoredEvent& event : evidence.events) event.id = id++;
  evidence.content.last_event = id - 1;
}

Plant missing(Sight level) {
  return [level](Evidence& evidence) {
    for (const Attempt& attempt : evidence.attempts) {
      if (attempt.acknowledged() != level || attempt.answer->already_applied || !is_kept(evidence, attempt)) continue;
      erase_commit(evidence, attempt.answer->commit);
      return true;
    }
    return false;
  };
}

Plant in_note(Note::Kind kind, const std::function<void(Note&)>& plant) {
  return [kind, plant](Evidence& evidence) {
    for (Life& life : evidence.lives) {
      for (Note& note : life.notes) {
        if (note.kind == kind) return plant(note), true;
      }
    }
    return false;
  };
}

Plant in_backup(const std::function<void(Backup&)>& plant) {
  return [plant](Evidence& evidence) {
    if (evidence.backups.empty()) return false;
    plant(evidence.backups[evidence.backups.size() / 2]);
    return true;
  };
}

// The last commit of a life that the next one found.
Word kept_of(const Evidence& evidence, Word life) {
  const auto next = std::find_if(evidence.lives.begin(), evidence.lives.end(),
                                 [&](const Life& other) { return other.number > life; });
  return next == evidence.lives.end() ? evidence.content.last_commit : next->last_commit;
}

// With the number of the last commit that it saw, by which the judge knows what it must have read.
bool only_read(const Attempt& attempt) { return attempt.acknowledged() && !attempt.appends(); }

// What was read as Applied may have been taken by a kill; it is not judged with the survivors then.
bool outlived(const Evidence& evidence, const Attempt& reader) {
  return reader.answer->level != Sight::Applied || reader.answer->commit <= kept_of(evidence, reader.life);
}

bool reads_once(const Attempt& attempt, ListId list) {
  return std::count_if(attempt.answer->ops.begin(), attempt.answer->ops.end(),
                       [&](const Op& op) { return op.list == list; }) == 1;
}

// The longest list that was read once by one of those: most of it had been acknowledged before the read began.
Op* longest_read(std::vector<Attempt>& attempts, const std::function<bool(const Attempt&)>& by) {
  Op* longest = nullptr;
  for (Attempt& attempt : attempts) {
    if (!only_read(attempt) || !by(attempt)) continue;
    for (Op& op : attempt.answer->ops) {
      const bool longer = longest == nullptr || op.seen.size() > longest->seen.size();
      if (longer && reads_once(attempt, op.list)) longest = &op;
    }
  }
  return longest;
}

// In what somebody has read by a snapshot of this level, and no kill took.
Plant in_read(Sight level, std::size_t at_least, const std::function<void(Values&)>& plant) {
  return [=](Evidence& evidence) {
    Op* read = longest_read(level == Sight::Beside ? evidence.beside : evidence.attempts, [&](const Attempt& attempt) {
      return attempt.answer->looks_at == level && outlived(evidence, attempt);
    });
    if (read == nullptr || read->seen.size() < at_least) return false;
    return plant(read->seen), true;
  };
}

Plant stale(Sight level) {
  return in_read(level, 4, [](Values& seen) { seen.clear(); });
}

bool stale_before_a_kill(Evidence& evidence) {
  Op* read = longest_read(evidence.attempts, [&](const Attempt& attempt) {
    return attempt.acknowledged() == Sight::Applied && attempt.answer->commit > kept_of(evidence, attempt.life);
  });
  if (read == nullptr || read->seen.size() < 4) return false;
  return read->seen.clear(), true;
}

bool see_what_was_aborted(Evidence& evidence) {
  for (const Attempt& attempt : evidence.attempts) {
    if (!attempt.answer || attempt.answer->ending != Ending::Aborted || attempt.command) continue;
    for (const Wish& wish : attempt.wishes) {
      if (wish.append != 0) return evidence.lists[wish.list].push_back(wish.append), true;
    }
  }
  return false;
}

// Of two reads of one client at one level the later sees less.
bool read_backwards(Evidence& evidence) {
  std::map<std::tuple<Word, Sight, ListId>, const Values*> before;
  for (Attempt& attempt : evidence.attempts) {
    if (!only_read(attempt) || !outlived(evidence, attempt)) continue;
    for (Op& op : attempt.answer->ops) {
      if (op.seen.size() < 3 || !reads_once(attempt, op.list)) continue;
      const auto [at, is_first] = before.try_emplace({attempt.client, attempt.answer->looks_at, op.list}, &op.seen);
      if (!is_first) return op.seen.assign(at->second->begin(), at->second->end() - 1), true;
    }
  }
  return false;
}

struct Planted {
  const char* what;
  const char* finding;  // its name, or what it begins with
  Plant plant;
};

std::vector<Planted> all_plants() {
  auto whole = [](auto change) { return Plant([change](Evidence& evidence) { return change(evidence), true; }); };
  return {
      {"a commit acknowledged as Durable is missing", "lost", missing(Sight::Durable)},
      {"a commit acknowledged as Written is missing", "lost", missing(Sight::Written)},
      {"a commit acknowledged as Applied is missing amid others", "hole", missing(Sight::Applied)},
      {"what was Applied, then flushed, is missing", "lost", in_attempt([](const Evidence& evidence, Attempt& attempt) {
         if (!was_taken_by_a_kill(evidence, attempt)) return false;
         attempt.reached = Reached{attempt.answer->tick + 1, Sight::Written};
         return true;
       })},
      {"a store was closed at a commit that is missing", "lost", whole([](Evidence& e) {
         e.lives.front().notes.push_back({Note::Kind::Closed, {0, 0, e.lives.at(1).last_commit + 1}});
       })},
      {"a flush came behind what a kill took", "lost",
       [](Evidence& e) {
         for (Life& life : e.lives) life.notes.push_back({Note::Kind::Flushed, {0xFFFFFFF0, 0xFFFFFFF1, 1}});
         return a_kill_took_something(e);
       }},
      {"an event is missing", "gap",
       whole([](Evidence& e) { e.events.erase(e.events.begin() + static_cast<std::ptrdiff_t>(e.events.size() / 2)); })},
      {"half a transaction is missing", "torn",
       [](Evidence& e) {
         auto half = std::adjacent_find(e.events.begin(), e.events.end(), [](const auto& event, const auto& next) {
           return event.txn == 0 && next.txn != 0;
         });
         if (half == e.events.end()) return false;
         return half->appends = {{ListId::of(1, 1), 1}}, true;
       }},
      {"a transaction is there twice", "twice", whole([](Evidence& e) {
         StoredEvent again =
             *std::find_if(e.events.begin(), e.events.end(), [](const auto& event) { return event.txn != 0; });
         again.id = ++e.content.last_event;
         again.commit = ++e.content.last_commit;
         e.events.push_back(again);
       })},
      {"a key has another value", "fold", whole([](Evidence& e) { e.lists.begin()->second.push_back(1); })},
      {"the state is another one", "fold", whole([](Evidence& e) { ++e.content.state; })},
      {"a client was told another number", "number", in_attempt([](const Evidence& evidence, Attempt& attempt) {
         if (!is_kept(evidence, attempt)) return false;
         return ++attempt.answer->commit, true;
       })},
      {"a client was told that it is not", "aborted", in_attempt([](const Evidence& evidence, Attempt& attempt) {
         if (!is_kept(evidence, attempt)) return false;
         return attempt.answer->ending = Ending::Aborted, true;
       })},
      {"what was read as Written was taken back", "taken back",
       in_attempt([](const Evidence& evidence, Attempt& attempt) {
         if (attempt.acknowledged() != Sight::Written || attempt.appends()) return false;
         attempt.answer->commit = evidence.content.last_commit + 1;
         return true;
       })},
      {"a commit in a pause", "pause", in_note(Note::Kind::Paused, [](Note& note) { ++note.numbers.at(3); })},
      {"a commit in a sealed store", "pause",
       in_note(Note::Kind::StillSealed, [](Note& note) { ++note.numbers.at(2); })},
      {"a seal that a kill took", "seal", whole([](Evidence& e) {
         e.lives.front().notes.push_back({Note::Kind::Sealed, {0, 0, e.lives.front().last_event, 0}});
         e.lives.at(1).sealed.reset();
       })},
      {"a backup has another event", "backup", in_backup([](Backup& backup) { ++backup.restored.chain; })},
      {"a backup has another state", "backup", in_backup([](Backup& backup) { ++backup.restored.state; })},
      {"a backup ends earlier than it says", "backup", in_backup([](Backup& backup) { --backup.restored.last_event; })},
      {"a backup cannot be restored", "backup", in_backup([](Backup& backup) { backup.failure = "why"; })},
      {"a backup is gone", "backup",
       [](Evidence& e) {
         const bool any = !e.backups.empty();
         e.backups.clear();
         return any;
       }},
      {"a backup lacks what was Durable before it", "backup",
       [](Evidence& e) {
         for (Life& life : e.lives) {
           for (Note& note : life.notes) {
             if (note.kind == Note::Kind::Backup) return note.numbers.at(0) = 0xFFFFFFF0, true;
           }
         }
         return false;
       }},
      {"a projection has another row", "projection", whole([](Evidence& e) { ++e.content.tally->hash; })},
      {"a restored projection has another row", "projection",
       in_backup([](Backup& backup) { ++backup.restored.tally->hash; })},
      {"the store finds something", "store", whole([](Evidence& e) { e.problems.push_back("what"); })},
      {"a stale read of what is applied", "survivors: ", stale(Sight::Applied)},
      {"a stale read of what is written", "survivors: ", stale(Sight::Written)},
      {"a stale read of what is durable", "survivors: ", stale(Sight::Durable)},
      {"a stale read in another process", "survivors: ", stale(Sight::Beside)},
      {"a read against the order", "survivors: incompatible orders",
       in_read(Sight::Durable, 4, [](Values& seen) { std::reverse(seen.begin(), seen.end()); })},
      {"a read of a value twice", "survivors: duplicate value",
       in_read(Sight::Written, 4, [](Values& seen) { seen.push_back(seen.back()); })},
      {"a read of a value that nobody appended", "survivors: unwritten value",
       in_read(Sight::Durable, 4, [](Values& seen) { seen.back() = 0xFFFFFFF0; })},
      {"an aborted value is seen", "survivors: G1a", see_what_was_aborted},
      {"a client reads backwards", "survivors: ", read_backwards},
      {"a stale read of what a kill took later", "life ", stale_before_a_kill},
  };
}

bool found(const Verdict& verdict, const std::string& begins_with) {
  return std::any_of(verdict.findings.begin(), verdict.findings.end(),
                     [&](const Finding& finding) { return finding.name.starts_with(begins_with); });
}

TEST(Verdict, FindsEachPlantedMistakeInARealRun) {
  const test::TempDir directory;
  Evidence evidence;
  for (int attempt = 0; attempt < 10 && !has_places_for_mistakes(evidence); ++attempt) {
    const Places places{directory.path() / std::to_string(attempt)};
    std::filesystem::create_directories(places.root);
    run(places,
        {.transactions = 30'000, .backups = 4, .longest_life = 300, .seed = (test::test_seed() >> 24) + attempt});
    evidence = gather(places);
    const Verdict right = judge(evidence);
    ASSERT_TRUE(right.clean()) << right.text();
  }
  int planted = 0;
  const std::vector<Planted> plants = all_plants();
  for (const auto& [what, finding, plant] : plants) {
    Evidence spoilt = evidence;
    if (!plant(spoilt)) {
      std::cout << "no place for: " << what << std::endl;
      continue;
    }
    ++planted;
    const Verdict verdict = judge(spoilt);
    EXPECT_TRUE(found(verdict, finding)) << what << " was not found as '" << finding << "':\n" << verdict.text();
  }
  EXPECT_GE(planted + 3, static_cast<int>(plants.size())) << "the run had too little in it";
}

TEST(Records, AreReadUpToTheOneThatAKillCutOff) {
  const test::TempDir directory;
  const std::filesystem::path path = directory.path() / "records";
  const Attempt attempt{
      .client = 7, .txn = 1, .invoked = 5, .command = true, .wishes = {{ListId::of(2, 3), 4}, {ListId::of(9, 1)}}};
  {
    RecordFile file(path);
    file.invoked(attempt);
    file.answered(1, {.tick = 6,
                      .level = Sight::Written,
                      .commit = 8,
                      .ops = {{ListId::of(2, 3), 4}, {ListId::of(9, 1), 0, {1, 2}}}});
    file.reached(1, {7, Sight::Durable});
  }
  const auto whole = std::filesystem::file_size(path);
  for (auto size = whole + 1; size-- > 0;) {
    std::filesystem::resize_file(path, size);
    const std::vector<Attempt> read = read_attempts(path, 3, 7);
    ASSERT_LE(read.size(), 1u);
    if (size >= whole) {
      ASSERT_EQ(read.size(), 1u);
      ASSERT_TRUE(read[0].answer);
    }
    if (read.empty()) continue;
    EXPECT_EQ(read[0].wishes, attempt.wishes);
    EXPECT_EQ(read[0].reached.has_value(), size == whole);
    if (!read[0].answer) continue;
    EXPECT_EQ(read[0].answer->commit, 8u);
    EXPECT_EQ(read[0].answer->ops.at(1).seen, (Values{1, 2}));
  }
}

TEST(Records, NamesOfListsAndPayloadsAreReadBack) {
  for (const ListId list :
       {ListId::of(0, 0), ListId::of(kKeySlots - 1, 999'999), ListId::of(kKeySlots, 7), ListId::of(kSlots - 1, 12)})
    EXPECT_EQ(ListId::parse(list.name()), list);
  const std::vector<Wish> appends{{ListId::of(1, 2), 3}, {ListId::of(4, 5), 6}};
  const TxnPayload payload = parse_txn_payload(txn_payload(17, appends));
  EXPECT_EQ(payload.txn, 17u);
  EXPECT_EQ(payload.appends, appends);
  EXPECT_EQ(parse_values(values_text({1, 20, 300})), (Values{1, 20, 300}));
}

}  // namespace
}  // namespace azoth::proof::histories
