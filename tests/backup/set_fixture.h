// A snapshot set on the real file system.
#pragma once

#include "azoth/backup/snapshot_set.h"
#include "set_files.h"
#include "support.h"
#include "support/temp_dir.h"

namespace azoth::backup::test {

class SnapshotSetTest : public testing::Test {
 protected:
  SnapshotSet create(const Key* key = nullptr) { return SnapshotSet::create(path_, kStore, {.key = key}); }
  SnapshotSet open(const Key* key = nullptr) { return SnapshotSet::open(path_, {.key = key}); }
  std::filesystem::path file(const std::string& name) const { return path_ / name; }
  static std::string manifest(std::uint64_t ordinal) { return SetFiles::manifest_name(ordinal); }
  std::vector<std::string> names() const { return FileSystem::posix().list(path_); }

  azoth::test::TempDir dir_;
  std::filesystem::path path_ = dir_.path() / "set";
};

}  // namespace azoth::backup::test
