#include "recorder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <utility>

namespace azoth::proof {

namespace {

constexpr std::size_t kDescriptors = 4096;

std::string path_of(int fd) {
  std::array<char, PATH_MAX> path{};
  if (fd == AT_FDCWD) return getcwd(path.data(), path.size()) != nullptr ? path.data() : "";
  std::string link = "/proc/self/fd/" + std::to_string(fd);
  ssize_t size = readlink(link.c_str(), path.data(), path.size());
  return {path.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

Descriptor describe(const struct stat& status, const std::string& path, int flags) {
  return {.inside = true,
          .directory = S_ISDIR(status.st_mode),
          .synchronous = (flags & (O_SYNC | O_DSYNC)) != 0,
          .device = status.st_dev,
          .inode = status.st_ino,
          .path = path};
}

}  // namespace

Recorder& Recorder::get() {
  static auto* recorder = new Recorder;  // never destroyed: files are closed until the very end
  return *recorder;
}

// The fault: KIND, KIND:TEXT or KIND:NUMBER:TEXT.
Recorder::Recorder() : descriptors_(kDescriptors) {
  const char* root = std::getenv(kRootVariable);
  const char* log = std::getenv(kLogVariable);
  if (root == nullptr || log == nullptr) return;
  root_ = root;
  if (const char* fault = std::getenv(kFaultVariable)) fault_ = fault;
  if (std::size_t colon = fault_.find(':'); colon != std::string::npos) {
    fault_text_ = fault_.substr(colon + 1);
    fault_.resize(colon);
  }
  if (fault_ == "skip-nth-sync") {
    fault_number_ = std::atoi(fault_text_.c_str());
    fault_text_.erase(0, fault_text_.find(':') + 1);
  }
  long fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) std::abort();
  log_ = static_cast<int>(fd);
}

std::optional<std::string> Recorder::inside(int directory, const char* path) const {
  if (!on() || path == nullptr) return std::nullopt;
  return below_root(path[0] == '/' ? path : path_of(directory) + "/" + path);
}

std::optional<std::string> Recorder::below_root(const std::string& path) const {
  if (path == root_) return "";
  if (path.size() > root_.size() && path.starts_with(root_) && path[root_.size()] == '/') {
    return path.substr(root_.size() + 1);
  }
  return std::nullopt;
}

void Recorder::emit(OpKind kind, std::uint8_t flags, std::uint64_t inode, std::uint64_t offset, std::string_view path,
                    std::string_view other, std::string_view data) const {
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

Descriptor& Recorder::slot(int fd) {
  if (static_cast<std::size_t>(fd) >= descriptors_.size()) std::abort();
  return descriptors_[static_cast<std::size_t>(fd)];
}

void Recorder::opened(int fd, const std::string& path, int flags, bool existed) {
  struct stat status {};
  if (fstat(fd, &status) != 0) std::abort();
  Descriptor& entry = slot(fd);
  entry = describe(status, path, flags);
  if (entry.directory) return;
  if ((flags & O_TMPFILE) == O_TMPFILE) unknown("a file without a name");
  std::uint8_t op_flags = existed ? 0 : op_flag::kCreated;
  if (existed && (flags & O_TRUNC) != 0) op_flags |= op_flag::kTruncated;
  emit(OpKind::Open, op_flags, status.st_ino, 0, path);
}

void Recorder::closed(int fd) {
  if (on() && fd >= 0 && static_cast<std::size_t>(fd) < descriptors_.size()) slot(fd) = {};
}

const Descriptor* Recorder::find(int fd) {
  struct stat status {};
  if (!on() || fd < 0 || fd == log_ || fstat(fd, &status) != 0) return nullptr;
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return nullptr;
  Descriptor& entry = slot(fd);
  if (entry.inode != status.st_ino || entry.device != status.st_dev) {
    std::optional<std::string> path = below_root(path_of(fd));
    entry = path ? describe(status, *path, static_cast<int>(syscall(SYS_fcntl, fd, F_GETFL))) : Descriptor{};
    entry.inode = status.st_ino;
    entry.device = status.st_dev;
    if (path && !entry.directory) emit(OpKind::Open, 0, status.st_ino, 0, *path);
  }
  return entry.inside ? &entry : nullptr;
}

void Recorder::wrote(const Descriptor& to, std::uint64_t offset, const void* bytes, std::size_t size) const {
  bool synchronous = to.synchronous && !is_fault("plain-meta", to.path);
  std::uint8_t flags = synchronous ? op_flag::kSynchronous : 0;
  emit(OpKind::Write, flags, to.inode, offset, {}, {}, {static_cast<const char*>(bytes), size});
}

void Recorder::synced(const Descriptor& file) {
  if (is_skipped(file)) return;
  if (!file.directory && file.path.ends_with(".tmp") && is_fault("rename-first", file.path)) {
    late_sync_ = file.inode;
    return;
  }
  emit(file.directory ? OpKind::SyncDirectory : OpKind::Sync, 0, file.inode, 0, file.path);
}

void Recorder::renamed(std::string_view from, std::string_view to) {
  emit(OpKind::Rename, 0, 0, 0, from, to);
  if (late_sync_ != 0) emit(OpKind::Sync, 0, std::exchange(late_sync_, 0), 0, to);
}

void Recorder::unknown(std::string_view what) const {
  if (on()) emit(OpKind::Unknown, 0, 0, 0, {}, {}, what);
}

bool Recorder::is_fault(std::string_view kind, std::string_view path) const {
  return fault_ == kind && path.find(fault_text_) != std::string_view::npos;
}

bool Recorder::is_skipped(const Descriptor& file) {
  if (file.directory) return is_fault("skip-directory-syncs", file.path);
  return is_fault("skip-sync", file.path) || (is_fault("skip-nth-sync", file.path) && ++syncs_ == fault_number_);
}

}  // namespace azoth::proof
