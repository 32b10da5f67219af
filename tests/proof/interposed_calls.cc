// The calls of the C library by which files and directories are changed.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "recorder.h"

namespace azoth::proof {
namespace {

template <class Result>
Result result_of(long value) {
  return static_cast<Result>(value);
}

int open_at(int directory, const char* path, int flags, mode_t mode) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.lock();
  std::optional<std::string> inside = recorder.inside(directory, path);
  struct stat status {};
  bool existed = !inside || fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
  int fd = result_of<int>(syscall(SYS_openat, directory, path, flags, mode));
  if (fd >= 0) recorder.closed(fd);
  if (fd >= 0 && inside) recorder.opened(fd, *inside, flags, existed);
  return fd;
}

std::uint64_t position(int fd) {
  int flags = result_of<int>(syscall(SYS_fcntl, fd, F_GETFL));
  struct stat status {};
  if ((flags & O_APPEND) != 0 && fstat(fd, &status) == 0) return static_cast<std::uint64_t>(status.st_size);
  return static_cast<std::uint64_t>(syscall(SYS_lseek, fd, 0, SEEK_CUR));
}

// One call that writes, at its own offset or where the descriptor stands.
ssize_t write_pieces(int fd, const iovec* pieces, int count, std::optional<std::uint64_t> offset) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.on() ? recorder.lock() : std::unique_lock<std::mutex>();
  const Descriptor* to = recorder.find(fd);
  std::uint64_t at = offset ? *offset : to != nullptr ? position(fd) : 0;
  auto result = offset ? syscall(SYS_pwritev, fd, pieces, count, static_cast<long>(*offset), 0L)
                       : syscall(SYS_writev, fd, pieces, count);
  auto left = static_cast<std::size_t>(std::max(result, 0L));
  std::string all;
  for (int i = 0; to != nullptr && i < count && left > 0; ++i) {
    std::size_t size = std::min(left, pieces[i].iov_len);
    all.append(static_cast<const char*>(pieces[i].iov_base), size);
    left -= size;
  }
  int error = errno;
  if (!all.empty()) recorder.wrote(*to, at, all.data(), all.size());
  errno = error;
  return result;
}

int sync(int fd) {
  Recorder& recorder = Recorder::get();
  if (!recorder.on()) return 0;
  auto lock = recorder.lock();
  if (const Descriptor* file = recorder.find(fd)) recorder.synced(*file);
  return 0;
}

int resize(int fd, off_t size, bool grows) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.lock();
  struct stat status {};
  if (grows && fstat(fd, &status) == 0 && status.st_size >= size) return 0;
  int result = result_of<int>(syscall(SYS_ftruncate, fd, size));
  if (const Descriptor* file = result == 0 ? recorder.find(fd) : nullptr) {
    recorder.emit(OpKind::Resize, grows ? op_flag::kGrows : 0, file->inode, static_cast<std::uint64_t>(size));
  }
  return result;
}

int allocate(int fd, int mode, off_t offset, off_t size) {
  if (mode == 0) return resize(fd, offset + size, true);
  auto lock = Recorder::get().lock();
  const bool seen = mode != FALLOC_FL_KEEP_SIZE;  // of blocks behind the end there is nothing to see
  if (seen && Recorder::get().find(fd) != nullptr) Recorder::get().unknown("fallocate with a mode");
  return result_of<int>(syscall(SYS_fallocate, fd, mode, offset, size));
}

int rename_at(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.lock();
  std::optional<std::string> inside_from = recorder.inside(from_directory, from);
  std::optional<std::string> inside_to = recorder.inside(to_directory, to);
  int result = result_of<int>(syscall(SYS_renameat2, from_directory, from, to_directory, to, flags));
  if (result != 0) return result;
  bool exchanges = (flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0;
  if (inside_from.has_value() != inside_to.has_value() || (inside_from && exchanges)) recorder.unknown("a rename");
  if (inside_from && inside_to) recorder.renamed(*inside_from, *inside_to);
  return result;
}

int remove_at(int directory, const char* path, int flags) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.lock();
  std::optional<std::string> inside = recorder.inside(directory, path);
  int result = result_of<int>(syscall(SYS_unlinkat, directory, path, flags));
  if (result == 0 && inside) recorder.emit(OpKind::Remove, 0, 0, 0, *inside);
  return result;
}

int make_directory_at(int directory, const char* path, mode_t mode) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.lock();
  std::optional<std::string> inside = recorder.inside(directory, path);
  int result = result_of<int>(syscall(SYS_mkdirat, directory, path, mode));
  if (result == 0 && inside) recorder.emit(OpKind::MakeDirectory, 0, 0, 0, *inside);
  return result;
}

int link_at(int from_directory, const char* from, int to_directory, const char* to, int flags) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.lock();
  std::optional<std::string> inside = recorder.inside(to_directory, to);
  int result = result_of<int>(syscall(SYS_linkat, from_directory, from, to_directory, to, flags));
  struct stat status {};
  if (result == 0 && inside && fstatat(to_directory, to, &status, AT_SYMLINK_NOFOLLOW) == 0) {
    recorder.emit(OpKind::Link, 0, status.st_ino, 0, *inside);
  }
  return result;
}

void* map(void* address, std::size_t size, int protection, int flags, int fd, off_t offset) {
  Recorder& recorder = Recorder::get();
  void* mapped = reinterpret_cast<void*>(syscall(SYS_mmap, address, size, protection, flags, fd, offset));
  bool shares = (flags & MAP_TYPE) != MAP_PRIVATE && (protection & PROT_WRITE) != 0 && (flags & MAP_ANONYMOUS) == 0;
  if (!recorder.on() || mapped == MAP_FAILED || !shares) return mapped;
  auto lock = recorder.lock();
  if (const Descriptor* file = recorder.find(fd)) recorder.emit(OpKind::Map, 0, file->inode, 0);
  return mapped;
}

// Ways to write that nobody here uses: if that changes, it shows.
void refuse(int fd, const char* what) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.lock();
  if (recorder.find(fd) != nullptr) recorder.unknown(what);
}

mode_t mode_of(int flags, va_list& more) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? static_cast<mode_t>(va_arg(more, int)) : 0;
}

}  // namespace
}  // namespace azoth::proof

// NOLINTBEGIN: the names are the C library's
using namespace azoth::proof;
#define EXPORTED extern "C" __attribute__((visibility("default")))
#define OPEN_WITH(DIRECTORY)          \
  va_list more;                       \
  va_start(more, flags);              \
  mode_t mode = mode_of(flags, more); \
  va_end(more);                       \
  return open_at(DIRECTORY, path, flags, mode)

EXPORTED void azoth_proof_mark(const char* text, std::size_t size) {
  Recorder& recorder = Recorder::get();
  auto lock = recorder.lock();
  if (recorder.on()) recorder.emit(OpKind::Mark, 0, 0, 0, {}, {}, {text, size});
}

EXPORTED int open(const char* path, int flags, ...) { OPEN_WITH(AT_FDCWD); }
EXPORTED int open64(const char* path, int flags, ...) { OPEN_WITH(AT_FDCWD); }
EXPORTED int openat(int directory, const char* path, int flags, ...) { OPEN_WITH(directory); }
EXPORTED int openat64(int directory, const char* path, int flags, ...) { OPEN_WITH(directory); }
EXPORTED int __open_2(const char* path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
EXPORTED int __open64_2(const char* path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
EXPORTED int __openat_2(int directory, const char* path, int flags) { return open_at(directory, path, flags, 0); }
EXPORTED int __openat64_2(int directory, const char* path, int flags) { return open_at(directory, path, flags, 0); }
EXPORTED int creat(const char* path, mode_t mode) {
  return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
EXPORTED int creat64(const char* path, mode_t mode) { return creat(path, mode); }
EXPORTED int close(int fd) {
  auto lock = Recorder::get().lock();
  Recorder::get().closed(fd);
  return result_of<int>(syscall(SYS_close, fd));
}

EXPORTED ssize_t write(int fd, const void* bytes, size_t size) {
  iovec piece{const_cast<void*>(bytes), size};
  return write_pieces(fd, &piece, 1, {});
}
EXPORTED ssize_t writev(int fd, const iovec* pieces, int count) { return write_pieces(fd, pieces, count, {}); }
EXPORTED ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  iovec piece{const_cast<void*>(bytes), size};
  return write_pieces(fd, &piece, 1, static_cast<std::uint64_t>(offset));
}
EXPORTED ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return pwrite64(fd, bytes, size, offset);
}
EXPORTED ssize_t pwritev64(int fd, const iovec* pieces, int count, off64_t offset) {
  return write_pieces(fd, pieces, count, static_cast<std::uint64_t>(offset));
}
EXPORTED ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  return pwritev64(fd, pieces, count, offset);
}
EXPORTED ssize_t pwritev64v2(int fd, const iovec* pieces, int count, off64_t offset, int flags) {
  refuse(fd, "pwritev2");
  return syscall(SYS_pwritev2, fd, pieces, count, static_cast<long>(offset), 0L, flags);
}
EXPORTED ssize_t pwritev2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
  return pwritev64v2(fd, pieces, count, offset, flags);
}
EXPORTED ssize_t copy_file_range(int in, off64_t* from, int out, off64_t* to, size_t size, unsigned flags) {
  refuse(out, "copy_file_range");
  return syscall(SYS_copy_file_range, in, from, out, to, size, flags);
}
EXPORTED ssize_t sendfile64(int out, int in, off64_t* offset, size_t size) noexcept {
  refuse(out, "sendfile");
  return syscall(SYS_sendfile, out, in, offset, size);
}
EXPORTED ssize_t sendfile(int out, int in, off_t* offset, size_t size) noexcept {
  return sendfile64(out, in, offset, size);
}

EXPORTED int fsync(int fd) { return sync(fd); }
EXPORTED int fdatasync(int fd) { return sync(fd); }
EXPORTED int sync_file_range(int, off64_t, off64_t, unsigned) { return 0; }  // promises nothing
EXPORTED int msync(void*, size_t, int) { return 0; }  // what is written through maps counts as lost

EXPORTED int ftruncate(int fd, off_t size) noexcept { return resize(fd, size, false); }
EXPORTED int ftruncate64(int fd, off64_t size) noexcept { return resize(fd, size, false); }
EXPORTED int truncate(const char* path, off_t size) noexcept {
  int fd = open_at(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  int result = resize(fd, size, false);
  close(fd);
  return result;
}
EXPORTED int truncate64(const char* path, off64_t size) noexcept { return truncate(path, size); }
EXPORTED int fallocate(int fd, int mode, off_t offset, off_t size) { return allocate(fd, mode, offset, size); }
EXPORTED int fallocate64(int fd, int mode, off64_t offset, off64_t size) { return allocate(fd, mode, offset, size); }
EXPORTED int posix_fallocate(int fd, off_t offset, off_t size) {
  return allocate(fd, 0, offset, size) == 0 ? 0 : errno;
}
EXPORTED int posix_fallocate64(int fd, off64_t offset, off64_t size) { return posix_fallocate(fd, offset, size); }

EXPORTED int rename(const char* from, const char* to) noexcept { return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0); }
EXPORTED int renameat(int from_directory, const char* from, int to_directory, const char* to) noexcept {
  return rename_at(from_directory, from, to_directory, to, 0);
}
EXPORTED int renameat2(int from_directory, const char* from, int to_directory, const char* to,
                       unsigned flags) noexcept {
  return rename_at(from_directory, from, to_directory, to, flags);
}
EXPORTED int unlink(const char* path) noexcept { return remove_at(AT_FDCWD, path, 0); }
EXPORTED int unlinkat(int directory, const char* path, int flags) noexcept { return remove_at(directory, path, flags); }
EXPORTED int rmdir(const char* path) noexcept { return remove_at(AT_FDCWD, path, AT_REMOVEDIR); }
EXPORTED int remove(const char* path) noexcept {
  int result = remove_at(AT_FDCWD, path, 0);
  return result != 0 && errno == EISDIR ? remove_at(AT_FDCWD, path, AT_REMOVEDIR) : result;
}
EXPORTED int mkdir(const char* path, mode_t mode) noexcept { return make_directory_at(AT_FDCWD, path, mode); }
EXPORTED int mkdirat(int directory, const char* path, mode_t mode) noexcept {
  return make_directory_at(directory, path, mode);
}
EXPORTED int link(const char* from, const char* to) noexcept { return link_at(AT_FDCWD, from, AT_FDCWD, to, 0); }
EXPORTED int linkat(int from_directory, const char* from, int to_directory, const char* to, int flags) noexcept {
  return link_at(from_directory, from, to_directory, to, flags);
}
EXPORTED void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  return map(address, size, protection, flags, fd, offset);
}
EXPORTED void* mmap64(void* address, size_t size, int protection, int flags, int fd, off64_t offset) noexcept {
  return map(address, size, protection, flags, fd, offset);
}
// NOLINTEND
