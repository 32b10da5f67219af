// The calls of the C library by which threads begin, end, wait and look at the clock, as the scheduler carries them
// out.
//
// A mutex keeps its state where it always does. What waits in another way than these (a semaphore, say) would stop the
// one thread that runs, and so show.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstring>

#include "anomaly.h"
#include "real_calls.h"
#include "scheduler.h"

namespace azoth::proof {
namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kRealTime = 1'700'000'000 * kSecond;  // what the calendar is ahead of the steady clock

Nanoseconds nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }
timespec time_of(Nanoseconds time) { return {.tv_sec = time / kSecond, .tv_nsec = time % kSecond}; }

bool is_calendar(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

// On the scheduler's clock.
Nanoseconds deadline_of(clockid_t clock, const timespec* time) {
  if (time == nullptr) return kNever;
  return nanoseconds(*time) - (is_calendar(clock) ? kRealTime : 0);
}

void call() {
  if (Scheduler* scheduler = Scheduler::at_point()) scheduler->call();
}

// --- Mutexes

int self() { return Scheduler::get() != nullptr ? Scheduler::get()->self() : 0; }

bool try_lock(pthread_mutex_t* mutex) {
  auto& data = mutex->__data;
  bool is_recursive = (data.__kind & 3) == PTHREAD_MUTEX_RECURSIVE;
  if (data.__lock != 0 && !(is_recursive && data.__owner == self())) return false;
  data.__lock = 1;
  data.__owner = self();
  ++data.__count;
  return true;
}

int lock(pthread_mutex_t* mutex, Nanoseconds deadline = kNever) {
  while (!try_lock(mutex)) {
    if (anomaly::happens(anomaly::Kind::OpenMutex)) return 0;
    if (!Scheduler::get()->wait(mutex, "a mutex", deadline)) return ETIMEDOUT;
  }
  return 0;
}

void unlock(pthread_mutex_t* mutex) {
  auto& data = mutex->__data;
  if (data.__count > 0 && --data.__count > 0) return;
  data.__lock = 0;
  if (Scheduler* scheduler = Scheduler::get()) scheduler->wake(mutex, INT_MAX);
}

// --- Conditions

int wait(pthread_cond_t* condition, pthread_mutex_t* mutex, Nanoseconds deadline) {
  call();
  unlock(mutex);
  bool in_time = Scheduler::get()->wait(condition, "a condition", deadline);
  lock(mutex);
  return in_time ? 0 : ETIMEDOUT;
}

int wake(const void* on, int most) {
  Scheduler* scheduler = Scheduler::get();
  if (scheduler == nullptr) return 0;
  if (scheduler->is_awaited(on) && anomaly::happens(anomaly::Kind::LostWakeUp)) return 0;
  int woken = scheduler->wake(on, most);
  call();
  return woken;
}

// --- Words

long wait_on_word(const std::uint32_t* word, std::uint32_t expected, Nanoseconds deadline) {
  call();
  if (*word != expected) {
    errno = EAGAIN;
    return -1;
  }
  if (Scheduler::get()->wait(word, "a word", deadline)) return 0;
  errno = ETIMEDOUT;
  return -1;
}

long futex(const std::uint32_t* word, int operation, std::uint32_t value, const timespec* time) {
  switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
      return wait_on_word(word, value, time == nullptr ? kNever : Scheduler::get()->now() + nanoseconds(*time));
    case FUTEX_WAIT_BITSET: {
      clockid_t clock = (operation & FUTEX_CLOCK_REALTIME) != 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
      return wait_on_word(word, value, deadline_of(clock, time));
    }
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
      return wake(word, static_cast<int>(value));
    default:
      fail("the scheduler does not know the futex operation " + std::to_string(operation));
  }
}

int sleep(clockid_t clock, int flags, const timespec* time) {
  Scheduler* scheduler = Scheduler::get();
  bool absolute = (flags & TIMER_ABSTIME) != 0;
  scheduler->sleep_until(absolute ? deadline_of(clock, time) : scheduler->now() + nanoseconds(*time));
  return 0;
}

}  // namespace
}  // namespace azoth::proof

// NOLINTBEGIN: the names are the C library's
using azoth::proof::call;
using azoth::proof::deadline_of;
using azoth::proof::Scheduler;
namespace real = azoth::proof::real;

extern "C" {

int pthread_create(pthread_t* handle, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) noexcept {
  if (Scheduler* scheduler = Scheduler::get()) return scheduler->start(handle, attributes, body, argument);
  return real::pthread_create(handle, attributes, body, argument);
}
int pthread_join(pthread_t handle, void** result) {
  if (Scheduler* scheduler = Scheduler::get()) return scheduler->join(handle, result);
  return real::pthread_join(handle, result);
}

pthread_t pthread_self() noexcept {
  if (Scheduler* scheduler = Scheduler::get()) return scheduler->handle();
  return real::pthread_self();
}

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  call();
  return azoth::proof::lock(mutex);
}
int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  call();
  return azoth::proof::try_lock(mutex) ? 0 : EBUSY;
}
int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* time) noexcept {
  call();
  return azoth::proof::lock(mutex, deadline_of(CLOCK_REALTIME, time));
}
int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) noexcept {
  call();
  return azoth::proof::lock(mutex, deadline_of(clock, time));
}
int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  azoth::proof::unlock(mutex);
  call();
  return 0;
}

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  return azoth::proof::wait(condition, mutex, azoth::proof::kNever);
}
int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* time) {
  return azoth::proof::wait(condition, mutex, deadline_of(CLOCK_REALTIME, time));
}
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* time) {
  return azoth::proof::wait(condition, mutex, deadline_of(clock, time));
}
int pthread_cond_signal(pthread_cond_t* condition) noexcept {
  azoth::proof::wake(condition, 1);
  return 0;
}
int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
  azoth::proof::wake(condition, INT_MAX);
  return 0;
}
int pthread_cond_destroy(pthread_cond_t*) noexcept { return 0; }

long syscall(long number, ...) noexcept {
  va_list more;
  va_start(more, number);
  long a = va_arg(more, long);
  long b = va_arg(more, long);
  long c = va_arg(more, long);
  long d = va_arg(more, long);
  long e = va_arg(more, long);
  long f = va_arg(more, long);
  va_end(more);
  if (number != SYS_futex || Scheduler::get() == nullptr) return real::syscall(number, a, b, c, d, e, f);
  return azoth::proof::futex(reinterpret_cast<const std::uint32_t*>(a), static_cast<int>(b),
                             static_cast<std::uint32_t>(c), reinterpret_cast<const timespec*>(d));
}

int sched_yield() noexcept {
  if (Scheduler* scheduler = Scheduler::at_point()) scheduler->yield();
  return 0;
}
int nanosleep(const timespec* time, timespec* left) {
  if (Scheduler::get() == nullptr) return static_cast<int>(real::syscall(SYS_nanosleep, time, left));
  return azoth::proof::sleep(CLOCK_MONOTONIC, 0, time);
}
int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  if (Scheduler::get() != nullptr) return azoth::proof::sleep(clock, flags, time);
  return static_cast<int>(real::syscall(SYS_clock_nanosleep, clock, flags, time, left));
}

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  Scheduler* scheduler = Scheduler::get();
  if (scheduler == nullptr) return static_cast<int>(real::syscall(SYS_clock_gettime, clock, time));
  *time = azoth::proof::time_of(scheduler->now() + (azoth::proof::is_calendar(clock) ? azoth::proof::kRealTime : 0));
  return 0;
}

// The lock file has it.
pid_t getpid() noexcept { return Scheduler::get() != nullptr ? 4711 : static_cast<pid_t>(real::syscall(SYS_getpid)); }

ssize_t getrandom(void* to, size_t size, unsigned flags) {
  Scheduler* scheduler = Scheduler::get();
  if (scheduler == nullptr) return real::syscall(SYS_getrandom, to, size, flags);
  for (size_t at = 0; at < size; at += 8) {
    std::uint64_t bits = scheduler->random().next();
    std::memcpy(static_cast<char*>(to) + at, &bits, size - at < 8 ? size - at : 8);
  }
  return static_cast<ssize_t>(size);
}

}  // extern "C"
// NOLINTEND
