// The checker of recorded histories against histories whose anomaly is known.
#include "support/serializability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace azoth::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

MicroOp a(std::string key, ListValue value) { return MicroOp::append(std::move(key), value); }
MicroOp r(std::string key, List seen) { return MicroOp::read(std::move(key), std::move(seen)); }

// Transactions that all overlap, each by a client of its own.
class Planted {
 public:
  RecordedTxn& txn(std::vector<MicroOp> ops, TxnOutcome outcome = TxnOutcome::Committed) {
    const auto id = static_cast<std::uint64_t>(history.transactions.size() + 1);
    history.transactions.push_back({.id = id,
                                    .client = static_cast<std::uint32_t>(id),
                                    .invoked = 0,
                                    .completed = 1000,
                                    .outcome = outcome,
                                    .ops = std::move(ops)});
    return history.transactions.back();
  }
  void at(std::uint64_t id, std::uint64_t invoked, std::uint64_t completed) {
    history.transactions[id - 1].invoked = invoked;
    history.transactions[id - 1].completed = completed;
  }
  void commits(std::vector<std::uint64_t> numbers) {
    for (std::size_t i = 0; i < numbers.size(); ++i) history.transactions[i].commit = numbers[i];
  }
  void in_the_end(std::initializer_list<std::pair<const std::string, List>> lists) {
    history.final_state = std::map<std::string, List>(lists);
  }

  History history;
};

std::vector<std::string> names(const CheckResult& result) {
  std::vector<std::string> all;
  for (const Anomaly& anomaly : result.anomalies) all.push_back(anomaly.name);
  return all;
}

// The history has exactly this anomaly, of these transactions.
void expect_only(const Planted& planted, const std::string& name, std::vector<std::uint64_t> ids,
                 const CheckOptions& options = {}) {
  const CheckResult result = check_history(planted.history, options);
  ASSERT_THAT(names(result), ElementsAre(name)) << result.text();
  EXPECT_THAT(result.anomalies[0].transactions, testing::UnorderedElementsAreArray(ids)) << result.text();
}

TEST(Serializability, AnEmptyHistoryAndASerialOneAreClean) {
  EXPECT_TRUE(check_history({}).clean());
  Planted p;
  p.txn({a("x", 1), r("x", {1}), a("y", 1)});
  p.txn({r("x", {1}), a("x", 2), r("x", {1, 2}), r("y", {1})});
  p.txn({r("x", {1, 2}), r("y", {1}), r("z", {})});
  p.at(1, 1, 2);
  p.at(2, 3, 4);
  p.at(3, 5, 6);
  p.in_the_end({{"x", {1, 2}}, {"y", {1}}});
  p.commits({1, 2, 2});
  const CheckResult result = check_history(p.history);
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(result.replayed_reads, 7u);
  EXPECT_EQ(result.committed, 3u);
}

TEST(Serializability, ACycleOfWritesIsG0) {
  Planted p;
  p.txn({a("x", 1), a("y", 1)});
  p.txn({a("x", 2), a("y", 2)});
  p.in_the_end({{"x", {1, 2}}, {"y", {2, 1}}});
  expect_only(p, "G0", {1, 2});
}

TEST(Serializability, TwoWhoReadEachOthersWritesAreG1c) {
  Planted p;
  p.txn({a("x", 1), r("y", {1})});
  p.txn({a("y", 1), r("x", {1})});
  expect_only(p, "G1c", {1, 2});
}

TEST(Serializability, AReaderOfHalfATransactionIsGSingle) {
  Planted p;
  p.txn({a("x", 1), a("y", 1)});
  p.txn({r("x", {1}), r("y", {})});
  expect_only(p, "G-single", {1, 2});
}

TEST(Serializability, TwoWhoAppendToTheSameVersionAreALostUpdateOfTheGSingleKind) {
  Planted p;
  p.txn({r("x", {}), a("x", 1)});
  p.txn({r("x", {}), a("x", 2)});
  p.in_the_end({{"x", {1, 2}}});
  expect_only(p, "G-single", {1, 2});
}

TEST(Serializability, WriteSkewIsG2) {
  Planted p;
  p.txn({r("x", {}), a("y", 1)});
  p.txn({r("y", {}), a("x", 1)});
  expect_only(p, "G2", {1, 2});
  p.in_the_end({{"x", {1}}, {"y", {1}}});
  expect_only(p, "G2", {1, 2});
}

TEST(Serializability, AppendsThatNobodySawAreStillOrderedAgainstTheirReaders) {
  Planted p;
  p.txn({r("x", {}), a("x", 1)});
  p.txn({r("x", {}), a("x", 2)});
  p.txn({r("x", {}), a("x", 3)});
  const CheckResult result = check_history(p.history);
  EXPECT_THAT(names(result), ElementsAre("G2")) << result.text();
  EXPECT_EQ(result.anomalies[0].transactions.size(), 2u) << result.text();

  Planted fine;  // one who reads and appends, others who only read or only append: not a cycle with itself
  fine.txn({r("x", {}), a("x", 1)});
  fine.txn({r("x", {})});
  fine.txn({a("x", 2)});
  EXPECT_TRUE(check_history(fine.history).clean());
}

TEST(Serializability, AppendsThatNobodySawComeAfterThoseSeen) {
  Planted p;
  p.txn({a("x", 1), a("y", 2)});
  p.txn({a("y", 1), a("x", 2)});
  p.txn({r("x", {1})});
  p.txn({r("y", {1})});
  expect_only(p, "G0", {1, 2});
}

TEST(Serializability, AWorseCycleIsReportedBeforeAShorterOne) {
  Planted p;
  p.txn({r("x", {}), a("y", 1), r("w", {1})});
  p.txn({r("y", {}), a("x", 1), a("z", 1)});  // G2 with the first
  p.txn({r("z", {1}), a("w", 1)});
  expect_only(p, "G-single", {1, 2, 3});
}

TEST(Serializability, TheShortestCycleIsReportedAndReadable) {
  Planted p;
  p.txn({r("a", {}), a("b", 1)});
  p.txn({r("b", {}), a("c", 1)});
  p.txn({r("c", {}), a("a", 1), r("e", {}), a("d", 1)});
  p.txn({r("d", {}), a("e", 1)});
  const CheckResult result = check_history(p.history);
  ASSERT_THAT(names(result), ElementsAre("G2")) << result.text();
  EXPECT_THAT(result.anomalies[0].transactions, UnorderedElementsAre(3, 4));
  EXPECT_THAT(result.anomalies[0].text, HasSubstr("T3 -rw-> T4 -rw-> T3"));
  EXPECT_THAT(result.anomalies[0].text, HasSubstr("T3 read e before T4 appended 1"));
}

TEST(Serializability, IndependentAnomaliesAreAllReported) {
  Planted p;
  p.txn({r("x", {}), a("y", 1)});
  p.txn({r("y", {}), a("x", 1)});
  p.txn({a("u", 1), r("v", {1})});
  p.txn({a("v", 1), r("u", {1})});
  EXPECT_THAT(names(check_history(p.history)), UnorderedElementsAre("G2", "G1c"));
}

TEST(Serializability, AStaleReadIsStrictGSingleAndFineWithoutRealTime) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({r("x", {})});
  p.at(1, 1, 2);
  p.at(2, 3, 4);
  expect_only(p, "strict G-single", {1, 2});
  EXPECT_TRUE(check_history(p.history, {.real_time = false}).clean());
  p.at(2, 2, 4);  // at the same tick: neither is before the other
  EXPECT_TRUE(check_history(p.history).clean());
}

TEST(Serializability, RealTimeThroughManyCompletionsIsRealTime) {
  Planted p;
  p.txn({a("x", 1)});
  p.at(1, 1, 2);
  for (std::uint64_t i = 0; i < 5; ++i) {
    p.txn({r("y", {})});
    p.at(i + 2, 10 * i + 10, 10 * i + 11);
  }
  p.txn({r("x", {})});
  p.at(7, 100, 101);
  expect_only(p, "strict G-single", {1, 7});
}

TEST(Serializability, WritesAgainstRealTimeAreStrictG0) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({a("x", 2)});
  p.at(1, 1, 2);
  p.at(2, 3, 4);
  p.in_the_end({{"x", {2, 1}}});
  expect_only(p, "strict G0", {1, 2});
}

TEST(Serializability, AReadFromTheFutureIsStrictG1c) {
  Planted p;
  p.txn({r("x", {1})});
  p.txn({a("x", 1)});
  p.at(1, 1, 2);
  p.at(2, 3, 4);
  expect_only(p, "strict G1c", {1, 2});
}

TEST(Serializability, ALongForkInRealTimeIsStrictG2) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({a("y", 1)});
  p.txn({r("x", {1}), r("y", {})});
  p.txn({r("y", {1}), r("x", {})});
  expect_only(p, "G2", {1, 2, 3, 4});

  Planted q;  // T1 -rw-> T3 -real time-> T2 -rw-> T4 -real time-> T1
  q.txn({r("x", {})});
  q.txn({r("y", {})});
  q.txn({a("x", 1)});
  q.txn({a("y", 1)});
  q.at(3, 1, 2);
  q.at(2, 3, 20);
  q.at(4, 1, 2);
  q.at(1, 3, 20);
  const CheckResult stale = check_history(q.history);  // the shorter cycle through real time comes first
  EXPECT_THAT(names(stale), ElementsAre("strict G-single")) << stale.text();
}

TEST(Serializability, TwoRwEdgesAndRealTimeAreStrictG2) {
  Planted p;  // T1 -rw-> T2 -real time-> T3 -rw-> T4 -wr-> T1, and no shorter way
  p.txn({r("x", {}), r("z", {4})});
  p.txn({a("x", 1)});
  p.txn({r("y", {})});
  p.txn({a("y", 1), a("z", 4)});
  p.at(1, 0, 1000);
  p.at(2, 1, 2);
  p.at(3, 3, 1000);
  p.at(4, 2, 1000);
  expect_only(p, "strict G2", {1, 2, 3, 4});
}

TEST(Serializability, AClientThatDoesNotSeeItsOwnAppendIsASessionAnomaly) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({r("x", {})}).client = 1;
  p.at(1, 1, 2);
  p.at(2, 3, 4);
  expect_only(p, "session G-single", {1, 2}, {.real_time = false});
  expect_only(p, "session G-single", {1, 2});
  expect_only(p, "strict G-single", {1, 2}, {.session = false});
  EXPECT_TRUE(check_history(p.history, {.real_time = false, .session = false}).clean());
}

TEST(Serializability, SessionsHaveTheOtherKindsOfCycles) {
  Planted writes;
  writes.txn({a("x", 1)});
  writes.txn({a("x", 2)}).client = 1;
  writes.at(1, 1, 2);
  writes.at(2, 3, 4);
  writes.in_the_end({{"x", {2, 1}}});
  expect_only(writes, "session G0", {1, 2});

  Planted future;
  future.txn({r("x", {1})});
  future.txn({a("x", 1)}).client = 1;
  future.at(1, 1, 2);
  future.at(2, 3, 4);
  expect_only(future, "session G1c", {1, 2});

  Planted fork;  // two clients, each writes one list, then misses the write of the other
  fork.txn({a("x", 1)});
  fork.txn({a("y", 1)});
  fork.txn({r("y", {})}).client = 1;
  fork.txn({r("x", {})}).client = 2;
  fork.at(1, 1, 10);
  fork.at(2, 1, 10);
  fork.at(3, 10, 20);
  fork.at(4, 10, 20);
  expect_only(fork, "session G2", {1, 2, 3, 4});
}

// A store where the first is shown at level 0 when it completes, at level 1 later, at level 2 never.
class PlantedLevels : public Planted {
 public:
  explicit PlantedLevels(std::uint32_t reading_client) {
    txn({a("x", 1)}).shown = ShownFrom{2, 20, kNever, kNever};
    txn({r("x", {})}).client = reading_client;
    at(1, 1, 2);
  }
  void reads_at(std::uint8_t level, std::uint64_t invoked) {
    history.transactions[1].looks_at = level;
    at(2, invoked, invoked + 1);
  }
};

TEST(Serializability, OnlyWhatWasShownAtItsLevelMustBeSeen) {
  for (const auto& [client, name] : {std::pair(1u, "session G-single"), std::pair(2u, "strict G-single")}) {
    PlantedLevels p(client);
    p.reads_at(0, 10);
    expect_only(p, name, {1, 2});
    p.reads_at(1, 10);
    EXPECT_TRUE(check_history(p.history).clean());
    p.reads_at(1, 21);
    expect_only(p, name, {1, 2});
    p.reads_at(2, 21);
    EXPECT_TRUE(check_history(p.history).clean());
  }
}

TEST(Serializability, AClientIsShownWhatItDidBeforeSomethingThatIsNotShown) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({a("y", 1)}).shown = ShownFrom{4, kNever, kNever, kNever};
  p.txn({r("x", {}), r("y", {})}).looks_at = 1;
  for (RecordedTxn& txn : p.history.transactions) txn.client = 1;
  p.at(1, 1, 2);
  p.at(2, 3, 4);
  p.at(3, 5, 6);
  expect_only(p, "session G-single", {1, 3}, {.real_time = false});
  p.history.transactions[2].ops[0].seen = {1};
  EXPECT_TRUE(check_history(p.history).clean());
}

TEST(Serializability, CommitNumbersFollowRealTimeAtTheLevelThatIsLookedAt) {
  PlantedLevels p(2);
  p.commits({1, 0});
  p.reads_at(0, 10);
  EXPECT_TRUE(check_history(p.history).has("commit order"));
  p.reads_at(1, 10);
  EXPECT_TRUE(check_history(p.history).clean()) << check_history(p.history).text();
  p.reads_at(1, 21);
  EXPECT_TRUE(check_history(p.history).has("commit order"));
}

TEST(Serializability, AnAbortedValueThatIsReadIsG1a) {
  Planted p;
  p.txn({a("x", 1)}, TxnOutcome::Aborted);
  p.txn({r("x", {1})});
  expect_only(p, "G1a", {1, 2});
  Planted final_state;
  final_state.txn({a("x", 1)}, TxnOutcome::Aborted);
  final_state.in_the_end({{"x", {1}}});
  expect_only(final_state, "G1a", {1});
}

TEST(Serializability, AnUnknownOutcomeIsCommittedIfSeenAndNothingOtherwise) {
  Planted p;
  p.txn({a("x", 1), a("y", 1)}, TxnOutcome::Unknown);
  p.txn({r("x", {})});
  p.at(1, 1, 2);
  p.at(2, 3, 4);
  EXPECT_TRUE(check_history(p.history).clean());
  EXPECT_EQ(check_history(p.history).committed, 1u);
  p.txn({r("x", {1})});
  p.at(3, 5, 6);
  EXPECT_TRUE(check_history(p.history).clean()) << "it may take effect after the client gave up";
  EXPECT_EQ(check_history(p.history).committed, 3u);
  p.txn({r("y", {})});
  p.at(4, 7, 8);
  expect_only(p, "strict G-single", {1, 3, 4});
}

TEST(Serializability, WhatAnUnknownOutcomeReadCountsOnceItIsSeen) {
  Planted p;
  p.txn({a("x", 1)}, TxnOutcome::Unknown);
  p.txn({r("x", {1}), a("y", 1)}, TxnOutcome::Unknown);
  p.txn({r("y", {1}), r("x", {})});
  expect_only(p, "G-single", {1, 2, 3});
}

TEST(Serializability, AReadAmidATransactionsAppendsIsG1b) {
  Planted p;
  p.txn({a("x", 1), a("x", 2)});
  p.txn({r("x", {1})});
  const CheckResult result = check_history(p.history);
  EXPECT_TRUE(result.has("G1b")) << result.text();
  EXPECT_TRUE(result.has("G-single")) << "what it shows is half of a transaction too: " << result.text();
}

TEST(Serializability, ACommittedAppendMissingFromTheEndIsALostUpdate) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({a("x", 2)});
  p.in_the_end({{"x", {2}}});
  expect_only(p, "lost update", {1});
  p.in_the_end({});
  EXPECT_THAT(names(check_history(p.history)), ElementsAre("lost update", "lost update"));
}

TEST(Serializability, AListThatOnceWasLongerThanInTheEndIsALostUpdate) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({r("x", {1})});
  p.in_the_end({{"x", {}}});
  expect_only(p, "lost update", {1});
}

TEST(Serializability, ReadsThatAreNoPrefixesOfEachOtherAreIncompatibleOrders) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({a("x", 2)});
  p.txn({r("x", {1, 2})});
  p.txn({r("x", {2})});
  const CheckResult result = check_history(p.history);
  ASSERT_TRUE(result.has("incompatible orders")) << result.text();
  EXPECT_THAT(result.anomalies[0].transactions, UnorderedElementsAre(3, 4));
}

TEST(Serializability, AValueSeenTwiceIsADuplicate) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({r("x", {1, 1})});
  expect_only(p, "duplicate value", {2});
}

TEST(Serializability, AValueNobodyAppendedIsUnwritten) {
  Planted p;
  p.txn({a("y", 1)});
  p.txn({r("x", {1})});
  expect_only(p, "unwritten value", {2});
}

TEST(Serializability, ATransactionThatContradictsItselfIsInternal) {
  const std::vector<std::vector<MicroOp>> contradictions{
      {a("x", 1), r("x", {})},                            // does not see its own append
      {r("x", {}), a("x", 1), r("x", {9, 1})},            // a value in between
      {r("x", {1}), a("x", 1)},                           // sees its append before it is made
      {r("x", {}), r("x", {9})},                          // two reads differ
      {a("x", 1), a("x", 2), r("x", {2})},                // sees half of its appends
      {a("x", 1), r("x", {1}), a("x", 2), r("x", {1})}};  // does not see the later one
  for (const std::vector<MicroOp>& ops : contradictions) {
    Planted p;
    p.txn(ops);
    p.txn({a("x", 9)});
    const CheckResult result = check_history(p.history);
    ASSERT_TRUE(result.has("internal")) << result.text();
    EXPECT_THAT(result.anomalies[0].transactions, ElementsAre(1));
  }
}

TEST(Serializability, AppendsOfOneTransactionInAnotherOrderOrIncompleteAreInternal) {
  for (const List& shown : {List{2, 1}, List{2}}) {
    Planted p;
    p.txn({a("x", 1), a("x", 2)});
    p.txn({r("x", shown)});
    EXPECT_TRUE(check_history(p.history).has("internal")) << check_history(p.history).text();
  }
}

TEST(Serializability, AReadThatCommitNumbersDoNotExplainIsFoundByReplay) {
  Planted p;  // serializable, but not in the order that the store claims
  p.txn({a("x", 1)});
  p.txn({r("x", {1}), a("y", 1)});
  EXPECT_TRUE(check_history(p.history).clean());
  p.commits({2, 1});
  expect_only(p, "replay", {2});
  p.commits({1, 2});
  EXPECT_TRUE(check_history(p.history).clean());
}

TEST(Serializability, AReadOnlyTransactionIsReplayedAtTheCommitItSees) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({a("x", 2)});
  p.txn({r("x", {1})});
  p.commits({1, 2, 1});
  EXPECT_TRUE(check_history(p.history).clean());
  p.commits({1, 2, 2});
  expect_only(p, "replay", {3});
}

TEST(Serializability, CommitNumbersThatOccurTwiceOrContradictRealTimeAreFound) {
  Planted p;
  p.txn({a("x", 1)});
  p.txn({a("y", 1)});
  p.commits({1, 1});
  expect_only(p, "commit order", {1, 2});
  p.commits({2, 1});
  EXPECT_TRUE(check_history(p.history).clean());
  p.at(1, 1, 2);
  p.at(2, 3, 4);
  expect_only(p, "commit order", {1, 2});
  EXPECT_TRUE(check_history(p.history, {.real_time = false}).clean());
}

TEST(Serializability, WithoutAllCommitNumbersNothingIsReplayed) {
  Planted p;
  p.txn({a("x", 1), r("x", {1})});
  p.txn({a("y", 1)});
  p.history.transactions[0].commit = 1;
  EXPECT_EQ(check_history(p.history).replayed_reads, 0u);
}

TEST(Serializability, ManyOfOneNameAreCounted) {
  Planted p;
  for (ListValue value = 1; value <= 25; ++value) p.txn({a("x", value)});
  p.in_the_end({});
  const CheckResult result = check_history(p.history);
  EXPECT_EQ(result.anomalies.size(), CheckResult::kMostOfAName);
  EXPECT_EQ(result.left_out, 5u);
  EXPECT_THAT(result.text(), HasSubstr("and 5 more"));
}

TEST(Serializability, WhatIsNoHistoryIsRefused) {
  Planted twice;
  twice.txn({a("x", 1)});
  twice.txn({a("x", 1)});
  EXPECT_THROW(check_history(twice.history), std::invalid_argument);
  Planted backwards;
  backwards.txn({});
  backwards.at(1, 5, 4);
  EXPECT_THROW(check_history(backwards.history), std::invalid_argument);
  backwards.at(1, 5, 6);
  backwards.history.transactions[0].shown = ShownFrom{6, 6, 4, 6};
  EXPECT_THROW(check_history(backwards.history), std::invalid_argument);
  Planted level;
  level.txn({}).looks_at = kSightLevels;
  EXPECT_THROW(check_history(level.history), std::invalid_argument);
  Planted overlap;
  overlap.txn({});
  overlap.txn({}).client = 1;
  EXPECT_THROW(check_history(overlap.history), std::invalid_argument);
  EXPECT_TRUE(check_history(overlap.history, {.session = false}).clean());
  overlap.history.transactions[1].id = 1;
  EXPECT_THROW(check_history(overlap.history, {.session = false}), std::invalid_argument);
}

}  // namespace
}  // namespace azoth::test
