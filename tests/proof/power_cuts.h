// A campaign: workers in processes of their own explore cases until there were enough states.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace azoth::proof {

struct Campaign {
  std::uint64_t seed = 0;
  std::uint64_t states = 0;            // at least so many, unless the time is over
  std::chrono::seconds most{0};        // 0: as long as it takes
  std::vector<std::string> workloads;  // once each; then random ones, if `random`
  bool random = true;
  bool stop_at_first_bad = false;
  std::string fault;  // of the recorder
  std::string after;  // a mark: nothing is cut before it
  std::size_t workers = 2;
  std::filesystem::path keep = {};  // where states that are bad are kept; nowhere if empty
};

struct Outcome {
  std::uint64_t states = 0;
  std::uint64_t later_states = 0;
  std::uint64_t traces = 0;
  std::uint64_t bad = 0;         // states, and whatever else went wrong: a workload, a worker, the recorder
  std::uint64_t bad_states = 0;  // of them
  std::string failure;           // the first, with how to see it again
  double seconds = 0;
};

Outcome run_campaign(const Campaign& campaign);

// What the program does when it is started for something else than the tests: --workload, --worker, --replay. Nothing
// if these are not the arguments of any.
std::optional<int> run_as_helper(int argc, char** argv);

}  // namespace azoth::proof
