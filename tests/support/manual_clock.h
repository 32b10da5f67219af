// A clock that stands still until a test sets it.
#pragma once

#include <atomic>
#include <chrono>

#include "azoth/core/clock.h"

namespace azoth::test {

class ManualClock final : public Clock {
 public:
  Timestamp now() override { return Timestamp(std::chrono::seconds(seconds_.load())); }
  void set(int seconds) { seconds_ = seconds; }

 private:
  std::atomic<int> seconds_{1000};
};

}  // namespace azoth::test
