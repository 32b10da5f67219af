#include "if_none_sink.h"

#include <array>
#include <utility>

#include "line_text.h"
#include "text.h"

namespace azoth::cli {
namespace {

constexpr std::array<std::string_view, 3> kFields{"types", "tags", "after"};

}  // namespace

// Where we are, for messages.
std::string IfNoneSink::pattern_name() const {
  return list_ ? fmt::format("number {} of \"if_none\"", to_.size()) : "\"if_none\"";
}

std::string IfNoneSink::where() const {
  return field_.empty() ? pattern_name() : fmt::format("\"{}\" of {}", field_, pattern_name());
}

void IfNoneSink::open(JsonKind kind, std::size_t) {
  if (places_.empty()) {
    if (kind == JsonKind::Object) return open_pattern();
    list_ = true;
    return places_.push_back(Place::List);
  }
  switch (places_.back()) {
    case Place::List:
      if (kind != JsonKind::Object) fail("each of \"if_none\" must be an object");
      return open_pattern();
    case Place::Pattern:
      return open_field(kind);
    case Place::Texts:
      return open_hex(kind);
    case Place::Hex:
      fail(fmt::format("\"hex\" in {} must be a string", where()));
  }
}

void IfNoneSink::open_pattern() {
  to_.emplace_back();
  field_ = {};
  places_.push_back(Place::Pattern);
}

void IfNoneSink::open_field(JsonKind kind) {
  if (field_ == "after") fail(where() + " must be a whole number: an event id");
  if (kind != JsonKind::Array) fail(where() + " must be an array");
  places_.push_back(Place::Texts);
}

void IfNoneSink::open_hex(JsonKind kind) {
  if (kind != JsonKind::Object) fail(where() + R"( takes a string or {"hex":"..."})");
  hex_.reset();
  places_.push_back(Place::Hex);
}

void IfNoneSink::close(std::size_t) {
  Place closed = places_.back();
  places_.pop_back();
  if (closed == Place::Pattern) return close_pattern();
  if (closed != Place::Hex) return;
  if (!hex_) fail(where() + R"( needs {"hex":"..."}; the object is empty)");
  give(*std::exchange(hex_, std::nullopt));
}

void IfNoneSink::close_pattern() {
  const EventPattern& pattern = to_.back().pattern;
  if (pattern.tags.empty()) fail(pattern_name() + " names no tag; at least one is needed in its \"tags\"");
  check_distinct({pattern.tags.begin(), pattern.tags.end()}, "tag", "is twice in " + pattern_name());
  check_distinct({pattern.types.begin(), pattern.types.end()}, "type", "is twice in " + pattern_name());
}

void IfNoneSink::key(std::string& name) {
  if (places_.back() == Place::Hex) {
    if (name != "hex") fail_not_hex(name, where());
    return;
  }
  auto found = std::find(kFields.begin(), kFields.end(), name);
  field_ = {};
  if (found == kFields.end()) fail(fmt::format("unknown member {} in {}", in_quotes(name), where()));
  field_ = *found;
}

void IfNoneSink::scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) {
  switch (places_.back()) {
    case Place::List:
      fail("each of \"if_none\" must be an object");
    case Place::Pattern: {
      std::optional<std::uint64_t> number;
      if (field_ == "after" && kind == JsonKind::Number) number = parse_number(text_.substr(begin, end - begin));
      if (!number) return open_field(kind);  // says what is needed instead
      to_.back().after = *number;
      return;
    }
    case Place::Texts:
      if (kind != JsonKind::String) return open_hex(kind);
      return give(std::move(*text));
    case Place::Hex:
      if (kind != JsonKind::String) fail(fmt::format("\"hex\" in {} must be a string", where()));
      hex_ = hex_bytes(*text, where());
      return;
  }
}

void IfNoneSink::give(std::string text) {
  EventPattern& pattern = to_.back().pattern;
  (field_ == "types" ? pattern.types : pattern.tags).push_back(std::move(text));
}

}  // namespace azoth::cli
