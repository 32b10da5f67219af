#include "journal.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "journal_driver.h"
#include "journal_reader.h"
#include "support/seed.h"
#include "support/sim_disk.h"
#include "support/thrown.h"

namespace azoth::test {
namespace {

using test::code_of;

using Kind = DiskOperation::Kind;

std::vector<std::uint64_t> numbers_on(FileSystem& fs) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : fs.list(kJournalDirectory)) numbers.push_back(parse_segment_name(name).value());
  return numbers;
}

// Writes so many bytes that the next large batch starts a new segment.
void fill_segment(JournalDriver& driver) {
  std::uint64_t number = 0;
  do {
    driver.write({make_record(driver.history().records.size() + 1, 20'000)});
    if (number == 0) number = driver.journal().tail().segment_number;
  } while (driver.journal().tail().valid_bytes + 20'000 <= kSegmentBytes);
  driver.sync();
}

// Counts operations, and lets those of one kind fail or wait.
class Watch {
 public:
  explicit Watch(SimDisk& disk) : disk_(disk) {
    disk.observe([this](const DiskOperation& operation) {
      ++counts_[operation.kind];
      if (operation.kind != kind_) return;
      if (blocks_) open_.get_future().wait();
      if (fails_) throw Error(code_, "the test lets this fail");
    });
  }
  ~Watch() { disk_.observe(nullptr); }

  void fail(Kind kind, ErrorCode code) {
    kind_ = kind;
    code_ = code;
    fails_ = true;
  }
  void pass() { fails_ = false; }
  void block(Kind kind) {
    kind_ = kind;
    blocks_ = true;
  }
  void unblock() { open_.set_value(); }
  int count(Kind kind) const { return counts_.at(kind); }

 private:
  SimDisk& disk_;
  std::map<Kind, std::atomic<int>> counts_ = [] {
    std::map<Kind, std::atomic<int>> counts;
    for (int kind = 0; kind <= static_cast<int>(Kind::SyncDirectory); ++kind) counts[static_cast<Kind>(kind)] = 0;
    return counts;
  }();
  std::atomic<Kind> kind_{Kind::Create};
  std::atomic<ErrorCode> code_{ErrorCode::Io};
  std::atomic<bool> fails_{false};
  std::atomic<bool> blocks_{false};
  std::promise<void> open_;
};

TEST(Journal, OfANewStoreIsDurableWithOneSegmentAndOneSpare) {
  SimDisk disk;
  create_store(disk);
  std::unique_ptr<SimDisk> cut = disk.power_cut(choose::none(), choose::none());
  JournalFiles files = list_journal(*cut, kJournalDirectory, test_identity());
  ASSERT_EQ(files.segments.size(), 2u);
  ASSERT_TRUE(files.segments[0].header);
  EXPECT_EQ(files.segments[0].header->first_commit, 1u);
  EXPECT_FALSE(files.segments[1].header);
  EXPECT_EQ(files.segments[1].bytes, kSegmentBytes);
  EXPECT_EQ(files.newest(), &files.segments[0]);
  EXPECT_EQ(files.find(2), &files.segments[1]);
  EXPECT_EQ(files.find(3), nullptr);
  EXPECT_EQ(files.highest_number(), 2u);
}

TEST(Journal, ListingIgnoresWhatIsNoSegment) {
  SimDisk disk;
  create_store(disk);
  disk.open(kJournalDirectory / "notes.txt", FileSystem::Mode::Create);
  disk.open(kJournalDirectory / "0000000000000009.seg.tmp", FileSystem::Mode::Create);
  EXPECT_EQ(list_journal(disk, kJournalDirectory, test_identity()).segments.size(), 2u);
  EXPECT_TRUE(list_journal(disk, "/nowhere", test_identity()).segments.empty());
}

TEST(Journal, FirstBatchOfALifeStartsASegmentNumberedAboveAllSeen) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  driver->write({make_record(1, 100)});
  EXPECT_GT(driver->journal().tail().segment_number, 2u);
  driver->sync();
  driver->journal().stop();
  StoreHistory history = driver->history();
  driver.reset();

  Recovered recovered = recover(disk, 0);
  EXPECT_EQ(recovered.records, history.records);
  std::uint64_t highest = recovered.files.highest_number();
  std::string old =
      read_file(disk, kJournalDirectory / segment_name(recovered.plan.tail.segment_number), kSegmentBytes);
  history.lmdb = 1;
  JournalDriver second(disk, recovered.plan.tail, recovered.files, history);
  second.settle();
  second.write({make_record(2, 100)});
  EXPECT_GT(second.journal().tail().segment_number, highest);
  EXPECT_EQ(read_file(disk, kJournalDirectory / segment_name(recovered.plan.tail.segment_number), kSegmentBytes), old)
      << "an old segment is never written again";
}

TEST(Journal, BatchesFormOneChainThroughTheSegments) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  for (int i = 0; i < 3; ++i) fill_segment(*driver);
  driver->write(
      {make_record(driver->history().records.size() + 1, 10), make_record(driver->history().records.size() + 2, 33)});
  driver->journal().stop();

  JournalFiles files = list_journal(disk, kJournalDirectory, test_identity());
  const JournalFiles::Segment* last = nullptr;
  std::uint64_t end = 0;
  std::uint64_t link = 0;
  CommitSeq next = 1;
  int batches = 0;
  for (const JournalFiles::Segment& segment : files.segments) {
    if (!segment.header) continue;
    EXPECT_EQ(segment.header->first_commit, next);
    if (last != nullptr && segment.header->previous_number == last->number && end != 0) {
      EXPECT_EQ(segment.header->previous_valid_bytes, end);
      EXPECT_EQ(segment.header->previous_checksum, link);
    }
    SegmentReader reader(disk, kJournalDirectory, test_identity(), segment.number);
    link = segment.header->checksum;
    end = kSegmentHeaderBytes;
    while (auto batch = reader.read(end)) {
      EXPECT_EQ(end % kBatchAlignment, 0u);
      EXPECT_EQ(batch->previous_checksum, link);
      EXPECT_EQ(batch->first_commit, next);
      EXPECT_LT(batch->synced_through, batch->first_commit);
      next = batch->last_commit + 1;
      link = batch->checksum;
      end += align_batch(batch->length);
      ++batches;
    }
    last = &segment;
  }
  EXPECT_EQ(next, driver->history().records.size() + 1);
  EXPECT_GT(batches, 6);
  EXPECT_EQ(driver->journal().tail().segment_number, last->number);
  EXPECT_EQ(driver->journal().tail().valid_bytes, end);
  EXPECT_EQ(driver->journal().tail().checksum, link);
  EXPECT_EQ(driver->journal().tail().last_commit, next - 1);
}

TEST(Journal, KeepsOneSpareReadyAndTheLeaderNeverAllocates) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  driver->settle();
  for (int i = 0; i < 5; ++i) {
    fill_segment(*driver);
    EXPECT_TRUE(driver->journal().wait_for_spare(kNoDeadline));
    std::uint64_t number = driver->journal().tail().segment_number;
    EXPECT_EQ(disk.open(kJournalDirectory / segment_name(number), FileSystem::Mode::Read)->size(), kSegmentBytes)
        << "a segment never grows";
  }
}

TEST(Journal, RecyclesTrimmedSegmentsInsteadOfZeroFilling) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  driver->settle();
  fill_segment(*driver);
  fill_segment(*driver);
  driver->flush(driver->history().durable);
  Watch watch(disk);
  std::set<std::uint64_t> used;
  for (int i = 0; i < 10; ++i) {
    fill_segment(*driver);
    driver->flush(driver->history().durable);
    used.insert(driver->journal().tail().segment_number);
  }
  EXPECT_EQ(watch.count(Kind::Create), 0);
  EXPECT_GE(watch.count(Kind::Rename), 9);
  EXPECT_EQ(used.size(), 10u) << "each under a number of its own";
}

TEST(Journal, NumbersAscendThroughAllLives) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  StoreHistory history;
  std::uint64_t highest_used = 0;
  for (int life = 0; life < 6; ++life) {
    for (int i = 0; i < 3; ++i) {
      fill_segment(*driver);
      EXPECT_GT(driver->journal().tail().segment_number, highest_used);
      highest_used = driver->journal().tail().segment_number;
      if (life % 2 == 0) driver->flush(driver->history().durable);
    }
    driver->journal().stop();
    history = driver->history();
    driver.reset();
    Recovered recovered = recover(disk, history.lmdb);
    EXPECT_EQ(recovered.plan.tail.segment_number, highest_used);
    history.lmdb = history.durable;
    driver = std::make_unique<JournalDriver>(disk, recovered.plan.tail, recovered.files, history);
  }
}

TEST(Journal, ASegmentIsKeptUntilLmdbHoldsAllOfIt) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  fill_segment(*driver);
  std::uint64_t first = driver->journal().tail().segment_number;
  CommitSeq last_of_first = driver->history().durable;
  fill_segment(*driver);
  auto kept = [&] {
    driver->settle();
    return disk.exists(kJournalDirectory / segment_name(first));
  };
  driver->flush(last_of_first - 1);
  EXPECT_TRUE(kept());
  driver->flush(last_of_first);
  EXPECT_FALSE(kept());
  fill_segment(*driver);
  driver->flush(driver->history().durable);
  EXPECT_TRUE(disk.exists(kJournalDirectory / segment_name(driver->journal().tail().segment_number)))
      << "the one that is written to stays";
}

TEST(Journal, KeepsFourSparesAndRemovesTheRest) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  for (int i = 0; i < 9; ++i) fill_segment(*driver);
  driver->settle();
  EXPECT_GE(numbers_on(disk).size(), 10u);
  driver->flush(driver->history().durable);
  EXPECT_EQ(numbers_on(disk).size(), 5u);
  EXPECT_EQ(driver->journal().segments_on_disk(), 5u);
  EXPECT_EQ(driver->journal().disk_bytes(), 5 * kSegmentBytes);
}

TEST(Journal, OpeningZeroFillsOnlyIfNothingCanBeRecycled) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  fill_segment(*driver);
  driver->close();
  StoreHistory history = driver->history();
  driver.reset();
  auto creations = [&] {
    Recovered recovered = recover(disk, history.lmdb, history.clean);
    Watch watch(disk);
    JournalDriver opened(disk, recovered.plan.tail, recovered.files, history);
    opened.settle();
    opened.journal().stop();
    return watch.count(Kind::Create);
  };
  EXPECT_EQ(creations(), 0);
  EXPECT_EQ(creations(), 0) << "nor the next time";
  for (const JournalFiles::Segment& segment : list_journal(disk, kJournalDirectory, test_identity()).segments) {
    if (!segment.header) disk.remove(kJournalDirectory / segment_name(segment.number));
  }
  EXPECT_EQ(creations(), 1);
}

TEST(Journal, SparesOfAnotherSizeAreReplaced) {
  SimDisk disk;
  create_store(disk);
  Recovered recovered = recover(disk, 0);
  Journal journal(disk, kJournalDirectory, test_identity(), 2 * kSegmentBytes, recovered.plan.tail, recovered.files);
  EXPECT_TRUE(journal.wait_for_spare(kNoDeadline));
  journal.stop();
  for (const JournalFiles::Segment& segment : list_journal(disk, kJournalDirectory, test_identity()).segments) {
    if (segment.number == recovered.plan.tail.segment_number) continue;
    EXPECT_EQ(segment.bytes, 2 * kSegmentBytes);
  }
}

// Whoever zero-filled or renamed the spare may have died before its directory entry was durable.
TEST(Journal, ASpareOfAnEarlierLifeIsUsedOnlyUnderADurableName) {
  SimDisk disk;
  create_store(disk);
  disk.rename(kJournalDirectory / segment_name(2), kJournalDirectory / segment_name(9));  // and no sync
  Recovered recovered = recover(disk, 0);
  JournalDriver driver(disk, recovered.plan.tail, recovered.files, {});
  driver.write({make_record(1, 500)});
  driver.sync();
  std::unique_ptr<SimDisk> cut = disk.power_cut(choose::none(), choose::none());
  EXPECT_EQ(recover(*cut, 0).records, driver.history().records);
}

TEST(Journal, ASpareOfAnEarlierLifeHasADurableSizeBeforeItsHeaderTellsIt) {
  SimDisk disk;
  create_store(disk);
  disk.remove(kJournalDirectory / segment_name(2));
  std::unique_ptr<File> spare = disk.open(kJournalDirectory / segment_name(3), FileSystem::Mode::Create);
  spare->truncate(kSegmentBytes / 2);
  spare->sync_data();
  spare->truncate(kSegmentBytes);  // and no sync
  std::vector<std::unique_ptr<SimDisk>> cuts;
  disk.observe([&](const DiskOperation& operation) {
    if (operation.kind != Kind::Sync) return;
    cuts.push_back(disk.power_cut([](const PendingWrite& piece) { return piece.kind == PendingWrite::Kind::Bytes; }));
  });
  Recovered recovered = recover(disk, 0);
  {
    JournalDriver driver(disk, recovered.plan.tail, recovered.files, {});
    driver.write({make_record(1, 500)});
  }
  disk.observe(nullptr);
  EXPECT_GE(cuts.size(), 2u);
  for (const auto& cut : cuts) EXPECT_NO_THROW(recover(*cut, 0));
}

TEST(Journal, EverySegmentHasADurableNameAndSizeBeforeItIsUsed) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  for (int i = 0; i < 6; ++i) {
    fill_segment(*driver);
    if (i % 2 == 1) driver->flush(driver->history().durable);
    std::unique_ptr<SimDisk> cut = disk.power_cut(choose::none(), choose::none());
    std::filesystem::path path = kJournalDirectory / segment_name(driver->journal().tail().segment_number);
    ASSERT_TRUE(cut->exists(path));
    EXPECT_EQ(cut->open(path, FileSystem::Mode::Read)->size(), kSegmentBytes);
  }
}

TEST(Journal, SaysNoSpaceWhenASpareCannotBeMadeAndGoesOnWhenItCan) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  Journal& journal = driver->journal();
  driver->settle();
  Watch watch(disk);
  watch.fail(Kind::Create, ErrorCode::NoSpace);
  std::vector<std::uint64_t> before = numbers_on(disk);
  ASSERT_TRUE(journal.take_spare());
  EXPECT_EQ(code_of([&] { journal.wait_for_spare(kNoDeadline); }), ErrorCode::NoSpace);
  EXPECT_FALSE(journal.take_spare());
  EXPECT_EQ(code_of([&] { journal.wait_for_spare(kNoDeadline); }), ErrorCode::NoSpace)
      << "it is tried again, and fails";
  EXPECT_EQ(numbers_on(disk), before) << "nothing is left behind";
  watch.pass();
  EXPECT_TRUE(journal.wait_for_spare(kNoDeadline));
  EXPECT_TRUE(journal.take_spare());
}

TEST(Journal, AFullDiskLeavesNoHalfMadeSpare) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  Journal& journal = driver->journal();
  driver->settle();
  std::vector<std::uint64_t> before = numbers_on(disk);
  Watch watch(disk);
  watch.fail(Kind::Write, ErrorCode::NoSpace);
  ASSERT_TRUE(journal.take_spare());
  EXPECT_EQ(code_of([&] { journal.wait_for_spare(kNoDeadline); }), ErrorCode::NoSpace);
  EXPECT_EQ(numbers_on(disk), before);
}

TEST(Journal, WhatIsTrimmedRelievesAJournalWithoutSpace) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  fill_segment(*driver);
  fill_segment(*driver);
  driver->settle();
  Journal& journal = driver->journal();
  Watch watch(disk);
  watch.fail(Kind::Create, ErrorCode::NoSpace);
  ASSERT_TRUE(journal.take_spare());
  EXPECT_EQ(code_of([&] { journal.wait_for_spare(kNoDeadline); }), ErrorCode::NoSpace);
  journal.trim(driver->history().durable, driver->history().durable);
  while (!journal.take_spare()) {
    try {
      journal.wait_for_spare(kNoDeadline);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::NoSpace);
    }
  }
}

TEST(Journal, ASegmentThatCannotBeUsedAgainIsNoTroubleForWhoeverWaitsForASpare) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  fill_segment(*driver);
  fill_segment(*driver);
  driver->settle();
  Journal& journal = driver->journal();
  Watch watch(disk);
  watch.fail(Kind::Rename, ErrorCode::NotFound);
  ASSERT_TRUE(journal.take_spare());
  journal.trim(driver->history().durable, driver->history().durable);
  EXPECT_TRUE(journal.wait_for_spare(kNoDeadline));
  EXPECT_TRUE(journal.take_spare());
}

// What whoever waits for a spare is told when that is what fails.
ErrorCode code_of_waiting(Kind kind, ErrorCode failing) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  driver->settle();
  Watch watch(disk);
  watch.fail(kind, failing);
  Journal& journal = driver->journal();
  EXPECT_TRUE(journal.take_spare());
  const ErrorCode code = code_of([&] { journal.wait_for_spare(kNoDeadline); });
  EXPECT_FALSE(journal.take_spare());
  return code;
}

TEST(Journal, AFailedDirectorySyncMakesNoSpare) {
  EXPECT_EQ(code_of_waiting(Kind::SyncDirectory, ErrorCode::Io), ErrorCode::Io);
}

TEST(Journal, ThatItsDirectoryIsGoneIsAnErrorOfTheDiskForWhoeverWaitsForASpare) {
  EXPECT_EQ(code_of_waiting(Kind::Create, ErrorCode::NotFound), ErrorCode::Io);
}

TEST(Journal, WaitingForASpareEndsAtTheDeadline) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  driver->settle();
  Watch watch(disk);
  watch.block(Kind::Create);
  ASSERT_TRUE(driver->journal().take_spare());
  EXPECT_FALSE(driver->journal().wait_for_spare(deadline_after(std::chrono::milliseconds(1))));
  watch.unblock();
  EXPECT_TRUE(driver->journal().wait_for_spare(kNoDeadline));
}

TEST(Journal, StopWakesWaitersWithClosed) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  driver->settle();
  Watch watch(disk);
  watch.block(Kind::Create);
  Journal& journal = driver->journal();
  ASSERT_TRUE(journal.take_spare());
  auto waiter = std::async(std::launch::async, [&] { return code_of([&] { journal.wait_for_spare(kNoDeadline); }); });
  auto stopper = std::async(std::launch::async, [&] { journal.stop(); });
  EXPECT_EQ(waiter.get(), ErrorCode::Closed);
  watch.unblock();
  stopper.get();
  EXPECT_EQ(code_of([&] { journal.wait_for_spare(kNoDeadline); }), ErrorCode::Closed);
}

TEST(Journal, StopRecyclesWhatIsTrimmedAndMakesNoNewSpare) {
  SimDisk disk;
  auto driver = drive_new_store(disk);
  for (int i = 0; i < 3; ++i) fill_segment(*driver);
  driver->settle();
  driver->settles = false;
  std::uint64_t current = driver->journal().tail().segment_number;
  driver->flush(driver->history().durable);
  driver->journal().stop();
  EXPECT_EQ(numbers_on(disk).front(), current) << "what was trimmed has a higher number now";
  Watch watch(disk);
  driver->journal().take_spare();
  driver->journal().stop();
  EXPECT_EQ(watch.count(Kind::Create), 0);
}

TEST(Journal, LeadersErrorsReachTheLeader) {
  for (const char* point : {"journal.write", "journal.sync", "journal.start_segment"}) {
    SimDisk disk;
    auto driver = drive_new_store(disk);
    fault::Armed fault(point, {.fail_with = EIO});
    auto commit = [&] {
      driver->write({make_record(1, 10)});
      driver->sync();
    };
    EXPECT_EQ(code_of(commit), ErrorCode::Io) << point;
  }
  SimDisk disk;
  auto driver = drive_new_store(disk);
  driver->write({make_record(1, 10)});
  driver->settle();
  disk.fail_write(1, 100);
  EXPECT_EQ(code_of([&] { driver->write({make_record(2, 10)}); }), ErrorCode::NoSpace);
}

// Clients take spares and wait for them, the leader uses them, trimmed segments come back, and the disk fails now and
// then: everybody gets a spare or an error that says why.
TEST(Journal, SparesAreHandedOutOnceToManyThreads) {
  std::mt19937_64 random(test_seed());
  SimDisk disk;
  create_store(disk);
  Recovered recovered = recover(disk, 0);
  Journal journal(disk, kJournalDirectory, test_identity(), kSegmentBytes, recovered.plan.tail, recovered.files);
  std::uint64_t coins = random();
  std::atomic<bool> over{false};
  disk.observe([&](const DiskOperation& operation) {
    bool keepers = operation.kind == Kind::Create || operation.kind == Kind::SyncDirectory;
    if (!over && keepers && choose::coin(coins, operation.number)) throw Error(ErrorCode::NoSpace, "now and then");
  });
  std::mutex leader;
  CommitSeq started = 0;
  std::string batch(kBatchHeaderBytes, '\0');
  std::set<std::uint64_t> numbers;
  std::vector<std::thread> clients;
  std::atomic<int> errors{0};
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&] {
      for (int taken = 0; taken < 60;) {
        if (!journal.take_spare()) {
          try {
            journal.wait_for_spare(kNoDeadline);
          } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::NoSpace) << error.what();
            ++errors;
          }
          continue;
        }
        ++taken;
        std::lock_guard lock(leader);
        journal.start_segment(++started);
        journal.write(batch, {.first_commit = started, .last_commit = started});
        numbers.insert(journal.tail().segment_number);
        if (started % 3 == 0) journal.trim(started, started);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  over = true;
  EXPECT_EQ(numbers.size(), 240u);
  EXPECT_EQ(*numbers.rbegin(), journal.tail().segment_number);
  EXPECT_GT(errors, 0);
  journal.stop();
  disk.observe(nullptr);
}

}  // namespace
}  // namespace azoth::test
