#include "azoth/lockmgr/transaction_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/error.h"
#include "support/seed.h"

namespace azoth {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

const Deadline kPast{};  // an attempt that does not wait

// Until something is so that another thread brings about. No limit: what never comes is the test's time-out.
template <typename Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

bool free_for_reading(TransactionLock& lock) {
  if (!lock.lock_shared_until(kPast)) return false;
  lock.unlock_shared();
  return true;
}

bool free_for_writing(TransactionLock& lock) {
  if (!lock.lock_until(kPast)) return false;
  lock.unlock();
  return true;
}

void lock_shared(TransactionLock& lock) { ASSERT_TRUE(lock.lock_shared_until(kNoDeadline)); }
void lock_exclusively(TransactionLock& lock) { ASSERT_TRUE(lock.lock_until(kNoDeadline)); }

template <typename Call>
bool is_closed(Call call) {
  try {
    static_cast<void>(call());
  } catch (const Error& error) {
    return error.code() == ErrorCode::Closed;
  }
  return false;
}

// What happened, in its order.
class Journal {
 public:
  void note(const std::string& what) {
    std::lock_guard guard(mutex_);
    lines_.push_back(what);
  }
  std::vector<std::string> lines() const {
    std::lock_guard guard(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// A thread that takes the lock, notes its name and releases the lock.
std::jthread reader(TransactionLock& lock, Journal& journal, const std::string& name) {
  const std::uint32_t before = lock.waiting_readers();
  std::jthread thread([&lock, &journal, name] {
    lock_shared(lock);
    journal.note(name);
    lock.unlock_shared();
  });
  await([&] { return lock.waiting_readers() > before; });
  return thread;
}

std::jthread writer(
    TransactionLock& lock, Journal& journal, const std::string& name, const std::function<void()>& while_in = [] {}) {
  const std::uint32_t before = lock.waiting_writers();
  std::jthread thread([&lock, &journal, name, while_in] {
    lock_exclusively(lock);
    journal.note(name);
    while_in();
    lock.unlock();
  });
  await([&] { return lock.waiting_writers() > before; });
  return thread;
}

TEST(TransactionLock, ReadersShareIt) {
  TransactionLock lock;
  lock_shared(lock);
  EXPECT_TRUE(free_for_reading(lock));
  EXPECT_FALSE(free_for_writing(lock));
  lock.unlock_shared();
  EXPECT_TRUE(free_for_writing(lock));
}

TEST(TransactionLock, AWriterHasItAlone) {
  TransactionLock lock;
  lock_exclusively(lock);
  EXPECT_FALSE(free_for_reading(lock));
  EXPECT_FALSE(free_for_writing(lock));
  lock.unlock();
  EXPECT_TRUE(free_for_reading(lock));
  EXPECT_TRUE(free_for_writing(lock));
}

TEST(TransactionLock, MayBeReleasedByAnotherThread) {
  TransactionLock lock;
  lock_exclusively(lock);
  std::thread([&] { lock.unlock(); }).join();
  lock_shared(lock);
  std::thread([&] { lock.unlock_shared(); }).join();
  EXPECT_TRUE(free_for_writing(lock));
}

TEST(TransactionLock, TheLastReaderLetsTheWriterIn) {
  TransactionLock lock;
  Journal journal;
  lock_shared(lock);
  lock_shared(lock);
  std::jthread waiting = writer(lock, journal, "writer");
  lock.unlock_shared();
  EXPECT_TRUE(journal.lines().empty());
  lock.unlock_shared();
  waiting.join();
  EXPECT_EQ(journal.lines(), std::vector<std::string>{"writer"});
}

TEST(TransactionLock, AWaitingWriterStopsNewReaders) {
  TransactionLock lock;
  Journal journal;
  lock_shared(lock);
  std::jthread waiting = writer(lock, journal, "writer");
  EXPECT_FALSE(free_for_reading(lock));
  std::jthread late = reader(lock, journal, "reader");
  lock.unlock_shared();
  waiting.join();
  late.join();
  EXPECT_EQ(journal.lines(), (std::vector<std::string>{"writer", "reader"}));
}

TEST(TransactionLock, ReadersThatWaitedForAWriterGetInBeforeTheNext) {
  TransactionLock lock;
  Journal journal;
  lock_exclusively(lock);
  std::jthread second = writer(lock, journal, "writer");  // was there before the readers
  std::jthread one = reader(lock, journal, "reader");
  std::jthread other = reader(lock, journal, "reader");
  lock.unlock();
  for (std::jthread* thread : {&one, &other, &second}) thread->join();
  EXPECT_EQ(journal.lines(), (std::vector<std::string>{"reader", "reader", "writer"}));
}

TEST(TransactionLock, AReaderWaitsForOneWriterAtMost) {
  TransactionLock lock;
  Journal journal;
  lock_exclusively(lock);
  std::jthread reader_thread;
  // The reader arrives while the second writer is in; the third must not overtake it.
  std::jthread second = writer(lock, journal, "second", [&] { reader_thread = reader(lock, journal, "reader"); });
  std::jthread third = writer(lock, journal, "third");
  lock.unlock();
  second.join();
  third.join();
  reader_thread.join();
  EXPECT_EQ(journal.lines(), (std::vector<std::string>{"second", "reader", "third"}));
}

TEST(TransactionLock, AReaderThatArrivesAfterTheRoundWaitsForTheNextWriter) {
  TransactionLock lock;
  Journal journal;
  lock_exclusively(lock);
  std::atomic<bool> in{false};
  std::atomic<bool> leave{false};
  std::jthread first([&] {
    lock_shared(lock);
    in = true;
    await([&] { return leave.load(); });
    journal.note("first reader");
    lock.unlock_shared();
  });
  await([&] { return lock.waiting_readers() == 1; });
  std::jthread next = writer(lock, journal, "writer");
  lock.unlock();
  await([&] { return in.load(); });
  std::jthread late = reader(lock, journal, "late reader");  // readers are in, and yet it waits
  leave = true;
  for (std::jthread* thread : {&first, &next, &late}) thread->join();
  EXPECT_EQ(journal.lines(), (std::vector<std::string>{"first reader", "writer", "late reader"}));
}

TEST(TransactionLock, WritersGetInInTheOrderOfTheirArrival) {
  TransactionLock lock;
  Journal journal;
  lock_exclusively(lock);
  std::vector<std::jthread> threads;
  std::vector<std::string> expected;
  for (int i = 0; i < 5; ++i) {
    expected.push_back("writer " + std::to_string(i));
    threads.push_back(writer(lock, journal, expected.back()));
  }
  lock.unlock();
  threads.clear();
  EXPECT_EQ(journal.lines(), expected);
}

TEST(TransactionLock, AWriterThatComesAgainDoesNotOvertakeTheWaiting) {
  TransactionLock lock;
  Journal journal;
  lock_exclusively(lock);
  std::jthread other = writer(lock, journal, "other");
  lock.unlock();
  lock_exclusively(lock);
  journal.note("again");
  lock.unlock();
  other.join();
  EXPECT_EQ(journal.lines(), (std::vector<std::string>{"other", "again"}));
}

TEST(TransactionLock, AReadersDeadlinePasses) {
  TransactionLock lock;
  lock_exclusively(lock);
  EXPECT_FALSE(lock.lock_shared_until(deadline_after(milliseconds(2))));
  EXPECT_EQ(lock.waiting_readers(), 0u);
  lock.unlock();
  EXPECT_TRUE(free_for_writing(lock));
}

TEST(TransactionLock, AWritersDeadlinePasses) {
  TransactionLock lock;
  lock_shared(lock);
  EXPECT_FALSE(lock.lock_until(deadline_after(milliseconds(2))));
  EXPECT_EQ(lock.waiting_writers(), 0u);
  EXPECT_TRUE(free_for_reading(lock)) << "a writer that gave up must not bar readers";
  lock.unlock_shared();
  EXPECT_TRUE(free_for_writing(lock));
}

TEST(TransactionLock, ReadersThatWaitedForAWriterThatGivesUpGetIn) {
  TransactionLock lock;
  Journal journal;
  lock_shared(lock);
  // Gives up as soon as the reader waits: its deadline is far away until then, so it waits in slices.
  std::atomic<bool> give_up{false};
  std::jthread waiting([&] {
    while (!give_up) EXPECT_FALSE(lock.lock_until(deadline_after(milliseconds(5))));
  });
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      lock_shared(lock);
      journal.note("reader");
      lock.unlock_shared();
    });
  }
  readers.clear();  // they come back although the first reader never leaves and the writer always comes again
  give_up = true;
  waiting.join();
  EXPECT_EQ(journal.lines().size(), 3u);
  lock.unlock_shared();
}

// Of three writers that wait, one gives up.
void expect_others_keep_their_places(std::size_t which) {
  TransactionLock lock;
  Journal journal;
  lock_exclusively(lock);
  std::vector<std::jthread> threads;
  std::atomic<std::uint32_t> to_wait{0};  // less the one that gave up, once it has
  std::atomic<bool> gave_up{false};
  for (std::size_t i = 0; i < 3; ++i) {
    ++to_wait;
    threads.emplace_back([&, i] {
      if (i == which) {
        EXPECT_FALSE(lock.lock_until(deadline_after(milliseconds(20))));
        --to_wait;
        gave_up = true;
        return;
      }
      lock_exclusively(lock);
      journal.note(std::to_string(i));
      lock.unlock();
    });
    await([&] { return lock.waiting_writers() == to_wait; });
  }
  std::jthread last = reader(lock, journal, "reader");
  await([&] { return gave_up.load(); });
  EXPECT_EQ(lock.waiting_writers(), 2u);
  EXPECT_FALSE(free_for_reading(lock));
  lock.unlock();
  threads.clear();
  last.join();
  std::vector<std::string> expected = {"reader", "0", "1", "2"};
  expected.erase(expected.begin() + 1 + static_cast<std::ptrdiff_t>(which));
  EXPECT_EQ(journal.lines(), expected);
}

TEST(TransactionLock, AWriterThatGivesUpLeavesTheOthersTheirPlaces) {
  for (std::size_t which : {0u, 1u, 2u}) expect_others_keep_their_places(which);
}

TEST(TransactionLock, AWriterThatGivesUpWhileAnotherIsInLeavesReadersWaitingForThatOne) {
  TransactionLock lock;
  Journal journal;
  lock_exclusively(lock);
  std::jthread waiting = reader(lock, journal, "reader");
  EXPECT_FALSE(lock.lock_until(deadline_after(milliseconds(2))));
  EXPECT_TRUE(journal.lines().empty());
  EXPECT_EQ(lock.waiting_readers(), 1u);
  lock.unlock();
  waiting.join();
  EXPECT_TRUE(free_for_writing(lock));
}

TEST(TransactionLock, ClosedItRefusesEveryLaterCaller) {
  TransactionLock lock;
  lock.close();
  EXPECT_TRUE(is_closed([&] { return lock.lock_shared_until(kNoDeadline); }));
  EXPECT_TRUE(is_closed([&] { return lock.lock_shared_until(kPast); }));
  EXPECT_TRUE(is_closed([&] { return lock.lock_until(kNoDeadline); }));
  EXPECT_TRUE(is_closed([&] { return lock.lock_until(kPast); }));
  EXPECT_NO_THROW(lock.close());
}

TEST(TransactionLock, ClosingWakesAllWhoWaitForAWriter) {
  TransactionLock lock;
  lock_exclusively(lock);
  std::atomic<int> closed{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] { closed += is_closed([&] { return lock.lock_shared_until(kNoDeadline); }) ? 1 : 0; });
    threads.emplace_back([&] { closed += is_closed([&] { return lock.lock_until(kNoDeadline); }) ? 1 : 0; });
  }
  await([&] { return lock.waiting_readers() == 3 && lock.waiting_writers() == 3; });
  lock.close();
  threads.clear();
  EXPECT_EQ(closed, 6);
  lock.unlock();  // what is held is released as ever
}

TEST(TransactionLock, ClosingWakesAllWhoWaitForReaders) {
  TransactionLock lock;
  lock_shared(lock);
  lock_shared(lock);
  std::atomic<int> closed{0};
  std::vector<std::jthread> threads;
  threads.emplace_back([&] { closed += is_closed([&] { return lock.lock_until(kNoDeadline); }) ? 1 : 0; });
  await([&] { return lock.waiting_writers() == 1; });
  threads.emplace_back([&] { closed += is_closed([&] { return lock.lock_shared_until(kNoDeadline); }) ? 1 : 0; });
  await([&] { return lock.waiting_readers() == 1; });
  lock.unlock_shared();
  lock.close();
  threads.clear();
  EXPECT_EQ(closed, 2);
  lock.unlock_shared();
  EXPECT_TRUE(is_closed([&] { return lock.lock_until(kPast); }));
}

// The data that the lock protects, not atomic: the thread sanitizer sees what the lock lets slip.
struct Protected {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::atomic<int> readers{0};
  std::atomic<int> writers{0};

  void read() {
    ++readers;
    EXPECT_EQ(writers, 0);
    EXPECT_EQ(a, b);
    --readers;
  }
  void write() {
    EXPECT_EQ(++writers, 1);
    EXPECT_EQ(readers, 0);
    ++a;
    ++b;
    --writers;
  }
};

TEST(TransactionLock, ExcludesUnderStressAndLosesNoWakeUp) {
  constexpr int kRounds = 5'000;
  const std::uint64_t seed = test::test_seed();
  TransactionLock lock;
  Protected data;
  std::atomic<std::uint64_t> written{0};
  std::vector<std::jthread> threads;
  for (std::uint64_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + t);
      for (int i = 0; i < kRounds; ++i) {
        if (random() % 4 == 0) {
          lock_exclusively(lock);
          data.write();
          ++written;
          lock.unlock();
        } else {
          lock_shared(lock);
          data.read();
          lock.unlock_shared();
        }
      }
    });
  }
  threads.clear();  // a lost wake-up would leave a thread waiting for ever
  EXPECT_EQ(data.a, written);
  EXPECT_TRUE(free_for_writing(lock));
}

TEST(TransactionLock, ExcludesUnderStressWithDeadlines) {
  constexpr int kRounds = 3'000;
  const std::uint64_t seed = test::test_seed();
  TransactionLock lock;
  Protected data;
  std::atomic<std::uint64_t> written{0};
  std::vector<std::jthread> threads;
  for (std::uint64_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + t);
      for (int i = 0; i < kRounds; ++i) {
        const Deadline deadline = random() % 8 == 0 ? kNoDeadline : deadline_after(microseconds(random() % 60));
        if (random() % 2 == 0) {
          if (!lock.lock_until(deadline)) continue;
          data.write();
          ++written;
          lock.unlock();
        } else {
          if (!lock.lock_shared_until(deadline)) continue;
          data.read();
          lock.unlock_shared();
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(data.a, written);
  EXPECT_EQ(lock.waiting_readers(), 0u);
  EXPECT_EQ(lock.waiting_writers(), 0u);
  EXPECT_TRUE(free_for_writing(lock));
  EXPECT_TRUE(free_for_reading(lock));
}

TEST(TransactionLock, ClosingUnderStressEndsEveryThread) {
  for (int round = 0; round < 50; ++round) {
    TransactionLock lock;
    Protected data;
    std::atomic<int> closed{0};
    std::atomic<int> entered{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        const auto loop = [&]() -> bool {
          for (;;) {
            if (t % 2 == 0) {
              lock_shared(lock);
              data.read();
              lock.unlock_shared();
            } else {
              lock_exclusively(lock);
              data.write();
              lock.unlock();
            }
            ++entered;
          }
        };
        closed += is_closed(loop) ? 1 : 0;
      });
    }
    await([&] { return entered > 100; });
    lock.close();
    threads.clear();
    EXPECT_EQ(closed, 6);
  }
}

}  // namespace
}  // namespace azoth
