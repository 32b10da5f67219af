// Every fault point, one after the other: whatever fails or dies there, nothing that was acknowledged is lost, nothing
// is torn, a store that has failed stays so until it is reopened, and reopening is all it takes.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "fault_script.h"
#include "support/sim_disk.h"

namespace azoth {
namespace {

using test::code_of;
using test::fails_with_unknown_outcome;
using test::Notes;
using test::Promises;
using test::set_of;
using test::submit;
using test::Workload;

constexpr auto kWritten = Durability::Written;
constexpr auto kDurable = Durability::Durable;

// The points that the sources have; none if the sources are not where they were compiled.
std::set<std::string> points_in_sources() {
  std::set<std::string> points;
  std::filesystem::path root = AZOTH_SOURCE_DIR;
  std::regex call("AZOTH_FAULT\\(\"([a-z._]+)\"\\)");
  for (const char* layer : {"core/src", "lockmgr/src", "canonical/src"}) {
    std::error_code error;
    for (const auto& file : std::filesystem::recursive_directory_iterator(root / layer, error)) {
      std::ifstream stream(file.path());
      std::string text(std::istreambuf_iterator<char>(stream), {});
      for (std::sregex_iterator match(text.begin(), text.end(), call), end; match != end; ++match) {
        points.insert((*match)[1]);
      }
    }
  }
  return points;
}

// Points that the write path has no use for; the tests of core, of what backups stand on and of command ids reach them.
const std::set<std::string> kNotOfTheWritePath = {"backup.snapshot", "builder.journal", "builder.lmdb",
                                                  "commands.forget", "file.truncate"};

class FaultTest : public test::WritePath {
 protected:
  // How often the workload reaches each point.
  static const std::map<std::string, int>& hits() {
    static const std::map<std::string, int> counted = [] {
      std::map<std::string, int> counts;
      std::set<std::string> points = points_in_sources();
      if (points.empty()) return counts;
      std::map<std::string, std::atomic<int>> counters;
      for (const std::string& point : points) {
        fault::arm(point, {.run = [&counter = counters[point]] { ++counter; }, .times = -1});
      }
      test::TempDir directory;
      Notes notes;
      Workload(directory.path(), notes.listener()).run();
      fault::disarm_all();
      for (auto& [point, counter] : counters) counts[point] = counter;
      return counts;
    }();
    return counted;
  }

  // Which of so many hits are tried: the first ones, some in between, the last; or all of them.
  static std::vector<int> chosen(int count) {
    std::set<int> hits;
    for (int hit = 1; hit <= (test::long_run() ? count : std::min(count, 2)); ++hit) hits.insert(hit);
    if (count > 2) hits.insert({count / 3 + 1, 2 * count / 3 + 1, count});
    return {hits.begin(), hits.end()};
  }

  static void check_what_is_left(const std::filesystem::path& path, const Promises& promises, const Options& options) {
    const auto found = test::check({.store = path, .options = options, .may_be_missing = true}, promises);
    EXPECT_TRUE(found.empty()) << found.text();
  }

  void run_with(const std::string& point, const fault::Action& action) {
    test::TempDir directory;
    Notes notes;
    Workload workload(directory.path(), notes.listener());
    {
      fault::Armed armed(point, action);
      workload.run();
    }
    for (const std::string& complaint : workload.complaints()) ADD_FAILURE() << complaint;
    check_what_is_left(workload.store(), notes.store(), workload.options());
    if (notes.copy()) check_what_is_left(workload.copy(), *notes.copy(), workload.options());
  }

  template <class Run>
  void for_each_hit(Run run) {
    ASSERT_FALSE(hits().empty()) << "the sources are not there";
    for (const auto& [point, count] : hits()) {
      for (int hit : chosen(count)) {
        SCOPED_TRACE(point + ", hit " + std::to_string(hit) + " of " + std::to_string(count));
        run(point, hit);
        if (HasFailure()) return;
      }
    }
  }
};

TEST_F(FaultTest, TheWorkloadReachesEveryPointThatTheSourcesHave) {
  std::set<std::string> points = points_in_sources();
  if (points.empty()) GTEST_SKIP() << "the sources are not there";
  test::TempDir directory;
  Notes notes;
  Workload workload(directory.path(), notes.listener());
  workload.until_someone_sleeps = true;
  fault::record(true);
  workload.run();
  fault::record(false);
  std::vector<std::string> list = fault::reached();
  std::set<std::string> reached(list.begin(), list.end());
  EXPECT_TRUE(workload.complaints().empty());
  for (const std::string& point : points) {
    EXPECT_NE(reached.contains(point), kNotOfTheWritePath.contains(point)) << point;
  }
  for (const std::string& point : reached) EXPECT_TRUE(points.contains(point)) << point << " is not found by the scan";
  check_what_is_left(workload.store(), notes.store(), workload.options());
  ASSERT_TRUE(notes.copy().has_value());
  check_what_is_left(workload.copy(), *notes.copy(), workload.options());
}

TEST_F(FaultTest, AnErrorAnywhereLosesNothingThatWasAcknowledged) {
  for_each_hit([&](const std::string& point, int hit) { run_with(point, {.fail_with = EIO, .skip = hit - 1}); });
}

TEST_F(FaultTest, AFullDiskAnywhereLosesNothingThatWasAcknowledged) {
  for_each_hit([&](const std::string& point, int hit) { run_with(point, {.fail_with = ENOSPC, .skip = hit - 1}); });
}

TEST_F(FaultTest, AnErrorThatStaysLosesNothingThatWasAcknowledged) {
  for_each_hit([&](const std::string& point, int hit) {
    if (point == "group.sleep" || hit % 2 == 0) return;  // who never sleeps is busy, and that is all
    run_with(point, {.fail_with = EIO, .skip = hit - 1, .times = -1});
  });
}

// --- Killed

// Words through a pipe, in lines: what the child said before it died is there.
class Pipe {
 public:
  Pipe() {
    if (pipe(ends_) != 0) throw_errno(errno, "making a pipe");
  }
  ~Pipe() {
    close(ends_[0]);
    close(ends_[1]);
  }

  void say(const std::string& line) {
    std::lock_guard lock(mutex_);
    std::string bytes = line + "\n";
    if (write(ends_[1], bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) _exit(4);
  }

  // After the child has ended.
  std::vector<std::string> lines() {
    close(std::exchange(ends_[1], -1));
    std::string text;
    char buffer[4096];
    for (ssize_t got = 0; (got = read(ends_[0], buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<std::size_t>(got));
    std::istringstream stream(text);
    std::vector<std::string> all;
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
  }

 private:
  int ends_[2] = {-1, -1};
  std::mutex mutex_;
};

void run_until_killed(const std::filesystem::path& directory, const std::string& point, int hit, Pipe& pipe) {
  Workload workload(
      directory,
      {[&](int step) { pipe.say("S " + std::to_string(step)); },
       [&](CommitSeq commit, int step) { pipe.say("A " + std::to_string(commit) + " " + std::to_string(step)); },
       [&](std::uint64_t number) { pipe.say("N " + std::to_string(number)); }, [&] { pipe.say("C"); }});
  fault::arm(point, {.kill = true, .skip = hit - 1});
  workload.run();
  _exit(0);
}

TEST_F(FaultTest, AKillAnywhereLosesNothingThatWasAcknowledged) {
  std::map<std::string, int> kills;
  for_each_hit([&](const std::string& point, int hit) {
    test::TempDir directory;
    Pipe pipe;
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) run_until_killed(directory.path(), point, hit, pipe);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;  // the later hits may or may not come
    ASSERT_TRUE(killed || ended) << "status " << status;
    kills[point] += killed ? 1 : 0;
    Notes notes;
    for (const std::string& line : pipe.lines()) {
      std::istringstream words(line);
      char what = ' ';
      CommitSeq number = 0;
      int step = 0;
      words >> what >> number >> step;
      if (what == 'S') notes.submits(static_cast<int>(number));
      if (what == 'A') notes.acknowledged(number, step);
      if (what == 'N') notes.numbered(number);
      if (what == 'C') notes.copied();
    }
    Workload left(directory.path(), {});
    check_what_is_left(left.store(), notes.store(), left.options());
    if (notes.copy()) check_what_is_left(left.copy(), *notes.copy(), left.options());
  });
  // Where a sync takes no time nobody sleeps in a group.
  for (const auto& [point, count] : kills)
    EXPECT_TRUE(count > 0 || point == "group.sleep") << point << " was not reached";
}

}  // namespace
}  // namespace azoth
