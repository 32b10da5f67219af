// How a failure is set and noted for readers in other processes, and that a new store begins clean.
#include "commit_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "journal.h"
#include "store_files.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using test::code_of;
using test::set_of;

TEST(FailureTest, IsNotedOnceAndBeforeAnybodyCanSeeIt) {
  for (bool out_of_memory : {false, true}) {
    Failure failure;
    std::vector<bool> seen;
    failure.on_set([&] { seen.push_back(failure.failed()); });
    for (int i = 0; i < 2; ++i) {
      if (out_of_memory) {
        failure.set_out_of_memory();
      } else {
        failure.set(Error(ErrorCode::Io, "the first cause"));
      }
      EXPECT_TRUE(failure.failed());
    }
    failure.set(Error(ErrorCode::Io, "another cause"));
    EXPECT_THAT(seen, testing::ElementsAre(false));
    EXPECT_THAT(failure.error().what(), testing::HasSubstr(out_of_memory ? "out of memory" : "the first cause"));
  }
}

TEST(FailureTest, WhatBecomesDurableMeanwhileIsNotedToo) {
  CommitState state;
  std::vector<CommitSeq> noted;
  state.marks.durable.store(1);
  state.failure.on_set([&] { noted.push_back(state.marks.durable.load()); });
  state.failure.durable_has_moved();
  EXPECT_THAT(noted, testing::IsEmpty());  // nothing has failed
  state.failure.set(Error(ErrorCode::Io, "the cause"));
  state.marks.durable.store(2);
  state.failure.durable_has_moved();
  EXPECT_THAT(noted, testing::ElementsAre(1, 2));
}

class FailureNoteTest : public test::WritePath {
 protected:
  std::optional<CommitSeq> note() const { return failed_writer_durable_seq(StorePaths(store_.directory())); }

  test::TestStore store_;
};

TEST_F(FailureNoteTest, SaysThroughWhichCommitAStoreWithoutMemoryWasDurable) {
  test::commit(*store_, set_of("a"), Durability::Durable);
  test::commit(*store_, set_of("b"), Durability::Written);
  EXPECT_EQ(note(), std::nullopt);
  fault::Armed fault("sequencer.insert", {.fail_with = ENOMEM});
  EXPECT_EQ(code_of([&] { return store_->submit(set_of("c")); }), ErrorCode::StoreFailed);
  EXPECT_EQ(note(), 1u);
}

// The sync that was under way when something else failed has succeeded, and its commit was acknowledged.
TEST_F(FailureNoteTest, CountsASyncThatSucceedsWhileTheStoreFails) {
  test::commit(*store_, set_of("a"), Durability::Durable);
  test::Hold sync("journal.sync");
  auto waiting = test::in_background([&] { return test::commit(*store_, set_of("b"), Durability::Durable); });
  sync.wait_for_arrivals();
  {
    fault::Armed fault("sequencer.insert", {.fail_with = ENOMEM});
    EXPECT_EQ(code_of([&] { return store_->submit(set_of("c")); }), ErrorCode::StoreFailed);
  }
  EXPECT_EQ(note(), 1u);
  sync.release();
  EXPECT_EQ(waiting.get().commit_seq, 2u);
  EXPECT_EQ(note(), 2u);
}

TEST_F(FailureNoteTest, StaysUntilTheStoreWasRecovered) {
  test::commit(*store_, set_of("a"), Durability::Durable);
  {
    fault::Armed fault("journal.sync", {.fail_with = EIO});
    EXPECT_TRUE(test::fails_with_unknown_outcome(
        [&] { return test::commit(*store_, set_of("b"), Durability::Durable); }));
  }
  store_.close();
  EXPECT_EQ(note(), 1u);
  {
    fault::Armed fault("lmdb.commit", {.fail_with = EIO});
    EXPECT_EQ(code_of([&] { store_.open(); }), ErrorCode::Io);
  }
  EXPECT_EQ(note(), 1u);
  store_.open();
  EXPECT_EQ(note(), std::nullopt);
}

TEST(NewStoreTest, IsCleanAndItsFirstCommitStartsASegment) {
  test::TestStore store;
  EXPECT_TRUE(store->status().recovery.clean);
  EXPECT_EQ(store->status().recovery.recovered_commits, 0u);
  store.reopen();
  EXPECT_TRUE(store->status().recovery.clean);
  test::commit(*store, set_of("a"), Durability::Durable);
  Meta meta = store->meta();
  JournalFiles files = list_journal(FileSystem::posix(), StorePaths(store.directory()).journal,
                                    {meta.store_id, meta.timeline});
  ASSERT_NE(files.newest(), nullptr);
  EXPECT_GT(files.newest()->number, 1u);
  EXPECT_EQ(files.newest()->header->first_commit, 1u);
  EXPECT_EQ(files.newest()->header->previous_number, 1u);
  EXPECT_EQ(files.newest()->header->previous_valid_bytes, kSegmentHeaderBytes);
  EXPECT_EQ(files.newest()->header->previous_checksum, files.find(1)->header->checksum);
  EXPECT_TRUE(store->verify().ok());
  store.reopen();
  EXPECT_TRUE(store->status().recovery.clean);
  EXPECT_EQ(store->read().get("a"), "value");
}

}  // namespace
}  // namespace azoth
