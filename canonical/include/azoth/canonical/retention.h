// What snapshot sets still need of the journal: a differential snapshot is made of the commits behind the one before
// it, so the journal must not be trimmed behind that.
//
// A set registers in the store's directory with a file, retain/SETID, that says through which commit it has everything.
// Whoever writes to the store looks there before it trims. A set is given up, with a warning in the log, when what is
// kept for it exceeds its limit; the next snapshot must then be a full one.
//
// INVARIANT. A set that registers with a commit, and then takes a snapshot that begins behind it, finds the journal
// between both: registration and trimming exclude each other, and what was trimmed before was in LMDB before.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "azoth/core/bytes.h"
#include "azoth/core/file.h"
#include "azoth/core/ids.h"
#include "azoth/core/lock_file.h"

namespace azoth {

struct RetainedSet {
  static constexpr std::uint64_t kDefaultLimitBytes = std::uint64_t{1} << 30;

  Uuid set_id;
  Uuid timeline;         // on which `commit` was
  CommitSeq commit = 0;  // the set has everything through it
  std::uint64_t limit_bytes = kDefaultLimitBytes;
  std::string place;  // where the set was when it registered: for people

  friend bool operator==(const RetainedSet&, const RetainedSet&) = default;
};

// All calls are for any process, beside the one that writes. They throw Backpressure when others hold the registrations
// for longer than a moment.
class Retention {
 public:
  explicit Retention(const std::filesystem::path& store_directory, FileSystem& fs = FileSystem::posix());

  // By set id. A file that cannot be read counts for nothing, and is in `unreadable` if that is asked for.
  std::vector<RetainedSet> list(std::vector<std::string>* unreadable = nullptr) const;
  std::optional<RetainedSet> find(const Uuid& set_id) const;

  void set(const RetainedSet& set);  // makes or replaces the registration, durably
  bool forget(const Uuid& set_id);   // false if there is none

  // For the writer, when it trims. Nothing while somebody else holds the registrations.
  bool in_use() const;  // whether any set has ever registered
  std::optional<LockFile> try_lock() const;
  void remove(const Uuid& set_id);  // while the lock is held

 private:
  LockFile lock() const;
  std::filesystem::path file(const Uuid& set_id) const;

  std::filesystem::path store_;
  std::filesystem::path folder_;
  FileSystem& fs_;
};

}  // namespace azoth
