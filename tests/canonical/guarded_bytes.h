// Bytes that end where readable memory ends: whoever reads one byte further dies.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <string_view>

namespace azoth::test {

class GuardedBytes {
 public:
  explicit GuardedBytes(std::string_view content) : size_(content.size()) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    readable_ = (content.size() + page - 1) / page * page;
    mapped_ = readable_ + page;
    void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<char*>(memory);
    mprotect(base_ + readable_, page, PROT_NONE);
    if (!content.empty()) std::memcpy(data(), content.data(), content.size());
  }
  ~GuardedBytes() { munmap(base_, mapped_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  char* data() { return base_ + readable_ - size_; }
  std::string_view view() { return {data(), size_}; }

 private:
  char* base_;
  std::size_t size_;
  std::size_t readable_;
  std::size_t mapped_;
};

}  // namespace azoth::test
