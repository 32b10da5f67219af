// Sealing: a commit that fixes the last event, after which nothing else gets in, from whatever process and after
// whatever crash, until unseal().
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

#include "support/seed.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::append;
using test::code_of;
using test::event_of;
using test::Hold;
using test::in_background;
using test::put;
using test::set_of;
using test::TestStore;

class Seal : public test::WritePath {};

ErrorCode submit_code(Store& store) {
  return code_of([&] { return store.submit(set_of("late")); });
}
ErrorCode begin_code(Store& store) {
  return code_of([&] { return store.begin(); });
}

void expect_sealed(Store& store, EventId event) {
  EXPECT_EQ(submit_code(store), ErrorCode::Sealed);
  EXPECT_EQ(begin_code(store), ErrorCode::Sealed);
  EXPECT_EQ(store.meta().sealed_event, std::optional<EventId>(event));
}

TEST_F(Seal, AnswersTheLastEventAndRefusesEveryWriteFromThenOn) {
  TestStore store;
  append(*store, "happened", {"a:1"}, "1");
  append(*store, "happened", {"a:1"}, "2");
  EXPECT_FALSE(store->meta().sealed_event);
  EXPECT_EQ(store->seal(), 2u);
  expect_sealed(*store, 2);
  EXPECT_EQ(store->meta().last_event, 2u);
}

TEST_F(Seal, AnEmptyStoreIsSealedAtEventZero) {
  TestStore store;
  EXPECT_EQ(store->seal(), 0u);
  expect_sealed(*store, 0);
  store.reopen();
  expect_sealed(*store, 0);
}

TEST_F(Seal, IsDurableWhenItReturns) {
  TestStore store;
  test::submit(*store, event_of(), Durability::Applied);
  store->seal();
  Status status = store->status();
  EXPECT_EQ(status.durable_seq, status.applied_seq);
  EXPECT_EQ(store->read(Durability::Durable).last_event(), 1u);
}

TEST_F(Seal, SealingASealedStoreAnswersTheSameAndCommitsNothing) {
  TestStore store;
  put(*store, "key", "value");
  append(*store, "happened", {}, "1");
  EXPECT_EQ(store->seal(), 1u);
  CommitSeq commit = store->meta().last_commit;
  EXPECT_EQ(store->seal(), 1u);
  EXPECT_EQ(store->meta().last_commit, commit);
}

TEST_F(Seal, UnsealLetsWritersInAgain) {
  TestStore store;
  append(*store, "happened", {}, "1");
  store->seal();
  store->unseal();
  EXPECT_FALSE(store->meta().sealed_event);
  EXPECT_EQ(append(*store, "happened", {}, "2").first_event, 2u);
  CommitSeq commit = store->meta().last_commit;
  store->unseal();  // what is not sealed stays so
  EXPECT_EQ(store->meta().last_commit, commit);
  store.reopen();
  EXPECT_FALSE(store->meta().sealed_event);
  put(*store, "key", "value");
  EXPECT_EQ(store->seal(), 2u);
}

TEST_F(Seal, SurvivesReopeningWithAndWithoutTheJournal) {
  TestStore store;
  append(*store, "happened", {}, "1");
  store->seal();
  store.reopen();
  expect_sealed(*store, 1);
  store->checkpoint();
  store.reopen();
  expect_sealed(*store, 1);
  EXPECT_EQ(store->seal(), 1u);
}

TEST_F(Seal, SurvivesTheDeathOfTheProcess) {
  TestStore store;
  append(*store, "happened", {}, "1");
  store.close();
  for (bool sealed : {true, false}) {
    pid_t child = fork();
    if (child == 0) {
      auto own = Store::open(store.directory(), test::quiet_options());
      if (sealed) {
        own->seal();
      } else {
        own->unseal();
      }
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    store.open();
    EXPECT_EQ(submit_code(*store), sealed ? ErrorCode::Sealed : ErrorCode{});
    EXPECT_EQ(store->meta().sealed_event.has_value(), sealed);
    store.close();
  }
}

TEST_F(Seal, ATimeoutLeavesTheStoreUnsealed) {
  TestStore store;
  {
    WriteTxn txn = store->begin();
    auto sealing = in_background([&] { return code_of([&] { return store->seal(milliseconds{1}); }); });
    EXPECT_EQ(sealing.get(), ErrorCode::LockTimeout);
    auto unsealing = in_background([&] {
      return code_of([&] {
        store->unseal(milliseconds{1});
        return 0;
      });
    });
    EXPECT_EQ(unsealing.get(), ErrorCode::LockTimeout);
    txn.put("key", "value");
    txn.commit();
  }
  EXPECT_FALSE(store->meta().sealed_event);
  EXPECT_EQ(submit_code(*store), ErrorCode{});
}

TEST_F(Seal, WaitsForTheTransactionThatIsUnderWay) {
  TestStore store;
  std::atomic<bool> sealed{false};
  std::future<EventId> sealing;
  {
    WriteTxn txn = store->begin();
    txn.append({.type = "happened", .tags = {}, .payload = "1"});
    sealing = in_background([&] {
      EventId event = store->seal();
      sealed.store(true);
      return event;
    });
    EXPECT_FALSE(sealed.load());
    txn.commit();
  }
  EXPECT_EQ(sealing.get(), 1u);
  expect_sealed(*store, 1);
}

TEST_F(Seal, WhoeverWaitedForTheSealIsRefused) {
  TestStore store;
  Hold hold("journal.sync");
  // A submission that has its place, so that the seal waits for the device with the gate shut.
  auto sealing = in_background([&] { return store->seal(); });
  hold.wait_for_arrivals();
  EXPECT_EQ(submit_code(*store), ErrorCode::Sealed);
  EXPECT_EQ(begin_code(*store), ErrorCode::Sealed);
  hold.release();
  EXPECT_EQ(sealing.get(), 0u);
}

TEST_F(Seal, ATransactionDoesNotBeginBehindTheSealItWaitedFor) {
  TestStore store;
  for (int round = 0; round < 200; ++round) {
    WriteTxn under_way = store->begin();
    std::atomic<int> waiting{0};
    auto sealing = in_background([&] { return ++waiting, store->seal(); });
    // Its event, unless it is refused.
    auto beginning = in_background([&]() -> std::optional<EventId> {
      ++waiting;
      std::optional<WriteTxn> txn;
      const ErrorCode refused = code_of([&] { return txn.emplace(store->begin()), 0; });
      if (!txn) {
        EXPECT_EQ(refused, ErrorCode::Sealed);
        return std::nullopt;
      }
      txn->append({.type = "happened", .tags = {}, .payload = "1"});
      return txn->commit().last_event;
    });
    test::await([&] { return waiting == 2; });
    std::this_thread::sleep_for(milliseconds{1});  // then mostly they do
    under_way.abort();
    const EventId last = sealing.get();
    if (const auto event = beginning.get()) {
      EXPECT_LE(*event, last);
    }
    EXPECT_EQ(store->read().last_event(), last);
    store->unseal();
  }
}

TEST_F(Seal, InsideATransactionIsNestedUse) {
  TestStore store;
  WriteTxn txn = store->begin();
  EXPECT_EQ(code_of([&] { return store->seal(); }), ErrorCode::NestedUse);
  EXPECT_EQ(code_of([&] { return store->unseal(), 0; }), ErrorCode::NestedUse);
  txn.abort();
  EXPECT_FALSE(store->meta().sealed_event);
}

TEST_F(Seal, AJournalThatFailsFailsTheSeal) {
  for (const char* point : {"journal.write", "journal.sync"}) {
    TestStore store;
    append(*store, "happened", {}, "1");
    {
      fault::Armed fault(point, {.fail_with = EIO});
      EXPECT_TRUE(test::fails_with_unknown_outcome([&] { return store->seal(); })) << point;
    }
    EXPECT_TRUE(test::is_refused_for_good([&] { return store->submit(set_of("key")); })) << point;
    EXPECT_TRUE(test::is_refused_for_good([&] { return store->seal(); })) << point;
    store.reopen();
    EXPECT_EQ(store->seal(), 1u) << point;
  }
}

TEST_F(Seal, OnlyTheSealItselfNeedsNoRoomInLmdb) {
  Options options = test::quiet_options();
  options.map_bytes = limits::kMinMapBytes;
  options.delta_bytes = limits::kMinDeltaBytes;
  TestStore store(options);
  std::string value(20'000, 'v');
  ErrorCode full{};
  for (int i = 0; full == ErrorCode{} && i < 1000; ++i) {
    full = code_of([&] { return put(*store, "key" + std::to_string(i), value); });
  }
  ASSERT_EQ(full, ErrorCode::NoSpace);
  EXPECT_EQ(store->seal(), 0u);
  expect_sealed(*store, 0);
  store->unseal();
}

TEST_F(Seal, ASealedStoreIsStillReadFlushedCheckedAndClosed) {
  TestStore store;
  put(*store, "key", "value");
  append(*store, "happened", {"a:1"}, "1");
  std::string digest = store->digest();
  store->seal();
  EXPECT_EQ(store->digest(), digest);  // the seal is no content
  EXPECT_EQ(store->read().get("key"), "value");
  EXPECT_EQ(test::keys_of(store->read().scan()), std::vector<std::string>{"key"});
  store->flush();
  store->checkpoint();
  EXPECT_TRUE(store->verify().ok());
  EXPECT_EQ(store->status().flushed_seq, store->meta().last_commit);
  EXPECT_EQ(store->subscribe().next()->commit_seq(), 2u);
  store->close();
  EXPECT_EQ(code_of([&] { return store->seal(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store->unseal(), 0; }), ErrorCode::Closed);
}

TEST_F(Seal, AnotherProcessIsRefusedToo) {
  TestStore store;
  append(*store, "happened", {}, "1");
  store->seal();
  store.close();
  pid_t child = fork();
  if (child == 0) {
    auto own = Store::open(store.directory(), test::quiet_options());
    _exit(submit_code(*own) == ErrorCode::Sealed ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  store.open();
}

using Counters = std::map<std::string, std::string>;

// What the events say the state must be.
Counters fold(const ReadTxn& txn) {
  Counters state;
  for (const EventView& event : txn.events()) state[std::string(event.type())] = std::string(event.payload());
  return state;
}
Counters state_of(const ReadTxn& txn) {
  Counters state;
  for (const auto& [key, value] : txn.scan()) state.emplace(key, value);
  return state;
}

TEST_F(Seal, NothingIsCommittedBehindItWhateverRuns) {
  TestStore store(test::tiny_options());
  constexpr int kWriters = 3;
  const int kRounds = test::rounds(60, 5000);
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> started{0};
    std::atomic<EventId> newest{0};
    std::vector<std::future<void>> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.push_back(in_background([&, writer] {
        std::string key = "writer" + std::to_string(writer);
        for (int i = 0;; ++i) {
          std::string value = std::to_string(round) + "." + std::to_string(i);
          WriteSet set;
          set.put(key, value).append({.type = key, .tags = {}, .payload = value});
          try {
            EventId event = store->submit(std::move(set), {}, {.level = Durability::Applied}).value().info().last_event;
            for (EventId seen = newest; seen < event && !newest.compare_exchange_weak(seen, event);) {
            }
          } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::Sealed) << error.what();
            return;
          }
          if (i == 0) ++started;
        }
      }));
    }
    test::await([&] { return started.load() == kWriters; });
    EventId sealed = store->seal();
    CommitSeq commit = store->meta().last_commit;
    for (auto& writer : writers) writer.get();
    EXPECT_EQ(newest.load(), sealed);
    ReadTxn snapshot = store->read(Durability::Durable);
    ASSERT_EQ(snapshot.last_event(), sealed);
    ASSERT_EQ(snapshot.commit_seq(), commit);
    if (round % 8 == 0) {
      ASSERT_EQ(fold(snapshot), state_of(snapshot));
    }
    store->unseal();
  }
}

}  // namespace
}  // namespace azoth
