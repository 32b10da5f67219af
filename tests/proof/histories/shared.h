// What all processes of a run share: memory that is made before they are forked and that outlives each of them.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "lists.h"

namespace azoth::proof::histories {

class Shared {
 public:
  static constexpr Word kLong = 32;  // appends that were tried, then another list takes its place

  Word tick() { return tick_.fetch_add(1); }
  Word next_txn() { return txn_.fetch_add(1); }
  Word ended() const { return ended_.load(); }
  void count_ended() { ++ended_; }

  Wish wish(Word slot, bool append) {
    const Word appends = append ? appends_[slot].fetch_add(1) : appends_[slot].load();
    return {ListId::of(slot, appends / kLong), append ? value_.fetch_add(1) : 0};
  }

  // The life that is to end by itself.
  std::atomic<Word> stopped_life{0};
  std::atomic<Word> backups{0};

 private:
  std::atomic<Word> tick_{1};
  std::atomic<Word> txn_{1};
  std::atomic<Word> value_{1};
  std::atomic<Word> ended_{0};
  std::array<std::atomic<Word>, kSlots> appends_{};
};

struct Unmap {
  void operator()(Shared* shared) const;
};
using SharedMemory = std::unique_ptr<Shared, Unmap>;
SharedMemory map_shared();

}  // namespace azoth::proof::histories
