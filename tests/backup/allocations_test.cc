#include "allocations.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>

namespace azoth::backup::test {
namespace {

thread_local bool counting = false;
thread_local std::ptrdiff_t live = 0;  // below zero when memory of before is given back
thread_local std::ptrdiff_t most = 0;
thread_local std::size_t largest_piece = 0;

void* take(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  if (counting) {
    live += static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
    if (live > most) most = live;
    if (size > largest_piece) largest_piece = size;
  }
  return memory;
}

void* take_or_null(std::size_t size) noexcept {
  try {
    return take(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void give_back(void* memory) noexcept {
  if (counting && memory != nullptr) live -= static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

Allocations::Allocations() {
  live = most = 0;
  largest_piece = 0;
  counting = true;
}
Allocations::~Allocations() { counting = false; }
std::size_t Allocations::peak() const { return static_cast<std::size_t>(most); }
std::size_t Allocations::largest() const { return largest_piece; }

}  // namespace azoth::backup::test

void* operator new(std::size_t size) { return azoth::backup::test::take(size); }
void* operator new[](std::size_t size) { return azoth::backup::test::take(size); }
// std::stable_sort asks for its buffer by these.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return azoth::backup::test::take_or_null(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return azoth::backup::test::take_or_null(size);
}
void operator delete(void* memory) noexcept { azoth::backup::test::give_back(memory); }
void operator delete[](void* memory) noexcept { azoth::backup::test::give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { azoth::backup::test::give_back(memory); }
void operator delete[](void* memory, std::size_t) noexcept { azoth::backup::test::give_back(memory); }

namespace azoth::backup::test {
namespace {

TEST(Allocations, CountWhatIsTakenAtOnce) {
  Allocations counted;
  std::string(100'000, 'a');
  std::string(200'000, 'b');
  EXPECT_GE(counted.peak(), 200'000u);
  EXPECT_LT(counted.peak(), 300'000u);
  EXPECT_GE(counted.largest(), 200'000u);
}

}  // namespace
}  // namespace azoth::backup::test
