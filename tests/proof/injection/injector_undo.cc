// Losing what was written and not synced. The newest write is undone first.
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>

#include "injector_state.h"

extern "C" {
void* __libc_malloc(std::size_t size);
void __libc_free(void* memory);
}

namespace azoth::inject {
namespace {

struct Replaced {
  Replaced* older;
  dev_t device;
  ino_t inode;
  off_t offset;
  std::size_t size;
  char* bytes() { return reinterpret_cast<char*>(this + 1); }
};

Replaced* newest = nullptr;
std::mutex mutex;

using ReadAt = ssize_t (*)(int, void*, std::size_t, off_t);
using WriteAt = ssize_t (*)(int, const void*, std::size_t, off_t);

// Takes the file's entries out, undoing each of them if asked.
void take_out(int fd, bool undo_them) {
  Exempt own;
  static const auto write_at = reinterpret_cast<WriteAt>(dlsym(RTLD_NEXT, "pwrite64"));
  struct stat status {};
  if (fstat(fd, &status) != 0) return;
  std::lock_guard lock(mutex);
  for (Replaced** link = &newest; *link != nullptr;) {
    Replaced* entry = *link;
    if (entry->inode != status.st_ino || entry->device != status.st_dev) {
      link = &entry->older;
      continue;
    }
    if (undo_them && write_at(fd, entry->bytes(), entry->size, entry->offset) < 0) _exit(9);
    *link = entry->older;
    __libc_free(entry);
  }
}

}  // namespace

void keep_for_undo(int fd, off_t offset, std::size_t size) {
  Exempt own;
  static const auto read_at = reinterpret_cast<ReadAt>(dlsym(RTLD_NEXT, "pread64"));
  struct stat status {};
  if (size == 0 || fstat(fd, &status) != 0) return;
  auto* entry = static_cast<Replaced*>(__libc_malloc(sizeof(Replaced) + size));
  *entry = {.older = nullptr, .device = status.st_dev, .inode = status.st_ino, .offset = offset, .size = size};
  const ssize_t had = read_at(fd, entry->bytes(), size, offset);
  for (std::size_t i = had > 0 ? static_cast<std::size_t>(had) : 0; i < size; ++i)
    entry->bytes()[i] = 0;  // past its end
  std::lock_guard lock(mutex);
  entry->older = newest;
  newest = entry;
}

void forget_undo(int fd) { take_out(fd, false); }
void undo(int fd) { take_out(fd, true); }

}  // namespace azoth::inject
