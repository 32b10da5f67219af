#include "stripe_holders.h"

#include "azoth/core/thread.h"

namespace azoth {

bool StripeHolders::add_only(StripeGuard& guard) {
  const std::uint64_t thread = this_thread_number();
  Bucket& bucket = bucket_of(thread);
  std::lock_guard lock(bucket.mutex);
  for (const StripeGuard* held = bucket.first; held != nullptr; held = held->next_) {
    if (held->thread_ == thread) return false;
  }
  guard.thread_ = thread;
  guard.next_ = bucket.first;
  bucket.first = &guard;
  return true;
}

void StripeHolders::add(StripeGuard& guard) {
  guard.thread_ = this_thread_number();
  Bucket& bucket = bucket_of(guard.thread_);
  std::lock_guard lock(bucket.mutex);
  guard.next_ = bucket.first;
  bucket.first = &guard;
}

void StripeHolders::remove(StripeGuard& guard) {
  if (guard.thread_ == 0) return;
  Bucket& bucket = bucket_of(guard.thread_);
  std::lock_guard lock(bucket.mutex);
  StripeGuard** link = &bucket.first;
  while (*link != &guard) link = &(*link)->next_;
  *link = guard.next_;
  guard.thread_ = 0;
}

}  // namespace azoth
