// An advisory lock on a file of its own: how processes agree on who may write, and how a reader says that something is
// still in use.
//
// It is an open-file-description lock: it ends with this object or with the process, no other close in this process
// drops it, and two objects of one process exclude each other like two processes do. An exclusive lock's file begins
// with the pid of the last process that had it, twelve bytes with the line's end; what stands behind is the owner's.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace azoth {

class LockFile {
 public:
  enum class Mode {
    Shared,
    Exclusive,
    Unsigned  // exclusive, without the pid: nothing is written, so a full disk does not matter
  };

  static constexpr std::size_t kPidBytes = 12;

  // Nothing if others hold it. Exclusive makes the file if there is none and puts the pid in it, Unsigned only makes
  // it; Shared never makes one: NotFound. Symbolic links are not followed. Who holds it exclusively may remove the file
  // as the last that it does: the next one makes it anew, and nobody ends up with a lock on the removed one.
  static std::optional<LockFile> try_lock(const std::filesystem::path& path, Mode mode);

  LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LockFile& operator=(LockFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~LockFile();

  int fd() const { return fd_; }

  // The pid in a lock file, the last one that had it exclusively; nothing if none can be read.
  static std::optional<std::string> last_holder(const std::filesystem::path& path);
  // Whether somebody holds it exclusively now, be it this process.
  static bool is_held(const std::filesystem::path& path);

 private:
  explicit LockFile(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace azoth
