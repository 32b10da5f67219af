#include "store_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include "azoth/core/codec.h"
#include "azoth/core/digest.h"
#include "azoth/core/error.h"
#include "azoth/core/log.h"

namespace azoth {

namespace {

constexpr std::string_view kFailedNote = "failed, durable through commit ";
constexpr std::string_view kIdentityMagic = "AZOTHID1";
constexpr std::size_t kIdentityBytes = 8 + 4 + 16 + 8;

// Which directories this process has claimed, by device and inode; true: only snapshots hold it any more.
struct ClaimTable {
  std::mutex mutex;
  std::map<std::pair<std::uint64_t, std::uint64_t>, bool> claims;
};

ClaimTable& claim_table() {
  static ClaimTable table;
  return table;
}

std::string holder_of(int fd) {
  std::array<char, 64> text{};
  ssize_t size = pread(fd, text.data(), text.size() - 1, 0);
  std::string holder(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  holder.resize(std::min(holder.size(), holder.find('\n')));
  return holder.empty() ? "another process" : "process " + holder;
}

// The note of a writer that failed, if there is one.
std::string note_in(int fd) {
  std::array<char, 128> text{};
  ssize_t size = pread(fd, text.data(), text.size() - 1, 0);
  std::string content(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  std::size_t at = content.find(kFailedNote);
  return at == std::string::npos ? "" : content.substr(at);
}

void lock_file(int fd, const StorePaths& paths, bool keep_note) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) throw_errno(errno, "locking " + paths.lock.string());
    throw Error(ErrorCode::Locked, "the store in " + paths.directory.string() + " is open for writing in " +
                                       holder_of(fd) + "; wait until it is closed");
  }
  std::string text = std::to_string(getpid()) + "\n" + (keep_note ? note_in(fd) : "");
  auto size = static_cast<ssize_t>(text.size());
  // A note that is to stay is never missing in between.
  bool written = (keep_note || ftruncate(fd, 0) == 0) && pwrite(fd, text.data(), text.size(), 0) == size &&
                 ftruncate(fd, size) == 0;
  if (!written) throw_errno(errno, "writing " + paths.lock.string());
}

// A directory may be named through symbolic links; what is in it may not be one.
std::filesystem::path resolve(const std::filesystem::path& directory) {
  if (directory.empty()) throw Error(ErrorCode::InvalidArgument, "a store needs a directory, and its name is empty");
  std::error_code error;
  std::filesystem::path resolved = std::filesystem::weakly_canonical(directory, error);
  if (error) throw_errno(error.value(), "finding " + directory.string());
  return resolved;
}

}  // namespace

StorePaths::StorePaths(const std::filesystem::path& dir)
    : directory(resolve(dir)),
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
    throw Error(ErrorCode::NotFound, "there is no store in " + paths.directory.string());
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

DirectoryClaim::DirectoryClaim(const StorePaths& paths, Mode mode) {
  struct stat status {};
  if (stat(paths.directory.c_str(), &status) != 0) throw_errno(errno, "opening " + paths.directory.string());
  device_ = status.st_dev;
  inode_ = status.st_ino;
  ClaimTable& table = claim_table();
  std::lock_guard guard(table.mutex);
  if (auto claim = table.claims.find({device_, inode_}); claim != table.claims.end()) {
    if (claim->second) {
      throw Error(ErrorCode::StillRead, "the store in " + paths.directory.string() +
                                            " was closed here, but a snapshot or a subscription of it is still alive; end it first");
    }
    throw Error(ErrorCode::AlreadyOpen,
                "the store in " + paths.directory.string() + " is already open in this process; share that object");
  }
  if (mode == Mode::Read) {
    table.claims[{device_, inode_}] = false;
    return;
  }
  fd_ = ::open(paths.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) throw_errno(errno, "opening " + paths.lock.string());
  try {
    lock_file(fd_, paths, mode == Mode::Repair);
    table.claims[{device_, inode_}] = false;
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

DirectoryClaim::~DirectoryClaim() {
  ClaimTable& table = claim_table();
  std::lock_guard guard(table.mutex);
  if (fd_ >= 0) ::close(fd_);  // and with it the lock
  table.claims.erase({device_, inode_});
}

void DirectoryClaim::note_failure(CommitSeq durable) noexcept {
  try {
    std::string note = std::to_string(getpid()) + "\n" + std::string(kFailedNote) + std::to_string(durable) + "\n";
    if (pwrite(fd_, note.data(), note.size(), 0) < 0) log(LogLevel::Warning, "the failure could not be noted");
  } catch (const std::bad_alloc&) {  // readers find out for themselves
  }
}

bool writer_is_alive(const StorePaths& paths) {
  int fd = ::open(paths.lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  return held;
}

std::optional<CommitSeq> failed_writer_durable_seq(const StorePaths& paths) {
  int fd = ::open(paths.lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return std::nullopt;
  std::string note = note_in(fd);
  ::close(fd);
  if (note.empty()) return std::nullopt;
  return std::strtoull(note.data() + kFailedNote.size(), nullptr, 10);
}

void DirectoryClaim::store_closed() {
  ClaimTable& table = claim_table();
  std::lock_guard guard(table.mutex);
  table.claims[{device_, inode_}] = true;
}

}  // namespace azoth
