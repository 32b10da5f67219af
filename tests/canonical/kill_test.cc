// kill -9 in a loop: a child commits from several threads and says what was acknowledged; the parent kills it at some
// moment and holds what is left against the invariants (support/invariants.h).
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/invariants.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

constexpr int kThreads = 4;
constexpr Timestamp kNever{std::chrono::microseconds(1)};

// Shared with the child: of each of its threads the last step that was acknowledged as safe, and its commit.
struct Acknowledged {
  struct Word {
    int step;
    std::uint32_t commit;
  };
  std::array<std::atomic<Word>, kThreads> last;

  int step(std::size_t thread) const { return last[thread].load().step; }
};

int kills() {
  const char* given = std::getenv("AZOTH_TEST_KILLS");
  return given != nullptr ? std::atoi(given) : rounds(100, 2000);
}

int step_number(std::size_t thread, int step) { return step * kThreads + static_cast<int>(thread); }

// Each thread writes its own keys, in steps from 1 on.
Step make_step(int number) {
  const int step = number / kThreads;
  const std::string owner = std::to_string(number % kThreads);
  const std::size_t size = step % 23 == 0 ? 40'000 : static_cast<std::size_t>(step * 31 % 400);  // some are bulk
  const std::string n = std::to_string(number);
  Step made;
  made.puts.emplace_back("t" + owner + "/" + std::to_string(step % 13), n + std::string(size, 'v'));
  for (const char* type : {"put", "step"}) {
    made.events.push_back({.type = type, .tags = {"thread:" + owner}, .payload = n, .metadata = "", .time = kNever});
  }
  return made;
}

[[noreturn]] void run_child(const std::filesystem::path& directory, const Options& options,
                            Acknowledged& acknowledged) {
  try {
    std::unique_ptr<Store> store = Store::open(directory, options);
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int step = acknowledged.step(thread) + 1;; ++step) {
          auto level = static_cast<Durability>(1 + (static_cast<int>(thread) + step) % 3);
          Ticket ticket = submit(*store, make_step(step_number(thread, step)).set(), level);
          if (level == Durability::Applied) continue;  // promises nothing
          ticket.wait(level);
          acknowledged.last[thread] = {step, static_cast<std::uint32_t>(ticket.info().commit_seq)};
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  } catch (...) {
    _exit(3);
  }
  _exit(4);
}

class KillTest : public WritePath {
 protected:
  KillTest() {
    void* shared = mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    acknowledged_ = new (shared) Acknowledged{};
    options_ = tiny_options();
    options_.delta_bytes = std::size_t{128} << 10;
    options_.sync_interval = std::chrono::milliseconds{5};
    options_.delta_age = std::chrono::milliseconds{50};
    Store::create(directory(), options_);
  }
  ~KillTest() override {
    munmap(acknowledged_, sizeof(Acknowledged));
    if (HasFailure()) keep();
  }

  // What went wrong once in thousands of kills is not to be had again for the asking.
  void keep() const {
    std::error_code failed;
    const char* place = std::getenv("AZOTH_PROOF_KEEP");
    const std::filesystem::path kept = std::filesystem::path(place != nullptr ? place : parent_.path().parent_path()) /
                                       ("azoth-kills-" + std::to_string(getpid()));
    std::filesystem::copy(directory(), kept, std::filesystem::copy_options::recursive, failed);
    std::cout << "the store is kept in " << kept << std::endl;
  }

  std::filesystem::path directory() const { return parent_.path() / "store"; }

  int steps() const {
    int steps = 0;
    for (std::size_t thread = 0; thread < kThreads; ++thread) steps += acknowledged_->step(thread);
    return steps;
  }

  // Some time after it was started, while it may still be opening the store; or after its first acknowledgement.
  void run_and_kill(std::chrono::microseconds life, bool after_progress) {
    int before = steps();
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) run_child(directory(), options_, *acknowledged_);
    if (after_progress) await([&] { return steps() > before; });
    std::this_thread::sleep_for(life);
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with status " << status;
  }

  void check() {
    Promises promises;
    promises.steps = make_step;
    promises.step_before = [](int number) { return number < 2 * kThreads ? 0 : number - kThreads; };
    promises.may_have_dead_damage = true;  // behind bulk transactions
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      const Acknowledged::Word last = acknowledged_->last[thread];
      if (last.step == 0) continue;
      promises.acknowledged[last.commit] = step_number(thread, last.step);
      promises.durable = std::max<CommitSeq>(promises.durable, last.commit);
    }
    const Violations found = test::check({.store = directory(), .options = options_}, promises);
    ASSERT_TRUE(found.empty()) << found.text();
    go_on_behind_what_is_there();
  }

  // The next child's threads.
  void go_on_behind_what_is_there() {
    const std::unique_ptr<Store> store = Store::open_read_only(directory(), options_);
    const ReadTxn snapshot = store->read();
    for (const EventView& event : snapshot.events({.types = {"step"}})) {
      const int number = std::stoi(std::string(event.payload()));
      const auto thread = static_cast<std::size_t>(number % kThreads);
      acknowledged_->last[thread] = {number / kThreads, static_cast<std::uint32_t>(event.commit_seq())};
    }
  }

  TempDir parent_;
  Options options_;
  Acknowledged* acknowledged_ = nullptr;
};

TEST_F(KillTest, NothingAcknowledgedIsLostWhenTheProcessIsKilled) {
  std::mt19937_64 random(test_seed());
  for (int i = kills(); i > 0 && !HasFatalFailure(); --i) {
    run_and_kill(std::chrono::microseconds(random() % 60'000), i % 2 == 0);
    check();
  }
}

// The process dies at a fault point, in the middle of what opening and closing do.
TEST_F(KillTest, DyingWhileOpeningOrClosingLosesNothing) {
  for (const char* point : {"flush.apply", "lmdb.commit", "flush.committed", "journal.start_segment", "file.rename",
                            "file.sync_directory", "lmdb.reserve", "bulk.apply", "bulk.committed"}) {
    int kills = 0;
    for (int skip = 0; skip < 3 && !HasFatalFailure(); ++skip) {
      run_and_kill(std::chrono::milliseconds(5), true);  // leaves something to recover
      go_on_behind_what_is_there();
      pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        fault::arm(point, {.kill = true, .skip = skip});
        try {
          std::unique_ptr<Store> store = Store::open(directory(), options_);
          for (int step = acknowledged_->step(0) + 1, i = 0; i < 100; ++i, ++step) {
            submit(*store, make_step(step_number(0, step)).set(), Durability::Applied);
          }
        } catch (const Error&) {
        }
        _exit(0);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      kills += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 1 : 0;
      SCOPED_TRACE(point);
      check();
    }
    EXPECT_GT(kills, 0) << point << " was not reached";
  }
}

}  // namespace
}  // namespace azoth::test
