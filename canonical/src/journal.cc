#include "journal.h"

#include <algorithm>
#include <new>
#include <utility>

#include "azoth/core/fault.h"
#include "azoth/core/log.h"
#include "azoth/core/thread.h"

namespace azoth {

namespace {

// Trimmed segments beyond this many spares are removed instead of kept.
constexpr std::size_t kMaxSpares = 4;

}  // namespace

const JournalFiles::Segment* JournalFiles::newest() const {
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->header) return &*segment;
  }
  return nullptr;
}

const JournalFiles::Segment* JournalFiles::find(std::uint64_t number) const {
  for (const Segment& segment : segments) {
    if (segment.number == number) return &segment;
  }
  return nullptr;
}

JournalFiles list_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity) {
  JournalFiles files;
  if (!fs.exists(directory)) return files;
  for (const std::string& name : fs.list(directory)) {  // sorted by name, which is by number
    auto number = parse_segment_name(name);
    if (!number) continue;
    auto file = fs.open(directory / name, FileSystem::Mode::Read);
    std::string bytes(kSegmentHeaderBytes, '\0');
    bytes.resize(file->read_at(0, bytes.data(), bytes.size()));
    JournalFiles::Segment& segment = files.segments.emplace_back();
    segment.number = *number;
    segment.bytes = file->size();
    auto header = SegmentHeader::decode_of_any_timeline(bytes, identity.store_id, *number);
    (header && header->timeline == identity.timeline ? segment.header : segment.other) = header;
  }
  return files;
}

JournalTail create_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                           std::uint64_t segment_bytes, CommitSeq first_commit) {
  fs.make_directory(directory);
  SegmentHeader header{.number = 1, .first_commit = first_commit};
  auto first = fs.open(directory / segment_name(1), FileSystem::Mode::Create);
  first->write_at(0, header.encode(identity));
  first->sync_data();
  create_zero_filled(fs, directory / segment_name(2), segment_bytes);
  fs.sync_directory(directory);
  return {header.number, kSegmentHeaderBytes, header.checksum, first_commit - 1};
}

Journal::Journal(FileSystem& fs, std::filesystem::path directory, const JournalIdentity& identity,
                 std::uint64_t segment_bytes, const JournalTail& tail, const JournalFiles& files, CommitSeq keep_behind)
    : fs_(fs),
      directory_(std::move(directory)),
      identity_(identity),
      segment_bytes_(segment_bytes),
      tail_(tail),
      next_number_(files.highest_number() + 1) {
  adopt(files, keep_behind);
  keeper_ = start_thread([this] { keep_spares(); });
}

// All but the last segment, which the next header refers to, can be recycled, unless somebody else needs what is in the
// ones before it. That goes for spares, too: whoever made them may have died before their names were durable, and a new
// name is.
void Journal::adopt(const JournalFiles& files, CommitSeq keep_behind) {
  const JournalFiles::Segment* last = files.find(tail_.segment_number);
  const bool last_is_needed = keep_behind < tail_.last_commit && last != nullptr && last->header;
  CommitSeq begin = last_is_needed ? last->header->first_commit : tail_.last_commit;
  live_.push_front({tail_.segment_number, begin, last == nullptr ? 0 : last->bytes});
  for (const JournalFiles::Segment* next = last; last_is_needed && keep_behind + 1 < begin;) {
    const JournalFiles::Segment* segment = files.find(next->header->previous_number);
    if (segment == nullptr || !segment->header) break;
    begin = segment->header->first_commit;
    live_.push_front({segment->number, begin, segment->bytes, next->header->previous_valid_bytes});
    next = segment;
  }
  for (const JournalFiles::Segment& segment : files.segments) {
    const bool live =
        std::any_of(live_.begin(), live_.end(), [&](const Live& one) { return one.number == segment.number; });
    if (!live) trimmed_.push_back({segment.number, 0, segment.bytes});
  }
}

Journal::~Journal() { stop(); }

bool Journal::take_spare() {
  std::lock_guard lock(mutex_);
  if (granted_ == spares_.size()) return false;
  ++granted_;
  keeper_wakes_.notify_one();
  return true;
}

bool Journal::wait_for_spare(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const std::uint64_t before = attempt_;  // one that is under way may fail for a reason that is gone
  retry_wanted_ = true;
  keeper_wakes_.notify_one();
  auto settled = [&] { return refusing_ || granted_ < spares_.size() || failed_attempt_ > before; };
  if (deadline == kNoDeadline) {
    spare_ready_.wait(lock, settled);
  } else if (!spare_ready_.wait_until(lock, deadline, settled)) {
    return false;
  }
  if (refusing_) throw Error(ErrorCode::Closed, "the store is closed");
  if (granted_ == spares_.size()) throw *spare_error_;  // never cleared, since a success may come right behind it
  return true;
}

void Journal::check_continues(CommitSeq first_commit) const {
  if (first_commit == tail_.last_commit + 1) return;
  throw Error(ErrorCode::Corruption, "commit " + std::to_string(first_commit) +
                                         " does not continue the journal, which ends with commit " +
                                         std::to_string(tail_.last_commit) + "; it was not written");
}

void Journal::start_segment(CommitSeq first_commit) {
  check_continues(first_commit);
  Spare next{};
  {
    std::lock_guard lock(mutex_);
    next = std::move(spares_.front());
    spares_.pop_front();
    --granted_;
  }
  SegmentHeader header{.number = next.number,
                       .first_commit = first_commit,
                       .previous_number = tail_.segment_number,
                       .previous_valid_bytes = tail_.valid_bytes,
                       .previous_checksum = tail_.checksum,
                       .file_bytes = next.file->size()};
  next.file->write_at(0, header.encode(identity_));
  if (int error = AZOTH_FAULT("journal.start_segment")) throw_errno(error, "starting a journal segment");
  next.file->sync_data();
  seed_ = batch_seed(identity_, next.number);
  tail_ = {next.number, kSegmentHeaderBytes, header.checksum, first_commit - 1};
  std::lock_guard lock(mutex_);
  current_ = std::move(next.file);
  live_.back().valid_bytes = header.previous_valid_bytes;
  live_.push_back({next.number, first_commit, segment_bytes_});
}

void Journal::write(std::string& batch, BatchHeader header) {
  check_continues(header.first_commit);
  header.previous_checksum = tail_.checksum;
  header.encode(batch, seed_);
  if (int error = AZOTH_FAULT("journal.write")) throw_errno(error, "writing the journal");
  current_->write_at(tail_.valid_bytes, batch);
  tail_.valid_bytes += align_batch(batch.size());
  tail_.checksum = header.checksum;
  tail_.last_commit = header.last_commit;
}

void Journal::sync() {
  if (int error = AZOTH_FAULT("journal.sync")) throw_errno(error, "syncing the journal");
  std::shared_ptr<File> file;
  {
    std::lock_guard lock(mutex_);
    file = current_;
  }
  file->sync_data();
}

// Whether a live segment holds only commits through this one; the last one is never done with.
bool Journal::is_done(std::size_t index, CommitSeq through) const {
  return index + 1 < live_.size() && live_[index + 1].first_commit <= through + 1;
}

void Journal::trim(CommitSeq through, CommitSeq lmdb_through) {
  std::lock_guard lock(mutex_);
  while (is_done(0, through)) {
    trimmed_.push_back(live_.front());
    live_.pop_front();
  }
  for (std::size_t i = 0; is_done(i, lmdb_through); ++i) live_[i].only_kept = true;
  if (!trimmed_.empty() || to_cut() < live_.size()) keeper_wakes_.notify_one();
}

bool Journal::has_segments_through(CommitSeq through) const {
  std::lock_guard lock(mutex_);
  return is_done(0, through);
}

std::uint64_t Journal::bytes_kept(CommitSeq behind, CommitSeq lmdb_through) const {
  std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; is_done(i, lmdb_through); ++i) {
    if (!is_done(i, behind)) bytes += live_[i].valid_bytes;
  }
  return bytes;
}

CommitSeq Journal::first_commit() const {
  std::lock_guard lock(mutex_);
  return live_.front().first_commit;
}

void Journal::refuse_waiters() {
  std::lock_guard lock(mutex_);
  refusing_ = true;
  spare_ready_.notify_all();
}

void Journal::stop() {
  refuse_waiters();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    keeper_wakes_.notify_one();
  }
  if (keeper_.joinable()) keeper_.join();
}

std::uint64_t Journal::disk_bytes() const {
  std::lock_guard lock(mutex_);
  std::uint64_t bytes = spares_.size() * segment_bytes_;
  for (const Live& segment : live_) bytes += segment.bytes;
  for (const Live& segment : trimmed_) bytes += segment.bytes;
  return bytes;
}

std::uint32_t Journal::segments_on_disk() const {
  std::lock_guard lock(mutex_);
  return static_cast<std::uint32_t>(live_.size() + spares_.size() + trimmed_.size());
}

// --- The keeper

// The first segment that is only kept and is larger than what it holds; or the number of segments.
std::size_t Journal::to_cut() const {
  const auto found = std::find_if(live_.begin(), live_.end(), [](const Live& segment) {
    return segment.only_kept && segment.bytes > segment.valid_bytes;
  });
  return static_cast<std::size_t>(found - live_.begin());
}

bool Journal::work_for_keeper() const {
  if (!trimmed_.empty() || to_cut() < live_.size()) return true;
  bool none_ready = granted_ == spares_.size();
  return !stopping_ && none_ready && (!last_attempt_failed_ || retry_wanted_);
}

void Journal::keep_spares() {
  std::unique_lock lock(mutex_);
  while (true) {
    keeper_wakes_.wait(lock, [&] { return stopping_ || work_for_keeper(); });
    if (!work_for_keeper()) return;
    retry_wanted_ = false;
    ++attempt_;
    try {
      if (!trimmed_.empty()) {
        recycle(lock);
      } else if (to_cut() < live_.size()) {
        cut(lock);
      } else {
        make_spare(lock);
      }
      last_attempt_failed_ = false;
    } catch (const Error& error) {
      note_failure(lock, error);
    } catch (const std::bad_alloc&) {
      note_failure(lock, no_memory());
    }
    spare_ready_.notify_all();
  }
}

// Whoever waits for a spare is told: that a file or a directory is missing is no NotFound of his.
void Journal::note_failure(std::unique_lock<std::mutex>& lock, Error error) {
  if (lock.owns_lock()) lock.unlock();
  log(LogLevel::Warning, "no journal spare could be made: ", error.what());
  const bool as_it_is = error.code() == ErrorCode::NoSpace || error.code() == ErrorCode::OutOfMemory;
  try {
    if (!as_it_is) error = Error(ErrorCode::Io, error.what());
  } catch (const std::bad_alloc&) {
    error = no_memory();
  }
  lock.lock();
  spare_error_ = std::move(error);
  last_attempt_failed_ = true;
  failed_attempt_ = attempt_;
}

// A trimmed segment becomes a spare under a new number; its old header does not carry that number, so it counts as a
// spare from the rename on, and is used only after the rename is durable. What fails here leaves the file to the next
// open, and a spare is made anew.
void Journal::recycle(std::unique_lock<std::mutex>& lock) {
  Live old = trimmed_.back();
  trimmed_.pop_back();
  bool keep = old.bytes == segment_bytes_ && spares_.size() < kMaxSpares;
  std::uint64_t number = keep ? next_number_++ : 0;
  lock.unlock();
  std::unique_ptr<File> spare;
  try {
    if (keep) {
      spare = rename_to_spare(old.number, number);
    } else {
      fs_.remove(path_of(old.number));
    }
  } catch (const Error& error) {
    log(LogLevel::Warning, "a journal segment could not be used again: ", error.what());
  }
  lock.lock();
  if (spare) spares_.push_back({number, std::move(spare)});
}

std::unique_ptr<File> Journal::rename_to_spare(std::uint64_t old_number, std::uint64_t number) {
  fs_.rename(path_of(old_number), path_of(number));
  fs_.sync_directory(directory_);
  auto file = fs_.open(path_of(number), FileSystem::Mode::Write);
  file->sync_data();  // whoever made it may have died before its size was durable, and its header is going to tell it
  return file;
}

// What is behind the end of a segment that is only kept is dead for ever, and would have cost as much as the rest.
void Journal::cut(std::unique_lock<std::mutex>& lock) {
  const std::size_t index = to_cut();
  const Live segment = live_[index];
  live_[index].bytes = segment.valid_bytes;  // once is enough, whether or not it succeeds
  lock.unlock();
  try {
    fs_.open(path_of(segment.number), FileSystem::Mode::Write)->truncate(segment.valid_bytes);
  } catch (const Error& error) {  // it is as good uncut, and nobody waits for it
    log(LogLevel::Warning, std::string("a journal segment that is only kept could not be cut: ") + error.what());
  }
  lock.lock();
}

void Journal::make_spare(std::unique_lock<std::mutex>& lock) {
  std::uint64_t number = next_number_++;
  lock.unlock();
  create_zero_filled(fs_, path_of(number), segment_bytes_);
  auto file = fs_.open(path_of(number), FileSystem::Mode::Write);
  lock.lock();
  spares_.push_back({number, std::move(file)});
}

}  // namespace azoth
