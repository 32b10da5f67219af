#include "json_writer.h"

#include <fmt/format.h>

#include <utility>

#include "json_reader.h"
#include "text.h"

namespace azoth::cli {

void append_json_string(std::string& to, std::string_view utf8) {
  to += '"';
  for (char c : utf8) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (byte >= 0x20) {
      to += c;
    } else if (c == '\n') {
      to += "\\n";
    } else if (c == '\t') {
      to += "\\t";
    } else if (c == '\r') {
      to += "\\r";
    } else {
      fmt::format_to(std::back_inserter(to), "\\u{:04x}", byte);
    }
  }
  to += '"';
}

void append_json_text(std::string& to, std::string_view bytes) {
  if (is_utf8(bytes)) {
    append_json_string(to, bytes);
  } else {
    to += R"({"hex":")" + to_hex(bytes) + R"("})";
  }
}

void JsonObject::member(std::string_view name, std::string_view suffix) {
  if (out_.size() > 1) out_ += ',';
  out_ += '"';
  out_ += name;
  out_ += suffix;
  out_ += "\":";
}

JsonObject& JsonObject::text(std::string_view name, std::string_view utf8) {
  member(name);
  append_json_string(out_, utf8);
  return *this;
}

JsonObject& JsonObject::number(std::string_view name, std::uint64_t value) {
  member(name);
  fmt::format_to(std::back_inserter(out_), "{}", value);
  return *this;
}

JsonObject& JsonObject::number_or_null(std::string_view name, std::uint64_t value) {
  return value == 0 ? null(name) : number(name, value);
}

JsonObject& JsonObject::decimal(std::string_view name, double value) {
  member(name);
  fmt::format_to(std::back_inserter(out_), "{:.3f}", value);
  return *this;
}

JsonObject& JsonObject::boolean(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }

JsonObject& JsonObject::null(std::string_view name) { return raw(name, "null"); }

JsonObject& JsonObject::raw(std::string_view name, std::string_view json) {
  member(name);
  out_ += json;
  return *this;
}

JsonObject& JsonObject::bytes(std::string_view name, std::string_view bytes, bool hex) {
  if (!hex && is_utf8(bytes)) return text(name, bytes);
  member(name, "_hex");
  append_json_string(out_, to_hex(bytes));
  return *this;
}

std::string JsonObject::finish() {
  out_ += '}';
  return std::exchange(out_, "{");
}

std::string event_json(const EventView& event) {
  JsonObject object;
  object.number("id", event.id()).number("commit", event.commit_seq()).text("time", format_time(event.time()));
  std::string type;
  append_json_text(type, event.type());
  object.raw("type", type).raw("tags", json_strings(event.tags()));
  if (inspect_json(event.payload()).one_line) {
    object.raw("payload", event.payload());
  } else {
    object.bytes("payload", event.payload(), true);
  }
  if (event.metadata().empty()) {
    object.null("metadata");
  } else if (inspect_json(event.metadata()).one_line && event.metadata() != "null") {  // which says that there is none
    object.raw("metadata", event.metadata());
  } else {
    object.bytes("metadata", event.metadata(), true);
  }
  return object.finish();
}

}  // namespace azoth::cli
