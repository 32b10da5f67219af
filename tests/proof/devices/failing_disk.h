// A disk that fails when it is told to: a file of its own file system (FUSE), to make a loop device of. Reads, writes and
// syncs of it are served by a process of its own, which answers them from memory, or with an error.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

#include "told.h"

namespace azoth::test {

// Why there can be no such disk here; empty if there can.
std::string why_no_disk_can_fail();

class FailingDisk {
 public:
  enum class Of { Reads, Writes, Syncs };
  enum class Times { Once, FromThenOn };
  static constexpr int kForgets = -1;  // as an error of writes: they are said to have been done
  struct Fault {
    Of of = Of::Reads;
    int error = 0;
    Times times = Times::Once;
    std::uint64_t skip = 0;  // so many succeed before
  };

  // At `file`, an empty one.
  FailingDisk(std::filesystem::path file, std::uint64_t bytes);
  ~FailingDisk();
  FailingDisk(const FailingDisk&) = delete;
  FailingDisk& operator=(const FailingDisk&) = delete;

  const std::filesystem::path& path() const { return file_; }

  void fail(const Fault& fault);
  void heal();
  std::uint64_t count(Of of) const;  // since the last fail() or heal()
  std::uint64_t failures() const;    // likewise

 private:
  struct State;
  static void serve(int connection, State& state, char* bytes, std::uint64_t size);

  const std::filesystem::path file_;
  const std::uint64_t size_;
  char* const bytes_;
  inject::Shared<State> state_;
  pid_t server_ = -1;
};

}  // namespace azoth::test
