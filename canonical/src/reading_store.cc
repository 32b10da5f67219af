#include "reading_store.h"

#include <algorithm>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/log.h"
#include "azoth/core/thread.h"
#include "sequences.h"
#include "settings.h"
#include "store_event_source.h"
#include "verify.h"

namespace azoth {

namespace {

// How often a read that met a writer in the middle of something is tried again, and how long it waits in between.
constexpr int kAttempts = 50;
constexpr std::chrono::milliseconds kPause{2};
// Following commits of another process: no more often than this.
constexpr std::chrono::milliseconds kFollowInterval{10};
constexpr CommitSeq kNoStop = std::numeric_limits<CommitSeq>::max();

JournalIdentity identity_of(FileSystem& fs, const StorePaths& paths) { return {read_identity(fs, paths).store_id, {}}; }

}  // namespace

ReadingStore::ReadingStore(const std::filesystem::path& directory, const Options& options, FileSystem& fs)
    : options_(options),
      fs_(fs),
      paths_(directory),
      identity_(identity_of(fs, paths_)),
      environment_(std::make_shared<Environment>(std::make_unique<DirectoryClaim>(paths_, DirectoryClaim::Mode::Read),
                                                 paths_.canonical, lmdb_settings(options), LmdbEnv::Mode::Read,
                                                 identity_.store_id, options.verify_reads)),
      follower_(fs, paths_.journal, identity_) {
  check_options(options_);
  StoreRow row = environment_->rows.store(environment_->lmdb.begin_read());
  identity_ = journal_identity(row, identity_.store_id, paths_);
  environment_->reading_timeline = identity_.timeline;
  created_ = row.created;
  follower_ = JournalFollower(fs_, paths_.journal, identity_);
  refresh();
}

ReadingStore::~ReadingStore() { close(); }

WritingStore& ReadingStore::writer() {
  throw Error(ErrorCode::ReadOnly, "the store was opened for reading only; open it for writing to do this");
}

// --- Keeping up

void ReadingStore::refresh() {
  std::lock_guard lock(mutex_);
  if (!environment_) throw Error(ErrorCode::Closed, "the store is closed");
  std::optional<std::string> alone;
  for (int attempt = 1;; ++attempt) {
    unreadable_.reset();
    try {
      if (try_refresh()) return;
    } catch (...) {
      started_ = false;  // a commit may be half inserted
      throw;
    }
    // What cannot be read while somebody writes may just be changing. A writer may end during an attempt, or begin and
    // end; so it is damage only if nobody has written from the begin of the last attempt to its end.
    const std::optional<std::string> was_alone = std::exchange(alone, last_writer(paths_));
    if (unreadable_ && alone && was_alone == alone) throw Error(*unreadable_);
    if (attempt == kAttempts) {
      throw Error(ErrorCode::Backpressure, "the writer moves on faster than its journal can be read; try again" +
                                               (unreadable_ ? std::string(" (") + unreadable_->what() + ")" : ""));
    }
    std::this_thread::sleep_for(kPause);
  }
}

// First the journal, then LMDB: what the journal no longer has, LMDB has by then.
bool ReadingStore::try_refresh() {
  {
    const LmdbReadTxn lmdb = environment_->lmdb.begin_read();
    environment_->check_timeline(lmdb);
    // Behind everything that was read: then it is not read once more, in a journal that is kept for snapshot sets.
    if (started_ && environment_->rows.head(lmdb).last_commit > deltas_.front()->last_commit()) started_ = false;
  }
  stop_at_ = stop();
  if (passed_over_) started_ = false;
  if (!started_) start_over();
  if (!read_journal()) return false;
  if (stop() != stop_at_) {  // the writer failed meanwhile: what was read may not be believed
    started_ = false;
    return false;
  }
  LmdbReadTxn lmdb = environment_->lmdb.begin_read();
  environment_->check_timeline(lmdb);
  CommitSeq in_lmdb = environment_->rows.head(lmdb).last_commit;
  if (in_lmdb > deltas_.front()->last_commit()) {  // LMDB has what the journal was recycled from under us
    started_ = false;
    return false;
  }
  drop_flushed(in_lmdb);
  publish();
  return true;
}

// False: from the start again, behind what LMDB holds by then.
bool ReadingStore::read_journal() {
  const auto each = [this](std::string_view record) { insert(record); };
  try {
    if (started_) return started_ = follower_.advance(each);
    follower_.start(lmdb_commit_, each);
    return started_ = true;
  } catch (const Error& error) {
    if (!error.corruption() && error.code() != ErrorCode::NotFound) throw;
    unreadable_ = error;
    return started_ = false;
  }
}

// A writer that fails notes where before it tells anybody. What was shown before was synced here, and stays.
CommitSeq ReadingStore::stop() const {
  auto noted = failed_writer_durable_seq(paths_);
  return noted ? std::max(*noted, state_->marks.durable.load()) : kNoStop;
}

void ReadingStore::start_over() {
  passed_over_ = false;
  Head head = environment_->rows.head(environment_->lmdb.begin_read());
  if (!LockFile::is_held(paths_.lock)) environment_->lmdb.sync();  // a writer may have died within a bulk transaction
  lmdb_commit_ = head.last_commit;
  next_event_ = head.last_event + 1;
  deltas_.clear();
  deltas_.push_front(std::make_shared<Delta>(lmdb_commit_ + 1, next_event_));
}

void ReadingStore::insert(std::string_view record) {
  RecordHeader header = RecordReader(record).header();
  if (header.commit_seq > stop_at_) {
    passed_over_ = true;
    return;
  }
  if (deltas_.front()->bytes() >= options_.delta_bytes) {
    deltas_.push_front(std::make_shared<Delta>(header.commit_seq, next_event_));
  }
  deltas_.front()->insert(std::string(record));
  next_event_ += header.events;
}

void ReadingStore::drop_flushed(CommitSeq lmdb_commit) {
  lmdb_commit_ = lmdb_commit;
  while (deltas_.back()->last_commit() <= lmdb_commit && !deltas_.back()->empty()) {
    if (deltas_.size() == 1) deltas_.push_front(std::make_shared<Delta>(lmdb_commit + 1, next_event_));
    deltas_.pop_back();
  }
}

void ReadingStore::publish() {
  auto view = std::make_shared<View>();
  view->environment = environment_;
  view->deltas.assign(deltas_.begin(), deltas_.end());
  views_->store(std::move(view));
  Watermarks& marks = state_->marks;
  CommitSeq commit = deltas_.front()->last_commit();
  for (auto* mark : {&marks.applied, &marks.visible, &marks.durable}) mark->store(commit);
  marks.flushed.store(lmdb_commit_);
  state_->followers.announce();
}

void ReadingStore::follow() {
  try {
    follow_until_gone();
  } catch (const Error& error) {
    fail(error);
  } catch (const std::bad_alloc&) {
    fail(no_memory());
  }
}

void ReadingStore::follow_until_gone() {
  while (!watch_->interrupted_within(kFollowInterval)) {
    try {
      refresh();
    } catch (const Error& error) {
      if (error.retryable()) continue;
      if (watch_->gone()) break;
      throw;
    }
    watch_->wait();
    if (watch_->gone()) break;
  }
  if (!watch_->gone()) return;
  throw Error(ErrorCode::StoreFailed, "the store in " + paths_.directory.string() +
                                          " was moved, removed or replaced while it was open; open it again");
}

void ReadingStore::fail(const Error& error) {
  state_->failure.set_as_it_is(error);
  state_->followers.announce();
}

// --- Reading

std::unique_ptr<Snapshot> ReadingStore::read(Durability) {
  refresh();
  CommitSeq durable = state_->marks.durable.load();  // before the view
  return std::make_unique<Snapshot>(durable, views_->load());
}

std::unique_ptr<SubscriptionState> ReadingStore::subscribe(EventId after) {
  std::lock_guard lock(mutex_);
  start_following();
  return make_subscription(state_, views_, after);
}

std::unique_ptr<EventSource> ReadingStore::event_source() {
  refresh();
  std::lock_guard lock(mutex_);
  start_following();
  return std::make_unique<StoreEventSource>(state_, views_, identity_, [self = self_] {
    std::lock_guard hold(self->mutex);
    if (self->store != nullptr) self->store->refresh();
  });
}

void ReadingStore::start_following() {
  if (!environment_ || state_->closed.load()) throw Error(ErrorCode::Closed, "the store is closed");
  if (following_.joinable()) return;
  // Before the first look, so that nothing is missed.
  auto watch = std::make_unique<DirectoryWatch>(paths_.journal);
  watch->watch_place(paths_.directory, paths_.journal.filename());
  watch_ = std::move(watch);
  following_ = start_thread([this] { follow(); });
}

std::shared_ptr<Environment> ReadingStore::environment() {
  std::lock_guard lock(mutex_);
  if (!environment_) throw Error(ErrorCode::Closed, "the store is closed");
  return environment_;
}

// Nobody inserts while this looks: refreshing holds the mutex.
PinnedView ReadingStore::pin() {
  refresh();
  std::lock_guard lock(mutex_);
  PinnedView pinned{.commit = state_->marks.durable.load(), .view = views_->load()};
  if (!started_) throw Error(ErrorCode::Backpressure, "the writer moves on while it is read; try again");
  for (const auto& delta : deltas_) pinned.latest = std::max(pinned.latest, delta->latest());
  return pinned;
}

Meta ReadingStore::meta() { return make_meta(*read(Durability::Durable), identity_, created_); }

Status ReadingStore::status() {
  std::unique_ptr<Snapshot> snapshot = read(Durability::Durable);
  Status status;
  status.read_only = true;
  status.has_writer = !last_writer(paths_);
  status.meta = make_meta(*snapshot, identity_, created_);
  status.flushed_seq = state_->marks.flushed.load();
  status.durable_seq = status.visible_seq = status.applied_seq = snapshot->commit_seq();
  status.state_keys = count_keys(*snapshot);
  for (const Delta* delta : snapshot->deltas()) status.delta_bytes += delta->bytes();
  status.live_deltas = static_cast<std::uint32_t>(snapshot->deltas().size());
  snapshot.reset();  // which is not to be counted
  JournalFiles files = list_files();
  status.journal_segments = static_cast<std::uint32_t>(files.segments.size());
  for (const auto& segment : files.segments) status.journal_bytes += segment.bytes;
  std::shared_ptr<Environment> environment = views_->load()->environment;
  if (!environment) throw Error(ErrorCode::Closed, "the store is closed");
  status.recovery = to_be_recovered(*environment, files);
  auto failed_at = failed_writer_durable_seq(paths_);
  if (status.has_writer && failed_at) {
    status.failure =
        "writing failed in the process that has the store open; durable up to commit " + std::to_string(*failed_at);
  }
  describe_lmdb(environment->lmdb, status);
  return status;
}

// What opening for writing would find; beside a writer it means nothing.
RecoveryReport ReadingStore::to_be_recovered(Environment& environment, const JournalFiles& files) const {
  Head head = environment.rows.head(environment.lmdb.begin_read());
  const JournalFiles::Segment* newest = files.newest();
  RecoveryReport report;
  report.clean = head.clean && newest != nullptr && head.clean->segment_number == newest->number;
  report.last_commit = std::max(state_->marks.durable.load(), head.last_commit);
  report.recovered_commits = report.last_commit - head.last_commit;
  return report;
}

// The writer renames and removes files meanwhile.
JournalFiles ReadingStore::list_files() {
  for (int attempt = 1;; ++attempt) {
    try {
      return list_journal(fs_, paths_.journal, identity_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound || attempt == kAttempts) throw;
      std::this_thread::sleep_for(kPause);
    }
  }
}

VerifyReport ReadingStore::verify(const Progress& progress) {
  refresh();
  VerifyReport report;
  std::shared_ptr<const View> view = views_->load();
  if (!view->environment) throw Error(ErrorCode::Closed, "the store is closed");
  verify_store([&] { return std::make_unique<Snapshot>(0, view); }, *view->environment, fs_, paths_.journal, identity_,
               report, progress);
  return report;
}

std::string ReadingStore::digest(const Progress& progress) { return digest_of(*read(Durability::Durable), progress); }

std::uint64_t ReadingStore::peek_sequence(std::string_view name) {
  check_sequence_name(name);
  return stored_block(*read(Durability::Durable), name).value_or(SequenceBlock{}).end();
}

std::vector<SequenceInfo> ReadingStore::sequences() { return stored_sequences(*read(Durability::Durable)); }

void ReadingStore::close() {
  std::lock_guard closing(closing_);
  {
    std::lock_guard hold(self_->mutex);
    self_->store = nullptr;
  }
  std::unique_lock lock(mutex_);
  if (!environment_ || state_->closed.exchange(true)) return;
  if (watch_) {
    watch_->interrupt();
    lock.unlock();
    if (following_.joinable()) following_.join();
    lock.lock();
  }
  environment_->claim->store_closed();
  environment_.reset();
  views_->retire(nothing_);
  state_->followers.announce();
}

}  // namespace azoth
