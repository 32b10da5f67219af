#include "trial.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
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
#include "support/memory_dir.h"

namespace azoth::proof {

namespace {

constexpr unsigned kMostSeconds = 120;

// What a trial is to do, and what it leaves behind, in memory that all processes share.
struct Order {
  std::uint64_t seed = 0;
  anomaly::Plan plan;
  bool told = false;
  cpu_set_t processors{};
  std::array<char, 256> directory{};
  int status = 0;
};

struct Report {
  bool has_ended = false;
  std::uint64_t hash = 0;
  std::uint64_t steps = 0;
  std::uint64_t switches = 0;
  Sight sight;
  std::array<char, 1 << 16> why{};

  void note_schedule() {
    const Scheduler& scheduler = *Scheduler::get();
    hash = scheduler.hash();
    steps = scheduler.steps();
    switches = scheduler.switches();
  }
};

template <class T>
T* in_shared_memory() {
  void* room = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw_errno(errno, "making room that processes share");
  return new (room) T;
}

Order* order = nullptr;
Report* report = nullptr;
int to_starter = -1;

void write_line(std::string_view line) { std::ignore = ::write(STDERR_FILENO, line.data(), line.size()); }

[[noreturn]] void run() {
  alarm(kMostSeconds);
  sched_setaffinity(0, sizeof order->processors, &order->processors);
  anomaly::plan = order->plan;
  Scheduler::begin(order->seed, order->told ? write_line : nullptr);
  try {
    Lives(order->directory.data(), order->seed, report->sight).run();
  } catch (const std::exception& error) {
    fail(std::string("what should not fail has: ") + error.what());
  }
  report->note_schedule();
  report->has_ended = true;
  _exit(0);
}

// The process that all trials begin as: it does nothing but start them, so that each finds the same memory, whatever
// the tests have done before.
[[noreturn]] void start_trials(int orders) {
  char word = 0;
  while (::read(orders, &word, 1) == 1) {
    const pid_t child = fork();
    if (child == 0) run();
    order->status = -1;
    while (child > 0 && waitpid(child, &order->status, 0) < 0 && errno == EINTR) {
    }
    if (::write(orders, &word, 1) != 1) break;
  }
  _exit(0);
}

std::string death(int status) {
  if (WIFSIGNALED(status)) return std::string("it died of ") + strsignal(WTERMSIG(status));
  return "it ended with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

void fail(const std::string& why) {
  if (Scheduler* scheduler = Scheduler::get()) {
    report->note_schedule();
    if (scheduler->is_told()) write_line("BROKEN: " + why + "\n");
  }
  std::strncpy(report->why.data(), why.c_str(), report->why.size() - 1);
  _exit(1);
}

void prepare_trials() {
  order = in_shared_memory<Order>();
  report = in_shared_memory<Report>();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw_errno(errno, "making a pair of sockets");
  const pid_t starter = fork();
  if (starter < 0) throw_errno(errno, "starting a process");
  if (starter == 0) {
    ::close(ends[0]);
    start_trials(ends[1]);
  }
  ::close(ends[1]);
  to_starter = ends[0];
}

Verdict run_trial(std::uint64_t seed, const anomaly::Plan& plan, bool told) {
  new (report) Report;
  const std::string directory = test::make_unique_directory(test::place_in_memory(), "azoth-trial").string();
  *order = {.seed = seed, .plan = plan, .told = told};
  directory.copy(order->directory.data(), order->directory.size() - 1);
  sched_getaffinity(0, sizeof order->processors, &order->processors);
  char word = 0;
  if (::write(to_starter, &word, 1) != 1 || ::read(to_starter, &word, 1) != 1) {
    throw_errno(errno, "asking for a trial");
  }
  const int status = order->status;
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  Verdict verdict{.good = report->has_ended && status == 0,
                  .why = report->why.data(),
                  .hash = report->hash,
                  .steps = report->steps,
                  .switches = report->switches,
                  .sight = report->sight};
  if (!verdict.good && verdict.why.empty()) verdict.why = death(status);
  return verdict;
}

}  // namespace azoth::proof
