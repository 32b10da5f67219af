// For tests that make many stores and cut no power: a directory in memory where the system has one.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "azoth/core/error.h"

namespace azoth::test {

class MemoryDir {
 public:
  MemoryDir() {
    std::string parent = "/dev/shm";
    if (access(parent.c_str(), W_OK) != 0) parent = std::filesystem::temp_directory_path().string();
    std::string name = parent + "/azoth-test-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw_errno(errno, "cannot make the temporary directory " + name);
    path_ = name;
  }
  ~MemoryDir() {
    std::error_code ignored;  // what cannot be removed is left to whoever cleans that directory
    std::filesystem::remove_all(path_, ignored);
  }
  MemoryDir(const MemoryDir&) = delete;
  MemoryDir& operator=(const MemoryDir&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace azoth::test
