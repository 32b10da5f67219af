// Latencies, counted in buckets that are at most 3 % wide: a thread counts millions of them in a few kilobytes.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace azoth::bench {

class Histogram {
 public:
  void add(std::uint64_t nanoseconds) {
    ++buckets_[index_of(nanoseconds)];
    ++count_;
    max_ = std::max(max_, nanoseconds);
  }

  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }

  std::uint64_t count() const { return count_; }
  double max_us() const { return static_cast<double>(max_) / 1000.0; }  // exactly

  // The latency that `share` of all did not exceed, in microseconds; 0 if there are none.
  double quantile_us(double share) const {
    auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank && seen != 0) return static_cast<double>(middle_of(i)) / 1000.0;
    }
    return 0;
  }

 private:
  // Below kSteps each number has its own bucket; above, each power of two has kSteps.
  static constexpr unsigned kStepBits = 5;
  static constexpr std::uint64_t kSteps = 1u << kStepBits;

  static std::size_t index_of(std::uint64_t value) {
    if (value < kSteps) return value;
    unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kStepBits - 1;
    return (std::size_t{shift} << kStepBits) + (value >> shift);
  }
  static std::uint64_t middle_of(std::size_t index) {
    if (index < 2 * kSteps) return index;
    std::size_t shift = (index >> kStepBits) - 1;
    return ((kSteps + index % kSteps) << shift) + (std::uint64_t{1} << shift) / 2;
  }

  std::array<std::uint64_t, (64 - kStepBits + 1) * kSteps> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace azoth::bench
