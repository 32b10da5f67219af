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
