#include "salvage.h"

#include <algorithm>
#include <limits>
#include <string>

#include "azoth/core/error.h"
#include "journal_reader.h"
#include "record.h"

namespace azoth {

namespace {

// A batch that can be read, wherever it stands.
struct Recognised {
  std::uint64_t segment;
  Uuid timeline;
  std::uint64_t offset;
  BatchHeader header;
};

// A segment of the store's timeline that was written to, by its header or by its batches.
struct Used {
  const JournalFiles::Segment* file;
  CommitSeq first_commit;
  CommitSeq last_commit;  // that can be read; first_commit - 1 if none
  std::vector<Recognised> batches;

  const SegmentHeader* header() const { return file->header ? &*file->header : nullptr; }
};

std::string commits(CommitSeq first, CommitSeq last) {
  if (first == last) return "commit " + std::to_string(first);
  return "commits " + std::to_string(first) + " to " + std::to_string(last);
}

class Salvager {
 public:
  Salvager(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
           const JournalFiles& files, CommitSeq lmdb_commit, CommitSeq at_most)
      : fs_(fs),
        directory_(directory),
        identity_(identity),
        files_(files),
        lmdb_commit_(lmdb_commit),
        at_most_(at_most),
        kept_(lmdb_commit),
        known_(lmdb_commit) {}

  Salvage run() {
    for (const JournalFiles::Segment& segment : files_.segments) look_at(segment);
    follow_chain();
    result_.plan.tail.last_commit = kept_;
    count_lost();
    result_.newest_known_commit = std::max(known_, kept_);
    return std::move(result_);
  }

 private:
  std::filesystem::path path(std::uint64_t number) const { return directory_ / segment_name(number); }
  void damage(std::filesystem::path file, std::uint64_t offset, std::string what) {
    result_.damage.push_back({std::move(file), offset, std::move(what)});
  }

  // --- What is there

  void look_at(const JournalFiles::Segment& segment) {
    bool stranger = segment.other.has_value();
    if (stranger && is_done_with(identity_, segment)) return;
    JournalIdentity identity = identity_;
    if (stranger) identity.timeline = segment.other->timeline;
    Used used{&segment, 0, 0, batches_of(segment.number, identity)};
    const std::optional<SegmentHeader>& header = stranger ? segment.other : segment.header;
    if (!header && used.batches.empty()) return;  // a spare
    used.first_commit = header ? header->first_commit : used.batches.front().header.first_commit;
    used.last_commit = used.first_commit - 1;
    known_ = std::max(known_, used.last_commit);
    for (const Recognised& batch : used.batches) {
      used.last_commit = std::max(used.last_commit, batch.header.last_commit);
      if (!stranger) check_lmdb(batch);
      if (batch.header.last_commit > lmdb_commit_) recognised_.push_back(batch);
    }
    if (!stranger) {
      used_.push_back(std::move(used));
    } else if (used.last_commit > lmdb_commit_) {
      damage(path(segment.number), 0,
             "is of timeline " + segment.other->timeline.text() +
                 ", which this store does not come from, and tells of " + "commit " + std::to_string(used.last_commit));
    }
  }

  std::vector<Recognised> batches_of(std::uint64_t number, const JournalIdentity& identity) const {
    std::vector<Recognised> batches;
    SegmentReader reader(fs_, directory_, identity, number);
    for (auto found = reader.search(kSegmentHeaderBytes); found;
         found = reader.search(found->offset + align_batch(found->header.length))) {
      batches.push_back({number, identity.timeline, found->offset, found->header});
    }
    return batches;
  }

  void check_lmdb(const Recognised& batch) const {
    if (batch.header.lmdb_through <= lmdb_commit_) return;
    throw Error(ErrorCode::Corruption, "LMDB ends with commit " + std::to_string(lmdb_commit_) + ", but " +
                                           path(batch.segment).string() + " at byte " + std::to_string(batch.offset) +
                                           " says that it held commit " + std::to_string(batch.header.lmdb_through) +
                                           ": canonical/data.mdb has lost commits or is an older copy");
  }

  // --- The chain

  void follow_chain() {
    std::size_t start = used_.size();
    while (start > 0 && used_[start - 1].first_commit > lmdb_commit_ + 1) --start;
    bool beginning_is_gone = start == 0;
    if (!beginning_is_gone) --start;
    for (std::size_t i = start; i < used_.size(); ++i) note_bad_header(used_[i]);
    if (beginning_is_gone) {
      note_missing_beginning();
      return;
    }
    if (used_[start].header() == nullptr) return;
    next_ = used_[start].first_commit;
    for (std::size_t i = start; i < used_.size(); ++i) {
      if (i > start && !continues(i)) return;
      if (!follow(i)) return;
    }
  }

  void note_bad_header(const Used& used) {
    if (used.header() != nullptr) return;
    damage(path(used.file->number), 0,
           "the header is not valid, but the file holds " + commits(used.first_commit, used.last_commit));
  }

  void note_missing_beginning() {
    if (used_.empty()) {
      damage(directory_, 0, "the journal is missing: no segment with a valid header is left");
      return;
    }
    const SegmentHeader* header = used_.front().header();
    if (header == nullptr) return;
    note_missing(*header, lmdb_commit_ + 1);
  }

  void note_missing(const SegmentHeader& successor, CommitSeq from) {
    damage(path(successor.previous_number), 0,
           "is missing or has no valid header; " + commits(from, successor.first_commit - 1) + " should be in it");
  }

  // Whether this segment stands where the one before it ended.
  bool continues(std::size_t i) {
    const SegmentHeader* header = used_[i].header();
    if (header == nullptr) return false;
    const JournalFiles::Segment& before = *used_[i - 1].file;
    if (header->previous_number != before.number) {
      note_missing(*header, std::max(next_, lmdb_commit_ + 1));
    } else if (header->previous_valid_bytes != offset_ || header->previous_checksum != link_) {
      damage(path(before.number), offset_, "does not end as its successor recorded");
    } else if (header->first_commit != next_) {
      damage(path(header->number), 0,
             "begins with commit " + std::to_string(header->first_commit) + " and should begin with " +
                 std::to_string(next_));
    } else {
      return true;
    }
    return false;
  }

  // Whether the chain may go on in the next segment.
  bool follow(std::size_t i) {
    const Used& used = used_[i];
    SegmentReader reader(fs_, directory_, identity_, used.file->number);
    const SegmentHeader* successor = successor_of(i);
    CommitSeq limit = std::numeric_limits<CommitSeq>::max();
    for (std::size_t later = i + 1; later < used_.size(); ++later)
      limit = std::min(limit, used_[later].first_commit - 1);
    link_ = used.header()->checksum;
    offset_ = kSegmentHeaderBytes;
    while (successor == nullptr || offset_ < successor->previous_valid_bytes) {
      auto batch = reader.read(offset_);
      std::string fault = fault_of(batch, reader, successor);
      if (!fault.empty()) {
        const Recognised* resumed = resume(used);
        if (resumed == nullptr) {
          return !ends_in_damage(used, fault, successor, batch.has_value());
        }
        offset_ = resumed->offset;
        next_ = resumed->header.first_commit;
        link_ = resumed->header.previous_checksum;
        continue;
      }
      if (batch->last_commit > at_most_) return false;
      if (batch->last_commit > limit) {
        keep_nothing();
        return true;
      }
      accept(reader, *batch);
    }
    return true;
  }

  // A later segment holds a commit of the same number. So it began a life, whose recovery cut this segment somewhere
  // and had moved everything before the cut to LMDB: what is above M here is dead.
  void keep_nothing() {
    result_.plan.extents.clear();
    result_.kept_events = 0;
    kept_ = lmdb_commit_;
  }

  const SegmentHeader* successor_of(std::size_t i) const {
    if (i + 1 == used_.size()) return nullptr;
    const SegmentHeader* header = used_[i + 1].header();
    return header != nullptr && header->previous_number == used_[i].file->number ? header : nullptr;
  }

  // Why the batch at offset_ is not what belongs there; empty if it is.
  std::string fault_of(const std::optional<BatchHeader>& batch, const SegmentReader& reader,
                       const SegmentHeader* successor) const {
    if (!batch) return commits(next_, next_) + " cannot be read";
    std::string held = "the batch with " + commits(batch->first_commit, batch->last_commit);
    if (batch->previous_checksum != link_ || batch->first_commit != next_) {
      return held + " does not continue what is before it: files of two copies of this store are mixed";
    }
    if (successor != nullptr && offset_ + align_batch(batch->length) > successor->previous_valid_bytes) {
      return held + " reaches beyond the end that its successor recorded";
    }
    if (batch->last_commit > lmdb_commit_ && !holds_its_commits(reader.records(), *batch)) {
      return held + " has other records than it says";
    }
    return "";
  }

  static bool holds_its_commits(std::string_view records, const BatchHeader& batch) {
    CommitSeq next = batch.first_commit;
    try {
      for_each_record(records, [&](std::string_view record) {
        RecordReader reader(record);
        if (reader.header().commit_seq != next++) throw Error(ErrorCode::Corruption, "the record of another commit");
        while (reader.next()) {
        }
      });
    } catch (const Error&) {
      return false;
    }
    return next == batch.last_commit + 1;
  }

  // Damage to commits that LMDB holds is no end: where this segment can be read again, with nothing above M left out.
  const Recognised* resume(const Used& used) const {
    if (next_ > lmdb_commit_) return nullptr;
    for (const Recognised& batch : used.batches) {
      bool joins = next_ <= batch.header.first_commit && batch.header.first_commit <= lmdb_commit_ + 1;
      if (batch.offset > offset_ && joins) return &batch;
    }
    return nullptr;
  }

  // The chain breaks off at offset_. A torn tail is no damage: nothing says that what is missing was ever durable. Nor
  // is the end of a segment of whose successor nothing is known; that there was one is seen from the segments behind.
  bool ends_in_damage(const Used& used, const std::string& fault, const SegmentHeader* successor, bool readable) {
    CommitSeq needed = std::max(next_, lmdb_commit_ + 1);
    bool durable = readable || successor != nullptr;
    for (const Recognised& batch : used.batches) {
      durable |= batch.offset > offset_ && batch.header.synced_through >= needed;
    }
    if (durable) damage(path(used.file->number), offset_, fault);
    return durable;
  }

  void accept(const SegmentReader& reader, const BatchHeader& batch) {
    std::uint64_t begin = offset_;
    next_ = batch.last_commit + 1;
    link_ = batch.checksum;
    offset_ += align_batch(batch.length);
    if (batch.last_commit <= lmdb_commit_) return;
    kept_ = batch.last_commit;
    for_each_record(reader.records(), [&](std::string_view record) {
      RecordHeader header = RecordReader(record).header();
      if (header.commit_seq > lmdb_commit_) result_.kept_events += header.events;
    });
    std::vector<ReplayPlan::Extent>& extents = result_.plan.extents;
    if (!extents.empty() && extents.back().segment_number == reader.number() && extents.back().end == begin) {
      extents.back().end = offset_;
    } else {
      extents.push_back({reader.number(), begin, offset_});
    }
  }

  // --- What is lost

  // Whether an earlier recovery has cut it.
  bool is_dead(const Recognised& batch) const {
    return std::any_of(used_.begin(), used_.end(), [&](const Used& used) {
      const SegmentHeader* header = used.header();
      return header != nullptr && header->previous_number == batch.segment &&
             batch.offset >= header->previous_valid_bytes;
    });
  }

  void count_lost() {
    std::erase_if(recognised_, [&](const Recognised& batch) { return is_dead(batch); });
    std::stable_sort(recognised_.begin(), recognised_.end(), [](const Recognised& a, const Recognised& b) {
      return a.header.first_commit < b.header.first_commit;
    });
    CommitSeq counted = kept_;
    for (const Recognised& batch : recognised_) {
      known_ = std::max({known_, batch.header.last_commit, batch.header.synced_through});
      if (batch.header.last_commit <= counted) continue;
      SegmentReader reader(fs_, directory_, {identity_.store_id, batch.timeline}, batch.segment);
      if (!reader.read(batch.offset) || !holds_its_commits(reader.records(), batch.header)) continue;
      for_each_record(reader.records(), [&](std::string_view record) {
        RecordHeader header = RecordReader(record).header();
        if (header.commit_seq <= counted) return;
        ++result_.lost_commits;
        result_.lost_events += header.events;
        result_.lost_bytes += record.size();
      });
      counted = batch.header.last_commit;
    }
  }

  FileSystem& fs_;
  const std::filesystem::path& directory_;
  const JournalIdentity& identity_;
  const JournalFiles& files_;
  const CommitSeq lmdb_commit_;
  const CommitSeq at_most_;
  std::vector<Used> used_;              // by number
  std::vector<Recognised> recognised_;  // with commits above M
  CommitSeq kept_;
  CommitSeq known_;
  // Where in the chain: what comes next, and where.
  CommitSeq next_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t link_ = 0;
  Salvage result_;
};

}  // namespace

Salvage salvage_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                        const JournalFiles& files, CommitSeq lmdb_commit, CommitSeq at_most) {
  return Salvager(fs, directory, identity, files, lmdb_commit, at_most).run();
}

}  // namespace azoth
