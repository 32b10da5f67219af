// Sorts more byte strings than memory holds: sorted runs go to files, and are merged when they are read.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/file.h"

namespace azoth {

class SortedRuns {
 public:
  // The files are named FILE.0.tmp, FILE.1.tmp, ...; there are none while all strings fit into `run_bytes`. However
  // many they become, few are open at once.
  SortedRuns(FileSystem& fs, std::filesystem::path file, std::size_t run_bytes = std::size_t{8} << 20);
  ~SortedRuns();  // removes the files
  SortedRuns(const SortedRuns&) = delete;
  SortedRuns& operator=(const SortedRuns&) = delete;

  void add(std::string_view bytes);  // at most 65,535
  // All of them in order, once; valid during the call. Nothing can be added after it.
  void for_each(const std::function<void(std::string_view)>& each);

 private:
  class Writer;

  Writer begin_run();
  void sort();
  void spill();
  void merge_some();
  std::filesystem::path path(std::size_t run) const;
  std::string_view at(std::size_t offset) const;

  FileSystem& fs_;
  const std::filesystem::path file_;
  const std::size_t run_bytes_;
  std::deque<std::size_t> runs_;  // the numbers of their files
  std::size_t next_run_ = 0;
  std::string bytes_;                   // u16 length and bytes each
  std::vector<std::uint32_t> offsets_;  // of each in them
};

}  // namespace azoth
