#include "azoth/core/log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace azoth {
namespace {

class Log : public testing::Test {
 protected:
  ~Log() override { set_log_sink({}); }
};

TEST_F(Log, IsSilentWithoutASink) {
  set_log_sink({});
  EXPECT_NO_THROW(log(LogLevel::Error, "nobody listens"));
}

TEST_F(Log, ReachesTheSinkWithItsLevel) {
  std::vector<std::pair<LogLevel, std::string>> seen;
  set_log_sink([&](LogLevel level, std::string_view message) { seen.emplace_back(level, message); });
  log(LogLevel::Info, "one");
  log(LogLevel::Warning, "two");
  set_log_sink({});
  log(LogLevel::Error, "three");
  const std::vector<std::pair<LogLevel, std::string>> expected = {{LogLevel::Info, "one"}, {LogLevel::Warning, "two"}};
  EXPECT_EQ(seen, expected);
}

TEST_F(Log, SwallowsWhatASinkThrows) {
  int calls = 0;
  set_log_sink([&](LogLevel, std::string_view) {
    ++calls;
    throw std::runtime_error("no room for a line");
  });
  log(LogLevel::Info, "one");
  log(LogLevel::Info, "two");
  EXPECT_EQ(calls, 2);
}

TEST_F(Log, ASinkMayReplaceItself) {
  int old_calls = 0;
  int new_calls = 0;
  set_log_sink([&](LogLevel, std::string_view) {
    ++old_calls;
    set_log_sink([&](LogLevel, std::string_view) { ++new_calls; });
  });
  log(LogLevel::Info, "one");
  log(LogLevel::Info, "two");
  EXPECT_EQ(old_calls, 1);
  EXPECT_EQ(new_calls, 1);
}

TEST_F(Log, TheSinkCanBeExchangedWhileOthersLog) {
  constexpr int kMessages = 2000;
  std::atomic<int> received{0};
  set_log_sink([&](LogLevel, std::string_view) { ++received; });
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([] {
      for (int n = 0; n < kMessages; ++n) log(LogLevel::Info, "message");
    });
  }
  for (int n = 0; n < 200; ++n) set_log_sink([&](LogLevel, std::string_view) { ++received; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(received, 2 * kMessages);
}

}  // namespace
}  // namespace azoth
