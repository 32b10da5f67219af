// A worker's files: finding the generation to go on with, building the next one, taking its place.
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/log.h"
#include "worker.h"

namespace azoth {

namespace {

constexpr std::uint32_t kMaxDamages = 3;  // in the life of a worker: the device is to blame then

// What is left of an interrupted rebuild and is damaged is no loss. That it cannot be read now says nothing against it.
template <class Look>
bool can_be_used(Look look) {
  try {
    look();
    return true;
  } catch (const Error& error) {
    if (!error.corruption() && error.code() != ErrorCode::UnsupportedFormat) throw;
    return false;
  }
}

}  // namespace

Worker::OpenFile::OpenFile(Worker& worker, Generation generation)
    : number(generation),
      file(worker.generations_.file(generation), worker.mode()),
      applier(worker.projection_, file, worker.source_, worker.clock_, worker.pacer_) {}

Connection::Mode Worker::mode() const {
  return projection_.is_synced() ? Connection::Mode::WriteFull : Connection::Mode::Write;
}

// Only what looks at the projection's own files: damage that the log meets is no reason to give up its tables.
template <class Look>
std::optional<Worker::Misfit> Worker::damage_met_by(Look look) {
  try {
    look();
    return std::nullopt;
  } catch (const Error& error) {
    if (!error.corruption()) throw;
    return Misfit{error.what(), false};
  }
}

void Worker::open() {
  std::optional<Misfit> misfit = damage_met_by([&] { current_ = generations_.current(); });
  if (current_) misfit = open_current();
  if (misfit) {
    begin_anew(*misfit, true);
  } else if (!current_) {
    begin_anew({"", false}, true);
  } else {
    remove_unfinished();
  }
  remove_old();
}

// What is left of a rebuild that was asked for and did not come to its end: nothing else is wrong with the tables.
void Worker::remove_unfinished() {
  for (Generation number : generations_.all()) {
    if (number > *current_) generations_.remove(number);
  }
}

// Content first: tables that show what is not in the log may not serve, whatever the declaration.
std::optional<Worker::Misfit> Worker::open_current() {
  if (!fs_.exists(generations_.file(*current_))) return Misfit{"its file is gone", false};
  const Uuid timeline = source_.lineage().front().id;
  std::unique_ptr<OpenFile> open;
  if (auto damage = damage_met_by([&] { open = std::make_unique<OpenFile>(*this, *current_); })) return damage;
  if (auto reason = mismatch(open->applier.cursor(), source_)) return Misfit{*reason, false};
  if (open->file.name() != projection_.name()) {
    return Misfit{"its file is that of projection " + open->file.name(), false};
  }
  served_cursor_ = open->applier.cursor().event_id;
  if (auto reason = outdated(open->file, projection_)) return Misfit{*reason, true};
  if (auto damage = damage_met_by([&] { stamp_timeline(*open, timeline); })) return damage;
  file_ = std::move(open);
  return std::nullopt;
}

// From here on this timeline's events are shown, too.
void Worker::stamp_timeline(OpenFile& open, const Uuid& timeline) {
  Cursor cursor = open.file.cursor();
  if (cursor.timeline == timeline) return;
  cursor.timeline = timeline;
  SqlTransaction transaction(open.file.connection());
  open.file.set_cursor(cursor);
  transaction.commit();
  open.applier.reload_cursor();
}

// An empty reason: there was none before. While the old one may serve, the new one takes its place when it has caught
// up; otherwise at once, because there is nothing true to show.
void Worker::begin_anew(const Misfit& misfit, bool continue_unfinished) {
  unfit_ = misfit;
  closed_.reset();
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
    log(misfit.reason == kAskedFor ? LogLevel::Info : LogLevel::Warning,
        "projection " + projection_.name() + (only_the_pointer_is_new ? " gets a new pointer: " : " is built anew: ") +
            misfit.reason);
  }
  live_ = false;
  poked_ = true;
  source_.wake();
  if (misfit.may_serve) {
    rebuild_ = Rebuild{misfit.reason, file_->applier.cursor().event_id, pacer_.now()};
  } else {
    generations_.make_current(file_->number);
    current_ = file_->number;
    old_left_ = true;
  }
  unfit_.reset();
}

Worker::OpenFile& Worker::open_file() {
  if (closed_) open_again();
  if (unfit_) begin_anew(Misfit(*unfit_), true);
  return *file_;
}

// After an error of which nobody knows what it has left behind: what the connection holds in memory is given up. That
// the file cannot be opened now says nothing against what is in it.
void Worker::reopen() {
  if (file_) {
    if (!rebuild_) served_cursor_ = file_->applier.cursor().event_id;
    closed_ = file_->number;
    file_.reset();
  }
  if (closed_) open_again();
}

void Worker::open_again() {
  const bool old_one_serves = rebuild_ && current_ != closed_;
  try {
    if (fs_.exists(generations_.file(*closed_))) {
      file_ = std::make_unique<OpenFile>(*this, *closed_);
    } else {
      unfit_ = Misfit{"its file is gone", old_one_serves};
    }
  } catch (const Error& error) {
    if (!error.corruption()) throw;
    unfit_ = Misfit{std::string("its file cannot be opened: ") + error.what(), old_one_serves};
  }
  closed_.reset();
}

// What an interrupted rebuild left, if it is of this declaration and this log. One that cannot be read is of no use; if
// it is the log that cannot be read, nothing is known of it.
bool Worker::take_up(Generation number) {
  if (!fs_.exists(generations_.file(number))) return false;  // the rest of one that was being removed
  const Uuid timeline = source_.lineage().front().id;
  std::unique_ptr<OpenFile> open;
  if (!can_be_used([&] { open = std::make_unique<OpenFile>(*this, number); })) return false;
  bool fits = open->file.name() == projection_.name() && open->file.fingerprint() == projection_.fingerprint() &&
              !mismatch(open->applier.cursor(), source_);
  if (!fits || !can_be_used([&] { stamp_timeline(*open, timeline); })) return false;
  file_ = std::move(open);
  return true;
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
  try {
    generations_.make_current(file_->number);
  } catch (...) {
    current_ = generations_.current();  // its sync may have failed when the pointer was there already
    throw;
  }
  AZOTH_FAULT("projection.switched");
  current_ = file_->number;
  rebuild_.reset();
  remove_old();
}

// What stays is in nobody's way, and is told of once.
void Worker::remove_old() noexcept {
  old_left_ = true;
  try {
    old_left_ = generations_.remove_old() > 0;
  } catch (const std::exception& error) {
    if (std::exchange(told_of_old_, true)) return;
    log(LogLevel::Warning, "an old generation of a projection stays: ", error.what());
  }
}

bool Worker::file_is_damaged() const {
  if (!file_) return false;
  const std::optional<Error>& trouble = file_->file.connection().trouble();
  return trouble && trouble->corruption();
}

void Worker::replace_damaged(const Error& error) {
  note_error(error.what());
  if (++damages_ > kMaxDamages) {
    fail(error);
    throw Error(*failure_);
  }
  const bool old_one_serves = rebuild_ && current_ != file_->number;
  begin_anew({std::string("its file is damaged: ") + error.what(), old_one_serves}, false);
}

}  // namespace azoth
