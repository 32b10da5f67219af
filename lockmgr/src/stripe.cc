#include "stripe.h"

#include "azoth/core/futex.h"

// No wake-up is lost. A waiter sets kQueued in the word that holds the readers and the writer, after it has joined the
// queue and with the mutex: either it sees nobody in and takes the stripe itself, or the last of those who are in sees
// kQueued when it leaves, takes the mutex and finds the waiter. Whoever leaves the queue without the stripe looks
// whether the next one may go, because an offer may have been meant for it.
//
// A waiter that is let in is first counted into state_ and taken from the queue under the mutex (outcome), then told
// (word), after the mutex was released. Its frame lives until it has been told; the wake-up call behind that uses only
// the address, and if another sleeper lives there by then, it wakes for no reason, which each of them bears.
namespace azoth {

struct Stripe::Waiter {
  static constexpr std::uint32_t kAsleep = 0;
  static constexpr std::uint32_t kTryAgain = 1;  // the stripe was free a moment ago
  static constexpr std::uint32_t kSettled = 2;

  LockMode mode;
  enum class Outcome : std::uint8_t { Waiting, Admitted, Closed } outcome = Outcome::Waiting;
  Waiter* next = nullptr;
  std::atomic<std::uint32_t> word{kAsleep};
};

Stripe::Result Stripe::lock_until(LockMode mode, Deadline deadline, const std::atomic<bool>& closed,
                                  std::atomic<std::uint32_t>& waiting) {
  Waiter self{.mode = mode};
  {
    std::lock_guard guard(mutex_);
    // Set before close() takes this mutex: either it is seen here, or close() finds this waiter in the queue.
    if (closed.load(std::memory_order_relaxed)) return Result::Closed;
    append(self);
    if (first_ == &self) admit_first();
    if (self.outcome == Waiter::Outcome::Admitted) return Result::Taken;
    waiting.fetch_add(1, std::memory_order_relaxed);
  }
  const Result result = wait_in_queue(self, deadline);
  waiting.fetch_sub(1, std::memory_order_relaxed);
  return result;
}

Stripe::Result Stripe::wait_in_queue(Waiter& self, Deadline deadline) {
  while (true) {
    const bool in_time = futex::wait(self.word, Waiter::kAsleep, deadline);
    const std::uint32_t word = self.word.load(std::memory_order_acquire);
    if (word == Waiter::kSettled) return await_outcome(self);
    if (word == Waiter::kTryAgain) {
      if (try_again(self)) return await_outcome(self);
    } else if (!in_time) {
      return give_up(self);
    }
  }
}

bool Stripe::try_again(Waiter& self) {
  std::unique_lock guard(mutex_);
  if (self.outcome != Waiter::Outcome::Waiting) return true;
  admit_first();  // only the first is woken to try, and it stays the first: those let in are this one and its followers
  if (self.outcome != Waiter::Outcome::Admitted) {
    self.word.store(Waiter::kAsleep, std::memory_order_relaxed);
    state_.fetch_or(kBarred, std::memory_order_relaxed);
    return false;
  }
  guard.unlock();
  self.word.store(Waiter::kSettled, std::memory_order_relaxed);
  tell(self.next);
  return true;
}

Stripe::Result Stripe::give_up(Waiter& self) {
  std::unique_lock guard(mutex_);
  if (self.outcome != Waiter::Outcome::Waiting) {
    guard.unlock();
    return await_outcome(self);
  }
  remove(self);
  Waiter* admitted = admit_first();
  guard.unlock();
  tell(admitted);
  return Result::TimedOut;
}

Stripe::Result Stripe::await_outcome(Waiter& self) {
  std::uint32_t word = self.word.load(std::memory_order_acquire);
  while (word != Waiter::kSettled) {
    futex::wait(self.word, word, kNoDeadline);
    word = self.word.load(std::memory_order_acquire);
  }
  return self.outcome == Waiter::Outcome::Admitted ? Result::Taken : Result::Closed;
}

void Stripe::tell(Waiter* settled) {
  while (settled != nullptr) {
    Waiter* next = settled->next;
    std::atomic<std::uint32_t>& word = settled->word;
    word.store(Waiter::kSettled, std::memory_order_release);  // from here on the waiter may be gone
    futex::wake(word, 1);
    settled = next;
  }
}

void Stripe::hand_over() {
  std::unique_lock guard(mutex_);
  if (first_ == nullptr) return;
  Waiter* admitted = nullptr;
  std::atomic<std::uint32_t>* woken = nullptr;
  if (overtaken_ >= kMaxOvertakes || (state_.load(std::memory_order_relaxed) & kBarred) != 0) {
    state_.fetch_or(kBarred, std::memory_order_relaxed);
    admitted = admit_first();
  } else {
    ++overtaken_;
    if (first_->word.load(std::memory_order_relaxed) == Waiter::kAsleep) {
      first_->word.store(Waiter::kTryAgain, std::memory_order_release);
      woken = &first_->word;
    }
  }
  guard.unlock();
  if (woken != nullptr) futex::wake(*woken, 1);
  tell(admitted);
}

void Stripe::close() {
  std::unique_lock guard(mutex_);
  Waiter* sent_away = first_;
  for (Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next) waiter->outcome = Waiter::Outcome::Closed;
  first_ = nullptr;
  last_ = nullptr;
  first_has_changed();
  guard.unlock();
  tell(sent_away);
}

void Stripe::append(Waiter& waiter) {
  (last_ != nullptr ? last_->next : first_) = &waiter;
  last_ = &waiter;
  state_.fetch_or(kQueued, std::memory_order_relaxed);
}

void Stripe::remove(Waiter& waiter) {
  Waiter* previous = nullptr;
  Waiter** link = &first_;
  while (*link != &waiter) {
    previous = *link;
    link = &previous->next;
  }
  *link = waiter.next;
  if (last_ == &waiter) last_ = previous;
  if (previous == nullptr) first_has_changed();
}

void Stripe::first_has_changed() {
  overtaken_ = 0;
  state_.fetch_and(first_ == nullptr ? ~(kBarred | kQueued) : ~kBarred, std::memory_order_relaxed);
}

bool Stripe::grant(const Waiter& waiter) {
  const bool shared = waiter.mode == LockMode::Shared;
  const std::uint32_t obstacles = shared ? kWriter : kWriter | kReaders;
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  while ((state & obstacles) == 0) {
    // Acquires for the waiter, which acquires from here by its word.
    if (state_.compare_exchange_weak(state, shared ? state + 1 : state | kWriter, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

Stripe::Waiter* Stripe::admit_first() {
  Waiter* admitted = nullptr;
  Waiter** end = &admitted;
  while (first_ != nullptr && grant(*first_)) {
    Waiter& waiter = *first_;
    first_ = waiter.next;
    if (first_ == nullptr) last_ = nullptr;
    first_has_changed();
    waiter.outcome = Waiter::Outcome::Admitted;
    waiter.next = nullptr;
    *end = &waiter;
    end = &waiter.next;
  }
  return admitted;
}

}  // namespace azoth
