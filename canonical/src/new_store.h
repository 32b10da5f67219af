// The directory of a store that is being made.
//
// The identity file is written last: until it is there, this is no store, and what is there may be thrown away.
#pragma once

#include <filesystem>

#include "azoth/core/file.h"
#include "store_files.h"

namespace azoth {

class NewStore {
 public:
  // Claims a directory that does not exist or is empty, and marks it; what an interrupted creation left is cleared.
  // AlreadyExists if there is a store, or anything else. LMDB's folder is there then, the journal's is not.
  NewStore(const std::filesystem::path& directory, FileSystem& fs);

  const StorePaths& paths() const { return paths_; }

  // With journal and LMDB made, and LMDB's environment closed: makes a store of it, durably.
  void finish(const Uuid& store_id);

 private:
  FileSystem& fs_;
  const StorePaths paths_;
  std::unique_ptr<DirectoryClaim> claim_;
};

}  // namespace azoth
