// No memory at an allocation, in Azoth, LMDB, SQLite and the standard library: once, and for good from there on.
// There is an azoth::Error, or std::bad_alloc where nothing was changed, no false success, no hang, no signal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "proof_case.h"

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
  std::cout << GetParam() << ": " << counts.allocations << " allocations from " << counts.first_of_each_stack.size()
            << " stacks, " << runs_ << " runs, " << hits_ << " hits\n";
}

INSTANTIATE_TEST_SUITE_P(Workloads, NoMemory, testing::ValuesIn(names()), name_of_case);

}  // namespace
}  // namespace azoth::inject
