#include "line_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "if_none_sink.h"
#include "line_text.h"
#include "submission.h"
#include "text.h"

namespace azoth::cli {
namespace {

// The members of a line.
enum class Member { Put, Del, Require, Expect, IfNone, Events, Command };

struct MemberName {
  std::string_view name;
  Member member;
  bool hex;  // keys, or tags, are hex
};

constexpr std::array<MemberName, 11> kMembers{{{"put", Member::Put, false},
                                               {"put_hex", Member::Put, true},
                                               {"del", Member::Del, false},
                                               {"del_hex", Member::Del, true},
                                               {"require", Member::Require, false},
                                               {"require_hex", Member::Require, true},
                                               {"expect", Member::Expect, false},
                                               {"expect_hex", Member::Expect, true},
                                               {"if_none", Member::IfNone, false},
                                               {"events", Member::Events, false},
                                               {"command", Member::Command, false}}};

constexpr std::array<std::string_view, 5> kFields{"type", "tags", "payload", "metadata", "time"};

// Builds a TransactionLine from the reader's calls. `places_` holds what is open, from the line itself inwards.
class LineSink : public JsonSink {
 public:
  explicit LineSink(std::string_view text) : text_(text) {}

  void open(JsonKind kind, std::size_t begin) override;
  void close(std::size_t end) override;
  void key(std::string& name) override;
  void scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) override;

  TransactionLine take() { return std::move(line_); }

 private:
  enum class Place {
    Line,    // the line's object
    Pairs,   // the object of put, require or expect
    Keys,    // the array of del
    Events,  // the array of events
    Event,   // one event's object
    Tags,    // its tags
    Hex,     // {"hex":"..."} where a text may stand
    Raw,     // anywhere inside a payload or metadata
  };

  void open_member(JsonKind kind, std::size_t begin);
  void open_if_none(JsonKind kind, std::size_t begin);
  void open_field(JsonKind kind, std::size_t begin);
  void open_hex(JsonKind kind);
  void open_raw(std::size_t begin);
  void close_raw(std::size_t end);
  void event_scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end);
  void pair_scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end);
  void expect_scalar(JsonKind kind, std::string_view text);
  void give(std::string bytes);
  void give_key(std::string key);

  LineEvent& event() { return line_.events.back(); }
  bool top_of_raw() const { return places_.back() == Place::Raw && places_[places_.size() - 2] == Place::Event; }
  std::string where() const;

  std::string_view text_;
  TransactionLine line_;
  std::vector<Place> places_;
  std::optional<IfNoneSink> if_none_;   // while its value is open: takes everything
  const MemberName* member_ = nullptr;  // of the line
  std::string key_;                     // in Pairs
  std::string_view field_;              // of the event
  bool has_type_ = false;
  std::optional<std::string> hex_;  // the content of Hex, or of a payload that may be {"hex":"..."}
  std::size_t raw_begin_ = 0;
  std::size_t raw_members_ = 0;
  bool raw_at_hex_ = false;
};

// Where we are, for messages.
std::string LineSink::where() const {
  if (member_->member == Member::Events) {
    std::string number = fmt::format("event {}", line_.events.size());
    return field_.empty() ? number : fmt::format("\"{}\" of {}", field_, number);
  }
  if (member_->member == Member::Del || member_->member == Member::Command) return fmt::format("\"{}\"", member_->name);
  std::string_view what = member_->member == Member::Expect ? "tag" : "key";
  return fmt::format("\"{}\" of {} {}", member_->name, what, in_quotes(key_));
}

void LineSink::open(JsonKind kind, std::size_t begin) {
  if (if_none_) return if_none_->open(kind, begin);
  if (places_.empty()) {
    if (kind != JsonKind::Object) fail("a line must be a JSON object");
    places_.push_back(Place::Line);
    return;
  }
  switch (places_.back()) {
    case Place::Line:
      return open_member(kind, begin);
    case Place::Pairs:
      if (member_->member == Member::Expect) expect_scalar(kind, {});  // says what is needed instead
      return open_hex(kind);
    case Place::Keys:
    case Place::Tags:
      return open_hex(kind);
    case Place::Events:
      if (kind != JsonKind::Object) fail("each of \"events\" must be an object");
      line_.events.emplace_back();
      field_ = {};
      has_type_ = false;
      return places_.push_back(Place::Event);
    case Place::Event:
      return open_field(kind, begin);
    case Place::Hex:
      fail(fmt::format("\"hex\" in {} must be a string", where()));
    case Place::Raw:
      raw_at_hex_ = false;
      return places_.push_back(Place::Raw);
  }
}

void LineSink::open_member(JsonKind kind, std::size_t begin) {
  if (member_->member == Member::Command) return open_hex(kind);
  if (member_->member == Member::IfNone) return open_if_none(kind, begin);
  bool list = member_->member == Member::Del || member_->member == Member::Events;
  if (kind != (list ? JsonKind::Array : JsonKind::Object)) {
    fail(fmt::format("\"{}\" must be an {}", member_->name, list ? "array" : "object"));
  }
  places_.push_back(!list ? Place::Pairs : member_->member == Member::Del ? Place::Keys : Place::Events);
}

void LineSink::open_if_none(JsonKind kind, std::size_t begin) {
  if (kind != JsonKind::Object && kind != JsonKind::Array) {
    fail("\"if_none\" must be an object, or an array of objects");
  }
  if_none_.emplace(text_, line_.no_events);
  if_none_->open(kind, begin);
}

void LineSink::open_hex(JsonKind kind) {
  bool plain_only = places_.back() == Place::Keys && member_->hex;
  if (kind != JsonKind::Object || plain_only) {
    fail(fmt::format("{} takes a string{}", where(), plain_only ? " of hex digits" : R"( or {"hex":"..."})"));
  }
  hex_.reset();
  places_.push_back(Place::Hex);
}

void LineSink::open_field(JsonKind kind, std::size_t begin) {
  if (field_ == "payload") return open_raw(begin);
  if (field_ == "type") return open_hex(kind);
  if (field_ == "tags") {
    if (kind != JsonKind::Array) fail(where() + " must be an array");
    return places_.push_back(Place::Tags);
  }
  if (field_ == "time") fail(where() + " must be a string");
  if (kind != JsonKind::Object) fail(where() + " must be an object");
  open_raw(begin);
}

void LineSink::open_raw(std::size_t begin) {
  raw_begin_ = begin;
  raw_members_ = 0;
  raw_at_hex_ = false;
  hex_.reset();
  places_.push_back(Place::Raw);
}

void LineSink::close(std::size_t end) {
  if (if_none_) {
    if_none_->close(end);
    if (if_none_->done()) if_none_.reset();
    return;
  }
  Place closed = places_.back();
  bool raw_done = closed == Place::Raw && top_of_raw();
  places_.pop_back();
  if (raw_done) {
    close_raw(end);
  } else if (closed == Place::Hex) {
    if (!hex_) fail(where() + R"( needs {"hex":"..."}; the object is empty)");
    give(*std::exchange(hex_, std::nullopt));
  } else if (closed == Place::Event && !has_type_) {
    field_ = {};
    fail(where() + " has no \"type\"");
  }
}

void LineSink::close_raw(std::size_t end) {
  LineBytes& target = field_ == "payload" ? event().payload : event().metadata;
  if (hex_ && raw_members_ == 1) {
    target = LineBytes(hex_bytes(*hex_, where()));
  } else {
    target = LineBytes(text_.substr(raw_begin_, end - raw_begin_));
  }
}

void LineSink::key(std::string& name) {
  if (if_none_) return if_none_->key(name);
  switch (places_.back()) {
    case Place::Line: {
      auto found = std::find_if(kMembers.begin(), kMembers.end(), [&](const MemberName& m) { return m.name == name; });
      if (found == kMembers.end()) fail(fmt::format("unknown member {} in the line", in_quotes(name)));
      member_ = &*found;
      field_ = {};
      return;
    }
    case Place::Event: {
      auto found = std::find(kFields.begin(), kFields.end(), name);
      field_ = {};
      if (found == kFields.end()) fail(fmt::format("unknown member {} in {}", in_quotes(name), where()));
      field_ = *found;
      return;
    }
    case Place::Hex:
      if (name != "hex") fail_not_hex(name, where());
      return;
    case Place::Pairs:
      key_ = member_->hex ? hex_bytes(name, fmt::format("\"{}\"", member_->name)) : std::move(name);
      return;
    case Place::Raw:
      raw_at_hex_ = top_of_raw() && name == "hex";
      if (top_of_raw()) ++raw_members_;
      return;
    case Place::Keys:
    case Place::Events:
    case Place::Tags:
      return;  // arrays have no members
  }
}

void LineSink::scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) {
  if (if_none_) return if_none_->scalar(kind, text, begin, end);
  if (places_.empty()) fail("a line must be a JSON object");
  switch (places_.back()) {
    case Place::Line:
      if (member_->member == Member::Command && kind == JsonKind::String) return give(std::move(*text));
      return open_member(kind, begin);  // says what is needed instead
    case Place::Pairs:
      return pair_scalar(kind, text, begin, end);
    case Place::Keys:
    case Place::Tags:
      if (kind != JsonKind::String) return open_hex(kind);
      return give(std::move(*text));
    case Place::Events:
      fail("each of \"events\" must be an object");
    case Place::Event:
      return event_scalar(kind, text, begin, end);
    case Place::Hex:
      if (kind != JsonKind::String) fail(fmt::format("\"hex\" in {} must be a string", where()));
      hex_ = hex_bytes(*text, where());
      return;
    case Place::Raw:
      if (raw_at_hex_ && kind == JsonKind::String) hex_ = std::move(*text);
      raw_at_hex_ = false;
      return;
  }
}

void LineSink::pair_scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) {
  if (member_->member == Member::Expect) {
    return expect_scalar(kind, kind == JsonKind::String ? std::string_view(*text) : text_.substr(begin, end - begin));
  }
  if (kind == JsonKind::String) return give(std::move(*text));
  bool require = member_->member == Member::Require;
  if (require && kind == JsonKind::Null) {
    line_.requirements.push_back({std::move(key_), std::nullopt});
    return;
  }
  fail(fmt::format(R"({} must be a string{} or {{"hex":"..."}})", where(), require ? ", null" : ""));
}

// A number is an event id, a string is a word.
void LineSink::expect_scalar(JsonKind kind, std::string_view text) {
  std::optional<ExpectedVersion> version;
  if (kind == JsonKind::Number || (kind == JsonKind::String && !parse_number(text))) version = parse_expected(text);
  if (!version) {
    fail(where() + R"( must be the id of an event (from 1), "none", "exists" or "any")");
  }
  line_.expectations.push_back({std::move(key_), *version});
}

void LineSink::event_scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) {
  if (field_ == "payload") {
    event().payload = LineBytes(text_.substr(begin, end - begin));
  } else if (field_ == "type") {
    if (kind != JsonKind::String) open_hex(kind);
    give(std::move(*text));
  } else if (field_ == "time") {
    if (kind != JsonKind::String) fail(where() + " must be a string");
    event().time = parse_time(*text);
    if (!event().time) fail(fmt::format("{} must be an RFC 3339 time, not {}", where(), in_quotes(*text)));
  } else {
    fail(fmt::format("{} must be an {}", where(), field_ == "tags" ? "array" : "object"));
  }
}

// A text, wherever one may stand.
void LineSink::give(std::string bytes) {
  switch (places_.back()) {
    case Place::Keys:
      return give_key(std::move(bytes));
    case Place::Tags:
      return event().tags.push_back(std::move(bytes));
    case Place::Event:
      has_type_ = true;
      event().type = std::move(bytes);
      return;
    case Place::Line:
      line_.command = std::move(bytes);
      return;
    default:
      if (member_->member == Member::Put) {
        line_.puts.emplace_back(std::move(key_), std::move(bytes));
      } else {
        line_.requirements.push_back({std::move(key_), std::move(bytes)});
      }
  }
}

void LineSink::give_key(std::string key) {
  line_.dels.push_back(member_->hex ? hex_bytes(key, where()) : std::move(key));
}

void check_distinct_names(const TransactionLine& line) {
  std::vector<std::string_view> puts;
  for (const auto& [key, value] : line.puts) puts.push_back(key);
  std::vector<std::string_view> written(line.dels.begin(), line.dels.end());
  check_distinct(puts, "key", "is put twice");
  check_distinct(written, "key", "is deleted twice");
  written.insert(written.end(), puts.begin(), puts.end());
  check_distinct(written, "key", "is both put and deleted");
  std::vector<std::string_view> required;
  for (const Requirement& requirement : line.requirements) required.push_back(requirement.key);
  check_distinct(required, "key", "is required twice");
  std::vector<std::string_view> expected;
  for (const Expectation& expectation : line.expectations) expected.push_back(expectation.tag);
  check_distinct(expected, "tag", "is expected twice");
}

}  // namespace

TransactionLine parse_line(std::string_view text) {
  LineSink sink(text);
  read_json(text, sink);
  TransactionLine line = sink.take();
  check_distinct_names(line);
  return line;
}

}  // namespace azoth::cli
