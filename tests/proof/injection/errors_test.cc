// An error at every call on a file, in Azoth, LMDB, SQLite and the standard library: once, and for good from there on.
// There is an azoth::Error or none, no false success, no hang, no signal; and what was acknowledged is there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "proof_case.h"

namespace azoth::inject {
namespace {

struct Errors {
  int error;
  bool sticky;
  std::size_t most;  // calls of each workload that are tried in the short mode
};

constexpr Errors kTried[] = {{EIO, false, kAll},  {EIO, true, 40},    {ENOSPC, false, 60}, {ENOSPC, true, 30},
                             {kShort, false, 40}, {kShort, true, 5},  {EINTR, false, 30},  {EINTR, true, 10},
                             {EDQUOT, false, 10}, {EDQUOT, true, 5},  {EMFILE, false, 20}, {EMFILE, true, 10},
                             {EACCES, false, 20}, {EACCES, true, 10}, {EROFS, false, 10},  {EROFS, true, 10},
                             {ENOMEM, false, 20}, {ENOMEM, true, 5},  {EAGAIN, false, 10}, {EAGAIN, true, 3}};

class ErrorAtEveryCall : public ProofCase {};

TEST_P(ErrorAtEveryCall, IsReportedAndLosesNothing) {
  const Counts counts = runner_.count(GetParam(), What::Files);
  for (const Errors& errors : kTried) {
    const std::uint32_t kinds = kinds_for(errors.error);
    for (std::uint64_t at :
         sample(counts.of_kinds(kinds), per_workload(errors.most, std::min<std::size_t>(errors.most / 4 + 1, 300)),
                test::test_seed())) {
      Case one{.workload = GetParam(), .plan = {}};
      one.plan = {.what = What::Files, .at = at, .kinds = kinds, .error = errors.error, .sticky = errors.sticky};
      run(one);
    }
  }
  EXPECT_GT(hits_, 0u);
  std::cout << GetParam() << ": " << counts.of_kinds(kAllKinds) << " calls, " << runs_ << " runs, " << hits_
            << " hits\n";
}

// What was written since the last sync is gone when a sync fails: nothing that was acknowledged as Durable is.
TEST_P(ErrorAtEveryCall, AFailedSyncThatLosesWhatWasWrittenLosesNothingDurable) {
  const std::uint64_t syncs = runner_.count(GetParam(), What::Files).of_kinds(bit(Kind::Sync));
  for (bool sticky : {false, true}) {
    std::vector<std::uint64_t> tried = sample(syncs, sticky ? 10 : per_workload(kAll, 40), test::test_seed());
    tried.push_back(1);  // which always comes, whatever the threads do
    for (std::uint64_t at : tried) {
      Case one{.workload = GetParam(), .plan = {}};
      one.plan = {
          .what = What::Files, .at = at, .kinds = bit(Kind::Sync), .error = EIO, .sticky = sticky, .lose = true};
      run(one);
    }
  }
  EXPECT_GT(hits_, 0u);
  std::cout << GetParam() << ": " << syncs << " syncs, " << runs_ << " runs, " << hits_ << " hits\n";
}

INSTANTIATE_TEST_SUITE_P(Workloads, ErrorAtEveryCall, testing::ValuesIn(names()), name_of_case);

// AZOTH_INJECT_REPLAY=commits:file:137:EIO:once
TEST(Replay, OfOneCase) {
  const char* text = std::getenv("AZOTH_INJECT_REPLAY");
  if (text == nullptr) GTEST_SKIP() << "AZOTH_INJECT_REPLAY names no case";
  Runner runner;
  const std::string problem = runner.run(case_of(text));
  std::cout << text << (runner.last_was_hit() ? ": the fault came\n" : ": the fault did not come\n");
  if (!problem.empty()) ADD_FAILURE() << problem;
}

}  // namespace
}  // namespace azoth::inject
