#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

namespace azoth::backup {

namespace {
constexpr std::chrono::milliseconds kInterval{200};
}

void run_parallel(std::size_t threads, const std::vector<std::function<void(std::size_t)>>& tasks) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr first;
  const auto work = [&](std::size_t worker) {
    while (true) {
      const std::size_t index = next.fetch_add(1);
      if (index >= tasks.size()) return;
      try {
        tasks[index](worker);
      } catch (...) {
        next.store(tasks.size());
        std::lock_guard lock(mutex);
        if (!first) first = std::current_exception();
      }
    }
  };
  std::vector<std::thread> others;
  const std::size_t wanted = std::min(std::max<std::size_t>(threads, 1), tasks.size());
  others.reserve(wanted);
  try {
    for (std::size_t worker = 1; worker < wanted; ++worker) others.emplace_back(work, worker);
  } catch (const std::exception&) {  // then with as many as there are
  }
  work(0);
  for (std::thread& thread : others) thread.join();
  if (first) std::rethrow_exception(first);
}

StepMeter::StepMeter(const StepProgress& progress, std::string_view what, std::string_view unit, std::uint64_t total,
                     std::function<void()> now_and_then)
    : progress_(progress),
      now_and_then_(std::move(now_and_then)),
      step_{.what = what, .unit = unit, .done = 0, .total = total},
      next_(std::chrono::steady_clock::now() + kInterval) {}

void StepMeter::add(std::uint64_t done) {
  std::lock_guard lock(mutex_);
  step_.done += done;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + kInterval;
  if (now_and_then_) now_and_then_();
  if (progress_) progress_(step_);
}

void StepMeter::end() {
  std::lock_guard lock(mutex_);
  if (step_.total == 0) return;
  step_.done = step_.total;
  if (progress_) progress_(step_);
}

}  // namespace azoth::backup
