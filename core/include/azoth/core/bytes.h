// Byte strings. Azoth takes bytes as BytesView and hands them out as std::string_view, which compares as unsigned
// bytes: exactly the order of keys in the store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace azoth {

// A borrowed byte string, made from text or from a span of bytes. Valid as long as what it was made from.
class BytesView {
 public:
  constexpr BytesView() = default;
  constexpr BytesView(std::string_view text) : view_(text) {}  // NOLINT: implicit by design
  constexpr BytesView(const char* text) : view_(text) {}       // NOLINT
  BytesView(const std::string& text) : view_(text) {}          // NOLINT
  BytesView(std::span<const std::byte> bytes)                  // NOLINT
      : view_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {}

  constexpr std::string_view view() const { return view_; }
  constexpr operator std::string_view() const { return view_; }  // NOLINT
  constexpr const char* data() const { return view_.data(); }
  constexpr std::size_t size() const { return view_.size(); }
  constexpr bool empty() const { return view_.empty(); }

 private:
  std::string_view view_;
};

// The bytes of a view for those who work with std::byte.
std::span<const std::byte> as_bytes(std::string_view view);

// Lower-case hex and back; from_hex answers nothing for odd lengths and foreign characters.
std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view hex);

// A key or value fit for a message: printable text (UTF-8) as it is, anything else as hex behind 0x, shortened when
// long.
std::string printable(std::string_view bytes);

// The smallest byte string that is greater than every string with this prefix; nothing when there is none (a prefix
// that is empty or all 0xFF). The upper bound of a prefix scan.
std::optional<std::string> prefix_end(std::string_view prefix);

// 128 random bits that name a store or a timeline.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  static Uuid random();
  static std::optional<Uuid> parse(std::string_view hex);
  std::string text() const;
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  friend bool operator==(const Uuid&, const Uuid&) = default;
};

}  // namespace azoth
