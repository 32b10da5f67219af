#include "syncer.h"

#include "azoth/core/thread.h"

namespace azoth {

Syncer::Syncer(GroupCommit& group, Signal& signal, CommitState& state, std::chrono::milliseconds interval)
    : group_(group), signal_(signal), state_(state), interval_(interval), thread_(start_thread([this] { run(); })) {}

Syncer::~Syncer() { stop(); }

void Syncer::run() {
  Watermarks& marks = state_.marks;
  auto unsynced = [&] { return marks.applied.load() > marks.durable.load(); };
  auto ended = [&] { return stopping_.load() || state_.failure.failed(); };
  while (true) {
    signal_.sleep_unless([&] { return ended() || unsynced(); }, kNoDeadline);
    if (ended()) return;
    CommitSeq target = marks.applied.load();
    const Deadline due = std::chrono::steady_clock::now() + interval_;
    // The commit that it has seen may have woken it, too, and that be noted still.
    while (!ended() && !group_.demanded() && std::chrono::steady_clock::now() < due) signal_.pause_until(due);
    if (ended()) return;
    try {
      if (group_.demanded()) {
        group_.satisfy_demands();
      } else if (marks.durable.load() < target) {
        group_.sync_in_background();
      }
    } catch (const std::exception&) {
      return;  // the store has failed; its writers are told
    }
  }
}

void Syncer::stop() {
  stopping_.store(true);
  signal_.notify();
  if (thread_.joinable()) thread_.join();
}

}  // namespace azoth
