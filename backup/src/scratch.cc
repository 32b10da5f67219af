#include "scratch.h"

#include <new>
#include <string>
#include <system_error>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/file.h"
#include "azoth/core/log.h"

namespace azoth::backup {

namespace {

using Path = std::filesystem::path;

constexpr const char* kLockName = "lock";

void remove_quietly(const Path& directory) noexcept {
  try {
    std::error_code error;
    std::filesystem::remove_all(directory, error);
    if (error) log(LogLevel::Warning, "cannot remove " + directory.string() + ": " + error.message());
  } catch (const std::bad_alloc&) {
    log(LogLevel::Warning, "no memory to remove a scratch directory; the next restore or verification does it");
  }
}

// A scratch directory whose process has died. Between making it and locking it there is a moment in which it looks like
// one: then the other one fails, and says so.
void remove_leftovers(const Path& parent, const std::string& prefix) {
  for (const std::string& name : FileSystem::posix().list(parent)) {
    if (!name.starts_with(prefix) || !Uuid::parse(name.substr(prefix.size()))) continue;
    if (LockFile::is_held(parent / name / kLockName)) continue;
    remove_quietly(parent / name);
  }
}

}  // namespace

ScratchDirectory::ScratchDirectory(const Path& place, std::string_view infix) {
  const Path parent = place.parent_path();
  const std::string prefix = "." + place.filename().string() + std::string(infix);
  remove_leftovers(parent, prefix);
  directory_ = parent / (prefix + Uuid::random().text());
  FileSystem::posix().make_directory(directory_);
  try {
    lock_ = LockFile::try_lock(directory_ / kLockName, LockFile::Mode::Exclusive);
    if (!lock_) throw Error(ErrorCode::Locked, directory_.string() + " is locked by another process; try again");
  } catch (...) {
    remove_quietly(directory_);
    throw;
  }
}

ScratchDirectory::~ScratchDirectory() { remove_quietly(directory_); }

// What is in it is durable, each file and its entry; the move is when the parents are. A directory takes an empty one's
// place in one step, and no other's.
void ScratchDirectory::move_into_place(const Path& place) {
  FileSystem& fs = FileSystem::posix();
  fs.sync_directory(directory_);
  std::error_code error;
  AZOTH_FAULT("restore.moving");
  std::filesystem::rename(path(), place, error);
  if (error == std::errc::directory_not_empty || error == std::errc::file_exists ||
      error == std::errc::not_a_directory) {
    throw Error(ErrorCode::AlreadyExists, place.string() + " is not an empty directory; nothing is restored over data");
  }
  if (error) throw_errno(error.value(), "moving the restored store to " + place.string());
  AZOTH_FAULT("restore.moved");
  fs.sync_directory(place.parent_path());
}

}  // namespace azoth::backup
