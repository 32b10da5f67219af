// Journals for tests: records with known bytes, and a driver that uses a Journal the way the store does.
//
// The driver is the group leader, the flusher and the sequencer's arithmetic in one thread. LMDB is a number: the last
// commit it holds, which moves only through durable commits and survives everything.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/clock.h"
#include "azoth/core/file.h"
#include "azoth/core/limits.h"
#include "journal.h"
#include "journal_reader.h"
#include "record.h"
#include "recovery.h"

namespace azoth::test {

inline const std::filesystem::path kStoreDirectory = "/store";
inline const std::filesystem::path kJournalDirectory = "/store/journal";
inline constexpr std::uint64_t kSegmentBytes = limits::kMinSegmentBytes;

inline JournalIdentity test_identity(std::uint8_t store = 1, std::uint8_t timeline = 2) {
  JournalIdentity identity;
  identity.store_id.bytes.fill(store);
  identity.timeline.bytes.fill(timeline);
  return identity;
}

// The record of a transaction that puts one value of this size. Its bytes depend on the arguments alone, its length on
// the size alone.
inline std::string make_record(CommitSeq seq, std::size_t value_bytes, std::uint64_t salt = 0) {
  std::string value(value_bytes, '\0');
  std::uint64_t state = seq * 0x9E3779B97F4A7C15u + salt * 0xD1B54A32D192ED03u + 1;
  for (char& byte : value) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state >> 32);
  }
  WriteSet set;
  set.put("key", value);
  RecordBuilder::seal(set, seq, Timestamp(std::chrono::microseconds(1'000'000 + salt)), 0);
  return RecordBuilder::take(std::move(set));
}

inline CommitSeq seq_of(const std::string& record) { return RecordReader(record).header().commit_seq; }

using RecordList = std::vector<std::string>;

// What has happened to a store so far, as its clients were told.
struct StoreHistory {
  RecordList records;             // of commit i + 1; all that were sequenced and not lost since
  std::vector<RecordList> batches;  // of this life, in order
  CommitSeq written = 0;
  CommitSeq durable = 0;
  CommitSeq lmdb = 0;
  std::optional<JournalTail> clean;  // the mark of a clean close, in LMDB
  CommitSeq kept = kNothingIsKept;   // what the journal has behind this commit is kept for a snapshot set
  static constexpr CommitSeq kNothingIsKept = std::numeric_limits<CommitSeq>::max();
};

// An empty store on this disk, all of it durable.
inline void create_store(FileSystem& fs) {
  fs.make_directory(kStoreDirectory);
  create_journal(fs, kJournalDirectory, test_identity(), kSegmentBytes);
  fs.sync_directory(kStoreDirectory);
  fs.sync_directory("/");
}

struct Recovered {
  JournalFiles files;
  ReplayPlan plan;
  RecordList records;  // above `lmdb`
};

inline ReplayPlan plan_of(FileSystem& fs, CommitSeq lmdb, const std::optional<JournalTail>& clean = {},
                          const JournalIdentity& identity = test_identity()) {
  return plan_recovery(fs, kJournalDirectory, identity, list_journal(fs, kJournalDirectory, identity), lmdb, clean);
}

inline Recovered recover(FileSystem& fs, CommitSeq lmdb, const std::optional<JournalTail>& clean = {},
                         const JournalIdentity& identity = test_identity()) {
  Recovered result;
  result.files = list_journal(fs, kJournalDirectory, identity);
  result.plan = plan_recovery(fs, kJournalDirectory, identity, result.files, lmdb, clean);
  sync_plan(fs, kJournalDirectory, result.plan);
  replay(fs, kJournalDirectory, identity, result.plan, lmdb,
         [&](std::string_view record) { result.records.emplace_back(record); });
  return result;
}

// Every record that the chain of segments has, below LMDB's last commit as well.
inline std::map<CommitSeq, std::string> records_in_chain(FileSystem& fs) {
  std::map<CommitSeq, std::string> records;
  const JournalFiles files = list_journal(fs, kJournalDirectory, test_identity());
  const JournalFiles::Segment* successor = nullptr;
  for (const auto* segment = files.newest(); segment != nullptr && segment->header;
       segment = files.find(successor->header->previous_number)) {
    SegmentReader reader(fs, kJournalDirectory, test_identity(), segment->number);
    std::uint64_t link = segment->header->checksum;
    std::uint64_t offset = kSegmentHeaderBytes;
    while (successor == nullptr || offset < successor->header->previous_valid_bytes) {
      const auto batch = reader.read(offset);
      if (!batch || batch->previous_checksum != link) break;
      for_each_record(reader.records(), [&](std::string_view record) {
        records.emplace(RecordReader(record).header().commit_seq, record);
      });
      link = batch->checksum;
      offset += align_batch(batch->length);
    }
    successor = segment;
  }
  return records;
}

class JournalDriver {
 public:
  // Behind a recovery whose records are in LMDB by now.
  JournalDriver(FileSystem& fs, const JournalTail& tail, const JournalFiles& files, StoreHistory history)
      : fs_(fs),
        journal_(fs, kJournalDirectory, test_identity(), kSegmentBytes, tail, files, history.kept),
        live_{{tail.segment_number, 0}},
        highest_at_open_(files.highest_number()),
        history_(std::move(history)) {
    const JournalFiles::Segment* next = files.find(tail.segment_number);
    while (history_.kept < tail.last_commit && next != nullptr && history_.kept + 1 < next->header->first_commit) {
      live_.front().first_commit = next->header->first_commit;
      next = files.find(next->header->previous_number);
      if (next != nullptr) live_.insert(live_.begin(), {next->number, next->header->first_commit});
    }
  }

  // One batch, acknowledged at Written. The records are the next commits.
  void write(const RecordList& records) {
    std::string batch(kBatchHeaderBytes, '\0');
    for (const std::string& record : records) batch += record;
    CommitSeq first = 0;
    {
      std::lock_guard lock(mutex_);
      first = history_.records.size() + 1;
      history_.records.insert(history_.records.end(), records.begin(), records.end());
      history_.batches.push_back(records);
    }
    if (!started_ || journal_.tail().valid_bytes + batch.size() > kSegmentBytes) start_segment(first);
    write_batch(batch, first, first + records.size() - 1);
  }

  // Acknowledges everything written at Durable.
  void sync() {
    if (!started_ || history_.durable == history_.written) return;
    journal_.sync();
    std::lock_guard lock(mutex_);
    history_.durable = history_.written;
  }

  // A synced commit of LMDB, through this commit. What the caller looks at between it and the trimming is `between`.
  template <typename Between>
  void flush(CommitSeq through, Between between) {
    if (through > history_.durable) throw std::logic_error("only durable commits go to LMDB");
    {
      std::lock_guard lock(mutex_);
      history_.lmdb = through;
      history_.clean.reset();
    }
    between();
    const CommitSeq trimmed = std::min(through, history_.kept);
    while (live_.size() > 1 && live_[1].first_commit <= trimmed + 1) live_.erase(live_.begin());
    for (std::size_t i = 0; i + 1 < live_.size(); ++i) live_[i].is_cut |= live_[i + 1].first_commit <= through + 1;
    journal_.trim(trimmed, through);
    if (settles) settle();
  }
  void flush(CommitSeq through) {
    flush(through, [] {});
  }

  // A set registers behind what LMDB holds, moves forward, or is forgotten; the next flush knows of it.
  void keep_behind(CommitSeq commit) {
    std::lock_guard lock(mutex_);
    history_.kept = commit;
  }

  // A bulk transaction: one that goes to LMDB past the journal (DESIGN, "Bulk transactions").
  template <typename Between>
  void bulk(const std::string& record, Between between) {
    sync();
    flush(history_.durable);
    CommitSeq commit = history_.records.size() + 1;
    if (!started_ || journal_.tail().valid_bytes + kBatchHeaderBytes > kSegmentBytes) start_segment(commit);
    {
      std::lock_guard lock(mutex_);
      history_.records.push_back(record);
      history_.batches.clear();
      history_.lmdb = history_.durable = history_.written = commit;
      history_.clean.reset();
    }
    between();
    std::string batch(kBatchHeaderBytes, '\0');
    write_batch(batch, commit, commit);
    journal_.sync();
  }

  // Ends the life of the store: everything to Durable and to LMDB, and the mark that says so.
  void close() {
    sync();
    flush(history_.durable);
    journal_.stop();
    std::lock_guard lock(mutex_);
    history_.clean = journal_.tail();
  }

  // Waits until the keeper has nothing left to do: a spare is ready, what was trimmed is recycled.
  void settle() {
    journal_.wait_for_spare(kNoDeadline);
    while (true) {
      std::vector<std::string> names = fs_.list(kJournalDirectory);
      bool recycled = std::all_of(names.begin(), names.end(), [this](const std::string& name) {
        std::uint64_t number = parse_segment_name(name).value();
        return is_live(number) || (number > live_.back().number && number > highest_at_open_);
      });
      if (recycled && journal_.segments_on_disk() == names.size() && all_is_cut()) return;
      std::this_thread::yield();
    }
  }

  Journal& journal() { return journal_; }

  // For the thread that drives.
  const StoreHistory& history() const { return history_; }

  // For any thread.
  template <typename Look>
  void with_history(Look look) const {
    std::lock_guard lock(mutex_);
    look(history_);
  }

  bool settles = true;  // after whatever may give the keeper work to do

 private:
  struct Live {
    std::uint64_t number;
    CommitSeq first_commit;
    bool is_cut = false;  // it is only kept, and no longer than what it holds
  };

  bool is_live(std::uint64_t number) const {
    return std::any_of(live_.begin(), live_.end(), [&](const Live& live) { return live.number == number; });
  }

  bool all_is_cut() const {
    const JournalFiles files = list_journal(fs_, kJournalDirectory, test_identity());
    for (std::size_t i = 0; i + 1 < live_.size() && live_[i].is_cut; ++i) {
      const SegmentHeader& next = *files.find(live_[i + 1].number)->header;
      if (files.find(live_[i].number)->bytes > next.previous_valid_bytes) return false;
    }
    return true;
  }

  void start_segment(CommitSeq first_commit) {
    while (!journal_.take_spare()) journal_.wait_for_spare(kNoDeadline);
    if (settles) settle();
    sync();
    journal_.start_segment(first_commit);
    started_ = true;
    live_.push_back({journal_.tail().segment_number, first_commit});
  }

  void write_batch(std::string& batch, CommitSeq first, CommitSeq last) {
    BatchHeader header;
    header.first_commit = first;
    header.last_commit = last;
    header.synced_through = history_.durable;
    header.lmdb_through = history_.lmdb;
    journal_.write(batch, header);
    std::lock_guard lock(mutex_);
    history_.written = last;
  }

  FileSystem& fs_;
  Journal journal_;
  std::vector<Live> live_;  // as in Journal
  std::uint64_t highest_at_open_;
  bool started_ = false;    // a segment of this life
  mutable std::mutex mutex_;
  StoreHistory history_;  // written by the driving thread only, under the mutex
};

// A driver on a store that was just created on this disk.
inline std::unique_ptr<JournalDriver> drive_new_store(FileSystem& fs) {
  create_store(fs);
  Recovered recovered = recover(fs, 0);
  return std::make_unique<JournalDriver>(fs, recovered.plan.tail, recovered.files, StoreHistory{});
}

}  // namespace azoth::test
