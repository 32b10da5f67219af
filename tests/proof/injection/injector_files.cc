// The calls on files. Each has the name of a function of the C library, which the loader finds here first.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <optional>

#include "injector_state.h"

namespace azoth::inject {
namespace {

// --- Which descriptors are of files below the directory

enum class Fd : unsigned char { Other, Watched, Synchronous };  // Synchronous: each write is synced by itself
constexpr int kMaxFds = 4096;
std::atomic<Fd> fds[kMaxFds];

Fd kind_of(int fd) { return fd >= 0 && fd < kMaxFds ? fds[fd].load(std::memory_order_relaxed) : Fd::Other; }
bool watched(int fd) { return armed_for_files() && kind_of(fd) != Fd::Other; }

bool watched(int directory, const char* path) {
  if (!armed_for_files() || path == nullptr) return false;
  int fd = -1;
  if (std::sscanf(path, "/proc/self/fd/%d", &fd) == 1) return kind_of(fd) != Fd::Other;
  return path[0] == '/' ? below_directory(path) : kind_of(directory) != Fd::Other;
}

int opened(int fd, bool is_watched, int flags) {
  if (fd < 0 || fd >= kMaxFds) return fd;
  const bool synchronous = (flags & (O_DSYNC | O_SYNC)) != 0;
  fds[fd].store(!is_watched ? Fd::Other : (synchronous ? Fd::Synchronous : Fd::Watched));
  return fd;
}

// --- What the functions have in common

template <class Function>
Function* real(const char* name, Function*& found) {
  if (found == nullptr) found = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
  return found;
}
#define AZOTH_REAL(name)                           \
  static decltype(::name)* found_##name = nullptr; \
  auto* call = real(#name, found_##name)

// The answer of a call that is to fail; nothing if it is to be made.
std::optional<int> failed(const Verdict& verdict) {
  if (!verdict.hit || verdict.error == kShort) return std::nullopt;
  errno = verdict.error;
  return -1;
}

std::optional<int> failed_at(Kind kind, const char* name, const char* path) {
  return failed(on_file_call(kind, name, path));
}

const char* place_of(int fd, char (&buffer)[256]) {
  char link[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, buffer, sizeof buffer - 1);
  buffer[std::max<ssize_t>(size, 0)] = 0;
  return buffer;
}

Verdict on_fd(Kind kind, const char* name, int fd) {
  char buffer[256];
  return on_file_call(kind, name, place_of(fd, buffer));
}

// How much of it a read or a write is to do.
std::size_t size_for(const Verdict& verdict, std::size_t size) {
  return verdict.hit && verdict.error == kShort ? std::max<std::size_t>(size / 2, 1) : size;
}

template <class Write>
ssize_t write_file(const char* name, int fd, off_t offset, std::size_t size, Write write) {
  if (!watched(fd)) return write(size);
  const Verdict verdict = on_fd(Kind::Write, name, fd);
  if (auto answer = failed(verdict)) return verdict.plant == Plant::SwallowWrite ? static_cast<ssize_t>(size) : *answer;
  if (losing() && kind_of(fd) == Fd::Watched) keep_for_undo(fd, offset, size);
  const ssize_t done = write(size_for(verdict, size));
  return verdict.plant == Plant::ShortWrite ? static_cast<ssize_t>(size) : done;
}

template <class Sync>
int sync_file(const char* name, int fd, Sync sync) {
  if (!watched(fd)) return sync();
  const Verdict verdict = on_fd(Kind::Sync, name, fd);
  if (auto answer = failed(verdict)) {
    if (losing()) undo(fd);
    if (verdict.plant == Plant::SwallowSync) return 0;
    return verdict.plant == Plant::RetrySync ? sync() : *answer;
  }
  const int result = sync();
  if (losing() && result == 0) forget_undo(fd);
  return result;
}

}  // namespace
}  // namespace azoth::inject

using namespace azoth::inject;

extern "C" {

// --- Opening and closing

int openat(int directory, const char* path, int flags, ...) {
  AZOTH_REAL(openat);
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  const bool is_watched = watched(directory, path);
  const Kind kind = (flags & O_CREAT) != 0 ? Kind::Create : Kind::Open;
  if (is_watched) {
    if (auto answer = failed_at(kind, "open", path)) return *answer;
  }
  return opened(call(directory, path, flags, mode), is_watched, flags);
}
int openat64(int, const char*, int, ...) __attribute__((alias("openat")));

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return openat(AT_FDCWD, path, flags, mode);
}
int open64(const char*, int, ...) __attribute__((alias("open")));

int close(int fd) {
  AZOTH_REAL(close);
  if (fd >= 0 && fd < kMaxFds) fds[fd].store(Fd::Other);
  return call(fd);
}

DIR* opendir(const char* path) {
  AZOTH_REAL(opendir);
  if (watched(AT_FDCWD, path) && failed_at(Kind::List, "opendir", path)) return nullptr;
  return call(path);
}

DIR* fdopendir(int fd) {
  AZOTH_REAL(fdopendir);
  if (watched(fd) && failed(on_fd(Kind::List, "fdopendir", fd))) return nullptr;
  return call(fd);
}

// --- Reading and writing

ssize_t read(int fd, void* to, size_t size) {
  AZOTH_REAL(read);
  if (!watched(fd)) return call(fd, to, size);
  const Verdict verdict = on_fd(Kind::Read, "read", fd);
  if (auto answer = failed(verdict)) return *answer;
  return call(fd, to, size_for(verdict, size));
}

ssize_t pread(int fd, void* to, size_t size, off_t offset) {
  AZOTH_REAL(pread);
  if (!watched(fd)) return call(fd, to, size, offset);
  const Verdict verdict = on_fd(Kind::Read, "pread", fd);
  if (auto answer = failed(verdict)) return *answer;
  return call(fd, to, size_for(verdict, size), offset);
}
ssize_t pread64(int, void*, size_t, off64_t) __attribute__((alias("pread")));

ssize_t write(int fd, const void* bytes, size_t size) {
  AZOTH_REAL(write);
  const off_t offset = kind_of(fd) == Fd::Other ? 0 : lseek(fd, 0, SEEK_CUR);
  return write_file("write", fd, offset, size, [&](std::size_t count) { return call(fd, bytes, count); });
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  AZOTH_REAL(pwrite);
  return write_file("pwrite", fd, offset, size, [&](std::size_t count) { return call(fd, bytes, count, offset); });
}
ssize_t pwrite64(int, const void*, size_t, off64_t) __attribute__((alias("pwrite")));

// One that is to be short does its first piece, or half of that if there is no other.
ssize_t writev(int fd, const iovec* pieces, int count) {
  AZOTH_REAL(writev);
  std::size_t size = 0;
  for (int i = 0; i < count; ++i) size += pieces[i].iov_len;
  const off_t offset = kind_of(fd) == Fd::Other ? 0 : lseek(fd, 0, SEEK_CUR);
  return write_file("writev", fd, offset, size, [&](std::size_t wanted) -> ssize_t {
    if (wanted == size) return call(fd, pieces, count);
    iovec first = pieces[0];
    if (count == 1) first.iov_len = wanted;
    return call(fd, &first, 1);
  });
}

// --- Syncing, sizes and space

int fsync(int fd) {
  AZOTH_REAL(fsync);
  return sync_file("fsync", fd, [&] { return call(fd); });
}

int fdatasync(int fd) {
  AZOTH_REAL(fdatasync);
  return sync_file("fdatasync", fd, [&] { return call(fd); });
}

int ftruncate(int fd, off_t size) noexcept {
  AZOTH_REAL(ftruncate);
  if (watched(fd)) {
    if (auto answer = failed(on_fd(Kind::Truncate, "ftruncate", fd))) return *answer;
  }
  return call(fd, size);
}
int ftruncate64(int, off64_t) noexcept __attribute__((alias("ftruncate")));

int fallocate(int fd, int mode, off_t offset, off_t size) {
  AZOTH_REAL(fallocate);
  if (watched(fd)) {
    if (auto answer = failed(on_fd(Kind::Allocate, "fallocate", fd))) return *answer;
  }
  return call(fd, mode, offset, size);
}
int fallocate64(int, int, off64_t, off64_t) __attribute__((alias("fallocate")));

int posix_fallocate(int fd, off_t offset, off_t size) {
  AZOTH_REAL(posix_fallocate);
  if (watched(fd) && failed(on_fd(Kind::Allocate, "posix_fallocate", fd))) return errno;
  return call(fd, offset, size);
}
int posix_fallocate64(int, off64_t, off64_t) __attribute__((alias("posix_fallocate")));

// --- Names

int rename(const char* from, const char* to) noexcept {
  AZOTH_REAL(rename);
  if (watched(AT_FDCWD, to)) {
    const Verdict verdict = on_file_call(Kind::Rename, "rename", to);
    if (auto answer = failed(verdict)) return verdict.plant == Plant::SwallowRename ? 0 : *answer;
  }
  return call(from, to);
}

int unlinkat(int directory, const char* path, int flags) noexcept {
  AZOTH_REAL(unlinkat);
  if (watched(directory, path)) {
    if (auto answer = failed_at(Kind::Unlink, "unlink", path)) return *answer;
  }
  return call(directory, path, flags);
}
int unlink(const char* path) noexcept { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char* path) noexcept { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) noexcept {
  const int result = unlink(path);
  return result != 0 && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}

int mkdir(const char* path, mode_t mode) noexcept {
  AZOTH_REAL(mkdir);
  if (watched(AT_FDCWD, path)) {
    if (auto answer = failed_at(Kind::MakeDirectory, "mkdir", path)) return *answer;
  }
  return call(path, mode);
}

// --- Maps, locks, looks

void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  AZOTH_REAL(mmap);
  if (fd >= 0 && watched(fd) && failed(on_fd(Kind::Map, "mmap", fd))) return MAP_FAILED;
  return call(at, size, protection, flags, fd, offset);
}
void* mmap64(void*, size_t, int, int, int, off64_t) noexcept __attribute__((alias("mmap")));

int msync(void* at, size_t size, int flags) {
  AZOTH_REAL(msync);
  if (armed_for_files()) {
    if (auto answer = failed_at(Kind::MapSync, "msync", "")) return *answer;
  }
  return call(at, size, flags);
}

int fcntl(int fd, int command, ...) {
  AZOTH_REAL(fcntl);
  va_list more;
  va_start(more, command);
  void* argument = va_arg(more, void*);
  va_end(more);
  const bool locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
  const bool takes = locks && static_cast<struct flock*>(argument)->l_type != F_UNLCK;  // giving back does not fail
  if (takes && watched(fd)) {
    if (auto answer = failed(on_fd(Kind::Lock, "fcntl", fd))) return *answer;
  }
  const int result = call(fd, command, argument);
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
    if (result >= 0 && result < kMaxFds) fds[result].store(kind_of(fd));
  }
  return result;
}
int fcntl64(int, int, ...) __attribute__((alias("fcntl")));

int fstat(int fd, struct stat* to) noexcept {
  AZOTH_REAL(fstat);
  if (watched(fd)) {
    if (auto answer = failed(on_fd(Kind::Stat, "fstat", fd))) return *answer;
  }
  return call(fd, to);
}
int fstat64(int fd, struct stat64* to) noexcept { return fstat(fd, reinterpret_cast<struct stat*>(to)); }
int __fxstat(int, int fd, struct stat* to) noexcept { return fstat(fd, to); }

int fstatat(int directory, const char* path, struct stat* to, int flags) noexcept {
  AZOTH_REAL(fstatat);
  if (watched(directory, path)) {
    if (auto answer = failed_at(Kind::Stat, "stat", path)) return *answer;
  }
  return call(directory, path, to, flags);
}
int stat(const char* path, struct stat* to) noexcept { return fstatat(AT_FDCWD, path, to, 0); }
int lstat(const char* path, struct stat* to) noexcept { return fstatat(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW); }
int stat64(const char* path, struct stat64* to) noexcept { return stat(path, reinterpret_cast<struct stat*>(to)); }
int lstat64(const char* path, struct stat64* to) noexcept { return lstat(path, reinterpret_cast<struct stat*>(to)); }

int access(const char* path, int mode) noexcept {
  AZOTH_REAL(access);
  if (watched(AT_FDCWD, path)) {
    if (auto answer = failed_at(Kind::Stat, "access", path)) return *answer;
  }
  return call(path, mode);
}

int fstatvfs(int fd, struct statvfs* to) noexcept {
  AZOTH_REAL(fstatvfs);
  if (watched(fd)) {
    if (auto answer = failed(on_fd(Kind::Stat, "fstatvfs", fd))) return *answer;
  }
  return call(fd, to);
}
}
