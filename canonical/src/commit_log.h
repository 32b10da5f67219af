// The commits of the past, one after the other, as the journal still has them: read beside whoever writes it.
//
// What is handed on was found under right checksums, in an unbroken chain of batches that begins in a segment of this
// timeline, with commit numbers and event ids that follow each other. So it does not matter how the writer recycles
// files meanwhile: either the bytes are the ones that were committed, or there are none, and then the journal is looked
// at anew to tell whether what comes next was trimmed or is damaged.
//
// Bulk transactions are not in the journal; LMDB keeps their operations as long as the journal keeps what is around
// them.
#pragma once

#include <filesystem>

#include "azoth/canonical/backup_source.h"
#include "azoth/core/file.h"
#include "journal_reader.h"
#include "snapshot.h"

namespace azoth {

class CommitLog {
 public:
  CommitLog(FileSystem& fs, std::filesystem::path journal, const JournalIdentity& identity, const Snapshot& snapshot)
      : fs_(fs), journal_(std::move(journal)), identity_(identity), snapshot_(snapshot) {}

  // As BackupSource::for_each_commit().
  void read(CommitSeq after, EventId after_event, CommitSeq through, const BackupSource::EachPiece& each);

 private:
  struct Place {
    std::uint64_t offset;
    std::uint64_t link;  // the checksum that the batch there says is the one before it
  };

  bool done() const { return next_ > through_; }
  void walk();
  void read_segment(const JournalFiles& files, const JournalFiles::Segment& segment);
  void look_for_damaged_headers(const JournalFiles& files, std::uint64_t behind) const;
  std::optional<Place> place_behind_damage(SegmentReader& reader, std::uint64_t offset) const;
  void take_batch(const SegmentReader& reader, const BatchHeader& batch);
  void take_record(std::string_view record);
  bool take_bulk();

  FileSystem& fs_;
  const std::filesystem::path journal_;
  const JournalIdentity& identity_;
  const Snapshot& snapshot_;
  const BackupSource::EachPiece* each_ = nullptr;
  CommitSeq through_ = 0;
  CommitSeq next_ = 0;  // what was handed on ends before it
  EventId next_event_ = 0;
  bool handing_on_ = false;  // then what is thrown is no matter of the journal
};

}  // namespace azoth
