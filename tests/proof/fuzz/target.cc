#include "target.h"

#include <fstream>

#include "support/memory_dir.h"

namespace azoth::proof {

std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

const std::filesystem::path& scratch() {
  static const test::MemoryDir directory;
  return directory.path();
}

void put_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

}  // namespace azoth::proof
