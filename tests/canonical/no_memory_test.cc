// Lack of memory where nobody but a thread of the store's own meets it. What happens at every other allocation is tried
// in tests/proof/injection.
#include <gtest/gtest.h>

#include <new>

#include "write_path_support.h"

namespace azoth::test {
namespace {

class NoMemory : public WritePath {
 protected:
  static fault::Action none() {
    return {.run = [] { throw std::bad_alloc(); }, .times = -1};
  }

  TestStore store_;
};

TEST_F(NoMemory, ForATransactionIsToldInEachOfItsForms) {
  fault::Armed armed("sequencer.batch", none());
  const CommitSeq before = store_->status().applied_seq;
  EXPECT_EQ(code_of([&] { submit(*store_, set_of("key"), Durability::Applied); }), ErrorCode::OutOfMemory);
  EXPECT_EQ(
      code_of([&] { return store_->transaction().exclusive("key").execute([](Txn& txn) { txn.put("key", "v"); }); }),
      ErrorCode::OutOfMemory);
  WriteTxn txn = store_->begin();
  txn.put("key", "v");
  EXPECT_EQ(code_of([&] { txn.next_sequence("invoice"); }), ErrorCode::OutOfMemory);
  EXPECT_EQ(code_of([&] { txn.commit(); }), ErrorCode::OutOfMemory);
  EXPECT_EQ(code_of([&] { store_->next_sequence("invoice"); }), ErrorCode::OutOfMemory);
  EXPECT_EQ(store_->status().applied_seq, before);
  fault::disarm_all();
  EXPECT_EQ(put(*store_, "key", "value").commit_seq, before + 1);
}

// What the body throws is the caller's.
TEST_F(NoMemory, InTheBodyOfATransactionIsThatOfTheBody) {
  const auto run = [&] { return store_->transaction().exclusive("key").execute([](Txn&) { throw std::bad_alloc(); }); };
  EXPECT_THROW(static_cast<void>(run()), std::bad_alloc);
}

// Who waits for the flush would wait for ever.
TEST_F(NoMemory, ForAFlushIsToldToThoseWhoWaitForItAndPasses) {
  put(*store_, "key", "value");
  {
    fault::Armed armed("flush.apply", none());
    EXPECT_EQ(code_of([&] { store_->checkpoint(); }), ErrorCode::OutOfMemory);
  }
  store_->checkpoint();
  EXPECT_EQ(store_->status().flushed_seq, store_->status().applied_seq);
  put(*store_, "key", "other");
}

// The sync has failed, and so has the message: a later sync would succeed without having written anything.
TEST_F(NoMemory, ForTheMessageOfAFailedSyncIsAFailureAllTheSame) {
  fault::Armed armed("group.synced", none());
  EXPECT_TRUE(fails_with_unknown_outcome([&] {
    submit(*store_, set_of("key"), Durability::Durable).wait();
    return 0;
  }));
  fault::disarm_all();
  EXPECT_TRUE(is_refused_for_good([&] {
    submit(*store_, set_of("key"), Durability::Durable);
    return 0;
  }));
}

}  // namespace
}  // namespace azoth::test
