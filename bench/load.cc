#include "load.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <latch>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "sync_counter.h"

namespace azoth::bench {

namespace {

using SteadyClock = std::chrono::steady_clock;

double seconds_between(SteadyClock::time_point from, SteadyClock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// A thread's share of a load's rate.
class Pace {
 public:
  explicit Pace(const Load& load)
      : interval_(load.rate > 0 ? static_cast<std::int64_t>(1e9 * load.threads / load.rate) : 0) {}

  // Whether there was time to wait. What was not managed in time is not made up for.
  bool wait() {
    if (interval_.count() == 0) return false;
    next_ = std::max(next_ + interval_, SteadyClock::now());
    std::this_thread::sleep_until(next_);
    return true;
  }

 private:
  const std::chrono::nanoseconds interval_;
  SteadyClock::time_point next_ = SteadyClock::now();
};

// The threads of one round. They prepare, start together, and count what ends while it is being measured.
class Crew {
 public:
  Crew(System& system, const Settings& settings, const Load& load, unsigned round, std::uint64_t commits_each)
      : load_(load), commits_each_(commits_each), ready_(load.threads), results_(load.threads) {
    for (unsigned i = 0; i < load.threads; ++i) {
      threads_.emplace_back([this, &system, &settings, i, round] { run(system, settings, i, round); });
    }
    ready_.wait();
  }

  ~Crew() {
    stop();
    if (!start_.try_wait()) start_.count_down();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  void start(bool measuring) {
    measuring_.store(measuring);
    started_ = SteadyClock::now();
    start_.count_down();
  }
  void measure() { measuring_.store(true); }
  // What is on its way is no longer counted.
  void stop() {
    measuring_.store(false);
    stopped_.store(true);
  }

  // Throws what a thread threw.
  void join() {
    for (std::thread& thread : threads_) thread.join();
    if (error_) std::rethrow_exception(error_);
  }

  bool failed() const { return failed_.load(); }
  void add_to(Sample& sample) const {
    for (const Result& result : results_) {
      sample.latencies.merge(result.latencies);
      sample.operations += result.latencies.count();
    }
  }
  double seconds_until_last_end() const {
    SteadyClock::time_point last = started_;
    for (const Result& result : results_) last = std::max(last, result.end);
    return seconds_between(started_, last);
  }

 private:
  struct alignas(64) Result {
    Histogram latencies;
    SteadyClock::time_point end;
  };

  void run(System& system, const Settings& settings, unsigned index, unsigned round) {
    std::unique_ptr<Client> client;
    try {
      client = system.client();
    } catch (...) {
      fail(std::current_exception());
    }
    ChangeSource changes(settings, load_, index, round);
    ready_.count_down();
    start_.wait();
    try {
      if (client) work(*client, changes, results_[index]);
    } catch (...) {
      fail(std::current_exception());
    }
    results_[index].end = SteadyClock::now();
  }

  // One clock reading a commit: what ends one starts the next.
  void work(Client& client, ChangeSource& changes, Result& result) {
    std::deque<SteadyClock::time_point> begun;
    std::uint64_t left = commits_each_;
    auto now = SteadyClock::now();
    auto finish = [&] {
      client.finish_oldest();
      now = SteadyClock::now();
      if (measuring_.load(std::memory_order_relaxed)) {
        result.latencies.add(static_cast<std::uint64_t>((now - begun.front()).count()));
      }
      begun.pop_front();
    };
    Pace pace(load_);
    while (!stopped_.load(std::memory_order_relaxed) && left-- != 0) {
      if (pace.wait()) now = SteadyClock::now();
      begun.push_back(now);
      client.start(changes.next());
      if (begun.size() >= load_.in_flight) {
        finish();
      } else {
        now = SteadyClock::now();
      }
    }
    while (!begun.empty()) finish();
  }

  void fail(std::exception_ptr error) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    failed_.store(true);
    stopped_.store(true);
  }

  const Load load_;
  const std::uint64_t commits_each_;
  std::latch ready_;
  std::latch start_{1};
  SteadyClock::time_point started_;
  std::atomic<bool> measuring_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
  std::vector<Result> results_;
  std::vector<std::thread> threads_;
};

Sample run_bursts(System& system, const Settings& settings, const Load& load, unsigned round) {
  constexpr unsigned kLeast = 3;
  Sample sample;
  unsigned bursts = 0;
  while (sample.seconds < load.seconds || bursts < kLeast) {
    Crew crew(system, settings, load, round * 1000 + bursts, load.burst / load.threads);
    std::uint64_t syncs = syncs_so_far();
    crew.start(true);
    crew.join();
    sample.syncs += syncs_so_far() - syncs;
    sample.seconds += crew.seconds_until_last_end();
    crew.add_to(sample);
    system.settle();
    if (++bursts == 100) break;
  }
  return sample;
}

Sample run_steadily(System& system, const Settings& settings, const Load& load, unsigned round) {
  Sample sample;
  Crew crew(system, settings, load, round, UINT64_MAX);
  auto sleep = [&](double seconds) {
    auto end = SteadyClock::now() + std::chrono::duration<double>(seconds);
    while (!crew.failed() && SteadyClock::now() < end) {
      std::this_thread::sleep_for(
          std::min<std::chrono::duration<double>>(std::chrono::milliseconds(50), end - SteadyClock::now()));
    }
  };
  std::uint64_t writes = system.background_writes();
  crew.start(false);
  sleep(load.warm_up);
  std::uint64_t syncs = syncs_so_far();
  auto from = SteadyClock::now();
  crew.measure();
  sleep(load.seconds);
  crew.stop();
  sample.seconds = seconds_between(from, SteadyClock::now());
  sample.syncs = syncs_so_far() - syncs;
  crew.join();
  crew.add_to(sample);
  system.settle();
  sample.background_writes = system.background_writes() - writes;
  return sample;
}

}  // namespace

ChangeSource::ChangeSource(const Settings& settings, const Load& load, unsigned thread, unsigned round)
    : value_size_(load.value_size != 0 ? load.value_size : settings.value_size),
      events_(load.events),
      tags_(settings.tags && load.events),
      first_key_(0),
      keys_(1),
      random_((std::uint64_t{round} << 32) + thread + 1) {
  if (!load.hot) {
    keys_ = std::max<std::uint64_t>(1, (load.keys != 0 ? load.keys : settings.keys) / load.threads);
    first_key_ = thread * keys_;
  }
}

Change ChangeSource::next() {
  std::uint64_t key = first_key_ + random_.below(keys_);
  Change change{.key = key_.of(key), .value = some_bytes(random_(), value_size_)};
  if (events_) {
    change.type = kEventType;
    change.payload = some_bytes(random_(), value_size_);
  }
  if (tags_) change.tag = tag_.of(key);
  return change;
}

Sample run_load(System& system, const Settings& settings, const Load& load, unsigned round) {
  return load.burst != 0 ? run_bursts(system, settings, load, round) : run_steadily(system, settings, load, round);
}

}  // namespace azoth::bench
