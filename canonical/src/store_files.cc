#include "store_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "azoth/core/codec.h"
#include "azoth/core/digest.h"
#include "azoth/core/error.h"

namespace azoth {

namespace {

constexpr std::size_t kPidBytes = LockFile::kPidBytes;                       // the first line of the lock file
constexpr std::string_view kFailedNote = "failed, durable through commit ";  // the second, with 20 digits
constexpr std::string_view kIdentityMagic = "AZOTHID1";
constexpr std::size_t kIdentityBytes = 8 + 4 + 16 + 8;

// Of the directory itself: DIR/lock could be removed under its holder, and another one be made and locked.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& directory)
      : fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ < 0) throw_errno(errno, "opening " + directory.string());
    if (flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;  // not every file system can do it
    ::close(fd_);
    throw Error(ErrorCode::Locked, "the store in " + directory.string() +
                                       " is open for writing in another process, and " +
                                       "its lock file was removed; wait until it is closed");
  }
  ~DirectoryLock() { ::close(fd_); }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_;
};

// Which directories this process has claimed, by device and inode.
struct ClaimTable {
  struct Claim {
    bool only_snapshots = false;  // hold it any more
    std::unique_ptr<DirectoryLock> writing;
  };
  std::mutex mutex;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Claim> claims;
};

ClaimTable& claim_table() {
  static ClaimTable& table = *new ClaimTable;  // outlives stores that a program has made global
  return table;
}

LockFile lock_for_writing(const StorePaths& paths) {
  // What a failed writer has noted behind the pid stays where it is.
  std::optional<LockFile> lock = LockFile::try_lock(paths.lock, LockFile::Mode::Exclusive);
  if (lock) return std::move(*lock);
  std::optional<std::string> pid = LockFile::last_holder(paths.lock);
  throw Error(ErrorCode::Locked, "the store in " + paths.directory.string() + " is open for writing in " +
                                     (pid ? "process " + *pid : "another process") + "; wait until it is closed");
}

}  // namespace

// A directory may be named through symbolic links; what is in it may not be one.
StorePaths::StorePaths(const std::filesystem::path& dir)
    : directory(resolved_path(dir)),
      identity(directory / "identity"),
      creating(directory / "creating"),
      lock(directory / "lock"),
      journal(directory / "journal"),
      canonical(directory / "canonical") {}

void write_identity(FileSystem& fs, const StorePaths& paths, const Identity& identity) {
  std::string bytes(kIdentityMagic);
  codec::append(bytes, identity.format_version);
  bytes.append(identity.store_id.view());
  codec::append(bytes, checksum64(bytes));
  write_file_atomically(fs, paths.identity, bytes);
}

Identity read_identity(FileSystem& fs, const StorePaths& paths) {
  if (!fs.exists(paths.identity)) {
    const bool is_lost = fs.exists(paths.journal) && !fs.exists(paths.creating);
    throw Error(ErrorCode::NotFound, "there is no store in " + paths.directory.string() +
                                         (is_lost ? ": it has a journal, but its file identity is missing; restore it "
                                                    "from a backup"
                                                  : ""));
  }
  std::string bytes = read_file(fs, paths.identity, 4096);
  auto damaged = [&] { return Error(ErrorCode::Corruption, paths.identity.string() + " is damaged"); };
  if (bytes.size() < 12 || std::string_view(bytes).substr(0, 8) != kIdentityMagic) throw damaged();
  Identity identity;
  identity.format_version = codec::load<std::uint32_t>(bytes.data() + 8);
  if (identity.format_version != kFormatVersion) {
    throw Error(ErrorCode::UnsupportedFormat,
                "the store in " + paths.directory.string() + " has format " + std::to_string(identity.format_version) +
                    " and this version of Azoth reads format " + std::to_string(kFormatVersion));
  }
  if (bytes.size() != kIdentityBytes) throw damaged();
  std::string_view covered = std::string_view(bytes).substr(0, kIdentityBytes - 8);
  if (codec::load<std::uint64_t>(bytes.data() + covered.size()) != checksum64(covered)) throw damaged();
  std::memcpy(identity.store_id.bytes.data(), bytes.data() + 12, 16);
  return identity;
}

namespace {

// LMDB's writer sees in lock.mdb who reads, and leaves them their pages. A reader that makes a new one, because the old
// one was removed under the writer, would be seen by nobody. One that opens the store makes it, soon.
void refuse_readers_unseen(const StorePaths& paths) {
  constexpr int kAttempts = 100;
  const std::filesystem::path readers = paths.canonical / "lock.mdb";
  for (int attempt = 0; !FileSystem::posix().exists(readers) && LockFile::is_held(paths.lock); ++attempt) {
    if (attempt < kAttempts) {
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
      continue;
    }
    throw Error(ErrorCode::Locked, readers.string() + " was removed while process " +
                                       LockFile::last_holder(paths.lock).value_or("?") +
                                       " has the store open, which could not see who reads; close the store there");
  }
}

}  // namespace

DirectoryClaim::DirectoryClaim(const StorePaths& paths, Mode mode) {
  struct stat status {};
  if (stat(paths.directory.c_str(), &status) != 0) throw_errno(errno, "opening " + paths.directory.string());
  device_ = status.st_dev;
  inode_ = status.st_ino;
  if (mode == Mode::Read) refuse_readers_unseen(paths);
  ClaimTable& table = claim_table();
  std::lock_guard guard(table.mutex);
  if (auto claim = table.claims.find({device_, inode_}); claim != table.claims.end()) {
    if (claim->second.only_snapshots) {
      throw Error(ErrorCode::StillRead,
                  "the store in " + paths.directory.string() +
                      " was closed here, but a snapshot or a subscription of it is still alive; end it first");
    }
    throw Error(ErrorCode::AlreadyOpen,
                "the store in " + paths.directory.string() + " is already open in this process; share that object");
  }
  if (mode == Mode::Read) {
    table.claims[{device_, inode_}];
    return;
  }
  lock_ = lock_for_writing(paths);
  auto writing = std::make_unique<DirectoryLock>(paths.directory);
  table.claims[{device_, inode_}].writing = std::move(writing);
}

DirectoryClaim::~DirectoryClaim() {
  ClaimTable& table = claim_table();
  std::lock_guard guard(table.mutex);
  table.claims.erase({device_, inode_});
  lock_.reset();  // last, as it was the first: who has it finds the directory free
}

void DirectoryClaim::note_failure(CommitSeq durable) noexcept {
  std::array<char, 64> note{};
  int size = std::snprintf(note.data(), note.size(), "%.*s%020" PRIu64 "\n", static_cast<int>(kFailedNote.size()),
                           kFailedNote.data(), durable);
  std::ignore = pwrite(lock_->fd(), note.data(), static_cast<std::size_t>(size), kPidBytes);
}

void DirectoryClaim::failure_is_settled() {
  if (ftruncate(lock_->fd(), kPidBytes) != 0) throw_errno(errno, "writing the lock file");
}

namespace {

// -1 if there is none, or none that this process may look at. That there is no descriptor for it says nothing of
// writers.
int open_lock(const StorePaths& paths) {
  int fd = ::open(paths.lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno != ENOENT && errno != EACCES && errno != ELOOP)
    throw_errno(errno, "opening " + paths.lock.string());
  return fd;
}

}  // namespace

// The lock file is written by every writer when it has the lock, before it does anything else. It is looked at before
// the lock is, because a writer that comes in between has the lock or has changed it.
std::optional<std::string> last_writer(const StorePaths& paths) {
  int fd = open_lock(paths);
  if (fd < 0) return "";
  struct stat status {};
  std::array<char, kPidBytes> pid{};
  bool known = fstat(fd, &status) == 0 && pread(fd, pid.data(), pid.size(), 0) >= 0;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  if (held || !known) return std::nullopt;
  return std::string(pid.data(), pid.size()) + std::to_string(status.st_mtim.tv_sec) + "." +
         std::to_string(status.st_mtim.tv_nsec);
}

std::optional<CommitSeq> failed_writer_durable_seq(const StorePaths& paths) {
  int fd = open_lock(paths);
  if (fd < 0) return std::nullopt;
  std::array<char, 128> text{};
  ssize_t size = pread(fd, text.data(), text.size() - 1, 0);
  ::close(fd);
  std::string_view note(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  std::size_t at = note.find(kFailedNote);
  if (at == std::string_view::npos || note.back() != '\n') return std::nullopt;
  return std::strtoull(note.data() + at + kFailedNote.size(), nullptr, 10);
}

void DirectoryClaim::store_closed() {
  ClaimTable& table = claim_table();
  std::lock_guard guard(table.mutex);
  table.claims[{device_, inode_}].only_snapshots = true;
}

}  // namespace azoth
