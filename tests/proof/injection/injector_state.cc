#include "injector_state.h"

#include <execinfo.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace azoth::inject {
namespace {

constexpr std::uint64_t kInterruptions = 5;

Plan plan;
Report own_report;  // of a program that nobody looks into
Report* report = &own_report;
std::atomic<What> armed{What::Nothing};
std::atomic<std::uint64_t> counted{0};

__thread int exempt __attribute__((tls_model("initial-exec"))) = 0;

bool is_hit(std::uint64_t number) {
  if (plan.at == 0 || number < plan.at) return false;
  if (!plan.sticky) return number == plan.at;
  return plan.error != EINTR || number < plan.at + kInterruptions;
}

void note_hit(const char* call, const char* place) {
  if (report->hits.fetch_add(1) != 0) return;
  std::strncpy(report->call, call, sizeof report->call - 1);
  std::strncpy(report->place, place, sizeof report->place - 1);
}

void die_if_planned() {
  if (plan.error == kKill) {
    kill(getpid(), SIGKILL);
    pause();
  }
  if (plan.plant == Plant::Crash) std::abort();
  while (plan.plant == Plant::Hang) pause();
}

// The callers tell one allocation from another; which turn of a loop it is does not.
void note_stack(std::uint64_t number) {
  if (!report->note_stacks || number > Report::kStacks) return;
  ++exempt;
  report->stacks[number - 1] = hash_of_stack();
  --exempt;
}

bool is_known_to_be_fatal() {
  ++exempt;
  const bool known = hash_of_stack() == 0;
  --exempt;
  return known;
}

}  // namespace

bool armed_for_files() { return armed.load(std::memory_order_relaxed) == What::Files && exempt == 0; }
bool losing() { return plan.lose; }

bool below_directory(const char* path) {
  const std::size_t size = std::strlen(plan.directory);
  return size != 0 && std::strncmp(path, plan.directory, size) == 0;
}

Verdict on_file_call(Kind kind, const char* call, const char* place) {
  report->files[static_cast<std::size_t>(kind)].fetch_add(1, std::memory_order_relaxed);
  if ((plan.kinds & bit(kind)) == 0 || !is_hit(counted.fetch_add(1) + 1)) return {};
  if (kind == Kind::Sync) report->sync_failed.store(true);
  note_hit(call, place);
  die_if_planned();
  return {.hit = true, .error = plan.error, .plant = plan.plant};
}

bool allocation_fails() {
  if (armed.load(std::memory_order_relaxed) != What::Memory || exempt != 0) return false;
  const std::uint64_t number = counted.fetch_add(1) + 1;
  report->allocations.fetch_add(1, std::memory_order_relaxed);
  note_stack(number);
  if (!is_hit(number) || is_known_to_be_fatal()) return false;
  note_hit("malloc", "");
  die_if_planned();
  return true;
}

namespace {

// AZOTH_INJECT=file:137:5:once:/srv/ledger
__attribute__((constructor)) void arm_from_environment() {
  const char* text = std::getenv("AZOTH_INJECT");
  if (text == nullptr) return;
  char what[16] = {};
  char error[16] = {};
  char how[16] = {};
  unsigned long long at = 0;
  Plan given;
  if (std::sscanf(text, "%15[^:]:%llu:%15[^:]:%15[^:]:%255s", what, &at, error, how, given.directory) < 4) return;
  given.what = std::strcmp(what, "memory") == 0 ? What::Memory : What::Files;
  given.at = at;
  given.sticky = std::strcmp(how, "sticky") == 0;
  given.error = std::atoi(error);
  if (std::strcmp(error, "kill") == 0) given.error = kKill;
  if (std::strcmp(error, "short") == 0) given.error = kShort;
  azoth_inject_arm(&given, &own_report);
}

}  // namespace
}  // namespace azoth::inject

extern "C" {

void azoth_inject_arm(const azoth::inject::Plan* plan, azoth::inject::Report* report) {
  using namespace azoth::inject;
  void* frames[2];
  backtrace(frames, 2);  // loads what it needs now
  azoth::inject::plan = *plan;
  azoth::inject::report = report;
  counted.store(0);
  armed.store(plan->what);
}

void azoth_inject_disarm() { azoth::inject::armed.store(azoth::inject::What::Nothing); }

void azoth_inject_exempt(int more) { azoth::inject::exempt += more; }
}
