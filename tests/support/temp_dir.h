// A directory of a test's own.
#pragma once

#include <filesystem>

namespace azoth::test {

// Made under $TMPDIR, or /tmp, with a unique name; removed with everything in it in the destructor.
class TempDir {
 public:
  TempDir();
  explicit TempDir(const std::filesystem::path& parent);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace azoth::test
