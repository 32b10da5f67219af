// The syncer: a store whose clients do not wait makes progress, too. A thread that leads when commits have waited for
// Options::sync_interval, so that this bounds how long a Written or Applied commit stays unsynced. It sleeps for good
// when everything is durable.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "commit_state.h"
#include "group_commit.h"
#include "wake_signal.h"

namespace azoth {

class Syncer {
 public:
  Syncer(GroupCommit& group, Signal& signal, CommitState& state, std::chrono::milliseconds interval);
  ~Syncer();

  void stop();

 private:
  void run();

  GroupCommit& group_;
  Signal& signal_;
  CommitState& state_;
  const std::chrono::milliseconds interval_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace azoth
