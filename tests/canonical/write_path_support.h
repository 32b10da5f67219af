// For tests of the write path: threads that are stopped at fault points, so that what is concurrent happens in a chosen
// order, and a watchdog for what may hang.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "store_support.h"

namespace azoth::test {

// Ends the program if it lives too long: a test of something that may hang has one. It is an alarm and no thread, so
// that a test may fork. Little less than CTest gives it; AZOTH_TEST_WATCHDOG gives other seconds.
class Watchdog {
 public:
  Watchdog() {
    const char* given = std::getenv("AZOTH_TEST_WATCHDOG");
    std::signal(SIGALRM, expire);
    alarm(given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 850);
  }
  ~Watchdog() { alarm(0); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  static void expire(int) {
    constexpr std::string_view kMessage = "the watchdog ends this test: something hangs\n";
    if (write(STDERR_FILENO, kMessage.data(), kMessage.size()) < 0) _exit(3);
    std::abort();
  }
};

// Every test of the write path: watched, and without faults at its end.
class WritePath : public testing::Test {
 protected:
  ~WritePath() override { fault::disarm_all(); }

 private:
  Watchdog watchdog_;
};

// Until something is so that other threads bring about.
template <class Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

// Holds the threads that come to a fault point until release(); then, if it is to fail, it fails for each of them.
// After release() nobody is held any more. By default the first thread that comes is meant and no other.
class Hold {
 public:
  explicit Hold(std::string point, fault::Action action = {}) : point_(std::move(point)), shared_(new Shared) {
    action.run = [shared = shared_] { shared->stop(); };
    fault::arm(point_, std::move(action));
  }
  ~Hold() {
    release();
    fault::disarm(point_);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  void wait_for_arrivals(int count = 1) {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait(lock, [&] { return shared_->arrivals >= count; });
  }

  int arrivals() const {
    std::lock_guard lock(shared_->mutex);
    return shared_->arrivals;
  }

  void release() {
    std::lock_guard lock(shared_->mutex);
    shared_->open = true;
    shared_->changed.notify_all();
  }

 private:
  struct Shared {
    mutable std::mutex mutex;
    std::condition_variable changed;
    int arrivals = 0;
    bool open = false;

    void stop() {
      std::unique_lock lock(mutex);
      ++arrivals;
      changed.notify_all();
      changed.wait(lock, [&] { return open; });
    }
  };

  const std::string point_;
  const std::shared_ptr<Shared> shared_;  // with those who may still be at the point when this ends
};

// On a thread of its own; get() answers what it returned or threw.
template <class Call>
auto in_background(Call call) {
  return std::async(std::launch::async, std::move(call));
}

inline WriteSet set_of(std::string_view key, std::string_view value = "value") {
  WriteSet set;
  set.put(key, value);
  return set;
}

inline WriteSet event_of(std::string_view type = "happened", std::string_view tag = "test:1",
                         std::string_view payload = "{}") {
  WriteSet set;
  set.append({.type = type, .tags = {tag}, .payload = payload});
  return set;
}

inline Ticket submit(Store& store, WriteSet set, Durability level) {
  return store.submit(std::move(set), {}, {.level = level}).value();
}

// What a call throws, with all that it says.
template <class Call>
std::optional<Error> error_of(Call call) {
  try {
    static_cast<void>(call());
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// Whether it throws StoreFailed, and whether that leaves a commit's outcome open.
template <class Call>
testing::AssertionResult fails_with_unknown_outcome(Call call) {
  std::optional<Error> error = error_of(call);
  if (!error) return testing::AssertionFailure() << "nothing was thrown";
  if (error->code() != ErrorCode::StoreFailed || !error->outcome_unknown()) {
    return testing::AssertionFailure() << error_name(error->code()) << ": " << error->what();
  }
  return testing::AssertionSuccess();
}

template <class Call>
testing::AssertionResult is_refused_for_good(Call call) {
  std::optional<Error> error = error_of(call);
  if (!error) return testing::AssertionFailure() << "nothing was thrown";
  if (error->code() != ErrorCode::StoreFailed || error->outcome_unknown()) {
    return testing::AssertionFailure() << error_name(error->code()) << ": " << error->what();
  }
  return testing::AssertionSuccess();
}

// Many times more work: AZOTH_TEST_LONG.
inline bool long_run() { return std::getenv("AZOTH_TEST_LONG") != nullptr; }
inline int rounds(int usual, int when_long) { return long_run() ? when_long : usual; }

}  // namespace azoth::test
