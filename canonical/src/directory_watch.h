// Sleeping until something in a directory is written, created or renamed, by whatever process (inotify).
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

namespace azoth {

class DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::filesystem::path& directory);
  // Also wakes when this directory itself, or what is called `name` in it, is moved or removed.
  void watch_place(const std::filesystem::path& directory, std::string name);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  void wait();       // until something happens, or interrupt()
  bool gone();       // whether one of them was moved or removed; by the thread that waits
  void interrupt();  // from any thread; wait() returns at once from now on
  bool interrupted_within(std::chrono::milliseconds time);

 private:
  void take_events();

  int inotify_ = -1;
  int interrupt_ = -1;
  int place_ = -1;  // inotify's number for the directory of watch_place()
  std::string name_;
  bool gone_ = false;
};

}  // namespace azoth
