#include "content.h"

namespace azoth::bench {

namespace {
constexpr std::size_t kPoolBytes = 65536;
constexpr std::size_t kDigits = 8;
}  // namespace

std::uint64_t mix(std::uint64_t value) {  // splitmix64's finisher
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::string_view some_bytes(std::uint64_t random, std::size_t size) {
  static const std::string pool = [] {
    std::string bytes(kPoolBytes + kLargestValue, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(mix(i + 1));
    return bytes;
  }();
  return std::string_view(pool).substr(random % kPoolBytes, size);
}

Name::Name(std::string_view prefix) : text_(prefix) { text_.append(kDigits, '0'); }

std::string_view Name::of(std::uint64_t number) {
  for (std::size_t i = 0; i < kDigits; ++i, number >>= 4) text_[text_.size() - 1 - i] = "0123456789abcdef"[number & 15];
  return text_;
}

}  // namespace azoth::bench
