// Opens what a power cut has left and holds it against the invariants (support/invariants.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_set>

#include "cut.h"
#include "promises.h"
#include "support/invariants.h"
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
    std::uint64_t looks_for_leftovers_one_in = 12;
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

  // The promises say the history.
  Checker(const std::filesystem::path& root, const Promises& promises, std::uint64_t seed, Parts parts)
      : places_{root}, promises_(promises), seed_(seed), parts_(parts) {}

  // Throws Broken, or what the library throws where it must not. Changes what is there.
  void check();

 private:
  bool one_in(std::uint64_t count, std::uint64_t salt) const { return mix(seed_, salt) % count == 0; }

  void check_store();
  bool open();
  void repair();
  void check_as_found();
  void check_one_command();
  void check_next_steps();
  void check_reopening(const std::string& digest);
  void check_set();
  void check_restored();
  test::SetPlace set_place() const;

  Places places_;
  const Promises& promises_;
  const std::uint64_t seed_;
  const Parts parts_;
  const Thoroughness thoroughness_;
  std::optional<Db> db_;
  test::Violations found_;
};

}  // namespace azoth::proof
