// Fault points: named places at which a test makes the program fail, stop or die.
//
//   if (int error = AZOTH_FAULT("journal.sync")) return error;     // in the code
//   fault::Armed fault("journal.sync", {.fail_with = EIO, .skip = 2});  // in the test
//
// While nothing is armed a fault point costs one relaxed load of a flag. A point is known once it has been reached
// while recording or armed, so that a test can arm every point a workload reaches, one after the other.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace azoth::fault {

struct Action {
  int fail_with = 0;            // errno the point reports; 0 lets it pass
  bool kill = false;            // die at once, as by kill -9
  std::function<void()> run{};  // called at the point (to block, to count, to look); after it the rest applies
  int skip = 0;                 // let the first hits pass
  int times = 1;                // how many hits are affected after those; -1 for all
};

void arm(std::string name, Action action);  // replaces what the point was armed with
void disarm(std::string_view name);
void disarm_all();

// While recording, every reached point is remembered. record(true) begins with nothing; after record(false) the answer
// stays.
void record(bool on);
std::vector<std::string> reached();  // sorted

namespace internal {
extern std::atomic<bool> active;
int hit(const char* name);  // may block, throw what `run` throws, or not return
}  // namespace internal

// 0, or the errno to report.
inline int check(const char* name) {
  return internal::active.load(std::memory_order_relaxed) ? internal::hit(name) : 0;
}

// Armed for a scope.
class Armed {
 public:
  Armed(std::string name, Action action) : name_(std::move(name)) { arm(name_, std::move(action)); }
  ~Armed() { disarm(name_); }
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;

 private:
  std::string name_;
};

}  // namespace azoth::fault

#define AZOTH_FAULT(name) ::azoth::fault::check(name)
