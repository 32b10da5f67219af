// Bytes as text for people, and text as bytes.
//
// What a store holds may contain anything, also what a terminal would obey. Nothing of it reaches a terminal unescaped
// except by `get --raw`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/utf8.h"

namespace azoth::cli {

// One line without control characters, from which the bytes can be told: \n \r \t \\ \xNN (a byte that is not UTF-8,
// or an ASCII control) and \u{NNNN} (other controls, and what is invisible or changes the direction of text).
std::string escaped(std::string_view bytes);

// The same for running text: newlines, tabs and backslashes stay as they are.
std::string terminal_safe(std::string_view text);
std::vector<std::string> safe_texts(const std::vector<std::string>& texts);  // each of them

// The same on one line: a newline becomes \n.
std::string one_line(std::string_view text);

// The same for valid JSON: what would be escaped becomes \uNNNN, which means the same in JSON.
std::string terminal_safe_json(std::string_view json);

// "12,345,678"
std::string grouped(std::uint64_t number);
// "17 bytes", "4.0 KiB", "1.5 GiB"
std::string human_bytes(std::uint64_t bytes);

// All digits, no sign, no overflow; nothing otherwise.
std::optional<std::uint64_t> parse_number(std::string_view text);
// A number with an optional K, M, G or T (powers of 1024).
std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace azoth::cli
