#include "sync_counter.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace azoth::bench {

namespace {
std::atomic<std::uint64_t> syncs{0};
}  // namespace

std::uint64_t syncs_so_far() { return syncs.load(std::memory_order_relaxed); }

}  // namespace azoth::bench

extern "C" int fdatasync(int fd) {
  azoth::bench::syncs.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

extern "C" int fsync(int fd) {
  azoth::bench::syncs.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(syscall(SYS_fsync, fd));
}
