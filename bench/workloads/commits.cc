// Commits: one put, one event and one tag each, on systems that start empty; and updates of a state of many keys.
//
// Sustained means that what a system gathers in memory is moved to its place while it is measured: each round warms up
// until that has begun, and is long enough for it to go on. A burst fits the memory and is measured on a settled
// system.
//
// LMDB and SQLite have one writer at a time: beside many threads of Azoth's they are given one, which is as fast as
// they get. LMDB with group commit takes as many threads as Azoth.
#include "contestants.h"
#include "system.h"
#include "workload.h"

namespace azoth::bench {

namespace {

// Small enough for one Delta of the default size: 30,000 commits of 100-byte values are about two thirds of it.
constexpr std::uint64_t kBurst = 30'000;

Contest commit_durable(const Settings& settings, Scratch& scratch) {
  Load load = paced(settings);
  return {"commit-durable",
          {contestant(azoth_system(Safety::PowerCut), settings, scratch, load),
           contestant(raw_device(), settings, scratch, load, 0.9),
           contestant(sqlite_system(Safety::PowerCut), settings, scratch, load, 1.0),
           contestant(bare_lmdb(Safety::PowerCut), settings, scratch, load, 2.0),
           contestant(bare_lmdb(Safety::PowerCut, false), settings, scratch, load),
           contestant(rocksdb_system(Safety::PowerCut), settings, scratch, load)}};
}

Contest commit_durable_64(const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, 64);
  return {"commit-durable-64",
          {contestant(azoth_system(Safety::PowerCut), settings, scratch, load),
           contestant(rocksdb_system(Safety::PowerCut), settings, scratch, load, 2.5),
           contestant(bare_lmdb(Safety::PowerCut), settings, scratch, paced(settings), 30.0),
           contestant(lmdb_group_commit(), settings, scratch, load),
           contestant(sqlite_system(Safety::PowerCut), settings, scratch, paced(settings))}};
}

Contest commit_hot_64(const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, 64);
  load.hot = true;
  return {"commit-hot-64",
          {contestant(azoth_system(Safety::PowerCut), settings, scratch, load),
           contestant(rocksdb_system(Safety::PowerCut), settings, scratch, load, 3.0),
           contestant(lmdb_group_commit(), settings, scratch, load)}};
}

// Without events, whose tags would be another table of as many rows to change at random.
Contest update_many_64(const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, 64);
  load.events = false;
  load.keys = settings.many_keys;
  return {"update-many-64",
          {contestant(azoth_system(Safety::PowerCut), settings, scratch, load),
           contestant(rocksdb_system(Safety::PowerCut), settings, scratch, load, 1.0),
           contestant(lmdb_group_commit(), settings, scratch, load)}};
}

Contest commit_written(const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, 1);
  load.threads = 1;
  return {"commit-written",
          {contestant(azoth_system(Safety::ProcessDeath), settings, scratch, load),
           contestant(bare_lmdb(Safety::ProcessDeath), settings, scratch, load, 1.2),
           contestant(bare_lmdb(Safety::ProcessDeath, false), settings, scratch, load),
           contestant(sqlite_system(Safety::ProcessDeath), settings, scratch, load),
           contestant(rocksdb_system(Safety::ProcessDeath), settings, scratch, load)}};
}

Contest commit_pipelined_sustained(const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, 16, 64);
  return {"commit-pipelined-sustained",
          {contestant(azoth_system(Safety::PowerCut), settings, scratch, load),
           contestant(raw_device(), settings, scratch, paced(settings), 20.0),
           contestant(lmdb_group_commit(), settings, scratch, load)}};
}

Contest commit_pipelined_burst(const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, 16, 64);
  load.burst = kBurst;
  return {"commit-pipelined-burst",
          {contestant(azoth_system(Safety::PowerCut), settings, scratch, load),
           contestant(raw_device(), settings, scratch, paced(settings), 50.0)}};
}

}  // namespace

void add_commit_workloads(std::vector<Workload>& all) {
  all.push_back({"commit-durable", "one thread, one synced commit at a time", commit_durable});
  all.push_back({"commit-durable-64", "64 threads with keys of their own, each waiting for its synced commit",
                 commit_durable_64});
  all.push_back({"commit-hot-64", "the same, all threads changing one key", commit_hot_64});
  all.push_back({"update-many-64", "64 threads updating keys of many at random, without events, each commit synced",
                 update_many_64});
  all.push_back({"commit-written", "one thread, commits that survive the process but are not synced", commit_written});
  all.push_back(
      {"commit-pipelined-sustained", "16 threads with 64 synced commits in flight each", commit_pipelined_sustained});
  all.push_back({"commit-pipelined-burst", "the same in bursts that fit the memory", commit_pipelined_burst});
}

}  // namespace azoth::bench
