#include "failing_disk.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <utility>
#include <vector>

#include "azoth/core/error.h"
#include "mounted.h"

namespace azoth::test {

// Shared with the process that serves.
struct FailingDisk::State {
  std::atomic<int> error;  // 0: nothing fails
  std::atomic<int> of;
  std::atomic<bool> once;
  std::atomic<std::uint64_t> skip;
  std::atomic<std::uint64_t> failures;
  std::array<std::atomic<std::uint64_t>, 3> counts;

  // What the next one of this kind is answered: 0, or an errno.
  int next(Of kind) {
    const std::uint64_t before = counts[static_cast<std::size_t>(kind)].fetch_add(1);
    const int with = error.load();
    if (with == 0 || of.load() != static_cast<int>(kind) || before < skip.load()) return 0;
    if (once.load() && failures.load() != 0) return 0;
    ++failures;
    return with;
  }
};

namespace {

constexpr std::size_t kMostBytes = std::size_t{128} << 10;  // of one write
constexpr std::size_t kRoom = kMostBytes + 4096;            // for it and what is before it

char* shared_memory(std::uint64_t size) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw_errno(errno, "making room for a disk");
  return static_cast<char*>(at);
}

// One request of the kernel's (linux/fuse.h): a header, a structure of its kind, perhaps bytes.
class Request {
 public:
  Request(int connection, const std::vector<char>& bytes) : connection_(connection), bytes_(bytes.data()) {}

  const fuse_in_header& header() const { return *reinterpret_cast<const fuse_in_header*>(bytes_); }
  template <class Body>
  const Body& body() const {
    return *reinterpret_cast<const Body*>(bytes_ + sizeof(fuse_in_header));
  }
  template <class Body>
  const char* behind() const {
    return bytes_ + sizeof(fuse_in_header) + sizeof(Body);
  }

  void answer(int error, const void* with = nullptr, std::size_t size = 0) const {
    fuse_out_header head{};
    head.len = static_cast<std::uint32_t>(sizeof head + (error == 0 ? size : 0));
    head.error = -error;
    head.unique = header().unique;
    const std::array<iovec, 2> parts{{{&head, sizeof head}, {const_cast<void*>(with), error == 0 ? size : 0}}};
    if (writev(connection_, parts.data(), static_cast<int>(parts.size())) < 0 && errno != ENOENT) _exit(1);
  }
  template <class Body>
  void answer_with(const Body& body) const {
    answer(0, &body, sizeof body);
  }

 private:
  int connection_;
  const char* bytes_;
};

fuse_attr_out attributes(std::uint64_t size) {
  fuse_attr_out out{};
  out.attr_valid = 3600;
  out.attr.ino = FUSE_ROOT_ID;
  out.attr.size = size;
  out.attr.blocks = size / 512;
  out.attr.mode = S_IFREG | 0600;
  out.attr.nlink = 1;
  out.attr.blksize = 4096;
  return out;
}

void introduce(const Request& request) {
  const auto& in = request.body<fuse_init_in>();
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = std::min<std::uint32_t>(in.minor, 31);
  out.max_readahead = in.max_readahead;
  out.flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES;
  out.max_write = kMostBytes;
  out.max_pages = kMostBytes / 4096;
  request.answer_with(out);
}

}  // namespace

// Until it is unmounted.
void FailingDisk::serve(int connection, State& state, char* bytes, std::uint64_t size) {
  std::vector<char> room(kRoom);
  while (true) {
    const ssize_t got = read(connection, room.data(), room.size());
    if (got < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
    if (got < static_cast<ssize_t>(sizeof(fuse_in_header))) _exit(0);
    const Request request(connection, room);
    switch (request.header().opcode) {
      case FUSE_INIT:
        introduce(request);
        break;
      case FUSE_GETATTR:
      case FUSE_SETATTR:
        request.answer_with(attributes(size));
        break;
      case FUSE_OPEN: {
        fuse_open_out out{};
        out.open_flags = FOPEN_DIRECT_IO;  // what was read once is read again
        request.answer_with(out);
        break;
      }
      case FUSE_READ: {
        const auto& in = request.body<fuse_read_in>();
        const std::uint64_t at = std::min(in.offset, size);
        request.answer(state.next(Of::Reads), bytes + at, std::min<std::uint64_t>(in.size, size - at));
        break;
      }
      case FUSE_WRITE: {
        const auto& in = request.body<fuse_write_in>();
        fuse_write_out out{};
        out.size = in.size;
        int error = state.next(Of::Writes);
        if (error == 0 && (in.offset > size || in.size > size - in.offset)) error = ENOSPC;
        if (error == 0) std::copy_n(request.behind<fuse_write_in>(), in.size, bytes + in.offset);
        request.answer(error == kForgets ? 0 : error, &out, sizeof out);
        break;
      }
      case FUSE_STATFS:
        request.answer_with(fuse_statfs_out{});
        break;
      case FUSE_FSYNC:
        request.answer(state.next(Of::Syncs));
        break;
      case FUSE_FLUSH:
      case FUSE_RELEASE:
      case FUSE_DESTROY:
        request.answer(0);
        break;
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        break;
      default:
        request.answer(ENOSYS);
    }
  }
}

FailingDisk::FailingDisk(std::filesystem::path file, std::uint64_t bytes)
    : file_(std::move(file)), size_(bytes), bytes_(shared_memory(bytes)) {
  const int connection = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (connection < 0) throw_errno(errno, "opening /dev/fuse");
  const std::string options = "fd=" + std::to_string(connection) + ",rootmode=100600,user_id=0,group_id=0";
  if (::mount("azoth", file_.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    const int error = errno;
    close(connection);
    throw_errno(error, "mounting a disk that can fail");
  }
  server_ = fork();
  if (server_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(connection, *state_, bytes_, size_);
  }
  close(connection);  // only the server's is left: with it, the disk ends
}

FailingDisk::~FailingDisk() {
  umount2(file_.c_str(), MNT_DETACH);
  kill(server_, SIGKILL);
  while (waitpid(server_, nullptr, 0) < 0 && errno == EINTR) {
  }
  munmap(bytes_, size_);
}

void FailingDisk::fail(const Fault& fault) {
  heal();
  state_->of = static_cast<int>(fault.of);
  state_->once = fault.times == Times::Once;
  state_->skip = fault.skip;
  state_->error = fault.error;
}

void FailingDisk::heal() {
  state_->error = 0;
  state_->failures = 0;
  for (auto& count : state_->counts) count = 0;
}

std::uint64_t FailingDisk::count(Of of) const { return state_->counts[static_cast<std::size_t>(of)]; }
std::uint64_t FailingDisk::failures() const { return state_->failures; }

std::string why_no_disk_can_fail() {
  static const std::string why = []() -> std::string {
    try {
      Memory memory(1 << 20);
      const auto file = memory.path() / "disk";
      std::ofstream{file};
      const FailingDisk disk(file, 1 << 20);
      char byte = 1;
      const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
      const bool read = fd >= 0 && pread(fd, &byte, 1, 0) == 1 && byte == 0;
      close(fd);
      return read ? "" : "a FUSE file cannot be read";
    } catch (const Error& error) {
      return error.what();
    }
  }();
  return why;
}

}  // namespace azoth::test
