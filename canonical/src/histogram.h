// A histogram in powers of two. Recording is three additions without locks, from any thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

#include "azoth/canonical/metrics.h"

namespace azoth {

class Histogram {
 public:
  void record(std::uint64_t value) {
    std::size_t bucket = value <= 1 ? 0 : static_cast<std::size_t>(std::bit_width(value - 1));
    buckets_[std::min(bucket, kBuckets - 1)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  // `unit`: what a recorded 1 is. `merge`: how many of the smallest buckets are shown as one.
  void show(Metric& metric, double unit, std::size_t merge = 0) const {
    metric.kind = Metric::Kind::Histogram;
    metric.sum = static_cast<double>(sum_.load(std::memory_order_relaxed)) * unit;
    std::size_t used = 0;
    std::array<std::uint64_t, kBuckets> counts{};
    for (std::size_t i = 0; i < kBuckets; ++i) {
      counts[i] = buckets_[i].load(std::memory_order_relaxed);
      if (counts[i] != 0) used = i + 1;
    }
    for (std::size_t i = 0; i < used; ++i) {
      metric.count += counts[i];
      if (i >= merge) metric.buckets.push_back({static_cast<double>(std::uint64_t{1} << i) * unit, metric.count});
    }
  }

 private:
  static constexpr std::size_t kBuckets = 44;  // in nanoseconds: up to 2.4 hours
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> sum_{0};
};

// Records how long it lived, in nanoseconds.
class Timed {
 public:
  explicit Timed(Histogram& histogram) : histogram_(histogram) {}
  ~Timed() { histogram_.record(static_cast<std::uint64_t>(elapsed().count())); }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

  std::chrono::nanoseconds elapsed() const { return std::chrono::steady_clock::now() - start_; }

 private:
  Histogram& histogram_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace azoth
