#include "runner.h"

#include <execinfo.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <random>
#include <sstream>
#include <unordered_set>

#include "support/memory_dir.h"
#include "support/proof.h"

namespace azoth::inject {

namespace {

constexpr unsigned kCheckSeconds = 120;

struct NamedError {
  int error;
  const char* name;
};

// A run that takes longer hangs.
unsigned run_seconds() {
  const char* given = std::getenv("AZOTH_INJECT_SECONDS");
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 60;
}

constexpr NamedError kErrors[] = {{EIO, "EIO"},       {ENOSPC, "ENOSPC"}, {EDQUOT, "EDQUOT"}, {EINTR, "EINTR"},
                                  {EAGAIN, "EAGAIN"}, {EMFILE, "EMFILE"}, {EACCES, "EACCES"}, {EROFS, "EROFS"},
                                  {ENOMEM, "ENOMEM"}, {kKill, "kill"},    {kShort, "short"}};
constexpr const char* kPlants[] = {
    "", "swallow-sync", "retry-sync", "swallow-write", "swallow-rename", "short-write", "hang", "crash"};

Script::Expects expected_of(const Plan& plan) {
  if (plan.at == 0 && plan.error != kKill) return Script::Expects::Nothing;
  return plan.what == What::Memory ? Script::Expects::NoMemory : Script::Expects::Errors;
}

// Where it was when it died.
void print_stack(int signal) {
  azoth_inject_disarm();
  void* frames[40];
  backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
  std::signal(signal, SIG_DFL);
  raise(signal);
}

// In a process of its own, with an alarm.
template <class Body>
pid_t in_child(unsigned seconds, Body body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw_errno(errno, "forking");
  if (child != 0) return child;
  alarm(seconds);
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS}) std::signal(signal, print_stack);
  Exempt own;
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "in the child: %s\n", error.what());
    _exit(1);
  }
  std::fflush(nullptr);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

// "" if it ended as it should.
std::string end_of(pid_t child, bool may_be_killed) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status) == 0 ? "" : "ends with " + std::to_string(WEXITSTATUS(status));
  if (WTERMSIG(status) == SIGKILL && may_be_killed) return "";
  return WTERMSIG(status) == SIGALRM ? "hangs" : "dies of signal " + std::to_string(WTERMSIG(status));
}

void copy_directory(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

std::filesystem::path fast_directory() {
  const char* chosen = std::getenv("TMPDIR");
  return test::make_unique_directory(chosen != nullptr ? std::filesystem::path(chosen) : test::place_in_memory(),
                                     "azoth");
}

}  // namespace

std::string name_of(int error) {
  for (const NamedError& one : kErrors) {
    if (one.error == error) return one.name;
  }
  return std::to_string(error);
}

std::uint32_t kinds_for(int error) {
  constexpr std::uint32_t kSpace = bit(Kind::Create) | bit(Kind::Write) | bit(Kind::Sync) | bit(Kind::Truncate) |
                                   bit(Kind::Allocate) | bit(Kind::Rename) | bit(Kind::MakeDirectory);
  constexpr std::uint32_t kNames =
      bit(Kind::Open) | bit(Kind::Create) | bit(Kind::Rename) | bit(Kind::Unlink) | bit(Kind::MakeDirectory);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return kSpace;
    case EINTR:
      return bit(Kind::Open) | bit(Kind::Create) | bit(Kind::Read) | bit(Kind::Write) | bit(Kind::Sync) |
             bit(Kind::Truncate) | bit(Kind::Allocate) | bit(Kind::Lock);
    case EAGAIN:
      return bit(Kind::Lock);
    case EMFILE:
      return bit(Kind::Open) | bit(Kind::Create) | bit(Kind::List);
    case EACCES:
      return kNames | bit(Kind::Stat) | bit(Kind::List);
    case EROFS:
      return kNames | bit(Kind::Truncate);
    case ENOMEM:
      return bit(Kind::Map) | bit(Kind::Open) | bit(Kind::List);
    case kShort:
      return bit(Kind::Read) | bit(Kind::Write);
    case kKill:
      return kAllKinds;
    default:
      return kAllKinds & ~(bit(Kind::Map) | bit(Kind::Lock));
  }
}

std::string text_of(const Case& one) {
  const Plan& plan = one.plan;
  std::string text = one.workload + (plan.what == What::Memory ? ":memory:" : ":file:") + std::to_string(plan.at) +
                     ":" + name_of(plan.error) + (plan.sticky ? ":sticky" : ":once");
  if (plan.lose) text += ":lose";
  if (plan.plant != Plant::None) text += std::string(":") + kPlants[static_cast<int>(plan.plant)];
  return text;
}

Case case_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; std::getline(stream, word, ':');) words.push_back(word);
  if (words.size() < 5) throw Error(ErrorCode::InvalidArgument, "no case: " + text);
  Case one{.workload = words[0], .plan = {}};
  one.plan.what = words[1] == "memory" ? What::Memory : What::Files;
  one.plan.at = std::stoull(words[2]);
  for (const NamedError& error : kErrors) {
    if (words[3] == error.name) one.plan.error = error.error;
  }
  one.plan.kinds = kinds_for(one.plan.error);
  one.plan.sticky = words[4] == "sticky";
  for (std::size_t i = 5; i < words.size(); ++i) {
    if (words[i] == "lose") one.plan.lose = true;
    for (std::size_t plant = 1; plant < std::size(kPlants); ++plant) {
      if (words[i] == kPlants[plant]) one.plan.plant = static_cast<Plant>(plant);
    }
  }
  if (one.plan.lose) one.plan.kinds = bit(Kind::Sync);
  return one;
}

std::uint64_t Counts::of_kinds(std::uint32_t kinds) const {
  std::uint64_t sum = 0;
  for (std::size_t kind = 0; kind < kKinds; ++kind) sum += (kinds >> kind & 1) != 0 ? files[kind] : 0;
  return sum;
}

std::vector<std::uint64_t> sample(std::uint64_t count, std::size_t most, std::uint64_t seed) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t number = 1; number <= count; ++number) all.push_back(number);
  most = test::share_of(std::min(most, all.size()));
  if (all.size() <= most || test::long_run()) return all;
  std::vector<std::uint64_t> some;
  std::mt19937_64 random(seed);
  std::sample(all.begin(), all.end(), std::back_inserter(some), most, random);
  return some;
}

// --- Runner

struct Runner::Template {
  const Workload* workload;
  std::filesystem::path directory;
  std::vector<Word> words;
};

Runner::Runner() : base_(fast_directory()) { std::filesystem::create_directory(base_ / "run"); }

Runner::~Runner() {
  std::error_code error;
  std::filesystem::remove_all(base_, error);
}

const Runner::Template& Runner::template_of(const Workload& workload) {
  for (const auto& one : templates_) {
    if (one->workload == &workload) return *one;
  }
  auto made = std::make_unique<Template>();
  made->workload = &workload;
  made->directory = base_ / workload.name;
  std::filesystem::create_directory(made->directory);
  told_->start_with({});
  const std::string end = end_of(in_child(kCheckSeconds,
                                          [&] {
                                            Script script({made->directory}, *told_, Script::Expects::Nothing);
                                            workload.prepare(script);
                                          }),
                                 false);
  if (!end.empty()) throw Error(ErrorCode::Io, std::string("preparing ") + workload.name + " " + end);
  made->words = told_->words();
  templates_.push_back(std::move(made));
  return *templates_.back();
}

std::string Runner::run(const Case& one) { return run_from_template(one, 0); }

std::string Runner::run_and_kill(const std::string& workload, std::uint64_t microseconds) {
  Case one{.workload = workload, .plan = {}};
  one.plan.error = kKill;
  return run_from_template(one, microseconds);
}

std::string Runner::run_from_template(const Case& one, std::uint64_t kill_after) {
  const Workload& of = workload(one.workload);
  const Template& from = template_of(of);
  const std::filesystem::path place = base_ / "run";
  copy_directory(from.directory, place);
  told_->start_with(from.words);
  std::memset(static_cast<void*>(&*report_), 0, offsetof(Report, note_stacks));
  Plan plan = one.plan;
  std::strncpy(plan.directory, place.c_str(), sizeof plan.directory - 1);
  const pid_t child = in_child(run_seconds(), [&] {
    Script script({place}, *told_, expected_of(plan));
    azoth_inject_arm(&plan, &*report_);
    of.run(script);
    azoth_inject_disarm();
  });
  if (kill_after != 0) {
    pollfd ended{.fd = static_cast<int>(syscall(SYS_pidfd_open, child, 0)), .events = POLLIN, .revents = 0};
    const timespec wait{.tv_sec = 0, .tv_nsec = static_cast<long>(kill_after * 1000)};
    ppoll(&ended, 1, &wait, nullptr);
    close(ended.fd);
    kill(child, SIGKILL);
  }
  std::string problem = end_of(child, plan.error == kKill);
  last_hits_ = report_->hits.load();
  if (problem.empty()) problem = told_->complaint();
  if (problem.empty()) problem = check(one, of);
  if (problem.empty()) return "";
  return problem + "\n  at " + report_->call + " " + report_->place +
         "\n  replay with AZOTH_INJECT_REPLAY=" + text_of(one);
}

std::string Runner::check(const Case& one, const Workload& of) {
  const bool lost_pages = one.plan.lose && report_->sync_failed.load();
  const Durability least = lost_pages ? Durability::Durable : Durability::Written;
  const std::string end = end_of(in_child(kCheckSeconds,
                                          [&] {
                                            Script script({base_ / "run"}, *told_, Script::Expects::Nothing);
                                            of.check(script, least);
                                          }),
                                 false);
  return end.empty() ? "" : "the check of what is left " + end;
}

std::string Runner::run_under(const std::string& name, const std::function<void()>& limit) {
  const Workload& of = workload(name);
  const Template& from = template_of(of);
  copy_directory(from.directory, base_ / "run");
  told_->start_with(from.words);
  std::string problem = end_of(in_child(run_seconds(),
                                        [&] {
                                          Script script({base_ / "run"}, *told_, Script::Expects::NoMemory);
                                          limit();
                                          of.run(script);
                                        }),
                               false);
  if (problem.empty()) problem = told_->complaint();
  return problem.empty() ? check({.workload = name, .plan = {}}, of) : problem;
}

std::uint64_t Runner::microseconds(const std::string& name) {
  const Workload& of = workload(name);
  const Template& from = template_of(of);
  copy_directory(from.directory, base_ / "run");
  told_->start_with(from.words);
  const auto begin = std::chrono::steady_clock::now();
  const std::string problem = end_of(in_child(run_seconds(),
                                              [&] {
                                                Script script({base_ / "run"}, *told_, Script::Expects::Nothing);
                                                of.run(script);
                                              }),
                                     false);
  if (!problem.empty()) throw Error(ErrorCode::Io, "without a fault: " + problem);
  const auto time = std::chrono::steady_clock::now() - begin;
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

Counts Runner::count(const std::string& workload, What what) {
  Case one{.workload = workload, .plan = {}};
  one.plan.what = what;
  report_->note_stacks = what == What::Memory;
  const std::string problem = run_from_template(one, 0);
  report_->note_stacks = false;
  if (!problem.empty()) throw Error(ErrorCode::Io, "without a fault: " + problem);
  Counts counts;
  for (std::size_t kind = 0; kind < kKinds; ++kind) counts.files[kind] = report_->files[kind].load();
  counts.allocations = report_->allocations.load();
  std::unordered_set<std::uint64_t> stacks;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(counts.allocations, Report::kStacks); ++i) {
    if (report_->stacks[i] == 0) continue;
    counts.all.push_back(i + 1);
    if (stacks.insert(report_->stacks[i]).second) counts.first_of_each_stack.push_back(i + 1);
  }
  return counts;
}

}  // namespace azoth::inject
