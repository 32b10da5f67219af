// Bulk transactions in trouble: no room, no memory, errors of LMDB and of the journal, kills and power cuts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "azoth/core/limits.h"
#include "bulk_commit_support.h"
#include "kept_journal.h"
#include "support/child_process.h"

namespace azoth {
namespace {

using test::bulk_of;
using test::BulkCommitTest;
using test::code_of;
using test::Hold;
using test::in_background;
using test::kBulk;
using test::put;
using test::set_of;
using test::submit;
using test::TestStore;

TEST_F(BulkCommitTest, ADiskWithoutRoomLeavesEverythingAsItWas) {
  TestStore store;
  put(*store, "before", "1");
  {
    fault::Armed full("bulk.apply", {.fail_with = ENOSPC, .times = 1});
    EXPECT_EQ(code_of([&] { return store->submit(bulk_of("key")); }), ErrorCode::NoSpace);
  }
  EXPECT_EQ(store->status().applied_seq, 1u);
  EXPECT_EQ(store->read(Durability::Applied).get("key"), std::nullopt);
  EXPECT_EQ(put(*store, "after", "2").commit_seq, 2u);
  EXPECT_EQ(submit(*store, bulk_of("key"), Durability::Durable).wait().commit_seq, 3u);
  EXPECT_TRUE(store->verify().ok());
}

TEST_F(BulkCommitTest, WithoutMemoryNothingChangesAndTheErrorSaysSo) {
  TestStore store;
  put(*store, "before", "1");
  {
    fault::Armed no_memory("bulk.apply", {.run = [] { throw std::bad_alloc(); }, .times = 1});
    EXPECT_EQ(code_of([&] { return store->submit(bulk_of("key")); }), ErrorCode::OutOfMemory);
  }
  EXPECT_EQ(store->status().applied_seq, 1u);
  EXPECT_EQ(submit(*store, bulk_of("key"), Durability::Durable).wait().commit_seq, 2u);
}

TEST_F(BulkCommitTest, WhenWhatCameBeforeCannotBeFlushedItFailsAndNothingHasChanged) {
  TestStore store;
  put(*store, "before", "1");
  {
    test::LmdbIsFull full;
    EXPECT_EQ(code_of([&] { return store->submit(bulk_of("key")); }), ErrorCode::NoSpace);
    EXPECT_EQ(put(*store, "meanwhile", "2").commit_seq, 2u);
  }
  EXPECT_EQ(submit(*store, bulk_of("key"), Durability::Durable).wait().commit_seq, 3u);
}

TEST_F(BulkCommitTest, AMapThatIsTooSmallIsNoSpaceAndNothingIsLost) {
  Options options = test::quiet_options();
  options.map_bytes = std::size_t{8} << 20;
  TestStore store(options);
  int stored = 0;
  ErrorCode code{};
  while (code == ErrorCode{} && stored < 100) {
    code = code_of([&] { return store->submit(bulk_of("key" + std::to_string(stored))); });
    if (code == ErrorCode{}) ++stored;
  }
  EXPECT_EQ(code, ErrorCode::NoSpace);
  EXPECT_GT(stored, 2);
  EXPECT_EQ(store->status().state_keys, static_cast<std::uint64_t>(stored));
  for (int i = 0; i < stored; ++i) test::del(*store, "key" + std::to_string(i));
  store->checkpoint();
  EXPECT_TRUE(store->verify().ok());
}

TEST_F(BulkCommitTest, AnLmdbErrorFailsTheStoreAndLeavesTheOutcomeOpen) {
  TestStore store;
  put(*store, "before", "1");
  {
    fault::Armed after("bulk.committed", {.fail_with = EIO, .times = 1});
    EXPECT_TRUE(test::fails_with_unknown_outcome([&] { return store->submit(bulk_of("key")); }));
  }
  EXPECT_TRUE(test::is_refused_for_good([&] { return store->submit(set_of("a")); }));
  store.close();
  store.open();
  EXPECT_EQ(store->status().applied_seq, 2u) << "this time it was committed";
  EXPECT_EQ(store->read().get("key"), std::string(kBulk, 'b'));
  EXPECT_TRUE(store->verify().ok());
}

TEST_F(BulkCommitTest, AFailedLmdbCommitForWhoseMessageThereIsNoMemoryLeavesTheOutcomeOpen) {
  TestStore store;
  store->flush();
  {
    fault::Armed fails("lmdb.commit", {.run = [] { throw std::bad_alloc(); }});
    EXPECT_TRUE(test::fails_with_unknown_outcome([&] { return store->submit(bulk_of("key")); }));
  }
  EXPECT_TRUE(test::is_refused_for_good([&] { return store->submit(set_of("a")); }));
}

TEST_F(BulkCommitTest, WhenTheJournalCannotBeToldTheCommitIsDurableAllTheSame) {
  TestStore store;
  put(*store, "before", "1");
  store->flush();
  fault::Armed journal("journal.write", {.fail_with = EIO, .times = 1});
  Ticket ticket = submit(*store, bulk_of("key"), Durability::Durable);
  EXPECT_EQ(ticket.wait().commit_seq, 2u);
  EXPECT_TRUE(test::is_refused_for_good([&] { return store->submit(set_of("a")); }));
  store.close();
  store.open();
  EXPECT_EQ(store->read().get("key"), std::string(kBulk, 'b'));
}

TEST_F(BulkCommitTest, DyingAnywhereLeavesAllOfItOrNothing) {
  for (const char* point : {"bulk.apply", "flush.apply", "lmdb.commit", "bulk.committed", "journal.write"}) {
    test::TempDir parent;
    std::filesystem::path directory = parent.path() / "store";
    Store::create(directory, test::quiet_options());
    test::ChildProcess child([&] {
      std::unique_ptr<Store> store = Store::open(directory, test::quiet_options());
      put(*store, "before", "1");
      store->checkpoint();
      fault::arm(point, {.kill = true});
      submit(*store, bulk_of("key"), Durability::Durable).wait();
    });
    child.wait();
    ASSERT_TRUE(child.was_killed()) << point;
    std::unique_ptr<Store> store = Store::open(directory, test::quiet_options());
    bool committed = point == std::string("bulk.committed") || point == std::string("journal.write");
    EXPECT_EQ(store->status().applied_seq, committed ? 2u : 1u) << point;
    EXPECT_EQ(store->read().exists("key"), committed) << point;
    EXPECT_EQ(store->status().recovery.damage, std::vector<std::string>()) << point;
    VerifyReport report = store->verify();
    EXPECT_EQ(report.problems, std::vector<std::string>()) << point;
    EXPECT_EQ(report.notes, std::vector<std::string>()) << point;
    EXPECT_EQ(put(*store, "after", "1").commit_seq, committed ? 3u : 2u) << point;
  }
}

// A power cut may take the batches by which the journal is told of them: nobody has waited for those to be synced.
TEST_F(BulkCommitTest, OfSeveralTheJournalNeedNotHaveBeenToldDurably) {
  TestStore store;
  put(*store, "before", "1");
  store->checkpoint();
  for (const char* key : {"a", "b", "c"}) submit(*store, bulk_of(key), Durability::Durable).wait();
  const std::vector<std::vector<CommitSeq>> cases = {{2, 3, 4}, {3, 4}, {4}, {2}, {3}, {2, 3}, {2, 4}};
  for (const std::vector<CommitSeq>& lost : cases) {
    SCOPED_TRACE(testing::PrintToString(lost));
    test::TempDir parent;
    const std::filesystem::path copy = parent.path() / "store";
    test::copy_store(store.directory(), copy);
    for (const test::PlacedInStore& batch : test::batches_in(copy, test::identity_of(*store))) {
      if (std::ranges::find(lost, batch.header.first_commit) == lost.end()) continue;
      FileSystem::posix().open(batch.file, FileSystem::Mode::Write)->write_at(batch.offset, std::string(64, '\0'));
    }
    for (CommitSeq life = 0; life < 3; ++life) {
      std::unique_ptr<Store> cut = Store::open(copy, test::quiet_options());
      EXPECT_EQ(cut->status().recovery.damage, std::vector<std::string>());
      EXPECT_EQ(cut->status().applied_seq, 4 + life);
      for (const char* key : {"a", "b", "c"}) EXPECT_EQ(cut->read().get(key), std::string(kBulk, 'b'));
      VerifyReport report = cut->verify();
      EXPECT_EQ(report.problems, std::vector<std::string>());
      EXPECT_EQ(report.notes, std::vector<std::string>());
      EXPECT_EQ(put(*cut, "after", "1").commit_seq, 5 + life);
    }
  }
}

}  // namespace
}  // namespace azoth
