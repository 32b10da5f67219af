// Serializability and sessions of very many transactions, with kills, pauses, seals and backups in between.
//
// A run that is found wrong is kept in AZOTH_PROOF_KEEP (azoth-histories in the temporary directory), and
//   histories_test --recheck DIRECTORY
// judges it again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <string>

#include "judge.h"
#include "run.h"
#include "support/proof.h"
#include "support/seed.h"

namespace azoth::proof::histories {
namespace {

// The files of one run, which are kept unless they are found right.
class RunDirectory {
 public:
  RunDirectory() {
    const char* keep = std::getenv("AZOTH_PROOF_KEEP");
    const std::filesystem::path parent = keep != nullptr ? keep : std::filesystem::temp_directory_path();
    places_.root = parent / ("azoth-histories-" + std::to_string(getpid()) + "-" + std::to_string(++made_));
    std::filesystem::remove_all(places_.root);
    std::filesystem::create_directories(places_.root);
  }
  ~RunDirectory() {
    if (testing::Test::HasFailure()) return;
    std::error_code ignored;
    std::filesystem::remove_all(places_.root, ignored);
  }
  const Places& places() const { return places_; }
  std::string how_to_recheck() const { return "histories_test --recheck " + places_.root.string(); }

 private:
  static inline int made_ = 0;
  Places places_;
};

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// To judge a transaction takes 6 KiB, and a little for what runs beside.
Word that_memory_holds() {
  constexpr std::uint64_t kKibibytes = 8;
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    std::uint64_t available = 0;
    if (std::sscanf(line.c_str(), "MemAvailable: %" SCNu64 " kB", &available) == 1) {
      return static_cast<Word>(std::min<std::uint64_t>(available / kKibibytes, std::numeric_limits<Word>::max()));
    }
  }
  return std::numeric_limits<Word>::max();
}

Word transactions() {
  if (const char* given = std::getenv("AZOTH_PROOF_TRANSACTIONS")) return static_cast<Word>(std::stoul(given));
  const Word wanted = test::share_of(Word{1'000'000});
  const Word held = that_memory_holds();
  if (held < wanted) std::cout << "there is memory for " << held << " transactions of " << wanted << std::endl;
  return std::min(wanted, held);
}

// All that there is to know of a run is in memory when it is judged, so a longer test is more runs.
int runs() { return std::getenv("AZOTH_TEST_LONG") != nullptr ? 20 : 1; }

void print(const RunReport& report, const Verdict& verdict) {
  std::cout << verdict.figures() << '\n'
            << report.lives << " lives, " << report.kills << " ended by kill -9, and " << report.kills_beside
            << " of processes that read beside; stopped and continued " << report.stops << " times; " << report.seconds
            << " s" << std::endl;
}

void run_and_judge(const Plan& plan) {
  const RunDirectory directory;
  RunReport report;
  ASSERT_NO_THROW(report = run(directory.places(), plan)) << directory.how_to_recheck();
  const auto ran = std::chrono::steady_clock::now();
  const Evidence evidence = gather(directory.places());
  const auto gathered = std::chrono::steady_clock::now();
  const Verdict verdict = judge(evidence);
  print(report, verdict);
  std::cout << "read and restored in " << seconds_between(ran, gathered) << " s, judged in "
            << seconds_between(gathered, std::chrono::steady_clock::now()) << " s" << std::endl;
  EXPECT_TRUE(verdict.clean()) << verdict.text() << directory.how_to_recheck();
  EXPECT_GE(verdict.transactions, plan.transactions);
  EXPECT_GT(verdict.replayed_reads, verdict.writes / 4);
}

TEST(Histories, WithKillsPausesAndBackupsAreSerializable) {
  const std::uint64_t seed = test::test_seed() >> 24;
  for (int i = 0; i < runs() && !testing::Test::HasFailure(); ++i)
    run_and_judge({.transactions = transactions(), .backups = 12, .seed = seed + static_cast<std::uint64_t>(i)});
}

int recheck(const std::filesystem::path& directory) {
  const Verdict verdict = judge(gather({directory}));
  std::cout << verdict.figures() << '\n' << verdict.text() << (verdict.clean() ? "nothing is wrong" : "") << std::endl;
  return verdict.clean() ? 0 : 1;
}

}  // namespace
}  // namespace azoth::proof::histories

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--recheck") return azoth::proof::histories::recheck(argv[2]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
