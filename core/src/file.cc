#include "azoth/core/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"

namespace azoth {
namespace {

using Path = std::filesystem::path;

// O_NONBLOCK: to open a pipe that somebody has put in a file's place would wait for ever; of a file it changes nothing.
constexpr int kOpenAlways = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;
// Small on purpose. What one large write brings into the page cache stays there as one large unit, and a file system
// that keeps a list of blocks for each unit (ext4) walks all of it in every small write inside: a batch would cost four
// times as much, for the life of the segment.
constexpr std::size_t kZeroPieceBytes = std::size_t{16} << 10;

[[noreturn]] void fail(int errno_value, std::string_view action, std::string_view path) {
  throw_errno(errno_value, "cannot " + std::string(action) + " " + std::string(path));
}

// For calls that do nothing when a signal interrupts them. Never for a sync.
template <typename Call>
auto retry_interrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);  // never retried: the descriptor is gone whatever close answers
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int open_directory(const Path& path) {
  const int fd = retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | kOpenAlways); });
  if (fd < 0) fail(errno, "open the directory", path.native());
  return fd;
}

void require_regular_file(int fd, const Path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail(errno, "look up", path.native());
  if (S_ISREG(status.st_mode)) return;
  throw Error(ErrorCode::Io, "cannot open " + path.native() + ": it is not a regular file; move it away");
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  std::size_t read_at(std::uint64_t offset, char* to, std::size_t size) override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = retry_interrupted(
          [&] { return ::pread(fd_.get(), to + done, size - done, static_cast<off_t>(offset + done)); });
      if (got < 0) fail(errno, "read", path_);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  void write_at(std::uint64_t offset, std::string_view bytes) override {
    if (int error = AZOTH_FAULT("file.write")) fail(error, "write", path_);
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put = retry_interrupted([&] {
        return ::pwrite(fd_.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      });
      if (put < 0) fail(errno, "write", path_);
      if (put == 0) fail(EIO, "write", path_);  // no progress and no reason given
      done += static_cast<std::size_t>(put);
    }
  }

  void sync_data() override {
    if (int error = AZOTH_FAULT("file.sync")) fail(error, "sync", path_);
    // Not retried, not even when interrupted: the kernel may have counted the error as reported.
    if (::fdatasync(fd_.get()) != 0) fail(errno, "sync", path_);
  }

  void truncate(std::uint64_t size) override {
    if (int error = AZOTH_FAULT("file.truncate")) fail(error, "truncate", path_);
    if (retry_interrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0) {
      fail(errno, "truncate", path_);
    }
  }

  std::uint64_t size() override {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) fail(errno, "find the size of", path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

  // fallocate, not posix_fallocate: where the file system cannot allocate, the library's substitute would write a byte
  // into every block, which the caller's own zeros do better.
  void allocate(std::uint64_t size) override {
    if (int error = AZOTH_FAULT("file.allocate")) fail(error, "allocate space for", path_);
    if (size == 0) return;
    const int result = retry_interrupted([&] { return ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)); });
    if (result == 0 || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS) return;
    fail(errno, "allocate space for", path_);
  }

  void will_need(std::uint64_t offset, std::uint64_t size) override {
    ::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixFileSystem final : public FileSystem {
 public:
  std::unique_ptr<File> open(const Path& path, Mode mode) override {
    int flags = kOpenAlways | (mode == Mode::Read ? O_RDONLY : O_RDWR);
    if (mode == Mode::Create) {
      flags |= O_CREAT | O_EXCL;
      if (int error = AZOTH_FAULT("file.create")) fail(error, "create", path.native());
    }
    const int fd = retry_interrupted([&] { return ::open(path.c_str(), flags, kFileMode); });
    if (fd < 0 && mode == Mode::Create && errno == EEXIST) {
      throw Error(ErrorCode::AlreadyExists, "cannot create " + path.native() + ": there is such a file already");
    }
    if (fd < 0) fail(errno, mode == Mode::Create ? "create" : "open", path.native());
    Descriptor owner(fd);
    require_regular_file(fd, path);
    auto file = std::make_unique<PosixFile>(fd, path.native());
    owner.release();
    return file;
  }

  bool exists(const Path& path) override {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    fail(errno, "look up", path.native());
  }

  std::vector<std::string> list(const Path& directory) override {
    Descriptor owner(open_directory(directory));
    std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(owner.get()), ::closedir);
    if (!entries) fail(errno, "list", directory.native());
    owner.release();
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(entries.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) fail(errno, "list", directory.native());
    std::sort(names.begin(), names.end());
    return names;
  }

  void make_directory(const Path& path) override {
    if (int error = AZOTH_FAULT("file.make_directory")) fail(error, "make the directory", path.native());
    if (::mkdir(path.c_str(), kDirectoryMode) == 0) return;
    if (errno != EEXIST) fail(errno, "make the directory", path.native());
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) fail(errno, "look up", path.native());
    if (!S_ISDIR(status.st_mode)) {
      throw Error(ErrorCode::AlreadyExists,
                  "cannot make the directory " + path.native() + ": there is something else of that name");
    }
  }

  void rename(const Path& from, const Path& to) override {
    const int error = AZOTH_FAULT("file.rename");
    if (error == 0 && ::rename(from.c_str(), to.c_str()) == 0) return;
    fail(error != 0 ? error : errno, "rename " + from.native() + " to", to.native());
  }

  void remove(const Path& path) override {
    if (int error = AZOTH_FAULT("file.remove")) fail(error, "remove", path.native());
    if (std::remove(path.c_str()) != 0) fail(errno, "remove", path.native());
  }

  void sync_directory(const Path& path) override {
    if (int error = AZOTH_FAULT("file.sync_directory")) fail(error, "sync the directory", path.native());
    const Descriptor directory(open_directory(path));
    if (::fsync(directory.get()) != 0) fail(errno, "sync the directory", path.native());
  }
};

Path directory_of(const Path& path) { return path.has_parent_path() ? path.parent_path() : Path("."); }

// After a failure that is on its way to the caller: another one would only hide it.
void remove_quietly(FileSystem& fs, const Path& path) noexcept {
  try {
    fs.remove(path);
  } catch (...) {  // The file stays behind; the first error is the one that matters.
  }
}

}  // namespace

FileSystem& FileSystem::posix() {
  static PosixFileSystem& instance = *new PosixFileSystem;  // outlives stores that a program has made global
  return instance;
}

Path absolute_path(const Path& path) {
  if (path.empty()) throw Error(ErrorCode::InvalidArgument, "the name of a directory is empty");
  std::error_code error;
  Path found = std::filesystem::absolute(path, error);
  if (error) throw_errno(error.value(), "finding " + path.string());
  return found;
}

Path resolved_path(const Path& path) {
  std::error_code error;
  Path found = std::filesystem::weakly_canonical(absolute_path(path), error);
  if (error) throw_errno(error.value(), "finding " + path.string());
  return found;
}

std::string read_file(FileSystem& fs, const Path& path, std::size_t limit) {
  const std::unique_ptr<File> file = fs.open(path, FileSystem::Mode::Read);
  const std::uint64_t size = file->size();
  if (size > limit) {
    throw Error(ErrorCode::Corruption, path.native() + " has " + std::to_string(size) +
                                           " bytes, but such a file has at most " + std::to_string(limit) +
                                           "; restore it from a backup");
  }
  std::string content(static_cast<std::size_t>(size), '\0');
  content.resize(file->read_at(0, content.data(), content.size()));
  return content;
}

void write_file_atomically(FileSystem& fs, const Path& path, std::string_view content) {
  // A name that no other writer has, of this process or of another: with a common name one could rename what the other
  // has half written.
  Path temporary = path;
  temporary += "." + Uuid::random().text() + ".tmp";
  std::unique_ptr<File> file = fs.open(temporary, FileSystem::Mode::Create);
  try {
    file->write_at(0, content);
    file->sync_data();
    file.reset();
    fs.rename(temporary, path);
  } catch (...) {
    remove_quietly(fs, temporary);
    throw;
  }
  fs.sync_directory(directory_of(path));
}

void make_directories(FileSystem& fs, const Path& directory) {
  const Path parent = directory_of(directory);
  if (!fs.exists(parent)) make_directories(fs, parent);
  fs.make_directory(directory);
  fs.sync_directory(parent);
}

void create_zero_filled(FileSystem& fs, const Path& path, std::uint64_t size) {
  std::unique_ptr<File> file = fs.open(path, FileSystem::Mode::Create);
  try {
    file->allocate(size);
    const std::string zeros(static_cast<std::size_t>(std::min<std::uint64_t>(size, kZeroPieceBytes)), '\0');
    for (std::uint64_t at = 0; at < size; at += zeros.size()) {
      const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(zeros.size(), size - at));
      file->write_at(at, std::string_view(zeros).substr(0, piece));
    }
    file->sync_data();
    fs.sync_directory(directory_of(path));
  } catch (...) {
    file.reset();
    remove_quietly(fs, path);
    throw;
  }
}

}  // namespace azoth
