#include "process.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

#include "azoth/core/error.h"

namespace azoth::bench {

namespace {

// The number behind a name in one of the files of /proc/self.
std::uint64_t kernel_number(const char* file, const std::string& name) {
  std::ifstream lines(file);
  std::string word;
  while (lines >> word) {
    if (word != name) continue;
    std::uint64_t number = 0;
    lines >> number;
    return number;
  }
  throw Error(ErrorCode::Io, std::string(file) + " has no " + name + "; this measurement needs Linux with it");
}

}  // namespace

std::uint64_t anonymous_memory() { return kernel_number("/proc/self/status", "RssAnon:") * 1024; }

MemoryWatch::MemoryWatch() : most_(anonymous_memory()) {
  thread_ = std::thread([this] {
    while (!stopped_.load()) {
      most_.store(std::max(most_.load(), anonymous_memory()));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
}

MemoryWatch::~MemoryWatch() {
  stopped_.store(true);
  thread_.join();
}

Written written_so_far() {
  return {.handed_over = kernel_number("/proc/self/io", "wchar:"),
          .to_device = kernel_number("/proc/self/io", "write_bytes:")};
}

std::uint64_t disk_bytes(const std::filesystem::path& directory) {
  constexpr std::uint64_t kBlock = 512;
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    struct stat status {};
    if (entry.is_regular_file() && lstat(entry.path().c_str(), &status) == 0) {
      bytes += static_cast<std::uint64_t>(status.st_blocks) * kBlock;
    }
  }
  return bytes;
}

}  // namespace azoth::bench
