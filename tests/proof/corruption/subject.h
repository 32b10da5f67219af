// A store with everything in it, at two moments of its life, and what of it can be read.
#pragma once

#include <filesystem>
#include <string>

#include "azoth/db.h"
#include "files.h"
#include "trial.h"

namespace azoth::proof {

Options small_options();

enum class Ending { Killed, Closed };  // whether the journal holds what LMDB does not

// Makes a store in `directory`, with keys of all sizes, events, tags, sequences, command ids and a bulk transaction.
// `half_way` is called while it is open and has half of its history, `at_end` when it has all of it. Answers the
// `history` of its Content.
std::string make_subject(const std::filesystem::path& directory, Ending ending,
                         const std::function<void(Db&)>& half_way, const std::function<void(Db&)>& at_end);

// What a store says of itself. Damage to the last batches of a journal that nobody closed cannot be told from a write
// that a power cut prevented, so a store may come back as it was at one of its last commits; `history` has these.
struct Content {
  std::string all;      // everything that it answers, summed up
  std::string history;  // what is in it, a line for each of its last commits

  static std::string of(Db& db);
  static std::string moment_of(Db& db);
  Outcome compare(Db& db) const;
  Outcome compare_restored(Db& db) const;  // it has another timeline
};

// Opened beside a writer that might be there: verified, then read.
Outcome judge_reading(const std::filesystem::path& directory, const Content& content);
// Opened for writing, which recovers it.
Outcome judge_writing(const std::filesystem::path& directory, const Content& content);

// Backed up, and restored from there into `scratch`.
Outcome judge_backing_up(const std::filesystem::path& directory, const std::filesystem::path& scratch,
                         const Content& content);

// The numbers of mutations are a contract: a failure is repeated with AZOTH_TEST_SEED. AZOTH_TEST_LONG: ten times more.
std::uint64_t mutations(std::uint64_t whole);
std::uint64_t first_mutation();

}  // namespace azoth::proof
