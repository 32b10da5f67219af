#include "records.h"

#include "azoth/core/codec.h"
#include "azoth/core/error.h"

namespace azoth::backup::records {

namespace {

[[noreturn]] void malformed(const char* what) {
  throw Error(ErrorCode::Corruption, std::string("a snapshot has a record that is no ") + what);
}

}  // namespace

void encode_head(const StateRow& row, std::string& to) {
  to.clear();
  codec::append(to, static_cast<std::uint16_t>(row.key.size()));
  to.append(row.key);
}

void encode(const StateRow& row, std::string& to) {
  encode_head(row, to);
  to.append(row.value);
}

StateRow state_row(std::string_view record) {
  codec::Reader reader(record);
  StateRow row{};
  row.key = reader.take(reader.read<std::uint16_t>());
  row.value = reader.rest();
  if (reader.failed() || row.key.empty()) malformed("key and value");
  return row;
}

void encode_head(const EventView& event, std::string& to) {
  to.clear();
  codec::append(to, event.id());
  codec::append(to, event.commit_seq());
  codec::append(to, std::int64_t{event.commit_time().time_since_epoch().count()});
}

void encode(const EventView& event, std::string& to) {
  encode_head(event, to);
  to.append(event.body());
}

EventView event(std::string_view record) {
  codec::Reader reader(record);
  const auto id = reader.read<EventId>();
  const auto commit = reader.read<CommitSeq>();
  const Timestamp time{std::chrono::microseconds(reader.read<std::int64_t>())};
  if (reader.failed() || !event_codec::well_formed(reader.rest())) malformed("event");
  return {id, commit, time, reader.rest()};
}

void encode(const OwnRow& row, std::string& to) {
  to.clear();
  to += static_cast<char>(row.space);
  codec::append(to, static_cast<std::uint16_t>(row.key.size()));
  to.append(row.key).append(row.value);
}

OwnRow own_row(std::string_view record) {
  codec::Reader reader(record);
  OwnRow row{};
  row.space = reader.read<std::uint8_t>();
  row.key = reader.take(reader.read<std::uint16_t>());
  row.value = reader.rest();
  if (reader.failed() || row.key.empty()) malformed("row of the store's own");
  return row;
}

void encode(const CommitPiece& piece, std::string& to) {
  to.assign(1, piece.last ? '\1' : '\0');
  to.append(piece.bytes);
}

CommitPiece commit_piece(std::string_view record) {
  if (record.empty() || static_cast<unsigned char>(record.front()) > 1) malformed("piece of a commit");
  return {record.front() == '\1', record.substr(1)};
}

}  // namespace azoth::backup::records
