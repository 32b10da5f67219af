// The one checker: what must hold of a store, whatever has happened to the process, the power or the disk.
//
//   I1   The log has no gap: events 1 to the head, commits in order, every checksum and the journal's chain as written.
//   I2   State and events are those of the steps that are there; so is the digest.
//   I3   What was acknowledged at a level that outlives what has happened is there, and stays.
//   I4   What is there is a prefix of the order of commits. A step is there whole or not at all, and once; a command id
//        is carried out once, a number of a sequence handed out once.
//   I5   A projection shows just the log up to its cursor, which is not ahead of it, and stays.
//   I6   What was not acknowledged is absent, or there once; what was never submitted is not there.
//   I7   LMDB's pages: none has two uses, none is lost.
//   I8   A snapshot that was published is whole and restores to what the store held at its commit; later ones continue.
//   I9   A store that was closed leaves nothing behind: no reader, descriptor, thread, nothing half made.
//   I10  A fault is followed by an error to whoever it concerns, or by nothing: never by success that was none, by an
//        error that says something else, by a signal or without an end.
//   I11  A seal that was acknowledged holds until it is lifted; what is sealed or paused takes no commit.
//   I12  A store that has failed acknowledges nothing until it is opened again.
//
// Some of it the store can tell by itself: verify() says what is wrong with I1, I2 (sums and counts), I4 (the rows of
// commands and sequences), I5 (cursors), I7 and I11 (the row of a seal). The rest takes a witness: Promises.
//
// Crashes, hangs and signals are for whoever runs the program; all else here is a function for each invariant, and
// check() for all of them. None of them throws what the store throws: that is a violation, too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "azoth/db.h"
#include "support/step.h"

namespace azoth::test {

struct Violation {
  int invariant;
  std::string what;
};

class Violations {
 public:
  void require(int invariant, bool holds, const std::string& otherwise) {
    if (!holds) all_.push_back({invariant, otherwise});
  }
  // Runs what may throw, which it must not.
  void attempt(int invariant, const std::string& doing, const std::function<void()>& what);

  bool empty() const { return all_.empty(); }
  bool has(int invariant) const;
  const std::vector<Violation>& all() const { return all_; }
  std::string text() const;  // "I3: ...; I4: ..."; empty if there are none

 private:
  std::vector<Violation> all_;
};

// What the store's clients were told before, at a level that outlives what has happened since, and what they asked for.
struct Promises {
  enum class Seal { Open, Sealing, Sealed, Unsealing, Unknown };

  // The content. Either the history is known, up to the last commit that can be there; or the log tells which steps
  // there are. With neither only the log and what was told about it count.
  StepMaker steps = nullptr;
  const History* history = nullptr;

  CommitSeq durable = 0;                           // every commit up to here
  std::map<CommitSeq, int> acknowledged;           // steps that are known to be these commits
  std::optional<std::set<int>> submitted;          // no other step can be there
  std::function<int(int step)> step_before;        // the one that its client had in the order before it; 0: none
  std::map<std::string, std::uint64_t> sequences;  // the first number that was not handed out
  std::map<std::string, CommitSeq> commands;
  Seal seal = Seal::Unknown;
  bool projected = false;             // the projection's tables are there, for good
  bool may_have_dead_damage = false;  // in bytes of the journal that are no longer needed

  std::map<std::uint64_t, CommitSeq> snapshots;    // of the set, that are published
  std::map<std::uint64_t, CommitSeq> may_be_gone;  // that were, until a purge began
};

// What the checker commits itself.
inline constexpr int kProbeStep = 900'000'000;
Step probe_step();

// A projection of all events' payloads: table `tally` (id, payload).
Projection tally(std::uint32_t version = 1);

// --- Each invariant. The Db is open for writing, and nobody else uses it.

// I1, I7. False if LMDB's pages are not whole: then nothing else may be read.
bool check_log(Db& db, const Promises& promises, Violations& found);
void check_content(Db& db, const Promises& promises, Violations& found);                           // I2, I3, I4, I6
void check_sequences(Db& db, const Promises& promises, Violations& found);                         // I4
void check_commands(Db& db, const std::map<std::string, CommitSeq>& commands, Violations& found);  // I4
// I5: as found, and brought up to date. Nothing of it has to be built anew.
void check_projections(Db& db, const Promises& promises, std::uint32_t version, Violations& found);
void check_seal(Db& db, Promises::Seal seal, Violations& found);  // I11; lifts it
void check_pause(Db& db, Violations& found);                      // I11

// It takes a commit, which is the next one; numbers are new. Answers the commit.
CommitSeq check_writing(Db& db, const Promises& promises, Violations& found);

// I8: of a snapshot set, whatever became of its store.
struct SetPlace {
  std::filesystem::path set;
  std::filesystem::path scratch;  // not there: for what is restored on trial
  Options options = {};
  backup::BackupOptions backup = {};
};
void check_set(const SetPlace& place, const Promises& promises, bool restores, Violations& found);
// Another snapshot can be taken, and that restores.
void check_next_snapshot(Db& db, const SetPlace& place, const Promises& promises, Violations& found);

// I9. Made before a store is opened; check() when it is closed.
class Quiet {
 public:
  explicit Quiet(std::filesystem::path store);
  void check(Violations& found) const;

 private:
  std::filesystem::path store_;
  std::size_t threads_;
};

// I10 and I12, of one answer: what is wrong with it, beginning with the invariant; null if it is as it should be.
// To a submit: `error` is null if it was taken. A bulk transaction may be in doubt when it is refused.
const char* wrong_answer_to_submit(const Error* error, bool is_bulk, bool had_failed);
// To a wait for a commit that was taken.
const char* wrong_answer_to_wait(const Error* error);

// --- All of them

struct Subject {
  std::filesystem::path store;
  Options options = {};
  // Whether it may be that it was never created; it is then.
  bool may_be_missing = false;
  bool has_projection = false;
  std::uint32_t projection_version = 1;
};

// Opens it, checks it, writes to it, closes it, and checks it once more.
Violations check(const Subject& subject, const Promises& promises);

}  // namespace azoth::test
