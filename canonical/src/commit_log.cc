#include "commit_log.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "bulk_rows.h"
#include "record.h"

namespace azoth {

namespace {

// Beside a writer a file may be renamed between the look at the folder and its opening, any number of times; damage
// stays where it is.
constexpr int kAttempts = 5;
constexpr std::chrono::milliseconds kPause{5};

[[noreturn]] void gone(CommitSeq commit) {
  throw Error(ErrorCode::NotFound, "the journal does not have commit " + std::to_string(commit) +
                                       " any more; only a full snapshot brings it");
}

[[noreturn]] void damaged(const std::filesystem::path& path, std::uint64_t offset, CommitSeq commit) {
  throw Error(ErrorCode::Corruption, path.string() + " at byte " + std::to_string(offset) + " is damaged: commit " +
                                         std::to_string(commit) + " cannot be read there");
}

using Segments = std::vector<JournalFiles::Segment>;

// The one that holds a commit, or begins right behind a bulk transaction that is it: of those that begin at or before
// it, the newest. An older one of the same beginning was cut there.
Segments::const_iterator segment_of(const Segments& segments, CommitSeq commit) {
  auto found = segments.end();
  for (auto segment = segments.begin(); segment != segments.end(); ++segment) {
    if (segment->header && segment->header->first_commit <= commit) found = segment;
  }
  return found;
}

const SegmentHeader* successor_of(const Segments& segments, std::uint64_t number) {
  for (const JournalFiles::Segment& segment : segments) {
    if (segment.header && segment.header->previous_number == number) return &*segment.header;
  }
  return nullptr;
}

}  // namespace

void CommitLog::read(CommitSeq after, EventId after_event, CommitSeq through, const BackupSource::EachPiece& each) {
  each_ = &each;
  next_ = after + 1;
  next_event_ = after_event + 1;
  through_ = through;
  for (int attempt = 1; !done(); ++attempt) {
    const CommitSeq before = next_;
    try {
      walk();
    } catch (const Error& error) {
      const bool may_pass = !handing_on_ && (error.corruption() || error.code() == ErrorCode::NotFound);
      if (next_ != before) attempt = 1;
      if (!may_pass || attempt == kAttempts) throw;
      std::this_thread::sleep_for(kPause);
    }
  }
}

// From the next commit on to the last that is wanted, or until something is not as it should be.
void CommitLog::walk() {
  const JournalFiles files = list_journal(fs_, journal_, identity_);
  while (!done()) {
    auto segment = segment_of(files.segments, next_);
    if (segment == files.segments.end()) {
      if (take_bulk()) continue;
      look_for_damaged_headers(files, 0);
      gone(next_);
    }
    const CommitSeq before = next_;
    read_segment(files, *segment);
    if (next_ == before && !take_bulk()) gone(next_);
  }
}

// The header of what is missing between two segments, or behind the last one, may be damaged: a file without a header
// that holds batches is no spare, unless it was one a moment ago.
void CommitLog::look_for_damaged_headers(const JournalFiles& files, std::uint64_t behind) const {
  for (const JournalFiles::Segment& segment : files.segments) {
    if (segment.number <= behind || segment.header || segment.other) continue;
    SegmentReader reader(fs_, journal_, identity_, segment.number);
    if (!reader.search(kSegmentHeaderBytes)) continue;
    const JournalFiles now = list_journal(fs_, journal_, identity_);
    const JournalFiles::Segment* same = now.find(segment.number);
    if (same != nullptr && !same->header) damaged(reader.path(), 0, next_);
  }
}

// Where a segment ends only its successor knows: behind that may be batches of commits that were lost in a crash and
// whose numbers were given out again. So when the successor was recycled already, nothing is looked for behind the
// first batch that cannot be read.
void CommitLog::read_segment(const JournalFiles& files, const JournalFiles::Segment& segment) {
  const SegmentHeader* successor = successor_of(files.segments, segment.number);
  SegmentReader reader(fs_, journal_, identity_, segment.number);
  Place at{kSegmentHeaderBytes, segment.header->checksum};
  while (!done() && (successor == nullptr || at.offset < successor->previous_valid_bytes)) {
    auto batch = reader.read(at.offset);
    if (!batch || batch->previous_checksum != at.link) {
      if (was_bulk(snapshot_.lmdb(), next_)) return;  // of which the journal need not know yet
      if (successor == nullptr) look_for_damaged_headers(files, segment.number);
      if (successor == nullptr && &segment != files.newest()) gone(next_);
      auto behind = place_behind_damage(reader, at.offset);
      const bool is_dead = behind && successor != nullptr && behind->offset >= successor->previous_valid_bytes;
      if (!behind || is_dead) damaged(reader.path(), at.offset, next_);
      at = *behind;
      batch = reader.read(at.offset);
      if (!batch) gone(next_);  // the file is being used again
    }
    if (batch->last_commit >= next_) take_batch(reader, *batch);
    at = {at.offset + align_batch(batch->length), batch->checksum};
  }
}

// What is damaged in front of the next commit does not matter.
std::optional<CommitLog::Place> CommitLog::place_behind_damage(SegmentReader& reader, std::uint64_t offset) const {
  const auto found = reader.search(offset);
  if (!found || found->offset == offset || found->header.first_commit > next_) return std::nullopt;
  return Place{found->offset, found->header.previous_checksum};
}

void CommitLog::take_batch(const SegmentReader& reader, const BatchHeader& batch) {
  if (reader.records().empty()) {
    take_bulk();
    return;
  }
  while (batch.first_commit > next_ && take_bulk()) {
  }
  for_each_record(reader.records(), [&](std::string_view record) {
    if (!done() && RecordReader(record).header().commit_seq >= next_) take_record(record);
  });
}

void CommitLog::take_record(std::string_view record) {
  const RecordHeader header = RecordReader(record).header();
  if (header.commit_seq != next_) gone(next_);  // a bulk transaction of which LMDB has kept nothing
  if (header.events != 0 && header.first_event != next_event_) {
    throw Error(ErrorCode::Corruption, "commit " + std::to_string(next_) + " begins with event " +
                                           std::to_string(header.first_event) +
                                           " in the journal and should with event " + std::to_string(next_event_));
  }
  handing_on_ = true;
  (*each_)(record, true);
  handing_on_ = false;
  ++next_;
  next_event_ += header.events;
}

// Its operations are as its record had them, and its events follow: in a transaction their order to each other has no
// effect.
bool CommitLog::take_bulk() {
  if (!was_bulk(snapshot_.lmdb(), next_)) return false;
  handing_on_ = true;
  std::string piece;
  RecordHeader header;
  for_each_bulk_piece(snapshot_.lmdb(), snapshot_.rows(), next_, [&](std::string_view bytes) {
    if (header.commit_seq == 0) header = decode_record_header(bytes);
    (*each_)(bytes, false);
  });
  if (header.commit_seq != next_ || (header.events != 0 && header.first_event != next_event_)) {
    throw Error(ErrorCode::Corruption,
                "what LMDB keeps of bulk transaction " + std::to_string(next_) + " is another's");
  }
  constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
  for (EventId id = header.first_event; id < header.first_event + header.events; ++id) {
    const std::string_view body = snapshot_.event(id)->body();
    codec::append(piece, static_cast<std::uint8_t>(RecordEntry::Kind::Event));
    codec::append(piece, static_cast<std::uint32_t>(body.size()));
    piece.append(body);
    if (piece.size() < kPieceBytes) continue;
    (*each_)(piece, false);
    piece.clear();
  }
  (*each_)(piece, true);
  handing_on_ = false;
  ++next_;
  next_event_ += header.events;
  return true;
}

}  // namespace azoth
