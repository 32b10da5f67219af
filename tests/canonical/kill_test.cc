// kill -9 in a loop: a child commits from several threads and says what was acknowledged; the parent kills it at some
// moment, opens the store and checks that nothing acknowledged at Written or above is missing, that nothing is torn, that
// ids are gapless, and that the state is the fold of the log.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/seed.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

constexpr int kThreads = 4;

// Shared with the child: for each of its threads, the last step that was acknowledged as safe.
struct Acknowledged {
  std::array<std::atomic<int>, kThreads> step;
};

int kills() {
  const char* given = std::getenv("AZOTH_TEST_KILLS");
  return given != nullptr ? std::atoi(given) : rounds(100, 2000);
}

// Each thread writes its own keys in steps; the event carries what was put, so that the log folds to the state.
WriteSet step_of(int thread, int step) {
  std::string key = "t" + std::to_string(thread) + "/" + std::to_string(step % 13);
  std::size_t size = step % 23 == 0 ? 40'000 : static_cast<std::size_t>(step * 31 % 400);  // some are bulk transactions
  std::string value = std::to_string(step) + std::string(size, 'v');
  std::string owner = "thread:" + std::to_string(thread);
  std::string payload = key + "=" + value;
  WriteSet set;
  set.put(key, value);
  set.append({.type = "put", .tags = {owner}, .payload = payload});
  set.append({.type = "step", .tags = {owner}, .payload = std::to_string(step)});
  return set;
}

[[noreturn]] void run_child(const std::filesystem::path& directory, const Options& options, Acknowledged& acknowledged) {
  try {
    std::unique_ptr<Store> store = Store::open(directory, options);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int step = acknowledged.step[static_cast<std::size_t>(thread)] + 1;; ++step) {
          auto level = static_cast<Durability>(1 + (thread + step) % 3);
          Ticket ticket = submit(*store, step_of(thread, step), level);
          if (level == Durability::Applied) continue;  // promises nothing
          ticket.wait(level);
          acknowledged.step[static_cast<std::size_t>(thread)] = step;
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
  ~KillTest() override { munmap(acknowledged_, sizeof(Acknowledged)); }

  std::filesystem::path directory() const { return parent_.path() / "store"; }

  int steps() const {
    int steps = 0;
    for (const auto& step : acknowledged_->step) steps += step;
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
    std::unique_ptr<Store> store = Store::open(directory(), options_);
    ReadTxn snapshot = store->read();
    std::map<std::string, std::string> folded;
    std::array<int, kThreads> last{};
    EventId expected = 1;
    CommitSeq commit_of_put = 0;
    for (const EventView& event : snapshot.events()) {
      ASSERT_EQ(event.id(), expected++);
      int thread = (*event.tags().begin()).back() - '0';
      std::string payload(event.payload());
      if (event.type() == "put") {
        std::size_t at = payload.find('=');
        folded[payload.substr(0, at)] = payload.substr(at + 1);
        commit_of_put = event.commit_seq();
      } else {
        ASSERT_EQ(event.commit_seq(), commit_of_put) << "a transaction is torn at event " << event.id();
        int& step = last[static_cast<std::size_t>(thread)];
        ASSERT_GT(std::stoi(payload), step) << "thread " << thread << " is out of order";
        step = std::stoi(payload);
      }
    }
    std::map<std::string, std::string> state;
    for (auto [key, value] : snapshot.scan()) state.emplace(key, value);
    ASSERT_EQ(state, folded);
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      ASSERT_GE(last[thread], acknowledged_->step[thread]) << "an acknowledged step of thread " << thread << " is lost";
      acknowledged_->step[thread] = last[thread];
    }
    VerifyReport report = store->verify();
    ASSERT_TRUE(report.ok()) << report.problems.front();
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
    for (int skip = 0; skip < 3 && !HasFatalFailure(); ++skip) {
      run_and_kill(std::chrono::milliseconds(5), true);  // leaves something to recover
      pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        fault::arm(point, {.kill = true, .skip = skip});
        try {
          std::unique_ptr<Store> store = Store::open(directory(), options_);
          for (int i = 0; i < 50; ++i) submit(*store, event_of("other", "thread:0", "x"), Durability::Applied);
          std::string large(40'000, 'x');
          for (int i = 0; i < 4; ++i) submit(*store, event_of("other", "thread:0", large), Durability::Applied);
        } catch (const Error&) {
        }
        _exit(0);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      std::unique_ptr<Store> store = Store::open(directory(), options_);
      VerifyReport report = store->verify();
      ASSERT_TRUE(report.ok()) << point << ": " << report.problems.front();
    }
  }
}

}  // namespace
}  // namespace azoth::test
