#include "new_store.h"

#include <string>

#include "azoth/core/error.h"

namespace azoth {

namespace {

// Whether this is what a creation leaves that is interrupted before it has marked the directory as its own.
bool is_leftover(const StorePaths& paths, const std::string& name) {
  return name == paths.lock.filename() || (name.starts_with("creating.") && name.ends_with(".tmp"));
}

// What an interrupted creation left in our own folders.
void clear_leftovers(FileSystem& fs, const StorePaths& paths) {
  if (fs.exists(paths.journal)) {
    for (const std::string& name : fs.list(paths.journal)) fs.remove(paths.journal / name);
  }
  for (const char* name : {"data.mdb", "lock.mdb"}) {
    if (FileSystem::posix().exists(paths.canonical / name)) FileSystem::posix().remove(paths.canonical / name);
  }
}

[[noreturn]] void refuse_existing(const StorePaths& paths) {
  throw Error(ErrorCode::AlreadyExists, "there is a store in " + paths.directory.string() + " already");
}

}  // namespace

NewStore::NewStore(const std::filesystem::path& directory, FileSystem& fs) : fs_(fs), paths_(directory) {
  if (fs.exists(paths_.identity)) refuse_existing(paths_);
  make_directories(FileSystem::posix(), paths_.directory);
  if (&fs != &FileSystem::posix()) fs.make_directory(paths_.directory);
  if (!fs.exists(paths_.creating)) {
    for (const std::string& name : fs.list(paths_.directory)) {
      if (is_leftover(paths_, name)) continue;
      throw Error(ErrorCode::AlreadyExists,
                  directory.string() + " is not empty (there is " + name + "); choose a new or an empty directory");
    }
  }
  claim_ = std::make_unique<DirectoryClaim>(paths_, DirectoryClaim::Mode::Write);
  if (fs.exists(paths_.identity)) refuse_existing(paths_);  // made since we looked, and not ours to throw away
  for (const std::string& name : fs.list(paths_.directory)) {
    if (name.ends_with(".tmp")) fs.remove(paths_.directory / name);
  }
  write_file_atomically(fs, paths_.creating, "a store is being created here\n");
  clear_leftovers(fs, paths_);
  FileSystem::posix().make_directory(paths_.canonical);
}

void NewStore::finish(const Uuid& store_id) {
  FileSystem::posix().sync_directory(paths_.canonical);
  fs_.sync_directory(paths_.directory);
  FileSystem::posix().sync_directory(paths_.directory);
  write_identity(fs_, paths_, {.store_id = store_id});
  fs_.remove(paths_.creating);
  fs_.sync_directory(paths_.directory);
  claim_.reset();
}

}  // namespace azoth
