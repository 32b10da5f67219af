// Fixed-width integers in byte strings: little-endian inside records, big-endian inside keys (so that they sort).
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace azoth::codec {

static_assert(std::endian::native == std::endian::little, "Azoth's files are little-endian and read in place");

template <std::integral T>
void store(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

template <std::integral T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void store_big(char* to, std::uint64_t value) { store(to, __builtin_bswap64(value)); }
inline std::uint64_t load_big(const char* from) { return __builtin_bswap64(load<std::uint64_t>(from)); }

template <std::integral T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Reads a byte string front to back and never past its end: a read that does not fit marks the reader as failed and
// answers zeros and empty views from then on, so that a decoder checks once, at its end.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <std::integral T>
  T read() {
    std::string_view bytes = take(sizeof(T));
    return failed_ ? T{} : load<T>(bytes.data());
  }

  std::string_view take(std::size_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  bool failed() const { return failed_; }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace azoth::codec
