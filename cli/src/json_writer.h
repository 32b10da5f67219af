// Writing JSON: one object on one line, members in the order in which they are added.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "azoth/canonical/read_txn.h"

namespace azoth::cli {

// A JSON string. `utf8` must be valid UTF-8.
void append_json_string(std::string& to, std::string_view utf8);
// The string itself, or {"hex":"..."} for bytes that are not UTF-8.
void append_json_text(std::string& to, std::string_view bytes);

class JsonObject {
 public:
  JsonObject& text(std::string_view name, std::string_view utf8);
  JsonObject& number(std::string_view name, std::uint64_t value);
  JsonObject& number_or_null(std::string_view name, std::uint64_t value);  // null for 0
  JsonObject& decimal(std::string_view name, double value);                // three digits after the point
  JsonObject& boolean(std::string_view name, bool value);
  JsonObject& null(std::string_view name);
  JsonObject& raw(std::string_view name, std::string_view json);
  // "name":"text", or "name_hex":"6869" for bytes that are not UTF-8 or when `hex` asks for it.
  JsonObject& bytes(std::string_view name, std::string_view bytes, bool hex = false);

  std::string finish();  // the object; this builder is empty again

 private:
  void member(std::string_view name, std::string_view suffix = {});
  std::string out_ = "{";
};

// A JSON array of strings.
template <class Strings>
std::string json_strings(const Strings& strings) {
  std::string out = "[";
  for (std::string_view text : strings) {
    if (out.size() > 1) out += ',';
    append_json_text(out, text);
  }
  return out + ']';
}

// An event as `events --json` prints it.
std::string event_json(const EventView& event);

}  // namespace azoth::cli
