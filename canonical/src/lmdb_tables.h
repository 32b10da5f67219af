// What is in LMDB's tables (docs/format.md, "LMDB"), and how a Delta gets there.
//
//   state    key                     -> u32 checksum | value
//   events   id (big-endian)         -> u32 checksum | u64 commit_seq | i64 commit time | event body
//   tags     tag 0x00 id (big-end.)  -> nothing
//   system   u8 space | key          -> u32 checksum | value     (the store's own spaces)
//            0xF0 "head"             -> u32 checksum | Head
//            0xF0 "store"            -> u32 checksum | store id, creation time, repair, first segment, timelines
//            0xF0 "bulk" commit piece  (bulk_rows.h)
//
// Each checksum covers key and value and is seeded with the store's id, so that a row that was swapped, moved or comes
// from another store is found out.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "azoth/core/bytes.h"
#include "azoth/core/codec.h"
#include "azoth/core/event.h"
#include "azoth/core/timeline.h"
#include "delta.h"
#include "journal.h"
#include "lmdb_env.h"

namespace azoth {

inline constexpr std::size_t kValuePrefixBytes = 4;
inline constexpr std::size_t kEventPrefixBytes = 20;

// The store's identity as LMDB holds it.
struct StoreRow {
  Uuid store_id;
  Timestamp created{};
  // Set while a repair is under way: where it cuts. It has moved commits of a damaged journal here, perhaps not all
  // that it keeps, and until it has ended the store is not to be used.
  std::optional<CommitSeq> repair_keeps_through{};
  std::uint64_t first_segment = 1;  // of the current timeline; what has a lower number is from before
  Lineage lineage{};                // at least one

  const Uuid& timeline() const { return lineage.front().id; }
};

// The sums of the checksums of all rows, kept up to date with each row that changes: a row that was taken back to what
// it was, or came from another copy of the store, has a checksum that is right and makes the sum wrong.
struct RowSums {
  std::uint64_t state = 0;
  std::uint64_t events = 0;
  std::uint64_t own = 0;  // of the spaces in `system`, without what describes LMDB itself

  friend bool operator==(const RowSums&, const RowSums&) = default;
};

// What LMDB holds, written in the transaction that makes it so.
struct Head {
  CommitSeq last_commit = 0;
  EventId last_event = 0;
  std::uint64_t state_keys = 0;
  std::uint64_t tag_entries = 0;
  Timestamp latest = Timestamp::min();  // no commit so far is later
  RowSums sums = {};
  std::optional<JournalTail> clean;  // set by a clean close: where the journal ended
};

// Encodes and checks rows for one store.
class Rows {
 public:
  explicit Rows(const Uuid& store_id);

  std::uint32_t checksum(std::string_view key, std::string_view value) const;
  // The value of a state or system row; throws Corruption if `verify` and the checksum does not match.
  std::string_view value(std::string_view key, std::string_view row, bool verify) const;
  EventView event(EventId id, std::string_view row, bool verify) const;

  // Both answer the row's checksum. append: the key is larger than all others.
  std::uint32_t put_value(LmdbWriteTxn& txn, Table table, std::string_view key, std::string_view value,
                          bool append = false) const;
  std::uint32_t append_event(LmdbWriteTxn& txn, const EventView& event) const;
  std::uint32_t event_checksum(const EventView& event) const;  // that its row has, or would have
  // As the row says itself; 0 of a row that is not there, or too short for one.
  static std::uint32_t stored_checksum(std::optional<std::string_view> row);

  void put_head(LmdbWriteTxn& txn, const Head& head) const;
  template <class Txn>
  Head head(const Txn& txn) const {
    return decode_head(txn.get(Table::System, head_key()));
  }
  void put_store(LmdbWriteTxn& txn, const StoreRow& row) const;
  template <class Txn>
  StoreRow store(const Txn& txn) const {
    return decode_store(txn.get(Table::System, store_key()));
  }

  static std::string_view head_key();
  static std::string_view store_key();

 private:
  [[noreturn]] static void event_is_damaged(EventId id, const char* how);
  Head decode_head(std::optional<std::string_view> row) const;
  StoreRow decode_store(std::optional<std::string_view> row) const;

  std::uint64_t seed_;
};

// Here, so that a cursor decodes into its own event: a copy of fields that were just written waits for them.
inline EventView Rows::event(EventId id, std::string_view row, bool verify) const {
  if (row.size() < kEventPrefixBytes) event_is_damaged(id, " is cut short");
  std::array<char, 8> key;
  codec::store_big(key.data(), id);
  if (verify && codec::load<std::uint32_t>(row.data()) != checksum({key.data(), key.size()}, row.substr(4))) {
    event_is_damaged(id, " does not match its checksum");
  }
  std::string_view body = row.substr(kEventPrefixBytes);
  if (!verify && !event_codec::well_formed(body)) event_is_damaged(id, " cannot be decoded");
  return {id, codec::load<CommitSeq>(row.data() + 4),
          Timestamp(std::chrono::microseconds(codec::load<std::int64_t>(row.data() + 12))), body};
}

std::string tag_key(std::string_view tag, EventId id);
std::string event_key(EventId id);
inline constexpr std::uint8_t kOwnRows = 0xF0;
// Whether a row of `system` is one of the store's own spaces, and not of what describes LMDB itself.
inline bool is_own_space(std::string_view system_key) {
  return !system_key.empty() && static_cast<std::uint8_t>(system_key.front()) <= kLastSpace;
}

struct FlushOptions {
  bool bulk = false;            // the Delta is one bulk transaction, whose operations are kept: the journal has none
  CommitSeq journal_begin = 0;  // what the journal holds begins here; kept operations of commits before it are dropped
};

// Brings LMDB from the commit before the Delta to the Delta's last one, in one synced transaction: each key once, in
// key order; events at the end; tag entries in order; the head. Throws NoSpace if there was no room, and nothing
// changed; after any other error it is unknown whether LMDB has committed.
void flush_delta(LmdbEnv& env, const Rows& rows, const Delta& delta, const FlushOptions& options = {});

}  // namespace azoth
