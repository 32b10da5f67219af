#include "subscription.h"

#include <utility>

#include "azoth/core/error.h"
#include "snapshot.h"

namespace azoth {

namespace {

// A slice that is read at once, so that no snapshot is held for long: at least one commit, and others up to this.
constexpr std::size_t kSliceBytes = std::size_t{256} << 10;

}  // namespace

std::unique_ptr<SubscriptionState> make_subscription(std::shared_ptr<CommitState> commits,
                                                     std::shared_ptr<const ViewHolder> views, EventId after) {
  auto state = std::make_unique<SubscriptionState>();
  state->commits = std::move(commits);
  state->last = views->keep_last();
  if (!state->last) throw Error(ErrorCode::Closed, "the store is closed");
  state->views = std::move(views);
  state->read_through = after;
  state->delivered = after;
  return state;
}

Subscription::Subscription(std::unique_ptr<SubscriptionState> state) : state_(std::move(state)) {}
Subscription::Subscription(Subscription&&) noexcept = default;
Subscription& Subscription::operator=(Subscription&&) noexcept = default;
Subscription::~Subscription() = default;

EventId Subscription::position() const { return state_->delivered; }

void Subscription::stop() {
  state_->stopped.store(true);
  state_->commits->followers.announce();
}

std::optional<CommittedEvents> Subscription::next() { return next_until(kNoDeadline); }

std::optional<CommittedEvents> Subscription::next(std::chrono::nanoseconds timeout) {
  return next_until(deadline_after(timeout));
}

std::optional<CommittedEvents> Subscription::next_until(Deadline deadline) {
  const Watermarks& marks = state_->commits->marks;
  while (!state_->stopped.load()) {
    CommitSeq durable = marks.durable.load();
    if (state_->ready.empty()) refill();
    if (!state_->ready.empty()) {
      CommittedEvents commit = std::move(state_->ready.front());
      state_->ready.pop_front();
      state_->delivered = commit.events().back().id();
      return commit;
    }
    const CommitState& commits = *state_->commits;
    bool ended = commits.closed.load() || commits.failure.failed();
    if (ended && marks.durable.load() == durable) {
      state_->last.reset();
      commits.failure.check();
      throw Error(ErrorCode::Closed, "the store is closed");
    }
    auto news = [&] {
      bool over = state_->stopped.load() || commits.closed.load() || commits.failure.failed();
      return over || marks.durable.load() != durable;
    };
    if (!state_->commits->followers.wait_until(news, deadline)) return std::nullopt;
  }
  state_->last.reset();
  return std::nullopt;
}

// The next slice. What cannot be read is thrown when everything before it has been delivered.
void Subscription::refill() {
  if (!state_->last) return;
  try {
    read_slice();
  } catch (...) {
    if (!state_->ready.empty() && !state_->ready.back().complete_) state_->ready.pop_back();
    state_->read_through = state_->ready.empty() ? state_->delivered : state_->ready.back().events().back().id();
    if (state_->ready.empty()) throw;
  }
}

// Copies it out of a snapshot at the durable mark, whole commits only.
void Subscription::read_slice() {
  CommitSeq durable = state_->commits->marks.durable.load();
  std::shared_ptr<const View> view = state_->views->load();
  if (!view->environment) view = state_->last->view;
  Snapshot snapshot(durable, std::move(view));
  std::size_t bytes = 0;
  for (EventCursor cursor(snapshot, {.after = state_->read_through}); cursor.valid(); cursor.advance()) {
    const EventView& event = cursor.event();
    bool new_commit = state_->ready.empty() || state_->ready.back().commit_seq() != event.commit_seq();
    if (new_commit && !state_->ready.empty()) state_->ready.back().complete_ = true;
    if (new_commit && bytes >= kSliceBytes) return;
    if (new_commit) state_->ready.emplace_back();
    CommittedEvents& commit = state_->ready.back();
    commit.bodies_.push_back(std::make_unique<std::string>(event.body()));
    commit.events_.emplace_back(event.id(), event.commit_seq(), event.commit_time(), *commit.bodies_.back());
    bytes += event.body().size();
    state_->read_through = event.id();
  }
  if (!state_->ready.empty()) state_->ready.back().complete_ = true;
}

}  // namespace azoth
