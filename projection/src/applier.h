// Brings a projection's file forward by one batch: events, their effects, dead letters and cursor in one transaction.
//
// The usual batch takes no precautions. If something in it fails, all of it is undone and the same events are gone
// through again with more care: a savepoint for each event, so that the one to blame loses none of its neighbours; and,
// if what failed took the whole transaction with it (the batch hook, a constraint that is checked at the commit, a
// ROLLBACK inside of a statement), one event a transaction.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "azoth/core/event_source.h"
#include "azoth/projection/projector.h"
#include "projection_file.h"

namespace azoth {

// The event that a projection stands in front of.
struct Obstacle {
  EventId event = 0;
  std::string type;
  std::uint32_t attempts = 0;
  std::string error;
};

struct BatchResult {
  RunReport report;
  std::optional<Obstacle> obstacle;  // it has failed once more, and is not passed over
};

class Applier {
 public:
  Applier(const Projection& projection, ProjectionFile& file, EventSource& source, Clock& clock, Pacer& pacer);

  const Cursor& cursor() const { return cursor_; }  // as committed

  // Events up to `to`. Throws what is wrong with the database or the source; nothing was changed then.
  BatchResult apply_batch(EventId to);

  void reload_cursor() { cursor_ = file_.cursor(); }

  // The dead letter's effects and its removal, in one transaction; its error if it has failed again, which is noted.
  std::optional<std::string> retry(const DeadLetter& letter);

 private:
  enum class Care { Batch, Savepoints, SingleEvents };
  struct Failure {  // of an event, not of the database
    EventId event;  // 0: not known which
    std::string error;
  };

  Deadline end_of_batch() const;
  void attempt(EventId to, Care care, BatchResult& result);
  bool apply_event(const EventView& event, Care care, BatchResult& result);
  void pass_single(const Failure& failure, BatchResult& result);
  bool pass_over(const EventView& event, const std::string& error, BatchResult& result);
  void run_handlers(const EventView& event);
  void run_hook();
  template <class Call>
  void run_user_code(EventId event, Call call);
  void commit(SqlTransaction& transaction, const Cursor& cursor);
  const std::vector<const Projection::Handler*>& handlers_for(std::string_view type);
  EventView event_at(EventId id) const { return slice_[static_cast<std::size_t>(id - slice_[0].id())]; }
  EventId last_in_slice() const { return slice_.empty() ? 0 : slice_[slice_.size() - 1].id(); }
  void refill(EventId to);
  void check_slice() const;
  void take_more_care(const Failure& failure);

  const Projection& projection_;
  ProjectionFile& file_;
  EventSource& source_;
  Clock& clock_;
  Pacer& pacer_;
  Cursor cursor_;
  EventSlice slice_;  // of which events behind the cursor may be left
  struct TypeHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view type) const { return std::hash<std::string_view>{}(type); }
  };
  std::unordered_map<std::string, std::vector<const Projection::Handler*>, TypeHash, std::equal_to<>> handlers_;
  Care care_ = Care::Batch;
  EventId careful_through_ = 0;
  Failure known_{};    // what was met with less care: it is not tried again to meet it with more
  Obstacle obstacle_;  // with its failed attempts so far
};

}  // namespace azoth
