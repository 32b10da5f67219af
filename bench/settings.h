// What one run of the program was asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace azoth::bench {

struct Settings {
  std::vector<std::string> workloads;  // names, or beginnings of names; empty: all
  std::filesystem::path directory = ".";
  std::size_t value_size = 100;          // of each value and of each event's payload
  std::uint64_t keys = 100'000;          // that the state has
  std::uint64_t many_keys = 10'000'000;  // that it has in the workloads about many
  std::uint64_t events = 1'000'000;      // that the log has, where it is read
  unsigned threads = 0;                  // of the workloads with many; 0: as many as each is defined with
  double seconds = 2;                    // measured per system and round
  unsigned rounds = 5;
  bool tags = true;        // one tag an event
  bool references = true;  // measured beside Azoth
  bool quick = false;      // less of everything that takes long
  bool json = false;
  bool targets = false;  // only what is aimed at, and an exit status that says whether all of it is met
  bool list = false;
};

}  // namespace azoth::bench
