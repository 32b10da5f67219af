// Whatever happens to the bytes of a journal, recovery never yields a wrong record and never loses silently what the
// journal itself says was durable: it yields the right records, or reports damage, or refuses.
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <random>

#include "damaged_journal.h"
#include "support/seed.h"
#include "support/watched_files.h"

namespace azoth::test {
namespace {

// The commits that must not go missing without a word: those that a later batch, or a successor's header, says were
// durable. (Damage in the last synced group cannot be told from a torn tail.)
CommitSeq told_durable(DamagedJournal& journal) {
  CommitSeq told = 0;
  for (const PlacedBatch& placed : journal.batches) told = std::max(told, placed.header.synced_through);
  JournalFiles files = list_journal(journal.disk, kJournalDirectory, test_identity());
  return std::max(told, files.newest()->header->first_commit - 1);
}

// The thread sanitizer makes this many times slower, and finds nothing in what one thread does: it tries some places
// only.
#ifdef __SANITIZE_THREAD__
constexpr std::uint64_t kThin = 16;
#else
constexpr std::uint64_t kThin = 1;
#endif

struct Tally {
  int whole = 0;
  int shorter = 0;
  int reported = 0;
  int refused = 0;
};

std::ostream& operator<<(std::ostream& out, const Tally& tally) {
  return out << tally.whole << " whole, " << tally.shorter << " cut in the last group, " << tally.reported
             << " reported, " << tally.refused << " refused";
}

void check(DamagedJournal& journal, CommitSeq lmdb, CommitSeq told, Tally& tally, const std::string& what) {
  try {
    Recovered recovered = recover(journal.disk, lmdb);
    CommitSeq last = lmdb + recovered.records.size();
    ASSERT_LE(last, std::max(journal.last(), lmdb)) << what;
    for (CommitSeq commit = lmdb + 1; commit <= last; ++commit) {
      ASSERT_EQ(recovered.records[commit - lmdb - 1], journal.history.records[commit - 1])
          << what << ", commit " << commit;
    }
    EXPECT_EQ(recovered.plan.tail.last_commit, last) << what;
    EXPECT_GE(last, std::max(told, lmdb)) << what << ": what was durable is gone without a word";
    ++(!recovered.plan.damage.empty() ? tally.reported : last == journal.last() ? tally.whole : tally.shorter);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Corruption) << what << ": " << error.what();
    ++tally.refused;
  }
}

// Two segments and a spare: durable and merely written batches, one of several commits, LMDB somewhere in between.
void fill(DamagedJournal& journal) {
  journal.durable(40).batch(10, 2).durable(100).flush(1).new_segment();
  journal.durable(30, 3).durable(10).batch(70).batch(5, 2).die();
}

std::vector<CommitSeq> interesting_lmdbs(DamagedJournal& journal) {
  CommitSeq second = list_journal(journal.disk, kJournalDirectory, test_identity()).newest()->header->first_commit;
  return {1, second - 1, second + 2, journal.history.durable, journal.last()};
}

// Where bytes matter: the headers' and batches' first and last ones, and some behind.
std::vector<std::pair<std::uint64_t, std::uint64_t>> places(DamagedJournal& journal) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> result;
  for (const JournalFiles::Segment& segment : list_journal(journal.disk, kJournalDirectory, test_identity()).segments) {
    for (std::uint64_t at = 0; at < 128; ++at) result.emplace_back(segment.number, at);
  }
  for (const PlacedBatch& placed : journal.batches) {
    std::uint64_t end = align_batch(placed.header.length);
    for (std::uint64_t at = 0; at < end; ++at) {
      if (at % kThin != 0) continue;
      if (at < 200 || at + 100 > end || at % 977 == 0) result.emplace_back(placed.segment, placed.offset + at);
    }
  }
  return result;
}

TEST(DamagedJournal, OneFlippedByteNeverMakesAWrongRecord) {
  DamagedJournal journal;
  fill(journal);
  CommitSeq told = told_durable(journal);
  Tally tally;
  for (CommitSeq lmdb : interesting_lmdbs(journal)) {
    for (auto [segment, offset] : places(journal)) {
      for (char mask : {'\x01', '\x80'}) {
        journal.flip(segment, offset, mask);
        check(journal, lmdb, told, tally,
              "LMDB at " + std::to_string(lmdb) + ", segment " + std::to_string(segment) + " " + at_byte(offset));
        journal.flip(segment, offset, mask);
        if (HasFailure()) return;
      }
    }
  }
  std::cout << "one flipped byte: " << tally << "\n";
  EXPECT_GT(std::min({tally.whole, kThin == 1 ? tally.shorter : 1, tally.reported, tally.refused}), 0);
}

TEST(DamagedJournal, ATruncatedFileNeverMakesAWrongRecord) {
  DamagedJournal journal;
  fill(journal);
  CommitSeq told = told_durable(journal);
  JournalFiles files = list_journal(journal.disk, kJournalDirectory, test_identity());
  Tally tally;
  for (const JournalFiles::Segment& segment : files.segments) {
    std::string whole = journal.bytes(segment.number, 0, kSegmentBytes);
    bool newest = &segment == files.newest();
    for (std::uint64_t size = kSegmentBytes - 1; size > 0; size -= std::min<std::uint64_t>(size, 97 * kThin)) {
      journal.disk.open(DamagedJournal::path(segment.number), FileSystem::Mode::Write)->truncate(size);
      // A newest segment that has lost its first batches looks like one that was never begun: nothing tells.
      CommitSeq left = newest && size < 30'000 ? files.newest()->header->first_commit - 1 : told;
      if (newest && size < kSegmentHeaderBytes) left = 0;
      for (CommitSeq lmdb : interesting_lmdbs(journal)) {
        check(journal, lmdb, newest ? left : told, tally,
              "segment " + std::to_string(segment.number) + " cut to " + std::to_string(size));
      }
      if (HasFailure()) return;
    }
    journal.overwrite(segment.number, 0, whole);
  }
  std::cout << "truncated: " << tally << "\n";
  EXPECT_GT(kThin == 1 ? std::min({tally.whole, tally.reported, tally.refused}) : std::min(tally.whole, tally.refused),
            0);
}

// Sectors lost, swapped, stale, or full of noise.
TEST(DamagedJournal, LostAndMisplacedSectorsNeverMakeAWrongRecord) {
  std::mt19937_64 random(test_seed());
  DamagedJournal journal;
  fill(journal);
  CommitSeq told = told_durable(journal);
  std::vector<std::uint64_t> numbers;
  std::map<std::uint64_t, std::string> whole;
  for (const std::string& name : journal.disk.list(kJournalDirectory)) {
    numbers.push_back(parse_segment_name(name).value());
    whole[numbers.back()] = journal.bytes(numbers.back(), 0, kSegmentBytes);
  }
  auto some_segment = [&] { return numbers[random() % numbers.size()]; };
  Tally tally;
  for (std::uint64_t round = 0; round < 6000 / kThin && !HasFailure(); ++round) {
    std::map<std::uint64_t, std::string> before;
    std::string what = "round " + std::to_string(round);
    for (std::uint64_t changes = 1 + random() % 3; changes > 0; --changes) {
      std::uint64_t to = some_segment();
      std::uint64_t from = some_segment();
      std::uint64_t size = 64 << (random() % 4 * 2);
      std::uint64_t target = random() % 40 * 64 + (random() % 2 == 0 ? 4096 : random() % 40'000 / 64 * 64);
      std::uint64_t source = random() % 3 == 0 ? target : random() % 40'000 / 64 * 64;
      std::string bytes = whole[from].substr(std::min<std::uint64_t>(source, whole[from].size()), size);
      if (random() % 4 == 0) bytes.assign(size, static_cast<char>(random() % 2 * 0xff));
      if (target > whole[to].size()) continue;
      before.emplace(to, journal.bytes(to, 0, kSegmentBytes));
      journal.overwrite(to, target, bytes);
      what += ", " + std::to_string(size) + " bytes of segment " + std::to_string(from) + " " + at_byte(source) +
              " to segment " + std::to_string(to) + " " + at_byte(target);
    }
    // Several sectors at once can take with them whoever would tell; a wrong record they can never make.
    CommitSeq lmdb = 1 + random() % journal.last();
    check(journal, lmdb, before.size() > 1 ? 0 : std::min(told, lmdb), tally, what);
    for (const auto& [number, bytes] : before) {
      journal.disk.open(DamagedJournal::path(number), FileSystem::Mode::Write)->truncate(bytes.size());
      journal.overwrite(number, 0, bytes);
    }
  }
  std::cout << "sectors: " << tally << "\n";
  EXPECT_GT(std::min({tally.whole, kThin == 1 ? tally.shorter : 1, tally.reported, tally.refused}), 0);
}

// A value may be made of what looks like thousands of large batches. Behind a torn tail they must not be read one by
// one, each to its alleged end.
TEST(DamagedJournal, ValuesThatLookLikeBatchesDoNotMakeRecoverySlow) {
  DamagedJournal journal;
  journal.durable();
  std::string lure = DamagedJournal::make_batch({.first_commit = 2, .last_commit = 2}, std::string(20'000, 'x'), 3,
                                                test_identity(7, 7))
                         .substr(0, kBatchHeaderBytes);
  std::string record = make_record(2, 30'000);
  for (std::size_t at = 64; at + 64 < record.size(); at += 64) record.replace(at, 64, lure);  // on 64-byte boundaries
  journal.driver().write({record});
  journal.die();
  journal.history.records[1] = record;
  EXPECT_EQ(recover(journal.disk, 0).records.size(), 2u);

  journal.flip(journal.tail.segment_number, journal.tail.valid_bytes - 64 - 10);
  std::uint64_t read = 0;
  WatchedFiles counting({.read = [&](const auto&, std::size_t bytes) { read += bytes; }}, journal.disk);
  EXPECT_EQ(plan_of(counting, 0).tail.last_commit, 1u);
  std::uint64_t files = journal.disk.list(kJournalDirectory).size();
  EXPECT_LT(read, 2 * files * kSegmentBytes);
}

}  // namespace
}  // namespace azoth::test
