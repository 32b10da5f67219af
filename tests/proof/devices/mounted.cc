#include "mounted.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "azoth/core/error.h"

namespace azoth::test {

namespace {

// EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number; of the flags this one leaves the log as it is.
constexpr unsigned long kShutDown = _IOR('X', 125, std::uint32_t);
constexpr std::uint32_t kWithoutLogFlush = 2;

void run(const std::string& command) {
  if (std::system((command + " >/dev/null 2>&1").c_str()) != 0) throw Error(ErrorCode::Io, "this failed: " + command);
}

}  // namespace

std::string why_nothing_can_be_mounted() {
  static const std::string why = []() -> std::string {
    if (geteuid() != 0) return "only root can mount";
    if (unshare(CLONE_NEWNS) != 0) return "the system gives no mount namespace";
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "mounts cannot be made private";
    try {
      Memory memory(1 << 20);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }();
  return why;
}

Memory::Memory(std::uint64_t bytes) {
  std::string name = "/tmp/azoth-mounted-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw_errno(errno, "making a place to mount at");
  path_ = name;
  if (::mount("tmpfs", name.c_str(), "tmpfs", 0, ("size=" + std::to_string(bytes)).c_str()) == 0) return;
  const int error = errno;
  rmdir(name.c_str());
  throw_errno(error, "mounting a tmpfs");
}

Memory::~Memory() {
  umount2(path_.c_str(), MNT_DETACH);
  rmdir(path_.c_str());
}

bool Device::has(const std::string& type) {
  return std::system(("command -v mkfs." + type + " >/dev/null").c_str()) == 0;
}

Device::Device(std::string type, On on) : type_(std::move(type)), memory_(kBytes / 4 * 5) {
  const int fd = open(image().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool made = fd >= 0 && (on == On::FailingDisk || ftruncate(fd, kBytes) == 0);
  const int error = errno;
  close(fd);
  if (!made) throw_errno(error, "making " + image().string());
  if (on == On::FailingDisk) disk_.emplace(image(), kBytes);
  run("mkfs." + type_ + " -q " + image().string());
  std::filesystem::create_directory(path());
  mount();
}

Device::~Device() { umount2(path().c_str(), MNT_DETACH); }

void Device::mount() {
  const std::string options = type_ == "ext4" ? "loop,errors=continue" : "loop";
  const std::string command = "mount -o " + options + " " + image().string() + " " + path().string();
  for (int attempts = 0;; ++attempts) {
    try {
      return run(command);
    } catch (const Error&) {  // a container has few loop devices, and one takes a moment to be free again
      if (attempts == 20) throw;
    }
    usleep(100'000);
  }
}

// What has it open may still be on its way out.
void Device::unmount() {
  for (int attempts = 0; umount(path().c_str()) != 0; ++attempts) {
    if (errno != EBUSY || attempts == 1000) throw_errno(errno, "unmounting");
    usleep(2000);
  }
}

void Device::cut_power() {
  const int fd = open(path().c_str(), O_RDONLY | O_CLOEXEC);
  const bool cut = fd >= 0 && ioctl(fd, kShutDown, &kWithoutLogFlush) == 0;
  const int error = errno;
  close(fd);
  if (!cut && error != EIO) throw_errno(error, "cutting the power");  // EIO: it has shut itself down
}

void Device::turn_read_only() {
  if (::mount(nullptr, path().c_str(), nullptr, MS_REMOUNT, "abort") != 0) throw_errno(errno, "aborting the journal");
}

void Device::break_down() {
  const int fd = open((memory_.path() / "ballast").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw_errno(errno, "breaking the device");
  struct statvfs space {};
  while (fstatvfs(fd, &space) == 0 && space.f_bavail != 0) {
    const off_t size = lseek(fd, 0, SEEK_END);
    if (fallocate(fd, 0, size, static_cast<off_t>(space.f_bavail * space.f_bsize)) != 0) break;
  }
  close(fd);
}

void Device::mend() { unlink((memory_.path() / "ballast").c_str()); }

}  // namespace azoth::test
