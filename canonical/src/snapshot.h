// Reading at one commit: LMDB's snapshot, and over it what the live Deltas hold up to that commit.
//
// The order in which a snapshot is put together is what makes it consistent: first the commit number S, then the View,
// then LMDB's transaction and its commit M. Whatever is missing from that View was dropped because LMDB had it, and the
// LMDB transaction began later. If M >= S the snapshot is LMDB alone, at M; else it is LMDB plus the versions and
// events of (M, S].
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "azoth/canonical/read_txn.h"
#include "view.h"

namespace azoth {

// A cursor over what one version map shows at a commit: one entry a key, deletions included.
class VersionCursor {
 public:
  VersionCursor(const VersionMap& map, CommitSeq at) : map_(&map), at_(at) {}

  void seek(std::string_view key);
  void seek_before(std::optional<std::string_view> key);
  void next();
  void previous();

  bool valid() const { return node_ != nullptr; }
  std::string_view key() const { return node_->key(); }
  const VersionMap::Node& node() const { return *node_; }

 private:
  void settle(const VersionMap::Node* node);

  const VersionMap* map_;
  CommitSeq at_;
  const VersionMap::Node* node_ = nullptr;
};

class Snapshot {
 public:
  enum class Reads { AsTheStoreDoes, Verified };

  // `commit` is S, loaded before `view`. Throws Closed if the view has been retired.
  Snapshot(CommitSeq commit, std::shared_ptr<const View> view, Reads reads = Reads::AsTheStoreDoes);

  CommitSeq commit_seq() const { return commit_; }
  EventId last_event() const;
  EventId last_lmdb_event() const;

  std::optional<std::string_view> get(Space space, std::string_view key) const;
  std::optional<EventView> event(EventId id) const;
  std::optional<EventView> lmdb_event(EventId id) const;
  EventId newest_event(std::string_view tag) const;  // that carries the tag; 0 if none does
  Head head() const { return environment_->rows.head(lmdb_); }

  const std::vector<const Delta*>& deltas() const { return deltas_; }  // that count here, newest first
  const LmdbReadTxn& lmdb() const { return lmdb_; }
  const Rows& rows() const { return environment_->rows; }
  bool verify_reads() const { return verify_reads_; }

 private:
  std::shared_ptr<const View> view_;  // keeps the Deltas alive
  std::shared_ptr<Environment> environment_;
  LmdbReadTxn lmdb_;
  CommitSeq commit_;
  bool verify_reads_;
  std::vector<const Delta*> deltas_;
  mutable std::optional<EventId> last_lmdb_event_;
};

std::uint64_t count_keys(const Snapshot& snapshot);

// The same, and the sums of the rows.
struct RowTotals {
  std::uint64_t state_keys = 0;
  RowSums sums = {};
};
RowTotals row_totals_of(const Snapshot& snapshot);

// The rows of the store's own spaces, by space and key.
using EachOwnRow = std::function<void(Space space, std::string_view key, std::string_view value)>;
void for_each_own_row(const Snapshot& snapshot, const EachOwnRow& each);

// State in key order: the newest source that knows a key decides.
class StateCursor {
 public:
  // `own` is laid over the snapshot: the writes of a WriteTxn, at one of its operations.
  StateCursor(const Snapshot& snapshot, KeyRange range, ScanOptions options, std::optional<VersionCursor> own = {});

  bool valid() const { return valid_; }
  StateEntry entry() const { return {key_, value_}; }
  void advance();

 private:
  void start();
  void move_lmdb(bool found);
  void find_next();
  bool out_of_range(std::string_view key) const;

  const Snapshot& snapshot_;
  const KeyRange range_;
  const bool reverse_;
  std::uint64_t left_;
  std::vector<VersionCursor> overlays_;  // newest first
  LmdbCursor lmdb_;
  bool lmdb_valid_ = false;
  bool valid_ = false;
  std::string_view key_;
  std::string_view value_;
};

// The events of one query in id order: LMDB's, then those of the Deltas, oldest first; or all of that backwards.
class QueryCursor {
 public:
  QueryCursor(const Snapshot& snapshot, EventQuery query);

  bool valid() const { return valid_; }
  const EventView& event() const { return event_; }
  void advance();

 private:
  struct Part {
    const Delta* delta;  // null: LMDB
    EventId first;       // inclusive, as is last
    EventId last;
    TagIds ids;             // of the query's first tag, in a Delta
    std::size_t taken = 0;  // of ids, or of the range
  };

  void add_part(const Delta* delta, EventId first, EventId last);
  // These fill event_; false at the part's end.
  bool next_in(Part& part);
  bool next_in_delta(Part& part);
  bool next_in_lmdb(Part& part);

  const Snapshot& snapshot_;
  const EventQuery query_;
  std::uint64_t left_;
  std::vector<Part> parts_;  // in the order in which they are walked
  std::size_t part_ = 0;
  LmdbCursor lmdb_;
  std::string tag_prefix_;
  bool valid_ = false;
  EventView event_;
};

// Events of one query, or forwards those of several, each once.
class EventCursor {
 public:
  EventCursor(const Snapshot& snapshot, EventQuery query) : first_(snapshot, std::move(query)) {}
  EventCursor(const Snapshot& snapshot, const std::vector<EventPattern>& patterns, EventId after);

  bool valid() const { return nearest().valid(); }
  const EventView& event() const { return nearest().event(); }
  void advance();

 private:
  const QueryCursor& nearest() const;

  QueryCursor first_;
  std::list<QueryCursor> others_;
};

}  // namespace azoth
