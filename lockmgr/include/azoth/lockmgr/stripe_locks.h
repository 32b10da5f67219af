// Stripe locks: shared and exclusive locks on keys, many at once, without deadlocks.
//
// Every key belongs to one of a fixed number of stripes, and what is locked is the stripe. An acquisition names all its
// keys at once; their stripes are taken in ascending order, each once, so that no two acquisitions can wait for each
// other. A stripe that is asked for shared and exclusive, by one key or by two, is taken exclusive.
//
// Two keys of one stripe exclude each other without need. With n exclusive keys in each of two acquisitions and s
// stripes, they meet by chance with a probability of about n * n / s: take more stripes (64 bytes each) for
// transactions with many keys, and ask shared for what is only read. An acquisition of many more keys than stripes
// locks everything; 10,000 keys are no trouble else.
//
// Fair: each stripe has a queue in the order of arrival. No newcomer joins readers while somebody waits, and the first
// of the queue is overtaken by kMaxOvertakes releases at most. Neither writers nor readers starve.
//
// One deadline holds for the whole acquisition. Not recursive: a thread that holds a guard and acquires again gets
// NestedUse at once, whatever the keys, because it would break the order that excludes deadlocks. See StripeGuard about
// guards that go to another thread.
//
// The locks must outlive every guard and every call on them.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

#include "azoth/core/clock.h"

namespace azoth {

class Stripe;
class StripeHolders;
class StripeLocks;

enum class LockMode : std::uint8_t { Exclusive, Shared };

// A key to lock. Borrowed for the call.
struct LockKey {
  std::string_view key;
  LockMode mode = LockMode::Exclusive;
};

struct HeldStripe {
  std::uint32_t stripe = 0;
  LockMode mode = LockMode::Exclusive;
  friend bool operator==(const HeldStripe&, const HeldStripe&) = default;
};

// Holds stripes until it is released or destroyed. A guard that was moved from, or that has no keys, holds nothing.
//
// Nested use is told by thread, so a guard counts for one: the thread that acquired it, or the one on which it was last
// moved; a guard that a thread takes from a queue or a future by moving it is that thread's from then on. Where it goes
// to another thread without being moved there (in the captures of a lambda, behind a pointer), the one thread calls
// detach() before and the other adopt() after: in between it counts for nobody, and the first thread may acquire again.
// Without these calls it goes on counting for the first thread. Whoever releases it, it counts no longer.
class StripeGuard {
 public:
  StripeGuard() = default;
  StripeGuard(StripeGuard&& other) noexcept;
  StripeGuard& operator=(StripeGuard&& other) noexcept;
  ~StripeGuard() { release(); }

  void release() noexcept;  // a second time does nothing

  void detach() noexcept;
  // Throws NestedUse, and stays detached, if this thread holds another guard of the same locks.
  void adopt();

  // The stripes that are held, ascending.
  std::size_t size() const { return taken_; }
  bool empty() const { return taken_ == 0; }
  HeldStripe operator[](std::size_t index) const;
  // Whether the key may be used in this mode: exclusive is good for shared.
  bool covers(std::string_view key, LockMode mode) const;

 private:
  friend class StripeHolders;
  friend class StripeLocks;
  static constexpr std::size_t kFew = 16;

  // 2 * stripe, plus one if shared: a stripe's exclusive wish sorts before its shared one.
  std::uint32_t* wishes() { return many_ ? many_.get() : few_.data(); }
  const std::uint32_t* wishes() const { return many_ ? many_.get() : few_.data(); }
  void take_from(StripeGuard& other) noexcept;

  StripeLocks* locks_ = nullptr;
  std::uint64_t thread_ = 0;     // for which it counts and is listed; 0: for none
  StripeGuard* next_ = nullptr;  // in that list
  std::uint32_t taken_ = 0;
  std::array<std::uint32_t, kFew> few_;
  std::unique_ptr<std::uint32_t[]> many_;
};

class StripeLocks {
 public:
  static constexpr std::size_t kDefaultStripes = 256;
  static constexpr std::size_t kMaxStripes = std::size_t{1} << 20;
  static constexpr std::chrono::nanoseconds kDefaultTimeout = std::chrono::seconds(5);
  static constexpr std::uint32_t kMaxOvertakes = 16;

  // InvalidArgument unless 1..kMaxStripes.
  explicit StripeLocks(std::size_t stripes = kDefaultStripes);
  ~StripeLocks();
  StripeLocks(const StripeLocks&) = delete;
  StripeLocks& operator=(const StripeLocks&) = delete;

  // Takes the stripes of all keys, or none and throws: LockTimeout (with the key and the time waited), NestedUse,
  // Closed, OutOfMemory. A deadline that has passed makes an attempt that does not wait. A timeout runs from the moment
  // at which the acquisition first has to wait. No keys: succeeds, unless closed, and holds nothing.
  [[nodiscard]] StripeGuard acquire(std::span<const LockKey> keys, std::chrono::nanoseconds timeout = kDefaultTimeout);
  [[nodiscard]] StripeGuard acquire(std::initializer_list<LockKey> keys,
                                    std::chrono::nanoseconds timeout = kDefaultTimeout) {
    return acquire(std::span(keys.begin(), keys.size()), timeout);
  }
  [[nodiscard]] StripeGuard acquire_until(std::span<const LockKey> keys, Deadline deadline);

  // From now on whoever waits or acquires gets Closed. What is held stays held and is released as ever. (An acquisition
  // under way that does not have to wait any more may still succeed.)
  void close();

  // The same key has the same stripe in every build and run: h * stripes / 2^32, rounded down, where h is the upper
  // half of the key's XXH3 (64 bits, seed kHashSeed).
  std::uint32_t stripe_of(std::string_view key) const;
  std::size_t stripes() const { return count_; }
  static constexpr std::uint64_t kHashSeed = 0x617a6f7468;

  // Out of date when they are read.
  std::uint32_t waiting() const { return waiting_.load(std::memory_order_relaxed); }  // acquisitions that wait now
  // Since the beginning: acquisitions that had to wait, the time they waited, those that ended with LockTimeout.
  std::uint64_t waits() const { return waits_.load(std::memory_order_relaxed); }
  std::chrono::nanoseconds time_waited() const {
    return std::chrono::nanoseconds(nanoseconds_waited_.load(std::memory_order_relaxed));
  }
  std::uint64_t timeouts() const { return timeouts_.load(std::memory_order_relaxed); }

 private:
  friend class StripeGuard;
  struct Patience;

  StripeGuard acquire_within(std::span<const LockKey> keys, Patience& patience);
  std::uint32_t note_wishes(StripeGuard& guard, std::span<const LockKey> keys) const;
  void wait_for(std::uint32_t wish, std::span<const LockKey> keys, Patience& patience);

  const std::unique_ptr<Stripe[]> stripes_;
  const std::uint32_t count_;
  const std::unique_ptr<StripeHolders> holders_;
  std::atomic<bool> closed_{false};
  // Changed only by those who wait, so not beside what everybody reads.
  alignas(64) std::atomic<std::uint32_t> waiting_{0};
  std::atomic<std::uint64_t> waits_{0};
  std::atomic<std::uint64_t> nanoseconds_waited_{0};
  std::atomic<std::uint64_t> timeouts_{0};
};

}  // namespace azoth
