// A batch: the commits that one write of the journal makes safe together.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "delta.h"

namespace azoth {

class Batch {
 public:
  // Waiting: for a leader to write it. The others are final; what is Written becomes durable later, with the durable
  // mark.
  enum State : std::uint32_t { Waiting, Written, Durable, Failed };
  static constexpr std::uint32_t kStates = 4;

  State state() const { return static_cast<State>(word.load(std::memory_order_acquire) % kStates); }
  bool complete() const { return state() != Waiting; }

  // Filled by the sequencer, under its mutex, until the batch is taken.
  CommitSeq first_commit = 0;
  CommitSeq last_commit = 0;
  std::uint64_t bytes = 0;     // with the batch header
  bool starts_segment = false;
  bool wants_durable = false;  // someone asked for Durable before it was taken
  const CommitEntry* first_entry = nullptr;
  CommitEntry* last_entry = nullptr;
  std::shared_ptr<Batch> next;  // in the queue

  // What the waiters sleep on: kStates * the number of times the lead was offered to them + the state.
  std::atomic<std::uint32_t> word{Waiting};
  std::atomic<std::uint32_t> waiters{0};
};

}  // namespace azoth
