#include "trial.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

#include "azoth/core/error.h"
#include "scheduler.h"

namespace azoth::proof {

namespace {

constexpr unsigned kMostSeconds = 120;

// What the process leaves behind, in memory that it shares.
struct Report {
  bool has_ended = false;
  std::uint64_t hash = 0;
  std::uint64_t steps = 0;
  std::uint64_t switches = 0;
  Sight sight;
  std::array<char, 1 << 16> why{};

  static Report& shared() {
    static auto* const report = [] {
      void* room = mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      if (room == MAP_FAILED) throw_errno(errno, "making room for a report");
      return new (room) Report;
    }();
    return *report;
  }

  void note_schedule() {
    const Scheduler& scheduler = *Scheduler::get();
    hash = scheduler.hash();
    steps = scheduler.steps();
    switches = scheduler.switches();
  }
};

void write_line(std::string_view line) { std::ignore = ::write(STDERR_FILENO, line.data(), line.size()); }

[[noreturn]] void run(const std::string& directory, std::uint64_t seed, bool told) {
  alarm(kMostSeconds);
  Scheduler::begin(seed, told ? write_line : nullptr);
  Report& report = Report::shared();
  try {
    Lives(directory, seed, report.sight).run();
  } catch (const std::exception& error) {
    fail(std::string("what should not fail has: ") + error.what());
  }
  report.note_schedule();
  report.has_ended = true;
  _exit(0);
}

// In memory where the system has room for files there.
std::string make_directory() {
  std::string name = (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path().string());
  name += "/azoth-trial-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw_errno(errno, "making " + name);
  return name;
}

std::string death(int status) {
  if (WIFSIGNALED(status)) return std::string("it died of ") + strsignal(WTERMSIG(status));
  return "it ended with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

void fail(const std::string& why) {
  Report& report = Report::shared();
  if (Scheduler* scheduler = Scheduler::get()) {
    report.note_schedule();
    if (scheduler->is_told()) write_line("BROKEN: " + why + "\n");
  }
  std::strncpy(report.why.data(), why.c_str(), report.why.size() - 1);
  _exit(1);
}

Verdict run_trial(std::uint64_t seed, const anomaly::Plan& plan, bool told) {
  Report& report = Report::shared();
  new (&report) Report;
  const std::string directory = make_directory();
  anomaly::plan = plan;
  const pid_t child = fork();
  if (child < 0) throw_errno(errno, "starting a process");
  if (child == 0) run(directory, seed, told);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  Verdict verdict{.good = report.has_ended && status == 0,
                  .why = report.why.data(),
                  .hash = report.hash,
                  .steps = report.steps,
                  .switches = report.switches,
                  .sight = report.sight};
  if (!verdict.good && verdict.why.empty()) verdict.why = death(status);
  return verdict;
}

}  // namespace azoth::proof
