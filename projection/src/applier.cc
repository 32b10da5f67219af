#include "applier.h"

#include <algorithm>
#include <new>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"

namespace azoth {

namespace {

constexpr std::size_t kKnownTypes = 10'000;

}  // namespace

Applier::Applier(const Projection& projection, ProjectionFile& file, EventSource& source, Clock& clock, Pacer& pacer)
    : projection_(projection), file_(file), source_(source), clock_(clock), pacer_(pacer), cursor_(file.cursor()) {}

// --- Batches

BatchResult Applier::apply_batch(EventId to) {
  file_.connection().forget_trouble();
  BatchResult result;
  refill(to);
  while (cursor_.event_id < std::min(to, last_in_slice())) {
    const Care care = cursor_.event_id < careful_through_ ? care_ : Care::Batch;
    try {
      result = {};
      attempt(to, care, result);
      break;
    } catch (const Failure& failure) {  // all of it was undone
      if (care == Care::SingleEvents) {
        result = {};
        pass_single(failure, result);
        break;
      }
      take_more_care(failure);
    }
  }
  result.report.cursor = cursor_.event_id;
  result.report.up_to_date = slice_.empty();
  return result;
}

void Applier::attempt(EventId to, Care care, BatchResult& result) {
  const Deadline end = end_of_batch();
  SqlTransaction transaction(file_.connection());
  AZOTH_FAULT("projection.begun");
  Cursor cursor = cursor_;
  for (EventId id = cursor_.event_id + 1; id <= std::min(to, last_in_slice()); ++id) {
    const EventView event = event_at(id);
    if (!apply_event(event, care, result)) break;
    AZOTH_FAULT("projection.applied");
    ++result.report.events;
    result.report.bytes += event.body().size();
    cursor.event_id = id;
    if (care == Care::SingleEvents || pacer_.now() >= end) break;
  }
  if (cursor.event_id == cursor_.event_id) return;  // in front of an obstacle
  if (result.report.applied > 0) run_hook();
  commit(transaction, cursor_at(cursor_, event_at(cursor.event_id)));
}

Deadline Applier::end_of_batch() const {
  const Deadline now = pacer_.now();
  const std::chrono::nanoseconds time = projection_.limits().time;
  return time > Deadline::max() - now ? Deadline::max() : now + time;
}

// False if the batch ends in front of it.
bool Applier::apply_event(const EventView& event, Care care, BatchResult& result) {
  if (handlers_for(event.type()).empty()) return true;
  if (care != Care::Savepoints) {
    run_handlers(event);
    ++result.report.applied;
    return true;
  }
  Connection& connection = file_.connection();
  if (known_.event == event.id()) return pass_over(event, std::exchange(known_, {}).error, result);
  connection.run("SAVEPOINT azoth_event");
  try {
    run_handlers(event);
    connection.run("RELEASE azoth_event");
    ++result.report.applied;
    return true;
  } catch (const Failure& failure) {
    known_ = {};  // it came after this one's effects
    if (!connection.in_transaction()) throw;
    connection.run("ROLLBACK TO azoth_event");
    connection.run("RELEASE azoth_event");
    return pass_over(event, failure.error, result);
  }
}

// The event behind the cursor has failed, alone.
void Applier::pass_single(const Failure& failure, BatchResult& result) {
  const EventView event = event_at(cursor_.event_id + 1);
  SqlTransaction transaction(file_.connection());
  if (!pass_over(event, failure.error, result)) return;
  result.report.events = 1;
  result.report.bytes = event.body().size();
  commit(transaction, cursor_at(cursor_, event));
}

// One more failed attempt. False: it is to be tried again, or the projection stops here.
bool Applier::pass_over(const EventView& event, const std::string& error, BatchResult& result) {
  if (obstacle_.event != event.id()) obstacle_ = {event.id(), std::string(event.type()), 0, {}};
  ++obstacle_.attempts;
  obstacle_.error = error;
  const ErrorPolicy& policy = projection_.policy();
  if (obstacle_.attempts <= policy.retries || policy.then == ErrorPolicy::Then::Fail) {
    result.obstacle = obstacle_;
    return false;
  }
  file_.add_dead_letter(event, obstacle_.attempts, error, clock_.now());
  AZOTH_FAULT("projection.dead_letter");
  ++result.report.dead_letters;
  return true;
}

void Applier::commit(SqlTransaction& transaction, const Cursor& cursor) {
  file_.set_cursor(cursor);
  AZOTH_FAULT("projection.commit");
  try {
    transaction.commit();
  } catch (const Error& error) {  // a deferred constraint
    if (file_.connection().trouble()) throw;
    throw Failure{0, error.what()};
  }
  cursor_ = cursor;
  AZOTH_FAULT("projection.committed");
}

void Applier::take_more_care(const Failure& failure) {
  const bool was_careful = cursor_.event_id < careful_through_ && care_ == Care::Savepoints;
  care_ = was_careful || failure.event == 0 ? Care::SingleEvents : Care::Savepoints;
  careful_through_ = std::max(careful_through_, last_in_slice());
  known_ = care_ == Care::Savepoints ? failure : Failure{};
}

// --- User code

// What it throws is the event's fault, unless the database is in trouble or there is no memory: whatever it throws or
// catches then, the event is not to blame.
template <class Call>
void Applier::run_user_code(EventId event, Call call) {
  Connection& connection = file_.connection();
  std::optional<Failure> failure;
  try {
    Connection::UserMode user(connection);
    call();
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::OutOfMemory, "there is no memory for projection " + projection_.name());
  } catch (const std::exception& error) {
    failure = Failure{event, error.what()};
  } catch (...) {
    failure = Failure{event, "its handler threw something that is no std::exception"};
  }
  if (connection.trouble()) throw Error(*connection.trouble());
  if (!failure && !connection.in_transaction()) failure = Failure{event, "its handler ended the transaction"};
  if (failure) throw Failure(*std::move(failure));
}

void Applier::run_handlers(const EventView& event) {
  run_user_code(event.id(), [&] {
    Sql sql(file_.connection());
    for (const Projection::Handler* handler : handlers_for(event.type())) (*handler)(event, sql);
  });
}

void Applier::run_hook() {
  if (!projection_.hook()) return;
  run_user_code(0, [&] {
    Sql sql(file_.connection());
    projection_.hook()(sql);
  });
}

const std::vector<const Projection::Handler*>& Applier::handlers_for(std::string_view type) {
  auto found = handlers_.find(type);
  if (found != handlers_.end()) return found->second;
  if (handlers_.size() >= kKnownTypes) handlers_.clear();
  return handlers_.emplace(type, projection_.handlers(type)).first->second;
}

// --- Events

// The log has no gaps: one that shows is damage, and going on behind it would be silently wrong.
void Applier::refill(EventId to) {
  const bool left = !slice_.empty() && slice_[0].id() <= cursor_.event_id + 1 && cursor_.event_id < last_in_slice();
  if (left) return;
  const BatchLimits& limits = projection_.limits();
  try {
    source_.read(cursor_.event_id, {.events = limits.events, .bytes = limits.bytes, .to = to}, slice_);
    check_slice();
  } catch (...) {
    slice_.clear();  // it would be taken for what is left of a good one
    throw;
  }
}

void Applier::check_slice() const {
  EventId expected = cursor_.event_id + 1;
  for (std::size_t i = 0; i < slice_.size(); ++i, ++expected) {
    const EventId id = slice_[i].id();
    if (id == expected) continue;
    throw Error(ErrorCode::Corruption, "the log lacks event " + std::to_string(expected) + ": event " +
                                           std::to_string(id) + " stands in its place; verify the store");
  }
}

// --- Dead letters

std::optional<std::string> Applier::retry(const DeadLetter& letter) {
  Connection& connection = file_.connection();
  connection.forget_trouble();
  try {
    SqlTransaction transaction(connection);
    run_handlers(letter.event());
    AZOTH_FAULT("projection.retried");
    run_hook();
    file_.remove_dead_letter(letter.event_id);
    commit(transaction, cursor_);
    return std::nullopt;
  } catch (const Failure& failure) {
    SqlTransaction transaction(connection);
    file_.note_retry(letter.event_id, failure.error, clock_.now());
    transaction.commit();
    return failure.error;
  }
}

}  // namespace azoth
