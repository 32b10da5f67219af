// The file system of a run: files in memory below one directory, and a model of the disk under them (../disk.h). Reads
// see what was written, as from a page cache; what a power cut leaves is the model's to say.
//
// Each call takes its time on the scheduler's clock, and is a point where threads take turns. Calls can be made to
// fail, and to be the last ones before the power goes or the process is killed.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "../disk.h"

namespace azoth::proof {

class Files {
 public:
  // The call with this number fails, and those behind it if `lasting`.
  struct Trouble {
    std::uint64_t call = 0;  // 0: none
    bool lasting = false;
  };

  static Files& get();

  // From here on the calls below `root`, in which there is `base` now, are followed. They are numbered from 1.
  void begin(const std::string& root, const DiskState& base);
  void end();

  // What trouble there was is forgotten.
  void expect(Trouble trouble) {
    trouble_ = trouble;
    had_trouble_ = false;
  }
  bool had_trouble() const { return had_trouble_; }
  // Called before each call that changes anything, with its number: to look at the disk.
  void observe(std::function<void(std::uint64_t call)> observer) { observer_ = std::move(observer); }
  std::uint64_t calls() const { return calls_; }
  const Disk& disk() const { return *disk_; }
  // Fails if the files are not what the model takes them for: then something has escaped it.
  void check_model() const;

  // The calls.
  int open(const char* path, int flags, mode_t mode);
  int close(int fd);
  ssize_t write(int fd, const iovec* pieces, int count, std::optional<off_t> offset);  // or where it stands
  int sync(int fd);
  int resize(int fd, off_t size, bool grows);
  int rename(const char* from, const char* to);
  int remove(const char* path, int flags);
  int make_directory(const char* path, mode_t mode);
  void* map(void* address, std::size_t size, int protection, int flags, int fd, off_t offset);

 private:
  static constexpr std::size_t kDescriptors = 1024;
  struct Descriptor {
    bool is_inside = false;
    bool is_directory = false;
    bool is_synchronous = false;
    std::uint64_t inode = 0;
    std::string path;
  };

  std::optional<std::string> inside(const char* path) const;
  const Descriptor* find(int fd) const;
  // A turn, the trouble that was planned, and an observer's look: false if the call is to fail, with errno set.
  bool begin_call(OpKind kind, std::string_view path);
  int error_of(OpKind kind);
  static void put(int fd, const Op& op);
  void apply(const Op& op);
  void take_time(OpKind kind);

  std::string root_;
  std::optional<Disk> disk_;
  std::array<Descriptor, kDescriptors> descriptors_;
  std::function<void(std::uint64_t)> observer_;
  Trouble trouble_;
  bool had_trouble_ = false;
  std::uint64_t calls_ = 0;
};

}  // namespace azoth::proof
