#include "shared.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>

#include "azoth/core/error.h"

namespace azoth::proof::histories {

void Unmap::operator()(Shared* shared) const { munmap(static_cast<void*>(shared), sizeof(Shared)); }

SharedMemory map_shared() {
  static_assert(std::atomic<Word>::is_always_lock_free, "it is shared by processes");
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw_errno(errno, "sharing memory");
  return SharedMemory(new (memory) Shared);
}

}  // namespace azoth::proof::histories
