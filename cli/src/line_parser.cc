#include "line_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "azoth/core/bytes.h"
#include "json_reader.h"

namespace azoth::cli {
namespace {

std::string in_quotes(std::string_view text) { return '"' + printable(text) + '"'; }

[[noreturn]] void fail(const std::string& message) { throw JsonError(message); }

std::string hex_bytes(std::string_view digits, const std::string& where) {
  if (std::optional<std::string> bytes = from_hex(digits)) return *std::move(bytes);
  fail(fmt::format("{} in {} is not hex: two digits for each byte are needed", in_quotes(digits), where));
}

// The members of a line.
enum class Member { Put, Del, Require, Events };

struct MemberName {
  std::string_view name;
  Member member;
  bool hex;  // keys are hex
};

constexpr std::array<MemberName, 7> kMembers{{{"put", Member::Put, false},
                                              {"put_hex", Member::Put, true},
                                              {"del", Member::Del, false},
                                              {"del_hex", Member::Del, true},
                                              {"require", Member::Require, false},
                                              {"require_hex", Member::Require, true},
                                              {"events", Member::Events, false}}};

constexpr std::array<std::string_view, 5> kFields{"type", "tags", "payload", "metadata", "time"};

// Builds a Transaction from the reader's calls. `places_` holds what is open, from the line itself inwards.
class TransactionSink : public JsonSink {
 public:
  explicit TransactionSink(std::string_view text) : text_(text) {}

  void open(JsonKind kind, std::size_t begin) override;
  void close(std::size_t end) override;
  void key(std::string& name) override;
  void scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) override;

  Transaction take() { return std::move(transaction_); }

 private:
  enum class Place {
    Line,    // the line's object
    Pairs,   // the object of put or require
    Keys,    // the array of del
    Events,  // the array of events
    Event,   // one event's object
    Tags,    // its tags
    Hex,     // {"hex":"..."} where a text may stand
    Raw,     // anywhere inside a payload or metadata
  };

  void open_member(JsonKind kind);
  void open_field(JsonKind kind, std::size_t begin);
  void open_hex(JsonKind kind);
  void open_raw(std::size_t begin);
  void close_raw(std::size_t end);
  void event_scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end);
  void pair_scalar(JsonKind kind, std::string* text);
  void give(std::string bytes);
  void give_key(std::string key);

  LineEvent& event() { return transaction_.events.back(); }
  bool top_of_raw() const { return places_.back() == Place::Raw && places_[places_.size() - 2] == Place::Event; }
  std::string where() const;

  std::string_view text_;
  Transaction transaction_;
  std::vector<Place> places_;
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
std::string TransactionSink::where() const {
  if (member_->member == Member::Events) {
    std::string number = fmt::format("event {}", transaction_.events.size());
    return field_.empty() ? number : fmt::format("\"{}\" of {}", field_, number);
  }
  if (member_->member == Member::Del) return fmt::format("\"{}\"", member_->name);
  return fmt::format("\"{}\" of key {}", member_->name, in_quotes(key_));
}

void TransactionSink::open(JsonKind kind, std::size_t begin) {
  if (places_.empty()) {
    if (kind != JsonKind::Object) fail("a line must be a JSON object");
    places_.push_back(Place::Line);
    return;
  }
  switch (places_.back()) {
    case Place::Line:
      return open_member(kind);
    case Place::Pairs:
    case Place::Keys:
    case Place::Tags:
      return open_hex(kind);
    case Place::Events:
      if (kind != JsonKind::Object) fail("each of \"events\" must be an object");
      transaction_.events.emplace_back();
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

void TransactionSink::open_member(JsonKind kind) {
  bool list = member_->member == Member::Del || member_->member == Member::Events;
  if (kind != (list ? JsonKind::Array : JsonKind::Object)) {
    fail(fmt::format("\"{}\" must be an {}", member_->name, list ? "array" : "object"));
  }
  places_.push_back(!list ? Place::Pairs : member_->member == Member::Del ? Place::Keys : Place::Events);
}

void TransactionSink::open_hex(JsonKind kind) {
  bool plain_only = places_.back() == Place::Keys && member_->hex;
  if (kind != JsonKind::Object || plain_only) {
    fail(fmt::format("{} takes a string{}", where(), plain_only ? " of hex digits" : R"( or {"hex":"..."})"));
  }
  hex_.reset();
  places_.push_back(Place::Hex);
}

void TransactionSink::open_field(JsonKind kind, std::size_t begin) {
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

void TransactionSink::open_raw(std::size_t begin) {
  raw_begin_ = begin;
  raw_members_ = 0;
  raw_at_hex_ = false;
  hex_.reset();
  places_.push_back(Place::Raw);
}

void TransactionSink::close(std::size_t end) {
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

void TransactionSink::close_raw(std::size_t end) {
  LineBytes& target = field_ == "payload" ? event().payload : event().metadata;
  if (hex_ && raw_members_ == 1) {
    target = LineBytes(hex_bytes(*hex_, where()));
  } else {
    target = LineBytes(text_.substr(raw_begin_, end - raw_begin_));
  }
}

void TransactionSink::key(std::string& name) {
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
      if (name != "hex") {
        fail(fmt::format(R"(unknown member {} in {}: only {{"hex":"..."}} may stand for a text)", in_quotes(name),
                         where()));
      }
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

void TransactionSink::scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) {
  if (places_.empty()) fail("a line must be a JSON object");
  switch (places_.back()) {
    case Place::Line:
      return open_member(kind);  // says what is needed instead
    case Place::Pairs:
      return pair_scalar(kind, text);
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

void TransactionSink::pair_scalar(JsonKind kind, std::string* text) {
  if (kind == JsonKind::String) return give(std::move(*text));
  bool require = member_->member == Member::Require;
  if (require && kind == JsonKind::Null) {
    transaction_.requirements.push_back({std::move(key_), std::nullopt});
    return;
  }
  fail(fmt::format(R"({} must be a string{} or {{"hex":"..."}})", where(), require ? ", null" : ""));
}

void TransactionSink::event_scalar(JsonKind kind, std::string* text, std::size_t begin, std::size_t end) {
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
void TransactionSink::give(std::string bytes) {
  switch (places_.back()) {
    case Place::Keys:
      return give_key(std::move(bytes));
    case Place::Tags:
      return event().tags.push_back(std::move(bytes));
    case Place::Event:
      has_type_ = true;
      event().type = std::move(bytes);
      return;
    default:
      if (member_->member == Member::Put) {
        transaction_.puts.emplace_back(std::move(key_), std::move(bytes));
      } else {
        transaction_.requirements.push_back({std::move(key_), std::move(bytes)});
      }
  }
}

void TransactionSink::give_key(std::string key) {
  transaction_.dels.push_back(member_->hex ? hex_bytes(key, where()) : std::move(key));
}

// A key may be written in several ways ("put" and "put_hex", escapes): what counts is the key.
void check_distinct(std::vector<std::string_view> keys, std::string_view message) {
  std::sort(keys.begin(), keys.end());
  auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice != keys.end()) fail(fmt::format("the key {} {}", in_quotes(*twice), message));
}

void check_keys(const Transaction& transaction) {
  std::vector<std::string_view> puts;
  for (const auto& [key, value] : transaction.puts) puts.push_back(key);
  std::vector<std::string_view> written(transaction.dels.begin(), transaction.dels.end());
  check_distinct(puts, "is put twice");
  check_distinct(written, "is deleted twice");
  written.insert(written.end(), puts.begin(), puts.end());
  check_distinct(written, "is both put and deleted");
  std::vector<std::string_view> required;
  for (const Requirement& requirement : transaction.requirements) required.push_back(requirement.key);
  check_distinct(required, "is required twice");
}

}  // namespace

Transaction parse_line(std::string_view text) {
  TransactionSink sink(text);
  read_json(text, sink);
  Transaction transaction = sink.take();
  check_keys(transaction);
  return transaction;
}

WriteSet write_set_of(const Transaction& transaction) {
  WriteSet set;
  for (const std::string& key : transaction.dels) set.del(key);
  for (const auto& [key, value] : transaction.puts) set.put(key, value);
  for (const LineEvent& event : transaction.events) {
    set.append({.type = event.type,
                .tags = {event.tags.begin(), event.tags.end()},
                .payload = event.payload.view(),
                .metadata = event.metadata.view(),
                .time = event.time});
  }
  return set;
}

std::vector<Condition> conditions_of(const Transaction& transaction) {
  std::vector<Condition> conditions;
  for (const Requirement& requirement : transaction.requirements) {
    conditions.push_back(requirement.value ? Condition::key_equals(requirement.key, *requirement.value)
                                           : Condition::key_absent(requirement.key));
  }
  return conditions;
}

}  // namespace azoth::cli
