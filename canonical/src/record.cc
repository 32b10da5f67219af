#include "record.h"

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "azoth/core/limits.h"

namespace azoth {

namespace {

constexpr std::size_t kCommandNumbers = 36;  // before the fingerprint, in the row of a command

[[noreturn]] void malformed(const char* what) {
  throw Error(ErrorCode::Corruption, std::string("a journal record is malformed: ") + what);
}

RecordHeader decode_header(std::string_view record) {
  RecordHeader header = decode_record_header(record);
  if (header.length != record.size()) malformed("its length is not its size");
  return header;
}

}  // namespace

RecordHeader decode_record_header(std::string_view record) {
  if (record.size() < kRecordHeaderBytes) malformed("shorter than its header");
  codec::Reader reader(record);
  RecordHeader header;
  header.length = reader.read<std::uint32_t>();
  header.operations = reader.read<std::uint32_t>();
  header.events = reader.read<std::uint32_t>();
  reader.read<std::uint32_t>();
  header.commit_seq = reader.read<std::uint64_t>();
  header.time = Timestamp(std::chrono::microseconds(reader.read<std::int64_t>()));
  header.first_event = reader.read<std::uint64_t>();
  return header;
}

bool is_own_name(Space space, std::string_view name) {
  switch (space) {
    case Space::Sequence:
      return !name.empty() && name.size() <= limits::kMaxSequenceNameBytes;
    case Space::Command:
      return !name.empty() && name.size() <= limits::kMaxCommandBytes;
    case Space::Meta:
      return name == kSealKey;
    case Space::State:
      break;
  }
  return false;
}

RecordReader::RecordReader(std::string_view record)
    : header_(decode_header(record)), operations_left_(header_.operations), events_left_(header_.events) {
  rest_ = record.substr(kRecordHeaderBytes);
}

std::optional<RecordEntry> RecordReader::next() {
  if (rest_.empty()) {
    if (operations_left_ != 0 || events_left_ != 0) malformed("it has fewer entries than its header says");
    return std::nullopt;
  }
  codec::Reader reader(rest_);
  RecordEntry entry{};
  entry.kind = static_cast<RecordEntry::Kind>(reader.read<std::uint8_t>());
  if (entry.kind == RecordEntry::Kind::Event) {
    entry.value = reader.take(reader.read<std::uint32_t>());
    if (reader.failed() || events_left_-- == 0 || !event_codec::well_formed(entry.value)) malformed("an event");
  } else if (entry.kind == RecordEntry::Kind::Set || entry.kind == RecordEntry::Kind::Unset) {
    auto space = reader.read<std::uint8_t>();
    auto key_size = reader.read<std::uint16_t>();
    std::uint32_t value_size = entry.kind == RecordEntry::Kind::Set ? reader.read<std::uint32_t>() : 0;
    entry.space = static_cast<Space>(space);
    entry.key = reader.take(key_size);
    entry.value = reader.take(value_size);
    // In LMDB the store's own keys have one byte more.
    const std::size_t max_key = entry.space == Space::State ? limits::kMaxKeyBytes : limits::kMaxKeyBytes - 1;
    bool sound =
        !reader.failed() && operations_left_-- != 0 && space <= kLastSpace && key_size != 0 && key_size <= max_key;
    if (!sound) malformed("an operation");
  } else {
    malformed("an entry of unknown kind");
  }
  entry.bytes = rest_.substr(0, rest_.size() - reader.rest().size());
  rest_ = reader.rest();
  return entry;
}

void RecordBuilder::put(WriteSet& set, Space space, std::string_view key, std::string_view value) {
  set.make_room(kSetBytes + key.size() + value.size());
  codec::append(set.record_, static_cast<std::uint8_t>(RecordEntry::Kind::Set));
  codec::append(set.record_, static_cast<std::uint8_t>(space));
  codec::append(set.record_, static_cast<std::uint16_t>(key.size()));
  codec::append(set.record_, static_cast<std::uint32_t>(value.size()));
  set.record_.append(key).append(value);
  ++set.counts_.operations;
  if (space == Space::State) ++set.counts_.puts;
}

void RecordBuilder::del(WriteSet& set, Space space, std::string_view key) {
  set.make_room(kUnsetBytes + key.size());
  codec::append(set.record_, static_cast<std::uint8_t>(RecordEntry::Kind::Unset));
  codec::append(set.record_, static_cast<std::uint8_t>(space));
  codec::append(set.record_, static_cast<std::uint16_t>(key.size()));
  set.record_.append(key);
  ++set.counts_.operations;
  if (space == Space::State) ++set.counts_.deletes;
}

void RecordBuilder::put_command(WriteSet& set, std::string_view id, std::string_view fingerprint_hash) {
  std::string row(kCommandNumbers, '\0');
  row.append(fingerprint_hash);
  put(set, Space::Command, id, row);
  set.counts_.command_row = set.record_.size() - row.size();
}

void RecordBuilder::seal(WriteSet& set, CommitSeq commit_seq, Timestamp time, EventId first_event) {
  if (set.record_.empty()) set.record_.resize(kRecordHeaderBytes);  // moved from
  char* header = set.record_.data();
  codec::store(header, static_cast<std::uint32_t>(set.record_.size()));
  codec::store(header + 4, set.counts_.operations);
  codec::store(header + 8, set.counts_.events);
  codec::store(header + 12, std::uint32_t{0});
  codec::store(header + 16, commit_seq);
  codec::store(header + 24, static_cast<std::int64_t>(time.time_since_epoch().count()));
  first_event = set.counts_.events == 0 ? EventId{0} : first_event;
  codec::store(header + 32, first_event);
  if (set.counts_.command_row == 0) return;
  char* row = header + set.counts_.command_row;
  codec::store(row, commit_seq);
  codec::store(row + 8, first_event);
  codec::store(row + 16, static_cast<std::int64_t>(time.time_since_epoch().count()));
  codec::store(row + 24, set.counts_.events);
  codec::store(row + 28, set.counts_.puts);
  codec::store(row + 32, set.counts_.deletes);
}

}  // namespace azoth
