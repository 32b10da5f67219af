// Records: one transaction as the journal holds it (docs/format.md, "Record").
//
//   u32 length (of all of it) | u32 operations | u32 events | u32 zero
//   u64 commit_seq | i64 commit time (microseconds) | u64 id of the first event (0 if none)
//   entries, in the order in which they take effect:
//     0x01 set    u8 space | u16 key length | u32 value length | key | value
//     0x02 unset  u8 space | u16 key length | key
//     0x03 event  u32 length | event body (azoth/core/event.h)
//
// A WriteSet is a record under construction: its entries are final, its header is filled in when it is sequenced.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "azoth/canonical/write_set.h"
#include "azoth/core/clock.h"
#include "azoth/core/ids.h"

namespace azoth {

// Whose keys: the user's state, or the store's own. On disk; never renumbered.
enum class Space : std::uint8_t { State = 0, Sequence = 1, Command = 2, Meta = 3 };
inline constexpr std::uint8_t kLastSpace = 3;

// Where in the Meta space a seal is kept: the id of the last event. Nothing else is there.
inline constexpr std::string_view kSealKey = "seal";
// Whether a row of the store's own may be called so.
bool is_own_name(Space space, std::string_view name);

inline constexpr std::size_t kRecordHeaderBytes = 40;
// What an entry has besides key and value, key, and event body.
inline constexpr std::size_t kSetBytes = 8;
inline constexpr std::size_t kUnsetBytes = 4;
inline constexpr std::size_t kEventBytes = 5;

struct RecordHeader {
  std::uint32_t length = 0;
  std::uint32_t operations = 0;
  std::uint32_t events = 0;
  CommitSeq commit_seq = 0;
  Timestamp time{};
  EventId first_event = 0;

  EventId last_event() const { return events == 0 ? 0 : first_event + events - 1; }
};

// Of the first bytes of a record, whatever follows. Throws Corruption if they are too few.
RecordHeader decode_record_header(std::string_view bytes);

struct RecordEntry {
  enum class Kind : std::uint8_t { Set = 1, Unset = 2, Event = 3 };
  Kind kind;
  Space space = Space::State;
  std::string_view key;    // of set and unset
  std::string_view value;  // of set; the body of an event
  std::string_view bytes;  // all of the entry
};

// Walks the entries of a record. Trusts nothing: a malformed record throws Corruption, and nothing outside it is read.
class RecordReader {
 public:
  explicit RecordReader(std::string_view record);

  const RecordHeader& header() const { return header_; }
  std::optional<RecordEntry> next();

 private:
  std::string_view rest_;
  RecordHeader header_;
  std::uint32_t operations_left_;
  std::uint32_t events_left_;
};

// What a WriteSet lets the store do, and its users not.
class RecordBuilder {
 public:
  static void make_room(WriteSet& set, std::size_t bytes) { set.make_room(bytes); }
  static void put(WriteSet& set, Space space, std::string_view key, std::string_view value);
  static void del(WriteSet& set, Space space, std::string_view key);
  // The row of the command that the set carries out (commands.h); one at most.
  static void put_command(WriteSet& set, std::string_view id, std::string_view fingerprint_hash);

  // Fills in the header; what remains is bytes().
  static void seal(WriteSet& set, CommitSeq commit_seq, Timestamp time, EventId first_event);
  static std::string_view bytes(const WriteSet& set) { return set.record_; }
  static std::string take(WriteSet&& set) {
    set.counts_ = {};
    return std::exchange(set.record_, {});
  }
};

}  // namespace azoth
