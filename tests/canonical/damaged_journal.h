// A journal of which every batch's place is known, and tools to damage it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "azoth/core/error.h"
#include "journal_driver.h"
#include "journal_reader.h"
#include "support/sim_disk.h"

namespace azoth::test {

struct PlacedBatch {
  std::uint64_t segment;
  std::uint64_t offset;
  BatchHeader header;
};

// A store that was left as by kill -9 after these batches, each with one record but where told otherwise.
class DamagedJournal {
 public:
  DamagedJournal() : driver_(drive_new_store(disk)) { driver_->settle(); }

  // A batch of this many commits. `bytes` is the size of each value.
  DamagedJournal& batch(std::size_t bytes = 100, int commits = 1) {
    RecordList records;
    for (int i = 0; i < commits; ++i) records.push_back(make_record(last() + records.size() + 1, bytes));
    driver_->write(records);
    return *this;
  }
  DamagedJournal& durable(std::size_t bytes = 100, int commits = 1) {
    batch(bytes, commits);
    driver_->sync();
    return *this;
  }
  // The next batch starts a segment.
  DamagedJournal& new_segment() {
    while (driver_->journal().tail().valid_bytes + 30'000 <= kSegmentBytes) batch(20'000);
    return batch(25'000);
  }
  DamagedJournal& flush(CommitSeq through) {
    driver_->flush(through);
    return *this;
  }

  // The process dies. From here on the disk may be changed. Clean: it closes instead.
  DamagedJournal& die(bool close = false) {
    if (close) driver_->close();
    driver_->journal().stop();
    history = driver_->history();
    tail = driver_->journal().tail();
    driver_.reset();
    find_batches();
    return *this;
  }

  // A next life behind what recovery finds, to be ended by die().
  DamagedJournal& reopen() {
    Recovered recovered = recover(disk, history.lmdb);
    history.lmdb = history.durable = history.written = recovered.plan.tail.last_commit;
    history.records.resize(history.lmdb);
    driver_ = std::make_unique<JournalDriver>(disk, recovered.plan.tail, recovered.files, history);
    driver_->settle();
    return *this;
  }

  CommitSeq last() const { return driver_ ? driver_->history().records.size() : history.records.size(); }
  JournalDriver& driver() { return *driver_; }

  static std::filesystem::path path(std::uint64_t segment) { return kJournalDirectory / segment_name(segment); }
  const PlacedBatch& holding(CommitSeq commit) const {
    for (const PlacedBatch& placed : batches) {
      if (placed.header.first_commit <= commit && commit <= placed.header.last_commit) return placed;
    }
    throw std::logic_error("no batch holds this commit");
  }

  std::string bytes(std::uint64_t segment, std::uint64_t offset, std::size_t size) {
    std::string result(size, '\0');
    result.resize(disk.open(path(segment), FileSystem::Mode::Read)->read_at(offset, result.data(), size));
    return result;
  }
  void overwrite(std::uint64_t segment, std::uint64_t offset, std::string_view with) {
    disk.open(path(segment), FileSystem::Mode::Write)->write_at(offset, with);
  }
  void flip(std::uint64_t segment, std::uint64_t offset, char mask = 1) {
    std::string byte = bytes(segment, offset, 1);
    byte[0] = static_cast<char>(byte[0] ^ mask);
    overwrite(segment, offset, byte);
  }
  void damage_batch(CommitSeq commit) { flip(holding(commit).segment, holding(commit).offset + 80); }
  void damage_header(std::uint64_t segment) { flip(segment, 20); }

  // A batch written by hand.
  static std::string make_batch(BatchHeader header, const std::string& records, std::uint64_t segment,
                                const JournalIdentity& identity = test_identity()) {
    std::string batch(kBatchHeaderBytes, '\0');
    batch += records;
    header.encode(batch, batch_seed(identity, segment));
    return batch;
  }

  RecordList above(CommitSeq lmdb, CommitSeq through) const {
    return {history.records.begin() + static_cast<std::ptrdiff_t>(lmdb),
            history.records.begin() + static_cast<std::ptrdiff_t>(through)};
  }

  SimDisk disk;
  StoreHistory history;
  JournalTail tail;
  std::vector<PlacedBatch> batches;  // of all segments that are there, by number and offset

 private:
  void find_batches() {
    batches.clear();
    for (const JournalFiles::Segment& segment : list_journal(disk, kJournalDirectory, test_identity()).segments) {
      if (!segment.header) continue;
      SegmentReader reader(disk, kJournalDirectory, test_identity(), segment.number);
      for (auto found = reader.search(kSegmentHeaderBytes); found;
           found = reader.search(found->offset + align_batch(found->header.length))) {
        batches.push_back({segment.number, found->offset, found->header});
      }
    }
  }

  std::unique_ptr<JournalDriver> driver_;
};

// Recovery refuses, says where, and has changed nothing.
template <typename... Parts>
void expect_refused(SimDisk& disk, CommitSeq lmdb, const Parts&... parts) {
  std::uint64_t operations = disk.operations();
  try {
    recover(disk, lmdb);
    ADD_FAILURE() << "recovery went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Corruption);
    for (const std::string& part : {std::string(parts)..., std::string()}) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << "'" << part << "' is not in: " << error.what();
    }
  }
  EXPECT_EQ(disk.operations(), operations) << "something was changed";
}

inline std::string at_byte(std::uint64_t offset) { return "at byte " + std::to_string(offset); }

}  // namespace azoth::test
