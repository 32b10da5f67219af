// What LMDB keeps of a bulk transaction besides its effects: its record without its events, which the log has. The
// journal has no copy of it, and whoever wants the history of commits (a differential snapshot) needs one. It is kept
// as long as the journal around it.
//
// In pieces, so that no row needs more pages in a row than LMDB finds easily.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "lmdb_tables.h"

namespace azoth {

void put_bulk_record(LmdbWriteTxn& txn, const Rows& rows, std::string_view record);

// Those of commits before this one.
void drop_bulk_records(LmdbWriteTxn& txn, CommitSeq before);

struct BulkPiece {
  CommitSeq commit;
  std::uint64_t number;  // from 0

  friend bool operator==(const BulkPiece&, const BulkPiece&) = default;
};
// Which piece a row of `system` is, if it is one.
std::optional<BulkPiece> bulk_piece(std::string_view system_key);

// A record whose header counts the events that it does not hold; nothing if the commit was no bulk transaction, or the
// journal has gone on.
bool was_bulk(const LmdbReadTxn& txn, CommitSeq commit);
// The last commit up to `commit` that was none.
CommitSeq last_not_bulk(const LmdbReadTxn& txn, CommitSeq commit);
std::optional<std::string> bulk_record(const LmdbReadTxn& txn, const Rows& rows, CommitSeq commit);
// The same, piece by piece; the first one has the whole header.
void for_each_bulk_piece(const LmdbReadTxn& txn, const Rows& rows, CommitSeq commit,
                         const std::function<void(std::string_view)>& each);

}  // namespace azoth
