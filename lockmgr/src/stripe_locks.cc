#include "azoth/lockmgr/stripe_locks.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "azoth/core/bytes.h"
#include "azoth/core/digest.h"
#include "azoth/core/error.h"
#include "azoth/core/thread.h"
#include "stripe.h"
#include "stripe_holders.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

std::uint32_t stripe_of_wish(std::uint32_t wish) { return wish >> 1; }
LockMode mode_of_wish(std::uint32_t wish) { return (wish & 1) != 0 ? LockMode::Shared : LockMode::Exclusive; }

[[noreturn]] void throw_closed() { throw Error(ErrorCode::Closed, "the store was closed; open it again to go on"); }

[[noreturn]] void throw_nested() {
  throw Error(
      ErrorCode::NestedUse,
      "this thread already holds locks on keys and could wait for itself; declare all keys in one transaction, or "
      "end the first transaction before the second");
}

std::size_t checked_count(std::size_t stripes) {
  if (stripes >= 1 && stripes <= StripeLocks::kMaxStripes) return stripes;
  throw Error(ErrorCode::InvalidArgument, "there must be 1 to " + std::to_string(StripeLocks::kMaxStripes) +
                                              " lock stripes, not " + std::to_string(stripes));
}

}  // namespace

// What an acquisition has of time. The clock is read only by those who have to wait.
struct StripeLocks::Patience {
  Deadline deadline{};
  nanoseconds timeout{};
  bool deadline_is_known = false;
  bool has_waited = false;
  nanoseconds waited{};
};

StripeLocks::StripeLocks(std::size_t stripes)
    : stripes_(std::make_unique<Stripe[]>(checked_count(stripes))),
      count_(static_cast<std::uint32_t>(stripes)),
      holders_(std::make_unique<StripeHolders>()) {}

StripeLocks::~StripeLocks() = default;

std::uint32_t StripeLocks::stripe_of(std::string_view key) const {
  return static_cast<std::uint32_t>(((checksum64(key, kHashSeed) >> 32) * count_) >> 32);
}

StripeGuard StripeLocks::acquire(std::span<const LockKey> keys, nanoseconds timeout) {
  Patience patience{.timeout = timeout};
  return acquire_within(keys, patience);
}

StripeGuard StripeLocks::acquire_until(std::span<const LockKey> keys, Deadline deadline) {
  Patience patience{.deadline = deadline, .deadline_is_known = true};
  return acquire_within(keys, patience);
}

StripeGuard StripeLocks::acquire_within(std::span<const LockKey> keys, Patience& patience) {
  StripeGuard guard;
  if (closed_.load(std::memory_order_acquire)) throw_closed();
  if (keys.empty()) return guard;
  const std::uint32_t count = note_wishes(guard, keys);
  if (!holders_->add_only(guard)) throw_nested();
  guard.locks_ = this;  // from here on its destructor gives back what was taken
  const std::uint32_t* wishes = guard.wishes();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!stripes_[stripe_of_wish(wishes[i])].try_lock(mode_of_wish(wishes[i]))) wait_for(wishes[i], keys, patience);
    ++guard.taken_;
  }
  return guard;
}

// The stripes to take: ascending, each once. Returns how many.
std::uint32_t StripeLocks::note_wishes(StripeGuard& guard, std::span<const LockKey> keys) const {
  if (keys.size() > StripeGuard::kFew) {
    guard.many_.reset(new (std::nothrow) std::uint32_t[keys.size()]);
    if (!guard.many_) throw Error(ErrorCode::OutOfMemory, "no memory to lock this many keys; declare fewer keys");
  }
  std::uint32_t* const begin = guard.wishes();
  std::uint32_t* end = begin;
  for (const LockKey& wanted : keys) *end++ = 2 * stripe_of(wanted.key) + (wanted.mode == LockMode::Shared ? 1 : 0);
  std::sort(begin, end);
  end = std::unique(begin, end, [](auto a, auto b) { return stripe_of_wish(a) == stripe_of_wish(b); });
  return static_cast<std::uint32_t>(end - begin);
}

void StripeLocks::wait_for(std::uint32_t wish, std::span<const LockKey> keys, Patience& patience) {
  const Deadline began = std::chrono::steady_clock::now();
  if (!patience.deadline_is_known) {
    patience.deadline = patience.timeout > nanoseconds::zero() ? deadline_after(patience.timeout) : began;
  }
  patience.deadline_is_known = true;
  Stripe& stripe = stripes_[stripe_of_wish(wish)];
  Stripe::Result result = Stripe::Result::TimedOut;
  if (patience.deadline > began) {
    if (!patience.has_waited) waits_.fetch_add(1, std::memory_order_relaxed);
    patience.has_waited = true;
    result = stripe.lock_until(mode_of_wish(wish), patience.deadline, closed_, waiting_);
    const nanoseconds waited = std::chrono::steady_clock::now() - began;
    patience.waited += waited;
    nanoseconds_waited_.fetch_add(static_cast<std::uint64_t>(waited.count()), std::memory_order_relaxed);
  }
  if (result == Stripe::Result::Taken) return;
  if (result == Stripe::Result::Closed) throw_closed();
  timeouts_.fetch_add(1, std::memory_order_relaxed);
  const auto key = std::find_if(keys.begin(), keys.end(),
                                [&](const LockKey& wanted) { return stripe_of(wanted.key) == stripe_of_wish(wish); });
  throw Error(ErrorCode::LockTimeout,
              "no " + std::string(mode_of_wish(wish) == LockMode::Shared ? "shared" : "exclusive") +
                  " lock on the key " + printable(key->key) + " after waiting " +
                  std::to_string(std::chrono::duration_cast<milliseconds>(patience.waited).count()) +
                  " ms: other transactions hold its stripe; try again, allow more time, or hold locks for less");
}

void StripeLocks::close() {
  closed_.store(true, std::memory_order_release);
  for (std::uint32_t i = 0; i < count_; ++i) stripes_[i].close();
}

StripeGuard::StripeGuard(StripeGuard&& other) noexcept { take_from(other); }

StripeGuard& StripeGuard::operator=(StripeGuard&& other) noexcept {
  if (this != &other) {
    release();
    take_from(other);
  }
  return *this;
}

void StripeGuard::take_from(StripeGuard& other) noexcept {
  if (other.locks_ == nullptr) return;
  const bool listed = other.thread_ != 0;
  other.locks_->holders_->remove(other);
  locks_ = std::exchange(other.locks_, nullptr);
  taken_ = std::exchange(other.taken_, 0);
  many_ = std::move(other.many_);
  if (!many_) std::copy_n(other.few_.begin(), std::min<std::size_t>(taken_, kFew), few_.begin());
  if (listed) locks_->holders_->add(*this);
}

void StripeGuard::release() noexcept {
  if (locks_ == nullptr) return;
  locks_->holders_->remove(*this);  // first: nobody may learn of the release and find that the guard still counts
  const std::uint32_t* held = wishes();
  while (taken_ > 0) {
    --taken_;
    locks_->stripes_[stripe_of_wish(held[taken_])].unlock(mode_of_wish(held[taken_]));
  }
  locks_ = nullptr;
  many_.reset();
}

void StripeGuard::detach() noexcept {
  if (locks_ != nullptr) locks_->holders_->remove(*this);
}

void StripeGuard::adopt() {
  if (locks_ == nullptr || thread_ == this_thread_number()) return;
  locks_->holders_->remove(*this);
  if (!locks_->holders_->add_only(*this)) throw_nested();
}

HeldStripe StripeGuard::operator[](std::size_t index) const {
  const std::uint32_t held = wishes()[index];
  return {stripe_of_wish(held), mode_of_wish(held)};
}

bool StripeGuard::covers(std::string_view key, LockMode mode) const {
  if (empty()) return false;
  const std::uint32_t wish = 2 * locks_->stripe_of(key);
  const std::uint32_t* end = wishes() + taken_;
  const std::uint32_t* held = std::lower_bound(wishes(), end, wish);
  if (held == end || stripe_of_wish(*held) != stripe_of_wish(wish)) return false;
  return mode == LockMode::Shared || mode_of_wish(*held) == LockMode::Exclusive;
}

}  // namespace azoth
