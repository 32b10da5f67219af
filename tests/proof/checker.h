// Opens what a power cut has left and says what is wrong with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_set>

#include "cut.h"
#include "promises.h"
#include "step.h"
#include "workload.h"

namespace azoth::proof {

// A promise was broken.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Checker {
 public:
  // What takes long is done once in so many states only; which ones follows from the seed.
  struct Thoroughness {
    std::uint64_t writes_one_in = 2;
    std::uint64_t reopens_one_in = 6;  // of those
    std::uint64_t restores_one_in = 12;
    std::uint64_t backs_up_one_in = 12;
  };

  // The places, each of which is checked for itself.
  struct Parts {
    bool store = true;
    bool set = true;
    bool restored = true;
    // Projections that were found right, each with the last commit of its store; null: none is known.
    std::unordered_set<std::uint64_t>* known_projections = nullptr;
    std::uint64_t projections = 0;  // stands for their files and for what is promised
  };

  Checker(const std::filesystem::path& root, const Promises& promises, const Model& model, std::uint64_t seed,
          Parts parts)
      : places_{root}, promises_(promises), model_(model), seed_(seed), parts_(parts) {}

  // Throws Broken, or what the library throws where it must not. Changes what is there.
  void check();

 private:
  bool one_in(std::uint64_t count, std::uint64_t salt) const { return mix(seed_, salt) % count == 0; }

  void check_store();
  void repair();
  void check_content(Db& db, CommitSeq last);
  void check_sequences(Db& db);
  void check_seal(Db& db);
  void check_writing(Db& db);
  void check_commands(Db& db);
  void check_projection(Db& db);
  void check_rows(Db& db, EventId through);
  void check_set();
  void check_backup(Db& db);
  void check_restored();
  void check_reopening(const std::string& digest);

  Places places_;
  const Promises& promises_;
  const Model& model_;
  const std::uint64_t seed_;
  const Parts parts_;
  const Thoroughness thoroughness_;
  std::optional<Db> db_;
};

}  // namespace azoth::proof
