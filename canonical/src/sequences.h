// Named sequences: the allocator, and how a sequence is stored.
//
// INVARIANT. A number is handed out only behind the commit that reserved its block, so a store that has whatever rests
// on the number has the reservation, too. Ranges are contiguous, also across blocks, since a block begins where the one
// before it ends.
//
// Locks. Each sequence has a mutex of its own, held while its block is reserved: behind the transaction lock and the
// stripes, before the sequencer mutex. All that is waited for under it is journal room and the end of a bulk
// transaction, and neither needs it. Those who shut the gate do so first and then take each sequence's mutex to return
// its rest; the gate is checked under that mutex, so nothing is reserved behind a rest that has been returned.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "azoth/canonical/durability.h"
#include "azoth/canonical/sequence.h"
#include "azoth/core/clock.h"
#include "azoth/core/ids.h"

namespace azoth {

class Snapshot;
class WriteSet;

// What a sequence's row holds: the numbers from `base` on, `size` of them, are reserved, and all before them.
struct SequenceBlock {
  std::uint64_t base = 0;
  std::uint64_t size = 0;

  std::uint64_t end() const { return base + size; }
};

void check_sequence_name(std::string_view name);  // throws InvalidArgument

std::string encode_block(const SequenceBlock& block);
SequenceBlock decode_block(std::string_view name, std::string_view row);  // throws Corruption

// What a snapshot says. In a store that is being written to, or was left by a crash, `next` is the end of a block.
std::optional<SequenceBlock> stored_block(const Snapshot& snapshot, std::string_view name);
std::vector<SequenceInfo> stored_sequences(const Snapshot& snapshot);

// std::timed_mutex, but that the thread sanitizer sees how it waits.
class PatientMutex {
 public:
  void lock() { (void)try_lock_until(kNoDeadline); }
  bool try_lock_until(Deadline deadline) {
    std::unique_lock hold(mutex_);
    const auto is_free = [this] { return !taken_; };
    if (deadline == kNoDeadline) {
      freed_.wait(hold, is_free);
    } else if (!freed_.wait_until(hold, deadline, is_free)) {
      return false;
    }
    taken_ = true;
    return true;
  }
  void unlock() {
    std::lock_guard hold(mutex_);
    taken_ = false;
    freed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  bool taken_ = false;
};

class Sequences {
 public:
  // What it stands on. Each may throw, and then nothing has changed.
  struct Backing {
    std::function<void()> check;  // whether numbers may be handed out now
    std::function<std::optional<SequenceBlock>(std::string_view name)> load;
    std::function<CommitSeq(std::string_view name, const SequenceBlock& block, Durability level, Deadline deadline)>
        reserve;  // sequences the commit, without waiting for it
  };

  struct Range {
    std::uint64_t first = 0;
    CommitSeq reserved_by = 0;  // safe when this commit is; 0 if it was before the store was opened
  };

  Sequences(std::uint64_t block_size, Backing backing) : block_size_(block_size), backing_(std::move(backing)) {}

  // The numbers [first, first + n); for 0 the next number, and nothing changes. Level and deadline are the
  // reservation's, if there is need of one.
  Range allocate(std::string_view name, std::uint64_t n, Durability level, Deadline deadline);

  // The next number, if the sequence has been used since the store was opened.
  std::optional<std::uint64_t> peek(std::string_view name) const;

  // Gives up the rest of every block, and adds to `set` what makes that last: for those who have shut the gate. At most
  // as many as a transaction may have operations. When the set has been sequenced, rests_returned() notes it; if it
  // cannot be, the next call adds it again.
  void return_rests(WriteSet& set);
  void rests_returned() noexcept;

  // From now on nothing is handed out: Closed.
  void close() { closed_.store(true); }

 private:
  struct Sequence {
    PatientMutex mutex;  // everything below
    bool loaded = false;
    std::uint64_t next = 0;
    std::uint64_t end = 0;       // of the block
    std::uint64_t recorded = 0;  // where the block ends that the row holds
    bool returning = false;
    CommitSeq reserved_by = 0;
  };

  void check() const;
  Sequence* find(std::string_view name) const;
  Sequence& find_or_make(std::string_view name);
  void load(std::string_view name, Sequence& sequence) const;
  void reserve(std::string_view name, Sequence& sequence, std::uint64_t n, Durability level, Deadline deadline) const;
  std::vector<std::pair<std::string_view, Sequence*>> all() const;

  const std::uint64_t block_size_;
  const Backing backing_;
  std::atomic<bool> closed_{false};
  mutable std::mutex mutex_;  // the map, and not what is in it, which stays where it is
  std::map<std::string, std::unique_ptr<Sequence>, std::less<>> sequences_;
};

}  // namespace azoth
