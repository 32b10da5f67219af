#include "azoth/core/lock_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "azoth/core/error.h"

namespace azoth {
namespace {

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

void write_pid(int fd, const std::filesystem::path& path) {
  std::string pid = std::to_string(getpid());
  pid.resize(LockFile::kPidBytes - 1, ' ');
  pid += '\n';
  if (pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    throw_errno(errno, "writing " + path.string());
  }
}

// Whether the file that was opened still is the one of this name. Others agree on a name: a lock on a file that its
// last owner has removed meanwhile would exclude nobody.
bool is_at(int fd, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  if (fstat(fd, &opened) != 0) throw_errno(errno, "looking up " + path.string());
  if (lstat(path.c_str(), &named) != 0) {
    if (errno == ENOENT) return false;
    throw_errno(errno, "looking up " + path.string());
  }
  return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Never waits, as for a pipe whose other end nobody opens; and what is no regular file was put there by somebody else.
int open_regular(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  struct stat status {};
  if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))) return fd;
  ::close(fd);
  errno = EINVAL;
  return -1;
}

}  // namespace

std::optional<LockFile> LockFile::try_lock(const std::filesystem::path& path, Mode mode) {
  const bool exclusive = mode != Mode::Shared;
  const int flags = exclusive ? O_RDWR | O_CREAT : O_RDONLY;
  LockFile file(open_regular(path, flags));
  if (file.fd_ < 0 && errno == EINVAL) throw Error(ErrorCode::Corruption, path.string() + " is no regular file");
  if (file.fd_ < 0) throw_errno(errno, "opening " + path.string());
  struct flock lock = whole_file(exclusive ? F_WRLCK : F_RDLCK);
  if (fcntl(file.fd_, F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) return std::nullopt;
    throw_errno(errno, "locking " + path.string());
  }
  if (!exclusive) return file;
  if (!is_at(file.fd_, path)) return try_lock(path, mode);
  if (mode == Mode::Exclusive) write_pid(file.fd_, path);
  return file;
}

LockFile::~LockFile() {
  if (fd_ >= 0) ::close(fd_);  // and with it the lock
}

std::optional<std::string> LockFile::last_holder(const std::filesystem::path& path) {
  LockFile file(open_regular(path, O_RDONLY));
  if (file.fd_ < 0) return std::nullopt;
  std::array<char, kPidBytes> text{};
  const ssize_t size = pread(file.fd_, text.data(), text.size(), 0);
  std::string holder(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  holder.resize(std::min(holder.size(), holder.find_first_of(" \n")));
  if (holder.empty()) return std::nullopt;
  return holder;
}

bool LockFile::is_held(const std::filesystem::path& path) {
  LockFile file(open_regular(path, O_RDONLY));
  struct flock lock = whole_file(F_RDLCK);
  return file.fd_ >= 0 && fcntl(file.fd_, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace azoth
