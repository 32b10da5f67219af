// A directory beside the place where something is going to be, in which it is built first.
//
// It has a lock file of its own, held while this lives, so that what a crash left can be told from what another process
// is building: the next one for the same place removes it.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "azoth/core/lock_file.h"

namespace azoth::backup {

// A path as the system follows it: behind a symbolic link `..` is above what that leads to. It need not be there.
std::filesystem::path resolved(const std::filesystem::path& path);

// The directories that lead to a place, made if they are missing. Those that are empty at its end go with it.
class MissingDirectories {
 public:
  explicit MissingDirectories(const std::filesystem::path& place);
  ~MissingDirectories() { remove_empty(); }
  MissingDirectories(const MissingDirectories&) = delete;
  MissingDirectories& operator=(const MissingDirectories&) = delete;

 private:
  void remove_empty() noexcept;

  std::vector<std::filesystem::path> made_;  // from the inside out
};

class ScratchDirectory {
 public:
  // Makes .NAME.INFIX-HEX beside PLACE/NAME, and in it the directory path(), which does not exist yet.
  ScratchDirectory(const std::filesystem::path& place, std::string_view infix);
  ~ScratchDirectory();  // removes all of it
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::filesystem::path path() const { return directory_ / "store"; }

  // Durably. An empty directory may be there; anything else, also what has come there meanwhile, is left alone:
  // AlreadyExists. When it throws, nothing is there, unless the error's outcome_unknown() says that it may be.
  void move_into_place(const std::filesystem::path& place);

 private:
  void make(std::filesystem::path directory);

  std::filesystem::path directory_;
  std::optional<LockFile> lock_;
};

}  // namespace azoth::backup
