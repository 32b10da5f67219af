#include "recovery.h"

#include <algorithm>
#include <memory>

#include "azoth/core/error.h"
#include "journal_reader.h"
#include "record.h"

namespace azoth {

namespace {

std::string place(const std::filesystem::path& file, std::uint64_t offset) {
  return file.string() + " at byte " + std::to_string(offset);
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::Corruption,
              "the journal is damaged: " + what +
                  ". Nothing was changed. Restore the files from a copy or a backup; repair says what is left");
}

[[noreturn]] void refuse_bad_header(const SegmentReader& reader, const BatchHeader& batch) {
  refuse("the header of " + reader.path().string() + " is not valid, but the file holds commit " +
         std::to_string(batch.last_commit));
}

std::string bad_header_of_flushed(const SegmentReader& reader) {
  return "the header of " + reader.path().string() + " is not valid (its commits are safe in LMDB)";
}

// Follows the chain through the segments that may hold commits above M.
class Planner {
 public:
  Planner(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
          const JournalFiles& files, CommitSeq lmdb_commit, CommitSeq told_through,
          const std::function<CommitSeq()>& lmdb_now)
      : fs_(fs),
        directory_(directory),
        identity_(identity),
        files_(files),
        lmdb_commit_(lmdb_commit),
        last_told_(std::min(told_through, lmdb_commit)),
        lmdb_now_(lmdb_now) {}

  ReplayPlan plan() {
    collect_chain();
    check_headerless_segments();
    const SegmentHeader& first = *chain_.front()->header;
    expected_ = first.first_commit;
    for (std::size_t i = 0; i < chain_.size(); ++i) {
      const SegmentHeader* successor = i + 1 < chain_.size() ? &*chain_[i + 1]->header : nullptr;
      follow(*chain_[i], successor);
    }
    if (newest_is_lost_ && !plan_.extents.empty()) {
      refuse("the segments end with commit " + std::to_string(expected_ - 1) +
             ", but a later one, whose header is not valid, holds older commits");
    }
    plan_.tail.last_commit = std::max(expected_ - 1, lmdb_commit_);
    return std::move(plan_);
  }

 private:
  // From the newest segment back to the one that holds M+1.
  void collect_chain() {
    const JournalFiles::Segment* segment = files_.newest();
    if (segment == nullptr) refuse("no segment with a valid header is left in " + directory_.string());
    chain_.push_back(segment);
    while (chain_.front()->header->first_commit > lmdb_commit_ + 1) {
      const SegmentHeader& header = *chain_.front()->header;
      const JournalFiles::Segment* previous = files_.find(header.previous_number);
      if (previous == nullptr || !previous->header) {
        refuse("commits " + std::to_string(lmdb_commit_ + 1) + " to " + std::to_string(header.first_commit - 1) +
               " should be in " + (directory_ / segment_name(header.previous_number)).string() +
               ", which is missing or has no valid header");
      }
      chain_.insert(chain_.begin(), previous);
    }
  }

  void follow(const JournalFiles::Segment& segment, const SegmentHeader* successor) {
    SegmentReader reader(fs_, directory_, identity_, segment.number);
    std::uint64_t link = segment.header->checksum;
    std::uint64_t offset = kSegmentHeaderBytes;
    if (segment.header->first_commit != expected_) {
      refuse(reader.path().string() + " begins with commit " + std::to_string(segment.header->first_commit) +
             " and should begin with " + std::to_string(expected_));
    }
    if (reader.bytes() < segment.header->file_bytes) {
      refuse(reader.path().string() + " has " + std::to_string(reader.bytes()) + " bytes and should have " +
             std::to_string(segment.header->file_bytes) + ": it was cut, and whatever stood behind is lost");
    }
    while (successor == nullptr || offset < successor->previous_valid_bytes) {
      auto batch = reader.read(offset);
      if (batch && (batch->previous_checksum != link || batch->first_commit != expected_)) {
        refuse(place(reader.path(), offset) + ", a batch with commit " + std::to_string(batch->first_commit) +
               " does not continue what is before it: files of two copies of this store are mixed");
      }
      if (!batch) {
        auto next = resume_behind(reader, offset, successor);
        if (!next) break;
        offset = *next;
        batch = reader.read(offset);
      }
      accept(reader, offset, *batch);
      link = batch->checksum;
      offset += align_batch(batch->length);
    }
    if (successor != nullptr && (offset != successor->previous_valid_bytes || link != successor->previous_checksum)) {
      refuse(place(reader.path(), offset) + " does not end as its successor recorded");
    }
    plan_.tail = {segment.number, offset, link, 0};
  }

  void accept(const SegmentReader& reader, std::uint64_t offset, const BatchHeader& batch) {
    check_lmdb(reader, offset, batch);
    ++plan_.batches;
    expected_ = batch.last_commit + 1;
    if (batch.last_commit <= lmdb_commit_) return;
    std::uint64_t end = offset + align_batch(batch.length);
    bool extends = !plan_.extents.empty() && plan_.extents.back().segment_number == reader.number() &&
                   plan_.extents.back().end == offset;
    if (extends) {
      plan_.extents.back().end = end;
    } else {
      plan_.extents.push_back({reader.number(), offset, end});
    }
  }

  void check_lmdb(const SegmentReader& reader, std::uint64_t offset, const BatchHeader& batch) const {
    if (batch.lmdb_through <= lmdb_commit_ || (lmdb_now_ && batch.lmdb_through <= lmdb_now_())) return;
    refuse("LMDB ends with commit " + std::to_string(lmdb_commit_) + ", but " + place(reader.path(), offset) +
           " says that it held commit " + std::to_string(batch.lmdb_through) +
           ": canonical/data.mdb has lost commits or is an older copy");
  }

  // The batch at `offset` is not the expected one. Where to go on; nothing if the chain ends here.
  std::optional<std::uint64_t> resume_behind(SegmentReader& reader, std::uint64_t offset,
                                             const SegmentHeader* successor) {
    CommitSeq needed = std::max(expected_, lmdb_commit_ + 1);
    if (successor != nullptr && expected_ > lmdb_commit_) {
      refuse(place(reader.path(), offset) + ", commit " + std::to_string(expected_) + ", which was durable");
    }
    std::optional<SegmentReader::Found> found;
    if (successor != nullptr || !newest_is_lost_) found = reader.search(offset);
    for (; found; found = reader.search(found->offset + align_batch(found->header.length))) {
      check_lmdb(reader, found->offset, found->header);
      CommitSeq first = found->header.first_commit;
      if (expected_ <= lmdb_commit_ && expected_ <= first && first <= lmdb_commit_ + 1) {
        if (expected_ <= last_told_) note_damage(reader, offset, first - 1);
        expected_ = first;
        return found->offset;
      }
      if (found->header.synced_through >= needed) {
        refuse(place(reader.path(), offset) + ", commit " + std::to_string(needed) + ": a later batch at byte " +
               std::to_string(found->offset) + " was written when it had been durable");
      }
    }
    if (successor != nullptr) refuse(place(reader.path(), offset) + " up to its end, with commits above LMDB's");
    if (expected_ <= last_told_) note_damage(reader, offset, lmdb_commit_);
    return std::nullopt;
  }

  void note_damage(const SegmentReader& reader, std::uint64_t offset, CommitSeq through) {
    plan_.damage.push_back(place(reader.path(), offset) + ": commits " + std::to_string(expected_) + " to " +
                           std::to_string(through) + " cannot be read (they are safe in LMDB)");
  }

  // A header is synced before its first batch is written. So batches that are valid under the number of a file whose
  // header is not are the sign of a damaged header, while a spare holds none.
  void check_headerless_segments() {
    for (const JournalFiles::Segment& segment : files_.segments) {
      if (segment.header || segment.other || segment.number < chain_.front()->number) continue;
      SegmentReader reader(fs_, directory_, identity_, segment.number);
      bool used = false;
      for (auto found = reader.search(kSegmentHeaderBytes); found;
           found = reader.search(found->offset + align_batch(found->header.length))) {
        if (found->header.last_commit > lmdb_commit_) refuse_bad_header(reader, found->header);
        used = true;
      }
      if (!used) continue;
      plan_.damage.push_back(bad_header_of_flushed(reader));
      newest_is_lost_ |= segment.number > chain_.back()->number;
    }
  }

  FileSystem& fs_;
  const std::filesystem::path& directory_;
  const JournalIdentity& identity_;
  const JournalFiles& files_;
  const CommitSeq lmdb_commit_;
  const CommitSeq last_told_;  // of what LMDB holds, what the journal has been told of durably
  const std::function<CommitSeq()>& lmdb_now_;
  std::vector<const JournalFiles::Segment*> chain_;
  // Segments behind the last one with a header were used, and all in them is in LMDB. Then the last one's end, which a
  // successor's header would tell, is not known, and what looks like commits above M in it is not.
  bool newest_is_lost_ = false;
  CommitSeq expected_ = 0;
  ReplayPlan plan_;
};

void refuse_strangers(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                      const JournalFiles& files, CommitSeq lmdb_commit) {
  for (const JournalFiles::Segment& segment : files.segments) {
    auto newest = held_by_stranger(fs, directory, identity, segment);
    if (!newest || *newest <= lmdb_commit) continue;
    refuse((directory / segment_name(segment.number)).string() + " is of timeline " + segment.other->timeline.text() +
           ", which this store does not come from, and tells of commit " + std::to_string(*newest) +
           "; LMDB ends with commit " + std::to_string(lmdb_commit));
  }
}

// After a clean close only one thing could have been written: a newer segment, whose header has then been damaged.
std::vector<std::string> check_spares_are_unused(FileSystem& fs, const std::filesystem::path& directory,
                                                 const JournalIdentity& identity, const JournalFiles& files,
                                                 CommitSeq lmdb_commit) {
  std::vector<std::string> damage;
  for (const JournalFiles::Segment& segment : files.segments) {
    if (segment.header || segment.other) continue;
    SegmentReader reader(fs, directory, identity, segment.number);
    auto batch = reader.read(kSegmentHeaderBytes);
    if (!batch) continue;
    if (batch->last_commit > lmdb_commit) refuse_bad_header(reader, *batch);
    damage.push_back(bad_header_of_flushed(reader));
  }
  return damage;
}

}  // namespace

ReplayPlan plan_recovery(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                         const JournalFiles& files, CommitSeq lmdb_commit, const std::optional<JournalTail>& clean,
                         CommitSeq told_through, const std::function<CommitSeq()>& lmdb_now) {
  refuse_strangers(fs, directory, identity, files, lmdb_commit);
  const JournalFiles::Segment* newest = files.newest();
  if (clean && newest != nullptr && newest->number == clean->segment_number && clean->last_commit == lmdb_commit) {
    ReplayPlan plan;
    plan.damage = check_spares_are_unused(fs, directory, identity, files, lmdb_commit);
    plan.tail = *clean;
    return plan;
  }
  return Planner(fs, directory, identity, files, lmdb_commit, told_through, lmdb_now).plan();
}

bool is_done_with(const JournalIdentity& identity, const JournalFiles::Segment& segment) {
  return segment.number < identity.first_segment || shared_through(identity.lineage, segment.other->timeline);
}

std::optional<CommitSeq> held_by_stranger(FileSystem& fs, const std::filesystem::path& directory,
                                          const JournalIdentity& identity, const JournalFiles::Segment& segment) {
  if (!segment.other || is_done_with(identity, segment)) return std::nullopt;
  JournalIdentity stranger{identity.store_id, segment.other->timeline};
  SegmentReader reader(fs, directory, stranger, segment.number);
  CommitSeq newest = segment.other->first_commit - 1;
  for (auto found = reader.search(kSegmentHeaderBytes); found;
       found = reader.search(found->offset + align_batch(found->header.length))) {
    newest = std::max(newest, found->header.last_commit);
  }
  return newest;
}

void sync_plan(FileSystem& fs, const std::filesystem::path& directory, const ReplayPlan& plan) {
  auto sync = [&](std::uint64_t number) {
    fs.open(directory / segment_name(number), FileSystem::Mode::Read)->sync_data();
  };
  for (const ReplayPlan::Extent& extent : plan.extents) sync(extent.segment_number);
  bool tail_synced = !plan.extents.empty() && plan.extents.back().segment_number == plan.tail.segment_number;
  if (!tail_synced) sync(plan.tail.segment_number);
}

void replay(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
            const ReplayPlan& plan, CommitSeq lmdb_commit, const std::function<void(std::string_view)>& each) {
  CommitSeq expected = lmdb_commit + 1;
  for (const ReplayPlan::Extent& extent : plan.extents) {
    SegmentReader reader(fs, directory, identity, extent.segment_number);
    for (std::uint64_t offset = extent.begin; offset < extent.end;) {
      auto batch = reader.read(offset);
      if (!batch) refuse(place(reader.path(), offset) + " changed while it was being replayed");
      for_each_record(reader.records(), [&](std::string_view record) {
        CommitSeq seq = RecordReader(record).header().commit_seq;
        if (seq <= lmdb_commit) return;
        if (seq != expected)
          refuse(place(reader.path(), offset) + " holds commit " + std::to_string(seq) + " where " +
                 std::to_string(expected) + " belongs");
        each(record);
        ++expected;
      });
      offset += align_batch(batch->length);
    }
  }
  if (expected != plan.tail.last_commit + 1) {
    refuse("its batches should end with commit " + std::to_string(plan.tail.last_commit) +
           ", but their records end with " + std::to_string(expected - 1));
  }
}

}  // namespace azoth
