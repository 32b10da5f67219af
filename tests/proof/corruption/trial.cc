#include "trial.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iomanip>
#include <new>
#include <sstream>
#include <stdexcept>

namespace azoth::proof {

namespace {

constexpr const char* kNames[kOutcomes] = {"none",  "found",   "late",    "same", "shorter",
                                           "WRONG", "TOUCHED", "CRASHED", "HUNG"};
constexpr unsigned kSeconds = 60;  // for one mutation, on a machine that may be busy with other things
constexpr rlim_t kMemory = rlim_t{4} << 30;
constexpr rlim_t kLargestFile = rlim_t{256} << 20;
constexpr std::size_t kMostBad = 12;  // of each outcome

// What the child tells while it lives, and leaves when it dies.
class Board {
 public:
  struct Line {
    Outcome outcome;
    char kind[31];
  };

  explicit Board(std::uint64_t count) : bytes_(sizeof(std::uint64_t) + count * sizeof(Line)) {
    void* at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    at_ = static_cast<std::uint64_t*>(at);
  }
  ~Board() { munmap(at_, bytes_); }
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  volatile std::uint64_t& under_way() { return *at_; }
  Line& of(std::uint64_t index) { return reinterpret_cast<Line*>(at_ + 1)[index]; }

 private:
  std::size_t bytes_;
  std::uint64_t* at_ = nullptr;
};

void limit(int what, rlim_t most) {
  const rlimit limits{most, most};
  setrlimit(static_cast<__rlimit_resource>(what), &limits);
}

void live_narrowly() {
  limit(RLIMIT_CORE, 0);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)  // which need terabytes of it
  limit(RLIMIT_AS, kMemory);
#endif
  limit(RLIMIT_FSIZE, kLargestFile);
  mallopt(M_MMAP_THRESHOLD, 64 << 20);  // copies of all files come and go, and need not come from the system each time
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);  // what is damaged is logged a thousand times
  if (nothing >= 0) dup2(nothing, 2);
}

bool untouched(const std::filesystem::path& directory, const Files& files) {
  const Files now = read_files(directory);
  for (const auto& [name, bytes] : files) {
    const auto found = now.find(name);
    if (!is_of_readers(name) && (found == now.end() || found->second != bytes)) return false;
  }
  return std::all_of(now.begin(), now.end(),
                     [&](const auto& file) { return is_of_readers(file.first) || files.contains(file.first); });
}

// Those who only read are looked at now and then: to read all files takes longer than to judge them.
Outcome judge(const Trial& trial, const Mutation& mutation, bool now_and_then) {
  make_files(trial.directory, mutation.files, trial.files);
  Outcome outcome = trial.judge(trial.directory);
  const bool looks = trial.judge_writes ? outcome == Outcome::Found : now_and_then;
  if (looks && !untouched(trial.directory, mutation.files)) outcome = Outcome::Touched;
  // What was judged may have written; by a reader only what is of readers is.
  make_files(trial.directory, trial.files, trial.judge_writes ? Files() : mutation.files);
  return outcome;
}

[[noreturn]] void live(const Trial& trial, Board& board, std::uint64_t first, std::uint64_t begin, std::uint64_t end) {
  live_narrowly();
  for (std::uint64_t i = begin; i < end; ++i) {
    board.under_way() = i;
    alarm(kSeconds);
    try {
      const Mutation mutation = trial.make(first + i);
      mutation.kind.copy(board.of(i).kind, sizeof board.of(i).kind - 1);
      board.of(i).outcome = judge(trial, mutation, i % 16 == 0);
    } catch (const std::exception& error) {  // what is no Error of ours is as bad as a crash
      std::fprintf(stdout, "mutation %llu: %s\n", static_cast<unsigned long long>(first + i), error.what());
      std::fflush(stdout);
      _exit(1);
    }
  }
  board.under_way() = end;
  _exit(0);
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::uint64_t Tally::count(Outcome outcome) const {
  std::uint64_t sum = 0;
  for (const auto& [kind, counts] : kinds) sum += counts[static_cast<std::size_t>(outcome)];
  return sum;
}

std::uint64_t Tally::total() const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kOutcomes; ++i) sum += count(static_cast<Outcome>(i));
  return sum;
}

std::string Tally::table() const {
  std::ostringstream text;
  auto row = [&](const std::string& name, auto count) {
    text << std::left << std::setw(18) << name << std::right;
    for (std::size_t i = 1; i < kOutcomes; ++i) text << std::setw(9) << count(i);
    text << '\n';
  };
  row("", [](std::size_t i) { return kNames[i]; });
  for (const auto& [kind, counts] : kinds) row(kind, [&](std::size_t i) { return counts[i]; });
  row("all", [&](std::size_t i) { return count(static_cast<Outcome>(i)); });
  return text.str();
}

Tally Trial::run(std::uint64_t first, std::uint64_t count) const {
  Trial control = *this;
  control.make = [this](std::uint64_t) { return Mutation{"none", "files as they are", files}; };
  Tally tally = control.try_all(0, 1);
  if (tally.count(undamaged) != 1) return {.kinds = {}, .bad = {"what is not damaged came out as:\n" + tally.table()}};
  return try_all(first, count);
}

Tally Trial::try_all(std::uint64_t first, std::uint64_t count) const {
  Board board(count);
  make_files(directory, files);
  for (std::uint64_t begin = 0; begin < count;) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) live(*this, board, first, begin, count);
    const int status = wait_for(child);
    begin = board.under_way();
    if (begin == count) break;
    const bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    board.of(begin++).outcome = hung ? Outcome::Hung : Outcome::Crashed;
    make_files(directory, files);
  }
  Tally tally;
  std::array<std::size_t, kOutcomes> bad{};
  for (std::uint64_t i = 0; i < count; ++i) {
    const Outcome outcome = board.of(i).outcome;
    ++tally.kinds[board.of(i).kind][static_cast<std::size_t>(outcome)];
    const bool good = outcome == Outcome::Found || outcome == Outcome::Late || outcome == Outcome::Same ||
                      outcome == Outcome::Shorter;
    if (good || bad.at(static_cast<std::size_t>(outcome))++ >= kMostBad) continue;
    tally.bad.push_back(std::string(kNames[static_cast<std::size_t>(outcome)]) + " " + std::to_string(first + i) + " " +
                        make(first + i).what);
  }
  return tally;
}

}  // namespace azoth::proof
