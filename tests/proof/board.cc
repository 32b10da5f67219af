#include "board.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "azoth/core/error.h"

namespace azoth::proof {

Board::Board(const std::filesystem::path& file) {
  int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(Shared)) != 0) throw_errno(errno, "making " + file.string());
  void* shared = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (shared == MAP_FAILED) throw_errno(errno, "mapping " + file.string());
  shared_ = static_cast<Shared*>(shared);  // zeros are what it begins with
}

Board::~Board() { munmap(shared_, sizeof(Shared)); }

std::uint64_t Board::states() const {
  std::uint64_t sum = 0;
  for (const Worker& worker : shared_->workers) sum += worker.states;
  return sum;
}

std::uint64_t Board::bad() const {
  std::uint64_t sum = 0;
  for (const Worker& worker : shared_->workers) sum += worker.bad;
  return sum;
}

void Board::put(char* to, std::size_t size, std::string_view text) {
  std::size_t length = std::min(size - 1, text.size());
  text.copy(to, length);
  to[length] = '\0';
}

}  // namespace azoth::proof
