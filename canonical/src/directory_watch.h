// Sleeping until something in a directory is written, created or renamed, by whatever process (inotify).
#pragma once

#include <chrono>
#include <filesystem>

namespace azoth {

class DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::filesystem::path& directory);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  void wait();       // until something happens, or interrupt()
  void interrupt();  // from any thread; wait() returns at once from now on
  bool interrupted_within(std::chrono::milliseconds time);

 private:
  int inotify_ = -1;
  int interrupt_ = -1;
};

}  // namespace azoth
