// Where a projection's events come from: a log that only grows, seen through what a power cut cannot take back.
//
// All members may be called from any thread. They throw Closed when the log is closed, StoreFailed when it was cut or
// replaced under the source, Corruption if an event cannot be read.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "azoth/core/clock.h"
#include "azoth/core/event.h"
#include "azoth/core/ids.h"
#include "azoth/core/timeline.h"

namespace azoth {

// Events copied out of the log, so that no snapshot outlives the call that read them. Filling it again reuses its
// memory.
class EventSlice {
 public:
  void clear();
  void add(const EventView& event);

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::size_t bytes() const { return bytes_.size(); }  // of the events' bodies
  // Valid until the slice is changed.
  EventView operator[](std::size_t index) const;

 private:
  struct Entry {
    EventId id;
    CommitSeq commit_seq;
    Timestamp commit_time;
    std::size_t offset;
    std::size_t size;
  };
  std::vector<Entry> entries_;
  std::string bytes_;
};

// A slice ends with the event that reaches one of these; it has at least one event if there is one.
struct SliceLimits {
  std::size_t events = std::numeric_limits<std::size_t>::max();
  std::size_t bytes = std::numeric_limits<std::size_t>::max();
  EventId to = std::numeric_limits<EventId>::max();  // inclusive
};

class EventSource {
 public:
  virtual ~EventSource() = default;

  virtual Uuid store_id() = 0;
  virtual Lineage lineage() = 0;  // the timeline it is on, then its ancestors

  // The newest durable event, as far as the source knows; 0 if there is none.
  virtual EventId newest() = 0;
  // Looks for what came since: from then on the source knows every event that was durable before the call. For sources
  // that are not told of it, such as a log that another process writes.
  virtual void refresh() {}
  // The last event there will be, if the log is sealed.
  virtual std::optional<EventId> sealed() = 0;

  // The events after this one, in order and without gaps, from the place of the first one: what it costs does not
  // depend on how long the log is.
  virtual void read(EventId after, const SliceLimits& limits, EventSlice& into) = 0;

  // Sleeps until there is an event after this one (true), or until the deadline, or until `interrupted` says so
  // (false). Looks at `interrupted` when it begins and after each wake(); it must be quick, lock nothing, and read only
  // atomics that were stored, sequentially consistent, before wake().
  virtual bool wait(EventId after, Deadline deadline, const std::function<bool()>& interrupted) = 0;
  virtual void wake() = 0;
};

// What of an event tells it from another one of the same number: a checksum over all that it says.
std::uint64_t checksum_of(const EventView& event);

}  // namespace azoth
