// What is written: names by number, and bytes that do not compress. The same for every system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace azoth::bench {

inline constexpr std::string_view kKeyPrefix = "account/";
inline constexpr std::string_view kTagPrefix = "account:";
inline constexpr std::string_view kEventType = "changed";
inline constexpr std::size_t kLargestValue = std::size_t{1} << 20;

// A well-mixed number for a number; a stream of random ones for 1, 2, 3 ...
std::uint64_t mix(std::uint64_t value);

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(mix(seed)) {}
  std::uint64_t operator()() { return mix(state_ += 0x9e3779b97f4a7c15); }
  std::uint64_t below(std::uint64_t end) { return operator()() % end; }

 private:
  std::uint64_t state_;
};

// Some bytes, up to kLargestValue of them; which ones, `random` decides. Valid for ever.
std::string_view some_bytes(std::uint64_t random, std::size_t size);

// A prefix and eight digits, which sort as the numbers do.
class Name {
 public:
  explicit Name(std::string_view prefix);
  std::string_view of(std::uint64_t number);  // valid until the next call

 private:
  std::string text_;
};

}  // namespace azoth::bench
