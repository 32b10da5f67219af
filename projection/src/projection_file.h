// The file of one generation: the user's tables, and beside them the projector's own.
//
//   azoth_projection    one row: what it was built by, and the cursor
//   azoth_dead_letters  the events that could not be applied, with all they say
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "azoth/core/event_source.h"
#include "azoth/core/file.h"
#include "azoth/projection/projection.h"
#include "azoth/projection/projector.h"
#include "sqlite.h"

namespace azoth {

// The last event that the tables show, and what tells it from any other of its number.
struct Cursor {
  Uuid store_id{};
  Uuid timeline{};
  EventId event_id = 0;
  CommitSeq commit_seq = 0;
  std::uint64_t checksum = 0;

  friend bool operator==(const Cursor&, const Cursor&) = default;
};

Cursor start_of(EventSource& source);
Cursor cursor_at(const Cursor& before, const EventView& event);

// Lets the log look for this event if it does not know of it yet: a cursor may be another process's, which is further.
void know_through(EventId event, EventSource& source);

// Why a projection with this cursor cannot go on from there: what it shows did not come from this log. Nothing if it
// can.
std::optional<std::string> mismatch(const Cursor& cursor, EventSource& source);

// How far the log is ahead of a cursor.
struct Lag {
  EventId newest = 0;
  std::uint64_t events = 0;
  std::chrono::microseconds time{0};  // since the oldest of these was committed
};
Lag lag_behind(EventSource& source, EventId cursor, Timestamp now);

class ProjectionFile;
// Why tables that were made by one declaration cannot be kept up to date by another. Nothing if they can.
std::optional<std::string> outdated(const ProjectionFile& file, const Projection& projection);

class ProjectionFile {
 public:
  // Makes the file and its tables, the user's too. Throws SqlFailed for a bad schema. What an interrupted creation left
  // must have been removed.
  static void create(FileSystem& fs, const std::filesystem::path& path, const Projection& projection,
                     const Cursor& start);
  // Throws Corruption if it is none, UnsupportedFormat if it is of a later version of Azoth.
  ProjectionFile(const std::filesystem::path& path, Connection::Mode mode);
  // Reads one that nobody else has, wherever it comes from: Corruption as well if SQLite finds anything wrong in it.
  // All of it is read. The file must outlive this; `path` is for messages.
  ProjectionFile(File& file, const std::filesystem::path& path);

  Connection& connection() { return connection_; }
  const std::string& name() const { return name_; }
  std::uint32_t version() const { return version_; }
  const std::string& fingerprint() const { return fingerprint_; }

  // As it is in the file now, or in the transaction.
  Cursor cursor();
  void set_cursor(const Cursor& cursor);

  void add_dead_letter(const EventView& event, std::uint32_t attempts, std::string_view error, Timestamp now);
  std::vector<DeadLetter> dead_letters();
  std::optional<DeadLetter> dead_letter(EventId id);
  std::uint64_t dead_letter_count();
  void note_retry(EventId id, std::string_view error, Timestamp now);  // it has failed once more
  bool remove_dead_letter(EventId id);

  // After a commit: moves what the write-ahead log holds into the file when it has grown.
  void checkpoint_if_due();
  void checkpoint_all();  // as far as readers allow

 private:
  void check_format();
  void check_sound(File& file);
  void load();
  template <class Look>
  void or_damaged(Look look) const;

  const std::filesystem::path path_;
  Connection connection_;
  std::string name_;
  std::uint32_t version_ = 0;
  std::string fingerprint_;
  int checkpoint_at_;  // pages in the write-ahead log
};

}  // namespace azoth
