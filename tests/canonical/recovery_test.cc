#include "recovery.h"

#include <gtest/gtest.h>

#include "azoth/core/codec.h"
#include "damaged_journal.h"

namespace azoth::test {
namespace {

using Journaled = DamagedJournal;

// --- What is whole

TEST(Recovery, ReplaysExactlyWhatIsAboveLmdb) {
  Journaled j;
  j.durable(300, 3).batch(50).new_segment().durable(10, 2).new_segment().batch(500).die();
  for (CommitSeq lmdb = 0; lmdb <= j.last(); ++lmdb) {
    Recovered recovered = recover(j.disk, lmdb);
    EXPECT_EQ(recovered.records, j.above(lmdb, j.last())) << "LMDB at " << lmdb;
    EXPECT_TRUE(recovered.plan.damage.empty());
    EXPECT_EQ(recovered.plan.tail.segment_number, j.tail.segment_number);
    EXPECT_EQ(recovered.plan.tail.valid_bytes, j.tail.valid_bytes);
    EXPECT_EQ(recovered.plan.tail.checksum, j.tail.checksum);
    EXPECT_EQ(recovered.plan.tail.last_commit, j.last());
  }
}

TEST(Recovery, OfANewStoreReplaysNothing) {
  SimDisk disk;
  create_store(disk);
  Recovered recovered = recover(disk, 0);
  EXPECT_TRUE(recovered.records.empty());
  EXPECT_EQ(recovered.plan.tail.segment_number, 1u);
  EXPECT_EQ(recovered.plan.tail.valid_bytes, kSegmentHeaderBytes);
  EXPECT_EQ(recovered.plan.tail.last_commit, 0u);
}

TEST(Recovery, PlansWithoutChangingAnything) {
  Journaled j;
  j.durable().batch().die();
  std::uint64_t operations = j.disk.operations();
  plan_of(j.disk, 0);
  EXPECT_EQ(j.disk.operations(), operations);
}

TEST(Recovery, MakesDurableWhatItReplays) {
  Journaled j;
  j.batch().new_segment().batch().batch().die();
  Recovered recovered = recover(j.disk, 0);
  EXPECT_EQ(recovered.records, j.history.records);
  std::unique_ptr<SimDisk> cut = j.disk.power_cut(choose::none(), choose::none());
  EXPECT_EQ(recover(*cut, 0).records, j.history.records);
}

TEST(Recovery, DoesNotNeedSegmentsThatLmdbHoldsAll) {
  Journaled j;
  j.durable().new_segment().durable().new_segment().durable().die();
  std::uint64_t last = j.tail.segment_number;
  CommitSeq first_of_last = list_journal(j.disk, kJournalDirectory, test_identity()).find(last)->header->first_commit;
  for (const std::string& name : j.disk.list(kJournalDirectory)) {
    if (name != segment_name(last)) j.disk.remove(kJournalDirectory / name);
  }
  EXPECT_EQ(recover(j.disk, first_of_last - 1).records, j.above(first_of_last - 1, j.last()));
  expect_refused(j.disk, first_of_last - 2, "missing");
}

TEST(Recovery, LmdbMayEndInTheMiddleOfABatch) {
  Journaled j;
  j.durable(100, 5).durable(100, 3).die();
  EXPECT_EQ(recover(j.disk, 3).records, j.above(3, 8));
  EXPECT_EQ(recover(j.disk, 6).records, j.above(6, 8));
}

// --- A torn tail

TEST(Recovery, ATornBatchEndsTheChain) {
  Journaled j;
  j.durable().durable().batch(400).die();
  const PlacedBatch torn = j.holding(3);
  for (std::uint64_t at = 0; at < torn.header.length; at += 7) {
    j.flip(torn.segment, torn.offset + at);
    Recovered recovered = recover(j.disk, 0);
    EXPECT_EQ(recovered.records, j.above(0, 2));
    EXPECT_TRUE(recovered.plan.damage.empty());
    EXPECT_EQ(recovered.plan.tail.valid_bytes, torn.offset);
    EXPECT_EQ(recovered.plan.tail.last_commit, 2u);
    j.flip(torn.segment, torn.offset + at);
  }
}

TEST(Recovery, WhatWasWrittenBehindATornBatchIsDropped) {
  Journaled j;
  j.durable().batch().batch().batch().die();
  j.damage_batch(2);
  EXPECT_EQ(recover(j.disk, 0).records, j.above(0, 1));
  EXPECT_EQ(recover(j.disk, 1).records, RecordList());
}

TEST(Recovery, DroppedBatchesStayDroppedBehindNewOnesOfEqualLength) {
  Journaled j;
  j.durable().batch().batch().batch().die();
  j.damage_batch(2);
  j.reopen();
  j.driver().write({make_record(2, 100, 99)});
  j.die();
  EXPECT_EQ(j.last(), 2u);
  for (CommitSeq lmdb : {1, 2}) EXPECT_EQ(recover(j.disk, lmdb).records, j.above(lmdb, 2));
}

// --- Damage above M

TEST(Recovery, RefusesDamageToWhatALaterBatchKnewToBeDurable) {
  Journaled j;
  j.durable().durable().durable(200, 2).batch().die();
  for (CommitSeq commit : {1, 2, 3, 4}) {
    j.damage_batch(commit);
    const PlacedBatch& placed = j.holding(commit);
    for (CommitSeq lmdb = 0; lmdb < placed.header.last_commit; ++lmdb) {
      expect_refused(j.disk, lmdb, Journaled::path(placed.segment).string(), at_byte(placed.offset));
    }
    j.damage_batch(commit);
  }
}

TEST(Recovery, RefusesDamageThatABatchFarBehindKnowsOf) {
  Journaled j;
  j.durable().batch().batch();
  j.driver().sync();
  j.batch().die();  // says that 3 was durable
  j.damage_batch(2);
  j.damage_batch(3);
  expect_refused(j.disk, 0, at_byte(j.holding(2).offset));
}

TEST(Recovery, RefusesDamageBeforeTheEndThatASuccessorRecorded) {
  Journaled j;
  j.durable().new_segment().die();
  CommitSeq last_of_first = list_journal(j.disk, kJournalDirectory, test_identity()).newest()->header->first_commit - 1;
  for (CommitSeq commit = 1; commit <= last_of_first; ++commit) {
    j.damage_batch(commit);
    expect_refused(j.disk, commit - 1, Journaled::path(j.holding(commit).segment).string(),
                   at_byte(j.holding(commit).offset));
    j.damage_batch(commit);
  }
}

TEST(Recovery, RefusesWhenTheBatchThatHoldsTheNextCommitIsDamaged) {
  Journaled j;
  j.durable(100, 4).durable().batch().die();
  j.damage_batch(1);
  expect_refused(j.disk, 2, "commit 3");
  EXPECT_EQ(recover(j.disk, 4).records, j.above(4, 6));
}

// --- Damage up to M

TEST(Recovery, ReportsDamageOfWhatLmdbHoldsAndGoesOn) {
  Journaled j;
  j.durable().durable().durable().durable().batch().die();
  for (CommitSeq commit : {1, 2, 3, 4}) {
    j.damage_batch(commit);
    for (CommitSeq lmdb = commit; lmdb <= j.last(); ++lmdb) {
      Recovered recovered = recover(j.disk, lmdb);
      EXPECT_EQ(recovered.records, j.above(lmdb, j.last()));
      EXPECT_EQ(recovered.plan.tail.last_commit, j.last());
      ASSERT_EQ(recovered.plan.damage.size(), 1u);
      EXPECT_NE(recovered.plan.damage[0].find(at_byte(j.holding(commit).offset)), std::string::npos);
      EXPECT_NE(recovered.plan.damage[0].find(Journaled::path(j.holding(commit).segment).string()), std::string::npos);
    }
    j.damage_batch(commit);
  }
}

TEST(Recovery, ReportsDamageInASegmentWithASuccessorAndGoesOn) {
  Journaled j;
  j.durable().durable().new_segment().durable().die();
  j.damage_batch(1);
  Recovered recovered = recover(j.disk, 1);
  EXPECT_EQ(recovered.records, j.above(1, j.last()));
  EXPECT_EQ(recovered.plan.damage.size(), 1u);
}

TEST(Recovery, ReportsDamageWithNothingBehindIt) {
  Journaled j;
  j.durable().durable().die();
  j.damage_batch(2);
  Recovered recovered = recover(j.disk, 2);
  EXPECT_TRUE(recovered.records.empty());
  EXPECT_EQ(recovered.plan.damage.size(), 1u);
  EXPECT_EQ(recovered.plan.tail.last_commit, 2u);
}

TEST(Recovery, ThatABatchOfABulkTransactionIsNotThereIsNoDamage) {
  Journaled j;
  j.durable().durable().durable().durable().die();
  for (CommitSeq lost : {3, 4}) j.damage_batch(lost);
  const JournalFiles files = list_journal(j.disk, kJournalDirectory, test_identity());
  const auto damage = [&](CommitSeq told_through) {
    return plan_recovery(j.disk, kJournalDirectory, test_identity(), files, 4, std::nullopt, told_through)
        .damage.size();
  };
  EXPECT_EQ(damage(2), 0u);
  EXPECT_EQ(damage(3), 1u);
  EXPECT_EQ(damage(4), 1u);
  j.damage_batch(4);  // whole again: behind what is not there
  EXPECT_EQ(damage(2), 0u);
  EXPECT_EQ(damage(3), 1u);
}

TEST(Recovery, ReportsDamageOfEverythingLmdbHolds) {
  Journaled j;
  j.durable().durable().durable().batch().die();
  for (CommitSeq commit : {1, 3}) j.damage_batch(commit);
  Recovered recovered = recover(j.disk, 3);
  EXPECT_EQ(recovered.records, j.above(3, 4));
  EXPECT_EQ(recovered.plan.damage.size(), 2u);
}

// --- Missing and foreign files

TEST(Recovery, RefusesWithoutAJournal) {
  Journaled j;
  j.durable().die();
  for (const std::string& name : j.disk.list(kJournalDirectory)) {
    if (name != segment_name(j.tail.segment_number)) continue;
    j.disk.remove(kJournalDirectory / name);
  }
  j.disk.remove(kJournalDirectory / segment_name(1));
  expect_refused(j.disk, 0, "no segment with a valid header");  // spares alone
  for (const std::string& name : j.disk.list(kJournalDirectory)) j.disk.remove(kJournalDirectory / name);
  expect_refused(j.disk, 0, "no segment with a valid header");
  expect_refused(j.disk, 1, "no segment with a valid header");
  j.disk.remove(kJournalDirectory);
  expect_refused(j.disk, 0, "no segment with a valid header");
}

TEST(Recovery, RefusesAMissingSegmentInTheMiddle) {
  Journaled j;
  j.durable().new_segment().durable().new_segment().durable().die();
  std::uint64_t middle = list_journal(j.disk, kJournalDirectory, test_identity()).newest()->header->previous_number;
  j.disk.remove(Journaled::path(middle));
  expect_refused(j.disk, 0, segment_name(middle));
}

TEST(Recovery, RefusesAJournalOfAnotherStoreOrTimeline) {
  Journaled j;
  j.durable().die();
  for (const JournalIdentity& other : {test_identity(9, 2), test_identity(1, 9)}) {
    std::uint64_t operations = j.disk.operations();
    EXPECT_THROW(recover(j.disk, 0, {}, other), Error);
    EXPECT_EQ(j.disk.operations(), operations);
  }
}

TEST(Recovery, IgnoresASegmentOfAnotherStore) {
  Journaled j;
  j.durable().die();
  SegmentHeader foreign{.number = 99, .first_commit = 1};
  j.disk.open(Journaled::path(99), FileSystem::Mode::Create)->write_at(0, foreign.encode(test_identity(9, 9)));
  EXPECT_EQ(recover(j.disk, 0).records, j.history.records);
}

TEST(Recovery, RefusesASegmentThatBeginsWithTheWrongCommit) {
  Journaled j;
  j.durable().durable().die();
  SegmentHeader next{.number = 99,
                     .first_commit = 4,
                     .previous_number = j.tail.segment_number,
                     .previous_valid_bytes = j.tail.valid_bytes,
                     .previous_checksum = j.tail.checksum};
  j.disk.open(Journaled::path(99), FileSystem::Mode::Create)->write_at(0, next.encode(test_identity()));
  expect_refused(j.disk, 1, segment_name(99), "begins with commit 4");
  EXPECT_EQ(recover(j.disk, 3).plan.tail.segment_number, 99u);
}

TEST(Recovery, RefusesASegmentThatDoesNotEndAsItsSuccessorRecorded) {
  Journaled j;
  j.durable().durable().die();
  SegmentHeader good{.number = 99,
                     .first_commit = 3,
                     .previous_number = j.tail.segment_number,
                     .previous_valid_bytes = j.tail.valid_bytes,
                     .previous_checksum = j.tail.checksum};
  auto recovered_with = [&](SegmentHeader header) {
    if (j.disk.exists(Journaled::path(99))) j.disk.remove(Journaled::path(99));
    j.disk.open(Journaled::path(99), FileSystem::Mode::Create)->write_at(0, header.encode(test_identity()));
    return recover(j.disk, 1).records;
  };
  EXPECT_EQ(recovered_with(good), j.above(1, 2));
  SegmentHeader other = good;
  other.previous_checksum ^= 1;
  EXPECT_THROW(recovered_with(other), Error);
  for (std::uint64_t end : {good.previous_valid_bytes - 1, good.previous_valid_bytes + 1,
                            good.previous_valid_bytes + 64, kSegmentHeaderBytes, std::uint64_t{0}, UINT64_MAX}) {
    other = good;
    other.previous_valid_bytes = end;
    EXPECT_THROW(recovered_with(other), Error) << end;
  }
}

TEST(Recovery, BytesBehindARecordedEndAreDeadForEver) {
  Journaled j;
  j.durable().batch().batch().die();
  const PlacedBatch second = j.holding(2);
  SegmentHeader next{.number = 99,
                     .first_commit = 2,
                     .previous_number = second.segment,
                     .previous_valid_bytes = second.offset,
                     .previous_checksum = j.holding(1).header.checksum};
  auto file = j.disk.open(Journaled::path(99), FileSystem::Mode::Create);
  file->write_at(0, next.encode(test_identity()));
  std::string other = make_record(2, 100, 5);
  file->write_at(
      kSegmentHeaderBytes,
      Journaled::make_batch({.first_commit = 2, .last_commit = 2, .previous_checksum = next.checksum}, other, 99));
  EXPECT_EQ(recover(j.disk, 0).records, (RecordList{j.history.records[0], other}));
  // Not even when they would fit behind damage.
  j.damage_batch(1);
  expect_refused(j.disk, 0);
  EXPECT_EQ(recover(j.disk, 1).records, RecordList{other});
}

TEST(Recovery, RefusesABatchOfAnotherCopyOfTheStore) {
  Journaled ours;
  ours.durable().durable().die();
  Journaled theirs;
  theirs.driver().write({make_record(1, 100, 7)});
  theirs.driver().write({make_record(2, 100, 7)});
  theirs.die();
  const PlacedBatch& place = ours.holding(2);
  ASSERT_EQ(place.offset, theirs.holding(2).offset);
  ASSERT_EQ(place.segment, theirs.holding(2).segment);
  ours.overwrite(place.segment, place.offset, theirs.bytes(place.segment, place.offset, place.header.length));
  for (CommitSeq lmdb : {0, 1, 2}) expect_refused(ours.disk, lmdb, at_byte(place.offset));
}

// --- Headers

TEST(Recovery, RefusesABadHeaderBeforeCommitsAboveLmdb) {
  Journaled j;
  j.durable().new_segment().durable().durable().die();
  CommitSeq first = list_journal(j.disk, kJournalDirectory, test_identity()).newest()->header->first_commit;
  j.damage_header(j.tail.segment_number);
  for (CommitSeq lmdb = 0; lmdb < j.last(); ++lmdb) expect_refused(j.disk, lmdb, segment_name(j.tail.segment_number));
  ASSERT_GT(j.last(), first + 1) << "so that some of them were above the first batch";
  Recovered recovered = recover(j.disk, j.last());
  EXPECT_TRUE(recovered.records.empty());
  ASSERT_FALSE(recovered.plan.damage.empty());
  EXPECT_NE(recovered.plan.damage[0].find(segment_name(j.tail.segment_number)), std::string::npos);
  EXPECT_EQ(recovered.plan.tail.last_commit, j.last());
}

TEST(Recovery, RefusesABadHeaderThoughOnlyALaterBatchIsValid) {
  Journaled j;
  j.durable().new_segment().durable().durable().die();
  j.damage_header(j.tail.segment_number);
  j.flip(j.tail.segment_number, kSegmentHeaderBytes);
  expect_refused(j.disk, 0, segment_name(j.tail.segment_number));
}

TEST(Recovery, RefusesABadHeaderInTheMiddle) {
  Journaled j;
  j.durable().new_segment().durable().new_segment().durable().die();
  std::uint64_t middle = list_journal(j.disk, kJournalDirectory, test_identity()).newest()->header->previous_number;
  j.damage_header(middle);
  expect_refused(j.disk, 0, segment_name(middle));
}

// The end of the segment before is then unknown: what a power failure cut from it must not pass for its continuation.
TEST(Recovery, CutCommitsDoNotComeBackWhenTheHeaderBehindThemIsLost) {
  Journaled j;
  j.durable().batch().batch(100, 3).die();  // 1 | 2 | 3 4 5
  j.damage_batch(2);                        // cut: 2 and what is behind it
  j.reopen();
  j.driver().write({make_record(2, 70, 9), make_record(3, 70, 9)});
  j.driver().sync();
  j.die();  // after LMDB has taken 2 and 3, before anything was trimmed
  EXPECT_TRUE(recover(j.disk, 3).records.empty());
  j.damage_header(j.tail.segment_number);
  Recovered recovered = recover(j.disk, 3);
  EXPECT_TRUE(recovered.records.empty()) << "commits 4 and 5 were cut";
  EXPECT_EQ(recovered.plan.tail.last_commit, 3u);
  EXPECT_FALSE(recovered.plan.damage.empty());
}

// --- LMDB

TEST(Recovery, RefusesWhenLmdbHasLostCommits) {
  Journaled j;
  j.durable().durable().flush(2).durable().durable().flush(3).batch().die();
  for (CommitSeq lmdb : {0, 1, 2}) expect_refused(j.disk, lmdb, "LMDB", "commit " + std::to_string(lmdb));
  EXPECT_EQ(recover(j.disk, 3).records, j.above(3, 5));
}

TEST(Recovery, RefusesWhenABatchBehindATornOneKnowsThatLmdbHasLostCommits) {
  Journaled j;
  j.durable().durable().flush(2).batch().batch().die();
  j.damage_batch(3);
  expect_refused(j.disk, 1, "LMDB");
  EXPECT_TRUE(recover(j.disk, 2).records.empty());
}

TEST(Recovery, AcceptsAnLmdbAheadOfTheJournal) {
  Journaled j;
  j.durable().die();
  Recovered recovered = recover(j.disk, 2);  // a bulk commit whose batch was not written any more
  EXPECT_TRUE(recovered.records.empty());
  EXPECT_EQ(recovered.plan.tail.last_commit, 2u);
}

// --- The mark of a clean close

TEST(Recovery, OfACleanlyClosedJournalReadsNothing) {
  Journaled j;
  j.durable().durable().die(true);
  ASSERT_TRUE(j.history.clean);
  j.damage_batch(1);
  j.damage_batch(2);
  Recovered recovered = recover(j.disk, 2, j.history.clean);
  EXPECT_TRUE(recovered.plan.damage.empty());
  EXPECT_EQ(recovered.plan.tail.valid_bytes, j.tail.valid_bytes);
  EXPECT_EQ(recovered.plan.tail.last_commit, 2u);
  EXPECT_EQ(recover(j.disk, 2).plan.damage.size(), 1u) << "without the mark it is seen";
}

TEST(Recovery, ACleanMarkEndsWithTheFirstSegmentBehindIt) {
  Journaled j;
  j.durable().die(true);
  auto clean = j.history.clean;
  j.reopen().batch().die();
  EXPECT_EQ(recover(j.disk, 1, clean).records, j.above(1, 2));
}

TEST(Recovery, ACleanMarkOfAnotherLmdbIsNotBelieved) {
  Journaled j;
  j.durable().durable().die(true);
  EXPECT_EQ(recover(j.disk, 1, j.history.clean).records, j.above(1, 2));
}

TEST(Recovery, ACleanMarkDoesNotHideABadHeader) {
  Journaled j;
  j.durable().die(true);
  auto clean = j.history.clean;
  j.reopen().durable().die();
  j.damage_header(j.tail.segment_number);
  EXPECT_THROW(recover(j.disk, 1, clean), Error);
}

TEST(Recovery, ACleanMarkMakesABadHeaderOfOldCommitsAReport) {
  Journaled j;
  j.durable().new_segment().durable();
  std::uint64_t old = j.driver().journal().tail().segment_number;
  j.new_segment().durable().die();
  JournalTail clean = j.tail;
  j.damage_header(old);
  Recovered recovered = recover(j.disk, j.last(), clean);
  EXPECT_TRUE(recovered.records.empty());
  ASSERT_EQ(recovered.plan.damage.size(), 1u);
  EXPECT_NE(recovered.plan.damage[0].find(segment_name(old)), std::string::npos);
}

// --- Batches whose checksum is right and whose content is not

class CraftedBatch : public testing::Test {
 protected:
  CraftedBatch() { journal_.durable().die(); }

  ErrorCode recovered_with(BatchHeader header, const std::string& records) {
    header.previous_checksum = journal_.tail.checksum;
    std::uint64_t segment = journal_.tail.segment_number;
    journal_.overwrite(segment, journal_.tail.valid_bytes, Journaled::make_batch(header, records, segment));
    try {
      recover(journal_.disk, 0);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode{};
  }

  Journaled journal_;
};

TEST_F(CraftedBatch, IsReplayedOnlyIfItsRecordsAreTheCommitsItClaims) {
  std::string two = make_record(2, 10);
  std::string three = make_record(3, 10);
  BatchHeader both{.first_commit = 2, .last_commit = 3};
  EXPECT_EQ(recovered_with(both, two + three), ErrorCode{});
  EXPECT_EQ(recovered_with(both, two), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with(both, three), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with(both, three + two), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with(both, two + two), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with(both, two + make_record(4, 10)), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with(both, ""), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with(both, two + three.substr(0, three.size() - 1)), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with(both, std::string(200, '\xff')), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with({.first_commit = 2, .last_commit = 2}, two + three), ErrorCode::Corruption);
}

TEST_F(CraftedBatch, IsRefusedIfItDoesNotContinueWithTheNextCommit) {
  EXPECT_EQ(recovered_with({.first_commit = 3, .last_commit = 3}, make_record(3, 10)), ErrorCode::Corruption);
  EXPECT_EQ(recovered_with({.first_commit = 1, .last_commit = 1}, make_record(1, 10)), ErrorCode::Corruption);
}

}  // namespace
}  // namespace azoth::test
