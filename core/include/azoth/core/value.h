// Typed values: numbers, text and JSON as the bytes of a value, so that people, the command line and SQL can read them.
//
//   integer  decimal text: "0", "-42". One spelling for each number: no plus, no space, no leading zero, no "-0".
//   text     UTF-8.
//   JSON     its source text as it is: RFC 8259, UTF-8, no byte order mark, numbers within the range of a double.
//
//   tx.put("balance/alice", i64(as_i64(*tx.get("balance/alice")) - 100));
//
// The store does not know the type of a value: who reads it says what it must be. All that throw, throw Error with
// InvalidArgument, which says what the bytes are and what was expected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace azoth {

std::string i64(std::int64_t number);
std::string u64(std::uint64_t number);
// The same bytes, if they are UTF-8. Throws otherwise.
std::string text(std::string_view utf8);
// The same bytes, if they are JSON. Throws otherwise, naming the offset. Nesting may be as deep as memory allows.
std::string json(std::string_view source);

// Throw for bytes that are no such integer, or one that is out of range.
std::int64_t as_i64(std::string_view bytes);
std::uint64_t as_u64(std::string_view bytes);
// Throw for bytes that are not UTF-8, or not JSON.
std::string as_text(std::string_view bytes);
std::string as_json(std::string_view bytes);

// Nothing where as_i64() and as_u64() throw.
std::optional<std::int64_t> try_i64(std::string_view bytes);
std::optional<std::uint64_t> try_u64(std::string_view bytes);

// The sum; nothing if it is out of range.
std::optional<std::int64_t> checked_add(std::int64_t a, std::int64_t b);

}  // namespace azoth
