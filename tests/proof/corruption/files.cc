#include "files.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace azoth::proof {

namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()) {
    throw std::runtime_error("writing " + path.string());
  }
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

// Files of a megabyte that differ in a byte, some ten thousand times.
void write_difference(const std::filesystem::path& path, const std::string& bytes, const std::string& now) {
  std::size_t begin = 0;
  constexpr std::size_t kStep = 4096;
  while (begin + kStep < bytes.size() && bytes.compare(begin, kStep, now, begin, kStep) == 0) begin += kStep;
  std::size_t end = bytes.size();
  while (end > begin + kStep && bytes.compare(end - kStep, kStep, now, end - kStep, kStep) == 0) end -= kStep;
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(begin));
  if (!file.write(bytes.data() + begin, static_cast<std::streamsize>(end - begin)).flush()) {
    throw std::runtime_error("writing " + path.string());
  }
}

}  // namespace

Files read_files(const std::filesystem::path& directory) {
  Files files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    files[entry.path().lexically_relative(directory).string()] = bytes_of(entry.path());
  }
  return files;
}

void make_files(const std::filesystem::path& directory, const Files& files, const Files& now) {
  if (std::filesystem::exists(directory)) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      if (entry.is_directory()) continue;
      if (!files.contains(entry.path().lexically_relative(directory).string())) std::filesystem::remove(entry.path());
    }
  }
  for (const auto& [name, bytes] : files) {
    auto same = now.find(name);
    if (same != now.end() && same->second == bytes) continue;
    if (same != now.end() && same->second.size() == bytes.size()) {
      write_difference(directory / name, bytes, same->second);
    } else {
      write(directory / name, bytes);
    }
  }
}

bool is_of_readers(const std::string& name) {
  return name.ends_with("lock") || name.ends_with("lock.mdb") || name.ends_with("-shm") || name.ends_with("-wal");
}

}  // namespace azoth::proof
