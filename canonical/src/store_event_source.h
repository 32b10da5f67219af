// The store's log as an EventSource: events up to the durable mark, from short snapshots.
//
// It holds what a subscription holds, and not the environment: it may outlive the store, and then says Closed, and a
// source that nobody reads from keeps nobody from reopening the store.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "azoth/core/event_source.h"
#include "commit_state.h"
#include "segment.h"
#include "view.h"

namespace azoth {

class StoreEventSource : public EventSource {
 public:
  StoreEventSource(std::shared_ptr<CommitState> commits, std::shared_ptr<const ViewHolder> views,
                   const JournalIdentity& identity, std::function<void()> refresh = {})
      : commits_(std::move(commits)),
        views_(std::move(views)),
        store_id_(identity.store_id),
        lineage_(identity.lineage),
        refresh_(std::move(refresh)) {}

  Uuid store_id() override { return store_id_; }
  Lineage lineage() override { return lineage_; }
  EventId newest() override;
  void refresh() override {
    if (refresh_) refresh_();
  }
  std::optional<EventId> sealed() override;
  void read(EventId after, const SliceLimits& limits, EventSlice& into) override;
  bool wait(EventId after, Deadline deadline, const std::function<bool()>& interrupted) override;
  void wake() override { commits_->followers.announce(); }

 private:
  const std::shared_ptr<CommitState> commits_;
  const std::shared_ptr<const ViewHolder> views_;
  const Uuid store_id_;
  const Lineage lineage_;
  const std::function<void()> refresh_;  // of a store that is not told of what is written
};

}  // namespace azoth
