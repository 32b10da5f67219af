// No memory at an allocation, in Azoth, LMDB, SQLite and the standard library: once, and for good from there on.
// There is an azoth::Error, or std::bad_alloc where nothing was changed, no false success, no hang, no signal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "azoth/canonical/store.h"
#include "azoth/canonical/write_txn.h"
#include "proof_case.h"
#include "support/temp_dir.h"

namespace azoth::inject {
namespace {

class NoMemory : public ProofCase {
 protected:
  Case case_at(std::uint64_t at, bool sticky) const {
    Case one{.workload = GetParam(), .plan = {}};
    one.plan = {.what = What::Memory, .at = at, .error = ENOMEM, .sticky = sticky};
    return one;
  }

  // The first allocation of each call stack; all allocations in the long mode.
  std::vector<std::uint64_t> chosen(const Counts& counts, std::size_t most) {
    if (test::long_run()) return counts.all;
    most = test::share_of(most);
    std::vector<std::uint64_t> some;
    std::mt19937_64 random(test::test_seed());
    std::sample(counts.first_of_each_stack.begin(), counts.first_of_each_stack.end(), std::back_inserter(some), most,
                random);
    return some;
  }
};

TEST_P(NoMemory, AtAnAllocationIsReportedAndLosesNothing) {
  const Counts counts = runner_.count(GetParam(), What::Memory);
  for (std::uint64_t at : chosen(counts, per_workload(500, 60))) run(case_at(at, false));
  for (std::uint64_t at : chosen(counts, per_workload(150, 20))) run(case_at(at, true));
  EXPECT_GT(hits_, 0u);
  std::cout << GetParam() << ": " << counts.allocations << " allocations from " << counts.first_of_each_stack.size()
            << " stacks, " << runs_ << " runs, " << hits_ << " hits\n";
}

INSTANTIATE_TEST_SUITE_P(Workloads, NoMemory, testing::ValuesIn(names()), name_of_case);

// Whatever a refused operation has got to, the transaction goes on without it.
TEST(NoMemoryInATransaction, AnOperationThatWasRefusedIsNotCommitted) {
  test::TempDir parent;
  Store::create(parent.path() / "store");
  const std::unique_ptr<Store> store = Store::open(parent.path() / "store");
  WriteTxn txn = store->begin();
  txn.put("deleted", "old");
  const auto refused = [&](std::uint64_t at, const auto& operation) {
    auto report = std::make_unique<Report>();
    const Plan plan = {.what = What::Memory, .at = at, .error = ENOMEM};
    azoth_inject_arm(&plan, report.get());
    bool threw = false;
    try {
      operation();
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    azoth_inject_disarm();
    return threw;
  };
  const std::string tail(400, 'k');  // keys and no values: what takes memory last is what makes the transaction see it
  std::vector<std::string> refusals;
  for (int i = 0; i < 3000; ++i) {
    for (std::uint64_t at = 1; at <= 3; ++at) {
      const std::string key = std::to_string(i) + "/" + std::to_string(at) + tail;
      if (!refused(at, [&] { txn.put(key, ""); })) continue;
      refusals.push_back(key);
      EXPECT_FALSE(txn.exists(key));
      const bool kept = refused(1, [&] { txn.del("deleted"); });
      EXPECT_EQ(txn.exists("deleted"), kept);
      txn.put("deleted", "again");
      EXPECT_FALSE(txn.exists(key)) << "behind another operation";
    }
  }
  EXPECT_GT(refusals.size(), 10u);
  txn.commit();
  for (const std::string& key : refusals) EXPECT_FALSE(store->read().exists(key)) << key;
  EXPECT_EQ(store->read().get("deleted"), "again");
}

}  // namespace
}  // namespace azoth::inject
