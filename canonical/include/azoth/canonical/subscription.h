// A Subscription delivers the commits that have events, in order, each once, from an event id on and then live: past
// ones first, then each as it becomes durable. Nothing that could still be taken back is delivered, and nothing is
// missed, however slow the subscriber is; a slow one holds up nobody, because it reads at its own pace from short
// snapshots and nothing is queued for it. There is no polling: next() sleeps until there is something.
//
// One thread calls next(); stop() may be called from any. To resume later, subscribe again from position(). It may
// outlive the store, and goes on to deliver what was durable when the store was closed. Until next() has said Closed
// or has answered a stop(), or it is destroyed, reopening the store in this process fails with StillRead, as with a snapshot.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "azoth/core/clock.h"
#include "azoth/core/event.h"
#include "azoth/core/ids.h"

namespace azoth {

// One commit and its events. Owns what the events show.
class CommittedEvents {
 public:
  CommitSeq commit_seq() const { return events_.front().commit_seq(); }
  Timestamp time() const { return events_.front().commit_time(); }
  const std::vector<EventView>& events() const { return events_; }  // at least one

 private:
  friend class Subscription;
  std::vector<EventView> events_;
  std::vector<std::unique_ptr<std::string>> bodies_;
  bool complete_ = false;  // all of its events are here
};

struct SubscriptionState;  // canonical/src/subscription.cc
class ViewHolder;
struct CommitState;

class Subscription {
 public:
  Subscription(Subscription&&) noexcept;
  Subscription& operator=(Subscription&&) noexcept;
  ~Subscription();

  // The next commit; nothing after stop() or when the timeout is over. Throws Closed when the store is closed and all
  // that was durable has been delivered, Corruption if an event cannot be read; StoreFailed if the store that was opened
  // for reading only was moved, removed, replaced or repaired.
  std::optional<CommittedEvents> next();
  std::optional<CommittedEvents> next(std::chrono::nanoseconds timeout);

  void stop();               // next() answers nothing from now on
  EventId position() const;  // the last event delivered

 private:
  friend class Store;
  explicit Subscription(std::unique_ptr<SubscriptionState> state);
  std::optional<CommittedEvents> next_until(Deadline deadline);
  void refill();
  void read_slice();

  std::unique_ptr<SubscriptionState> state_;
};

}  // namespace azoth
