// A log in memory: what a projection's tests feed it with.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/error.h"
#include "azoth/core/event_source.h"

namespace azoth::test {

class MemorySource : public EventSource {
 public:
  Timestamp time{std::chrono::seconds{1'700'000'000}};  // of the next event's commit

  EventId append(std::string_view type, std::string_view payload) {
    std::lock_guard lock(mutex_);
    std::string body;
    event_codec::append(body, {.type = type, .tags = {}, .payload = payload});
    bodies_.push_back(std::move(body));
    times_.push_back(time);
    changed_.notify_all();
    return bodies_.size();
  }
  void cut(EventId last) {
    std::lock_guard lock(mutex_);
    bodies_.resize(last);
    times_.resize(last);
  }
  void seal() {
    std::lock_guard lock(mutex_);
    sealed_ = bodies_.size();
  }
  // Until refresh() it knows only what is up to this event.
  void lag(EventId last) {
    std::lock_guard lock(mutex_);
    lag_ = last;
  }
  void hide(EventId id) { hidden_ = id; }
  // One read meets damage in the log, after so many that do not.
  void damage_read(int skip = 0) { damaged_in_ = skip + 1; }
  // The next read, when it has filled the slice; the next wait.
  void fail_read_behind(std::function<void()> failure) { read_failure_ = std::move(failure); }
  void fail_wait(std::function<void()> failure) { wait_failure_ = std::move(failure); }
  void set_store(const Uuid& id) { store_id_ = id; }
  // A new timeline that shares with the present one what is up to this event (each event is a commit of its own).
  void fork(EventId last) { lineage_.insert(lineage_.begin(), Timeline{Uuid::random(), lineage_.front().id, last}); }
  void set_lineage(Lineage lineage) { lineage_ = std::move(lineage); }

  Uuid store_id() override { return store_id_; }
  Lineage lineage() override { return lineage_; }
  EventId newest() override {
    std::lock_guard lock(mutex_);
    return known();
  }
  void refresh() override {
    std::lock_guard lock(mutex_);
    lag_.reset();
  }
  std::optional<EventId> sealed() override {
    std::lock_guard lock(mutex_);
    return sealed_;
  }
  void read(EventId after, const SliceLimits& limits, EventSlice& into) override {
    std::lock_guard lock(mutex_);
    if (damaged_in_ > 0 && --damaged_in_ == 0) throw Error(ErrorCode::Corruption, "the log is damaged");
    into.clear();
    for (EventId id = after + 1; id <= std::min(known(), limits.to); ++id) {
      if (id != hidden_) into.add({id, id, times_[id - 1], bodies_[id - 1]});
      if (into.size() >= limits.events || into.bytes() >= limits.bytes) break;
    }
    if (auto failure = std::exchange(read_failure_, nullptr)) failure();
  }
  bool wait(EventId after, Deadline deadline, const std::function<bool()>& interrupted) override {
    std::unique_lock lock(mutex_);
    auto over = [&] { return interrupted() || known() > after; };
    ++waits_;
    if (auto failure = std::exchange(wait_failure_, nullptr)) failure();
    if (deadline == kNoDeadline) {
      changed_.wait(lock, over);
    } else {
      changed_.wait_until(lock, deadline, over);
    }
    return known() > after;
  }
  // How often somebody has begun to wait.
  int waits() {
    std::lock_guard lock(mutex_);
    return waits_;
  }
  void wake() override {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

 private:
  EventId known() const { return std::min<EventId>(bodies_.size(), lag_.value_or(bodies_.size())); }

  std::mutex mutex_;
  std::condition_variable changed_;
  Uuid store_id_ = Uuid::random();
  Lineage lineage_ = {{.id = Uuid::random()}};
  std::vector<std::string> bodies_;
  std::vector<Timestamp> times_;
  std::optional<EventId> sealed_;
  int waits_ = 0;
  std::optional<EventId> lag_;
  std::atomic<EventId> hidden_{0};
  std::atomic<int> damaged_in_{0};
  std::function<void()> read_failure_;
  std::function<void()> wait_failure_;
};

}  // namespace azoth::test
