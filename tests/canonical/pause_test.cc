// Pausing: a barrier behind which nothing is applied until the last owner resumes.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "write_path_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::code_of;
using test::in_background;
using test::set_of;
using test::TestStore;

class PauseTest : public test::WritePath {};

ErrorCode submit_code(Store& store, Durability level = Durability::Applied) {
  return code_of([&] { return test::submit(store, set_of("key"), level); });
}
ErrorCode begin_code(Store& store) {
  return code_of([&] { return store.begin(); });
}

TEST_F(PauseTest, RefusesWritersWhileItLives) {
  TestStore store;
  {
    Pause pause = store->pause("backup");
    EXPECT_EQ(pause.owner(), "backup");
    EXPECT_EQ(submit_code(*store), ErrorCode::Paused);
    EXPECT_EQ(begin_code(*store), ErrorCode::Paused);
    EXPECT_NE(test::message_of([&] { return store->begin(); }).find("backup"), std::string::npos);
  }
  EXPECT_EQ(submit_code(*store), ErrorCode{});
  EXPECT_EQ(begin_code(*store), ErrorCode{});
}

TEST_F(PauseTest, PausesAddUpOverOwnersAndTimes) {
  TestStore store;
  Pause a = store->pause("a");
  Pause a2 = store->pause("a");
  Pause b = store->pause("b");
  auto pauses = store->status().pauses;
  ASSERT_EQ(pauses.size(), 2u);
  EXPECT_EQ(pauses[0].owner, "a");
  EXPECT_EQ(pauses[0].times, 2u);
  EXPECT_EQ(pauses[1].owner, "b");
  EXPECT_EQ(pauses[1].times, 1u);
  a.resume();
  a.resume();  // no second time
  b.resume();
  EXPECT_EQ(submit_code(*store), ErrorCode::Paused);
  a2.resume();
  EXPECT_EQ(submit_code(*store), ErrorCode{});
  EXPECT_TRUE(store->status().pauses.empty());
}

TEST_F(PauseTest, MovingItMovesWhatItHolds) {
  TestStore store;
  std::optional<Pause> outer;
  {
    Pause inner = store->pause("a");
    outer.emplace(std::move(inner));
  }
  EXPECT_EQ(submit_code(*store), ErrorCode::Paused);
  Pause other = store->pause("b");
  *outer = std::move(other);  // resumes a
  EXPECT_EQ(outer->owner(), "b");
  ASSERT_EQ(store->status().pauses.size(), 1u);
  EXPECT_EQ(store->status().pauses[0].owner, "b");
  outer.reset();
  EXPECT_EQ(submit_code(*store), ErrorCode{});
}

TEST_F(PauseTest, ATimeoutLeavesTheStoreOpen) {
  TestStore store;
  WriteTxn txn = store->begin();
  auto pausing = in_background([&] { return code_of([&] { return store->pause("backup", milliseconds{1}); }); });
  EXPECT_EQ(pausing.get(), ErrorCode::LockTimeout);
  txn.put("key", "value");
  txn.commit();
  EXPECT_EQ(submit_code(*store), ErrorCode{});
}

TEST_F(PauseTest, WaitsForTheTransactionUnderWayAndThenLetsNobodyIn) {
  TestStore store;
  std::optional<WriteTxn> txn = store->begin();
  auto pausing = in_background([&] { return store->pause("backup"); });
  auto waiting = in_background([&] { return submit_code(*store); });
  auto beginning = in_background([&] { return begin_code(*store); });
  txn->put("key", "value");
  CommitSeq last = txn->commit(Durability::Written).commit_seq;
  Pause pause = pausing.get();
  CommitSeq applied = store->status().applied_seq;
  ErrorCode submitted = waiting.get();
  EXPECT_TRUE(submitted == ErrorCode{} || submitted == ErrorCode::Paused);
  beginning.get();
  EXPECT_GE(applied, last);
  EXPECT_EQ(store->status().applied_seq, applied);
}

TEST_F(PauseTest, ReadingFlushingAndSealingGoOn) {
  TestStore store;
  test::put(*store, "key", "value");
  Pause pause = store->pause("backup");
  EXPECT_EQ(store->read().get("key"), "value");
  store->flush();
  store->checkpoint();
  EXPECT_TRUE(store->verify().ok());
  EXPECT_EQ(store->seal(), 0u);
  EXPECT_EQ(submit_code(*store), ErrorCode::Sealed);
  store->unseal();
  EXPECT_EQ(submit_code(*store), ErrorCode::Paused);
  Pause another = store->pause("import");  // while paused
  store->close();
}

TEST_F(PauseTest, ASealedStoreCanBePaused) {
  TestStore store;
  store->seal();
  Pause pause = store->pause("backup");
  store->unseal();
  EXPECT_EQ(submit_code(*store), ErrorCode::Paused);
  pause.resume();
  EXPECT_EQ(submit_code(*store), ErrorCode{});
}

TEST_F(PauseTest, InsideATransactionIsNestedUse) {
  TestStore store;
  WriteTxn txn = store->begin();
  EXPECT_EQ(code_of([&] { return store->pause("a"); }), ErrorCode::NestedUse);
  txn.put("key", "value");
  txn.commit();
  EXPECT_EQ(submit_code(*store), ErrorCode{});
}

TEST_F(PauseTest, OutlivesTheStoreAndEndsWithIt) {
  TestStore store;
  Pause pause = store->pause("backup");
  store->close();
  EXPECT_EQ(code_of([&] { return store->pause("late"); }), ErrorCode::Closed);
  store.reopen();  // a pause is in memory only
  EXPECT_EQ(submit_code(*store), ErrorCode{});
  Pause here = store->pause("here");
  pause.resume();  // of the old store
  EXPECT_EQ(submit_code(*store), ErrorCode::Paused);
}

TEST_F(PauseTest, NothingIsAppliedBetweenPauseAndResume) {
  TestStore store(test::tiny_options());
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> refused{0};
  std::vector<std::future<void>> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.push_back(in_background([&, writer] {
      while (!stop.load()) {
        try {
          if (writer == 0) {
            WriteTxn txn = store->begin();
            txn.put("txn", "value");
            txn.commit(Durability::Applied);
          } else {
            test::submit(*store, set_of("key" + std::to_string(writer)), Durability::Applied);
          }
        } catch (const Error& error) {
          EXPECT_TRUE(error.code() == ErrorCode::Paused || error.code() == ErrorCode::Backpressure) << error.what();
          ++refused;
          std::this_thread::yield();
        }
      }
    }));
  }
  const int kRounds = test::rounds(1000, 50'000);
  for (int round = 0; round < kRounds; ++round) {
    Pause pause = store->pause("round");
    Pause second = round % 3 == 0 ? store->pause("second") : store->pause("round");
    CommitSeq applied = store->read(Durability::Applied).commit_seq();
    pause.resume();
    std::this_thread::yield();
    ASSERT_EQ(store->read(Durability::Applied).commit_seq(), applied);
    second.resume();
    if (round % 4 != 0) continue;  // now and then somebody gets in, else the next pause comes at once
    test::await([&] { return store->read(Durability::Applied).commit_seq() > applied; });
  }
  stop.store(true);
  for (auto& writer : writers) writer.get();
  EXPECT_GE(store->read(Durability::Applied).commit_seq(), static_cast<CommitSeq>(kRounds / 4));
}

TEST_F(PauseTest, ACloseBesideItReturnsNoRestOfASequenceASecondTime) {
  TestStore store;
  store->next_sequence("invoice");
  const CommitSeq reserved = store->status().applied_seq;
  test::Hold returning("sequences.return");
  auto pausing = in_background([&] { Pause pause = store->pause("backup"); });
  returning.wait_for_arrivals();
  auto closing = in_background([&] { store->close(); });
  std::this_thread::sleep_for(milliseconds{20});  // for it to come as far, if nothing holds it up
  returning.release();
  pausing.get();
  closing.get();
  store.reopen();
  EXPECT_EQ(store->status().applied_seq, reserved + 1);
}

TEST_F(PauseTest, ClosingBesideWritersAndPausesEndsThemAll) {
  const int kRounds = test::rounds(15, 1000);
  TestStore store;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> running{0};
    std::vector<std::future<void>> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.push_back(in_background([&, thread] {
        try {
          for (int i = 0;; ++i) {
            try {
              if (thread < 2) test::submit(*store, set_of("key"), Durability::Applied);
              if (thread == 2) store->pause("loop").resume();
              if (thread == 3) i % 2 == 0 ? static_cast<void>(store->seal()) : store->unseal();
            } catch (const Error& error) {
              if (error.code() != ErrorCode::Paused && error.code() != ErrorCode::Sealed) throw;
            }
            if (i == 0) ++running;
          }
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::Closed) << error.what();
        }
      }));
    }
    test::await([&] { return running.load() == 4; });
    store->close();
    for (auto& thread : threads) thread.get();
    store.reopen();
    if (store->meta().sealed_event) store->unseal();
  }
}

}  // namespace
}  // namespace azoth
