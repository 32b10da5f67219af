// Events: what a program appends, and what it reads back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/bytes.h"
#include "azoth/core/clock.h"
#include "azoth/core/ids.h"

namespace azoth {

// An event to append. Borrows everything; the views must live until the call that takes the event returns.
struct Event {
  std::string_view type;               // 1..255 bytes, e.g. "withdrawn"
  std::vector<std::string_view> tags;  // "kind:name", e.g. "account:alice"; a stream is a tag. At most 64, distinct,
                                       // each 1..255 bytes without 0x00
  BytesView payload;                   // any bytes; by convention JSON
  BytesView metadata = {};             // optional; correlation and causation ids go here
  std::optional<Timestamp> time = {};  // the commit's time when not given; orders nothing
};

// The tags of a stored event, iterated in the order in which they were given.
class TagRange {
 public:
  class Iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(const char* at, std::size_t left) : at_(at), left_(left) {}
    std::string_view operator*() const { return {at_ + 1, static_cast<std::uint8_t>(*at_)}; }
    Iterator& operator++() {
      at_ += 1 + static_cast<std::uint8_t>(*at_);
      --left_;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.left_ == b.left_; }

   private:
    const char* at_ = nullptr;
    std::size_t left_ = 0;
  };

  TagRange() = default;
  TagRange(const char* first, std::size_t count) : first_(first), count_(count) {}
  Iterator begin() const { return {first_, count_}; }
  Iterator end() const { return {nullptr, 0}; }
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  bool contains(std::string_view tag) const;

 private:
  const char* first_ = nullptr;
  std::size_t count_ = 0;
};

// A stored event, decoded as far as it is asked for. A view: valid as long as the ReadTxn (or record) it came from.
class EventView {
 public:
  EventView() = default;
  EventView(EventId id, CommitSeq commit_seq, Timestamp commit_time, std::string_view body)
      : id_(id), commit_seq_(commit_seq), commit_time_(commit_time), body_(body) {}

  EventId id() const { return id_; }
  CommitSeq commit_seq() const { return commit_seq_; }
  Timestamp commit_time() const { return commit_time_; }
  Timestamp time() const;  // the event's own if it was given one, else the commit's
  bool has_own_time() const;
  std::string_view type() const;
  TagRange tags() const;
  std::string_view metadata() const;  // empty when there is none
  std::string_view payload() const;

  std::string_view body() const { return body_; }  // as encoded below

 private:
  EventId id_ = 0;
  CommitSeq commit_seq_ = 0;
  Timestamp commit_time_{};
  std::string_view body_;
};

// The encoded body of an event, the same in the journal and in LMDB (docs/format.md, "Event body"):
//   u8 flags (1 own time, 2 metadata) | u8 type length | u8 tag count | [i64 time] | type | tags, each u8 length and
//   bytes | [u32 length and metadata] | payload to the end
namespace event_codec {

// Checks the limits that do not depend on configuration; throws EventTypeInvalid, TagInvalid, TooManyTags.
void validate(const Event& event);
std::size_t encoded_size(const Event& event);
// What limits are about: without a time of its own, with which an event that got none is imported elsewhere.
std::size_t limited_size(const Event& event);
void append(std::string& to, const Event& event);  // of a valid event

// Whether these bytes are a body that EventView can read; nothing is read outside them.
bool well_formed(std::string_view body);

}  // namespace event_codec

}  // namespace azoth
