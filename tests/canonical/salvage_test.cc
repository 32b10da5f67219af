// What is kept of a damaged journal: never a wrong record, and all that lies before the damage.
#include "salvage.h"

#include <gtest/gtest.h>

#include <iostream>
#include <limits>

#include "damaged_journal.h"

namespace azoth::test {
namespace {

using Journaled = DamagedJournal;

Salvage salvage(SimDisk& disk, CommitSeq lmdb, CommitSeq at_most = std::numeric_limits<CommitSeq>::max(),
                const JournalIdentity& identity = test_identity()) {
  std::uint64_t operations = disk.operations();
  Salvage result = salvage_journal(disk, kJournalDirectory, identity, list_journal(disk, kJournalDirectory, identity),
                                   lmdb, at_most);
  EXPECT_EQ(disk.operations(), operations) << "something was changed";
  return result;
}

RecordList kept_records(SimDisk& disk, const Salvage& salvaged, CommitSeq lmdb) {
  RecordList records;
  replay(disk, kJournalDirectory, test_identity(), salvaged.plan, lmdb,
         [&](std::string_view record) { records.emplace_back(record); });
  return records;
}

bool is_refused(SimDisk& disk, CommitSeq lmdb) {
  try {
    recover(disk, lmdb);
    return false;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Corruption);
    return true;
  }
}

// Three segments; every commit durable but the last ones.
void fill(Journaled& journal) {
  journal.durable(40).durable(10, 2).durable(100).flush(1).new_segment();
  journal.durable(30, 3).durable(10).new_segment().durable(70).durable(5, 2).batch(20).die();
}

TEST(Salvage, OfAHealthyJournalKeepsEverything) {
  Journaled j;
  fill(j);
  for (CommitSeq lmdb = 1; lmdb <= j.last(); ++lmdb) {
    Salvage all = salvage(j.disk, lmdb);
    EXPECT_TRUE(all.damage.empty());
    EXPECT_EQ(all.lost_commits, 0u);
    EXPECT_EQ(all.newest_known_commit, j.last());
    EXPECT_EQ(kept_records(j.disk, all, lmdb), j.above(lmdb, j.last()));
  }
}

TEST(Salvage, KeepsNoMoreThanItIsTold) {
  Journaled j;
  fill(j);
  for (CommitSeq at_most = 1; at_most <= j.last(); ++at_most) {
    CommitSeq whole = 1;  // batches are not divided
    for (const PlacedBatch& batch : j.batches) {
      if (batch.header.last_commit <= at_most) whole = std::max(whole, batch.header.last_commit);
    }
    Salvage some = salvage(j.disk, 1, at_most);
    EXPECT_EQ(kept_records(j.disk, some, 1), j.above(1, whole));
    EXPECT_EQ(some.lost_commits, j.last() - whole);
  }
}

// Any byte of a batch or of a header: all before it is kept, nothing behind it, and what is behind it is counted.
TEST(Salvage, KeepsAllBeforeTheDamageAndNothingBehindIt) {
  Journaled j;
  fill(j);
  int salvaged = 0;
  for (CommitSeq lmdb : {CommitSeq{1}, CommitSeq{3}, CommitSeq{6}, j.last() - 4}) {
    auto check = [&](CommitSeq damaged, std::uint64_t segment, std::uint64_t offset) {
      j.flip(segment, offset);
      if (is_refused(j.disk, lmdb)) {
        SCOPED_TRACE("LMDB at " + std::to_string(lmdb) + ", segment " + std::to_string(segment) + " " +
                     at_byte(offset));
        Salvage rest = salvage(j.disk, lmdb);
        CommitSeq kept = std::max(lmdb, damaged - 1);
        EXPECT_EQ(rest.plan.tail.last_commit, kept);
        EXPECT_EQ(kept_records(j.disk, rest, lmdb), j.above(lmdb, kept));
        EXPECT_FALSE(rest.damage.empty());
        EXPECT_LE(kept + rest.lost_commits, j.last());
        ++salvaged;
      }
      j.flip(segment, offset);
    };
    for (const PlacedBatch& batch : j.batches) {
      for (std::uint64_t at : {0, 9, 17, 25, 33, 41, 49, 57, 64, 70, 100}) {
        if (at < batch.header.length) check(batch.header.first_commit, batch.segment, batch.offset + at);
      }
    }
    for (const JournalFiles::Segment& segment : list_journal(j.disk, kJournalDirectory, test_identity()).segments) {
      for (std::uint64_t at = 0; at < 92 && segment.header; at += 3) {
        check(segment.header->first_commit, segment.number, at);
      }
    }
    if (HasFailure()) return;
  }
  std::cout << salvaged << " damaged journals\n";
  EXPECT_GT(salvaged, 100);
}

// The end of the segment before a lost header is not known: what an earlier recovery cut from it must not come back.
TEST(Salvage, DoesNotBringBackWhatARecoveryHasCut) {
  Journaled j;
  j.durable().batch().batch(100, 3).die();  // 1 | 2 | 3 4 5
  std::string second = j.bytes(j.holding(2).segment, j.holding(2).offset, j.holding(2).header.length);
  PlacedBatch place = j.holding(2);
  j.damage_batch(2);
  j.reopen();
  j.driver().write({make_record(2, 70, 9), make_record(3, 70, 9)});
  j.driver().sync();
  j.driver().write({make_record(4, 70, 9)});
  j.driver().sync();
  j.die();
  j.overwrite(place.segment, place.offset, second);  // the device remembers it
  j.damage_header(j.tail.segment_number);
  for (bool first_is_lost : {false, true}) {
    if (first_is_lost) j.flip(j.tail.segment_number, kSegmentHeaderBytes + 70);
    for (CommitSeq lmdb : {1, 2, 3}) {
      ASSERT_TRUE(is_refused(j.disk, lmdb));
      Salvage rest = salvage(j.disk, lmdb);
      EXPECT_EQ(rest.plan.tail.last_commit, lmdb);
      EXPECT_EQ(rest.kept_events, 0u);
      EXPECT_TRUE(rest.plan.extents.empty());
      EXPECT_FALSE(rest.damage.empty());
    }
  }
}

TEST(Salvage, DoesNotCountWhatARecoveryHasCut) {
  Journaled j;
  j.durable().batch().batch(100, 3).die();
  j.damage_batch(2);
  j.reopen();
  j.driver().write({make_record(2, 70, 9)});
  j.driver().sync();
  j.driver().write({make_record(3, 70, 9)});
  j.driver().sync();
  j.die();
  for (const PlacedBatch& batch : j.batches) {
    if (batch.segment == j.tail.segment_number && batch.header.first_commit == 2)
      j.flip(batch.segment, batch.offset + 70);
  }
  ASSERT_TRUE(is_refused(j.disk, 1));
  Salvage rest = salvage(j.disk, 1);
  EXPECT_EQ(rest.plan.tail.last_commit, 1u);
  EXPECT_EQ(rest.lost_commits, 1u) << "commit 3 of the second life; 3 to 5 of the first one are long dead";
  EXPECT_EQ(rest.newest_known_commit, 3u);
}

TEST(Salvage, HasNoSayWhenLmdbHasLostCommits) {
  Journaled j;
  j.durable().durable().flush(2).durable().durable().die();
  j.damage_batch(4);
  EXPECT_THROW(salvage(j.disk, 1), Error);
}

// --- Timelines

JournalIdentity after_repair(CommitSeq fork) {
  JournalIdentity identity = test_identity(1, 7);
  identity.lineage = {{identity.timeline, test_identity().timeline, fork}, {.id = test_identity().timeline}};
  return identity;
}

TEST(RecoveryOnANewTimeline, PassesOverWhatAnAncestorLeft) {
  Journaled j;
  fill(j);
  CommitSeq fork = 3;
  JournalIdentity identity = after_repair(fork);
  SegmentHeader first{.number = 99, .first_commit = fork + 1};
  auto file = j.disk.open(Journaled::path(99), FileSystem::Mode::Create);
  file->write_at(0, first.encode(identity));
  std::string record = make_record(fork + 1, 100, 5);
  file->write_at(kSegmentHeaderBytes,
                 Journaled::make_batch({.first_commit = 4, .last_commit = 4, .previous_checksum = first.checksum},
                                       record, 99, identity));
  for (bool damaged : {false, true}) {
    if (damaged) {
      j.damage_batch(2);
      j.damage_header(j.batches.back().segment);
    }
    Recovered recovered = recover(j.disk, fork, {}, identity);
    EXPECT_EQ(recovered.records, RecordList{record});
    EXPECT_TRUE(recovered.plan.damage.empty());
    EXPECT_EQ(salvage(j.disk, fork, 100, identity).lost_commits, 0u);
  }
}

TEST(RecoveryOnANewTimeline, RefusesAStrangerThatTellsOfCommitsAboveLmdb) {
  Journaled j;
  j.durable().durable().die();
  JournalIdentity stranger = test_identity(1, 9);
  auto leave = [&](CommitSeq first_commit, const std::string& batch) {
    SegmentHeader header{.number = 99, .first_commit = first_commit};
    auto file = j.disk.exists(Journaled::path(99)) ? j.disk.open(Journaled::path(99), FileSystem::Mode::Write)
                                                   : j.disk.open(Journaled::path(99), FileSystem::Mode::Create);
    file->write_at(0, header.encode(stranger) + batch);
  };
  leave(3, "");  // a repair that had not ended
  EXPECT_EQ(recover(j.disk, 2).plan.tail.segment_number, j.tail.segment_number);
  leave(4, "");
  expect_refused(j.disk, 2, segment_name(99), stranger.timeline.text(), "commit 3");
  leave(2, Journaled::make_batch({.first_commit = 2, .last_commit = 3}, make_record(2, 10) + make_record(3, 10), 99,
                                 stranger));
  expect_refused(j.disk, 2, segment_name(99), "commit 3");
  EXPECT_THROW(recover(j.disk, 2, j.tail), Error) << "not after a clean close either";
  j.disk.open(Journaled::path(99), FileSystem::Mode::Write)->truncate(kSegmentHeaderBytes);
  EXPECT_EQ(recover(j.disk, 2).plan.tail.segment_number, j.tail.segment_number);
}

TEST(Timelines, ShareWithAnAncestorWhatLiesBeforeEveryForkOnTheWay) {
  auto id = [](std::uint8_t number) { return test_identity(1, number).timeline; };
  Lineage lineage = {{id(4), id(3), 20}, {id(3), id(2), 30}, {id(2), id(1), 10}, {.id = id(1)}};
  EXPECT_EQ(shared_through(lineage, id(4)), std::numeric_limits<CommitSeq>::max());
  EXPECT_EQ(shared_through(lineage, id(3)), 20u);
  EXPECT_EQ(shared_through(lineage, id(2)), 20u) << "the way there leaves it earlier";
  EXPECT_EQ(shared_through(lineage, id(1)), 10u);
  EXPECT_FALSE(shared_through(lineage, id(5)));
}

}  // namespace
}  // namespace azoth::test
