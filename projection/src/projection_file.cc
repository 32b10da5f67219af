#include "projection_file.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "azoth/core/event.h"
#include "azoth/core/fault.h"

namespace azoth {

namespace {

constexpr std::int64_t kApplicationId = 0x415a504a;  // "AZPJ"
constexpr std::int64_t kFormat = 1;
constexpr std::size_t kFingerprintDigits = 64;   // of a Digest
constexpr std::uint64_t kWritingVersionAt = 18;  // of SQLite's header: above 2 it only reads
constexpr int kCheckpointPages = 1000;           // 4 MiB
constexpr int kTruncatePages = 64'000;           // readers have kept the log from starting over: 256 MiB

constexpr std::string_view kTables = R"(
CREATE TABLE azoth_projection (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  store_id TEXT NOT NULL,
  timeline TEXT NOT NULL,
  event_id INTEGER NOT NULL,
  commit_seq INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE azoth_dead_letters (
  event_id INTEGER PRIMARY KEY,
  commit_seq INTEGER NOT NULL,
  commit_time INTEGER NOT NULL,
  body BLOB NOT NULL,
  attempts INTEGER NOT NULL,
  error TEXT NOT NULL,
  first_failed INTEGER NOT NULL,
  last_failed INTEGER NOT NULL
) STRICT;
)";

// SQLite's integers are signed; what is stored is the same 64 bits.
std::int64_t to_sql(std::uint64_t value) { return std::bit_cast<std::int64_t>(value); }
std::uint64_t from_sql(std::int64_t value) { return std::bit_cast<std::uint64_t>(value); }
std::int64_t to_sql(Timestamp time) { return time.time_since_epoch().count(); }
Timestamp time_from_sql(std::int64_t value) { return Timestamp{std::chrono::microseconds{value}}; }

std::int64_t pragma(Connection& connection, std::string_view name) {
  SqlStatement statement = connection.prepare("PRAGMA " + std::string(name));
  return statement.step() ? statement.int64(0) : 0;
}

void insert_header(Connection& connection, const Projection& projection, const Cursor& start) {
  connection.run("INSERT INTO azoth_projection VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", projection.name(),
                 projection.version(), projection.fingerprint(), start.store_id.text(), start.timeline.text(),
                 to_sql(start.event_id), to_sql(start.commit_seq), to_sql(start.checksum));
}

DeadLetter read_dead_letter(const SqlStatement& row) {
  DeadLetter letter;
  letter.event_id = from_sql(row.int64(0));
  letter.commit_seq = from_sql(row.int64(1));
  letter.commit_time = time_from_sql(row.int64(2));
  letter.body = row.blob(3);
  if (!event_codec::well_formed(letter.body)) {
    throw Error(ErrorCode::Corruption, "the dead letter of event " + std::to_string(letter.event_id) + " is damaged");
  }
  letter.attempts = static_cast<std::uint32_t>(row.int64(4));
  letter.error = row.text(5);
  letter.first_failed = time_from_sql(row.int64(6));
  letter.last_failed = time_from_sql(row.int64(7));
  return letter;
}

constexpr std::string_view kSelectDeadLetters =
    "SELECT event_id, commit_seq, commit_time, body, attempts, error, first_failed, last_failed FROM "
    "azoth_dead_letters";

}  // namespace

// --- Cursor

Cursor start_of(EventSource& source) {
  return {.store_id = source.store_id(), .timeline = source.lineage().front().id};
}

Cursor cursor_at(const Cursor& before, const EventView& event) {
  return {before.store_id, before.timeline, event.id(), event.commit_seq(), checksum_of(event)};
}

void know_through(EventId event, EventSource& source) {
  if (source.newest() < event) source.refresh();
}

std::optional<std::string> mismatch(const Cursor& cursor, EventSource& source) {
  if (cursor.store_id != source.store_id()) {
    return "it was built from another store (" + cursor.store_id.text() + ")";
  }
  std::optional<CommitSeq> shared = shared_through(source.lineage(), cursor.timeline);
  if (!shared) return "it was built from timeline " + cursor.timeline.text() + ", which is not in the store's history";
  if (cursor.commit_seq > *shared) {
    return "it shows commit " + std::to_string(cursor.commit_seq) + " of timeline " + cursor.timeline.text() +
           ", of which the store's history has only what is up to commit " + std::to_string(*shared);
  }
  if (cursor.event_id == 0) return std::nullopt;
  know_through(cursor.event_id, source);
  const std::string event = "event " + std::to_string(cursor.event_id);
  EventSlice slice;
  source.read(cursor.event_id - 1, {.events = 1}, slice);
  if (slice.empty() || slice[0].id() != cursor.event_id) {
    return "it shows " + event + ", which the store does not have: the store may have lost events";
  }
  if (checksum_of(slice[0]) != cursor.checksum) {
    return event + " is not the one that it shows: the store's history was changed";
  }
  return std::nullopt;
}

Lag lag_behind(EventSource& source, EventId cursor, Timestamp now) {
  Lag lag;
  lag.newest = std::max(source.newest(), cursor);
  lag.events = lag.newest - cursor;
  if (lag.events == 0) return lag;
  EventSlice next;
  source.read(cursor, {.events = 1}, next);
  if (!next.empty()) lag.time = std::max(now - next[0].commit_time(), std::chrono::microseconds{0});
  return lag;
}

std::optional<std::string> outdated(const ProjectionFile& file, const Projection& projection) {
  if (file.version() != projection.version()) {
    return "version " + std::to_string(projection.version()) + " takes the place of version " +
           std::to_string(file.version());
  }
  if (file.fingerprint() != projection.fingerprint()) return "its declaration has changed";
  return std::nullopt;
}

// --- ProjectionFile

void ProjectionFile::create(FileSystem& fs, const std::filesystem::path& path, const Projection& projection,
                            const Cursor& start) {
  fs.open(path, FileSystem::Mode::Create).reset();  // by us, so that nobody else may read it
  Connection connection(path, projection.is_synced() ? Connection::Mode::WriteFull : Connection::Mode::Write);
  connection.run_script("PRAGMA application_id = " + std::to_string(kApplicationId));
  SqlTransaction transaction(connection);
  connection.run_script("PRAGMA user_version = " + std::to_string(kFormat));
  connection.run_script(kTables);
  insert_header(connection, projection, start);
  {
    Connection::UserMode user(connection);
    connection.run_script(projection.schema());
  }
  AZOTH_FAULT("projection.create");
  transaction.commit();
  connection.checkpoint(Connection::Checkpoint::Truncate);  // and with it on the device
}

ProjectionFile::ProjectionFile(const std::filesystem::path& path, Connection::Mode mode)
    : path_(path), connection_(path, mode), checkpoint_at_(kCheckpointPages) {
  or_damaged([&] { check_format(), load(); });
}

ProjectionFile::ProjectionFile(File& file, const std::filesystem::path& path)
    : path_(path), connection_(file, path), checkpoint_at_(kCheckpointPages) {
  or_damaged([&] { check_sound(file), check_format(), load(); });
}

// A statement that fails here is one of ours, on tables that are not as we have made them.
template <class Look>
void ProjectionFile::or_damaged(Look look) const {
  try {
    look();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::SqlFailed) throw;
    throw Error(ErrorCode::Corruption, path_.string() + " is damaged: " + error.what());
  }
}

void ProjectionFile::check_format() {
  const std::int64_t application = pragma(connection_, "application_id");
  const std::int64_t format = pragma(connection_, "user_version");
  if (application == kApplicationId && format > kFormat) {
    throw Error(ErrorCode::UnsupportedFormat, path_.string() + " has format " + std::to_string(format) +
                                                  " and this version of Azoth reads format " + std::to_string(kFormat));
  }
  if (application != kApplicationId || format != kFormat) throw Error(ErrorCode::SqlFailed, "it is no projection");
}

// Before anything else is read: what SQLite itself would trip over. Then that ours are tables and nothing else: a view
// or a trigger of such a name would be somebody's program.
void ProjectionFile::check_sound(File& file) {
  const std::uint64_t size = file.size();
  const std::vector<std::string> problems = connection_.integrity_problems(size);
  if (!problems.empty()) throw Error(ErrorCode::SqlFailed, problems.front());
  char writing = 0;
  if (file.read_at(kWritingVersionAt, &writing, 1) != 1 || writing < 1 || writing > 2) {
    throw Error(ErrorCode::SqlFailed, "SQLite would not write to it");
  }
  if (from_sql(pragma(connection_, "page_count") * pragma(connection_, "page_size")) != size) {
    throw Error(ErrorCode::SqlFailed, "it has " + std::to_string(size) + " bytes, which are not its pages");
  }
  SqlStatement row = connection_.prepare(
      "SELECT name FROM sqlite_schema WHERE lower(substr(tbl_name, 1, 6)) = 'azoth_' AND NOT "
      "(type = 'table' AND rootpage > 0 AND name IN ('azoth_projection', 'azoth_dead_letters'))");
  if (row.step()) throw Error(ErrorCode::SqlFailed, printable(row.text(0)) + " is not a table of a projection");
}

void ProjectionFile::load() {
  SqlStatement row = connection_.prepare("SELECT name, version, fingerprint FROM azoth_projection");
  if (!row.step()) throw Error(ErrorCode::SqlFailed, "it has no cursor");
  name_ = row.text(0);
  version_ = static_cast<std::uint32_t>(row.int64(1));
  fingerprint_ = row.text(2);
  if (fingerprint_.size() != kFingerprintDigits || !from_hex(fingerprint_)) {
    throw Error(ErrorCode::SqlFailed, "its fingerprint is none");
  }
  cursor();
  dead_letter_count();
}

Cursor ProjectionFile::cursor() {
  SqlStatement row =
      connection_.prepare("SELECT store_id, timeline, event_id, commit_seq, checksum FROM azoth_projection");
  if (!row.step()) throw Error(ErrorCode::Corruption, path_.string() + " is damaged: it has no cursor");
  std::optional<Uuid> store_id = Uuid::parse(row.text(0));
  std::optional<Uuid> timeline = Uuid::parse(row.text(1));
  if (!store_id || !timeline) throw Error(ErrorCode::Corruption, path_.string() + " is damaged: its cursor is");
  return {*store_id, *timeline, from_sql(row.int64(2)), from_sql(row.int64(3)), from_sql(row.int64(4))};
}

void ProjectionFile::set_cursor(const Cursor& cursor) {
  connection_.run("UPDATE azoth_projection SET store_id = ?, timeline = ?, event_id = ?, commit_seq = ?, checksum = ?",
                  cursor.store_id.text(), cursor.timeline.text(), to_sql(cursor.event_id), to_sql(cursor.commit_seq),
                  to_sql(cursor.checksum));
}

void ProjectionFile::add_dead_letter(const EventView& event, std::uint32_t attempts, std::string_view error,
                                     Timestamp now) {
  connection_.run("INSERT INTO azoth_dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?)", to_sql(event.id()),
                  to_sql(event.commit_seq()), to_sql(event.commit_time()), SqlValue::blob(event.body()), attempts,
                  error, to_sql(now), to_sql(now));
}

std::vector<DeadLetter> ProjectionFile::dead_letters() {
  std::vector<DeadLetter> letters;
  SqlStatement row = connection_.prepare(std::string(kSelectDeadLetters) + " ORDER BY event_id");
  while (row.step()) letters.push_back(read_dead_letter(row));
  return letters;
}

std::optional<DeadLetter> ProjectionFile::dead_letter(EventId id) {
  SqlStatement row = connection_.prepare(std::string(kSelectDeadLetters) + " WHERE event_id = ?");
  row.bind(1, to_sql(id));
  if (!row.step()) return std::nullopt;
  return read_dead_letter(row);
}

std::uint64_t ProjectionFile::dead_letter_count() {
  SqlStatement row = connection_.prepare("SELECT count(*) FROM azoth_dead_letters");
  row.step();
  return from_sql(row.int64(0));
}

void ProjectionFile::note_retry(EventId id, std::string_view error, Timestamp now) {
  connection_.run(
      "UPDATE azoth_dead_letters SET attempts = attempts + 1, error = ?, last_failed = ? WHERE event_id = ?", error,
      to_sql(now), to_sql(id));
}

bool ProjectionFile::remove_dead_letter(EventId id) {
  connection_.run("DELETE FROM azoth_dead_letters WHERE event_id = ?", to_sql(id));
  return connection_.changes() == 1;
}

// The log starts over only when all of it is in the file and no reader looks at it: then its size falls back. While
// readers prevent that it is tried again each time it has grown as much again.
void ProjectionFile::checkpoint_if_due() {
  const int pages = connection_.wal_pages();
  if (pages < kCheckpointPages) checkpoint_at_ = kCheckpointPages;
  if (pages < checkpoint_at_) return;
  connection_.checkpoint(pages >= kTruncatePages ? Connection::Checkpoint::Truncate : Connection::Checkpoint::Passive);
  checkpoint_at_ = pages + kCheckpointPages;
}

void ProjectionFile::checkpoint_all() { connection_.checkpoint(Connection::Checkpoint::Truncate); }

}  // namespace azoth
