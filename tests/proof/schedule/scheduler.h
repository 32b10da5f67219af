// The scheduler: real threads, one of which runs at a time, and a clock that goes by what they do. Who runs next, for
// how long, and who of several is woken follows from a seed, so that whatever happens once happens again.
//
// The threads come here by the calls with which programs wait (thread_calls.cc), use files (file_calls.cc), and by each
// operation on an atomic in what is compiled for it (atomic_calls.cc). At each of these points another thread may go
// on. One that waits for something is not run before that has happened, or its deadline has passed. Time passes a
// little with each point, and leaps to the next deadline when all wait. If all wait and none has a deadline, that is a
// deadlock.
//
// Nothing here is guarded: only the thread that runs is ever in here.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace azoth::proof {

// The same numbers for the same seed, on any machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool one_in(std::uint64_t count) { return below(count) == 0; }

 private:
  std::uint64_t state_;
};

using Nanoseconds = std::int64_t;
inline constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

class Scheduler {
 public:
  // How the threads take turns: one of several kinds, chosen by the seed, because each finds what others do not.
  struct Manner {
    bool priorities = false;     // the most important thread runs, and now and then becomes the least important
    std::uint64_t run = 100;     // so many steps at a time, on average
    bool wakes_falsely = false;  // now and then somebody wakes for no reason

    static Manner of(Random& random);
    std::string text() const;
  };

  // What is written down of a run when it is repeated for its failure.
  using Writer = void (*)(std::string_view line);

  // The calling thread is the first. There is one scheduler in a process, and it stays until the end.
  static void begin(std::uint64_t seed, Writer writer);
  // Null before that: then there is one thread only.
  static Scheduler* get() { return instance_; }
  // The same, inside of an Undisturbed as well: null there.
  static Scheduler* at_point() { return undisturbed_ == 0 ? instance_ : nullptr; }

  // No other thread goes on while this lives: for what the proof itself keeps.
  class Undisturbed {
   public:
    Undisturbed() { ++undisturbed_; }
    ~Undisturbed() { --undisturbed_; }
    Undisturbed(const Undisturbed&) = delete;
    Undisturbed& operator=(const Undisturbed&) = delete;
  };

  // Somebody else may go on: after an operation on an atomic, or a call, which weighs more.
  void step() { pass(1); }
  void call() { pass(kCallSteps); }
  void yield();

  // Sleeps until somebody wakes those who wait on this address; false if the deadline passed before. May wake for no
  // reason. Nobody else goes on between the call and the sleep.
  bool wait(const void* on, const char* what, Nanoseconds deadline = kNever);
  // Wakes at most so many of those who wait there; how many it were. They go on when they get their turn.
  int wake(const void* on, int most);
  bool is_awaited(const void* on) const;
  void sleep(Nanoseconds duration) { sleep_until(now_ + duration); }
  void sleep_until(Nanoseconds deadline);

  int start(pthread_t* handle, const pthread_attr_t* attributes, void* (*body)(void*), void* argument);
  int join(pthread_t handle, void** result);
  int self() const { return current_->number; }
  // By which the calls for threads know the one that runs.
  pthread_t handle() const { return handle_of(*current_); }

  Nanoseconds now() { return now_ += kClockReading; }
  Random& random() { return random_; }  // for decisions that are part of the schedule

  // What distinguishes this run from others: everything that is noted goes into its hash.
  void note(std::uint64_t what);
  void note(std::string_view what);
  // For whoever reads, in words, which may say what is never the same: a path, an inode.
  void tell(std::string_view what);
  bool is_told() const { return writer_ != nullptr; }

  std::uint64_t hash() const { return hash_; }
  std::uint64_t steps() const { return steps_; }
  std::uint64_t switches() const { return switches_; }
  const Manner& manner() const { return manner_; }
  // How often others than the calling thread have begun to run.
  std::uint64_t turns_of_others() const { return switches_ - current_->turns; }

 private:
  static constexpr std::uint64_t kCallSteps = 16;
  static constexpr Nanoseconds kStepTime = 10;
  static constexpr Nanoseconds kClockReading = 20;
  static constexpr std::uint64_t kMostSteps = 40'000'000;  // more means that they go round and round

  struct Thread {
    int number = 0;
    pthread_t handle{};  // the system's
    std::atomic<std::uint32_t> turn{0};
    std::uint64_t priority = 0;
    std::uint64_t turns = 0;
    const void* on = nullptr;  // what it waits for
    const char* what = nullptr;
    Nanoseconds deadline = kNever;
    bool waits = false;
    bool has_ended = false;
    void* (*body)(void*) = nullptr;
    void* argument = nullptr;
    void* result = nullptr;
    std::vector<void*> stack;  // where it waits, if that is told
  };

  Scheduler(std::uint64_t seed, Writer writer);
  static void* run(void* thread);

  Thread& add();
  void pass(std::uint64_t steps) {
    steps_ += steps;
    now_ += kStepTime;
    if (steps_ >= next_switch_) take_turns();
  }
  void take_turns();
  void plan_next_switch();
  void go_on(Thread& next);
  Thread& choose();
  void wake_those_in_time();
  void wake_falsely();
  static void give_turn(Thread& thread);
  void await_turn(Thread& thread);
  void leave(Thread& self);
  static pthread_t handle_of(const Thread& thread) { return static_cast<pthread_t>(thread.number) + 1; }
  [[noreturn]] void give_up(const std::string& why);
  std::string describe(const Thread& thread) const;

  static inline Scheduler* instance_ = nullptr;
  static inline int undisturbed_ = 0;

  Random random_;
  const Manner manner_;
  const Writer writer_;
  std::deque<Thread> threads_;
  std::vector<Thread*> ready_;  // to choose from; kept for its memory
  Thread* current_ = nullptr;
  Thread* leaving_ = nullptr;  // has ended for the others, and not yet for the system
  Nanoseconds now_ = 1'000'000'000'000;
  Nanoseconds next_deadline_ = kNever;
  std::uint64_t least_priority_ = std::uint64_t{1} << 32;
  std::uint64_t steps_ = 0;
  std::uint64_t next_switch_ = 0;
  std::uint64_t switches_ = 0;
  std::uint64_t hash_ = 0;
};

// How a run ends that has broken a promise: it says so and ends the process.
[[noreturn]] void fail(const std::string& why);

}  // namespace azoth::proof
