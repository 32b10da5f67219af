// The recorder: a library that is loaded into a program (LD_PRELOAD) and writes down everything that the program does
// to the files below one directory (trace.h), whoever does it: Azoth, LMDB, SQLite, the standard library.
//
// Each call and its entry in the log are one step, so the log's order is the order in which things happened. Syncs are
// noted and not carried out, and space is not really allocated: the files lie in memory, and what a sync is worth is
// worked out later. This also makes a program fast that only has it loaded, without a root: one that checks states.
//
// It can lie, so that those who look for lost commits can be seen to find them. AZOTH_PROOF_FAULT is one of
//   skip-sync:TEXT         syncs of files whose path contains TEXT do nothing, and succeed
//   skip-nth-sync:N:TEXT   the Nth of these does nothing
//   skip-directory-syncs   syncs of directories do nothing
//   plain-meta             O_DSYNC and O_SYNC do nothing
//   rename-first           what is written aside is renamed into place before it is synced
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trace.h"

namespace azoth::proof {
namespace {

struct Descriptor {
  bool inside = false;
  bool directory = false;
  bool synchronous = false;
  dev_t device = 0;
  ino_t inode = 0;
  std::string path;
};

class Recorder {
 public:
  static Recorder& get() {
    static auto* recorder = new Recorder;  // never destroyed: files are closed until the very end
    return *recorder;
  }

  bool on() const { return log_ >= 0; }
  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  // The path below the root; nothing if it lies elsewhere.
  std::optional<std::string> inside(int directory, const char* path) const {
    if (!on() || path == nullptr) return std::nullopt;
    std::string absolute = path;
    if (path[0] != '/') absolute = directory_path(directory) + "/" + path;
    return below_root(absolute);
  }

  void emit(OpKind kind, std::uint8_t flags, std::uint64_t inode, std::uint64_t offset, std::string_view path = {},
            std::string_view other = {}, std::string_view data = {}) const {
    OpHeader header{.kind = kind,
                    .flags = flags,
                    .path_bytes = static_cast<std::uint16_t>(path.size()),
                    .other_bytes = static_cast<std::uint16_t>(other.size()),
                    .zero = 0,
                    .inode = inode,
                    .offset = offset,
                    .data_bytes = data.size()};
    std::string entry(reinterpret_cast<const char*>(&header), sizeof header);
    entry.append(path).append(other).append(data);
    if (syscall(SYS_write, log_, entry.data(), entry.size()) != static_cast<ssize_t>(entry.size())) std::abort();
  }

  // After a descriptor was opened.
  void opened(int fd, const std::string& path, int flags, bool existed) {
    struct stat status {};
    if (fstat(fd, &status) != 0) std::abort();
    Descriptor& entry = slot(fd);
    entry = describe(fd, status, path, flags);
    if (entry.directory) return;
    std::uint8_t op_flags = existed ? 0 : op_flag::kCreated;
    if (existed && (flags & O_TRUNC) != 0) op_flags |= op_flag::kTruncated;
    emit(OpKind::Open, op_flags, status.st_ino, 0, path);
  }
  void closed(int fd) {
    if (on() && fd >= 0 && static_cast<std::size_t>(fd) < descriptors_.size()) slot(fd) = {};
  }

  // What a descriptor is; null if it has nothing to do with the root. Descriptors come and go behind the recorder's
  // back, too (opendir, dup), so it is looked at each time.
  const Descriptor* find(int fd) {
    struct stat status {};
    if (!on() || fd < 0 || fd == log_ || fstat(fd, &status) != 0) return nullptr;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return nullptr;
    Descriptor& entry = slot(fd);
    if (entry.inode != status.st_ino || entry.device != status.st_dev) {
      std::optional<std::string> path = below_root(directory_path(fd));
      entry = path ? describe(fd, status, *path, static_cast<int>(syscall(SYS_fcntl, fd, F_GETFL))) : Descriptor{};
      entry.inode = status.st_ino;
      entry.device = status.st_dev;
      if (path && !entry.directory) emit(OpKind::Open, 0, status.st_ino, 0, *path);
    }
    return entry.inside ? &entry : nullptr;
  }

  void wrote(const Descriptor& to, std::uint64_t offset, const void* bytes, std::size_t size) const {
    std::uint8_t flags = to.synchronous && fault_ != "plain-meta" ? op_flag::kSynchronous : 0;
    emit(OpKind::Write, flags, to.inode, offset, {}, {}, {static_cast<const char*>(bytes), size});
  }

  void synced(const Descriptor& file) {
    if (is_skipped(file)) return;
    if (fault_ == "rename-first" && file.path.ends_with(".tmp")) {
      late_sync_ = file.inode;
      return;
    }
    emit(file.directory ? OpKind::SyncDirectory : OpKind::Sync, 0, file.inode, 0, file.path);
  }
  void renamed(std::string_view from, std::string_view to) {
    emit(OpKind::Rename, 0, 0, 0, from, to);
    if (late_sync_ != 0) emit(OpKind::Sync, 0, std::exchange(late_sync_, 0), 0, to);
  }

  void unknown(std::string_view what) {
    if (on()) emit(OpKind::Unknown, 0, 0, 0, {}, {}, what);
  }

 private:
  Recorder() : descriptors_(4096) {
    const char* root = std::getenv(kRootVariable);
    const char* log = std::getenv(kLogVariable);
    if (const char* fault = std::getenv(kFaultVariable)) fault_ = fault;
    if (root == nullptr || log == nullptr) return;
    root_ = root;
    long fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) std::abort();
    log_ = static_cast<int>(fd);
  }

  Descriptor& slot(int fd) {
    if (static_cast<std::size_t>(fd) >= descriptors_.size()) std::abort();
    return descriptors_[static_cast<std::size_t>(fd)];
  }

  static Descriptor describe(int, const struct stat& status, const std::string& path, int flags) {
    return {.inside = true,
            .directory = S_ISDIR(status.st_mode),
            .synchronous = (flags & (O_SYNC | O_DSYNC)) != 0,
            .device = status.st_dev,
            .inode = status.st_ino,
            .path = path};
  }

  static std::string directory_path(int fd) {
    std::array<char, PATH_MAX> path{};
    if (fd == AT_FDCWD) return getcwd(path.data(), path.size()) != nullptr ? path.data() : "";
    std::string link = "/proc/self/fd/" + std::to_string(fd);
    ssize_t size = readlink(link.c_str(), path.data(), path.size());
    return {path.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  }

  std::optional<std::string> below_root(const std::string& path) const {
    if (path == root_) return "";
    if (path.size() > root_.size() && path.starts_with(root_) && path[root_.size()] == '/')
      return path.substr(root_.size() + 1);
    return std::nullopt;
  }

  bool is_skipped(const Descriptor& file) {
    if (file.directory) return fault_ == "skip-directory-syncs";
    std::string_view rest = fault_;
    auto drop = [&](std::string_view start) {
      if (!rest.starts_with(start)) return false;
      rest.remove_prefix(start.size());
      return true;
    };
    if (drop("skip-sync:")) return file.path.find(rest) != std::string::npos;
    if (!drop("skip-nth-sync:")) return false;
    const int nth = std::atoi(std::string(rest).c_str());
    rest.remove_prefix(rest.find(':') + 1);
    return file.path.find(rest) != std::string::npos && ++syncs_ == nth;
  }

  std::mutex mutex_;
  std::string root_;
  std::string fault_;
  int log_ = -1;
  int syncs_ = 0;                // that the fault could have meant
  std::uint64_t late_sync_ = 0;  // the inode of what is to be synced behind the next rename
  std::vector<Descriptor> descriptors_;
};

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
  if (Recorder::get().find(fd) != nullptr) Recorder::get().unknown("fallocate with a mode");
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
