#include "azoth/core/fault.h"

#include <csignal>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace azoth::fault {
namespace internal {

std::atomic<bool> active{false};

}  // namespace internal

namespace {

struct Point {
  Action action;  // its `run` has moved to the member below; skip and times count down
  // Shared, not copied for each hit: a function that counts in its own members goes on counting.
  std::shared_ptr<std::function<void()>> run;
};

struct Registry {
  std::mutex mutex;
  std::map<std::string, Point, std::less<>> armed;
  std::set<std::string, std::less<>> reached;
  bool recording = false;

  void update_active() { internal::active.store(recording || !armed.empty(), std::memory_order_relaxed); }
};

// Never destroyed: a background thread may reach a point while the process exits.
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

}  // namespace

namespace internal {

int hit(const char* name) {
  std::shared_ptr<std::function<void()>> run;
  bool kill = false;
  int fail_with = 0;
  {
    Registry& all = registry();
    std::lock_guard guard(all.mutex);
    if (all.reached.find(std::string_view(name)) == all.reached.end()) all.reached.emplace(name);
    auto found = all.armed.find(std::string_view(name));
    if (found == all.armed.end()) return 0;
    Action& action = found->second.action;
    if (action.skip > 0) {
      --action.skip;
      return 0;
    }
    if (action.times == 0) return 0;
    if (action.times > 0) --action.times;
    run = found->second.run;
    kill = action.kill;
    fail_with = action.fail_with;
  }
  if (run) (*run)();  // outside the mutex: it may block, and may arm and disarm
  if (kill) std::raise(SIGKILL);
  return fail_with;
}

}  // namespace internal

void arm(std::string name, Action action) {
  Point point;
  if (action.run) point.run = std::make_shared<std::function<void()>>(std::move(action.run));
  action.run = nullptr;
  point.action = std::move(action);
  Registry& all = registry();
  std::lock_guard guard(all.mutex);
  all.armed.insert_or_assign(std::move(name), std::move(point));
  all.update_active();
}

void disarm(std::string_view name) {
  Registry& all = registry();
  Point point;  // what `run` owns is destroyed after the mutex is released
  std::lock_guard guard(all.mutex);
  auto found = all.armed.find(name);
  if (found == all.armed.end()) return;
  point = std::move(found->second);
  all.armed.erase(found);
  all.update_active();
}

void disarm_all() {
  Registry& all = registry();
  std::map<std::string, Point, std::less<>> points;
  std::lock_guard guard(all.mutex);
  points.swap(all.armed);
  all.update_active();
}

void record(bool on) {
  Registry& all = registry();
  std::lock_guard guard(all.mutex);
  if (on) all.reached.clear();
  all.recording = on;
  all.update_active();
}

std::vector<std::string> reached() {
  Registry& all = registry();
  std::lock_guard guard(all.mutex);
  return {all.reached.begin(), all.reached.end()};
}

}  // namespace azoth::fault
