// A trial: the lives of one store, in a process of its own, all of it from one seed. The process begins as each other
// one does, with the same addresses and counters, and what it does is not to differ from one time to the next.
#pragma once

#include <cstdint>
#include <string>

#include "anomaly.h"
#include "life.h"

namespace azoth::proof {

struct Verdict {
  bool good = false;
  std::string why;         // it is not
  std::uint64_t hash = 0;  // of everything that happened
  std::uint64_t steps = 0;
  std::uint64_t switches = 0;
  Sight sight;
};

// To be called first of all in main(): trials begin with the memory of that moment.
void prepare_trials();

// What is told goes to the standard error.
Verdict run_trial(std::uint64_t seed, const anomaly::Plan& plan = {}, bool told = false);

}  // namespace azoth::proof
