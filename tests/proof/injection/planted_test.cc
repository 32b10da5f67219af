// The proof of the proof: mistakes that a product could make with a fault, made in its place by the injector. The
// checks must find each of them.
#include <gtest/gtest.h>

#include "proof_case.h"

namespace azoth::inject {
namespace {

class Planted : public testing::Test {
 protected:
  // Whether one of the calls of these kinds, tried one after the other, makes a check fail, and how.
  static std::string found(const std::string& workload, const Plan& plan) {
    Runner runner;
    const std::uint64_t calls = runner.count(workload, What::Files).of_kinds(plan.kinds);
    for (std::uint64_t at = 1; at <= calls; ++at) {
      Case one{.workload = workload, .plan = plan};
      one.plan.at = at;
      std::string problem = runner.run(one);
      if (!problem.empty()) return problem;
    }
    return "";
  }
};

constexpr Plan kSync{.what = What::Files, .kinds = bit(Kind::Sync), .error = EIO, .lose = true};
constexpr Plan kWrite{.what = What::Files, .kinds = bit(Kind::Write), .error = EIO};
constexpr Plan kRename{.what = What::Files, .kinds = bit(Kind::Rename), .error = EIO};

Plan with(Plan plan, Plant plant) {
  plan.plant = plant;
  return plan;
}

TEST_F(Planted, AFailedSyncThatNobodyHearsOfIsFound) {
  EXPECT_NE(found("commits", with(kSync, Plant::SwallowSync)), "");
}

TEST_F(Planted, ASyncThatIsTriedAgainIsFound) { EXPECT_NE(found("commits", with(kSync, Plant::RetrySync)), ""); }

TEST_F(Planted, AFailedWriteThatIsTakenForDoneIsFound) {
  EXPECT_NE(found("commits", with(kWrite, Plant::SwallowWrite)), "");
}

TEST_F(Planted, AShortWriteThatIsTakenForWholeIsFound) {
  Plan plan = with(kWrite, Plant::ShortWrite);
  plan.error = kShort;
  EXPECT_NE(found("commits", plan), "");
}

// The loss of one of them shows, of a dozen. Which number that one has depends on the order of threads, so that it is
// passed over when two runs differ in it.
TEST_F(Planted, ARenameThatWasNotDoneIsFound) {
  std::string problem;
  for (int attempt = 0; attempt < 30 && problem.empty(); ++attempt) {
    problem = found("backup", with(kRename, Plant::SwallowRename));
  }
  EXPECT_NE(problem, "");
}

TEST_F(Planted, ACrashIsFound) {
  EXPECT_NE(found("create", with(kWrite, Plant::Crash)).find("dies of signal 6"), std::string::npos);
}

TEST_F(Planted, AHangIsFound) {
  setenv("AZOTH_INJECT_SECONDS", "5", 1);
  EXPECT_NE(found("create", with(kWrite, Plant::Hang)).find("hangs"), std::string::npos);
  unsetenv("AZOTH_INJECT_SECONDS");
}

// Without a mistake the same plans find nothing; so what was found is the mistake.
TEST_F(Planted, NothingIsFoundWhereNothingIsPlanted) {
  for (const char* workload : {"commits", "create"}) {
    EXPECT_EQ(found(workload, kSync), "");
    EXPECT_EQ(found(workload, kWrite), "");
  }
  Plan half = kWrite;
  half.error = kShort;
  EXPECT_EQ(found("commits", half), "");
  EXPECT_EQ(found("backup", kRename), "");
}

}  // namespace
}  // namespace azoth::inject
