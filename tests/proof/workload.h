// The programs whose power is cut: each in a process of its own, with the recorder loaded. What they do follows from
// their name and seed, except for what threads of the library decide; so a trace is kept, not only its seed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "azoth/db.h"
#include "promises.h"
#include "step.h"
#include "support/invariants.h"

namespace azoth::proof {

// As small as it gets, so that Deltas are flushed and segments change all the time.
Options store_options();
backup::BackupOptions backup_options(bool incremental);
backup::RestoreOptions restore_options();

// Where things are, below the root.
struct Places {
  std::filesystem::path root;
  std::filesystem::path store() const { return root / "store"; }
  std::filesystem::path set() const { return root / "set"; }
  std::filesystem::path restored() const { return root / "restored"; }
};

class Workload {
 public:
  struct Life {
    std::uint64_t seed = 0;
    int number = 0;  // 0: the first; later ones go on with what a cut has left
    bool has_projection = false;
    std::uint32_t projection_version = 1;
    bool has_set = false;
  };

  static const std::vector<std::string>& scripted();  // names
  static constexpr const char* kRandom = "random";
  static constexpr const char* kNextLife = "next-life";  // not the first one

  Workload(const std::filesystem::path& root, const Life& life);
  void run(const std::string& name);

 private:
  static void say(const std::string& mark);  // to the recorder
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  int next_step(StepSize size) { return step_number(next_index_++, size); }

  void create();
  void open();
  void close();
  void fresh();  // create() and open()
  void reopen();
  void step(Durability level, StepSize size = StepSize::Small);
  void steps(int count, Durability level);
  void sequenced(CommitSeq commit, int step, Durability level);
  void flush();
  void group(int threads, int each);
  void exclusive();
  void command();
  void sequence(std::string name);
  void seal();
  void unseal();
  void project(std::uint32_t version);
  void rebuild();
  void back_up(bool incremental);
  void purge();
  void restore();
  void damage_and_repair();
  void copy_store(const std::filesystem::path& from, const std::filesystem::path& to);
  void anything();
  void next_life();

  Places places_;
  Life life_;
  std::mt19937_64 random_;
  int next_index_;
  CommitSeq last_ = 0;  // that was sequenced here
  bool added_ = false;  // the projection, in this life
  std::uint64_t newest_full_ = 0;
  std::optional<Db> db_;
};

}  // namespace azoth::proof
