#include "lmdb_tables.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "azoth/core/codec.h"
#include "azoth/core/digest.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/limits.h"
#include "bulk_rows.h"

namespace azoth {

namespace {

[[noreturn]] void corrupt(const std::string& what) {
  throw Error(ErrorCode::Corruption, what + "; restore the store from a backup");
}

Uuid take_uuid(codec::Reader& reader) {
  Uuid id;
  std::string_view bytes = reader.take(id.bytes.size());
  if (!reader.failed()) std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  return id;
}

// tag, 0x00, id: on the stack, as one is needed for each tag of each event.
class TagKey {
 public:
  explicit TagKey(std::string_view tag) : size_(tag.size() + 1) {
    tag.copy(bytes_.data(), tag.size());
    bytes_[tag.size()] = '\0';
  }
  std::string_view with(EventId id) {
    codec::store_big(bytes_.data() + size_, id);
    return {bytes_.data(), size_ + sizeof id};
  }

 private:
  std::array<char, 255 + 1 + 8> bytes_;
  std::size_t size_;
};

void apply_versions(LmdbWriteTxn& txn, const Rows& rows, const Delta& delta, RowSums& sums) {
  const VersionMap::Node* previous = nullptr;
  std::string system_key;
  for (const auto* node = delta.versions().first(); node != nullptr; node = node->after()) {
    // Of a commit that there was no memory for, half of which may be here: it hides nothing.
    if (node->commit_seq > delta.last_commit()) continue;
    // The newest version of a key comes first; the older ones are of no interest to LMDB.
    bool older = previous != nullptr && previous->space == node->space && previous->key() == node->key();
    previous = node;
    if (older) continue;
    Table table = Table::State;
    std::string_view key = node->key();
    if (node->space != Space::State) {
      table = Table::System;
      system_key.assign(1, static_cast<char>(node->space)).append(key);
      key = system_key;
    }
    std::uint64_t& sum = table == Table::State ? sums.state : sums.own;
    sum -= Rows::stored_checksum(txn.seek(table, key));
    if (node->removed()) {
      txn.del(table, key);
    } else {
      sum += rows.put_value(txn, table, key, node->value_view());
    }
  }
}

void apply_tags(LmdbWriteTxn& txn, const Delta& delta, EventId last_event) {
  for (const TagIndex::Tag* tag : delta.tags().sorted()) {
    TagKey key(tag->text());
    TagIds ids(tag, 0, last_event);
    for (std::size_t i = 0; i < ids.size(); ++i) txn.reserve(Table::Tags, key.with(ids[i]), 0, false);
  }
}

// What the transaction may add to the data file at most: copied leaves, new ones at worst half full, as much again for
// what stands above them, and the list of the pages that large values gave up.
std::uint64_t disk_needed(LmdbEnv& env, const Delta& delta) {
  constexpr std::uint64_t kRest = 64;  // branches, the system table, what else becomes free
  constexpr std::uint64_t kFreeEntry = 8;
  constexpr std::uint64_t kMostFreed = std::uint64_t{8} << 20;  // pages: those of 32 GiB, which are listed in 64 MiB
  const LmdbEnv::Pages state = env.pages(Table::State);
  const LmdbEnv::Pages tags = env.pages(Table::Tags);
  const std::uint64_t versions = delta.versions().size();
  const std::uint64_t copied =
      (std::min<std::uint64_t>(versions, state.leaf) + std::min<std::uint64_t>(delta.tags().entries(), tags.leaf)) *
      state.bytes;
  const std::uint64_t freed =
      std::min({state.overflow, versions * (limits::kMaxRaisedBytes / state.bytes + 1), kMostFreed});
  return copied + copied / 16 + freed * kFreeEntry + 2 * delta.bytes() + kRest * state.bytes;
}

}  // namespace

Rows::Rows(const Uuid& store_id) : seed_(checksum64(store_id.view())) {}

std::uint32_t Rows::checksum(std::string_view key, std::string_view value) const {
  return static_cast<std::uint32_t>(checksum64(value, checksum64(key, seed_)));
}

std::string_view Rows::value(std::string_view key, std::string_view row, bool verify) const {
  if (row.size() < kValuePrefixBytes) corrupt("the row of key " + printable(key) + " is cut short");
  std::string_view value = row.substr(kValuePrefixBytes);
  if (verify && codec::load<std::uint32_t>(row.data()) != checksum(key, value)) {
    corrupt("the value of key " + printable(key) + " does not match its checksum");
  }
  return value;
}

void Rows::event_is_damaged(EventId id, const char* how) { corrupt("event " + std::to_string(id) + how); }

std::uint32_t Rows::put_value(LmdbWriteTxn& txn, Table table, std::string_view key, std::string_view value,
                              bool append) const {
  char* to = txn.reserve(table, key, kValuePrefixBytes + value.size(), append);
  const std::uint32_t sum = checksum(key, value);
  codec::store(to, sum);
  value.copy(to + kValuePrefixBytes, value.size());
  return sum;
}

std::uint32_t Rows::stored_checksum(std::optional<std::string_view> row) {
  return row && row->size() >= kValuePrefixBytes ? codec::load<std::uint32_t>(row->data()) : 0;
}

namespace {

// Behind the checksum.
void store_event(char* to, const EventView& event) {
  codec::store(to, event.commit_seq());
  codec::store(to + 8, static_cast<std::int64_t>(event.commit_time().time_since_epoch().count()));
  event.body().copy(to + 16, event.body().size());
}

std::array<char, 8> event_key_bytes(EventId id) {
  std::array<char, 8> key;
  codec::store_big(key.data(), id);
  return key;
}

}  // namespace

std::uint32_t Rows::append_event(LmdbWriteTxn& txn, const EventView& event) const {
  const std::array<char, 8> key = event_key_bytes(event.id());
  std::string_view key_view(key.data(), key.size());
  std::size_t size = kEventPrefixBytes + event.body().size();
  char* to = txn.reserve(Table::Events, key_view, size, true);
  store_event(to + 4, event);
  const std::uint32_t sum = checksum(key_view, {to + 4, size - 4});
  codec::store(to, sum);
  return sum;
}

std::uint32_t Rows::event_checksum(const EventView& event) const {
  const std::array<char, 8> key = event_key_bytes(event.id());
  std::string row(kEventPrefixBytes - 4 + event.body().size(), '\0');
  store_event(row.data(), event);
  return checksum({key.data(), key.size()}, row);
}

std::string_view Rows::head_key() { return "\xF0head"; }
std::string_view Rows::store_key() { return "\xF0store"; }

void Rows::put_head(LmdbWriteTxn& txn, const Head& head) const {
  std::string bytes;
  codec::append(bytes, head.last_commit);
  codec::append(bytes, head.last_event);
  codec::append(bytes, head.state_keys);
  codec::append(bytes, head.tag_entries);
  codec::append(bytes, std::int64_t{head.latest.time_since_epoch().count()});
  codec::append(bytes, head.sums.state);
  codec::append(bytes, head.sums.events);
  codec::append(bytes, head.sums.own);
  if (head.clean) {
    codec::append(bytes, head.clean->segment_number);
    codec::append(bytes, head.clean->valid_bytes);
    codec::append(bytes, head.clean->checksum);
    codec::append(bytes, head.clean->last_commit);
  }
  put_value(txn, Table::System, head_key(), bytes);
}

Head Rows::decode_head(std::optional<std::string_view> row) const {
  if (!row) corrupt("LMDB's head row is missing");
  codec::Reader reader(value(head_key(), *row, true));
  Head head;
  head.last_commit = reader.read<std::uint64_t>();
  head.last_event = reader.read<std::uint64_t>();
  head.state_keys = reader.read<std::uint64_t>();
  head.tag_entries = reader.read<std::uint64_t>();
  head.latest = Timestamp(std::chrono::microseconds(reader.read<std::int64_t>()));
  head.sums.state = reader.read<std::uint64_t>();
  head.sums.events = reader.read<std::uint64_t>();
  head.sums.own = reader.read<std::uint64_t>();
  if (!reader.rest().empty()) {
    JournalTail tail;
    tail.segment_number = reader.read<std::uint64_t>();
    tail.valid_bytes = reader.read<std::uint64_t>();
    tail.checksum = reader.read<std::uint64_t>();
    tail.last_commit = reader.read<std::uint64_t>();
    head.clean = tail;
  }
  if (reader.failed() || !reader.rest().empty()) corrupt("LMDB's head row cannot be decoded");
  return head;
}

void Rows::put_store(LmdbWriteTxn& txn, const StoreRow& row) const {
  std::string bytes;
  bytes.append(row.store_id.view());
  codec::append(bytes, static_cast<std::int64_t>(row.created.time_since_epoch().count()));
  codec::append(bytes, row.repair_keeps_through ? *row.repair_keeps_through + 1 : CommitSeq{0});
  codec::append(bytes, row.first_segment);
  for (const Timeline& line : row.lineage) {
    bytes.append(line.id.view()).append(line.parent.view());
    codec::append(bytes, line.fork);
  }
  put_value(txn, Table::System, store_key(), bytes);
}

StoreRow Rows::decode_store(std::optional<std::string_view> row) const {
  if (!row) corrupt("LMDB's store row is missing");
  codec::Reader reader(value(store_key(), *row, true));
  StoreRow store;
  store.store_id = take_uuid(reader);
  store.created = Timestamp(std::chrono::microseconds(reader.read<std::int64_t>()));
  CommitSeq cut = reader.read<CommitSeq>();
  if (cut != 0) store.repair_keeps_through = cut - 1;
  store.first_segment = reader.read<std::uint64_t>();
  do {
    Timeline line;
    line.id = take_uuid(reader);
    line.parent = take_uuid(reader);
    line.fork = reader.read<CommitSeq>();
    store.lineage.push_back(line);
  } while (!reader.failed() && !reader.rest().empty());
  if (reader.failed()) corrupt("LMDB's store row cannot be decoded");
  return store;
}

std::string tag_key(std::string_view tag, EventId id) { return std::string(TagKey(tag).with(id)); }

std::string event_key(EventId id) {
  std::string key(8, '\0');
  codec::store_big(key.data(), id);
  return key;
}

void flush_delta(LmdbEnv& env, const Rows& rows, const Delta& delta, const FlushOptions& options) {
  env.reserve_disk(disk_needed(env, delta) * (options.bulk ? 2 : 1));
  LmdbWriteTxn txn(env);
  Head head = rows.head(txn);
  if (head.last_commit + 1 != delta.first_commit() || head.last_event + 1 != delta.first_event()) {
    corrupt("LMDB ends with commit " + std::to_string(head.last_commit) + " and the next one is " +
            std::to_string(delta.first_commit()));
  }
  EventId last_event = delta.last_event(delta.last_commit());
  if (int error = AZOTH_FAULT("flush.apply")) throw_errno(error, "writing to LMDB");
  apply_versions(txn, rows, delta, head.sums);
  for (EventId id = delta.first_event(); id <= last_event; ++id) {
    head.sums.events += rows.append_event(txn, delta.event(id));
  }
  apply_tags(txn, delta, last_event);
  if (options.bulk) put_bulk_record(txn, rows, delta.newest_record());
  drop_bulk_records(txn, options.journal_begin);
  rows.put_head(txn, {.last_commit = delta.last_commit(),
                      .last_event = last_event,
                      .state_keys = txn.entries(Table::State),
                      .tag_entries = txn.entries(Table::Tags),
                      .latest = std::max(head.latest, delta.latest()),
                      .sums = head.sums,
                      .clean = std::nullopt});
  txn.commit(delta.last_commit());
}

}  // namespace azoth
