// Admission: memory for transactions is waited for in order, within a deadline, and never in vain.
#include "admission.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "write_path_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::await;
using test::code_of;
using test::in_background;
using test::message_of;

class AdmissionTest : public test::WritePath {
 protected:
  void wait_for(std::size_t bytes, Deadline deadline = kNoDeadline) { admission_.wait_for(bytes, deadline, flusher_); }
  ErrorCode attempt(std::size_t bytes) {
    return code_of([&] { return wait_for(bytes, Deadline{}), true; });
  }
  auto waiter(std::size_t bytes, std::string name) {
    auto future = in_background([=, this] {
      wait_for(bytes);
      std::lock_guard lock(order_mutex_);
      order_.push_back(name);
      admission_.book(bytes);
    });
    ++waiters_;
    await([&] { return admission_.waiting() == waiters_; });
    return future;
  }

  Failure failure_;
  Signal flusher_;
  Admission admission_{100, failure_};
  std::uint32_t waiters_ = 0;
  std::mutex order_mutex_;
  std::vector<std::string> order_;
};

TEST_F(AdmissionTest, LetsInWhatFits) {
  EXPECT_EQ(attempt(100), ErrorCode{});
  admission_.book(60);
  EXPECT_EQ(attempt(40), ErrorCode{});
  EXPECT_EQ(attempt(41), ErrorCode::Backpressure);
  EXPECT_EQ(admission_.live_bytes(), 60u);
}

TEST_F(AdmissionTest, LetsOneInWhenNothingIsLiveHoweverLarge) {
  EXPECT_EQ(attempt(1'000'000), ErrorCode{});
  admission_.book(1'000'000);
  EXPECT_EQ(attempt(0), ErrorCode::Backpressure);
  admission_.release(1'000'000);
  EXPECT_EQ(attempt(1'000'000), ErrorCode{});
}

TEST_F(AdmissionTest, BackpressureSaysWhatToDo) {
  admission_.book(101);
  std::string message = message_of([&] { return wait_for(1, steady_clock::now() + milliseconds{1}), true; });
  EXPECT_NE(message.find("Try again"), std::string::npos) << message;
}

TEST_F(AdmissionTest, AReleaseLetsTheWaiterIn) {
  admission_.book(100);
  auto one = waiter(50, "one");
  EXPECT_EQ(order_.size(), 0u);
  admission_.release(50);
  one.get();
  EXPECT_EQ(admission_.waiting(), 0u);
}

TEST_F(AdmissionTest, ASmallOneWaitsForItsTurnBehindALargeOne) {
  admission_.book(100);
  auto large = waiter(90, "large");
  auto small = waiter(1, "small");
  admission_.release(20);  // room for the small one, which is not its turn
  EXPECT_EQ(admission_.waiting(), 2u);
  admission_.release(75);
  large.get();
  small.get();
}

TEST_F(AdmissionTest, AReleaseLetsAllInTogetherWhomItHasRoomFor) {
  admission_.book(100);
  auto one = waiter(30, "one");
  auto two = waiter(20, "two");
  auto large = in_background([&] { wait_for(60); });
  await([&] { return admission_.waiting() == 3; });
  admission_.release(50);
  EXPECT_EQ(admission_.waiting(), 1u) << "two of the three fit";
  one.get();
  two.get();
  admission_.release(100);
  large.get();
}

TEST_F(AdmissionTest, RoomThatWasPromisedAndNotUsedGoesToTheNext) {
  admission_.book(100);
  auto unused = in_background([&] { wait_for(100); });
  await([&] { return admission_.waiting() == 1; });
  auto next = in_background([&] { wait_for(100); });
  await([&] { return admission_.waiting() == 2; });
  admission_.release(100);
  unused.get();
  next.get();
}

TEST_F(AdmissionTest, NobodyOvertakesThoseWhoWait) {
  admission_.book(100);
  auto large = waiter(90, "large");
  admission_.release(20);
  EXPECT_EQ(attempt(1), ErrorCode::Backpressure);
  admission_.release(80);
  large.get();
  EXPECT_EQ(attempt(1), ErrorCode{});
}

TEST_F(AdmissionTest, AWaiterThatGivesUpMakesPlaceForTheNext) {
  admission_.book(90);
  auto large = in_background([&] { return attempt(100); });  // its deadline has passed when it comes
  EXPECT_EQ(large.get(), ErrorCode::Backpressure);
  auto waiting = in_background(
      [&] { return code_of([&] { return wait_for(100, steady_clock::now() + milliseconds{20}), true; }); });
  // Or it has given up already.
  await([&] { return admission_.waiting() == 1 || waiting.wait_for(milliseconds{0}) == std::future_status::ready; });
  auto small = in_background([&] { wait_for(10); });  // fits, behind the one that does not
  EXPECT_EQ(waiting.get(), ErrorCode::Backpressure);
  small.get();
}

TEST_F(AdmissionTest, CloseWakesEveryone) {
  admission_.book(101);
  std::vector<std::future<ErrorCode>> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.push_back(in_background([&] { return code_of([&] { return wait_for(1), true; }); }));
  }
  await([&] { return admission_.waiting() == 8; });
  admission_.close();
  for (auto& one : waiters) EXPECT_EQ(one.get(), ErrorCode::Closed);
  EXPECT_EQ(attempt(1), ErrorCode::Closed);
}

TEST_F(AdmissionTest, AFailureWakesEveryone) {
  admission_.book(101);
  std::vector<std::future<ErrorCode>> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.push_back(in_background([&] { return code_of([&] { return wait_for(1), true; }); }));
  }
  await([&] { return admission_.waiting() == 8; });
  failure_.set(Error(ErrorCode::Io, "the disk is gone"));
  admission_.wake_all();
  for (auto& one : waiters) EXPECT_EQ(one.get(), ErrorCode::StoreFailed);
}

TEST_F(AdmissionTest, TheFlusherIsWokenByWhoeverWaits) {
  admission_.book(101);
  std::future<void> waiting;
  auto look = [&] {
    if (!waiting.valid()) waiting = in_background([&] { wait_for(1); });
    return false;
  };
  flusher_.sleep_unless(look, kNoDeadline);  // for good, unless it is woken
  await([&] { return admission_.waiting() == 1; });
  admission_.release(101);
  waiting.get();
}

// --- In a store

class AdmissionInAStore : public test::WritePath {};

// As many keys as fit in a transaction of a tiny store: in memory they take several times its bytes.
WriteSet many_small_keys() {
  WriteSet set;
  for (char high = 'a'; set.bytes() < 32'000; ++high) {
    for (int low = 0; low < 256 && set.bytes() < 32'000; ++low) set.put(std::string{high, static_cast<char>(low)}, "");
  }
  return set;
}

// One transaction has filled the Delta, and no commit can come that would freeze it, because there is no room for one.
TEST_F(AdmissionInAStore, AnOverfullDeltaIsFlushedForThoseWhoWait) {
  test::TestStore store(test::tiny_options());  // nothing is flushed by age
  WriteSet many = many_small_keys();
  std::size_t limit = 3 * store.options().delta_bytes;
  test::submit(*store, many, Durability::Applied);
  ASSERT_GT(store->status().delta_bytes + many.bytes(), limit) << "this test needs larger transactions";
  ASSERT_EQ(store->status().live_deltas, 1u);
  for (int round = 0; round < 5; ++round) test::submit(*store, many, Durability::Applied);
  EXPECT_TRUE(store->verify().ok());
  EXPECT_EQ(store->status().durable_seq, 6u);
}

TEST_F(AdmissionInAStore, AWriteTxnWaitsForMemoryToo) {
  test::TestStore store(test::tiny_options());
  WriteSet many = many_small_keys();
  test::Hold flushing("flush.apply");
  test::submit(*store, many, Durability::Applied);
  auto second = in_background([&] { test::submit(*store, many, Durability::Applied); });
  flushing.wait_for_arrivals();
  EXPECT_EQ(code_of([&] { return store->begin(milliseconds{1}).exists("ab"); }), ErrorCode::Backpressure);
  flushing.release();
  second.get();
  EXPECT_TRUE(store->begin().exists("ab"));
}

}  // namespace
}  // namespace azoth
