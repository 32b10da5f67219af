// Several tasks on a few threads, and how far they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "azoth/backup/backup.h"

namespace azoth::backup {

// Runs each task once, on so many threads at most; `worker` is below that number, and no two tasks that run at once
// have the same. Returns when none runs any more. Throws what the first one that failed has thrown; none is begun after
// that.
void run_parallel(std::size_t threads, const std::vector<std::function<void(std::size_t worker)>>& tasks);

// Adds up what threads have done, and tells about it a few times a second.
class StepMeter {
 public:
  // `now_and_then` is called as often, by one thread at a time, whether or not anybody wants to know; it may throw.
  StepMeter(const StepProgress& progress, std::string_view what, std::string_view unit, std::uint64_t total,
            std::function<void()> now_and_then = {});

  void add(std::uint64_t done);
  void end();  // all is done: tells so, whenever it has told last

 private:
  const StepProgress& progress_;
  const std::function<void()> now_and_then_;
  std::mutex mutex_;
  Step step_;
  std::chrono::steady_clock::time_point next_;
};

// Counts of one thread, handed to a meter in large pieces.
class StepCounter {
 public:
  explicit StepCounter(StepMeter& meter, std::uint64_t every) : meter_(meter), every_(every) {}
  void add(std::uint64_t done) {
    pending_ += done;
    if (pending_ >= every_) flush();
  }
  void flush() {
    meter_.add(pending_);
    pending_ = 0;
  }

 private:
  StepMeter& meter_;
  const std::uint64_t every_;
  std::uint64_t pending_ = 0;
};

}  // namespace azoth::backup
