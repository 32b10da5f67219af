#include "azoth/core/futex.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace azoth {
namespace {

TEST(Futex, DoesNotSleepWhenTheWordHasChanged) {
  std::atomic<std::uint32_t> word{1};
  EXPECT_TRUE(futex::wait(word, 0, kNoDeadline));
}

TEST(Futex, AnswersFalseOnTheDeadline) {
  std::atomic<std::uint32_t> word{0};
  EXPECT_FALSE(futex::wait(word, 0, deadline_after(std::chrono::milliseconds(1))));
}

TEST(Futex, ADeadlineInThePastIsOver) {
  std::atomic<std::uint32_t> word{0};
  EXPECT_FALSE(futex::wait(word, 0, Deadline{}));
  EXPECT_FALSE(futex::wait(word, 0, Deadline::min()));
}

TEST(Futex, OneCallWakesAll) {
  std::atomic<std::uint32_t> word{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      while (word.load(std::memory_order_acquire) == 0) futex::wait(word, 0, kNoDeadline);
    });
  }
  word.store(1, std::memory_order_release);
  futex::wake_all(word);
  for (std::thread& thread : threads) thread.join();  // comes back, or the test's time limit ends it
  EXPECT_EQ(word, 1u);
}

}  // namespace
}  // namespace azoth
