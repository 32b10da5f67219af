#include "text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <limits>

namespace azoth::cli {
namespace {

std::uint32_t byte_at(std::string_view bytes, std::size_t i) { return static_cast<unsigned char>(bytes[i]); }

struct Codes {
  char32_t first;
  char32_t last;
};

// Controls beyond ASCII's, line and paragraph separators, everything that reorders text, and what shows nothing by
// itself (Unicode's default ignorable code points). U+FE00 to U+FE0F, which only choose the form of the sign before
// them, are not there.
constexpr Codes kUnsafe[] = {
    {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x034f, 0x034f},   {0x061c, 0x061c},   {0x115f, 0x1160},   {0x17b4, 0x17b5},
    {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},   {0xfeff, 0xfeff},
    {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

bool unsafe(char32_t code) {
  if (code < 0x7f) return code < 0x20;
  return std::any_of(std::begin(kUnsafe), std::end(kUnsafe),
                     [code](const Codes& codes) { return code >= codes.first && code <= codes.last; });
}

void append_escape(std::string& to, char32_t code, std::string_view sequence) {
  if (code == '\n') {
    to += "\\n";
  } else if (code == '\r') {
    to += "\\r";
  } else if (code == '\t') {
    to += "\\t";
  } else if (sequence.size() == 1) {
    fmt::format_to(std::back_inserter(to), "\\x{:02x}", byte_at(sequence, 0));
  } else {
    fmt::format_to(std::back_inserter(to), "\\u{{{:x}}}", static_cast<std::uint32_t>(code));
  }
}

// As in JSON: two of them for what is beyond U+FFFF.
void append_json_escape(std::string& to, char32_t code) {
  auto unit = [&to](std::uint32_t value) { fmt::format_to(std::back_inserter(to), "\\u{:04x}", value); };
  const std::uint32_t value = code;
  if (value <= 0xffff) return unit(value);
  unit(0xd800 + ((value - 0x10000) >> 10));
  unit(0xdc00 + ((value - 0x10000) & 0x3ff));
}

std::string escape(std::string_view bytes, bool whole_line) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    char32_t code = 0;
    std::size_t size = utf8_sequence(bytes, code);
    bool kept = size != 0 && !unsafe(code);
    if (!whole_line && size != 0) kept = kept || code == '\n' || code == '\t';
    std::string_view sequence = bytes.substr(0, size == 0 ? 1 : size);
    if (whole_line && code == '\\' && size == 1) {
      out += "\\\\";
    } else if (kept) {
      out += sequence;
    } else {
      append_escape(out, size == 0 ? 0 : code, sequence);
    }
    bytes.remove_prefix(sequence.size());
  }
  return out;
}

}  // namespace

std::string escaped(std::string_view bytes) { return escape(bytes, true); }

std::string terminal_safe(std::string_view text) { return escape(text, false); }

std::vector<std::string> safe_texts(const std::vector<std::string>& texts) {
  std::vector<std::string> result;
  for (const std::string& text : texts) result.push_back(terminal_safe(text));
  return result;
}

std::string one_line(std::string_view text) {
  std::string line = terminal_safe(text);
  for (std::size_t at = 0; (at = line.find('\n', at)) != std::string::npos;) line.replace(at, 1, "\\n");
  return line;
}

std::string terminal_safe_json(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    char32_t code = 0;
    std::size_t size = utf8_sequence(json, code);
    // Below U+0020 only the white space between tokens can occur; carriage returns there mean nothing.
    if (size == 1 && code == '\r') {
      out += ' ';
    } else if (size != 0 && unsafe(code) && code >= 0x20) {
      append_json_escape(out, code);
    } else {
      out += json.substr(0, size == 0 ? 1 : size);
    }
    json.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  constexpr std::array<const char*, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::string_view kSuffixes = "KMGT";
  unsigned shift = 0;
  if (!text.empty()) {
    char last = text.back();
    if (last >= 'a' && last <= 'z') last = static_cast<char>(last - 'a' + 'A');
    if (std::size_t at = kSuffixes.find(last); at != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(at) + 1);
      text.remove_suffix(1);
    }
  }
  std::optional<std::uint64_t> number = parse_number(text);
  if (!number || *number > (std::numeric_limits<std::uint64_t>::max() >> shift)) return std::nullopt;
  return *number << shift;
}

}  // namespace azoth::cli
