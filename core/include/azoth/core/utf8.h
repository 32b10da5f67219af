// UTF-8, taken strictly: overlong forms, surrogates and what is beyond U+10FFFF are not UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace azoth {

// The length of the UTF-8 sequence that `bytes` begins with, 0 if it begins with none; the character in `code`.
std::size_t utf8_sequence(std::string_view bytes, char32_t& code);

// The bytes before the first that is not UTF-8: all of them if `bytes` is.
std::size_t utf8_prefix(std::string_view bytes);

bool is_utf8(std::string_view bytes);

}  // namespace azoth
