#include "power_cuts.h"

#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "azoth/core/error.h"
#include "board.h"
#include "explorer.h"
#include "support/memory_dir.h"

namespace azoth::proof {

namespace {

using SteadyClock = std::chrono::steady_clock;

std::filesystem::path make_scratch() { return test::make_unique_directory(test::place_in_memory(), "azoth-proof"); }

// LD_PRELOAD takes no blanks and no colons, which the directory of the build may have in its name.
std::filesystem::path recorder_in(const std::filesystem::path& scratch) { return scratch / "recorder.so"; }

std::string word(const std::string& text) { return text.empty() ? "-" : text; }

// The campaign, as its workers read it.
void write_campaign(const Campaign& campaign, const std::filesystem::path& file) {
  std::ofstream out(file);
  out << campaign.seed << ' ' << campaign.states << ' ' << campaign.most.count() << ' ' << campaign.random << ' '
      << campaign.stop_at_first_bad << ' ' << word(campaign.fault) << ' ' << word(campaign.after);
  for (const std::string& workload : campaign.workloads) out << ' ' << workload;
  out << '\n' << campaign.keep.string();
}

Campaign read_campaign(const std::filesystem::path& file) {
  std::ifstream in(file);
  Campaign campaign;
  std::int64_t seconds = 0;
  std::string line;
  std::getline(in, line);
  std::istringstream words(line);
  words >> campaign.seed >> campaign.states >> seconds >> campaign.random >> campaign.stop_at_first_bad >>
      campaign.fault >> campaign.after;
  campaign.most = std::chrono::seconds(seconds);
  for (std::string* text : {&campaign.fault, &campaign.after}) {
    if (*text == "-") text->clear();
  }
  for (std::string workload; words >> workload;) campaign.workloads.push_back(workload);
  if (std::getline(in, line)) campaign.keep = line;
  return campaign;
}

pid_t start(const std::filesystem::path& scratch, std::size_t worker) {
  pid_t child = fork();
  if (child < 0) throw_errno(errno, "forking");
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody is left behind by a test that is ended
  setenv("LD_PRELOAD", recorder_in(scratch).c_str(), 1);
  execl("/proc/self/exe", "power_cuts", "--worker", scratch.c_str(), std::to_string(worker).c_str(),
        static_cast<char*>(nullptr));
  _exit(126);
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// A store is opened and closed thousands of times: what it frees is best kept. But LMDB's list of dirty pages, two
// mebibytes that must be zero and are hardly used, is cheaper from the system, which has zeros, than from the heap; so
// the heap's free end stays smaller than that.
void keep_memory() {
  mallopt(M_MMAP_THRESHOLD, 3 << 19);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  mallopt(M_TOP_PAD, 1 << 19);
  mallopt(M_ARENA_MAX, 1);
}

// Takes what the tests beside it leave of the processors, for which they often wait with a clock in hand.
void give_way() { setpriority(PRIO_PROCESS, 0, 10); }

int work(const std::filesystem::path& scratch, std::size_t number) {
  keep_memory();
  give_way();
  const Campaign campaign = read_campaign(scratch / "campaign");
  const Board board(scratch / "board");
  const auto end = SteadyClock::now() + campaign.most;
  auto late = [&] { return campaign.most.count() > 0 && SteadyClock::now() >= end; };
  Explorer::Limits limits;
  limits.stop_at_first_bad = campaign.stop_at_first_bad;
  limits.fault = campaign.fault;
  limits.after = campaign.after;
  // A fault that is sought is found more than once.
  limits.enough = [&] { return late() || (campaign.stop_at_first_bad && board.bad() > 0); };
  limits.keep = campaign.keep;
  Explorer explorer(scratch / ("worker-" + std::to_string(number)), board->workers[number], limits);
  for (;;) {
    std::uint64_t job = board->next_job++;
    bool scripted = job < campaign.workloads.size();
    if (!scripted && (!campaign.random || board.states() >= campaign.states)) return 0;
    if (limits.enough()) return 0;
    explorer.explore({.workload = scripted ? campaign.workloads[job] : Workload::kRandom,
                      .life = {.seed = mix(campaign.seed, job)},
                      .base = {},
                      .marks = {}});
  }
}

int run_workload(const std::string& name, const std::string& root, const std::string& text) {
  Workload::Life life;
  std::istringstream(text) >> life.seed >> life.number >> life.has_projection >> life.projection_version >>
      life.has_set;
  try {
    Workload(root, life).run(name);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "workload " << name << ": " << error.what() << '\n';
    return 1;
  }
}

int replay(const std::string& directory, const std::string& point, const std::string& cut) {
  try {
    Explorer::replay(directory, point, Cut::parse(cut));
    std::cout << "nothing is wrong with this state; its files are in " << directory << "/as-found\n";
    return 0;
  } catch (const std::exception& error) {
    std::cout << error.what() << "\nthe files are in " << directory << "/as-found\n";
    return 1;
  }
}

}  // namespace

Outcome run_campaign(const Campaign& campaign) {
  const auto begin = SteadyClock::now();
  const std::filesystem::path scratch = make_scratch();
  write_campaign(campaign, scratch / "campaign");
  std::filesystem::create_symlink(AZOTH_RECORDER, recorder_in(scratch));
  Outcome outcome;
  {
    const Board board(scratch / "board");
    std::vector<pid_t> workers;
    const std::size_t count = std::min(campaign.workers, Board::kWorkers);
    for (std::size_t i = 0; i < count; ++i) workers.push_back(start(scratch, i));
    for (std::size_t i = 0; i < count; ++i) {
      const int status = wait_for(workers[i]);
      Board::Worker& worker = board->workers[i];
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      if (worker.bad++ > 0) continue;
      std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : "an error";
      Board::put(worker.failure, sizeof worker.failure, std::string(worker.doing) + ":\n  the checker died of " + how);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Board::Worker& worker = board->workers[i];
      outcome.states += worker.states;
      outcome.later_states += worker.later_states;
      outcome.traces += worker.traces;
      outcome.bad += worker.bad;
      outcome.bad_states += worker.bad_states;
      if (outcome.failure.empty()) outcome.failure = worker.failure;
    }
  }
  std::filesystem::remove_all(scratch);
  outcome.seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
  return outcome;
}

std::optional<int> run_as_helper(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 4 && arguments[0] == "--workload")
    return run_workload(arguments[1], arguments[2], arguments[3]);
  if (arguments.size() == 3 && arguments[0] == "--worker") return work(arguments[1], std::stoull(arguments[2]));
  if (arguments.size() == 4 && arguments[0] == "--replay") return replay(arguments[1], arguments[2], arguments[3]);
  return std::nullopt;
}

}  // namespace azoth::proof
