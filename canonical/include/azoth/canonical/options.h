// What can be set when a store is opened. Nothing here changes what is stored; the same store may be opened with
// other options the next time (a smaller map than the data needs is raised to it).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "azoth/core/clock.h"
#include "azoth/core/limits.h"

namespace azoth {

struct Options {
  // Memory. Commits wait in a Delta until it is flushed to LMDB; a larger Delta writes fewer pages per commit and
  // costs memory and recovery time. At most three (one filling, two frozen) are alive: a writer that would exceed
  // 3 * delta_bytes waits, and gets Backpressure on its deadline.
  std::size_t delta_bytes = std::size_t{32} << 20;
  std::chrono::milliseconds delta_age{1000};  // a Delta is flushed when its oldest commit is this old

  // Journal. Segment files are zero-filled ahead. A transaction above half a segment, or above 1,000,000 bytes and
  // above what waits in the Deltas, is a bulk transaction: it goes straight to LMDB, alone, while others wait.
  std::size_t segment_bytes = std::size_t{64} << 20;
  std::chrono::milliseconds sync_interval{10};  // how long a commit that nobody waits for may stay unsynced

  // LMDB. Address space reserved once; the file grows as needed. Lowered when the process may not reserve so much.
  std::size_t map_bytes = std::size_t{1} << 40;
  unsigned max_readers = 1024;  // snapshots alive at once, over all processes; 2 to limits::kMaxReaders

  // Limits of one transaction; exceeding one is an error of its own and changes nothing.
  // The first two can be raised to limits::kMaxRaisedBytes.
  std::size_t max_value_bytes = limits::kDefaultMaxValueBytes;
  std::size_t max_event_bytes = limits::kDefaultMaxEventBytes;  // encoded, without a time of its own
  std::size_t max_transaction_bytes = limits::kDefaultMaxTransactionBytes;

  // Sequences. How many numbers a reservation takes: one commit in so many numbers, and the largest gap that a crash
  // leaves. At least 1.
  std::uint64_t sequence_block = 4096;

  // How long submit() and begin() wait for locks, memory and journal space unless the call says otherwise.
  std::chrono::nanoseconds timeout = std::chrono::seconds{5};

  // Transactions lock their keys by stripes: of so many, 64 bytes each. More of them for transactions with many keys.
  std::size_t stripes = 256;

  // How long command ids are remembered at least; for ever if zero. Older ones are removed little by little, by those
  // who carry out new ones.
  std::chrono::seconds command_retention{0};

  bool verify_reads = true;  // check the checksum of each value and event that is read from LMDB

  Clock* clock = nullptr;  // the system clock if null; must outlive the store
};

}  // namespace azoth
