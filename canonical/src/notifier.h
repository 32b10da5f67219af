// The notifier: runs the callbacks of tickets on a thread of its own, when their commits have reached their level. It
// never leads: asking for a callback makes the syncer lead at once. A slow callback delays other callbacks only.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "azoth/canonical/commit.h"
#include "azoth/core/thread.h"
#include "commit_state.h"
#include "wake_signal.h"

namespace azoth {

class Notifier {
 public:
  explicit Notifier(std::shared_ptr<CommitState> state);
  ~Notifier();

  struct Request {
    CommitInfo info;
    Durability level;
    TicketCallback callback;
  };
  // False when the notifier has ended: the result is final, and the caller runs the callback.
  bool add(Request& request);

  bool is_this_thread() const { return thread_number_.load() == this_thread_number(); }

  // Runs what is ready (when the store closes that is everything) and ends. Not from a callback.
  void stop();

 private:
  void run();
  std::multimap<CommitSeq, Request> take_ready();
  bool nothing_waits();

  const std::shared_ptr<CommitState> state_;
  Signal work_;  // what it sleeps on while nothing waits, so that commits need not wake it
  std::mutex mutex_;
  std::array<std::multimap<CommitSeq, Request>, 4> waiting_;  // by level
  std::atomic<std::uint64_t> added_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> thread_number_{0};
  std::thread thread_;
};

// Calls a callback with how the commit ended. What it throws is logged and goes no further.
void notify(const Notifier::Request& request, const CommitState& state) noexcept;

}  // namespace azoth
