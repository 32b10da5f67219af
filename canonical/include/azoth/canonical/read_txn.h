// A ReadTxn is a consistent snapshot of state and events at one commit. It never blocks writers and never waits.
//
// What it hands out (values, keys, events) are views, valid while the ReadTxn lives and is not moved from. One thread
// at a time; as many ReadTxns as Options::max_readers. It may outlive the Db object that made it. A ReadTxn that lives
// long keeps the disk pages of its time from being reused: the file grows meanwhile.
//
// All reads throw Error(Corruption) when Options::verify_reads is on and stored bytes do not match their checksum.
#pragma once

#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "azoth/canonical/condition.h"
#include "azoth/core/bytes.h"
#include "azoth/core/event.h"
#include "azoth/core/ids.h"

namespace azoth {

inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

class Snapshot;       // canonical/src/snapshot.h
class StateCursor;
class EventCursor;

using StateEntry = std::pair<std::string_view, std::string_view>;  // key and value

struct ScanOptions {
  bool reverse = false;
  std::uint64_t limit = kNoLimit;
};

struct KeyRange {
  std::optional<std::string> from = {};  // inclusive; from the first key if not given
  std::optional<std::string> to = {};    // exclusive; to the last key if not given
};

struct EventQuery {
  EventId after = 0;                                       // exclusive
  EventId to = std::numeric_limits<EventId>::max();        // inclusive
  std::vector<std::string> types = {};                     // any of these; all types if empty
  std::vector<std::string> tags = {};                      // all of these; all events if empty
  bool reverse = false;                                    // newest first
  std::uint64_t limit = kNoLimit;
};

// Input ranges: one pass, `for (auto x : range)`. An iterator that is advanced invalidates nothing that was handed out
// before, as all views live as long as the ReadTxn.
template <class Cursor, class Item>
class CursorRange {
 public:
  class Iterator {
   public:
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(Cursor* cursor) : cursor_(cursor) {}
    Item operator*() const;
    Iterator& operator++();
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const;

   private:
    Cursor* cursor_;
  };

  explicit CursorRange(std::unique_ptr<Cursor> cursor);
  CursorRange(CursorRange&&) noexcept;
  CursorRange& operator=(CursorRange&&) noexcept;
  ~CursorRange();

  Iterator begin() { return Iterator(cursor_.get()); }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::unique_ptr<Cursor> cursor_;
};

using StateRange = CursorRange<StateCursor, StateEntry>;
using EventRange = CursorRange<EventCursor, EventView>;

// Events that a decision rests on, with the condition that nothing of their kind has come since.
//
//   azoth::ReadTxn snapshot = db.read();
//   azoth::GuardedEvents seats = snapshot.guarded({{.types = {"seat taken"}, .tags = {"course:c1"}}});
//   for (const azoth::EventView& event : seats.events()) ...                    // is one free?
//   db.submit(std::move(set), std::array{seats.unchanged()})                    // rejected if one was taken meanwhile
//
// Its events live as long as the ReadTxn; the condition is a value of its own.
class GuardedEvents {
 public:
  // In id order, each once, whatever patterns it fits.
  EventRange events() const;
  // No event that fits has been appended after this snapshot.
  const Condition& unchanged() const { return unchanged_; }

 private:
  friend class ReadTxn;
  GuardedEvents(const Snapshot& snapshot, EventId after, Condition unchanged)
      : snapshot_(&snapshot), after_(after), unchanged_(std::move(unchanged)) {}

  const Snapshot* snapshot_;
  EventId after_;
  Condition unchanged_;
};

class ReadTxn {
 public:
  ReadTxn(ReadTxn&&) noexcept;
  ReadTxn& operator=(ReadTxn&&) noexcept;
  ~ReadTxn();

  CommitSeq commit_seq() const;  // the commit this is a snapshot of
  EventId last_event() const;    // its newest event, 0 if there is none

  std::optional<std::string_view> get(BytesView key) const;
  std::vector<std::optional<std::string_view>> get_many(std::span<const std::string_view> keys) const;
  bool exists(BytesView key) const;

  // Keys in byte order (or against it). An empty prefix is the whole state.
  StateRange scan(BytesView prefix = {}, ScanOptions options = {}) const;
  StateRange range(KeyRange range, ScanOptions options = {}) const;

  std::optional<EventView> event(EventId id) const;
  // Events in id order (or against it). A query with tags walks the index of its first tag.
  EventRange events(EventQuery query = {}) const;

  // The events after a position that fit any of the patterns, to decide on; errors as Condition::no_event().
  GuardedEvents guarded(std::vector<EventPattern> patterns, EventId after = 0) const;
  // The id of the newest event that carries a tag, 0 if none does: what Condition::tag_version() expects.
  EventId tag_version(std::string_view tag) const;

 private:
  friend class Store;
  friend class WriteTxn;
  friend class ReadTxnMaker;
  explicit ReadTxn(std::unique_ptr<Snapshot> snapshot);

  std::unique_ptr<Snapshot> snapshot_;
};

}  // namespace azoth
