#include "scratch.h"

#include <unistd.h>

#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/file.h"
#include "azoth/core/log.h"

namespace azoth::backup {

namespace {

using Path = std::filesystem::path;

constexpr const char* kLockName = "lock";
constexpr int kAttempts = 10;

void remove_quietly(const Path& directory) noexcept {
  try {
    std::error_code error;
    std::filesystem::remove_all(directory, error);
    if (error) log(LogLevel::Warning, "cannot remove " + directory.string() + ": " + error.message());
  } catch (const std::bad_alloc&) {
    log(LogLevel::Warning, "no memory to remove a scratch directory; the next restore or verification does it");
  }
}

// Nothing if others have it, or have just removed the directory.
std::optional<LockFile> lock_of(const Path& directory) {
  try {
    return LockFile::try_lock(directory / kLockName, LockFile::Mode::Exclusive);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound) throw;
    return std::nullopt;
  }
}

bool is_real_directory(const Path& path) {
  std::error_code error;
  return std::filesystem::symlink_status(path, error).type() == std::filesystem::file_type::directory;
}

// A scratch directory whose process has died. Its lock is held meanwhile: without it, one that is made and not locked
// yet would lose what is put into it later.
void remove_leftovers(const Path& parent, const std::string& prefix) {
  for (const std::string& name : FileSystem::posix().list(parent)) {
    if (!name.starts_with(prefix) || !Uuid::parse(name.substr(prefix.size())) || !is_real_directory(parent / name))
      continue;
    try {
      if (const auto lock = lock_of(parent / name)) remove_quietly(parent / name);
    } catch (const Error& error) {
      log(LogLevel::Warning, "cannot remove " + (parent / name).string() + ": " + error.what());
    }
  }
}

}  // namespace

Path resolved(const Path& path) {
  const Path found = resolved_path(path);
  return found.has_filename() ? found : found.parent_path();
}

MissingDirectories::MissingDirectories(const Path& place) {
  FileSystem& fs = FileSystem::posix();
  for (Path missing = place; !fs.exists(missing); missing = missing.parent_path()) made_.push_back(missing);
  try {
    make_directories(fs, place);
  } catch (...) {
    remove_empty();
    throw;
  }
}

void MissingDirectories::remove_empty() noexcept {
  for (const Path& directory : made_) ::rmdir(directory.c_str());  // refused if there is anything in it
}

ScratchDirectory::ScratchDirectory(const Path& place, std::string_view infix) {
  const Path parent = place.parent_path();
  constexpr std::size_t kMostOfName = 200;  // of the 255 bytes that a name may have, beside what is added
  const std::string prefix = "." + place.filename().string().substr(0, kMostOfName) + std::string(infix);
  remove_leftovers(parent, prefix);
  for (int attempt = 0; !lock_; ++attempt) {
    if (attempt == kAttempts) throw Error(ErrorCode::Locked, "others remove what is made beside " + place.string());
    make(parent / (prefix + Uuid::random().text()));
  }
}

// Before it is locked, another process may take it for what a crash has left: then there is no lock, and it is gone.
void ScratchDirectory::make(Path directory) {
  directory_ = std::move(directory);
  FileSystem::posix().make_directory(directory_);
  AZOTH_FAULT("restore.scratch");
  try {
    lock_ = lock_of(directory_);
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
  try {
    AZOTH_FAULT("restore.moved");
    fs.sync_directory(place.parent_path());
  } catch (const Error& failure) {  // whoever hears of it will restore again, and that needs the place
    std::filesystem::rename(place, path(), error);
    if (error) throw failure.with_unknown_outcome();
    throw;
  }
}

}  // namespace azoth::backup
