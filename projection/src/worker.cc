#include "worker.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <new>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/log.h"
#include "azoth/core/thread.h"

namespace azoth {

namespace {

constexpr EventId kNoEnd = std::numeric_limits<EventId>::max();

void add(RunReport& total, const RunReport& batch) {
  total.events += batch.events;
  total.applied += batch.applied;
  total.dead_letters += batch.dead_letters;
  total.bytes += batch.bytes;
  total.cursor = batch.cursor;
  total.up_to_date = batch.up_to_date;
}

bool is_over(Deadline deadline) { return std::chrono::steady_clock::now() >= deadline; }
bool never() { return false; }

std::uint64_t seed_of(const ProjectorOptions& options) { return options.seed ? *options.seed : std::random_device{}(); }

}  // namespace

Worker::Worker(FileSystem& fs, const std::filesystem::path& projections, Projection projection,
               std::shared_ptr<EventSource> source, const ProjectorOptions& options, ProjectionListener listener)
    : fs_(fs),
      projection_(std::move(projection)),
      source_owner_(std::move(source)),
      source_(*source_owner_),
      clock_(options.clock != nullptr ? *options.clock : Clock::system()),
      pacer_(options.pacer != nullptr ? *options.pacer : Pacer::system()),
      trouble_backoff_(options.trouble_backoff),
      listener_(std::move(listener)),
      random_(seed_of(options)),
      generations_(fs, projections, projection_.name()) {
  open();
}

// Whoever takes it from the projector has closed it.
Worker::~Worker() {
  if (generations_.held()) close();
}

void Worker::close() {
  check_not_nested();
  ended_ = true;
  source_.wake();
  {
    std::lock_guard guard(thread_mutex_);
    end_thread();
  }
  Lock lock = take_turn();
  if (!generations_.held()) return;
  file_.reset();  // nobody reads what only we knew
  remove_old();
  generations_.let_go();
}

// --- Taking turns

namespace {

thread_local const Worker* batch_of = nullptr;  // whose handlers this thread is running

}  // namespace

class Worker::InBatch {
 public:
  explicit InBatch(const Worker* worker) { batch_of = worker; }
  ~InBatch() { batch_of = nullptr; }
  InBatch(const InBatch&) = delete;
  InBatch& operator=(const InBatch&) = delete;
};

void Worker::check_not_nested() {
  if (batch_of == nullptr) return;
  throw Error(ErrorCode::NestedUse, "a handler cannot use the projector that runs it: it would wait for itself");
}

Worker::Lock Worker::take_turn() {
  check_not_nested();
  wanting_.fetch_add(1);
  Lock lock(mutex_);
  wanting_.fetch_sub(1);
  changed_.notify_all();
  return lock;
}

Worker::Lock Worker::enter() {
  Lock lock = take_turn();
  check_open();
  return lock;
}

void Worker::check_open() const {
  if (!ended_) return;
  throw Error(ErrorCode::Closed, "projection " + projection_.name() + " was released, or its projector was closed");
}

void Worker::give_turns(Lock& lock) {
  changed_.wait(lock, [&] { return wanting_.load() == 0; });
}

// --- Batches

RunReport Worker::one_batch(EventId to) {
  OpenFile& open = open_file();
  // Before it: under steady writing there would always be another event after it.
  const EventId newest = rebuild_ ? source_.newest() : kNoEnd;
  BatchResult result = [&] {
    InBatch in_batch(this);
    return open.applier.apply_batch(to);
  }();
  // It is committed: whatever fails from here on, those who wait for it hear of it.
  not_before_.reset();
  if (result.obstacle) met_obstacle(*result.obstacle);
  changed_.notify_all();
  file_->file.checkpoint_if_due();
  troubles_ = 0;
  const EventId cursor = file_->applier.cursor().event_id;
  result.report.up_to_date = result.report.events == 0 && !result.obstacle && cursor >= source_.newest();
  if (rebuild_ && !result.obstacle && cursor >= newest) finish_rebuild();
  live_ = result.report.up_to_date;
  if (failure_noted_ && !result.obstacle) {
    generations_.note_failure("");
    failure_noted_ = false;
  }
  changed();
  return result.report;
}

// A damaged file is replaced, and what is wrong otherwise is thrown.
RunReport Worker::checked_batch(EventId to) {
  try {
    return one_batch(to);
  } catch (const Error& error) {
    if (unfit_ || !file_is_damaged()) throw;
    replace_damaged(error);
    return {};
  }
}

void Worker::met_obstacle(const Obstacle& obstacle) {
  const ErrorPolicy& policy = projection_.policy();
  const std::string where = "event " + std::to_string(obstacle.event) + " (" + obstacle.type + ")";
  if (obstacle.attempts <= policy.retries) {
    note_error(where + ", attempt " + std::to_string(obstacle.attempts) + ": " + obstacle.error);
    back_off(policy.backoff, obstacle.attempts);
    return;
  }
  fail(Error(ErrorCode::ProjectionFailed,
             "projection " + projection_.name() + " stopped at " + where + ": " + obstacle.error +
                 "; mend what makes it fail and resume it, or let it put such events aside as dead letters"));
}

// On its own thread: what may pass is tried again.
void Worker::met_trouble(const Error& error) {
  if (!error.retryable() && error.code() != ErrorCode::OutOfMemory) {
    fail(error);
    return;
  }
  note_error(error.what());
  back_off(trouble_backoff_, ++troubles_);
}

void Worker::back_off(const Backoff& backoff, std::uint32_t failures) {
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  const std::chrono::nanoseconds delay = backoff.delay(failures, random);
  const Deadline now = pacer_.now();
  not_before_ = delay < kNoDeadline - now ? now + delay : kNoDeadline;  // which one may ask for
}

void Worker::note_error(std::string_view error) {
  try {
    last_error_.emplace(error);
  } catch (const std::bad_alloc&) {
    last_error_.emplace();  // something went wrong, and there is no memory for what
  }
  last_error_time_ = clock_.now();
}

void Worker::fail(const Error& error) {
  note_error(error.what());
  failure_ = error;
  live_ = false;
  not_before_.reset();
  generations_.note_failure(error.what());
  failure_noted_ = true;
  if (!listener_) log(LogLevel::Error, error.what());
  changed();
}

// Tells those who wait for it, and those who want to know.
void Worker::changed() {
  changed_.notify_all();
  const ProjectionState now = state();
  if (now == told_) return;
  told_ = now;
  if (!listener_) return;
  try {
    listener_({projection_.name(), now, served(), failure_});
  } catch (const std::bad_alloc&) {
    log(LogLevel::Warning, "no memory to tell of a change of projection ", projection_.name());
  }
}

void Worker::check_may_run() const {
  check_open();
  if (paused_) throw Error(ErrorCode::Paused, "projection " + projection_.name() + " is paused; resume it");
  if (failure_) throw Error(*failure_);
}

// `over` besides: stopping the thread is nothing to those who wait on another one.
void Worker::wait_backoff(Lock& lock, Deadline deadline, const std::function<bool()>& over) {
  if (!not_before_) return;
  Deadline until = *not_before_;
  if (deadline != kNoDeadline) until = std::min(until, pacer_.now() + (deadline - std::chrono::steady_clock::now()));
  pacer_.wait(lock, changed_, until, [&] { return ended_ || paused_ || !not_before_ || over(); });
  if (not_before_ && pacer_.now() >= *not_before_) not_before_.reset();
}

// --- When told to

RunReport Worker::run_once() {
  Lock lock = enter();
  RunReport report;
  do {
    check_may_run();
    wait_backoff(lock, kNoDeadline, never);
    if (not_before_) continue;
    check_may_run();  // the wait gives the mutex up
    report = checked_batch(kNoEnd);
    if (failure_ && report.events == 0) throw Error(*failure_);
  } while (report.events == 0 && !report.up_to_date);
  return report;
}

// Until what is served shows event `to`, or there is nothing left, or the time is over: one batch is always begun,
// unless a back-off takes all of it.
RunReport Worker::run_to(Lock& lock, EventId to, Deadline deadline) {
  RunReport total;
  total.cursor = served();
  while (rebuild_ || unfit_ || served() < to) {
    check_may_run();
    wait_backoff(lock, deadline, never);
    if (not_before_) {
      if (is_over(deadline)) break;
      continue;
    }
    check_may_run();  // the wait gives the mutex up
    RunReport batch = checked_batch(rebuild_ ? kNoEnd : to);
    add(total, batch);
    if (batch.up_to_date || is_over(deadline)) break;
    give_turns(lock);
  }
  if (old_left_) remove_old();
  return total;
}

RunReport Worker::catch_up() {
  learn_the_newest();
  Lock lock = enter();
  check_may_run();
  RunReport report = run_to(lock, source_.newest(), kNoDeadline);
  report.cursor = served();
  report.up_to_date = served() >= source_.newest();
  return report;
}

// Of a log that another process writes, too.
void Worker::learn_the_newest() {
  try {
    source_.refresh();
  } catch (const Error& error) {
    if (!error.retryable()) throw;  // the writer moves on: then the log hears of it by itself
  }
}

// A seal wakes nobody who waits for an event, so it is looked for now and then.
bool Worker::run_until(EventId event, Deadline deadline) {
  constexpr std::chrono::milliseconds kLookForSeal{100};
  while (true) {
    Lock lock = enter();
    check_may_run();
    if (served() >= event) return true;
    run_to(lock, event, deadline);
    if (served() >= event) return true;
    if (is_over(deadline)) return false;
    if (auto sealed = source_.sealed(); sealed && *sealed < event) return false;
    const EventId after = served();
    lock.unlock();
    const Deadline turn = std::min(deadline, std::chrono::steady_clock::now() + kLookForSeal);
    source_.wait(after, turn, [&] { return paused_ || ended_; });
  }
}

// --- On a thread

void Worker::follow() {
  check_not_nested();
  std::lock_guard guard(thread_mutex_);
  check_open();
  if (thread_.joinable()) return;
  thread_ = start_thread([this] { follow_events(); });
  Lock lock = take_turn();
  following_ = true;
  changed();
}

void Worker::stop() {
  check_not_nested();
  std::lock_guard guard(thread_mutex_);
  end_thread();
}

void Worker::end_thread() {
  if (!thread_.joinable()) return;
  stop_ = true;
  source_.wake();
  {
    Lock lock = take_turn();
    changed_.notify_all();
  }
  thread_.join();
  stop_ = false;
}

void Worker::follow_events() noexcept {
  while (true) {
    Lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || (wanting_ == 0 && !paused_ && !failure_); });
    if (stop_) break;
    poked_ = false;
    const bool idle = follow_step(lock);
    const EventId after = file_ ? file_->applier.cursor().event_id : 0;
    lock.unlock();
    if (idle) wait_for_events(after);
  }
  Lock lock(mutex_);
  following_ = false;
  live_ = false;
  changed();
}

// True if there is nothing to do.
bool Worker::follow_step(Lock& lock) {
  wait_backoff(lock, kNoDeadline, [&] { return stop_.load(); });
  if (not_before_ || stop_ || paused_ || failure_) return false;
  try {
    const bool up_to_date = checked_batch(kNoEnd).up_to_date;
    if (up_to_date && old_left_) remove_old();
    return up_to_date;
  } catch (const Error& error) {
    if (!failure_) met_trouble(error);
  } catch (const std::bad_alloc&) {
    met_trouble(no_memory());
  }
  return false;
}

void Worker::wait_for_events(EventId after) noexcept {
  try {
    source_.wait(after, kNoDeadline, [&] { return stop_ || paused_ || poked_; });
  } catch (const Error& error) {
    Lock lock = take_turn();
    met_trouble(error);
  } catch (const std::bad_alloc&) {
    Lock lock = take_turn();
    met_trouble(no_memory());
  }
}

bool Worker::wait_until(EventId event, Deadline deadline) {
  Lock lock = enter();
  while (following_) {
    check_open();
    if (served() >= event) return true;
    if (failure_) throw Error(*failure_);
    if (is_over(deadline)) return false;
    if (deadline == kNoDeadline) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, deadline);
    }
  }
  lock.unlock();
  return run_until(event, deadline);
}

// --- From outside

void Worker::pause() {
  check_not_nested();
  paused_ = true;
  source_.wake();
  Lock lock = enter();
  live_ = false;
  told_ = state();
}

void Worker::resume() {
  Lock lock = enter();
  paused_ = false;
  if (failure_) reopen();
  failure_.reset();
  not_before_.reset();
  troubles_ = 0;
  told_ = state();
  changed_.notify_all();
}

void Worker::rebuild() {
  Lock lock = enter();
  if (!rebuild_ && !closed_) {
    const OpenFile& open = open_file();
    if (!rebuild_) served_cursor_ = open.applier.cursor().event_id;  // else it was begun just now, beside the old one
  }
  begin_anew({std::string(kAskedFor), true}, false);
  failure_.reset();
  not_before_.reset();
  told_ = state();
}

void Worker::describe_lag(ProjectionStatus& status) {
  try {
    status.sealed = source_.sealed();
    Lag lag = lag_behind(source_, status.cursor, clock_.now());
    status.newest = lag.newest;
    status.lag = lag.events;
    status.lag_time = lag.time;
  } catch (const Error& error) {  // closed, or failed: then this is all that is known
    if (!status.last_error) status.last_error = error.what();
  }
}

ProjectionStatus::Rebuild Worker::describe_rebuild(EventId newest) const {
  ProjectionStatus::Rebuild rebuild;
  rebuild.reason = rebuild_->reason;
  rebuild.generation = file_->number;
  rebuild.cursor = file_->applier.cursor().event_id;
  const std::chrono::duration<double> elapsed = pacer_.now() - rebuild_->since;
  if (elapsed.count() > 0)
    rebuild.events_per_second = static_cast<double>(rebuild.cursor - rebuild_->from) / elapsed.count();
  if (rebuild.events_per_second > 0) {
    const double left = static_cast<double>(newest - std::min(newest, rebuild.cursor)) / rebuild.events_per_second;
    rebuild.remaining = std::chrono::seconds{static_cast<std::int64_t>(left + 0.5)};
  }
  return rebuild;
}

ProjectionStatus Worker::status() {
  Lock lock = enter();
  ProjectionStatus status;
  status.name = projection_.name();
  status.version = projection_.version();
  status.last_error = last_error_;
  status.last_error_time = last_error_time_;
  status.rebuilt_because = rebuilt_because_;
  status.generation = current_.value_or(0);
  status.cursor = served();
  try {
    if (file_) status.dead_letters = file_->file.dead_letter_count();
  } catch (const Error& error) {  // the next batch meets it, too
    status.last_error = error.what();
  }
  describe_lag(status);
  if (rebuild_ && file_) status.rebuild = describe_rebuild(status.newest);
  status.state = state();
  if (status.state == ProjectionState::Live && status.lag != 0) status.state = ProjectionState::CatchingUp;
  return status;
}

EventId Worker::served() const {
  if (rebuild_ || closed_ || (unfit_ && unfit_->may_serve)) return served_cursor_;
  return file_ ? file_->applier.cursor().event_id : 0;
}

ProjectionState Worker::state() const {
  using enum ProjectionState;
  return failure_ ? Failed : paused_ ? Paused : !following_ ? Stopped : live_ && !rebuild_ ? Live : CatchingUp;
}

std::vector<DeadLetter> Worker::dead_letters() {
  Lock lock = enter();
  return open_file().file.dead_letters();
}

bool Worker::retry_dead_letter(EventId event) {
  Lock lock = enter();
  std::optional<DeadLetter> letter = open_file().file.dead_letter(event);
  if (!letter) {
    throw Error(ErrorCode::NotFound,
                "projection " + projection_.name() + " has no dead letter of event " + std::to_string(event));
  }
  InBatch in_batch(this);
  std::optional<std::string> error = file_->applier.retry(*letter);
  if (error) note_error("event " + std::to_string(event) + ", tried again: " + *error);
  return !error;
}

void Worker::drop_dead_letter(EventId event) {
  Lock lock = enter();
  SqlTransaction transaction(open_file().file.connection());
  if (!file_->file.remove_dead_letter(event)) {
    throw Error(ErrorCode::NotFound,
                "projection " + projection_.name() + " has no dead letter of event " + std::to_string(event));
  }
  transaction.commit();
}

}  // namespace azoth
