// The lives of one store: it is created, used, closed or cut off, opened again, and so on. Everything follows from the
// seed, and is checked all the time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "clients.h"
#include "files.h"
#include "ledger.h"
#include "scheduler.h"

namespace azoth::proof {

// What a run has seen.
struct Sight {
  std::uint64_t lives = 0;
  std::uint64_t cuts = 0;  // of the power, and kills
  std::uint64_t commits = 0;
  std::uint64_t answers = 0;
  std::uint64_t troubles = 0;  // lives in which calls failed

  void add(const Sight& more);
  std::string text() const;
};

class Lives {
 public:
  // In this directory, which is empty.
  Lives(std::string directory, std::uint64_t seed, Sight& sight)
      : directory_(std::move(directory)), random_(seed), sight_(sight) {}

  void run();

 private:
  // What a power cut or a kill has left, and what was promised then.
  struct Left {
    DiskState disk;
    Ledger ledger;
    std::string how;
  };

  void create();
  void live(const Scenario& scenario, Ledger& ledger);
  std::unique_ptr<Store> open(const Options& options, Ledger& ledger);
  void check_numbers(const Store& store, const Ledger& ledger);
  void check_seal(Store& store, Ledger& ledger);
  void use(Store& store, Scene& scene);
  void close(Scene& scene);
  void see_that_it_is_idle(Store& store);
  void plan_cuts(Ledger& ledger);
  Left cut(const Ledger& ledger);
  void enter(const DiskState& state);
  std::string store() const { return place_ + "/store"; }

  const std::string directory_;
  Random random_;
  Sight& sight_;
  int places_ = 0;
  std::string place_;  // where the store is now
  std::vector<Left> left_;
};

}  // namespace azoth::proof
