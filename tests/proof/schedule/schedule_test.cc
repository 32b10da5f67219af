// The store behind a scheduler that is a seed's: every interleaving of its threads, every time that passes, every error
// of a file, power cut and kill comes from a number, and comes again with it.
//
//   AZOTH_SCHEDULE_SEED=N   the seed that ReplayOfOneSeed runs, with everything it does written down
//   AZOTH_TEST_SEED=N       where the others take theirs from
//   AZOTH_TEST_LONG         multiplies the seeds by 50 (or by its value, if it is a number above 1)
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/personality.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <ostream>
#include <string>
#include <vector>

#include "support/proof.h"
#include "support/seed.h"
#include "trial.h"

namespace azoth::proof {
namespace {

constexpr int kShards = 8;
constexpr std::uint64_t kSeeds = 20'000;  // of all shards together, in the whole proof
constexpr const char* kSeedVariable = "AZOTH_SCHEDULE_SEED";

std::uint64_t seed_of(std::uint64_t number) { return mix(test::test_seed(), number) >> 16; }

std::uint64_t scale() {
  const char* text = std::getenv("AZOTH_TEST_LONG");
  if (text == nullptr) return 1;
  std::uint64_t factor = std::strtoull(text, nullptr, 0);
  return factor > 1 ? factor : 50;
}

// Threads hand over to each other all the time, which is quickest where they are on one processor.
void stay_on_one_processor(int number) {
  static const cpu_set_t allowed = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    return set;
  }();
  std::vector<int> processors;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &allowed)) processors.push_back(i);
  }
  if (processors.empty()) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processors[static_cast<std::size_t>(number) % processors.size()], &one);
  sched_setaffinity(0, sizeof one, &one);
}

std::string command(std::uint64_t seed) {
  return std::string("again, with everything it does: ") + kSeedVariable + "=" + std::to_string(seed) +
         " schedule_test --gtest_filter='*ReplayOfOneSeed'";
}

class ScheduleTest : public testing::TestWithParam<int> {};

TEST_P(ScheduleTest, NoPromiseIsBrokenByAnySeed) {
  stay_on_one_processor(GetParam());
  Sight seen;
  std::uint64_t steps = 0;
  std::uint64_t switches = 0;
  int broken = 0;
  const std::uint64_t seeds = test::share_of(kSeeds / kShards) * scale();
  const auto began = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < seeds && broken < 5; ++i) {
    const std::uint64_t seed = seed_of(i * kShards + static_cast<std::uint64_t>(GetParam()));
    const Verdict verdict = run_trial(seed);
    seen.add(verdict.sight);
    steps += verdict.steps;
    switches += verdict.switches;
    if ((i + 1) % 500 == 0) std::cout << i + 1 << " seeds, " << seen.text() << std::endl;
    if (verdict.good) continue;
    ++broken;
    ADD_FAILURE() << "seed " << seed << ": " << verdict.why << "\n" << command(seed);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::cout << seeds << " seeds in " << took.count() << " s: " << seen.text() << ", " << steps << " steps, " << switches
            << " switches of threads\n";
}

INSTANTIATE_TEST_SUITE_P(Seeds, ScheduleTest, testing::Range(0, kShards));

TEST(ScheduleReplayTest, ASeedDoesTheSameEachTime) {
  stay_on_one_processor(0);
  std::uint64_t before = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::uint64_t seed = seed_of(1'000'000 + i);
    const Verdict first = run_trial(seed);
    const Verdict second = run_trial(seed);
    EXPECT_EQ(first.hash, second.hash) << "seed " << seed;
    EXPECT_EQ(first.steps, second.steps) << "seed " << seed;
    EXPECT_NE(first.hash, before);
    before = first.hash;
  }
}

TEST(ScheduleReplayTest, ReplayOfOneSeed) {
  const char* text = std::getenv(kSeedVariable);
  if (text == nullptr) GTEST_SKIP() << kSeedVariable << " names none";
  stay_on_one_processor(0);
  const Verdict verdict = run_trial(std::strtoull(text, nullptr, 0), {}, true);
  std::cout << "hash " << verdict.hash << ", " << verdict.sight.text() << "\n";
  EXPECT_TRUE(verdict.good) << verdict.why;
}

// --- That it finds what it is to find

struct Planted {
  anomaly::Kind kind;
  std::uint64_t most;  // of the calls that it could befall, one among so many; 0: all
  const char* name;

  friend void PrintTo(const Planted& planted, std::ostream* to) { *to << planted.name; }
};

class PlantedAnomalyTest : public testing::TestWithParam<Planted> {};

TEST_P(PlantedAnomalyTest, IsFound) {
  stay_on_one_processor(static_cast<int>(GetParam().kind));
  constexpr std::uint64_t kMostSeeds = 20'000;
  for (std::uint64_t i = 0; i < kMostSeeds; ++i) {
    const std::uint64_t seed = seed_of(2'000'000 + i);
    const std::uint64_t number = GetParam().most == 0 ? 0 : 1 + seed % GetParam().most;
    const anomaly::Plan plan{.kind = GetParam().kind, .number = number};
    const Verdict verdict = run_trial(seed, plan);
    if (verdict.good) continue;
    std::cout << "found by seed " << i + 1 << " of " << kMostSeeds << ": " << verdict.why << "\n";
    EXPECT_EQ(run_trial(seed, plan).hash, verdict.hash) << "and not again";
    return;
  }
  ADD_FAILURE() << "not found by " << kMostSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedAnomalyTest,
                         testing::Values(Planted{anomaly::Kind::LostWakeUp, 20, "OneLostWakeUp"},
                                         Planted{anomaly::Kind::OpenMutex, 0, "OpenMutexes"},
                                         Planted{anomaly::Kind::LyingSync, 0, "LyingSyncs"},
                                         Planted{anomaly::Kind::LyingSync, 20, "OneLyingSync"},
                                         Planted{anomaly::Kind::LyingDirectorySync, 0, "LyingSyncsOfDirectories"},
                                         Planted{anomaly::Kind::LyingMeta, 0, "LyingMetaWrites"}),
                         [](const auto& planted) { return std::string(planted.param.name); });

}  // namespace
}  // namespace azoth::proof

// With the addresses of programs and stacks chosen at random, two runs would differ in them.
int main(int argc, char** argv) {
  const int persona = personality(0xffffffff);
  if (persona >= 0 && (persona & ADDR_NO_RANDOMIZE) == 0 &&
      personality(static_cast<unsigned long>(persona) | ADDR_NO_RANDOMIZE) >= 0) {
    execv("/proc/self/exe", argv);
  }
  azoth::proof::prepare_trials();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
