// kill -9, at every call on a file of the workloads, and at random moments: writers, recovery, projections, backup,
// restore, repair. Everything that was acknowledged at Written or above is there, nothing is there twice.
#include <gtest/gtest.h>

#include <random>

#include "proof_case.h"

namespace azoth::inject {
namespace {

class KilledAnywhere : public ProofCase {};

TEST_P(KilledAnywhere, AtACallLosesNothing) {
  const std::uint64_t calls = runner_.count(GetParam(), What::Files).of_kinds(kAllKinds);
  for (std::uint64_t at : sample(calls, per_workload(kAll, 60), test::test_seed())) {
    Case one{.workload = GetParam(), .plan = {}};
    one.plan = {.what = What::Files, .at = at, .error = kKill};
    run(one);
  }
  EXPECT_GT(hits_, 0u);
  std::cout << GetParam() << ": " << calls << " calls, " << runs_ << " runs, " << hits_ << " killed\n";
}

TEST_P(KilledAnywhere, AtARandomMomentLosesNothing) {
  const std::uint64_t usual = runner_.microseconds(GetParam());
  std::mt19937_64 random(test::test_seed());
  for (std::size_t i = test::share_of(per_workload(300, 40)) * (test::long_run() ? 10 : 1); i > 0 && !enough(); --i) {
    note(runner_.run_and_kill(GetParam(), 1 + random() % (usual + usual / 4)));
  }
  std::cout << GetParam() << ": " << runs_ << " runs within " << usual << " us\n";
}

INSTANTIATE_TEST_SUITE_P(Workloads, KilledAnywhere, testing::ValuesIn(names()), name_of_case);

}  // namespace
}  // namespace azoth::inject
