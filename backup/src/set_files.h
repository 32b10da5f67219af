// The files of a snapshot set: their names, what of them is there, and the set's own small ones.
//
//   SET, SET-copy           what this set is, twice: without it no snapshot could be used
//   next                    the next ordinal
//   lock                    locked by the process that writes, and its pid
//   manifest_ORDINAL.json   what makes a snapshot exist
//   snapshot_ORDINAL_….azs  its files
//   NAME.HEX.tmp            what a crash left of one of them but the last
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "azoth/backup/key_file.h"
#include "azoth/core/bytes.h"
#include "azoth/core/clock.h"
#include "azoth/core/file.h"

namespace azoth::backup {

inline constexpr std::uint64_t kMaxOrdinal = 999'999'999'999'999'999;

struct SetIdentity {
  Uuid set_id;
  Uuid store_id;
  Timestamp created{};
  std::string key_id;  // empty: not encrypted

  friend bool operator==(const SetIdentity&, const SetIdentity&) = default;
};

struct FoundSnapshot {
  bool manifest = false;
  std::vector<std::string> files;
};

struct Found {
  std::map<std::uint64_t, FoundSnapshot> snapshots;
  std::vector<std::string> temporary;
  std::vector<std::string> foreign;  // what no name of a set is; never touched

  std::uint64_t newest_ordinal() const { return snapshots.empty() ? 0 : snapshots.rbegin()->first; }
};

class SetFiles {
 public:
  SetFiles(FileSystem& fs, std::filesystem::path directory) : fs_(fs), directory_(std::move(directory)) {}

  FileSystem& fs() const { return fs_; }
  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path path(const std::string& name) const { return directory_ / name; }
  std::filesystem::path lock() const { return directory_ / "lock"; }
  static std::string manifest_name(std::uint64_t ordinal);

  Found scan() const;

  // Key: null if not encrypted. The identity is written last when a set is made.
  void write_identity(const SetIdentity& identity, const Key* key) const;
  // From the first file that is whole. NotFound if there is no set, Corruption if both files are damaged.
  SetIdentity read_identity(const Key* key) const;
  bool identity_needs_repair(const SetIdentity& identity, const Key* key) const;

  void write_next(std::uint64_t ordinal) const;
  std::uint64_t read_next() const;  // NotFound, Corruption

  void sync() const { fs_.sync_directory(directory_); }
  void remove(const std::string& name) const { fs_.remove(path(name)); }

 private:
  SetIdentity read_identity_file(const std::string& name, const Key* key) const;

  FileSystem& fs_;
  std::filesystem::path directory_;
};

}  // namespace azoth::backup
