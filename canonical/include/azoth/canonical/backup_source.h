// What a backup asks of a store: all that it holds at one commit, its own rows included, and the commits between two
// commits as its journal has them.
//
// Made by Store::backup_source(), of a store that is open for writing or for reading only; must end before the store is
// closed. The calls may come from several threads; a ReadTxn is one thread's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "azoth/canonical/read_txn.h"
#include "azoth/canonical/retention.h"
#include "azoth/core/clock.h"
#include "azoth/core/ids.h"
#include "azoth/core/timeline.h"

namespace azoth {

// What a store keeps account of, at one commit.
struct ContentTotals {
  CommitSeq last_commit = 0;
  EventId last_event = 0;
  CommitSeq last_event_commit = 0;  // 0 if there is no event
  Timestamp latest{};               // no commit so far is later
  std::uint64_t state_rows = 0;
  // Sums of the rows' checksums (docs/format.md, "LMDB"): whatever is added, changed or removed changes them.
  std::uint64_t state_sum = 0;
  std::uint64_t events_sum = 0;
  std::optional<EventId> sealed_event = {};

  friend bool operator==(const ContentTotals&, const ContentTotals&) = default;
};

class BackupSource {
 public:
  virtual ~BackupSource() = default;

  virtual Uuid store_id() const = 0;
  virtual Timestamp created() const = 0;
  virtual Lineage lineage() const = 0;

  // Looks at all pages of LMDB, as verify does. Throws Corruption if they are not whole: whoever reads them nevertheless
  // may not survive it.
  virtual void check_pages() = 0;

  struct Content {
    ContentTotals totals;
    std::vector<ReadTxn> readers;  // of this one commit; whatever they read is verified against its checksum
  };
  // So many snapshots of one durable commit, which has everything that was acknowledged as Durable before the call. As
  // long as one lives, LMDB grows by what is written meanwhile: end them soon.
  virtual Content content(std::size_t readers) = 0;
  // One snapshot of the same kind, without waiting until LMDB has everything: as good for a diff, and sooner there.
  // What `totals` says of `latest` does not count.
  virtual Content recent_content() = 0;
  // Throws NoSpace when what snapshots keep has brought LMDB near its limit, so that a long backup ends before writers
  // are refused.
  virtual void check_space() = 0;

  // What a row of the state, or an event, adds to the sums in `totals`. A row that was taken back to what it once was
  // is right by itself; who has read them all compares the sums.
  virtual std::uint32_t checksum(std::string_view key, std::string_view value) const = 0;
  virtual std::uint32_t checksum(const EventView& event) const = 0;

  // The store's own rows in one of the readers: by space, then by key. Spaces: docs/format.md, "Record". With
  // `sealed_at` they are as if the store were sealed at this event. Throws Corruption behind the last of them if they
  // are not those that were written last.
  using EachOwnRow = std::function<void(std::uint8_t space, std::string_view key, std::string_view value)>;
  virtual void for_each_own_row(const ReadTxn& reader, std::optional<EventId> sealed_at,
                                const EachOwnRow& each) const = 0;

  // The commits (after, through], whole and in order, as records (commit_record.h). A bulk transaction's record comes
  // in several pieces, of which the first has what facts are read from. `reader` is a snapshot with commit `through`;
  // `after_event` the last event of `after`. Throws NotFound if the journal does not reach back to `after`, Corruption,
  // naming the file, if it is damaged there: then only a full snapshot brings these commits.
  using EachPiece = std::function<void(std::string_view bytes, bool last_of_record)>;
  virtual void for_each_commit(const ReadTxn& reader, CommitSeq after, EventId after_event, CommitSeq through,
                               const EachPiece& each) = 0;

  // The commit through which LMDB holds everything: what a set that is new registers with.
  virtual CommitSeq flushed_commit() = 0;
  virtual Retention& retention() = 0;
};

}  // namespace azoth
