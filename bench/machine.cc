#include "machine.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include <array>
#include <cstdlib>
#include <thread>

namespace azoth::bench {

namespace {

long file_system_of(const std::filesystem::path& directory) {
  struct statfs status {};
  return statfs(directory.c_str(), &status) == 0 ? static_cast<long>(status.f_type) : 0;
}

std::string file_system_name(long magic) {
  constexpr long kXfs = 0x58465342;
  switch (magic) {
    case EXT4_SUPER_MAGIC:
      return "ext4";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlay";
    case TMPFS_MAGIC:
      return "tmpfs";
    case kXfs:
      return "xfs";
    default:
      return fmt::format("file system 0x{:x}", magic);
  }
}

}  // namespace

std::string describe_machine(const std::filesystem::path& directory) {
  std::array<double, 3> load{};
  if (getloadavg(load.data(), 3) < 1) load[0] = 0;
  utsname system{};
  uname(&system);
  return fmt::format("{} cores, load {:.2f}, {} {}, {}", std::thread::hardware_concurrency(), load[0], system.sysname,
                     system.release, file_system_name(file_system_of(directory)));
}

bool in_memory(const std::filesystem::path& directory) { return file_system_of(directory) == TMPFS_MAGIC; }

}  // namespace azoth::bench
