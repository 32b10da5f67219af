// How far the work is, and ending it by throwing.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "azoth/projection/declarations.h"
#include "backup_support.h"
#include "parallel.h"

namespace azoth::backup::test {
namespace {

using testing::Contains;
using testing::IsEmpty;

struct Stopped : std::runtime_error {
  Stopped() : std::runtime_error("the user has enough of it") {}
};

// Takes down what it is told, and checks that no step goes back.
class Steps {
 public:
  StepProgress progress() {
    return [this](const Step& step) {
      if (steps_.empty() || steps_.back().first != step.what) {
        expect_ended();
        steps_.emplace_back(step.what, step);
      }
      EXPECT_GE(step.done, steps_.back().second.done) << step.what;
      EXPECT_LE(step.done, step.total) << step.what;
      EXPECT_FALSE(step.unit.empty());
      steps_.back().second = step;
    };
  }
  void expect_ended() const {
    if (steps_.empty()) return;
    EXPECT_EQ(steps_.back().second.done, steps_.back().second.total) << steps_.back().first;
    EXPECT_GT(steps_.back().second.total, 0u) << steps_.back().first;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& step : steps_) names.push_back(step.first);
    return names;
  }
  std::uint64_t total() const { return steps_.empty() ? 0 : steps_.back().second.total; }

 private:
  std::vector<std::pair<std::string, Step>> steps_;
};

// Throws at its so-and-so-manieth call.
StepProgress stop_at(int call) {
  return [call](const Step&) mutable {
    if (--call == 0) throw Stopped();
  };
}

class BackupProgress : public BackupTest {
 protected:
  BackupProgress() {
    Declarations(store_path())
        .add("-- azoth:projection sums version 1\nCREATE TABLE t (x);\n-- azoth:on count\nINSERT INTO t VALUES (1);\n",
             "sums.sql");
    for (int i = 0; i < 1500; ++i) {
      Change change{{{"key" + std::to_string(i), std::string(2000, static_cast<char>(i))}}, {{.type = "count"}}};
      model_.add(store_->submit(change.set(), {}, {.level = Durability::Applied}).value().info(), change);
    }
    store_->flush();
    const auto source = store_->event_source();
    Projector projector(store_path(), *source);
    projector.add(Declarations(store_path()).load("sums"));
    projector.catch_up("sums");
  }
};

TEST_F(BackupProgress, OfEachStepOnlyGrowsAndEndsAtItsTotal) {
  Steps full, diff, whole, middle, verified;
  back_up({.progress = full.progress()});
  full.expect_ended();
  EXPECT_EQ(full.names(), (std::vector<std::string>{"copying", "copying projections"}));
  put("a", "1");
  const CommitSeq target_commit = put("a", "2").commit_seq;
  put("a", "3");
  back_up({.incremental = true, .progress = diff.progress()});
  diff.expect_ended();
  EXPECT_EQ(diff.total(), 3u);
  restore({.progress = whole.progress()});
  whole.expect_ended();
  EXPECT_EQ(whole.names(), (std::vector<std::string>{"verifying", "restoring"}));
  restore({.target = RestoreTarget::commit(target_commit), .progress = middle.progress()});
  middle.expect_ended();
  verify({.restore = false, .progress = verified.progress()});
  verified.expect_ended();
  EXPECT_EQ(verified.names(), (std::vector<std::string>{"reading"}));
  EXPECT_EQ(verified.total(), verify({.restore = false}).bytes);
}

TEST_F(BackupProgress, ThatThrowsEndsABackupCleanly) {
  int stopped = 0;
  for (int call = 1;; ++call) {
    bool over = false;
    try {
      back_up({.progress = stop_at(call)});
      over = true;
    } catch (const Stopped&) {
      ++stopped;
    }
    if (over) break;
    EXPECT_THAT(list(), IsEmpty());
    EXPECT_THAT(registrations(), IsEmpty());
  }
  EXPECT_GE(stopped, 2);
  put("a", "1");
  const std::vector<RetainedSet> before = registrations();
  EXPECT_THROW(back_up({.incremental = true, .progress = stop_at(1)}), Stopped);
  EXPECT_THROW(back_up({.seal = SealMode::Snapshot, .progress = stop_at(1)}), Stopped);
  EXPECT_EQ(list().size(), 1u);
  EXPECT_EQ(registrations(), before);
  expect_usable();
  EXPECT_THAT(incremental().notes, IsEmpty());
}

TEST_F(BackupProgress, ThatThrowsEndsARestoreAndAVerificationCleanly) {
  back_up();
  put("a", "1");
  incremental();
  std::filesystem::create_directories(targets());
  int stopped = 0;
  const auto stop_everywhere = [&](const std::function<void(const StepProgress&)>& work) {
    for (int call = 1;; ++call) {
      try {
        work(stop_at(call));
        return;
      } catch (const Stopped&) {
        ++stopped;
      }
      expect_no_target();
    }
  };
  stop_everywhere([&](const StepProgress& progress) { restore({.progress = progress}); });
  EXPECT_GE(stopped, 2);
  expect_restored(target(), model_, store_->status().visible_seq, options_);
  std::filesystem::remove_all(target());
  stopped = 0;
  stop_everywhere([&](const StepProgress& progress) { verify({.scratch = targets(), .progress = progress}); });
  EXPECT_GE(stopped, 3);
  EXPECT_TRUE(verify().ok());
}

TEST(StepMeter, TellsOfWhatSeveralThreadsHaveDoneAndOfTheEnd) {
  std::vector<Step> told;
  const StepProgress progress = [&](const Step& step) { told.push_back(step); };
  StepMeter meter(progress, "working", "things", 4000);
  std::vector<std::function<void(std::size_t)>> tasks(4, [&](std::size_t) {
    StepCounter counter(meter, 7);
    for (int i = 0; i < 1000; ++i) counter.add(1);
    counter.flush();
  });
  run_parallel(4, tasks);
  meter.end();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().done, 4000u);
}

TEST(RunParallel, BeginsNothingMoreWhenATaskHasFailedAndWaitsForThoseThatRun) {
  constexpr int kTasks = 100'000;  // far more than are begun until the failure has got through, however slowly
  for (const std::size_t threads : {0U, 1U, 4U}) {
    std::atomic<int> running{0}, begun{0};
    std::vector<std::function<void(std::size_t)>> tasks(kTasks, [&](std::size_t worker) {
      ++running;
      EXPECT_LT(worker, std::max<std::size_t>(threads, 1));
      const int number = ++begun;
      if (number == 20) {
        --running;
        throw Stopped();
      }
      if (number > 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      --running;
    });
    EXPECT_THROW(run_parallel(threads, tasks), Stopped);
    EXPECT_EQ(running, 0);
    EXPECT_LT(begun, kTasks);
  }
}

}  // namespace
}  // namespace azoth::backup::test
