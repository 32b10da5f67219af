#include "store_event_source.h"

#include "azoth/core/error.h"
#include "snapshot.h"
#include "store_impl.h"

namespace azoth {

namespace {

Snapshot durable_snapshot(const CommitState& commits, const ViewHolder& views) {
  CommitSeq durable = commits.marks.durable.load();  // before the view
  return Snapshot(durable, views.load());
}

}  // namespace

EventId StoreEventSource::newest() { return durable_snapshot(*commits_, *views_).last_event(); }

std::optional<EventId> StoreEventSource::sealed() { return sealed_event(durable_snapshot(*commits_, *views_)); }

void StoreEventSource::read(EventId after, const SliceLimits& limits, EventSlice& into) {
  into.clear();
  Snapshot snapshot = durable_snapshot(*commits_, *views_);
  for (EventCursor cursor(snapshot, {.after = after, .to = limits.to, .limit = limits.events}); cursor.valid();
       cursor.advance()) {
    into.add(cursor.event());
    if (into.bytes() >= limits.bytes) break;
  }
}

// A failed store has events up to its durable mark like any other: they are read, and only waiting for more is an
// error.
bool StoreEventSource::wait(EventId after, Deadline deadline, const std::function<bool()>& interrupted) {
  const Watermarks& marks = commits_->marks;
  while (true) {
    CommitSeq durable = marks.durable.load();
    if (interrupted()) return false;
    bool ended = commits_->closed.load() || commits_->failure.failed();
    if (!commits_->closed.load() && newest() > after) return true;
    if (ended && marks.durable.load() == durable) {
      commits_->failure.check();
      throw Error(ErrorCode::Closed, "the store is closed");
    }
    auto news = [&] {
      bool over = interrupted() || commits_->closed.load() || commits_->failure.failed();
      return over || marks.durable.load() != durable;
    };
    if (!commits_->followers.wait_until(news, deadline)) return false;
  }
}

}  // namespace azoth
