// The files of one projection in DIRECTORY/projections:
//
//   NAME.sql        its declaration, if it is registered: declarations.h
//   NAME.lock       held by the process that keeps it up to date, and naming it; then why it failed, if it did
//   NAME            the pointer: the number of the current generation, the one that serves queries
//   NAME.N.db       generation N (SQLite keeps NAME.N.db-wal and NAME.N.db-shm beside it)
//   NAME.N.lock     held, shared, by everyone who reads generation N
//
// Numbers grow and are never used again once they were current. A generation above the current one is being built; one
// below it is removed when nobody reads it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/file.h"
#include "azoth/core/lock_file.h"

namespace azoth {

using Generation = std::uint64_t;  // from 1

// The right to read a generation: while this lives, its files stay.
struct ReadGeneration {
  Generation number = 0;
  std::filesystem::path file;
  LockFile lock;
};

// For readers, in any process. Nothing if there is no current generation; Corruption if the pointer cannot be read.
std::optional<ReadGeneration> read_current_generation(FileSystem& fs, const std::filesystem::path& projections,
                                                      std::string_view name);
// The names of the projections that have tables to be read, sorted; none if there is no such folder.
std::vector<std::string> projection_names(FileSystem& fs, const std::filesystem::path& projections);
// The names of which there is any file, also those that were only declared, or are not wholly made or removed.
std::vector<std::string> known_names(FileSystem& fs, const std::filesystem::path& projections);
// The files of one name, sorted.
std::vector<std::string> projection_files(FileSystem& fs, const std::filesystem::path& projections,
                                          std::string_view name);
std::filesystem::path declaration_path(const std::filesystem::path& projections, std::string_view name);
std::filesystem::path generation_file(const std::filesystem::path& projections, std::string_view name,
                                      Generation generation);
std::filesystem::path writer_lock_path(const std::filesystem::path& projections, std::string_view name);
// Why it failed, the last time that it was kept up to date.
std::optional<std::string> noted_failure(FileSystem& fs, const std::filesystem::path& projections,
                                         std::string_view name);

// For the one that keeps it up to date.
class Generations {
 public:
  // Makes the folder. Throws Locked, naming the process that has it.
  Generations(FileSystem& fs, const std::filesystem::path& projections, std::string name);

  std::optional<Generation> current() const;  // Corruption if the pointer cannot be read
  std::vector<Generation> all() const;        // of which there are files, ascending
  Generation next() const;                    // above all there are and were
  std::filesystem::path file(Generation generation) const;

  // The commit point of a rebuild.
  void make_current(Generation generation);
  // So that it can be read as soon as it is current.
  void make_lock(Generation generation) const;
  // In the lock file, for those who look at it from elsewhere; not synced. Empty: it goes on.
  void note_failure(std::string_view failure) noexcept;
  // Removes its files, whoever reads them: for those that were never current, or cannot be read.
  void remove(Generation generation) const;
  // Removes those below the current one that nobody reads; the number of those that are left.
  std::size_t remove_old() const;
  // Removes the projection: all files of this name, the lock last; with it this object is of no more use. What an
  // interruption leaves is removed by the next call. Throws Locked, with nothing removed, while somebody reads it.
  void remove_all();
  // Another one may keep it up to date from now on; nothing else is of use after it.
  void let_go() noexcept { lock_.reset(); }
  bool held() const { return lock_.has_value(); }

 private:
  FileSystem& fs_;
  const std::filesystem::path folder_;
  const std::string name_;
  std::optional<LockFile> lock_;
};

}  // namespace azoth
