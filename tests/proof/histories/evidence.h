// Everything that a run has left: what its processes wrote down, what the store holds in the end, and what its backups
// hold.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "record.h"

namespace azoth::proof::histories {

struct StoredEvent {
  Word id = 0;
  Word commit = 0;
  Word txn = 0;  // that ends with it; 0: it is the append to a tag
  std::vector<Wish> appends = {};
  std::uint64_t chain = 0;  // hash of everything that the events up to this one hold
};

// A projection's tables, and the event up to which they should be the fold of the log.
struct TallyAt {
  Word cursor = 0;
  std::uint64_t hash = 0;
};

// Of a store, as far as it is compared.
struct Content {
  Word last_commit = 0;
  Word last_event = 0;
  std::uint64_t chain = 0;  // of its last event
  std::uint64_t state = 0;  // hash of the lists that are keys
  std::optional<TallyAt> tally = {};
};

struct Backup {
  Word ordinal = 0;
  Word last_commit = 0;  // as its manifest says
  Word last_event = 0;
  bool incremental = false;
  Content restored = {};
  std::string failure = {};  // why it could not be restored
};

struct Life {
  Word number = 0;
  Word begun = 0, opened = 0;            // ticks
  Word last_commit = 0, last_event = 0;  // that it found
  std::optional<Word> sealed = {};       // the event, if it found the store sealed
  std::vector<Note> notes = {};          // all of them
};

struct Evidence {
  std::vector<Attempt> attempts = {};  // life by life, each client's in their order
  std::vector<Attempt> beside = {};
  std::vector<Life> lives = {};  // those that had opened the store
  std::vector<StoredEvent> events = {};
  Lists lists = {};  // as they are read in the end
  Content content = {};
  std::vector<Backup> backups = {};
  std::vector<std::string> problems = {};  // that the store finds in itself, or that forbid to read it
};

Evidence gather(const Places& places);

std::uint64_t hash_of_keys(const Lists& lists);
std::uint64_t hash_of_tally(const Lists& lists);

}  // namespace azoth::proof::histories
