// The writing side of the journal: segments, spares, trimming.
//
// Three parties use it, each its own part:
//   the sequencer  asks where the next batch will stand (fits, take_spare), under its own mutex;
//   the leader     writes and syncs, one at a time (start_segment, write, sync);
//   the flusher    trims what LMDB holds, durably (trim).
// A keeper thread makes spares: it recycles trimmed segments under a new number, which costs a rename, and zero-fills a
// new file only when there is none to recycle. So a leader never allocates disk, and fdatasync writes no metadata.
//
// Segments that only a snapshot set still needs stay where they are, cut to what they validly hold: there is nothing
// behind it that anybody may read.
//
// Order that recovery relies on: a file gets its number by a rename or a creation that is synced before the number is
// used; a segment's header is written after the segment before it is synced, and is itself synced before the first
// batch goes in. Hence no number is ever used twice, every batch that can be found has a chain of headers to it, and
// Durable means that every segment up to the commit's own is.
//
// A commit that reaches LMDB past the journal (a bulk transaction) must not be the first of a life: a segment of this
// life is started before it. Otherwise what a power failure left behind the old segment's end could, after another one,
// pass for what follows that commit.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/clock.h"
#include "azoth/core/error.h"
#include "azoth/core/file.h"
#include "segment.h"

namespace azoth {

// Where the chain ends: what the next segment's header records of its predecessor.
struct JournalTail {
  std::uint64_t segment_number = 0;
  std::uint64_t valid_bytes = 0;
  std::uint64_t checksum = 0;  // of the last batch, or of the header if there is none
  CommitSeq last_commit = 0;
};

// What a journal directory held when it was opened.
struct JournalFiles {
  struct Segment {
    std::uint64_t number = 0;
    std::optional<SegmentHeader> header;  // nothing: a spare (or damage, which recovery tells apart)
    std::uint64_t bytes = 0;
    std::optional<SegmentHeader> other;  // in place of `header`: of another timeline of this store
  };
  std::vector<Segment> segments;  // by number

  const Segment* newest() const;  // with a header
  const Segment* find(std::uint64_t number) const;
  std::uint64_t highest_number() const { return segments.empty() ? 0 : segments.back().number; }
};

// A directory that does not exist has no segments.
JournalFiles list_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity);

// Makes the journal of a new store: a first segment that has a header only, and one spare. Answers where it ends.
JournalTail create_journal(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                           std::uint64_t segment_bytes, CommitSeq first_commit = 1);

class Journal {
 public:
  // Continues behind `tail`: the first batch starts a new segment, numbered above every number seen. All that is in
  // `files` must be in LMDB by now. What holds commits behind `keep_behind` is kept all the same.
  Journal(FileSystem& fs, std::filesystem::path directory, const JournalIdentity& identity, std::uint64_t segment_bytes,
          const JournalTail& tail, const JournalFiles& files,
          CommitSeq keep_behind = std::numeric_limits<CommitSeq>::max());
  ~Journal();  // stops the keeper

  // --- The sequencer's part. Thread-safe among each other.
  std::uint64_t segment_bytes() const { return segment_bytes_; }
  std::uint64_t max_batch_bytes() const { return segment_bytes_ / 2; }
  bool take_spare();  // false: none is ready; wait_for_spare outside of all locks
  // Returns when a spare is ready (it may be gone again), false on the deadline. Throws NoSpace or Io if making one
  // failed, Closed after refuse_waiters().
  bool wait_for_spare(Deadline deadline);

  // --- The leader's part. One thread at a time. An exception means that the journal must not be written any more.
  // Begins the next segment, for which take_spare() was granted. Everything written before must be synced. Like each
  // batch it must continue the commits: Corruption otherwise, with nothing written, because recovery would refuse it.
  void start_segment(CommitSeq first_commit);
  // Writes one batch: `batch` begins with room for its header.
  void write(std::string& batch, BatchHeader header);
  JournalTail tail() const { return tail_; }

  // --- By anyone, one thread at a time. Syncs what was written to the segment that is current when it begins; what is
  // in earlier ones is synced already.
  void sync();

  // --- The flusher's part.
  // Gives up what holds only commits through the first one; of what is left, what holds only commits through the second
  // one needs no room to grow.
  void trim(CommitSeq through, CommitSeq lmdb_through);
  bool has_segments_through(CommitSeq through) const;  // that hold only commits through this one
  CommitSeq first_commit() const;                      // of what is not trimmed
  // How much of what holds only commits through `lmdb_through` has commits behind `behind`.
  std::uint64_t bytes_kept(CommitSeq behind, CommitSeq lmdb_through) const;

  void refuse_waiters();  // wait_for_spare fails with Closed from now on
  void stop();            // recycles what is trimmed, ends the keeper, wakes waiters
  std::uint64_t disk_bytes() const;
  std::uint32_t segments_on_disk() const;

 private:
  struct Spare {
    std::uint64_t number;
    std::unique_ptr<File> file;
  };
  struct Live {
    std::uint64_t number;
    CommitSeq first_commit;
    std::uint64_t bytes;
    std::uint64_t valid_bytes = 0;  // once there is a successor: where it ends
    bool only_kept = false;         // nobody but a snapshot set needs it
  };

  void check_continues(CommitSeq first_commit) const;
  void adopt(const JournalFiles& files, CommitSeq keep_behind);
  bool is_done(std::size_t index, CommitSeq through) const;
  std::size_t to_cut() const;
  void cut(std::unique_lock<std::mutex>& lock);
  void keep_spares();
  bool work_for_keeper() const;
  void note_failure(std::unique_lock<std::mutex>& lock, Error error);
  void recycle(std::unique_lock<std::mutex>& lock);
  std::unique_ptr<File> rename_to_spare(std::uint64_t old_number, std::uint64_t number);
  void make_spare(std::unique_lock<std::mutex>& lock);
  std::filesystem::path path_of(std::uint64_t number) const { return directory_ / segment_name(number); }

  FileSystem& fs_;
  const std::filesystem::path directory_;
  const JournalIdentity identity_;
  const std::uint64_t segment_bytes_;

  // The leader's.
  JournalTail tail_;
  std::uint64_t seed_ = 0;

  mutable std::mutex mutex_;  // everything below
  std::condition_variable keeper_wakes_;
  std::condition_variable spare_ready_;
  std::shared_ptr<File> current_;  // changed by the leader
  std::deque<Spare> spares_;       // ascending
  std::size_t granted_ = 0;        // of them, promised by take_spare and not yet started
  std::deque<Live> live_;          // ascending; the last is the one written to, or the last of an earlier life
  std::vector<Live> trimmed_;      // to be recycled
  std::uint64_t next_number_;
  std::uint64_t attempt_ = 0;         // that is under way, or was the last
  std::uint64_t failed_attempt_ = 0;  // the last that failed
  std::optional<Error> spare_error_;  // of the last attempt that failed
  bool last_attempt_failed_ = false;
  bool retry_wanted_ = false;
  bool refusing_ = false;
  bool stopping_ = false;
  std::thread keeper_;
};

}  // namespace azoth
