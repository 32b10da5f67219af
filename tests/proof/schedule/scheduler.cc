#include "scheduler.h"

#include <execinfo.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "azoth/core/digest.h"
#include "real_calls.h"

namespace azoth::proof {

std::uint64_t Random::next() {  // splitmix64
  std::uint64_t mixed = state_ += 0x9E3779B97F4A7C15u;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return mixed ^ (mixed >> 31);
}

Scheduler::Manner Scheduler::Manner::of(Random& random) {
  constexpr std::uint64_t kRuns[] = {20, 100, 500, 2500, 10'000};
  Manner manner;
  manner.priorities = random.one_in(3);
  manner.run = kRuns[random.below(std::size(kRuns))];
  manner.wakes_falsely = random.one_in(8);
  return manner;
}

std::string Scheduler::Manner::text() const {
  std::ostringstream text;
  text << (priorities ? "by priority" : "at random") << ", about " << run << " steps at a time"
       << (wakes_falsely ? ", waking falsely" : "");
  return text.str();
}

Scheduler::Scheduler(std::uint64_t seed, Writer writer)
    : random_(seed), manner_(Manner::of(random_)), writer_(writer), hash_(seed) {
  current_ = &add();
  plan_next_switch();
}

void Scheduler::begin(std::uint64_t seed, Writer writer) {
  real::find_syscall();  // before a thread that waits for its turn could meet another in finding it
  instance_ = new Scheduler(seed, writer);
}

// --- Threads

Scheduler::Thread& Scheduler::add() {
  Thread& thread = threads_.emplace_back();
  thread.number = static_cast<int>(threads_.size()) - 1;
  thread.priority = (std::uint64_t{1} << 33) + random_.below(1 << 16);
  return thread;
}

void* Scheduler::run(void* argument) {
  Thread& self = *static_cast<Thread*>(argument);
  instance_->await_turn(self);
  self.result = self.body(self.argument);
  instance_->leave(self);
  return nullptr;
}

void Scheduler::leave(Thread& self) {
  self.has_ended = true;
  wake(&self, INT_MAX);
  tell("ends");
  Thread& next = choose();
  ++switches_;
  ++next.turns;
  current_ = &next;
  leaving_ = &self;
  give_turn(next);
}

int Scheduler::start(pthread_t* handle, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) {
  Thread& thread = add();
  thread.body = body;
  thread.argument = argument;
  int error = real::pthread_create(&thread.handle, attributes, run, &thread);
  if (error != 0) give_up("the system starts no more threads");
  *handle = handle_of(thread);
  tell("starts thread " + std::to_string(thread.number));
  call();
  return 0;
}

int Scheduler::join(pthread_t handle, void** result) {
  Thread& thread = threads_.at(handle - 1);
  while (!thread.has_ended) wait(&thread, "the end of a thread");
  if (result != nullptr) *result = thread.result;
  return 0;
}

// --- Turns

void Scheduler::give_turn(Thread& thread) {
  thread.turn.store(1, std::memory_order_release);
  real::syscall(SYS_futex, &thread.turn, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void Scheduler::await_turn(Thread& thread) {
  while (thread.turn.load(std::memory_order_acquire) == 0) {
    real::syscall(SYS_futex, &thread.turn, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
  thread.turn.store(0, std::memory_order_relaxed);
  // What the system does at the end of a thread (it frees memory) must not happen beside anything else.
  if (leaving_ != nullptr) real::pthread_join(std::exchange(leaving_, nullptr)->handle, nullptr);
}

void Scheduler::plan_next_switch() { next_switch_ = steps_ + 1 + random_.below(2 * manner_.run); }

void Scheduler::take_turns() {
  if (undisturbed_ != 0) return;
  if (steps_ > kMostSteps) give_up("the threads go round and round: " + std::to_string(steps_) + " steps");
  plan_next_switch();
  if (manner_.priorities) current_->priority = --least_priority_;
  go_on(choose());
}

void Scheduler::yield() {
  if (manner_.priorities) current_->priority = --least_priority_;
  now_ += 1'000;
  go_on(choose());
}

void Scheduler::go_on(Thread& next) {
  Thread& self = *current_;
  if (&next == &self) return;
  ++switches_;
  ++next.turns;
  note((steps_ << 8) ^ static_cast<std::uint64_t>(next.number));
  current_ = &next;
  give_turn(next);
  await_turn(self);
}

// Of those who can run; when nobody can, time leaps.
Scheduler::Thread& Scheduler::choose() {
  if (manner_.wakes_falsely && random_.one_in(16)) wake_falsely();
  while (true) {
    if (now_ >= next_deadline_) wake_those_in_time();
    ready_.clear();
    for (Thread& thread : threads_) {
      if (!thread.waits && !thread.has_ended) ready_.push_back(&thread);
    }
    if (!ready_.empty()) break;
    if (next_deadline_ == kNever) give_up("deadlock: all threads wait, and none has a deadline");
    now_ = next_deadline_;
  }
  if (!manner_.priorities) return *ready_[random_.below(ready_.size())];
  return **std::max_element(ready_.begin(), ready_.end(),
                            [](const Thread* a, const Thread* b) { return a->priority < b->priority; });
}

// --- Waiting

bool Scheduler::wait(const void* on, const char* what, Nanoseconds deadline) {
  Thread& self = *current_;
  if (undisturbed_ != 0) give_up("the proof itself waits for " + std::string(what));
  self.on = on;
  self.what = what;
  self.deadline = deadline;
  self.waits = true;
  next_deadline_ = std::min(next_deadline_, deadline);
  if (writer_ != nullptr) {
    self.stack.resize(40);
    self.stack.resize(static_cast<std::size_t>(backtrace(self.stack.data(), 40)));
  }
  go_on(choose());
  return self.on == nullptr;
}

int Scheduler::wake(const void* on, int most) {
  ready_.clear();
  for (Thread& thread : threads_) {
    if (thread.waits && thread.on == on) ready_.push_back(&thread);
  }
  int woken = 0;
  for (; woken < most && !ready_.empty(); ++woken) {
    std::size_t which = random_.below(ready_.size());
    ready_[which]->waits = false;
    ready_[which]->on = nullptr;
    ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(which));
  }
  return woken;
}

bool Scheduler::is_awaited(const void* on) const {
  return std::any_of(threads_.begin(), threads_.end(),
                     [&](const Thread& thread) { return thread.waits && thread.on == on; });
}

void Scheduler::wake_those_in_time() {
  next_deadline_ = kNever;
  for (Thread& thread : threads_) {
    if (!thread.waits) continue;
    if (thread.deadline <= now_) {
      thread.waits = false;  // `on` stays: that is how it knows
    } else {
      next_deadline_ = std::min(next_deadline_, thread.deadline);
    }
  }
}

void Scheduler::wake_falsely() {
  Thread& thread = threads_[random_.below(threads_.size())];
  if (!thread.waits || thread.on == &thread) return;
  thread.waits = false;
  thread.on = nullptr;
}

void Scheduler::sleep_until(Nanoseconds deadline) {
  while (now_ < deadline) wait(current_, "time", deadline);
}

// --- What is told

void Scheduler::note(std::uint64_t what) {
  hash_ = checksum64({reinterpret_cast<const char*>(&what), sizeof what}, hash_);
}

void Scheduler::note(std::string_view what) { hash_ = checksum64(what, hash_); }

void Scheduler::tell(std::string_view what) {
  if (writer_ == nullptr) return;
  std::ostringstream line;
  line << steps_ << " +" << (now_ / 1000 - 1'000'000'000) << " us, thread " << current_->number << " " << what << "\n";
  writer_(line.str());
}

std::string Scheduler::describe(const Thread& thread) const {
  std::ostringstream text;
  text << "  thread " << thread.number;
  if (thread.has_ended) return text.str() + " has ended\n";
  text << (thread.waits ? " waits for " : " runs") << (thread.waits ? thread.what : "");
  if (thread.waits && thread.deadline != kNever) text << ", at most " << (thread.deadline - now_) / 1000 << " us more";
  text << "\n";
  if (!thread.waits || thread.stack.empty()) return text.str();
  char** names = backtrace_symbols(thread.stack.data(), static_cast<int>(thread.stack.size()));
  for (std::size_t i = 0; names != nullptr && i < thread.stack.size(); ++i) text << "    " << names[i] << "\n";
  std::free(names);
  return text.str();
}

void Scheduler::give_up(const std::string& why) {
  ++undisturbed_;
  std::string text = why + "\n";
  for (const Thread& thread : threads_) text += describe(thread);
  fail(text);
}

}  // namespace azoth::proof
