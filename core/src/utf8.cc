#include "azoth/core/utf8.h"

#include <array>
#include <cstdint>

namespace azoth {
namespace {

std::uint32_t byte_at(std::string_view bytes, std::size_t i) { return static_cast<unsigned char>(bytes[i]); }

}  // namespace

std::size_t utf8_sequence(std::string_view bytes, char32_t& code) {
  if (bytes.empty()) return 0;
  const std::uint32_t first = byte_at(bytes, 0);
  if (first < 0x80) {
    code = first;
    return 1;
  }
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() < size) return 0;
  std::uint32_t value = first & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte_at(bytes, i) & 0xc0) != 0x80) return 0;
    value = (value << 6) | (byte_at(bytes, i) & 0x3f);
  }
  constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 0;
  code = value;
  return size;
}

std::size_t utf8_prefix(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    char32_t code = 0;
    const std::size_t size = utf8_sequence(bytes.substr(at), code);
    if (size == 0) return at;
    at += size;
  }
  return at;
}

bool is_utf8(std::string_view bytes) { return utf8_prefix(bytes) == bytes.size(); }

}  // namespace azoth
