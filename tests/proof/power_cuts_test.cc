// Power cuts of the whole store: journal, LMDB, SQLite, snapshot sets, everything between. Workloads run with the
// recorder loaded; then whatever a power cut at any moment may have left is put together, opened, and compared with
// what the library had promised by then.
//
// AZOTH_TEST_LONG=1 tries fifty times as many states (or, if it is a number above 1, so many times as many);
// AZOTH_PROOF_SECONDS=N goes on for so long instead; AZOTH_PROOF_STATES=N sets their number. A state that is bad is
// kept in AZOTH_PROOF_KEEP (azoth-power-cuts in the temporary directory), and
//     power_cuts_test --replay DIRECTORY POINT CUT
// checks it again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>

#include "explorer.h"
#include "power_cuts.h"
#include "support/seed.h"
#include "support/temp_dir.h"
#include "workload.h"

namespace azoth::proof {
namespace {

constexpr std::uint64_t kStates = 500'000;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::uint64_t states_to_try() {
  std::uint64_t factor = number_from("AZOTH_TEST_LONG", 0);
  return number_from("AZOTH_PROOF_STATES", kStates) * (factor == 0 ? 1 : factor == 1 ? 50 : factor);
}

// NOLINTNEXTLINE: the tests are known by these names
TEST(proof, power_cuts) {
  Campaign campaign;
  campaign.seed = test::test_seed();
  campaign.states = states_to_try();
  campaign.workloads = Workload::scripted();
  const char* keep = std::getenv("AZOTH_PROOF_KEEP");
  campaign.keep = keep != nullptr ? keep : std::filesystem::temp_directory_path() / "azoth-power-cuts";
  if (const char* given = std::getenv("AZOTH_PROOF_WORKLOADS")) {
    std::istringstream names(given);
    campaign.workloads.assign(std::istream_iterator<std::string>(names), {});
    campaign.random = false;
    campaign.states = 0;
  }
  // One is often waiting for a thread of its store.
  campaign.workers = 3 * std::max<std::size_t>(1, std::thread::hardware_concurrency());
  if (std::uint64_t seconds = number_from("AZOTH_PROOF_SECONDS", 0)) {
    campaign.states = std::uint64_t{1} << 62;
    campaign.most = std::chrono::seconds(seconds);
  }
  Outcome outcome = run_campaign(campaign);
  std::cout << outcome.states << " states, " << outcome.bad << " bad; seed " << campaign.seed << ", " << outcome.traces
            << " traces, " << outcome.later_states << " states in the lives after a cut, "
            << static_cast<std::uint64_t>(static_cast<double>(outcome.states) / outcome.seconds) << " states/s"
            << std::endl;
  EXPECT_EQ(outcome.bad, 0u) << outcome.failure;
  if (campaign.most.count() == 0) {
    EXPECT_GE(outcome.states, campaign.states);
  }
}

// What the proof is worth: each of these lies of the disk loses something, and it is seen.
struct Lie {
  const char* name;
  const char* fault;
  const char* workload;
  const char* after = "";  // a mark behind which the power is cut
};

Outcome find(const Lie& lie, const std::filesystem::path& keep = {}) {
  Campaign campaign;
  campaign.seed = test::test_seed();
  campaign.workloads = {lie.workload};
  campaign.random = false;
  campaign.stop_at_first_bad = true;
  campaign.fault = lie.fault;
  campaign.after = lie.after;
  campaign.workers = 1;
  campaign.keep = keep;
  return run_campaign(campaign);
}

class PlantedFault : public testing::TestWithParam<Lie> {};

TEST_P(PlantedFault, IsFound) {
  Outcome outcome = find(GetParam());
  EXPECT_GT(outcome.bad_states, 0u) << "none of " << outcome.states << " states was bad. " << outcome.failure;
  std::cout << "after " << outcome.states << " states: " << outcome.failure << std::endl;
}

// What a failure prints is enough to see it again.
TEST(Replay, FindsABadStateBad) {
  test::TempDir keep;
  Outcome outcome = find({.name = "", .fault = "skip-sync:journal/", .workload = "levels"}, keep.path());
  ASSERT_GT(outcome.bad_states, 0u) << outcome.failure;
  std::string words = outcome.failure.substr(outcome.failure.find("--replay ") + 9);
  std::istringstream stream(words);
  std::string directory;
  std::string point;
  std::string cut;
  ASSERT_TRUE(stream >> directory >> point >> cut) << outcome.failure;
  EXPECT_ANY_THROW(Explorer::replay(directory, point, Cut::parse(cut)));
  EXPECT_NO_THROW(Explorer::replay(directory, "0", Cut{})) << "nothing is promised there";
}

// Which of the journal's syncs is the one of a batch, and which of a spare, depends on threads.
TEST(OneMissingSync, OfTheJournalIsFound) {
  bool found = false;
  for (int n = 4; n < 34 && !found; ++n) {
    const std::string fault = "skip-nth-sync:" + std::to_string(n) + ":journal/";
    found = find({.name = "", .fault = fault.c_str(), .workload = "levels"}).bad_states > 0;
  }
  EXPECT_TRUE(found);
}

const Lie kLies[] = {
    {"JournalIsNeverSynced", "skip-sync:journal/", "levels"},
    {"JournalDirectoryIsNeverSynced", "skip-directory-syncs:journal", "segments"},
    {"LmdbIsNeverSynced", "skip-sync:data.mdb", "flush"},
    {"LmdbsMetaPageIsNotSynced", "plain-meta:data.mdb", "segments", "durable"},
    {"DirectoriesAreNeverSynced", "skip-directory-syncs:", "create"},
    {"IdentityIsRenamedBeforeItIsSynced", "rename-first:identity", "create"},
    {"IdentityIsNeverSynced", "skip-sync:identity", "create"},
    {"SnapshotFilesAreNeverSynced", "skip-sync:.azs", "backup", "backs-up"},
    {"ManifestIsRenamedBeforeItIsSynced", "rename-first:manifest", "backup", "backs-up"},
    {"DirectoryOfASetIsNeverSynced", "skip-directory-syncs:set", "backup", "backs-up"},
    {"ProjectionIsNeverSynced", "skip-sync:.db", "rebuild", "projects"},
    {"ProjectionsPointerIsRenamedBeforeItIsSynced", "rename-first:tally", "rebuild", "projects"},
    {"RestoredStoreIsNeverSynced", "skip-sync:.restored", "restore", "restores"},
    {"RepairIsNeverSynced", "skip-sync:canonical", "repair", "damaged"},
};

INSTANTIATE_TEST_SUITE_P(proof, PlantedFault, testing::ValuesIn(kLies),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace azoth::proof

int main(int argc, char** argv) {
  if (auto result = azoth::proof::run_as_helper(argc, argv)) return *result;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
