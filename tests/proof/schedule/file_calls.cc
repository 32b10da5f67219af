// The calls of the C library by which a store changes files, as files.h carries them out.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "files.h"
#include "real_calls.h"

// NOLINTBEGIN: the names are the C library's
using azoth::proof::Files;
namespace real = azoth::proof::real;

#define OPEN                                                              \
  va_list more;                                                           \
  va_start(more, flags);                                                  \
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : mode_t{}; \
  va_end(more);                                                           \
  return Files::get().open(path, flags, mode)

extern "C" {

int open(const char* path, int flags, ...) { OPEN; }
int open64(const char* path, int flags, ...) { OPEN; }
int __open_2(const char* path, int flags) { return Files::get().open(path, flags, 0); }
int __open64_2(const char* path, int flags) { return Files::get().open(path, flags, 0); }
int close(int fd) { return Files::get().close(fd); }

ssize_t write(int fd, const void* bytes, size_t size) {
  iovec piece{const_cast<void*>(bytes), size};
  return Files::get().write(fd, &piece, 1, {});
}
ssize_t writev(int fd, const iovec* pieces, int count) { return Files::get().write(fd, pieces, count, {}); }
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  iovec piece{const_cast<void*>(bytes), size};
  return Files::get().write(fd, &piece, 1, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) { return pwrite(fd, bytes, size, offset); }
ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  return Files::get().write(fd, pieces, count, offset);
}
ssize_t pwritev64(int fd, const iovec* pieces, int count, off64_t offset) { return pwritev(fd, pieces, count, offset); }

int fsync(int fd) { return Files::get().sync(fd); }
int fdatasync(int fd) { return Files::get().sync(fd); }
int ftruncate(int fd, off_t size) noexcept { return Files::get().resize(fd, size, false); }
int ftruncate64(int fd, off64_t size) noexcept { return Files::get().resize(fd, size, false); }
int fallocate(int fd, int mode, off_t offset, off_t size) {
  if (mode == 0) return Files::get().resize(fd, offset + size, true);
  errno = EOPNOTSUPP;
  return -1;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t size) { return fallocate(fd, mode, offset, size); }
int posix_fallocate(int fd, off_t offset, off_t size) { return fallocate(fd, 0, offset, size) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t offset, off64_t size) { return posix_fallocate(fd, offset, size); }

int rename(const char* from, const char* to) noexcept { return Files::get().rename(from, to); }
int unlink(const char* path) noexcept { return Files::get().remove(path, 0); }
int rmdir(const char* path) noexcept { return Files::get().remove(path, AT_REMOVEDIR); }
int remove(const char* path) noexcept {
  struct stat status {};
  bool is_directory = lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
  return Files::get().remove(path, is_directory ? AT_REMOVEDIR : 0);
}
int mkdir(const char* path, mode_t mode) noexcept { return Files::get().make_directory(path, mode); }

void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  return Files::get().map(address, size, protection, flags, fd, offset);
}
void* mmap64(void* address, size_t size, int protection, int flags, int fd, off64_t offset) noexcept {
  return Files::get().map(address, size, protection, flags, fd, offset);
}

}  // extern "C"
// NOLINTEND
