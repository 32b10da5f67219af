// For tests that make many stores and cut no power: a directory in memory where the system has one.
#pragma once

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "azoth/core/error.h"
#include "support/temp_dir.h"

namespace azoth::test {

inline std::filesystem::path place_of_temporary_files() {
  const char* chosen = std::getenv("TMPDIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
}

// The one that the system has, if it has room (a container's often holds 64 MiB), or that of temporary files.
inline std::filesystem::path place_in_memory() {
  constexpr const char* kPlace = "/dev/shm";
  constexpr unsigned long long kRoom = 1 << 30;
  struct statvfs space {};
  const bool has_room = access(kPlace, W_OK) == 0 && statvfs(kPlace, &space) == 0 &&
                        static_cast<unsigned long long>(space.f_bavail) * space.f_frsize >= kRoom;
  return has_room ? kPlace : place_of_temporary_files();
}

// Made in the directory given, with a name of its own that begins like that. The path is the one that /proc shows.
inline std::filesystem::path make_unique_directory(const std::filesystem::path& parent,
                                                   const std::string& begins_with) {
  std::string name = (parent / (begins_with + "-XXXXXX")).string();
  if (mkdtemp(name.data()) == nullptr) throw_errno(errno, "cannot make the temporary directory " + name);
  return std::filesystem::canonical(name);
}

class MemoryDir : public TempDir {
 public:
  MemoryDir() : TempDir(place_in_memory()) {}
};

}  // namespace azoth::test
