#include "worker.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/log.h"

namespace azoth {

namespace {

constexpr EventId kNoEnd = std::numeric_limits<EventId>::max();
constexpr std::uint32_t kMaxDamages = 3;  // in the life of a worker: the device is to blame then

void add(RunReport& total, const RunReport& batch) {
  total.events += batch.events;
  total.applied += batch.applied;
  total.dead_letters += batch.dead_letters;
  total.bytes += batch.bytes;
  total.cursor = batch.cursor;
  total.up_to_date = batch.up_to_date;
}

std::uint64_t seed_of(const ProjectorOptions& options) { return options.seed ? *options.seed : std::random_device{}(); }

}  // namespace

Worker::OpenFile::OpenFile(Worker& worker, Generation generation)
    : number(generation),
      file(worker.generations_.file(generation), worker.mode()),
      applier(worker.projection_, file, worker.source_, worker.clock_, worker.pacer_) {}

Worker::Worker(FileSystem& fs, const std::filesystem::path& projections, Projection projection, EventSource& source,
               const ProjectorOptions& options)
    : fs_(fs),
      projection_(std::move(projection)),
      source_(source),
      clock_(options.clock != nullptr ? *options.clock : Clock::system()),
      pacer_(options.pacer != nullptr ? *options.pacer : Pacer::system()),
      trouble_backoff_(options.trouble_backoff),
      random_(seed_of(options)),
      generations_(fs, projections, projection_.name()) {
  open();
}

Worker::~Worker() {
  stop();
  file_.reset();  // nobody reads what only we knew
  try {
    generations_.remove_old();
  } catch (const Error& error) {
    log(LogLevel::Warning, std::string("an old generation of a projection stays: ") + error.what());
  }
}

// --- Taking turns

Worker::Lock Worker::take_turn() {
  wanting_.fetch_add(1);
  Lock lock(mutex_);
  wanting_.fetch_sub(1);
  changed_.notify_all();
  return lock;
}

void Worker::give_turns(Lock& lock) {
  changed_.wait(lock, [&] { return wanting_.load() == 0; });
}

// --- Files

Connection::Mode Worker::mode() const {
  return projection_.is_synced() ? Connection::Mode::WriteFull : Connection::Mode::Write;
}

void Worker::open() {
  std::optional<Misfit> misfit;
  try {
    current_ = generations_.current();
    if (current_) misfit = open_current();
  } catch (const Error& error) {
    if (!error.corruption()) throw;
    misfit = Misfit{error.what(), false};
  }
  if (misfit) {
    begin_anew(*misfit, true);
  } else if (!current_) {
    begin_anew({"", false}, true);
  }
  remove_old();
}

// Content first: tables that show what is not in the log may not serve, whatever the declaration.
std::optional<Worker::Misfit> Worker::open_current() {
  if (!fs_.exists(generations_.file(*current_))) return Misfit{"its file is gone", false};
  {
    ProjectionFile file(generations_.file(*current_), mode());
    const Cursor cursor = file.cursor();
    if (auto reason = mismatch(cursor, source_)) return Misfit{*reason, false};
    if (file.name() != projection_.name()) return Misfit{"its file is that of projection " + file.name(), false};
    served_cursor_ = cursor.event_id;
    if (file.version() != projection_.version()) {
      return Misfit{"version " + std::to_string(projection_.version()) + " takes the place of version " +
                        std::to_string(file.version()),
                    true};
    }
    if (file.fingerprint() != projection_.fingerprint()) return Misfit{"its declaration has changed", true};
  }
  file_ = std::make_unique<OpenFile>(*this, *current_);
  stamp_timeline();
  return std::nullopt;
}

// From here on this timeline's events are shown, too.
void Worker::stamp_timeline() {
  Cursor cursor = file_->file.cursor();
  const Uuid timeline = source_.lineage().front().id;
  if (cursor.timeline == timeline) return;
  cursor.timeline = timeline;
  SqlTransaction transaction(file_->file.connection());
  file_->file.set_cursor(cursor);
  transaction.commit();
  file_->applier.reload_cursor();
}

// An empty reason: there was none before. While the old one may serve, the new one takes its place when it has caught
// up; otherwise at once, because there is nothing true to show.
void Worker::begin_anew(const Misfit& misfit, bool continue_unfinished) {
  unfit_ = misfit;
  file_.reset();
  rebuild_.reset();
  bool taken_up = false;
  std::vector<Generation> numbers = generations_.all();
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    if (current_ && *number <= *current_) break;
    taken_up = taken_up || (continue_unfinished && take_up(*number));
    if (!file_ || file_->number != *number) generations_.remove(*number);
  }
  if (!taken_up) create(generations_.next());
  if (!misfit.reason.empty()) {
    const bool only_the_pointer_is_new = !current_ && taken_up;
    if (!only_the_pointer_is_new) rebuilt_because_ = misfit.reason;
    log(LogLevel::Warning, "projection " + projection_.name() +
                               (only_the_pointer_is_new ? " gets a new pointer: " : " is built anew: ") + misfit.reason);
  }
  live_ = false;
  poked_ = true;
  source_.wake();
  if (misfit.may_serve) {
    rebuild_ = Rebuild{misfit.reason, file_->applier.cursor().event_id, pacer_.now()};
  } else {
    generations_.make_current(file_->number);
    current_ = file_->number;
  }
  unfit_.reset();
}

Worker::OpenFile& Worker::open_file() {
  if (unfit_) begin_anew(Misfit(*unfit_), true);
  return *file_;
}

// After an error of which nobody knows what it has left behind: what the connection holds in memory is given up.
void Worker::reopen() {
  if (!file_) return;
  const Generation number = file_->number;
  file_.reset();
  try {
    file_ = std::make_unique<OpenFile>(*this, number);
  } catch (const Error& error) {
    unfit_ = Misfit{std::string("its file cannot be opened: ") + error.what(), rebuild_.has_value()};
    if (!error.corruption()) throw;
  }
}

// What an interrupted rebuild left, if it is of this declaration and this log.
bool Worker::take_up(Generation number) {
  try {
    auto open = std::make_unique<OpenFile>(*this, number);
    bool fits = open->file.name() == projection_.name() && open->file.fingerprint() == projection_.fingerprint() &&
                !mismatch(open->applier.cursor(), source_);
    if (!fits) return false;
    file_ = std::move(open);
    stamp_timeline();
    return true;
  } catch (const Error& error) {
    bool useless = error.corruption() || error.code() == ErrorCode::UnsupportedFormat || error.code() == ErrorCode::Io;
    if (!useless) throw;
    return false;
  }
}

void Worker::create(Generation number) {
  try {
    ProjectionFile::create(fs_, generations_.file(number), projection_, start_of(source_));
    file_ = std::make_unique<OpenFile>(*this, number);
  } catch (...) {
    try {
      generations_.remove(number);
    } catch (const Error&) {  // it is found, and removed, the next time
    }
    throw;
  }
}

void Worker::finish_rebuild() {
  file_->file.checkpoint_all();  // and with it on the device, before the pointer names it
  AZOTH_FAULT("projection.switch");
  generations_.make_current(file_->number);
  AZOTH_FAULT("projection.switched");
  current_ = file_->number;
  rebuild_.reset();
  remove_old();
}

void Worker::remove_old() { old_left_ = generations_.remove_old() > 0; }

bool Worker::file_is_damaged() const {
  const std::optional<Error>& trouble = file_->file.connection().trouble();
  return trouble && trouble->corruption();
}

void Worker::replace_damaged(const Error& error) {
  note_error(error.what());
  if (++damages_ > kMaxDamages) {
    fail(error);
    throw Error(*failure_);
  }
  const bool old_one_serves = rebuild_.has_value();
  begin_anew({std::string("its file is damaged: ") + error.what(), old_one_serves}, false);
}

// --- Batches

RunReport Worker::one_batch(EventId to) {
  BatchResult result = open_file().applier.apply_batch(to);
  file_->file.checkpoint_if_due();
  troubles_ = 0;
  not_before_.reset();
  if (result.obstacle) met_obstacle(*result.obstacle);
  const EventId cursor = file_->applier.cursor().event_id;
  result.report.up_to_date = result.report.events == 0 && !result.obstacle && cursor >= source_.newest();
  if (result.report.up_to_date && rebuild_) finish_rebuild();
  live_ = result.report.up_to_date;
  changed_.notify_all();
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
    double random = std::uniform_real_distribution<double>(0, 1)(random_);
    not_before_ = pacer_.now() + policy.backoff.delay(obstacle.attempts, random);
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
  double random = std::uniform_real_distribution<double>(0, 1)(random_);
  not_before_ = pacer_.now() + trouble_backoff_.delay(++troubles_, random);
}

void Worker::note_error(const std::string& error) {
  last_error_ = error;
  last_error_time_ = clock_.now();
}

void Worker::fail(const Error& error) {
  note_error(error.what());
  failure_ = error;
  live_ = false;
  not_before_.reset();
  log(LogLevel::Error, error.what());
  changed_.notify_all();
}

void Worker::check_may_run() const {
  if (paused_) throw Error(ErrorCode::Paused, "projection " + projection_.name() + " is paused; resume it");
  if (failure_) throw Error(*failure_);
}

void Worker::wait_backoff(Lock& lock) {
  if (!not_before_) return;
  pacer_.wait(lock, changed_, *not_before_, [&] { return stop_ || paused_ || !not_before_; });
  if (not_before_ && pacer_.now() >= *not_before_) not_before_.reset();
}

// --- When told to

RunReport Worker::run_once() {
  Lock lock = take_turn();
  RunReport report;
  do {
    check_may_run();
    wait_backoff(lock);
    if (not_before_) continue;
    report = checked_batch(kNoEnd);
    if (failure_ && report.events == 0) throw Error(*failure_);
  } while (report.events == 0 && !report.up_to_date);
  return report;
}

// Until what is served shows event `to`, or there is nothing left.
RunReport Worker::run_to(Lock& lock, EventId to) {
  RunReport total;
  total.cursor = served();
  while (rebuild_ || served() < to) {
    check_may_run();
    wait_backoff(lock);
    if (not_before_) continue;
    RunReport batch = checked_batch(rebuild_ ? kNoEnd : to);
    add(total, batch);
    if (batch.up_to_date) break;
    give_turns(lock);
  }
  if (old_left_) remove_old();
  return total;
}

RunReport Worker::catch_up() {
  Lock lock = take_turn();
  check_may_run();
  RunReport report = run_to(lock, source_.newest());
  report.cursor = served();
  report.up_to_date = served() >= source_.newest();
  return report;
}

bool Worker::run_until(EventId event, Deadline deadline) {
  while (true) {
    Lock lock = take_turn();
    check_may_run();
    if (served() >= event) return true;
    run_to(lock, event);
    if (served() >= event) return true;
    if (auto sealed = source_.sealed(); sealed && *sealed < event) return false;
    const EventId after = served();
    lock.unlock();
    if (!source_.wait(after, deadline, [&] { return paused_.load(); }) && !paused_) return false;
  }
}

// --- On a thread

void Worker::follow() {
  std::lock_guard guard(thread_mutex_);
  if (thread_.joinable()) return;
  thread_ = std::thread([this] { follow_events(); });
  Lock lock = take_turn();
  following_ = true;
}

void Worker::stop() {
  std::lock_guard guard(thread_mutex_);
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
  changed_.notify_all();
}

// True if there is nothing to do.
bool Worker::follow_step(Lock& lock) {
  wait_backoff(lock);
  if (not_before_ || stop_ || paused_) return false;
  try {
    const bool up_to_date = checked_batch(kNoEnd).up_to_date;
    if (up_to_date && old_left_) remove_old();
    return up_to_date;
  } catch (const Error& error) {
    if (!failure_) met_trouble(error);
  } catch (const std::bad_alloc&) {
    met_trouble(Error(ErrorCode::OutOfMemory, "there is no memory for projection " + projection_.name()));
  }
  return false;
}

void Worker::wait_for_events(EventId after) noexcept {
  try {
    source_.wait(after, kNoDeadline, [&] { return stop_ || paused_ || poked_; });
  } catch (const Error& error) {
    Lock lock = take_turn();
    fail(error);
  }
}

bool Worker::wait_until(EventId event, Deadline deadline) {
  Lock lock = take_turn();
  while (following_) {
    if (served() >= event) return true;
    if (failure_) throw Error(*failure_);
    if (std::chrono::steady_clock::now() >= deadline) return false;
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
  paused_ = true;
  source_.wake();
  Lock lock = take_turn();
  live_ = false;
}

void Worker::resume() {
  Lock lock = take_turn();
  paused_ = false;
  if (failure_) reopen();
  failure_.reset();
  not_before_.reset();
  troubles_ = 0;
  changed_.notify_all();
}

void Worker::rebuild() {
  Lock lock = take_turn();
  if (!rebuild_) served_cursor_ = open_file().applier.cursor().event_id;
  begin_anew({"it was asked for", true}, false);
  failure_.reset();
  not_before_.reset();
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
  if (elapsed.count() > 0) rebuild.events_per_second = static_cast<double>(rebuild.cursor - rebuild_->from) / elapsed.count();
  if (rebuild.events_per_second > 0) {
    const double left = static_cast<double>(newest - std::min(newest, rebuild.cursor)) / rebuild.events_per_second;
    rebuild.remaining = std::chrono::seconds{static_cast<std::int64_t>(left + 0.5)};
  }
  return rebuild;
}

ProjectionStatus Worker::status() {
  Lock lock = take_turn();
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
  using enum ProjectionState;
  const bool live = live_ && !rebuild_ && status.lag == 0;
  status.state = failure_ ? Failed : paused_ ? Paused : !following_ ? Stopped : live ? Live : CatchingUp;
  return status;
}

std::vector<DeadLetter> Worker::dead_letters() {
  Lock lock = take_turn();
  return open_file().file.dead_letters();
}

bool Worker::retry_dead_letter(EventId event) {
  Lock lock = take_turn();
  std::optional<DeadLetter> letter = open_file().file.dead_letter(event);
  if (!letter) {
    throw Error(ErrorCode::NotFound,
                "projection " + projection_.name() + " has no dead letter of event " + std::to_string(event));
  }
  std::optional<std::string> error = file_->applier.retry(*letter);
  if (error) note_error("event " + std::to_string(event) + ", tried again: " + *error);
  return !error;
}

void Worker::drop_dead_letter(EventId event) {
  Lock lock = take_turn();
  SqlTransaction transaction(open_file().file.connection());
  if (!file_->file.remove_dead_letter(event)) {
    throw Error(ErrorCode::NotFound,
                "projection " + projection_.name() + " has no dead letter of event " + std::to_string(event));
  }
  transaction.commit();
}

}  // namespace azoth
