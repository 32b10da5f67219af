#include "files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "anomaly.h"
#include "real_calls.h"
#include "scheduler.h"

namespace azoth::proof {

namespace {

constexpr Nanoseconds kMicrosecond = 1'000;
constexpr Nanoseconds kMillisecond = 1'000'000;

int as_int(long result) { return static_cast<int>(result); }

bool is_zero(std::string_view bytes) {
  return !bytes.empty() && bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

std::uint64_t inode_of(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0) fail("a file that was just opened cannot be looked at");
  return status.st_ino;
}

}  // namespace

Files& Files::get() {
  static auto* files = new Files;  // never destroyed: files are closed until the very end
  return *files;
}

void Files::begin(const std::string& root, const DiskState& base) {
  root_ = root + "/";
  disk_.emplace(base);
  trouble_ = {};
  had_trouble_ = false;
  calls_ = 0;
  observer_ = nullptr;
}

void Files::end() {
  root_.clear();
  observer_ = nullptr;
}

void Files::check_model() const {
  const DiskState model = disk_->cached();
  const DiskState real = load_state(root_.substr(0, root_.size() - 1));
  if (model.directories != real.directories || model.files.size() != real.files.size())
    fail("names have escaped the model");
  for (const auto& [path, file] : model.files) {
    auto found = real.files.find(path);
    if (found == real.files.end()) fail(path + " is not there, and the model says it is");
    if (!file.mapped && file.image.hash() != found->second.image.hash())
      fail("changes of " + path + " have escaped the model");
  }
}

std::optional<std::string> Files::inside(const char* path) const {
  std::string_view whole = path;
  if (!root_.empty() && whole == std::string_view(root_).substr(0, root_.size() - 1)) return "";
  if (root_.empty() || !whole.starts_with(root_)) return std::nullopt;
  return std::string(whole.substr(root_.size()));
}

const Files::Descriptor* Files::find(int fd) const {
  auto index = static_cast<std::size_t>(fd);
  return !root_.empty() && fd >= 0 && index < kDescriptors && descriptors_[index].is_inside ? &descriptors_[index]
                                                                                            : nullptr;
}

// --- What each call goes through

bool Files::begin_call(OpKind kind, std::string_view path) {
  Scheduler& scheduler = *Scheduler::get();
  scheduler.call();
  Scheduler::Undisturbed undisturbed;
  ++calls_;
  if (observer_) observer_(calls_);
  int error =
      trouble_.call != 0 && (trouble_.lasting ? calls_ >= trouble_.call : calls_ == trouble_.call) ? error_of(kind) : 0;
  if (error == 0) return true;
  had_trouble_ = true;
  scheduler.tell("fails at call " + std::to_string(calls_) + ", on " + std::string(path));
  errno = error;
  return false;
}

int Files::error_of(OpKind kind) {
  switch (kind) {
    case OpKind::Write:
      return Scheduler::get()->random().one_in(2) ? EIO : ENOSPC;
    case OpKind::Resize:
    case OpKind::Open:
    case OpKind::MakeDirectory:
      return ENOSPC;
    default:
      return EIO;
  }
}

void Files::apply(const Op& op) {
  Scheduler& scheduler = *Scheduler::get();
  if (scheduler.is_told()) {
    scheduler.tell(op.text() + (op.path.empty() ? " of inode " + std::to_string(op.inode) : "") + ", call " +
                   std::to_string(calls_));
  }
  scheduler.note(static_cast<std::uint64_t>(op.kind) << 32 ^ op.offset);
  scheduler.note(op.data);
  disk_->apply(op, calls_);
}

// Most calls are quick, a sync takes as long as a device does, and some take far too long.
void Files::take_time(OpKind kind) {
  Random& random = Scheduler::get()->random();
  Nanoseconds time = 0;
  if (kind == OpKind::Sync || kind == OpKind::SyncDirectory) {
    time = random.one_in(4) ? 0 : static_cast<Nanoseconds>(random.below(400)) * kMicrosecond;
    if (random.one_in(64)) time = 30 * kMillisecond;
    if (random.one_in(1024)) time = 2'000 * kMillisecond;
  } else if (random.one_in(8)) {
    time = static_cast<Nanoseconds>(random.below(20)) * kMicrosecond;
  }
  if (time != 0) Scheduler::get()->sleep(time);
}

// --- The calls

int Files::open(const char* path, int flags, mode_t mode) {
  std::optional<std::string> name = inside(path);
  struct stat status {};
  bool creates = name && (flags & O_CREAT) != 0 && fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) != 0;
  if (creates && !begin_call(OpKind::Open, *name)) return -1;
  Scheduler::Undisturbed undisturbed;
  int fd = as_int(real::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  if (fd < 0 || !name) return fd;
  if (static_cast<std::size_t>(fd) >= kDescriptors) fail("too many files are open");
  fstat(fd, &status);
  descriptors_[static_cast<std::size_t>(fd)] = {.is_inside = true,
                                                .is_directory = S_ISDIR(status.st_mode),
                                                .is_synchronous = (flags & (O_SYNC | O_DSYNC)) != 0,
                                                .inode = inode_of(fd),
                                                .path = *name};
  if (S_ISDIR(status.st_mode)) return fd;
  std::uint8_t how = creates ? op_flag::kCreated : (flags & O_TRUNC) != 0 ? op_flag::kTruncated : std::uint8_t{0};
  apply({.kind = OpKind::Open, .flags = how, .inode = inode_of(fd), .path = *name});
  return fd;
}

int Files::close(int fd) {
  auto index = static_cast<std::size_t>(fd);
  if (fd >= 0 && index < kDescriptors) descriptors_[index].is_inside = false;
  return as_int(real::syscall(SYS_close, fd));
}

ssize_t Files::write(int fd, const iovec* pieces, int count, std::optional<off_t> offset) {
  const Descriptor* file = find(fd);
  if (file == nullptr) {
    return offset ? real::syscall(SYS_pwritev, fd, pieces, count, *offset, 0L)
                  : real::syscall(SYS_writev, fd, pieces, count);
  }
  if (!begin_call(OpKind::Write, file->path)) return -1;
  const bool settles = file->is_synchronous && !anomaly::happens(anomaly::Kind::LyingMeta);
  Op op{.kind = OpKind::Write,
        .flags = settles ? op_flag::kSynchronous : std::uint8_t{0},
        .inode = file->inode,
        .offset = static_cast<std::uint64_t>(offset ? *offset : lseek(fd, 0, SEEK_CUR))};
  {
    Scheduler::Undisturbed undisturbed;
    for (int i = 0; i < count; ++i) op.data.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    put(fd, op);
    if (!offset) lseek(fd, static_cast<off_t>(op.data.size()), SEEK_CUR);
    apply(op);
  }
  take_time(settles ? OpKind::Sync : OpKind::Write);
  Scheduler::Undisturbed undisturbed;
  if (settles) disk_->settle();
  return static_cast<ssize_t>(op.data.size());
}

// A hole is as good as zeros, and takes no memory.
void Files::put(int fd, const Op& op) {
  const auto offset = static_cast<off_t>(op.offset);
  const auto size = static_cast<off_t>(op.data.size());
  struct stat status {};
  const bool is_hole = is_zero(op.data) && fstat(fd, &status) == 0 && status.st_size >= offset + size &&
                       real::syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) == 0;
  if (is_hole || real::syscall(SYS_pwrite64, fd, op.data.data(), op.data.size(), offset) == size) return;
  fail("there is no memory for files");
}

// What is written while a sync is under way may be safe with it, or not.
int Files::sync(int fd) {
  const Descriptor* file = find(fd);
  if (file == nullptr) return 0;
  const OpKind kind = file->is_directory ? OpKind::SyncDirectory : OpKind::Sync;
  const Op op{.kind = kind, .inode = file->inode, .path = file->path};
  if (!begin_call(kind, op.path)) return -1;
  using anomaly::Kind;
  bool lies = anomaly::happens(kind == OpKind::Sync ? Kind::LyingSync : Kind::LyingDirectorySync);
  bool at_once = Scheduler::get()->random().one_in(2);
  for (bool before : {true, false}) {
    if (!before) take_time(kind);
    Scheduler::Undisturbed undisturbed;
    if (before == at_once && !lies) apply(op);
  }
  return 0;
}

int Files::resize(int fd, off_t size, bool grows) {
  const Descriptor* file = find(fd);
  if (file != nullptr && !begin_call(OpKind::Resize, file->path)) return -1;
  Scheduler::Undisturbed undisturbed;
  struct stat status {};
  if (grows && fstat(fd, &status) == 0 && status.st_size >= size) return 0;
  int result = as_int(real::syscall(SYS_ftruncate, fd, size));
  if (file == nullptr || result != 0) return result;
  apply({.kind = OpKind::Resize,
         .flags = grows ? op_flag::kGrows : std::uint8_t{0},
         .inode = file->inode,
         .offset = static_cast<std::uint64_t>(size)});
  return 0;
}

int Files::rename(const char* from, const char* to) {
  std::optional<std::string> inside_from = inside(from);
  std::optional<std::string> inside_to = inside(to);
  if (inside_to && !begin_call(OpKind::Rename, *inside_to)) return -1;
  Scheduler::Undisturbed undisturbed;
  int result = as_int(real::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0L));
  if (result == 0 && inside_to) apply({.kind = OpKind::Rename, .path = *inside_from, .other = *inside_to});
  return result;
}

int Files::remove(const char* path, int flags) {
  std::optional<std::string> name = inside(path);
  if (name && !begin_call(OpKind::Remove, *name)) return -1;
  Scheduler::Undisturbed undisturbed;
  int result = as_int(real::syscall(SYS_unlinkat, AT_FDCWD, path, flags));
  if (result == 0 && name) apply({.kind = OpKind::Remove, .path = *name});
  return result;
}

int Files::make_directory(const char* path, mode_t mode) {
  std::optional<std::string> name = inside(path);
  struct stat status {};
  if (name && fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) != 0 && !begin_call(OpKind::MakeDirectory, *name))
    return -1;
  Scheduler::Undisturbed undisturbed;
  int result = as_int(real::syscall(SYS_mkdirat, AT_FDCWD, path, mode));
  if (result == 0 && name) apply({.kind = OpKind::MakeDirectory, .path = *name});
  return result;
}

void* Files::map(void* address, std::size_t size, int protection, int flags, int fd, off_t offset) {
  void* mapped = reinterpret_cast<void*>(real::syscall(SYS_mmap, address, size, protection, flags, fd, offset));
  const Descriptor* file = (flags & MAP_ANONYMOUS) == 0 ? find(fd) : nullptr;
  bool writes = (flags & MAP_TYPE) != MAP_PRIVATE && (protection & PROT_WRITE) != 0;
  Scheduler::Undisturbed undisturbed;
  if (file != nullptr && writes && mapped != MAP_FAILED) apply({.kind = OpKind::Map, .inode = file->inode});
  return mapped;
}

}  // namespace azoth::proof
