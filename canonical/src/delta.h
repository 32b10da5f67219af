// A Delta holds the commits that are not in LMDB yet: the versions of keys, the events, their tags. It is filled by the
// sequencer, read by everyone without locks, frozen (that is: followed by a new one), flushed, and dropped when the last
// snapshot that needs it is gone.
//
// INVARIANTS. Commits enter in order without a gap. A reader at commit S sees exactly the versions and events of
// commits <= S, however far the inserter is, because everything of a commit is inserted before the sequencer publishes
// its number. All memory, the records included, lives as long as the Delta: versions and events point into records.
//
// Thread safety: insert() under the sequencer's mutex; everything const from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "append_list.h"
#include "arena.h"
#include "azoth/core/event.h"
#include "record.h"
#include "tag_index.h"
#include "version_map.h"

namespace azoth {

// One commit in a Delta. Batches are chains of these.
struct CommitEntry {
  std::string record;
  RecordHeader header;
  CommitEntry* older = nullptr;                // in its Delta
  const CommitEntry* next_in_batch = nullptr;  // guarded by the sequencer's mutex until the batch is taken
};

class Delta {
 public:
  // For commits from `first_commit` on, of which the first event will be `first_event`; of about so many bytes when it
  // is full.
  Delta(CommitSeq first_commit, EventId first_event, std::size_t full_bytes = std::size_t{32} << 20);
  ~Delta();
  Delta(const Delta&) = delete;
  Delta& operator=(const Delta&) = delete;

  // Takes a sealed record whose commit follows the last one. If it throws, the Delta must not be used for later commits.
  CommitEntry* insert(std::string record);

  CommitSeq first_commit() const { return first_commit_; }
  // Of the last commit inserted; exact for the inserter and once frozen.
  CommitSeq last_commit() const { return last_commit_.load(std::memory_order_acquire); }
  bool empty() const { return last_commit() < first_commit_; }

  EventId first_event() const { return first_event_; }
  Timestamp latest() const { return latest_; }  // no commit is later; the inserter's, and exact once frozen
  // The newest event of the commits up to `commit`; first_event() - 1 if they have none here.
  EventId last_event(CommitSeq commit) const;
  // An event of this Delta, by id.
  EventView event(EventId id) const;

  // As it was inserted last; for the inserter.
  std::string_view newest_record() const { return newest_->record; }

  const VersionMap& versions() const { return versions_; }
  const TagIndex& tags() const { return tags_; }

  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  std::size_t rows() const { return versions_.size() + tags_.entries(); }  // the inserter's

 private:
  struct EventRef {
    const CommitEntry* commit;
    const char* body;
    std::uint32_t size;
  };

  const CommitSeq first_commit_;
  const EventId first_event_;
  Arena arena_;
  VersionMap versions_;
  TagIndex tags_;
  AppendList<EventRef> events_{arena_};
  CommitEntry* newest_ = nullptr;
  Timestamp latest_ = Timestamp::min();
  std::size_t record_bytes_ = 0;
  std::atomic<CommitSeq> last_commit_;
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace azoth
