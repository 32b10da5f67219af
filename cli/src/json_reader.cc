// The only place that knows the JSON library.
#include "json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "azoth/core/bytes.h"

namespace azoth::cli {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Hands out characters and notes how many: how the parser's place in the text becomes known.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) { return a.at_ == b.at_; }

 private:
  const char* at_;
  const char** reached_;
};

// The member names seen in one open object. Most objects are small: a hash set is made only for large ones.
class Names {
 public:
  bool add(const std::string& name) {
    if (!set_.empty()) return set_.insert(name).second;
    for (const std::string& seen : few_) {
      if (seen == name) return false;
    }
    few_.push_back(name);
    if (few_.size() == kFew) set_.insert(few_.begin(), few_.end());
    return true;
  }

 private:
  static constexpr std::size_t kFew = 16;
  std::vector<std::string> few_;
  std::unordered_set<std::string> set_;
};

std::string in_quotes(std::string_view name) { return '"' + printable(name) + '"'; }

// The library's messages begin with its own names and a line number, which is always 1 here, and may quote the text
// at any length.
std::string parse_message(std::size_t position, std::string message) {
  constexpr std::size_t kLongest = 200;
  if (std::size_t at = message.find("] "); at != std::string::npos) message.erase(0, at + 2);
  if (message.starts_with("parse error")) {
    if (std::size_t at = message.find(": "); at != std::string::npos) message.erase(0, at + 2);
  }
  if (message.size() > kLongest) message = message.substr(0, kLongest) + "...";
  return fmt::format("invalid JSON at byte {}: {}", position, message);
}

// Between the library's events and a sink: places, duplicates, depth. The functions are what the library calls.
class Adapter {
 public:
  Adapter(std::string_view text, const char* const* reached, JsonSink& sink)
      : text_(text), reached_(reached), sink_(sink), last_end_(text.starts_with(kByteOrderMark) ? 3 : 0) {}

  bool null() { return token(JsonKind::Null, nullptr); }
  bool boolean(bool) { return token(JsonKind::Boolean, nullptr); }
  bool number_integer(std::int64_t) { return number(); }
  bool number_unsigned(std::uint64_t) { return number(); }
  bool number_float(double, const std::string&) { return number(); }
  bool string(std::string& text) { return token(JsonKind::String, &text); }
  bool binary(nlohmann::json::binary_t&) { throw JsonError("binary data is not JSON"); }

  bool start_object(std::size_t) { return open(JsonKind::Object); }
  bool start_array(std::size_t) { return open(JsonKind::Array); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    if (!open_.back().add(name)) {
      throw JsonError(fmt::format("the member {} occurs twice in one object (byte {})", in_quotes(name), position()));
    }
    last_end_ = position();
    sink_.key(name);
    return true;
  }

  bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception& error) {
    throw JsonError(parse_message(at, error.what()));
  }

 private:
  std::size_t position() const { return static_cast<std::size_t>(*reached_ - text_.data()); }

  // Only white space and separators stand between two tokens.
  std::size_t next_begin() const { return text_.find_first_not_of(" \t\r\n:,", last_end_); }

  bool token(JsonKind kind, std::string* text) {
    std::size_t begin = next_begin();
    last_end_ = position();
    sink_.scalar(kind, text, begin, last_end_);
    return true;
  }

  // The library has read one character further to see that a number ends.
  bool number() {
    std::size_t begin = next_begin();
    last_end_ = std::min(text_.find_first_not_of("+-.0123456789eE", begin), text_.size());
    sink_.scalar(JsonKind::Number, nullptr, begin, last_end_);
    return true;
  }

  bool open(JsonKind kind) {
    if (open_.size() == kMaxJsonDepth) {
      throw JsonError(fmt::format("nested deeper than {} levels (byte {})", kMaxJsonDepth, position()));
    }
    open_.emplace_back();
    last_end_ = position();
    sink_.open(kind, last_end_ - 1);
    return true;
  }

  bool close() {
    open_.pop_back();
    last_end_ = position();
    sink_.close(last_end_);
    return true;
  }

  std::string_view text_;
  const char* const* reached_;
  JsonSink& sink_;
  std::size_t last_end_;
  std::vector<Names> open_;
};

// Notes the outermost value only.
class ShapeSink : public JsonSink {
 public:
  void open(JsonKind kind, std::size_t begin) override {
    deepest_ = std::max(deepest_, depth_ + 1);
    if (depth_++ == 0) {
      begin_ = begin;
      object_ = kind == JsonKind::Object;
    }
  }
  void close(std::size_t end) override {
    if (--depth_ == 0) end_ = end;
  }
  void key(std::string& name) override {
    if (depth_ == 1) only_hex_ = members_++ == 0 && name == "hex";
  }
  void scalar(JsonKind, std::string*, std::size_t begin, std::size_t end) override {
    if (depth_ == 0) {
      begin_ = begin;
      end_ = end;
    }
  }

  JsonShape shape(std::size_t size) const {
    bool whole = begin_ == 0 && end_ == size;
    const bool object = whole && object_;
    return {.one_line = whole, .object = object, .only_hex = object && only_hex_, .depth = deepest_};
  }

 private:
  std::size_t depth_ = 0;
  std::size_t deepest_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t members_ = 0;
  bool object_ = false;
  bool only_hex_ = false;
};

}  // namespace

void read_json(std::string_view text, JsonSink& sink) {
  // The library takes a zero byte for the end of the text; JSON has none, so nothing may hide behind one.
  if (std::size_t at = text.find('\0'); at != std::string_view::npos) {
    throw JsonError(fmt::format("invalid JSON at byte {}: a zero byte", at + 1));
  }
  const char* reached = text.data();
  Adapter adapter(text, &reached, sink);
  nlohmann::json::sax_parse(CountingIterator(text.data(), &reached),
                            CountingIterator(text.data() + text.size(), &reached), &adapter);
}

JsonShape inspect_json(std::string_view bytes) {
  if (bytes.empty() || bytes.find_first_of("\n\r") != std::string_view::npos) return {};
  ShapeSink sink;
  try {
    read_json(bytes, sink);
  } catch (const JsonError&) {
    return {};
  }
  return sink.shape(bytes.size());
}

}  // namespace azoth::cli
