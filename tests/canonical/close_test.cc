// Closing in the middle of everything: whoever waits gets a result or Closed, and nothing acknowledged is lost.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/log.h"
#include "support/child_process.h"
#include "support/temp_dir.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

class CloseTest : public WritePath {};

TEST_F(CloseTest, WritersGetTheirResultOrClosedAndNothingAcknowledgedIsLost) {
  TestStore store(tiny_options());
  for (int round = rounds(40, 2000); round > 0 && !HasFatalFailure(); --round) {
    EventId before = store->read().last_event();
    std::atomic<EventId> acknowledged{before};
    std::atomic<int> begun{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        try {
          while (true) {
            Ticket ticket = submit(*store, event_of(), Durability::Durable);
            begun.fetch_add(1);
            EventId id = ticket.wait().last_event;
            EventId seen = acknowledged.load();
            while (seen < id && !acknowledged.compare_exchange_weak(seen, id)) {
            }
          }
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::Closed) << error.what();
        }
      });
    }
    await([&] { return begun.load() > 8; });
    store->close();
    for (std::thread& thread : threads) thread.join();
    store.reopen();
    ASSERT_TRUE(store->status().recovery.clean) << "a clean close leaves something to replay";
    ASSERT_GE(store->read().last_event(), acknowledged.load());
  }
}

TEST_F(CloseTest, AWriteTxnThatIsOpenMeanwhileFailsAtItsCommit) {
  TestStore store;
  WriteTxn txn = store->begin();
  txn.put("k", "v");
  in_background([&] { store->close(); }).get();
  EXPECT_EQ(code_of([&] { txn.commit(Durability::Applied); }), ErrorCode::Closed);  // and waits for nothing
  store.reopen();
  EXPECT_FALSE(store->read().exists("k"));
}

TEST_F(CloseTest, AVerifyThatIsOvertakenByItIsToldSo) {
  TestStore store;
  Hold sync("journal.sync");
  auto leader = in_background([&] { submit(*store, set_of("k", "v"), Durability::Durable).wait(); });
  sync.wait_for_arrivals();
  Hold sleep("group.sleep");
  auto verifying = in_background([&] { return code_of([&] { store->verify(); }); });
  sleep.wait_for_arrivals();
  sync.release();
  leader.get();
  store->close();
  sleep.release();
  EXPECT_EQ(verifying.get(), ErrorCode::Closed);
}

TEST_F(CloseTest, ASecondOneReturnsWhenTheFirstHasMadeAllDurable) {
  TestStore store;
  Hold sync("journal.sync");
  Ticket ticket = submit(*store, set_of("k", "v"), Durability::Written);
  auto first = in_background([&] { store->close(); });
  sync.wait_for_arrivals();
  auto second = in_background([&] {
    store->close();
    return ticket.reached(Durability::Durable);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds{20});  // it has time to return too early
  sync.release();
  EXPECT_TRUE(second.get());
  first.get();
}

// A new thread gets the std::thread::id of one that has ended, such as the store's own.
TEST_F(CloseTest, AThreadThatHasNothingToDoWithItMayCloseItOnceMore) {
  TestStore store;
  store->close();
  for (int i = 0; i < 8; ++i) {
    ErrorCode code{};
    std::thread([&] { code = code_of([&] { store->close(); }); }).join();
    EXPECT_EQ(code, ErrorCode{});
  }
}

TEST_F(CloseTest, NobodyWaitsForASinkThatIsToldOfNumbersLeftOut) {
  TestStore store;
  store->next_sequence("invoice");
  fault::Armed armed("sequences.return", {.run = [] { throw Error(ErrorCode::NoSpace, "there is no room"); }});
  std::atomic<bool> told{false};
  std::atomic<bool> other_has_returned{false};
  std::future<void> other;
  set_log_sink([&](LogLevel, std::string_view) {
    if (told.exchange(true)) return;
    other = in_background([&] {
      store->close();
      other_has_returned.store(true);
    });
    for (int i = 0; i < 10'000 && !other_has_returned.load(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    EXPECT_TRUE(other_has_returned.load());
  });
  store->close();
  set_log_sink({});
  ASSERT_TRUE(told.load());
  other.get();
}

// Its destructor runs behind those of what the library makes when it is first used.
std::unique_ptr<Store> global_store;

TEST_F(CloseTest, AStoreThatIsGlobalIsClosedAtTheProgramsEnd) {
  const TempDir directory;
  ChildProcess child([&] {
    Store::create(directory.path() / "store", tiny_options());
    global_store = Store::open(directory.path() / "store", tiny_options());
    submit(*global_store, set_of("k", "v"), Durability::Applied);
    std::exit(0);
  });
  child.wait();
  ASSERT_TRUE(child.succeeded());
  const auto store = Store::open(directory.path() / "store", tiny_options());
  EXPECT_TRUE(store->status().recovery.clean);
  EXPECT_EQ(store->read().get("k"), "v");
}

TEST_F(CloseTest, AThousandShortLives) {
  TestStore store(tiny_options());
  for (int i = rounds(200, 1000); i > 0; --i) {
    Ticket ticket = submit(*store, event_of(), static_cast<Durability>(1 + i % 3));
    if (i % 2 == 0) ticket.wait(Durability::Written);
    store.reopen();
    ASSERT_TRUE(ticket.reached(Durability::Durable));
  }
  EXPECT_EQ(store->read().last_event(), static_cast<EventId>(rounds(200, 1000)));
}

}  // namespace
}  // namespace azoth::test
