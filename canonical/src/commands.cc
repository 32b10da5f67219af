#include "commands.h"

#include "azoth/core/bytes.h"
#include "azoth/core/codec.h"
#include "azoth/core/digest.h"
#include "azoth/core/error.h"
#include "azoth/core/limits.h"
#include "record.h"

namespace azoth {

namespace {

constexpr std::size_t kFingerprintBytes = 32;

std::string hash_of(std::string_view fingerprint) {
  if (fingerprint.empty()) return {};
  Digest digest;
  digest.add(fingerprint);
  return *from_hex(digest.finish_hex());
}

struct Row {
  CommitInfo info;
  std::string_view fingerprint;
};

Row decode(std::string_view id, std::string_view bytes) {
  codec::Reader reader(bytes);
  Row row;
  row.info.commit_seq = reader.read<CommitSeq>();
  row.info.first_event = reader.read<EventId>();
  row.info.time = Timestamp(std::chrono::microseconds(reader.read<std::int64_t>()));
  row.info.events = reader.read<std::uint32_t>();
  row.info.keys_written = reader.read<std::uint32_t>();
  row.info.keys_deleted = reader.read<std::uint32_t>();
  row.info.last_event = row.info.events == 0 ? 0 : row.info.first_event + row.info.events - 1;
  row.info.already_applied = true;
  row.fingerprint = reader.rest();
  bool sound = !reader.failed() && (row.fingerprint.empty() || row.fingerprint.size() == kFingerprintBytes);
  if (!sound) {
    throw Error(ErrorCode::Corruption,
                "the row of command " + printable(id) + " cannot be decoded; restore the store from a backup");
  }
  return row;
}

}  // namespace

void check_command(const Command& command) {
  if (!command.id.empty() && command.id.size() <= limits::kMaxCommandBytes) return;
  throw Error(ErrorCode::InvalidArgument, "a command id has 1 to " + std::to_string(limits::kMaxCommandBytes) +
                                              " bytes, and this one has " + std::to_string(command.id.size()));
}

std::string command_lock(std::string_view id) {
  return std::string(1, static_cast<char>(Space::Command)).append(id);
}

void record_command(WriteSet& set, const Command& command) {
  RecordBuilder::put_command(set, command.id, hash_of(command.fingerprint));
}

CommitInfo decode_command(std::string_view id, std::string_view row) { return decode(id, row).info; }

std::optional<CommitInfo> find_command(const Snapshot& snapshot, const Command& command) {
  auto bytes = snapshot.get(Space::Command, command.id);
  if (!bytes) return std::nullopt;
  Row row = decode(command.id, *bytes);
  bool both = !row.fingerprint.empty() && !command.fingerprint.empty();
  if (both && row.fingerprint != hash_of(command.fingerprint)) {
    throw Error(ErrorCode::CommandMismatch, "command " + printable(command.id) + " was done by commit " +
                                                std::to_string(row.info.commit_seq) +
                                                " with other content; a new request needs a new command id");
  }
  return row.info;
}

OldCommands::OldCommands() : commands_(Uuid::random().bytes[0] % (kRowsAtOnce / 2)) {}

bool OldCommands::due() {
  if (++commands_ < kRowsAtOnce / 2) return false;
  commands_ = 0;
  return true;
}

// Of what LMDB holds: nothing in the Deltas is old.
std::vector<OldCommands::Found> OldCommands::next(const Snapshot& snapshot, Timestamp before, std::string_view first) {
  if (!after_) after_ = first;
  std::vector<Found> found;
  const std::string space(1, static_cast<char>(Space::Command));
  const std::string begin = space + *after_;
  LmdbCursor cursor = snapshot.lmdb().cursor(Table::System);
  bool there = cursor.seek(begin);
  if (there && cursor.key() == begin) there = cursor.next();
  bool around = false;  // the end of all rows was reached
  for (std::size_t rows = 0; rows < kRowsAtOnce; ++rows, there = cursor.next()) {
    if (!around && (!there || !cursor.key().starts_with(space))) {
      around = true;
      there = cursor.seek(space);
    }
    if (!there || !cursor.key().starts_with(space) || (around && cursor.key() > begin)) break;
    std::string_view id = cursor.key().substr(1);
    Row row = decode(id, snapshot.rows().value(cursor.key(), cursor.value(), true));
    if (row.info.time < before) found.push_back({std::string(id), row.info.commit_seq});
    after_ = id;
  }
  return found;
}

}  // namespace azoth
