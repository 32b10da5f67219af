// Following a journal that another process writes: everything in order, nothing unsynced, and recycling noticed.
#include "journal_follower.h"

#include <gtest/gtest.h>

#include <random>

#include "journal_driver.h"
#include "support/seed.h"
#include "support/sim_disk.h"

namespace azoth::test {
namespace {

class JournalFollowerTest : public testing::Test {
 protected:
  JournalFollowerTest() : driver_(drive_new_store(disk_)), follower_(disk_, kJournalDirectory, test_identity()) {}

  void write(int batches, int records = 1, std::size_t bytes = 100) {
    for (int i = 0; i < batches; ++i) {
      RecordList list;
      for (int j = 0; j < records; ++j) list.push_back(make_record(driver_->history().records.size() + 1 + j, bytes));
      driver_->write(list);
    }
  }
  CommitSeq last() const { return driver_->history().records.size(); }

  // Beside a keeper that is at work a follower may find a file gone and start again; here nothing is to be left to
  // chance.
  void start(CommitSeq lmdb_commit) {
    driver_->settle();
    seen_ = lmdb_commit;
    follower_.start(lmdb_commit, take());
  }
  bool advance() {
    driver_->settle();
    return follower_.advance(take());
  }

  // Each record is the next one, unchanged, and survives a power cut already when it is handed on.
  JournalFollower::EachRecord take() {
    return [this](std::string_view record) {
      ASSERT_EQ(record, driver_->history().records.at(seen_));
      ++seen_;
    };
  }
  CommitSeq surviving() {
    auto cut = disk_.power_cut(choose::none());
    return recover(*cut, driver_->history().lmdb).plan.tail.last_commit;
  }

  SimDisk disk_;
  std::unique_ptr<JournalDriver> driver_;
  JournalFollower follower_;
  CommitSeq seen_ = 0;
};

TEST_F(JournalFollowerTest, AnEmptyJournalHasNothing) {
  start(0);
  EXPECT_EQ(seen_, 0u);
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, 0u);
}

TEST_F(JournalFollowerTest, BeginsBehindLmdbsCommitAndHandsOnWhatCame) {
  write(3, 4);
  start(5);
  EXPECT_EQ(seen_, 12u);
  write(2);
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, 14u);
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, 14u);
}

TEST_F(JournalFollowerTest, SyncsItselfWhatItHandsOn) {
  write(2);
  start(0);
  EXPECT_EQ(seen_, 2u);
  EXPECT_EQ(surviving(), 2u);
  write(2);
  EXPECT_EQ(surviving(), 2u);
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, 4u);
  EXPECT_EQ(surviving(), 4u);
}

TEST_F(JournalFollowerTest, WhatCannotBeSyncedIsNotHandedOn) {
  start(0);
  write(1);
  start(0);
  write(1);
  driver_->settle();  // which would take the failure
  disk_.fail_next_sync(".seg");
  EXPECT_THROW(advance(), Error);
  EXPECT_EQ(seen_, 1u);
}

TEST_F(JournalFollowerTest, GoesOnAcrossSegments) {
  start(0);
  for (int round = 0; round < 5; ++round) {
    write(5, 1, 20'000);  // three to a segment
    EXPECT_TRUE(advance());
    EXPECT_EQ(seen_, last());
  }
}

// Whoever waits for it wants what there was when it began.
TEST_F(JournalFollowerTest, AWriterThatIsAsFastIsNotFollowedForEver) {
  start(0);
  write(1);
  const CommitSeq before = last();
  driver_->settle();
  const JournalFollower::EachRecord take = this->take();
  EXPECT_TRUE(follower_.advance([&](std::string_view record) {
    take(record);
    ASSERT_LT(seen_, 100u) << "it is followed for ever";
    write(4, 1, 20'000);  // more than a segment
    driver_->settle();
  }));
  EXPECT_GE(seen_, before);
  EXPECT_LT(seen_, last());
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, last());
}

TEST_F(JournalFollowerTest, ABatchThatIsNotWholeYetIsWaitedFor) {
  write(1);
  start(0);
  // The batch gets to the file in two pieces.
  std::filesystem::path path = kJournalDirectory / segment_name(driver_->journal().tail().segment_number);
  std::uint64_t offset = driver_->journal().tail().valid_bytes;
  write(1, 1, 5000);
  auto file = disk_.open(path, FileSystem::Mode::Write);
  std::string rest(2000, '\0');
  file->read_at(offset + 3000, rest.data(), rest.size());
  file->write_at(offset + 3000, std::string(rest.size(), '\0'));
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, 1u);
  file->write_at(offset + 3000, rest);
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, 2u);
}

TEST_F(JournalFollowerTest, SaysWhenItsPlaceWasRecycled) {
  write(1);
  driver_->sync();
  start(0);
  for (int round = 0; round < 4; ++round) {
    write(4, 1, 20'000);
    driver_->sync();
    driver_->flush(last());
  }
  EXPECT_FALSE(advance());
  start(driver_->history().lmdb);
  EXPECT_EQ(seen_, last());
  write(1);
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, last());
}

TEST_F(JournalFollowerTest, SaysWhenABulkTransactionLeftACommitOut) {
  write(2);
  start(0);
  driver_->bulk(make_record(3, 100), [] {});
  EXPECT_FALSE(advance());
  start(driver_->history().lmdb);
  driver_->bulk(make_record(4, 100), [] {});
  write(2);
  EXPECT_FALSE(advance()) << "what came behind it belongs on top of it";
  start(driver_->history().lmdb);
  EXPECT_EQ(seen_, last());
}

TEST_F(JournalFollowerTest, GoesOnWithTheNextLifeOfTheWriter) {
  write(2);
  start(0);
  auto after = disk_.crash();
  StoreHistory history = driver_->history();
  Recovered recovered = recover(*after, 0);
  ASSERT_EQ(recovered.records.size(), 2u);
  history.lmdb = history.durable = history.written = 2;
  history.batches.clear();
  JournalFollower follower(*after, kJournalDirectory, test_identity());
  CommitSeq seen = 0;
  auto count = [&](std::string_view record) { EXPECT_EQ(RecordReader(record).header().commit_seq, ++seen); };
  follower.start(0, count);
  JournalDriver next(*after, recovered.plan.tail, recovered.files, history);
  next.write({make_record(3, 100)});
  EXPECT_TRUE(follower.advance(count));
  EXPECT_EQ(seen, 3u);
}

TEST_F(JournalFollowerTest, IsNotHeldUpByABulkTransactionOfWhichTheJournalIsToldLater) {
  write(2);
  driver_->bulk(make_record(3, 100), [this] { start(3); });
  write(2);
  EXPECT_TRUE(advance());
  EXPECT_EQ(seen_, last());
}

// The writer was killed when LMDB had the bulk transaction and the journal did not know of it.
TEST_F(JournalFollowerTest, SaysWhenTheNextLifeBeginsBehindABulkTransaction) {
  write(2);
  std::unique_ptr<SimDisk> after;
  StoreHistory history;
  driver_->bulk(make_record(3, 100), [&] {
    after = disk_.crash();
    history = driver_->history();
  });
  JournalFollower follower(*after, kJournalDirectory, test_identity());
  CommitSeq seen = 0;
  auto count = [&](std::string_view record) { EXPECT_EQ(RecordReader(record).header().commit_seq, ++seen); };
  follower.start(0, count);
  ASSERT_EQ(seen, 2u);
  Recovered recovered = recover(*after, 3);
  JournalDriver next(*after, recovered.plan.tail, recovered.files, history);
  next.write({make_record(4, 100)});
  EXPECT_FALSE(follower.advance(count));
  EXPECT_EQ(seen, 2u);
}

TEST_F(JournalFollowerTest, NeverMissesOrRepeatsACommitWhateverTheWriterDoes) {
  std::mt19937_64 random(test_seed());
  start(0);
  for (int step = 0; step < 600; ++step) {
    switch (random() % 5) {
      case 0:
        driver_->sync();
        driver_->flush(driver_->history().durable);
        break;
      case 1:
        if (!advance()) start(driver_->history().lmdb);
        ASSERT_EQ(seen_, last());
        break;
      case 2:
        if (random() % 8 == 0) driver_->bulk(make_record(last() + 1, 100), [] {});
        break;
      default:
        write(1 + static_cast<int>(random() % 3), 1 + static_cast<int>(random() % 3), random() % 9000);
    }
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace azoth::test
