// Which commits a snapshot shows, by the level it is asked for at.
#include <gtest/gtest.h>

#include "write_path_support.h"

namespace azoth {
namespace {

using test::event_of;
using test::Hold;
using test::in_background;
using test::set_of;
using test::submit;
using test::TestStore;

class ReadLevels : public test::WritePath {};

CommitSeq seen(Store& store, Durability level) { return store.read(level).commit_seq(); }

TEST_F(ReadLevels, AppliedShowsWhatWasSequencedAndTheOthersDoNot) {
  TestStore store;
  submit(*store, set_of("key"), Durability::Applied);
  EXPECT_EQ(store->read(Durability::Applied).get("key"), "value");
  EXPECT_FALSE(store->read().exists("key"));
  EXPECT_FALSE(store->read(Durability::Durable).exists("key"));
}

TEST_F(ReadLevels, WrittenShowsWhatIsInTheJournalAndDurableOnlyWhatIsSynced) {
  TestStore store;
  submit(*store, event_of(), Durability::Written).wait();
  EXPECT_EQ(store->read().last_event(), 1u);
  EXPECT_EQ(store->read(Durability::Durable).last_event(), 0u);
  store->flush();
  EXPECT_EQ(store->read(Durability::Durable).last_event(), 1u);
}

TEST_F(ReadLevels, ADurableCommitIsShownOnlyWhenItIsSynced) {
  TestStore store;
  Hold hold("journal.sync");
  auto committing = in_background([&] { submit(*store, set_of("key"), Durability::Durable).wait(); });
  hold.wait_for_arrivals();
  EXPECT_EQ(seen(*store, Durability::Applied), 1u);
  EXPECT_EQ(seen(*store, Durability::Written), 0u);
  EXPECT_EQ(seen(*store, Durability::Durable), 0u);
  hold.release();
  committing.get();
  for (Durability level : {Durability::Applied, Durability::Written, Durability::Durable}) {
    EXPECT_EQ(seen(*store, level), 1u);
  }
}

TEST_F(ReadLevels, AFailedStoreShowsNothingThatMayBeTakenBack) {
  TestStore store;
  submit(*store, set_of("kept"), Durability::Durable).wait();
  {
    fault::Armed fault("journal.sync", {.fail_with = EIO});
    Ticket lost = submit(*store, set_of("lost"), Durability::Durable);
    EXPECT_EQ(seen(*store, Durability::Applied), 2u);
    EXPECT_TRUE(test::fails_with_unknown_outcome([&] { return lost.wait(); }));
  }
  for (Durability level : {Durability::Applied, Durability::Written, Durability::Durable}) {
    ReadTxn snapshot = store->read(level);
    EXPECT_TRUE(snapshot.exists("kept"));
    EXPECT_FALSE(snapshot.exists("lost"));
  }
}

TEST_F(ReadLevels, AreOrderedAndEachMovesForwardOnlyUnderLoad) {
  Options options = test::tiny_options();
  options.sync_interval = std::chrono::milliseconds{1};
  TestStore store(options);
  std::atomic<bool> stop{false};
  auto writer = in_background([&] {
    for (int i = 0; !stop.load(); ++i) {
      submit(*store, set_of("key" + std::to_string(i % 20), std::string(300, 'v')), static_cast<Durability>(1 + i % 3));
      if (i % 16 == 0) store->flush(Durability::Written);
    }
  });
  CommitSeq last[4] = {};
  for (int i = 0; i < test::rounds(3000, 300'000); ++i) {
    for (int level = 3; level >= 1; --level) {  // the strongest first: the others are read later
      CommitSeq now = seen(*store, static_cast<Durability>(level));
      ASSERT_GE(now, last[level]);
      last[level] = now;
      if (level < 3) {
        ASSERT_GE(now, last[level + 1]);
      }
    }
  }
  stop.store(true);
  writer.get();
}

}  // namespace
}  // namespace azoth
