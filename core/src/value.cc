// The only place of this layer that knows the JSON library.
#include "azoth/core/value.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "azoth/core/utf8.h"

namespace azoth {
namespace {

// Digits, and a minus before them: how a person who means a number would write it.
bool looks_like_integer(std::string_view bytes) {
  if (bytes.starts_with('-')) bytes.remove_prefix(1);
  return !bytes.empty() && bytes.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string quoted(std::string_view bytes) { return bytes.empty() ? "an empty value" : '"' + printable(bytes) + '"'; }

[[noreturn]] void refuse(std::string_view bytes, const std::string& expected) {
  throw Error(ErrorCode::InvalidArgument, "the value is " + quoted(bytes) + ", but " + expected);
}

template <class Integer>
std::optional<Integer> parse(std::string_view bytes) {
  Integer number = 0;
  const char* end = bytes.data() + bytes.size();
  const auto [stopped, error] = std::from_chars(bytes.data(), end, number);
  // One spelling for each number: whatever else the parser takes is not it.
  if (error != std::errc{} || stopped != end || bytes != std::to_string(number)) return std::nullopt;
  return number;
}

template <class Integer>
Integer parse_or_throw(std::string_view bytes) {
  if (const std::optional<Integer> number = parse<Integer>(bytes)) return *number;
  using Limits = std::numeric_limits<Integer>;
  std::string expected = "an integer from " + std::to_string(Limits::min()) + " to " + std::to_string(Limits::max());
  expected += " was expected";
  expected += looks_like_integer(bytes) ? ", without leading zeros and without -0" : ", as decimal digits and no more";
  refuse(bytes, expected);
}

void check_text(std::string_view bytes) {
  const std::size_t valid = utf8_prefix(bytes);
  if (valid == bytes.size()) return;
  refuse(bytes, "text was expected: it is not UTF-8 at offset " + std::to_string(valid));
}

// Takes everything, keeps only where and why the parser stopped. The functions are what the library calls.
struct JsonCheck {
  using Json = nlohmann::json;

  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(std::int64_t) { return true; }
  bool number_unsigned(std::uint64_t) { return true; }
  bool number_float(double, const std::string&) { return true; }
  bool string(std::string&) { return true; }
  bool binary(Json::binary_t&) { return true; }
  bool start_object(std::size_t) { return true; }
  bool key(std::string&) { return true; }
  bool end_object() { return true; }
  bool start_array(std::size_t) { return true; }
  bool end_array() { return true; }
  bool parse_error(std::size_t read, const std::string&, const Json::exception& error) {
    constexpr int kNumberOutOfRange = 406;
    offset = read == 0 ? 0 : read - 1;  // the parser has read the character that does not fit, or the end
    out_of_range = error.id == kNumberOutOfRange;
    return false;
  }

  std::size_t offset = 0;
  bool out_of_range = false;
};

[[noreturn]] void refuse_json(std::string_view bytes, std::size_t offset, const std::string& why) {
  refuse(bytes, "JSON was expected: " + why + " at offset " + std::to_string(offset));
}

void check_json(std::string_view bytes) {
  // The library skips the one and takes the other for the end of the text.
  if (bytes.starts_with("\xEF\xBB\xBF")) refuse_json(bytes, 0, "there is a byte order mark");
  const std::size_t end = std::min(bytes.find('\0'), bytes.size());
  JsonCheck check;
  const bool valid = nlohmann::json::sax_parse(bytes.data(), bytes.data() + end, &check);
  if (valid && end == bytes.size()) return;
  if (valid) check.offset = end;
  if (check.out_of_range) refuse_json(bytes, check.offset, "the number is too large for a double");
  refuse_json(bytes, check.offset, check.offset >= bytes.size() ? "it breaks off" : "it is not well-formed");
}

}  // namespace

std::string i64(std::int64_t number) { return std::to_string(number); }

std::string u64(std::uint64_t number) { return std::to_string(number); }

std::string text(std::string_view utf8) { return as_text(utf8); }

std::string json(std::string_view source) { return as_json(source); }

std::int64_t as_i64(std::string_view bytes) { return parse_or_throw<std::int64_t>(bytes); }

std::uint64_t as_u64(std::string_view bytes) { return parse_or_throw<std::uint64_t>(bytes); }

std::string as_text(std::string_view bytes) {
  check_text(bytes);
  return std::string(bytes);
}

std::string as_json(std::string_view bytes) {
  check_json(bytes);
  return std::string(bytes);
}

std::optional<std::int64_t> try_i64(std::string_view bytes) { return parse<std::int64_t>(bytes); }

std::optional<std::uint64_t> try_u64(std::string_view bytes) { return parse<std::uint64_t>(bytes); }

std::optional<std::int64_t> checked_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

}  // namespace azoth
