// What the parsers of a line share. For line_parser.cc and if_none_sink.cc only.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/bytes.h"
#include "json_reader.h"

namespace azoth::cli {

inline std::string in_quotes(std::string_view text) { return '"' + printable(text) + '"'; }

[[noreturn]] inline void fail(const std::string& message) { throw JsonError(message); }

inline std::string hex_bytes(std::string_view digits, const std::string& where) {
  if (std::optional<std::string> bytes = from_hex(digits)) return *std::move(bytes);
  fail(fmt::format("{} in {} is not hex: two digits for each byte are needed", in_quotes(digits), where));
}

// In {"hex":"..."}, where a text may stand: any other member.
[[noreturn]] inline void fail_not_hex(std::string_view member, const std::string& where) {
  fail(fmt::format(R"(unknown member {} in {}: only {{"hex":"..."}} may stand for a text)", in_quotes(member), where));
}

// A text may be spelled in several ways (escapes, hex): what counts is the text. `message` says what it is twice.
inline void check_distinct(std::vector<std::string_view> texts, std::string_view what, std::string_view message) {
  std::sort(texts.begin(), texts.end());
  auto twice = std::adjacent_find(texts.begin(), texts.end());
  if (twice != texts.end()) fail(fmt::format("the {} {} {}", what, in_quotes(*twice), message));
}

}  // namespace azoth::cli
