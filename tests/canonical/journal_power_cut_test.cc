// The journal's model of power failures.
//
// A store lives on a simulated disk: it writes batches, syncs, moves commits to a simulated LMDB, trims, fails, closes.
// Before each operation of the disk, by whatever thread, the power is cut in many ways (see cuts_of) and the process is
// killed; what is left is recovered and compared with what the clients were told. In some of these states the store goes
// on to a next life, in which it prefers to write batches as long as the ones that were cut, or the very same, so that a
// cut commit would come back if it could; that life, its recovery included, is cut in the same way.
//
// AZOTH_TEST_LONG multiplies the states by 50 (or by its value, if it is a number above 1).
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <sstream>
#include <utility>

#include "azoth/core/error.h"
#include "journal_driver.h"
#include "support/seed.h"
#include "support/sim_disk.h"

namespace azoth::test {
namespace {

using Random = std::mt19937_64;
using At = std::function<void(const std::string& where, std::uint64_t point)>;  // the power may be cut now

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t mixed = (a ^ (b + 0x9E3779B97F4A7C15u + (a << 6) + (a >> 2))) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return mixed ^ (mixed >> 31);
}

std::uint64_t below(Random& random, std::uint64_t bound) { return random() % bound; }

const char* name_of(DiskOperation::Kind kind) {
  switch (kind) {
    case DiskOperation::Kind::Create: return "create";
    case DiskOperation::Kind::Write: return "write";
    case DiskOperation::Kind::Truncate: return "truncate";
    case DiskOperation::Kind::Sync: return "sync";
    case DiskOperation::Kind::MakeDirectory: return "make directory";
    case DiskOperation::Kind::Rename: return "rename to";
    case DiskOperation::Kind::Remove: return "remove";
    case DiskOperation::Kind::SyncDirectory: return "sync directory";
  }
  return "?";
}

// What may happen in the lives of a store.
struct Scenario {
  bool settles = true;      // the keeper never works beside the leader: every state can be made again from the seed
  bool bulk = false;        // commits past the journal
  bool closes = false;      // clean closes
  bool keeps = false;       // the journal is kept for a set
  bool fails = false;       // syncs and writes fail, and the store is reopened without a power cut
  int actions = 24;         // of the first life
};

// One way to cut the power.
struct Cut {
  std::string name;
  WriteChooser writes;
  EntryChooser entries;
};

// The ways to try on a disk: nothing pending survives, everything, each piece alone, all but each piece, random
// subsets; and each prefix of the changes of directories. At most `singles` pieces are tried one by one.
std::vector<Cut> cuts_of(const SimDisk& disk, std::uint64_t seed, std::size_t singles, std::size_t subsets) {
  std::vector<Cut> cuts{{"nothing pending survives", choose::none(), choose::none()},
                        {"everything pending survives", choose::all(), choose::all()}};
  std::size_t pieces = disk.pending_writes().size();
  std::size_t entries = disk.pending_entries().size();
  Random random(seed);
  std::size_t step = pieces <= singles ? 1 : pieces / singles;
  for (std::size_t i = pieces <= singles ? 0 : below(random, step); i < pieces; i += step) {
    cuts.push_back({"only piece " + std::to_string(i), choose::only(i), choose::all()});
    cuts.push_back({"all but piece " + std::to_string(i), choose::all_but(i), choose::all()});
  }
  for (std::size_t i = 0; i < entries && i < singles; ++i) {
    std::uint64_t subset = random();
    cuts.push_back({"entries before " + std::to_string(i) + ", all bytes", choose::all(), choose::first(i)});
    cuts.push_back({"entries before " + std::to_string(i) + ", subset " + std::to_string(subset),
                    choose::random(subset), choose::first(i)});
  }
  for (std::size_t i = 0; i < subsets && pieces + entries > 1; ++i) {
    std::uint64_t subset = random();
    cuts.push_back({"subset " + std::to_string(subset), choose::random(subset), choose::random(mix(subset, 1))});
  }
  return cuts;
}

class Explorer {
 public:
  explicit Explorer(const Scenario& scenario) : scenario_(scenario) {}

  // Lives of one store from the beginning.
  void run(std::uint64_t seed) {
    seed_ = seed;
    SimDisk disk;
    create_store(disk);
    live(disk, {}, seed, 0);
  }

  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  std::uint64_t states() const { return states_; }
  std::uint64_t lives() const { return lives_; }
  std::uint64_t damage_reports() const { return damage_reports_; }

 private:
  static constexpr int kDeepest = 2;  // lives behind the first one

  // A life: recovery, then work, until it is over. Everything it does to the disk is cut on the way.
  void live(SimDisk& disk, StoreHistory history, std::uint64_t seed, int depth) {
    ++lives_;
    // Null until the keeper, which runs from the driver's constructor on, may look at the driver's history.
    std::atomic<JournalDriver*> published{nullptr};
    At at = [&](const std::string& where, std::uint64_t point) {
      auto held = disk.hold();
      auto look = [&](const StoreHistory& now) { explore(disk, now, where, mix(seed, point), depth); };
      if (JournalDriver* driver = published.load()) {
        driver->with_history(look);
      } else {
        look(history);
      }
    };
    disk.observe([&](const DiskOperation& operation) {
      at("before operation " + std::to_string(operation.number) + ", " + name_of(operation.kind) + " " + operation.path,
         operation.number);
    });
    std::unique_ptr<JournalDriver> driver;
    try {
      Random random(mix(seed, 77));
      std::vector<RecordList> lost;
      auto [tail, files] = recover_slowly(disk, history, lost, random, at);
      driver = std::make_unique<JournalDriver>(disk, tail, files, history);
      published = driver.get();
      driver->settles = scenario_.settles;
      driver->settle();
      work(*driver, lost, random, depth, at);
      end(disk, *driver, random, depth);
    } catch (const std::exception& error) {
      fail(std::string("a life ended with: ") + error.what());
    }
    if (driver) driver->journal().stop();
    disk.observe(nullptr);
  }

  // Recovery as open() does it, LMDB's commit in pieces: a cut in between finds M somewhere on the way.
  std::pair<JournalTail, JournalFiles> recover_slowly(SimDisk& disk, StoreHistory& history,
                                                      std::vector<RecordList>& lost, Random& random, const At& at) {
    JournalFiles files = list_journal(disk, kJournalDirectory, test_identity());
    ReplayPlan plan = plan_recovery(disk, kJournalDirectory, test_identity(), files, history.lmdb, history.clean);
    sync_plan(disk, kJournalDirectory, plan);
    CommitSeq before = history.lmdb;
    replay(disk, kJournalDirectory, test_identity(), plan, before, [&](std::string_view record) {
      CommitSeq seq = RecordReader(record).header().commit_seq;
      if (seq > history.records.size() || history.records[seq - 1] != record) fail("a wrong record was replayed");
      if (below(random, 4) != 0 || failed()) return;
      history.lmdb = seq;
      history.clean.reset();
      at("in the replay, with LMDB at commit " + std::to_string(seq), mix(seq, 5));
    });
    for (const RecordList& batch : history.batches) {
      if (seq_of(batch.front()) > plan.tail.last_commit) lost.push_back(batch);
    }
    history.records.resize(plan.tail.last_commit);
    history.batches.clear();
    if (plan.tail.last_commit != history.lmdb) history.clean.reset();
    history.lmdb = history.durable = history.written = plan.tail.last_commit;
    return {plan.tail, files};
  }

  void work(JournalDriver& driver, const std::vector<RecordList>& lost, Random& random, int depth, const At& at) {
    int actions = depth == 0 ? scenario_.actions : 3 + static_cast<int>(below(random, 6));
    std::size_t again = 0;                    // of the lost batches
    std::uint64_t manner = below(random, 3);  // in which they are written again: the same, as long, not at all
    std::uint64_t salt = random();
    for (int i = 0; i < actions && !failed(); ++i) {
      auto in_between = [&] {  // with a busy keeper there is no moment between two operations
        if (scenario_.settles) at("after LMDB's commit", mix(salt, static_cast<std::uint64_t>(i)));
      };
      std::uint64_t dice = below(random, 20);
      CommitSeq durable = driver.history().durable;
      CommitSeq lmdb = driver.history().lmdb;
      CommitSeq next = driver.history().records.size() + 1;
      if (dice < 4 && durable > lmdb) {
        driver.flush(lmdb + 1 + below(random, durable - lmdb), in_between);
      } else if (scenario_.keeps && dice == 4) {
        const CommitSeq kept = driver.history().kept;
        const bool forget = kept <= lmdb && below(random, 8) == 0;
        const CommitSeq forward = kept > lmdb ? lmdb : kept + below(random, lmdb - kept + 1);
        driver.keep_behind(forget ? StoreHistory::kNothingIsKept : forward);
      } else if (scenario_.bulk && (dice == 4 || (i == 0 && depth > 0))) {
        driver.bulk(make_record(next, 50, salt), in_between);
      } else {
        bool from_lost = manner < 2 && again < lost.size() && seq_of(lost[again].front()) == next;
        driver.write(!from_lost    ? new_batch(next, random, salt)
                     : manner == 0 ? lost[again]
                                   : as_long_as(lost[again], salt));
        again += from_lost ? 1 : 0;
        if (dice < 13) driver.sync();
      }
    }
    if (scenario_.settles) at("at the end", mix(salt, 99));
  }

  static RecordList as_long_as(const RecordList& batch, std::uint64_t salt) {
    RecordList records;
    std::size_t overhead = make_record(1, 0).size();
    for (const std::string& record : batch) {
      records.push_back(make_record(seq_of(record), record.size() - overhead, salt));
    }
    return records;
  }

  static RecordList new_batch(CommitSeq next, Random& random, std::uint64_t salt) {
    RecordList records;
    for (std::uint64_t count = 1 + below(random, 3); count > 0; --count) {
      std::uint64_t kind = below(random, 20);
      std::size_t bytes = 10 + below(random, kind < 10 ? 300 : kind < 17 ? 3000 : 9000);
      records.push_back(make_record(next++, bytes, salt));
    }
    return records;
  }

  // How the life ends that nobody cuts: in a failure, in a clean close, or just so.
  void end(SimDisk& disk, JournalDriver& driver, Random& random, int depth) {
    if (failed() || depth >= kDeepest) return;
    std::unique_ptr<SimDisk> next;
    bool failure = scenario_.fails && fail_device(disk, driver, random);
    if (failure) {
      next = disk.crash();  // reopened without a power failure
    } else if (scenario_.closes) {
      driver.close();
      next = below(random, 2) == 0 ? disk.crash() : disk.power_cut(choose::none(), choose::none());
    } else {
      return;
    }
    driver.journal().stop();
    disk.observe(nullptr);
    bool before = std::exchange(after_failure_, after_failure_ || failure);
    live(*next, driver.history(), random(), depth + 1);
    after_failure_ = before;
  }

  // The device fails under a sync or a write; false if it did so while only the keeper used it.
  static bool fail_device(SimDisk& disk, JournalDriver& driver, Random& random) {
    driver.settle();
    try {
      driver.write(new_batch(driver.history().records.size() + 1, random, 1));
      if (below(random, 3) != 0) {
        disk.fail_next_sync("", choose::random(random()));
      } else {
        disk.fail_write(1, below(random, 2000));
      }
      driver.write(new_batch(driver.history().records.size() + 1, random, 2));
      driver.sync();
      return false;
    } catch (const Error&) {
      return true;
    }
  }

  void explore(const SimDisk& disk, const StoreHistory& history, const std::string& where, std::uint64_t seed,
               int depth) {
    if (failed()) return;
    bool first = depth == 0;
    std::vector<Cut> cuts = cuts_of(disk, seed, first ? 12 : 1, first ? 5 : 2);
    bool goes_on = depth < kDeepest && mix(seed, 3) % (first ? 6 : 60) == 0;
    std::size_t chosen = goes_on ? mix(seed, 4) % cuts.size() : cuts.size();
    for (std::size_t i = 0; i < cuts.size() && !failed(); ++i) {
      std::unique_ptr<SimDisk> cut = disk.power_cut(cuts[i].writes, cuts[i].entries);
      check(*cut, history, history.durable, where + ", power cut, " + cuts[i].name);
      if (i != chosen || failed()) continue;
      StoreHistory left = history;
      left.written = history.durable;
      continue_on(*cut, std::move(left), where + ", power cut, " + cuts[i].name, seed, depth);
    }
    std::unique_ptr<SimDisk> killed = disk.crash();
    check(*killed, history, history.written, where + ", process killed");
    if (depth < kDeepest && mix(seed, 6) % 60 == 0 && !failed()) {
      continue_on(*disk.crash(), history, where + ", process killed", seed, depth);
    }
  }

  void continue_on(SimDisk& disk, StoreHistory history, const std::string& where, std::uint64_t seed, int depth) {
    std::string before = std::exchange(path_, path_ + where + "\n  ");
    live(disk, std::move(history), mix(seed, 8), depth + 1);
    path_ = before;
  }

  void check(SimDisk& disk, const StoreHistory& history, CommitSeq at_least, const std::string& where) {
    ++states_;
    try {
      Recovered recovered = recover(disk, history.lmdb, history.clean);
      CommitSeq last = history.lmdb + recovered.records.size();
      std::ostringstream wrong;
      if (last < at_least) wrong << "commit " << at_least << " was acknowledged, recovery ends with " << last << ". ";
      if (last > history.records.size()) {
        wrong << "recovery ends with commit " << last << ", only " << history.records.size() << " are left. ";
      }
      for (std::size_t i = 0; i < recovered.records.size() && history.lmdb + i < history.records.size(); ++i) {
        if (recovered.records[i] == history.records[history.lmdb + i]) continue;
        wrong << "commit " << history.lmdb + i + 1 << " is not what was written. ";
        break;
      }
      if (history.kept < history.lmdb) check_kept(disk, history, wrong);
      if (recovered.plan.tail.last_commit != last) wrong << "the plan's end is not the replay's. ";
      for (const std::string& damage : recovered.plan.damage) {
        if (!after_failure_ && !scenario_.bulk) wrong << "damage reported: " << damage << ". ";
        ++damage_reports_;
      }
      if (!wrong.str().empty()) fail(where + ": " + wrong.str());
    } catch (const std::exception& error) {
      fail(where + ": recovery refused: " + error.what());
    }
  }

  static void check_kept(SimDisk& disk, const StoreHistory& history, std::ostringstream& wrong) {
    const auto records = records_in_chain(disk);
    for (CommitSeq commit = history.kept + 1; commit <= history.lmdb; ++commit) {
      const auto record = records.find(commit);
      if (record != records.end() && record->second == history.records[commit - 1]) continue;
      wrong << "commit " << commit << " is not there, and everything behind " << history.kept << " is kept. ";
      return;
    }
  }

  void fail(const std::string& what) {
    if (!failed()) failure_ = "seed " + std::to_string(seed_) + ":\n  " + path_ + what;
  }

  const Scenario scenario_;
  std::uint64_t seed_ = 0;
  std::string path_;  // to the life that is lived now
  std::string failure_;
  std::uint64_t states_ = 0;
  std::uint64_t lives_ = 0;
  std::uint64_t damage_reports_ = 0;
  bool after_failure_ = false;
};

std::uint64_t scale() {
  const char* text = std::getenv("AZOTH_TEST_LONG");
  if (text == nullptr) return 1;
  std::uint64_t factor = std::strtoull(text, nullptr, 0);
  return factor > 1 ? factor : 50;
}

// Histories of one scenario until at least this many states have been tried.
void explore(const char* name, const Scenario& scenario, std::uint64_t states) {
  Explorer explorer(scenario);
  std::uint64_t seed = mix(test_seed(), std::hash<std::string>()(name));
  std::uint64_t histories = 0;
#ifdef __SANITIZE_THREAD__
  states /= 20;  // hardly anything is concurrent here, and each takes many times longer
#endif
  for (; explorer.states() < states * scale() && !explorer.failed(); ++histories) explorer.run(mix(seed, histories));
  std::cout << name << ": " << explorer.states() << " states after power cuts and kills, " << explorer.lives()
            << " lives in " << histories << " histories, " << explorer.damage_reports() << " reports of damage\n";
  testing::Test::RecordProperty("states", std::to_string(explorer.states()));
  EXPECT_EQ(explorer.failure(), "");
}

TEST(JournalPowerCut, LosesNothingAcknowledgedAndBringsNothingBack) { explore("plain", {}, 30'000); }

TEST(JournalPowerCut, IsSurvivedWithCleanClosesInBetween) { explore("clean closes", {.closes = true, .actions = 8}, 10'000); }

TEST(JournalPowerCut, IsSurvivedAfterAFailedSyncThatWasReopened) {
  explore("failing device", {.fails = true, .actions = 8}, 20'000);
}

TEST(JournalPowerCut, IsSurvivedWithCommitsPastTheJournal) { explore("bulk", {.bulk = true}, 10'000); }

TEST(JournalPowerCut, IsSurvivedWhileSegmentsAreKeptAndCut) {
  explore("kept", {.closes = true, .keeps = true, .actions = 60}, 10'000);
}

TEST(JournalPowerCut, IsSurvivedWhileTheKeeperWorksBesideTheLeader) {
  explore("busy keeper", {.settles = false}, 10'000);
}

}  // namespace
}  // namespace azoth::test
