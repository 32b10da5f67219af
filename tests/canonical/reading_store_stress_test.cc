// A store that is open for reading only, beside writers that commit, flush, trim, recycle, fail, are killed and are
// followed by others, again and again: what it shows is consistent and durable and never goes backwards, and its
// subscription misses nothing and repeats nothing.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/patience.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using std::chrono::microseconds;
using State = std::map<std::string, std::string>;

// How a writer's life ends.
enum class End : std::uint32_t {
  KilledEarly,        // while it opens the store, or soon after
  Killed,             // while it commits
  Closed,             // as it should
  Failed,             // a sync fails; then it is killed
  FailedAndReopened,  // a sync fails; then it closes, opens again and is killed while it commits
};
constexpr std::array kEnds{End::KilledEarly, End::Killed, End::Closed, End::Failed, End::FailedAndReopened};

struct Life {
  End end;
  int commits;         // so many at least, before anything of this happens to it
  microseconds delay;  // and then so much later
  std::uint64_t seed;  // of what it writes
};

// What the processes share.
struct Shared {
  std::atomic<CommitSeq> acknowledged{0};  // as Durable
  std::atomic<bool> ripe{false};           // the writer may be killed
  std::atomic<bool> failed{false};         // the writer's store has failed, and it waits until that was looked at
  std::atomic<CommitSeq> failed_at{0};     // what it had acknowledged as durable by then
};

class SharedMemory {
 public:
  SharedMemory() : at_(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (at_ == MAP_FAILED) throw_errno(errno, "sharing memory");
    new (at_) Shared;
  }
  ~SharedMemory() { munmap(at_, sizeof(Shared)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  Shared* operator->() const { return static_cast<Shared*>(at_); }

 private:
  void* at_;
};

// A process of its own, which ends with the one that made it. To be made before that one has a store or threads.
class Process {
 public:
  explicit Process(const std::function<void()>& run) : pid_(fork()) {
    if (pid_ < 0) throw_errno(errno, "forking");
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int code = 0;
    try {
      run();
    } catch (const std::exception& error) {
      std::cerr << "in a process of the test: " << error.what() << std::endl;
      code = 1;
    }
    _exit(code);
  }
  ~Process() { kill(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void kill() {
    if (ended()) return;
    ::kill(pid_, SIGKILL);
    wait(0);
  }
  bool ended() { return pid_ < 0 || wait(WNOHANG); }
  int status() const { return status_; }
  bool was_killed() const { return pid_ < 0 && WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL; }
  bool succeeded() const { return pid_ < 0 && WIFEXITED(status_) && WEXITSTATUS(status_) == 0; }

 private:
  bool wait(int flags) {
    pid_t waited = 0;
    do {
      waited = waitpid(pid_, &status_, flags);
    } while (waited < 0 && errno == EINTR);
    if (waited != 0) pid_ = -1;
    return waited != 0;
  }

  pid_t pid_;
  int status_ = 0;
};

// --- The writers

// One key and the event that says so. No two lives write the same, so that it shows if the commits of one come back as
// another's.
WriteSet change(CommitSeq number, std::mt19937_64& random) {
  std::string key = "key" + std::to_string(random() % 13);
  std::string value = std::to_string(number) + "/" + std::to_string(random()) + "/";
  value.append(random() % 1500, '.');
  WriteSet set;
  set.put(key, value).append({.type = key, .tags = {"all:1"}, .payload = value});
  return set;
}

class Writer {
 public:
  Writer(const std::filesystem::path& directory, const Options& options, const SharedMemory& shared, const Life& life)
      : directory_(directory), options_(options), shared_(shared), life_(life), random_(life.seed) {}

  // Returns if it is not to be killed.
  void live() {
    open();
    if (life_.end == End::Failed || life_.end == End::FailedAndReopened) fail();
    if (life_.end == End::FailedAndReopened) {
      store_.reset();
      open();
    }
    if (life_.end != End::Failed) commit(life_.commits);
    if (life_.end == End::Closed) return store_->close();
    shared_->ripe.store(true);
    while (life_.end == End::Failed) pause();
    while (true) commit(1);
  }

 private:
  void open() {
    store_ = Store::open(directory_, options_);
    last_ = store_->meta().last_commit;
  }

  // Freezes, flushes, segment switches and recycling all the time.
  void commit(int count) {
    for (; count > 0; --count) {
      auto level = static_cast<Durability>(1 + random_() % 3);
      Ticket ticket = test::submit(*store_, change(++last_, random_), level);
      ticket.wait();
      if (level == Durability::Durable) shared_->acknowledged.store(last_);
      if (random_() % 256 == 0) store_->checkpoint();
    }
  }

  void fail() {
    commit(life_.commits);
    {
      fault::Armed fault("journal.sync", {.fail_with = EIO});
      while (!test::error_of([&] { return test::commit(*store_, change(++last_, random_), Durability::Durable); })) {
      }
    }
    shared_->failed_at.store(shared_->acknowledged.load());
    shared_->failed.store(true);
    test::await([&] { return !shared_->failed.load(); });
  }

  const std::filesystem::path& directory_;
  const Options& options_;
  const SharedMemory& shared_;
  const Life& life_;
  std::mt19937_64 random_;
  std::unique_ptr<Store> store_;
  CommitSeq last_ = 0;
};

// --- The reader

// What every event was when it was first seen: it stays so.
class History {
 public:
  void note(const EventView& event) {
    std::size_t hash = std::hash<std::string_view>()(event.body());
    std::lock_guard lock(mutex_);
    if (hashes_.size() < event.id()) hashes_.resize(event.id());
    std::size_t& known = hashes_[event.id() - 1];
    EXPECT_TRUE(known == 0 || known == hash) << "event " << event.id() << " was another before";
    known = hash;
  }
  EventId last() const {
    std::lock_guard lock(mutex_);
    return hashes_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::size_t> hashes_;  // 0: not seen
};

class ReadingStoreStressTest : public test::WritePath {
 protected:
  ReadingStoreStressTest() : seed_(test::test_seed()) { Store::create(directory(), options_); }

  std::filesystem::path directory() const { return parent_.path() / "store"; }

  // In a process of its own, which has one thread and no store and can therefore fork.
  void run_writers(int lives) {
    std::mt19937_64 random(seed_);
    for (int i = 0; i < lives; ++i) {
      Life life{.end = kEnds[static_cast<std::size_t>(i) % kEnds.size()],
                .commits = static_cast<int>(1 + random() % 300),
                .delay = microseconds(random() % 20'000),
                .seed = random()};
      shared_->ripe.store(life.end == End::KilledEarly);
      Process process([&] { Writer(directory(), options_, shared_, life).live(); });
      bool ended = false;
      test::await([&] { return (ended = process.ended()) || shared_->ripe.load(); });
      if (!ended) {
        std::this_thread::sleep_for(life.delay);
        process.kill();
      }
      if (life.end == End::Closed ? process.succeeded() : process.was_killed()) continue;
      throw std::runtime_error("writer " + std::to_string(i) + " ended with status " +
                               std::to_string(process.status()));
    }
  }

  // On a thread of its own, which ends when it is to stop, or when anything is found to be wrong.
  std::thread start(std::function<void()> round) {
    return std::thread([this, round = std::move(round)] {
      try {
        while (!stop_.load() && !HasFailure()) test::patiently(round);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
  }

  void check(const ReadTxn& snapshot) {
    State folded;
    EventId expected = 1;
    for (const EventView& event : snapshot.events()) {
      ASSERT_EQ(event.id(), expected);
      ASSERT_EQ(event.commit_seq(), expected++);  // one event a commit
      history_.note(event);
      folded[std::string(event.type())] = std::string(event.payload());
    }
    ASSERT_EQ(expected - 1, snapshot.last_event());
    ASSERT_EQ(expected - 1, snapshot.commit_seq());
    State state;
    for (const auto& [key, value] : snapshot.scan()) state.emplace(key, value);
    ASSERT_EQ(folded, state);
  }

  // A snapshot is checked when it is new, and once more when the next one is.
  void read(Store& store, std::unique_ptr<ReadTxn>& previous) {
    CommitSeq acknowledged = shared_->acknowledged.load();
    auto snapshot = std::make_unique<ReadTxn>(store.read());
    EXPECT_GE(snapshot->commit_seq(), acknowledged);
    check(*snapshot);
    if (previous) {
      EXPECT_GE(snapshot->commit_seq(), previous->commit_seq());
      check(*previous);
    }
    previous = std::move(snapshot);
  }

  void follow(Subscription& subscription) {
    EventId last = subscription.position();
    auto commit = subscription.next();
    if (!commit) return;  // stopped
    ASSERT_EQ(commit->events().size(), 1u);
    const EventView& event = commit->events()[0];
    ASSERT_EQ(event.id(), last + 1);
    ASSERT_EQ(commit->commit_seq(), last + 1);
    history_.note(event);
    delivered_.store(event.id());
  }

  // While a store has failed and waits, what can be seen stands still, and nothing acknowledged is missing. (What the
  // reader had synced and shown before the failure it goes on showing.)
  void look_at_a_failed_store(Store& store) {
    CommitSeq shown = store.read().commit_seq();
    EXPECT_GE(shown, shared_->failed_at.load());
    EXPECT_EQ(store.read().commit_seq(), shown);
    shared_->failed.store(false);
  }

  const std::uint64_t seed_;
  test::TempDir parent_;
  Options options_ = test::tiny_options();
  SharedMemory shared_;
  History history_;
  std::atomic<EventId> delivered_{0};
  std::atomic<bool> stop_{false};
};

TEST_F(ReadingStoreStressTest, IsRightBesideWritersThatAreKilledAndFail) {
  Process writers([&] { run_writers(test::rounds(15, 400)); });
  auto store = test::patiently([&] { return Store::open_read_only(directory(), options_); });
  std::array<std::unique_ptr<ReadTxn>, 2> previous;
  Subscription subscription = store->subscribe();
  std::vector<std::thread> threads;
  for (auto& snapshot : previous) threads.push_back(start([&] { read(*store, snapshot); }));
  threads.push_back(start([&] { follow(subscription); }));
  auto look = [&] {
    if (shared_->failed.load()) look_at_a_failed_store(*store);
    VerifyReport report = store->verify();
    EXPECT_TRUE(report.ok()) << report.problems[0];
  };
  threads.push_back(start(look));
  test::await([&] { return writers.ended() || HasFailure(); });
  EXPECT_TRUE(writers.succeeded());
  EventId last = HasFailure() ? 0 : test::patiently([&] { return store->read().last_event(); });
  test::await([&] { return delivered_.load() >= last || HasFailure(); });
  stop_.store(true);
  subscription.stop();
  for (auto& thread : threads) thread.join();
  if (HasFailure()) return;
  EXPECT_EQ(delivered_.load(), last);
  EXPECT_EQ(history_.last(), last);
  std::string digest = test::patiently([&] { return store->digest(); });
  for (auto& snapshot : previous) snapshot.reset();
  store.reset();
  EXPECT_EQ(Store::open(directory(), options_)->digest(), digest);
}

}  // namespace
}  // namespace azoth
