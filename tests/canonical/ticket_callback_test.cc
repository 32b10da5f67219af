// Tickets without a thread that waits: callbacks and futures, when they come, in which order, and what they may do.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "azoth/core/log.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using test::code_of;
using test::Hold;
using test::in_background;
using test::set_of;
using test::submit;
using test::TestStore;

class TicketCallbackTest : public test::WritePath {};

constexpr Durability kLevels[] = {Durability::Applied, Durability::Written, Durability::Durable};

TEST_F(TicketCallbackTest, ComesAtEachLevelWithoutAnybodyWaiting) {
  TestStore store;  // whose syncer would sleep for an hour
  for (Durability submitted : kLevels) {
    for (Durability level : kLevels) {
      Ticket ticket = submit(*store, set_of("key"), submitted);
      CommitInfo info = ticket.future(level).get();
      EXPECT_EQ(info.commit_seq, ticket.info().commit_seq);
      EXPECT_TRUE(ticket.reached(level));
    }
  }
}

TEST_F(TicketCallbackTest, DoesNotComeBeforeItsLevel) {
  TestStore store;
  Hold hold("journal.sync");
  Ticket ticket = submit(*store, set_of("key"), Durability::Written);
  std::future<CommitInfo> durable = ticket.future(Durability::Durable);
  hold.wait_for_arrivals();
  EXPECT_EQ(ticket.future(Durability::Applied).get().commit_seq, 1u);
  EXPECT_EQ(durable.wait_for(std::chrono::seconds{0}), std::future_status::timeout);
  hold.release();
  durable.get();
  EXPECT_TRUE(ticket.reached(Durability::Durable));
}

TEST_F(TicketCallbackTest, ComesForWhatWasReachedLongAgoAndForAnEmptyCommit) {
  TestStore store;
  Ticket ticket = submit(*store, set_of("key"), Durability::Durable);
  ticket.wait();
  for (Durability level : kLevels) EXPECT_EQ(ticket.future(level).get().commit_seq, 1u);
  EXPECT_EQ(submit(*store, WriteSet(), Durability::Durable).future(Durability::Durable).get().commit_seq, 1u);
}

TEST_F(TicketCallbackTest, RunsOnAThreadOfTheStoresOwnAndNeverTwo) {
  TestStore store;
  std::thread::id thread;
  std::atomic<int> called{0};
  for (int i = 0; i < 50; ++i) {
    submit(*store, set_of("key"), Durability::Applied).then(kLevels[i % 3], [&](const CommitInfo&, const Error*) {
      if (called.load() == 0) thread = std::this_thread::get_id();
      EXPECT_EQ(std::this_thread::get_id(), thread);
      ++called;
    });
  }
  test::await([&] { return called.load() == 50; });
  EXPECT_NE(thread, std::this_thread::get_id());
}

TEST_F(TicketCallbackTest, ComesInCommitOrderAtOneLevel) {
  Options options = test::tiny_options();
  TestStore store(options);
  const int kCommits = test::rounds(2000, 200'000);
  for (Durability level : kLevels) {
    std::vector<CommitSeq> order;
    std::atomic<int> called{0};
    std::vector<Ticket> tickets;
    Hold hold("journal.write");  // so that many are ready together
    for (int i = 0; i < kCommits; ++i) {
      Ticket ticket = submit(*store, set_of("key" + std::to_string(i % 9)), Durability::Applied);
      ticket.then(level, [&](const CommitInfo& info, const Error* failure) {
        EXPECT_EQ(failure, nullptr);
        order.push_back(info.commit_seq);
        ++called;
      });
      if (i == 100) hold.release();
    }
    test::await([&] { return called.load() == kCommits; });
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

TEST_F(TicketCallbackTest, AWeakerLevelDoesNotComeBehindALaterCommit) {
  TestStore store;
  const int kRounds = test::rounds(150, 30'000);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<CommitSeq> order;
    std::atomic<int> called{0};
    auto note = [&](const CommitInfo& info, const Error*) {
      order.push_back(info.commit_seq);
      ++called;
    };
    Ticket first = submit(*store, set_of("a"), Durability::Written);
    Ticket second = submit(*store, set_of("b"), Durability::Durable);
    first.then(Durability::Written, note);
    second.then(Durability::Durable, note);
    test::await([&] { return called.load() == 2; });
    ASSERT_LT(order[0], order[1]);
  }
}

TEST_F(TicketCallbackTest, AFailedStoreTellsThatTheOutcomeIsUnknown) {
  TestStore store;
  Ticket before = submit(*store, set_of("key"), Durability::Durable);
  before.wait();
  {
    fault::Armed fault("journal.sync", {.fail_with = EIO});
    Ticket ticket = submit(*store, set_of("key"), Durability::Written);
    EXPECT_TRUE(test::fails_with_unknown_outcome([&] { return ticket.future(Durability::Durable).get(); }));
    EXPECT_TRUE(test::fails_with_unknown_outcome([&] { return ticket.future(Durability::Durable).get(); }));
    EXPECT_EQ(before.future(Durability::Durable).get().commit_seq, 1u);
    store.close();
    EXPECT_TRUE(test::fails_with_unknown_outcome([&] { return ticket.future(Durability::Durable).get(); }));
  }
  EXPECT_EQ(before.future(Durability::Durable).get().commit_seq, 1u);
}

TEST_F(TicketCallbackTest, CloseRunsEveryCallbackBeforeItReturns) {
  for (int round = 0; round < test::rounds(20, 2000); ++round) {
    TestStore store;
    int called = 0;
    std::vector<Ticket> tickets;
    for (int i = 0; i < 20; ++i) {
      tickets.push_back(submit(*store, set_of("key"), Durability::Applied));
      tickets.back().then(kLevels[i % 3], [&](const CommitInfo&, const Error* failure) {
        EXPECT_EQ(failure, nullptr);
        ++called;
      });
    }
    store->close();
    ASSERT_EQ(called, 20);
  }
}

TEST_F(TicketCallbackTest, AfterCloseItRunsAtOnceOnThisThread) {
  TestStore store;
  Ticket ticket = submit(*store, set_of("key"), Durability::Applied);
  store.close();
  std::thread::id thread;
  ticket.then(Durability::Durable, [&](const CommitInfo& info, const Error* failure) {
    EXPECT_EQ(info.commit_seq, 1u);
    EXPECT_EQ(failure, nullptr);
    thread = std::this_thread::get_id();
  });
  EXPECT_EQ(thread, std::this_thread::get_id());
}

TEST_F(TicketCallbackTest, RegisteringBesideCloseLosesNone) {
  for (int round = 0; round < test::rounds(25, 5000); ++round) {
    TestStore store;
    Ticket ticket = submit(*store, set_of("key"), Durability::Applied);
    std::atomic<int> called{0};
    std::atomic<bool> started{false};
    auto registering = in_background([&] {
      for (int i = 0; i < 200; ++i) {
        ticket.then(Durability::Durable, [&](const CommitInfo&, const Error* failure) {
          EXPECT_EQ(failure, nullptr);
          ++called;
        });
        started.store(true);
      }
    });
    test::await([&] { return started.load(); });
    store.close();
    registering.get();
    ASSERT_EQ(called.load(), 200);
  }
}

TEST_F(TicketCallbackTest, WhatWouldWaitForTheStoreIsNestedUseThere) {
  TestStore store;
  std::vector<ErrorCode> codes;
  std::promise<void> done;
  submit(*store, set_of("key"), Durability::Applied).then(Durability::Durable, [&](const CommitInfo&, const Error*) {
    codes.push_back(code_of([&] { return store->submit(set_of("key")); }));
    codes.push_back(code_of([&] { return store->begin(); }));
    codes.push_back(code_of([&] { return store->flush(), 0; }));
    codes.push_back(code_of([&] { return store->checkpoint(), 0; }));
    codes.push_back(code_of([&] { return store->seal(); }));
    codes.push_back(code_of([&] { return store->unseal(), 0; }));
    codes.push_back(code_of([&] { return store->pause("callback"); }));
    codes.push_back(code_of([&] { return store->verify(); }));
    codes.push_back(code_of([&] { return store->digest(); }));
    codes.push_back(code_of([&] { return store->close(), 0; }));
    EXPECT_EQ(store->read().get("key"), "value");  // which waits for nothing
    done.set_value();
  });
  done.get_future().get();
  EXPECT_EQ(codes, std::vector<ErrorCode>(10, ErrorCode::NestedUse));
  EXPECT_EQ(code_of([&] { return store->submit(set_of("key")); }), ErrorCode{});
}

TEST_F(TicketCallbackTest, ACallbackMayAskForAnother) {
  TestStore store;
  Ticket ticket = submit(*store, set_of("key"), Durability::Applied);
  std::promise<Durability> last;
  ticket.then(Durability::Applied, [&](const CommitInfo&, const Error*) {
    ticket.then(Durability::Written, [&](const CommitInfo&, const Error*) {
      ticket.then(Durability::Durable, [&](const CommitInfo&, const Error*) { last.set_value(Durability::Durable); });
    });
  });
  EXPECT_EQ(last.get_future().get(), Durability::Durable);
  EXPECT_TRUE(ticket.reached(Durability::Durable));
}

TEST_F(TicketCallbackTest, WhatACallbackThrowsGoesNoFurther) {
  TestStore store;
  Ticket ticket = submit(*store, set_of("key"), Durability::Applied);
  ticket.then(Durability::Durable, [](const CommitInfo&, const Error*) { throw std::runtime_error("a test's"); });
  ticket.then(Durability::Durable, [](const CommitInfo&, const Error*) { throw 7; });
  EXPECT_EQ(ticket.future(Durability::Durable).get().commit_seq, 1u);
  EXPECT_EQ(submit(*store, set_of("key"), Durability::Durable).wait().commit_seq, 2u);
}

TEST_F(TicketCallbackTest, ASlowCallbackDelaysNoCommit) {
  TestStore store;
  std::promise<void> go;
  std::promise<void> there;
  submit(*store, set_of("key"), Durability::Applied).then(Durability::Applied, [&](const CommitInfo&, const Error*) {
    there.set_value();
    go.get_future().wait();
  });
  there.get_future().wait();
  for (int i = 0; i < 20; ++i) submit(*store, set_of("key"), Durability::Durable).wait();
  store->checkpoint();
  std::future<CommitInfo> later = submit(*store, set_of("key"), Durability::Durable).future(Durability::Durable);
  go.set_value();
  EXPECT_EQ(later.get().commit_seq, 22u);
}

}  // namespace
}  // namespace azoth
