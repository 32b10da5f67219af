// What the kernel knows of this process.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <thread>

namespace azoth::bench {

// Memory that is not a mapped file, in bytes.
std::uint64_t anonymous_memory();

// The most anonymous memory while it lives, looked at every few milliseconds.
class MemoryWatch {
 public:
  MemoryWatch();
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  std::uint64_t most() const { return most_.load(); }

 private:
  std::atomic<std::uint64_t> most_{0};
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

struct Written {
  std::uint64_t handed_over = 0;  // to write calls
  std::uint64_t to_device = 0;    // pages that were made dirty, each time
};
Written written_so_far();

// Disk blocks of all files in a directory, in bytes.
std::uint64_t disk_bytes(const std::filesystem::path& directory);

}  // namespace azoth::bench
