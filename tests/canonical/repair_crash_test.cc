// Repair that does not get to its end: killed, failed or without power anywhere. What is left is refused by open(), or
// is repaired; and repair brings it to the same end.
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "support/child_process.h"
#include "damaged_store.h"
#include "support/sim_disk.h"

namespace azoth::test {
namespace {

constexpr CommitSeq kInLmdb = DamagedStore::kInLmdb;

struct Scenario {
  std::string name;
  CommitSeq kept;  // 0: what the first two segments hold
  std::function<void(DamagedStore&)> damage;
};

std::vector<Scenario> scenarios() {
  return {{"much to be kept", 44, [](DamagedStore& s) { s.damage_batch(45); }},
          // Opening would go on from LMDB, once that holds what is kept.
          {"two histories that are mixed", 0,
           [](DamagedStore& s) {
             const auto& last = s.holding(s.first_of(s.segments()[2]) - 1);
             std::string batch = bytes_of(s.path(last.segment)).substr(last.offset, last.header.length);
             batch.at(1000) = ',';  // in the value, behind what is compared
             BatchHeader header = last.header;
             header.encode(batch, batch_seed(s.identity(), last.segment));
             DamagedStore::overwrite(s.path(last.segment), last.offset, batch);
           }},
          {"no journal", kInLmdb, [](DamagedStore& s) { std::filesystem::remove_all(s.journal()); }}};
}

// Small pieces, so that LMDB takes what is kept in several transactions.
Options small(const DamagedStore& store) {
  Options options = store.options();
  options.delta_bytes = limits::kMinDeltaBytes;
  return options;
}

class RepairCrash {
 public:
  explicit RepairCrash(const Scenario& scenario) : scenario_(scenario) {
    scenario.damage(store_);
    if (scenario_.kept == 0) scenario_.kept = store_.first_of(store_.segments()[2]) - 1;
    copy_store(store_.directory(), store_.beside("damaged"));
  }

  DamagedStore& store() { return store_; }
  void damage_again() { copy_store(store_.beside("damaged"), store_.directory()); }

  RepairReport repair(FileSystem& fs = FileSystem::posix()) {
    return Store::repair(store_.directory(), small(store_), {.accept_loss = true}, fs);
  }

  // Whatever the repair got to. Counts what was found.
  void expect_recoverable(FileSystem& fs = FileSystem::posix()) {
    bool refused = false;
    try {
      expect_repaired(*Store::open(store_.directory(), store_.options(), fs));
      ++already_repaired;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::Corruption) << error.what();
      refused = true;
      ++still_refused;
    }
    EXPECT_EQ(code_of([&] { return Store::open_read_only(store_.directory(), store_.options(), fs); }),
              refused ? ErrorCode::Corruption : ErrorCode{});
    RepairReport report = repair(fs);
    EXPECT_EQ(report.repaired, refused);
    EXPECT_EQ(report.kept_commit, scenario_.kept);
    auto store = Store::open(store_.directory(), store_.options(), fs);
    expect_repaired(*store);
    commit(*store, DamagedStore::step_of(scenario_.kept + 1, "new"), Durability::Durable);
    expect_holds(*store, scenario_.kept, 1);
  }

  int already_repaired = 0;
  int still_refused = 0;

 private:
  void expect_repaired(Store& store) {
    expect_holds(store, scenario_.kept);
    Lineage lineage = store.meta().lineage;
    ASSERT_EQ(lineage.size(), 2u);
    EXPECT_EQ(lineage[0].parent, store_.identity().timeline);
    EXPECT_EQ(lineage[0].fork, scenario_.kept);
    EXPECT_EQ(lineage[1].id, store_.identity().timeline);
  }

  Scenario scenario_;
  DamagedStore store_;
};

// The fault points that a repair comes to, and how often.
std::map<std::string, int> hits(RepairCrash& crash) {
  fault::record(true);
  crash.repair();
  fault::record(false);
  std::map<std::string, int> counts;
  for (const std::string& point : fault::reached()) {
    crash.damage_again();
    fault::Armed armed(point, {.run = [&count = counts[point]] { ++count; }, .times = -1});
    crash.repair();
  }
  return counts;
}

TEST(RepairCrash, KilledAnywhereItIsRefusedOrRepairedAndCanBeRunAgain) {
  for (const Scenario& scenario : scenarios()) {
    RepairCrash crash(scenario);
    int kills = 0;
    for (const auto& [point, count] : hits(crash)) {
      for (int skip = 0; skip < count; ++skip) {
        SCOPED_TRACE(scenario.name + ", killed at " + point + " " + std::to_string(skip));
        crash.damage_again();
        ChildProcess child([&] {
          fault::arm(point, {.kill = true, .skip = skip});
          crash.repair();
        });
        child.wait();
        ASSERT_TRUE(child.was_killed());
        ++kills;
        crash.expect_recoverable();
        if (testing::Test::HasFailure()) return;
      }
    }
    std::cout << scenario.name << ": " << kills << " kills, " << crash.still_refused << " refused, "
              << crash.already_repaired << " repaired\n";
    EXPECT_GT(kills, 6);
  }
}

TEST(RepairCrash, FailedAnywhereItSaysSoAndCanBeRunAgain) {
  for (const Scenario& scenario : scenarios()) {
    RepairCrash crash(scenario);
    for (const auto& [point, count] : hits(crash)) {
      for (int error : {EIO, ENOSPC}) {
        for (int skip = 0; skip < count; ++skip) {
          SCOPED_TRACE(scenario.name + ", failed at " + point + " " + std::to_string(skip));
          crash.damage_again();
          {
            fault::Armed armed(point, {.fail_with = error, .skip = skip});
            ErrorCode code = code_of([&] { return crash.repair(); });
            EXPECT_TRUE(code == ErrorCode::Io || code == ErrorCode::NoSpace) << error_name(code);
          }
          crash.expect_recoverable();
          if (testing::Test::HasFailure()) return;
        }
      }
    }
    EXPECT_GT(crash.still_refused, 0);
  }
}

// --- Power cuts: the journal is on a simulated disk; LMDB's file is what it was at that moment, since each of its
// transactions is synced when it ends.

void load(SimDisk& disk, const std::filesystem::path& directory) {
  std::filesystem::path above;
  for (const auto& part : directory) {
    above /= part;
    if (above != "/") disk.make_directory(above);
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_directory()) {
      disk.make_directory(entry.path());
    } else if (entry.path().parent_path().filename() != "canonical") {
      disk.open(entry.path(), FileSystem::Mode::Create)->write_at(0, bytes_of(entry.path()));
    }
  }
}

struct Moment {
  std::unique_ptr<SimDisk> disk;
  std::string data;  // LMDB's file
};

TEST(RepairCrash, APowerCutAnywhereLeavesItRefusedOrRepaired) {
  for (const Scenario& scenario : scenarios()) {
    RepairCrash crash(scenario);
    const std::filesystem::path directory = crash.store().directory();
    const std::filesystem::path data = directory / "canonical/data.mdb";
    SimDisk loaded;
    load(loaded, directory);
    auto disk = loaded.power_cut(choose::all());
    std::vector<Moment> moments;
    auto capture = [&] {
      std::string bytes = bytes_of(data);
      moments.push_back({disk->power_cut(choose::none(), choose::none()), bytes});
      moments.push_back({disk->power_cut(choose::all(), choose::none()), bytes});
      moments.push_back({disk->power_cut(choose::none(), choose::all()), bytes});
      for (std::uint64_t seed : {1, 2}) {
        moments.push_back({disk->power_cut(choose::random(seed), choose::random(seed)), bytes});
      }
      moments.push_back({disk->crash(), bytes});
    };
    disk->observe([&](const DiskOperation&) { capture(); });
    {
      fault::Armed before_commit("lmdb.commit", {.run = capture, .times = -1});
      EXPECT_TRUE(crash.repair(*disk).repaired);
    }
    capture();
    disk->observe(nullptr);
    for (std::size_t i = 0; i < moments.size(); ++i) {
      SCOPED_TRACE(scenario.name + ", moment " + std::to_string(i) + " of " + std::to_string(moments.size()));
      std::ofstream(data, std::ios::binary) << moments[i].data;
      crash.expect_recoverable(*moments[i].disk);
      if (testing::Test::HasFailure()) return;
    }
    std::cout << scenario.name << ": " << moments.size() << " power cuts, " << crash.still_refused << " refused, "
              << crash.already_repaired << " repaired\n";
    EXPECT_GT(crash.still_refused, 0);
    EXPECT_GE(crash.already_repaired, 5) << "at the end it is durable";
  }
}

}  // namespace
}  // namespace azoth::test
