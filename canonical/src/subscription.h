// What a Subscription works with: the marks to wait on and the views to read from, both of which outlive the store.
#pragma once

#include <atomic>
#include <deque>
#include <memory>

#include "azoth/canonical/subscription.h"
#include "commit_state.h"
#include "view.h"

namespace azoth {

struct SubscriptionState {
  std::shared_ptr<CommitState> commits;
  std::shared_ptr<const ViewHolder> views;
  std::shared_ptr<const LastView> last;  // until everything was delivered that there will ever be
  std::deque<CommittedEvents> ready;
  EventId read_through = 0;  // of which everything is in `ready` or was delivered
  EventId delivered = 0;
  std::atomic<bool> stopped{false};
};

std::unique_ptr<SubscriptionState> make_subscription(std::shared_ptr<CommitState> commits,
                                                     std::shared_ptr<const ViewHolder> views, EventId after);

}  // namespace azoth
