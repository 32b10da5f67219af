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

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const View> view_;
};

}  // namespace azoth
