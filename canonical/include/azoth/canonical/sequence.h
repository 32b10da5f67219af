// Named sequences: numbers from 0, strictly increasing, each handed out once, whoever asks and however often the store
// is opened. They are no part of the state: scans, exports and digests do not show them.
//
//   std::uint64_t invoice = store.next_sequence("invoice");        // 0, 1, 2, ...
//   std::uint64_t first = store.next_sequence("invoice", 100);     // this one and the 99 behind it
//
// A number is taken from a block (Options::sequence_block) that a commit of its own has reserved, so most calls write
// nothing. The commit is no part of any transaction: a transaction that is rejected, aborted or lost gives no number
// back. Sealing, pausing and closing return what is left of a block, so only a crash leaves a gap, of less than a
// block. Giving up commits (a repair that accepts a loss, a restore to an earlier point) gives up their reservations,
// too: the numbers are then handed out again.
//
// A name has 1 to 128 bytes. A sequence begins to exist with its first number, ends at 18,446,744,073,709,551,614
// (SequenceExhausted behind that), and is never removed.
#pragma once

#include <cstdint>
#include <string>

namespace azoth {

struct SequenceInfo {
  std::string name;
  std::uint64_t next = 0;  // the number that will be handed out next
};

}  // namespace azoth
