// Tries mutations: each is applied, judged in a child process with little memory and little time, and taken back. A
// child that crashes or hangs is one more outcome; another one goes on behind it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "files.h"
#include "mutation.h"

namespace azoth::proof {

enum class Outcome : std::uint8_t {
  None,     // not yet judged
  Found,    // an error, or a report with problems
  Late,     // the same, but not before the store had been opened for writing
  Same,     // nothing was found, and all that can be read is as it was: the bytes were dead, or not needed
  Shorter,  // nothing was found, and the last commits are gone, as after a power cut: nothing that is left tells of
            // them
  Wrong,    // nothing was found, and something reads differently
  Touched,  // files were changed by who had found it, or by who only reads
  Crashed,
  Hung,
};
inline constexpr std::size_t kOutcomes = 9;

struct Tally {
  std::map<std::string, std::array<std::uint64_t, kOutcomes>> kinds;
  std::vector<std::string> bad;  // of each outcome that must not be the first mutations that came out as it

  std::uint64_t count(Outcome outcome) const;
  std::uint64_t total() const;
  std::string table() const;
};

struct Trial {
  std::filesystem::path directory;
  const Files& files;
  std::function<Mutation(std::uint64_t)> make;
  std::function<Outcome(const std::filesystem::path&)> judge;
  bool judge_writes = false;  // what nobody may do who has found damage is checked of those that open for writing
  Outcome undamaged = Outcome::Same;  // what `files` themselves come out as

  // Of `count` mutations, of which the first has the number `first`. None is tried if a judge is wrong about `files`.
  Tally run(std::uint64_t first, std::uint64_t count) const;
  Tally try_all(std::uint64_t first, std::uint64_t count) const;
};

}  // namespace azoth::proof
