// A list that only grows at its end and never moves what it holds, so that readers need no lock: segments of doubling
// size, and a count that is published after each element. One appending thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>

#include "arena.h"

namespace azoth {

template <class T>
class AppendList {
 public:
  explicit AppendList(Arena& arena) : arena_(arena) {}

  void push_back(const T& value) {
    std::size_t index = size_.load(std::memory_order_relaxed);
    auto [segment, offset] = locate(index);
    T* at = segments_[segment].load(std::memory_order_relaxed);
    if (at == nullptr) {
      at = reinterpret_cast<T*>(arena_.allocate((kFirst << segment) * sizeof(T)));
      segments_[segment].store(at, std::memory_order_release);
    }
    new (at + offset) T(value);
    size_.store(index + 1, std::memory_order_release);
  }

  std::size_t size() const { return size_.load(std::memory_order_acquire); }

  // For an index below a size() that this thread has read.
  const T& operator[](std::size_t index) const {
    auto [segment, offset] = locate(index);
    return segments_[segment].load(std::memory_order_acquire)[offset];
  }

 private:
  static constexpr std::size_t kFirst = 16;

  struct Place {
    std::size_t segment;
    std::size_t offset;
  };
  // Segment k holds kFirst << k elements and begins at index kFirst * (2^k - 1).
  static Place locate(std::size_t index) {
    std::size_t segment = static_cast<std::size_t>(std::bit_width(index / kFirst + 1)) - 1;
    return {segment, index - kFirst * ((std::size_t{1} << segment) - 1)};
  }

  Arena& arena_;
  std::array<std::atomic<T*>, 44> segments_{};
  std::atomic<std::size_t> size_{0};
};

}  // namespace azoth
