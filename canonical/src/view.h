// What a reader needs to put a snapshot together: LMDB, and the live Deltas that are not in it yet.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "delta.h"
#include "environment.h"

namespace azoth {

// Immutable; replaced as a whole when a Delta is added or dropped, and by an empty one when the store is closed.
struct View {
  std::shared_ptr<Environment> environment;
  std::vector<std::shared_ptr<const Delta>> deltas;  // newest first
};

// For those who go on reading when the store is closed: what it showed last, and with it LMDB. Ends with them.
struct LastView {
  std::shared_ptr<const View> view;  // set before the holder shows that the store is closed
};

// Where the current View is kept. Shared with those who read and may outlive the store.
class ViewHolder {
 public:
  std::shared_ptr<const View> load() const {
    std::lock_guard lock(mutex_);
    return view_;
  }
  void store(std::shared_ptr<const View> view) {
    std::lock_guard lock(mutex_);
    view_.swap(view);  // the old one ends with the argument, after the lock
  }
  // The store is closed: shows `nothing`.
  void retire(std::shared_ptr<const View> nothing) {
    std::shared_ptr<LastView> last;
    std::lock_guard lock(mutex_);
    last = last_.lock();
    if (last) last->view = view_;
    view_.swap(nothing);
  }
  // Nothing if the store is closed.
  std::shared_ptr<const LastView> keep_last() const {
    std::lock_guard lock(mutex_);
    if (!view_->environment) return nullptr;
    std::shared_ptr<LastView> last = last_.lock();
    if (!last) last_ = last = std::make_shared<LastView>();
    return last;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const View> view_;
  mutable std::weak_ptr<LastView> last_;
};

}  // namespace azoth
