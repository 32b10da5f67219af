// Subscriptions: every durable event after a position, in order, once, whole commits, catching up first and live then.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <random>
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
using test::TestStore;

class SubscriptionTest : public test::WritePath {};

constexpr milliseconds kNow{0};

std::vector<EventId> ids(const CommittedEvents& commit) {
  std::vector<EventId> ids;
  for (const EventView& event : commit.events()) ids.push_back(event.id());
  return ids;
}

CommitInfo durable(Store& store, int events, std::string_view payload = "{}") {
  WriteSet set;
  for (int i = 0; i < events; ++i) set.append({.type = "happened", .tags = {}, .payload = payload});
  return test::commit(store, std::move(set), Durability::Durable);
}

TEST_F(SubscriptionTest, DeliversPastCommitsWholeAndWithWhatTheyAre) {
  TestStore store;
  CommitInfo first = durable(*store, 1);
  test::put(*store, "key", "no event");
  WriteSet set;
  set.append({.type = "a", .tags = {"t:1", "t:2"}, .payload = "p", .metadata = "m"}).append({.type = "b", .tags = {}, .payload = ""});
  CommitInfo second = test::commit(*store, std::move(set), Durability::Durable);
  Subscription subscription = store->subscribe();
  EXPECT_EQ(subscription.position(), 0u);
  auto commit = subscription.next();
  EXPECT_EQ(commit->commit_seq(), first.commit_seq);
  EXPECT_EQ(commit->time(), first.time);
  EXPECT_EQ(subscription.position(), 1u);
  commit = subscription.next();
  EXPECT_EQ(commit->commit_seq(), second.commit_seq);
  EXPECT_EQ(ids(*commit), (std::vector<EventId>{2, 3}));
  const EventView& event = commit->events()[0];
  EXPECT_EQ(event.type(), "a");
  EXPECT_EQ(event.payload(), "p");
  EXPECT_EQ(event.metadata(), "m");
  EXPECT_TRUE(event.tags().contains("t:2"));
  EXPECT_FALSE(subscription.next(kNow));
}

TEST_F(SubscriptionTest, BeginsBehindAnyEventAndResumesFromItsPosition) {
  TestStore store;
  for (int events : {1, 3, 2}) durable(*store, events);
  for (EventId after = 0; after <= 7; ++after) {
    Subscription subscription = store->subscribe(after);
    EXPECT_EQ(subscription.position(), after);
    EventId expected = after + 1;
    while (auto commit = subscription.next(kNow)) {
      for (EventId id : ids(*commit)) EXPECT_EQ(id, expected++);
    }
    EXPECT_EQ(expected, std::max<EventId>(after, 6) + 1);
  }
  EventId position = 0;
  for (int commits = 0; commits < 3; ++commits) {
    Subscription subscription = store->subscribe(position);
    EXPECT_EQ(subscription.next(kNow)->commit_seq(), static_cast<CommitSeq>(commits + 1));
    position = subscription.position();
  }
  EXPECT_EQ(position, 6u);
}

TEST_F(SubscriptionTest, EventsThatDoNotExistYetAreWaitedFor) {
  TestStore store;
  durable(*store, 1);
  Subscription subscription = store->subscribe(3);
  durable(*store, 1);
  durable(*store, 1);
  EXPECT_FALSE(subscription.next(kNow));
  durable(*store, 2);
  EXPECT_EQ(ids(*subscription.next()), (std::vector<EventId>{4, 5}));
}

TEST_F(SubscriptionTest, WhatIsNotDurableIsNotDelivered) {
  TestStore store;
  Subscription subscription = store->subscribe();
  test::submit(*store, event_of(), Durability::Written).wait();
  EXPECT_FALSE(subscription.next(milliseconds{1}));
  Hold hold("journal.sync");
  auto flushing = in_background([&] { store->flush(); });
  hold.wait_for_arrivals();
  EXPECT_FALSE(subscription.next(milliseconds{1}));
  hold.release();
  EXPECT_EQ(subscription.next()->commit_seq(), 1u);
  flushing.get();
}

TEST_F(SubscriptionTest, ACommitThatNobodyWaitsForIsDeliveredWithinTheSyncInterval) {
  Options options = test::quiet_options();
  options.sync_interval = milliseconds{1};
  TestStore store(options);
  Subscription subscription = store->subscribe();
  for (EventId event = 1; event <= 20; ++event) {
    auto waiting = in_background([&] { return subscription.next()->events()[0].id(); });
    test::submit(*store, event_of(), Durability::Applied);
    EXPECT_EQ(waiting.get(), event);
  }
}

TEST_F(SubscriptionTest, StopEndsAWaitingAndEveryLaterCall) {
  TestStore store;
  durable(*store, 1);
  Subscription subscription = store->subscribe(1);
  auto waiting = in_background([&] { return subscription.next().has_value(); });
  subscription.stop();
  EXPECT_FALSE(waiting.get());
  durable(*store, 1);
  EXPECT_FALSE(subscription.next());
  EXPECT_EQ(subscription.position(), 1u);
}

TEST_F(SubscriptionTest, LargeCommitsAreDeliveredWholeBesideSmallOnes) {
  TestStore store;
  std::string payload(3000, 'p');
  for (int commit = 0; commit < 12; ++commit) durable(*store, commit % 3 == 1 ? 150 : 1, payload);
  store->checkpoint();
  for (int commit = 0; commit < 6; ++commit) durable(*store, 40, payload);
  Subscription subscription = store->subscribe();
  for (CommitSeq commit = 1; commit <= 18; ++commit) {
    auto next = subscription.next(kNow);
    ASSERT_TRUE(next);
    ASSERT_EQ(next->commit_seq(), commit);
    ASSERT_EQ(next->events().size(), commit > 12 ? 40u : commit % 3 == 2 ? 150u : 1u);
    ASSERT_EQ(next->events().back().payload(), payload);
  }
  EXPECT_FALSE(subscription.next(kNow));
}

TEST_F(SubscriptionTest, HoldsNoSnapshotBetweenItsCalls) {
  TestStore store;
  durable(*store, 1);
  Subscription subscription = store->subscribe();
  subscription.next();
  EXPECT_EQ(store->status().readers, 0u);
}

TEST_F(SubscriptionTest, CloseDeliversWhatWasDurableAndThenSaysClosed) {
  TestStore store;
  durable(*store, 1);
  Subscription behind = store->subscribe();
  Subscription waiting = store->subscribe(1);
  auto waiter = in_background([&] { return code_of([&] { return waiting.next(); }); });
  test::submit(*store, event_of(), Durability::Applied);
  EXPECT_EQ(store->subscribe(1).next(kNow).has_value(), false);
  store->close();
  ErrorCode waited = waiter.get();
  EXPECT_EQ(waited, ErrorCode{});  // event 2, which close made durable
  EXPECT_EQ(waiting.position(), 2u);
  EXPECT_EQ(behind.next()->commit_seq(), 1u);
  EXPECT_EQ(behind.next()->commit_seq(), 2u);
  for (Subscription* subscription : {&behind, &waiting}) {
    EXPECT_EQ(code_of([&] { return subscription->next(); }), ErrorCode::Closed);
    EXPECT_EQ(code_of([&] { return subscription->next(kNow); }), ErrorCode::Closed);
  }
  EXPECT_EQ(code_of([&] { return store->subscribe(); }), ErrorCode::Closed);
  store.reopen();  // they hold nothing any more
  EXPECT_EQ(store->subscribe().next()->commit_seq(), 1u);
}

TEST_F(SubscriptionTest, OutlivesTheStoreWhichIsStillReadUntilItHasSaidClosed) {
  TestStore store;
  durable(*store, 2);
  auto subscription = std::make_unique<Subscription>(store->subscribe());
  store.close();
  EXPECT_EQ(code_of([&] { return store.open(), 0; }), ErrorCode::StillRead);
  EXPECT_EQ(subscription->next()->events().size(), 2u);
  EXPECT_EQ(code_of([&] { return subscription->next(kNow); }), ErrorCode::Closed);
  store.open();
}

TEST_F(SubscriptionTest, AStoppedOrDestroyedOneLeavesTheStoreToOthers) {
  TestStore store;
  durable(*store, 1);
  Subscription stopped = store->subscribe();
  { Subscription destroyed = store->subscribe(); }
  store.close();
  stopped.stop();
  EXPECT_FALSE(stopped.next());
  store.open();
}

TEST_F(SubscriptionTest, AFailedStoreDeliversWhatIsDurableAndThenSaysStoreFailed) {
  TestStore store;
  durable(*store, 1);
  Subscription waiting = store->subscribe(1);
  Subscription behind = store->subscribe();
  auto waiter = in_background([&] { return code_of([&] { return waiting.next(); }); });
  {
    fault::Armed fault("journal.sync", {.fail_with = EIO});
    EXPECT_TRUE(test::fails_with_unknown_outcome([&] { return durable(*store, 1); }));
  }
  EXPECT_EQ(waiter.get(), ErrorCode::StoreFailed);
  EXPECT_EQ(behind.next()->commit_seq(), 1u);
  EXPECT_EQ(code_of([&] { return behind.next(); }), ErrorCode::StoreFailed);
  store.close();
  EXPECT_EQ(code_of([&] { return behind.next(); }), ErrorCode::StoreFailed);
  EXPECT_EQ(code_of([&] { return waiting.next(kNow); }), ErrorCode::StoreFailed);
}

TEST_F(SubscriptionTest, ASlowSubscriberHarmsNobody) {
  TestStore store(test::tiny_options());
  Subscription slow = store->subscribe();
  std::string payload(2000, 'p');
  for (int i = 0; i < 300; ++i) {  // many times the memory of all Deltas
    durable(*store, 1, payload);
    if (i == 10) {
      EXPECT_EQ(slow.next()->commit_seq(), 1u);
    }
  }
  EXPECT_EQ(store->status().readers, 0u);
  for (CommitSeq commit = 2; commit <= 300; ++commit) ASSERT_EQ(slow.next(kNow)->commit_seq(), commit);
}

// Follows until the event `last`, resuming whenever the store is reopened, and checks that it misses nothing.
TEST_F(SubscriptionTest, NothingIsMissedUnderLoadWithFlushesAndReopenings) {
  Options options = test::tiny_options();
  options.sync_interval = milliseconds{2};
  TestStore store(options);
  std::mt19937_64 random(test::test_seed());
  const int kLives = test::rounds(8, 200);
  EventId position = 0;
  for (int life = 0; life < kLives; ++life) {
    Subscription subscription = store->subscribe(position);
    auto follower = in_background([&] {
      CommitSeq commit = 0;
      try {
        while (auto next = subscription.next()) {
          EXPECT_GT(next->commit_seq(), commit);
          commit = next->commit_seq();
          for (const EventView& event : next->events()) {
            if (event.id() != position + 1) return false;
            if (event.payload() != std::to_string(event.id() % 7)) return false;
            position = event.id();
          }
        }
      } catch (const Error& error) {
        return error.code() == ErrorCode::Closed;
      }
      return false;
    });
    std::vector<std::uint64_t> seeds{random(), random()};
    std::mutex order;  // so that the payload can tell the id
    std::vector<std::future<void>> writers;
    for (std::uint64_t seed : seeds) {
      writers.push_back(in_background([&, seed] {
        std::mt19937_64 own(seed);
        for (int i = 0; i < 250; ++i) {
          int events = static_cast<int>(own() % 4);
          std::unique_lock lock(order);
          WriteTxn txn = store->begin();
          txn.put("key" + std::to_string(own() % 50), std::string(own() % 800, 'v'));
          EventId first = store->read(Durability::Applied).last_event() + 1;
          for (EventId id = first; id < first + static_cast<EventId>(events); ++id) {
            EXPECT_EQ(txn.append({.type = "t", .tags = {}, .payload = std::to_string(id % 7)}), id);
          }
          Ticket ticket = txn.commit_async(static_cast<Durability>(1 + own() % 3));
          lock.unlock();
          if (own() % 4 == 0) ticket.wait();
        }
      }));
    }
    for (auto& writer : writers) writer.get();
    EventId last = store->read(Durability::Applied).last_event();
    store->close();
    ASSERT_TRUE(follower.get());
    ASSERT_EQ(position, last);
    store.reopen();
  }
}

}  // namespace
}  // namespace azoth
