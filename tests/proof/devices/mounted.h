// File systems of a test's own, on devices of its own: a full disk, a power cut, a device that fails.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

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

// A file system on a loop device, whose image has holes: blocks are allocated when they are written, in a tmpfs. When
// that is full, writes to blocks that are new to the device fail, as on a device that is broken.
class Device {
 public:
  static constexpr std::uint64_t kBytes = std::uint64_t{320} << 20;

  explicit Device(std::string type);  // "ext4", "xfs"
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  static bool has(const std::string& type);  // whether there is a program that makes such file systems

  std::filesystem::path path() const { return memory_.path() / "mounted"; }
  void cut_power();  // nothing that is not on the device gets there any more; errors from now on
  void mount();
  void unmount();
  void break_down();  // new blocks cannot be written any more
  void mend();

 private:
  std::string type_;
  Memory memory_;
};

}  // namespace azoth::test
