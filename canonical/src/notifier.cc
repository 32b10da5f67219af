#include "notifier.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "azoth/core/log.h"
#include "azoth/core/thread.h"

namespace azoth {

void notify(const Notifier::Request& request, const CommitState& state) noexcept {
  try {
    if (state.marks.reached(request.info.commit_seq, request.level)) {
      request.callback(request.info, nullptr);
    } else {
      Error error = state.failure.error().with_unknown_outcome();
      request.callback(request.info, &error);
    }
  } catch (const std::exception& error) {
    log(LogLevel::Error, "a commit callback threw: ", error.what());
  } catch (...) {
    log(LogLevel::Error, "a commit callback threw something that is no exception");
  }
}

Notifier::Notifier(std::shared_ptr<CommitState> state) : state_(std::move(state)), thread_(start_thread([this] { run(); })) {}

Notifier::~Notifier() { stop(); }

bool Notifier::add(Request& request) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_.load()) return false;
    waiting_.at(static_cast<std::size_t>(request.level)).emplace(request.info.commit_seq, std::move(request));
  }
  added_.fetch_add(1);
  work_.notify_if_asleep();
  state_->followers.announce();
  return true;
}

// In commit order, whatever the levels: the strongest first, so that its mark is never ahead of the ones that are read
// after it, and a commit is not passed over whose successor is taken.
// Takes no memory: what is ready moves from one map to the other.
std::multimap<CommitSeq, Notifier::Request> Notifier::take_ready() {
  std::multimap<CommitSeq, Request> taken;
  std::lock_guard lock(mutex_);
  bool failed = state_->failure.failed();
  for (std::size_t level = waiting_.size(); level-- > 0;) {
    auto& waiting = waiting_[level];
    CommitSeq mark = state_->marks.of(static_cast<Durability>(level));
    auto end = failed ? waiting.end() : waiting.upper_bound(mark);
    while (waiting.begin() != end) taken.insert(waiting.extract(waiting.begin()));  // behind those of the same commit
  }
  return taken;
}

bool Notifier::nothing_waits() {
  std::lock_guard lock(mutex_);
  return std::all_of(waiting_.begin(), waiting_.end(), [](const auto& level) { return level.empty(); });
}

void Notifier::run() {
  thread_number_.store(this_thread_number());
  while (true) {
    std::uint64_t added = added_.load();
    bool stopping = stopping_.load();
    CommitSeq visible = state_->marks.visible.load();
    CommitSeq durable = state_->marks.durable.load();
    for (const auto& [commit, request] : take_ready()) notify(request, *state_);
    if (stopping) return;
    auto asked = [&] { return added_.load() != added || stopping_.load(); };
    if (nothing_waits()) {
      work_.sleep_unless(asked, kNoDeadline);
      continue;
    }
    auto news = [&] {
      bool moved = state_->marks.visible.load() != visible || state_->marks.durable.load() != durable;
      return moved || asked() || state_->failure.failed();
    };
    state_->followers.wait_until(news, kNoDeadline);
  }
}

void Notifier::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_.store(true);
  }
  work_.notify();
  state_->followers.announce();
  if (thread_.joinable()) thread_.join();
}

}  // namespace azoth
