// azoth-bench: measures Azoth beside its references. What is compared is in workloads/, with what in systems/.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "args.h"
#include "azoth/core/error.h"
#include "machine.h"
#include "report.h"
#include "scratch.h"
#include "workloads/workload.h"

namespace azoth::bench {

namespace {

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw_errno(errno, "writing to standard output");
  }
}

// On a terminal only, on one line that is overwritten.
void show_progress(const std::string& text) {
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K{}", text);
}

const char* mark(Run run) { return run == Run::Always ? " " : run == Run::InFull ? "+" : "*"; }

void list_workloads() {
  for (const Workload& workload : all_workloads()) {
    print(fmt::format("{} {:<34} {}\n", mark(workload.run), workload.name, workload.what));
  }
}

template <class Lines>
Verdicts report(const Settings& settings, const Lines& lines) {
  show_progress("");
  Verdicts verdict = verdicts(lines);
  print(settings.targets ? verdict.text : settings.json ? json_lines(lines) : table(lines));
  return verdict;
}

Verdicts run(const Workload& workload, const Settings& settings, Scratch& scratch) {
  if (workload.measure) return report(settings, workload.measure(settings, scratch, show_progress));
  Contest contest = workload.contest(settings, scratch);
  if (!settings.references) contest.contestants.erase(contest.contestants.begin() + 1, contest.contestants.end());
  for (Contestant& contestant : contest.contestants) {
    contestant.first_round_only = settings.quick && &contestant != &contest.contestants.front() && !contestant.at_least;
  }
  return report(settings, hold(contest, settings.rounds, show_progress));
}

std::string describe(const Settings& settings) {
  return fmt::format("{} rounds of {:.2f} s, values of {} bytes, {} keys (many: {}), {} events, {} an event{}\n",
                     settings.rounds, settings.seconds, settings.value_size, settings.keys, settings.many_keys,
                     settings.events, settings.tags ? "one tag" : "no tag",
                     settings.quick ? "; --quick, which says less" : "");
}

// Whether all targets are met.
bool run(const Settings& settings) {
  std::vector<Workload> workloads = select_workloads(settings.workloads, settings.quick);
  Scratch scratch(settings.directory);
  if (in_memory(scratch.path())) {
    fmt::print(stderr, "{} is in memory: syncing costs nothing there, and the ratios mean little\n",
               settings.directory.string());
  }
  if (!settings.json) print(describe_machine(scratch.path()) + "\n" + describe(settings));
  const auto begin = std::chrono::steady_clock::now();
  Verdicts all;
  for (const Workload& workload : workloads) all += run(workload, settings, scratch);
  if (settings.json) return all.missed == 0;
  if (!settings.targets) print("\ntargets\n" + all.text);
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  print(fmt::format("\n{} at the end, after {:.0f} s\n{}", describe_machine(scratch.path()), seconds, all.summary()));
  return all.missed == 0;
}

}  // namespace

}  // namespace azoth::bench

int main(int argc, char** argv) {
  using namespace azoth::bench;
  std::signal(SIGPIPE, SIG_IGN);  // an error of the write, after which the stores are removed
  try {
    if (argc > 2 && std::string_view(argv[1]) == "--child") {
      run_child(argv[2], std::vector<std::string>(argv + 3, argv + argc));
      return 0;
    }
    int exit_code = 0;
    std::optional<Settings> settings = parse_args(argc, argv, exit_code);
    if (!settings) return exit_code;
    if (settings->list) {
      list_workloads();
      return 0;
    }
    bool all_met = run(*settings);
    return settings->targets && !all_met ? 1 : 0;
  } catch (const azoth::Error& error) {
    fmt::print(stderr, "azoth-bench: {}\n", error.what());
    return error.code() == azoth::ErrorCode::InvalidArgument ? 2 : 1;  // what was asked for cannot be measured
  } catch (const std::exception& error) {
    fmt::print(stderr, "azoth-bench: {}\n", error.what());
    return 1;
  }
}
