// azoth-bench: measures Azoth beside its references. What is compared is in workloads/, with what in systems/.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "args.h"
#include "machine.h"
#include "report.h"
#include "scratch.h"
#include "workloads/workload.h"

namespace azoth::bench {

namespace {

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// On a terminal only, on one line that is overwritten.
void show_progress(const std::string& text) {
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K{}", text);
}

void list_workloads() {
  for (const Workload& workload : all_workloads()) print(fmt::format("{:<28} {}\n", workload.name, workload.what));
}

void run(const Settings& settings) {
  std::vector<Workload> workloads = select_workloads(settings.workloads);
  Scratch scratch(settings.directory);
  if (in_memory(scratch.path())) {
    fmt::print(stderr, "{} is in memory: syncing costs nothing there, and the ratios mean little\n",
               settings.directory.string());
  }
  if (!settings.json) {
    print(fmt::format("{}\n{} rounds of {:.2f} s, values of {} bytes, {} keys (many: {}), {} events, {} an event{}\n",
                      describe_machine(scratch.path()), settings.rounds, settings.seconds, settings.value_size,
                      settings.keys, settings.many_keys, settings.events, settings.tags ? "one tag" : "no tag",
                      settings.quick ? "; --quick, which says less" : ""));
  }
  std::string targets;
  for (const Workload& workload : workloads) {
    if (workload.measure) {
      std::vector<Figure> figures = workload.measure(settings, scratch, show_progress);
      show_progress("");
      print(settings.json ? json_lines(figures) : table(figures));
      targets += verdicts(figures);
      continue;
    }
    Contest contest = workload.contest(settings, scratch);
    if (!settings.references) contest.contestants.erase(contest.contestants.begin() + 1, contest.contestants.end());
    std::vector<Row> rows = hold(contest, settings.rounds, show_progress);
    show_progress("");
    print(settings.json ? json_lines(rows) : table(rows));
    targets += verdicts(rows);
  }
  if (!settings.json) print("\ntargets\n" + targets + "\n" + describe_machine(scratch.path()) + " at the end\n");
}

}  // namespace

}  // namespace azoth::bench

int main(int argc, char** argv) {
  using namespace azoth::bench;
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
    } else {
      run(*settings);
    }
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "azoth-bench: {}\n", error.what());
    return 1;
  }
}
