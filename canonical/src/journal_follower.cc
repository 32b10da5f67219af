#include "journal_follower.h"

#include <cstdint>

#include "recovery.h"

namespace azoth {

void JournalFollower::start(CommitSeq lmdb_commit, const EachRecord& each) {
  segment_.reset();
  JournalFiles files = list_journal(*fs_, directory_, identity_);
  ReplayPlan plan = plan_recovery(*fs_, directory_, identity_, files, lmdb_commit, std::nullopt);
  sync_plan(*fs_, directory_, plan);
  replay(*fs_, directory_, identity_, plan, lmdb_commit, each);
  tail_ = plan.tail;
  segment_ = std::make_unique<SegmentReader>(*fs_, directory_, identity_, tail_.segment_number);
}

// A batch without records stands for a bulk transaction: nothing that comes behind it fits on what is before it. Where
// a segment begins that was not there at the first look the rest is left for later: a writer that is as fast as this
// would be followed for ever.
bool JournalFollower::advance(const EachRecord& each) {
  bool lost = false;
  std::optional<std::uint64_t> newest;
  while (true) {
    std::vector<std::string> batches;
    bool progress = read_batches(batches);
    if (lost && !progress) return false;
    if (progress) segment_->sync();
    for (const std::string& records : batches) {
      if (records.empty()) return false;
      for_each_record(records, each);
    }
    Next next = next_segment(newest);
    if (next == Next::Nothing || (next == Next::Segment && tail_.segment_number > newest)) return true;
    lost = next == Next::Lost;  // unless what is missing was written between the two looks
  }
}

// LMDB has a bulk transaction before the journal is told of it: then its batch comes when its commit is known already.
bool JournalFollower::read_batches(std::vector<std::string>& batches) {
  while (auto batch = segment_->read(tail_.valid_bytes)) {
    if (batch->previous_checksum != tail_.checksum) break;
    if (batch->last_commit > tail_.last_commit) {
      if (batch->first_commit != tail_.last_commit + 1) break;
      batches.emplace_back(segment_->records());
      tail_.last_commit = batch->last_commit;
    }
    tail_.valid_bytes += align_batch(batch->length);
    tail_.checksum = batch->checksum;
  }
  return !batches.empty();
}

// A successor records where this segment ends, after it was synced; until there is one, there is nothing to conclude.
JournalFollower::Next JournalFollower::next_segment(std::optional<std::uint64_t>& newest) {
  JournalFiles files = list_journal(*fs_, directory_, identity_);
  if (!newest) newest = files.highest_number();
  const JournalFiles::Segment* here = files.find(tail_.segment_number);
  if (here == nullptr || !here->header) return Next::Lost;
  for (const JournalFiles::Segment& segment : files.segments) {
    if (!segment.header || segment.header->previous_number != tail_.segment_number) continue;
    const SegmentHeader& header = *segment.header;
    if (header.previous_valid_bytes != tail_.valid_bytes || header.previous_checksum != tail_.checksum ||
        header.first_commit != tail_.last_commit + 1) {
      // Written between the last look and this one, or cut by a recovery, or a bulk transaction that the journal was
      // not told of.
      return Next::Lost;
    }
    tail_ = {segment.number, kSegmentHeaderBytes, header.checksum, header.first_commit - 1};
    segment_ = std::make_unique<SegmentReader>(*fs_, directory_, identity_, segment.number);
    return Next::Segment;
  }
  return Next::Nothing;
}

}  // namespace azoth
