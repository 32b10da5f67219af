// Commits over sizes of values, numbers of threads, one in flight or many, keys of their own or one key: a workload for
// each combination, which runs by its name or the beginning of its name.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "contestants.h"
#include "workload.h"

namespace azoth::bench {

namespace {

struct Cell {
  std::size_t value_size;
  unsigned threads;
  bool hot;
  bool pipelined;

  std::string name() const {
    return fmt::format("sweep-{}b-{}t-{}{}", value_size, threads, hot ? "hot" : "disjoint",
                       pipelined ? "-pipelined" : "");
  }
  std::string what() const {
    return fmt::format("{} byte values, {} thread{}, {}, {} in flight each, synced", value_size, threads,
                       threads == 1 ? "" : "s", hot ? "one key" : "keys of their own", pipelined ? 64 : 1);
  }
};

// What --quick runs: each dimension by itself.
bool of_quick(const Cell& cell) {
  bool usual_size = cell.value_size == 100;
  if (cell.pipelined) return usual_size && cell.threads == 16 && !cell.hot;
  if (cell.hot) return usual_size && cell.threads == 64;
  return cell.threads == 64 || (usual_size && cell.threads != 4);
}

// What has nothing to gain from several threads gets one, see commits.cc. RocksDB cannot have several commits of a
// thread in flight.
Contest contest(const Cell& cell, const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, cell.threads, cell.pipelined ? 64 : 1);
  load.hot = cell.hot;
  load.value_size = cell.value_size;
  Load one_in_flight = load;
  one_in_flight.in_flight = 1;
  Load alone = paced(settings);
  alone.hot = cell.hot;
  alone.value_size = cell.value_size;
  return {cell.name(),
          {contestant(azoth_system(Safety::PowerCut), settings, scratch, load),
           contestant(raw_device(), settings, scratch, alone),
           contestant(rocksdb_system(Safety::PowerCut), settings, scratch, one_in_flight),
           contestant(bare_lmdb(Safety::PowerCut), settings, scratch, alone),
           contestant(lmdb_group_commit(), settings, scratch, load)}};
}

}  // namespace

void add_sweep_workloads(std::vector<Workload>& all) {
  for (std::size_t value_size : {16, 100, 1024}) {
    for (unsigned threads : {1, 4, 16, 64, 256}) {
      for (bool hot : {false, true}) {
        for (bool pipelined : {false, true}) {
          Cell cell{value_size, threads, hot, pipelined};
          all.push_back({.name = cell.name(),
                         .what = cell.what(),
                         .contest = [cell](const Settings& settings,
                                           Scratch& scratch) { return contest(cell, settings, scratch); },
                         .run = of_quick(cell) ? Run::ByName : Run::ByNameInFull});
        }
      }
    }
  }
}

}  // namespace azoth::bench
