// Operations on atomics, as points where threads take turns.
//
// What the proof is about is compiled with -fsanitize=thread and linked without that sanitizer's library: the compiler
// then makes a call of each operation on an atomic, and these are the calls. Those for ordinary reads and writes do
// nothing. Every order of memory is the strongest here: what a weaker one would permit beyond that is not tried.
#include <cstdint>
#include <cstring>

#include "scheduler.h"

using azoth::proof::Scheduler;

namespace {

void step() {
  if (Scheduler* scheduler = Scheduler::at_point()) scheduler->step();
}

}  // namespace

// NOLINTBEGIN: the names are the compiler's
#define AFTERWARDS(RESULT) \
  auto result = RESULT;    \
  step();                  \
  return result

#define FETCH(BITS, TYPE, NAME)                                                 \
  TYPE __tsan_atomic##BITS##_fetch_##NAME(volatile TYPE* at, TYPE value, int) { \
    AFTERWARDS(__atomic_fetch_##NAME(at, value, __ATOMIC_SEQ_CST));             \
  }

#define ATOMIC(BITS, TYPE)                                                                                             \
  TYPE __tsan_atomic##BITS##_load(const volatile TYPE* at, int) { AFTERWARDS(__atomic_load_n(at, __ATOMIC_SEQ_CST)); } \
  void __tsan_atomic##BITS##_store(volatile TYPE* at, TYPE value, int) {                                               \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                                     \
    step();                                                                                                            \
  }                                                                                                                    \
  TYPE __tsan_atomic##BITS##_exchange(volatile TYPE* at, TYPE value, int) {                                            \
    AFTERWARDS(__atomic_exchange_n(at, value, __ATOMIC_SEQ_CST));                                                      \
  }                                                                                                                    \
  FETCH(BITS, TYPE, add)                                                                                               \
  FETCH(BITS, TYPE, sub)                                                                                               \
  FETCH(BITS, TYPE, and)                                                                                               \
  FETCH(BITS, TYPE, or)                                                                                                \
  FETCH(BITS, TYPE, xor)                                                                                               \
  FETCH(BITS, TYPE, nand)                                                                                              \
  int __tsan_atomic##BITS##_compare_exchange_strong(volatile TYPE* at, TYPE* expected, TYPE value, int, int) {         \
    AFTERWARDS(__atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));           \
  }                                                                                                                    \
  int __tsan_atomic##BITS##_compare_exchange_weak(volatile TYPE* at, TYPE* expected, TYPE value, int, int) {           \
    AFTERWARDS(__atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));           \
  }                                                                                                                    \
  TYPE __tsan_atomic##BITS##_compare_exchange_val(volatile TYPE* at, TYPE expected, TYPE value, int, int) {            \
    __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                      \
    step();                                                                                                            \
    return expected;                                                                                                   \
  }

#define ORDINARY(SIZE)                        \
  void __tsan_read##SIZE(void*) {}            \
  void __tsan_write##SIZE(void*) {}           \
  void __tsan_unaligned_read##SIZE(void*) {}  \
  void __tsan_unaligned_write##SIZE(void*) {} \
  void __tsan_volatile_read##SIZE(void*) {}   \
  void __tsan_volatile_write##SIZE(void*) {}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
extern "C" {
ATOMIC(8, std::uint8_t)
ATOMIC(16, std::uint16_t)
ATOMIC(32, std::uint32_t)
ATOMIC(64, std::uint64_t)
void __tsan_atomic_thread_fence(int) { step(); }
void __tsan_atomic_signal_fence(int) {}

ORDINARY(1)
ORDINARY(2)
ORDINARY(4)
ORDINARY(8)
ORDINARY(16)
void __tsan_read_range(void*, unsigned long) {}
void __tsan_write_range(void*, unsigned long) {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
void* __tsan_memcpy(void* to, const void* from, unsigned long size) { return std::memcpy(to, from, size); }
void* __tsan_memmove(void* to, const void* from, unsigned long size) { return std::memmove(to, from, size); }
void* __tsan_memset(void* to, int value, unsigned long size) { return std::memset(to, value, size); }
}
#pragma GCC diagnostic pop
// NOLINTEND
