// What a process writes down while it runs, one file a thread, so that a kill loses nothing of it: what its clients
// began, and what they were told; and what else was done to the store.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lists.h"

namespace azoth::proof::histories {

// Where a transaction looks, and where it must be seen. Beside: in a process that has the store open for reading only.
enum class Sight : std::uint8_t { Applied, Written, Durable, Beside };

enum class Ending : std::uint8_t {
  Committed,
  Rejected,  // by a check: what this saw is all that it tells, and it tells it at its level
  Aborted    // without effect, and without having told anything
};

struct Op {
  ListId list;
  Word append = 0;  // 0: read
  Values seen = {};
};

struct Answer {
  Word tick = 0;
  Ending ending = Ending::Committed;
  Sight level = Sight::Applied;     // that it has reached
  Sight looks_at = Sight::Applied;  // of a read: the snapshot's; all others look at everything
  Word commit = 0;                  // its number; of what only read: the last one it saw; 0: not known
  bool already_applied = false;     // by an earlier attempt: then there are no operations
  std::vector<Op> ops = {};
};

// A ticket that was waited for.
struct Reached {
  Word tick = 0;
  Sight level = Sight::Applied;
};

// What one client knows of one transaction in one life of the writing process.
struct Attempt {
  Word life = 0;  // 0: in a process beside
  Word client = 0;
  Word txn = 0;
  Word invoked = 0;  // tick
  bool command = false;
  std::vector<Wish> wishes = {};
  std::optional<Answer> answer = {};  // nothing: it was killed meanwhile
  std::optional<Reached> reached = {};

  bool appends() const;
  // The safest that it is known to have reached, if it is known to have happened.
  std::optional<Sight> acknowledged() const;
};

struct Note {
  enum class Kind : Word {
    Opened,       // tick before, after, last commit, last event, 1 if sealed, sealed event
    Closed,       // tick before, after, last commit
    Flushed,      // tick before, after, Sight
    Paused,       // tick when it had begun, before its end, the last commit then and then
    Sealed,       // tick before, after, last event, last commit
    StillSealed,  // tick, last event, last commit
    Unsealing,    // tick
    Unsealed,     // tick
    Backup,       // tick before, after, ordinal, last commit, last event, 1 if incremental
    Checkpoint,   // tick before, after
  };
  Kind kind;
  std::vector<Word> numbers;
};

// Appends records of words. Each is one write, so that it is there, or the end of the file is.
class RecordFile {
 public:
  explicit RecordFile(const std::filesystem::path& path);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  void invoked(const Attempt& attempt);
  void answered(Word txn, const Answer& answer);
  void reached(Word txn, const Reached& reached);
  void note(Note::Kind kind, const std::vector<Word>& numbers);

 private:
  void write();

  int fd_;
  std::vector<Word> words_;  // of the record that is being made
};

// The attempts of a client, in their order; without those of a file that is not there.
std::vector<Attempt> read_attempts(const std::filesystem::path& path, Word life, Word client);
std::vector<Note> read_notes(const std::filesystem::path& path);

// The files of a run.
struct Places {
  std::filesystem::path root;

  std::filesystem::path store() const { return root / "store"; }
  std::filesystem::path set() const { return root / "set"; }
  std::filesystem::path records() const { return root / "records"; }
  std::filesystem::path attempts(Word life, Word client) const;
  std::filesystem::path attempts_beside(Word process, Word client) const;
  std::filesystem::path notes(Word life) const;
};

}  // namespace azoth::proof::histories
