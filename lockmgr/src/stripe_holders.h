// Which threads hold guards: what tells nested use.
//
// The guards that count for a thread are found by the thread's number, never by anything that belongs to the thread:
// so another thread can release a guard, and a thread can end before its guard does. Numbers are never used twice.
// A guard is listed where it lies; moving it lists it anew.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "azoth/lockmgr/stripe_locks.h"

namespace azoth {

class StripeHolders {
 public:
  // Lists the guard for this thread, if that has none: false if it has.
  [[nodiscard]] bool add_only(StripeGuard& guard);
  void add(StripeGuard& guard);
  void remove(StripeGuard& guard);

 private:
  static constexpr std::size_t kBuckets = 64;

  struct alignas(64) Bucket {
    std::mutex mutex;
    StripeGuard* first = nullptr;
  };

  Bucket& bucket_of(std::uint64_t thread) { return buckets_[thread % kBuckets]; }

  std::array<Bucket, kBuckets> buckets_;
};

}  // namespace azoth
