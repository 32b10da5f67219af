// Reading JSON strictly, with the place of every value in the text: one pass validates, finds duplicate members and
// tells a sink what is there and where, so that the source text of a value can be kept byte for byte.
//
// Stricter than most readers, the same for everything Azoth reads as JSON:
//   - UTF-8 and RFC 8259, nothing before or after the value but white space (a byte order mark at the front is
//   skipped);
//   - no object has the same member twice;
//   - at most 1,000 levels of nesting;
//   - numbers within the range of a double (1e400 is refused).
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace azoth::cli {

enum class JsonKind { Null, Boolean, Number, String, Object, Array };

// The text is not such JSON, or not what a sink wants; the message says why and where.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What the reader calls, in the order of the text. Positions are byte offsets into it. A sink may throw JsonError.
class JsonSink {
 public:
  virtual ~JsonSink() = default;
  virtual void open(JsonKind kind, std::size_t begin) = 0;  // an object or an array
  virtual void close(std::size_t end) = 0;                  // the innermost open one
  virtual void key(std::string& name) = 0;                  // may be moved from
  // `text` is the decoded content of a string (may be moved from), null for other kinds.
  virtual void scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) = 0;
};

// Throws JsonError.
void read_json(std::string_view text, JsonSink& sink);

// How deep a text may be nested.
inline constexpr std::size_t kMaxJsonDepth = 1000;

// What some bytes are as JSON.
struct JsonShape {
  bool one_line = false;  // exactly one JSON value, nothing around it, no line break in it
  bool object = false;    // that value is an object
  bool only_hex = false;  // ... whose only member is named "hex"
  std::size_t depth = 0;  // of its nesting
};
JsonShape inspect_json(std::string_view bytes);

}  // namespace azoth::cli
