// File systems of a test's own, on devices of its own: a full disk, a power cut, a device that fails.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "failing_disk.h"

namespace azoth::test {

// Why nothing can be mounted here; empty if it can. What is mounted afterwards is seen by this process and its children
// only, and is gone with them.
std::string why_nothing_can_be_mounted();

// A tmpfs of so many bytes.
class Memory {
 public:
  explicit Memory(std::uint64_t bytes);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A file system on a loop device, which is an image in a tmpfs, or a disk that can be made to fail. The image has holes:
// blocks are allocated when they are written. When the tmpfs is full, writes to blocks that are new to it fail.
class Device {
 public:
  static constexpr std::uint64_t kBytes = std::uint64_t{320} << 20;  // xfs takes no less than 300 MiB
  enum class On { Image, FailingDisk };

  explicit Device(std::string type, On on = On::Image);  // "ext4", "xfs"
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  static bool has(const std::string& type);  // whether there is a program that makes such file systems

  std::filesystem::path path() const { return memory_.path() / "mounted"; }
  FailingDisk& disk() { return *disk_; }
  void cut_power();  // nothing that is not on the device gets there any more; errors from now on
  void turn_read_only();  // ext4, with files open for writing
  void mount();
  void unmount();
  void break_down();  // of an image: new blocks cannot be written any more
  void mend();

 private:
  std::filesystem::path image() const { return memory_.path() / "image"; }

  std::string type_;
  Memory memory_;
  std::optional<FailingDisk> disk_;
};

}  // namespace azoth::test
