#include "azoth/core/bytes.h"

#include <sys/random.h>

#include <cerrno>

#include "azoth/core/error.h"
#include "azoth/core/utf8.h"

namespace azoth {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::size_t kLongestPrintedText = 80;  // bytes; a message stays one readable line
constexpr std::size_t kLongestPrintedHex = 32;   // bytes, two digits each

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// What could move the cursor, end a line or turn the direction of writing.
bool disturbs_a_message(char32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0) || code_point == 0x200E ||
         code_point == 0x200F || (code_point >= 0x2028 && code_point <= 0x202E) ||
         (code_point >= 0x2066 && code_point <= 0x2069) || code_point == 0xFEFF;
}

// The bytes of the well-formed UTF-8 sequence at the start of `text` that may be printed; 0 if there is none.
std::size_t printable_sequence(std::string_view text) {
  char32_t code_point = 0;
  const std::size_t size = utf8_sequence(text, code_point);
  return disturbs_a_message(code_point) ? 0 : size;
}

std::string total(std::size_t size) { return "... (" + std::to_string(size) + " bytes)"; }

}  // namespace

std::span<const std::byte> as_bytes(std::string_view view) {
  return {reinterpret_cast<const std::byte*>(view.data()), view.size()};
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    hex.push_back(kHexDigits[byte >> 4]);
    hex.push_back(kHexDigits[byte & 15]);
  }
  return hex;
}

std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]);
    const int low = hex_value(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

std::string printable(std::string_view bytes) {
  std::size_t kept = 0;  // ends at a whole character
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = printable_sequence(bytes.substr(at));
    if (size == 0) {
      std::string hex = "0x" + to_hex(bytes.substr(0, kLongestPrintedHex));
      return bytes.size() > kLongestPrintedHex ? hex + total(bytes.size()) : hex;
    }
    at += size;
    if (at <= kLongestPrintedText) kept = at;
  }
  if (kept == bytes.size()) return std::string(bytes);
  return std::string(bytes.substr(0, kept)) + total(bytes.size());
}

std::optional<std::string> prefix_end(std::string_view prefix) {
  const std::size_t last = prefix.find_last_not_of('\xFF');
  if (last == std::string_view::npos) return std::nullopt;
  std::string end(prefix.substr(0, last + 1));
  end.back() = static_cast<char>(static_cast<std::uint8_t>(end.back()) + 1);
  return end;
}

Uuid Uuid::random() {
  Uuid uuid;
  std::size_t filled = 0;
  while (filled < uuid.bytes.size()) {
    const ssize_t got = getrandom(uuid.bytes.data() + filled, uuid.bytes.size() - filled, 0);
    if (got < 0 && errno != EINTR) throw_errno(errno, "cannot get random bytes from the kernel");
    if (got > 0) filled += static_cast<std::size_t>(got);
  }
  return uuid;
}

std::optional<Uuid> Uuid::parse(std::string_view hex) {
  Uuid uuid;
  if (hex.size() != 2 * uuid.bytes.size()) return std::nullopt;
  const std::optional<std::string> bytes = from_hex(hex);
  if (!bytes) return std::nullopt;
  bytes->copy(reinterpret_cast<char*>(uuid.bytes.data()), uuid.bytes.size());
  return uuid;
}

std::string Uuid::text() const { return to_hex(view()); }

}  // namespace azoth
