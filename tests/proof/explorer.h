// Explores a case: runs a workload under the recorder, and checks what each power cut on its way may have left. Some of
// these states get a second life, whose recovery and work are cut in the same way, and some of those a third.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "board.h"
#include "disk.h"
#include "promises.h"
#include "workload.h"

namespace azoth::proof {

struct Case {
  std::string workload;
  Workload::Life life;
  DiskState base;                  // what the disk holds when it begins
  std::vector<std::string> marks;  // of the lives before
};

// With what a trace can be gone through again. Kept in a directory: base/, marks, case, log.
void save_case(const Case& what, const std::filesystem::path& log, const std::filesystem::path& directory);
Case load_case(const std::filesystem::path& directory);

class Explorer {
 public:
  struct Limits {
    std::function<bool()> enough = [] { return false; };  // asked now and then
    bool stop_at_first_bad = false;
    std::string fault;  // of the recorder
    std::string after;  // the power is cut behind the first mark that begins so; empty: from the beginning on
    std::uint64_t next_life_one_in = 1200;
    std::filesystem::path keep;  // where what is bad is kept
  };

  // `scratch` is a directory of its own, best in memory.
  Explorer(std::filesystem::path scratch, Board::Worker& board, Limits limits);

  void explore(const Case& what);
  // One state of a kept case, whose files stay in the directory's state/. The point is the number of an operation, or
  // that and a + for what comes after a synchronous write. Throws what is wrong.
  static void replay(const std::filesystem::path& directory, const std::string& point, const Cut& cut);

 private:
  static constexpr int kLives = 3;

  struct Run {  // one case
    const Case& what;
    std::filesystem::path directory;  // of this depth
    std::vector<Op> ops;
    Promises now;
    std::optional<test::History> history;
    std::vector<std::string> marks;          // so far
    std::unordered_set<std::uint64_t> seen;  // states, each with what was promised
    std::unordered_set<std::uint64_t> seen_parts;
    std::unordered_set<std::uint64_t> seen_projections;
    std::uint64_t epoch = 0;  // of the promises
  };

  bool over() const { return limits_.enough() || (limits_.stop_at_first_bad && board_.bad > 0); }
  std::vector<Op> record(const Case& what, const std::filesystem::path& directory);
  void walk(Run& run);
  void cut(Run& run, const Disk& disk, const std::string& point);
  void check(Run& run, const DiskState& state, const std::string& point, const Cut& cut);
  void live_on(Run& run, const DiskState& state, std::uint64_t seed);
  void compare_with_reality(const Disk& disk, const std::filesystem::path& root);
  void bad(Run& run, const std::string& point, const std::string& cut, const std::string& why);

  const std::filesystem::path scratch_;
  Board::Worker& board_;
  const Limits limits_;
};

}  // namespace azoth::proof
