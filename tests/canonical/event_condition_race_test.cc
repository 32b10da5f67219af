// Decisions that events come in the way of while they are made: conditions that must be evaluated again, answers that
// rest on commits, and one seat that many want.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "event_condition_support.h"

namespace azoth::test {
namespace {

// --- Evaluated again

class StaleConditionTest : public EventConditionTest {
 protected:
  // A decision whose evaluation is out of date when it comes to its place: meanwhile this has happened.
  TransactionEnd decide_while(std::function<void()> meanwhile, const Condition& condition) {
    int runs = 0;
    auto outcome = store_->transaction().require(condition).durability(Durability::Applied).execute([&](Txn& txn) {
      ++runs;
      std::jthread other(meanwhile);
      txn.append({.type = "decided", .tags = {"d"}, .payload = ""});
    });
    EXPECT_EQ(runs, 1);
    return outcome;
  }
  void bulk(const char* tag) {
    submit(*store_, event_of("bulk", tag, std::string(600'000, 'x')), Durability::Applied);
    EXPECT_EQ(store_->status().flushed_seq, store_->status().applied_seq) << "this was no bulk transaction";
  }
};

TEST_F(StaleConditionTest, AfterABulkTransaction) {
  Condition condition = Condition::no_event({{.tags = {"x"}}, {.tags = {"a"}}}, 0);
  add({"t", {"b"}});
  EXPECT_TRUE(decide_while([&] { bulk("b"); }, condition));
  EventId next = last() + 1;
  auto outcome = decide_while([&] { bulk("a"); }, condition);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.rejection().failures.at(0).event, next);
}

TEST_F(StaleConditionTest, AfterTheirDeltaWasDropped) {
  Condition condition = Condition::tag_version("a", ExpectedVersion::none());
  auto flushed = [&](const char* tag) {
    add({"t", {tag}});
    store_->checkpoint();
    add({"t", {"other"}});
  };
  EXPECT_TRUE(decide_while([&] { flushed("b"); }, condition));
  EventId next = last() + 1;
  auto outcome = decide_while([&] { flushed("a"); }, condition);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.rejection().failures.at(0).event, next);
}

// It has dropped exactly what the evaluation had seen: nothing is missing, and what came behind it is found.
TEST_F(StaleConditionTest, NotWhereTheOldestDeltaBeginsBehindTheEvaluation) {
  Condition condition = Condition::no_event({{.tags = {"a"}}}, 0);
  add({"t", {"b"}});
  auto outcome = decide_while(
      [&] {
        store_->checkpoint();
        add({"t", {"a"}});
      },
      condition);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.rejection().failures.at(0).event, 2u);
}

TEST_F(StaleConditionTest, ABulkTransactionsOwnConditionsAreEvaluatedInItsTurn) {
  for (const char* tag : {"b", "a"}) {
    auto outcome =
        store_->transaction().exclusive("k").require(Condition::no_event({{.tags = {"a"}}}, 0)).execute([&](Txn& txn) {
          std::jthread other([&] { add({"t", {tag}}); });
          txn.put("k", std::string(600'000, 'x'));
        });
    EXPECT_EQ(outcome.has_value(), std::string(tag) == "b");
  }
  EXPECT_EQ(last(), 2u);
}

// --- An answer rests on commits

TEST_F(EventConditionTest, AConflictIsGivenWhenItsEventIsSafe) {
  for (Durability level : {Durability::Written, Durability::Durable}) {
    for (bool in_the_sequencer : {false, true}) {
      std::string tag = std::string(in_the_sequencer ? "behind:" : "before:") + std::to_string(static_cast<int>(level));
      std::optional<Ticket> event;
      auto come = [&] { event = submit(*store_, event_of("t", tag), Durability::Applied); };
      if (in_the_sequencer) clock_.set([&] { std::jthread other(come); });
      if (!in_the_sequencer) come();
      Condition condition = Condition::tag_version(tag, ExpectedVersion::none());
      EXPECT_FALSE(decide({condition}, level));
      EXPECT_TRUE(event->reached(level));
      EXPECT_FALSE(decide({Condition::no_event({{.tags = {tag}}}, 0)}, Durability::Applied));
    }
  }
}

TEST_F(EventConditionTest, AConflictAtAppliedWaitsForNothing) {
  Ticket event = submit(*store_, event_of("t", "a"), Durability::Applied);
  EXPECT_FALSE(decide({Condition::tag_version("a", ExpectedVersion::none())}, Durability::Applied));
  EXPECT_FALSE(event.reached(Durability::Written));
}

// --- By many at once

// Each round one seat, and as many as there are threads who want it; beside them everything is flushed.
TEST(EventConditions, OfThoseWhoWantOneSeatOneGetsIt) {
  Watchdog watchdog;
  constexpr int kThreads = 4;
  Options options = tiny_options();
  options.map_bytes = std::size_t{1} << 30;
  TestStore store(options);
  struct Answer {
    EventId mine = 0;
    EventId in_the_way = 0;
  };
  auto want = [&](const std::string& seat, int how) {
    std::string payload(seat.size() % 2 == 0 ? 10 : 2000, 'p');
    EventPattern pattern{.types = {"seat taken"}, .tags = {seat}};
    Condition free = how % 2 == 0 ? Condition::no_event({{.tags = {"never"}}, pattern}, 0)
                                  : Condition::tag_version(seat, ExpectedVersion::none());
    auto answer = [](const CommitInfo* info, const Rejection& rejection) {
      return info != nullptr ? Answer{.mine = info->first_event} : Answer{.in_the_way = rejection.failures.at(0).event};
    };
    if (how < 2) {
      std::vector<Condition> conditions = {free};
      auto outcome = store->submit(event_of("seat taken", seat, payload), conditions, {.level = Durability::Applied});
      return answer(outcome ? &outcome->info() : nullptr, outcome.rejection());
    }
    auto outcome = store->transaction().require(free).durability(Durability::Applied).execute([&](Txn& txn) {
      txn.append({.type = "seat taken", .tags = {"hall", seat}, .payload = payload});
    });
    return answer(outcome ? &outcome.commit() : nullptr, outcome.rejection());
  };
  const int kRounds = rounds(2000, 50'000);
  std::vector<std::array<Answer, kThreads>> answers(static_cast<std::size_t>(kRounds));
  std::atomic<int> arrived{0};
  {
    std::jthread flushing([&](std::stop_token stop) {
      while (!stop.stop_requested()) store->checkpoint();
    });
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int round = 0; round < kRounds; ++round) {
          ++arrived;
          await([&] { return arrived >= kThreads * (round + 1); });
          answers[static_cast<std::size_t>(round)][static_cast<std::size_t>(thread)] =
              want("seat:" + std::to_string(round), (thread + round) % 4);
        }
      });
    }
  }
  ReadTxn read = store->read(Durability::Applied);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<EventId> taken = ids_of(read.events({.tags = {"seat:" + std::to_string(round)}}));
    ASSERT_EQ(taken.size(), 1u) << "round " << round;
    int winners = 0;
    for (const Answer& answer : answers[static_cast<std::size_t>(round)]) {
      ASSERT_EQ(answer.mine + answer.in_the_way, taken[0]) << "round " << round;
      winners += answer.mine != 0 ? 1 : 0;
    }
    ASSERT_EQ(winners, 1) << "round " << round;
  }
}

}  // namespace
}  // namespace azoth::test
