#include "azoth/projection/projector.h"

#include <utility>

#include "azoth/core/error.h"
#include "worker.h"

namespace azoth {

namespace {

// One that is released meanwhile is passed over.
template <class Call>
void unless_closed(Call call) {
  try {
    call();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Closed) throw;
  }
}

class SystemPacer : public Pacer {
 public:
  Deadline now() override { return std::chrono::steady_clock::now(); }
  void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, Deadline until,
            const std::function<bool()>& over) override {
    changed.wait_until(lock, until, over);
  }
};

}  // namespace

Pacer& Pacer::system() {
  static SystemPacer pacer;
  return pacer;
}

std::string_view state_name(ProjectionState state) {
  switch (state) {
    case ProjectionState::Stopped:
      return "stopped";
    case ProjectionState::CatchingUp:
      return "catching_up";
    case ProjectionState::Live:
      return "live";
    case ProjectionState::Paused:
      return "paused";
    case ProjectionState::Failed:
      return "failed";
  }
  return "unknown";
}

Projector::Projector(std::filesystem::path directory, std::shared_ptr<EventSource> source,
                     const ProjectorOptions& options, FileSystem& fs)
    : directory_(std::move(directory) / "projections"), source_(std::move(source)), options_(options), fs_(fs) {
  options_.trouble_backoff.check("the projector");
}

Projector::Projector(std::filesystem::path directory, EventSource& source, const ProjectorOptions& options,
                     FileSystem& fs)
    : Projector(std::move(directory), std::shared_ptr<EventSource>(std::shared_ptr<void>(), &source), options, fs) {}

Projector::~Projector() { close(); }

// Not under the mutex: a handler that is waited for may ask for names.
void Projector::close() {
  Worker::check_not_nested();
  std::lock_guard one_at_a_time(close_mutex_);
  std::map<std::string, std::shared_ptr<Worker>, std::less<>> workers;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    workers.swap(workers_);
  }
  for (const auto& [name, worker] : workers) worker->close();
}

void Projector::check_open() const {
  if (closed_) throw Error(ErrorCode::Closed, "the projector was closed");
}

void Projector::add(Projection projection) {
  std::lock_guard lock(mutex_);
  check_open();
  std::string name = projection.name();
  if (workers_.contains(name)) {
    throw Error(ErrorCode::AlreadyOpen, "there is a projection " + name + " here already; release it first");
  }
  workers_[name] = std::make_shared<Worker>(fs_, directory_, std::move(projection), source_, options_, listener_);
}

void Projector::listen(ProjectionListener listener) {
  std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

std::vector<ProjectionInfo> Projector::inspect() const {
  return inspect_projections(directory_.parent_path(), *source_,
                             options_.clock != nullptr ? *options_.clock : Clock::system(), fs_);
}

void Projector::release(std::string_view name) {
  std::shared_ptr<Worker> released = worker(name);
  released->close();
  std::lock_guard lock(mutex_);
  if (auto at = workers_.find(name); at != workers_.end() && at->second == released) workers_.erase(at);
}

std::vector<std::string> Projector::names() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, worker] : workers_) names.push_back(name);
  return names;
}

std::vector<std::shared_ptr<Worker>> Projector::workers() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Worker>> all;
  for (const auto& [name, worker] : workers_) all.push_back(worker);
  return all;
}

std::shared_ptr<Worker> Projector::worker(std::string_view name) const {
  std::lock_guard lock(mutex_);
  check_open();
  auto found = workers_.find(name);
  if (found == workers_.end()) {
    throw Error(ErrorCode::NotFound, "there is no projection " + std::string(name) + " here; add it first");
  }
  return found->second;
}

RunReport Projector::run_once(std::string_view name) { return worker(name)->run_once(); }
RunReport Projector::catch_up(std::string_view name) { return worker(name)->catch_up(); }

bool Projector::run_until(std::string_view name, EventId event, std::optional<std::chrono::nanoseconds> timeout) {
  return worker(name)->run_until(event, timeout ? deadline_after(*timeout) : kNoDeadline);
}

void Projector::follow(std::string_view name) { worker(name)->follow(); }

void Projector::follow_all() {
  for (const auto& worker : workers()) {
    unless_closed([&] { worker->follow(); });
  }
}

void Projector::stop(std::string_view name) { worker(name)->stop(); }
void Projector::pause(std::string_view name) { worker(name)->pause(); }
void Projector::resume(std::string_view name) { worker(name)->resume(); }
void Projector::rebuild(std::string_view name) { worker(name)->rebuild(); }

bool Projector::wait_until(std::string_view name, EventId event, std::chrono::nanoseconds timeout) {
  return worker(name)->wait_until(event, deadline_after(timeout));
}

ProjectionStatus Projector::status(std::string_view name) const { return worker(name)->status(); }

std::vector<ProjectionStatus> Projector::status() const {
  std::vector<ProjectionStatus> all;
  for (const auto& worker : workers()) {
    unless_closed([&] { all.push_back(worker->status()); });
  }
  return all;
}

std::vector<DeadLetter> Projector::dead_letters(std::string_view name) const { return worker(name)->dead_letters(); }

bool Projector::retry_dead_letter(std::string_view name, EventId event) {
  return worker(name)->retry_dead_letter(event);
}

void Projector::drop_dead_letter(std::string_view name, EventId event) { worker(name)->drop_dead_letter(event); }

}  // namespace azoth
