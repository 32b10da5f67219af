// Sequences in a store: what is handed out survives, and what is not is returned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "azoth/core/limits.h"
#include "lmdb_tables.h"
#include "sequence_store_support.h"
#include "settings.h"
#include "store_files.h"
#include "support/child_process.h"
#include "support/seed.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::ChildProcess;
using test::code_of;
using test::copy_store;
using test::Hold;
using test::in_background;
using test::is_refused_for_good;
using test::kBlock;
using test::Listed;
using test::listed;
using test::message_of;
using test::options_with_block;
using test::Pipe;
using test::rounds;
using test::SequenceStore;
using test::set_of;
using testing::HasSubstr;

constexpr auto kApplied = Durability::Applied;
constexpr auto kDurable = Durability::Durable;

// --- Handing out

TEST_F(SequenceStore, NumbersBeginAtZeroAndOneCommitReservesABlock) {
  EXPECT_EQ(store_->peek_sequence("s"), 0u);
  EXPECT_EQ(next(), 0u);
  EXPECT_EQ(next(), 1u);
  EXPECT_EQ(next(10), 2u);
  EXPECT_EQ(store_->peek_sequence("s"), 12u);
  EXPECT_EQ(applied(), 1u);
  EXPECT_EQ(next(kBlock), 12u);
  EXPECT_EQ(applied(), 2u);
}

TEST_F(SequenceStore, TheBlockSizeIsAnOption) {
  use(options_with_block(2));
  for (std::uint64_t i = 0; i < 6; ++i) EXPECT_EQ(next(), i);
  EXPECT_EQ(applied(), 3u);
  EXPECT_EQ(code_of([] {
              Store::create("/nonexistent/store", options_with_block(0));
              return 0;
            }),
            ErrorCode::InvalidArgument);
}

TEST_F(SequenceStore, AreNoPartOfTheStateTheLogTheDigestOrTheCounts) {
  std::string empty = store_->digest();
  next(5);
  store_->next_sequence("t");
  EXPECT_EQ(store_->digest(), empty);
  EXPECT_EQ(store_->status().state_keys, 0u);
  EXPECT_TRUE(test::keys_of(store_->read().scan()).empty());
  EXPECT_EQ(store_->meta().last_event, 0u);
  store_->checkpoint();
  VerifyReport report = store_->verify();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.state_keys, 0u);
  EXPECT_EQ(report.commits, 2u);
}

TEST_F(SequenceStore, ListsThemByNameWithWhatComesNext) {
  EXPECT_EQ(listed(*store_), Listed{});
  store_->next_sequence("b", 3);
  store_->next_sequence("a", 5000);
  std::string odd("\0\xFF", 2);
  store_->next_sequence(odd);
  store_->next_sequence("c", 0);  // hands out nothing
  Listed expected = {{odd, 1}, {"a", 5000}, {"b", 3}};
  EXPECT_EQ(listed(*store_), expected);
  store_->checkpoint();  // from LMDB
  EXPECT_EQ(listed(*store_), expected);
  store_->next_sequence("b", 10'000);  // from LMDB, and newer ones from a Delta
  store_->next_sequence("d");
  expected = {{odd, 1}, {"a", 5000}, {"b", 10'003}, {"d", 1}};
  EXPECT_EQ(listed(*store_), expected);
  store_.reopen();
  EXPECT_EQ(listed(*store_), expected);
  EXPECT_EQ(store_->peek_sequence("b"), 10'003u);
  EXPECT_EQ(store_->peek_sequence("none"), 0u);
  EXPECT_EQ(applied(), store_->status().flushed_seq) << "looking writes nothing";
}

TEST_F(SequenceStore, ManyVersionsOfARowInOneDelta) {
  use(options_with_block(1));
  for (int i = 0; i < 100; ++i) {
    next();
    store_->next_sequence("t" + std::to_string(i % 3));
  }
  EXPECT_EQ(listed(*store_), (Listed{{"s", 100}, {"t0", 34}, {"t1", 33}, {"t2", 33}}));
}

TEST_F(SequenceStore, ANameHasOneTo128Bytes) {
  std::string longest(limits::kMaxSequenceNameBytes, '\xFF');
  EXPECT_EQ(store_->next_sequence(longest), 0u);
  store_.reopen();
  EXPECT_EQ(store_->next_sequence(longest), 1u);
  CommitSeq before = applied();
  WriteTxn txn = store_->begin();
  for (const std::string& bad : {std::string(), longest + 'x'}) {
    EXPECT_EQ(code_of([&] { return store_->peek_sequence(bad); }), ErrorCode::InvalidArgument);
    EXPECT_EQ(code_of([&] { return txn.next_sequence(bad); }), ErrorCode::InvalidArgument);
    EXPECT_EQ(in_background([&] { return code_of([&] { return store_->next_sequence(bad); }); }).get(),
              ErrorCode::InvalidArgument);
  }
  EXPECT_EQ(applied(), before);
}

TEST_F(SequenceStore, TheEndIsAnErrorThatChangesNothing) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(next(kMax - 1), 0u);
  CommitSeq before = applied();
  EXPECT_EQ(code_of([&] { return next(2); }), ErrorCode::SequenceExhausted);
  EXPECT_EQ(applied(), before);
  EXPECT_EQ(next(), kMax - 1);
  EXPECT_EQ(refusal(), ErrorCode::SequenceExhausted);
  store_.reopen();
  EXPECT_EQ(refusal(), ErrorCode::SequenceExhausted);
  EXPECT_EQ(store_->peek_sequence("s"), kMax);
}

// --- Durability

TEST_F(SequenceStore, ANumberWaitsUntilItsReservationIsDurable) {
  Hold sync("journal.sync");
  auto number = in_background([&] { return next(); });
  sync.wait_for_arrivals();
  EXPECT_EQ(number.wait_for(milliseconds{1}), std::future_status::timeout);
  sync.release();
  EXPECT_EQ(number.get(), 0u);
  EXPECT_GE(store_->status().durable_seq, 1u);
}

TEST_F(SequenceStore, SoDoesANumberOfABlockThatWasReservedWithoutWaiting) {
  EXPECT_EQ(next(1, kApplied), 0u);
  EXPECT_EQ(store_->status().durable_seq, 0u);
  Hold sync("journal.sync");
  auto number = in_background([&] { return next(); });
  sync.wait_for_arrivals();
  EXPECT_EQ(number.wait_for(milliseconds{1}), std::future_status::timeout);
  EXPECT_EQ(next(1, Durability::Applied), 2u) << "who does not want to wait need not";
  sync.release();
  EXPECT_EQ(number.get(), 1u);
  EXPECT_EQ(applied(), 1u);
}

TEST_F(SequenceStore, ANumberOfADurableBlockWritesNothing) {
  next();
  std::uint64_t batches = store_->status().batches;
  std::uint64_t syncs = store_->status().syncs;
  for (int i = 0; i < 100; ++i) next();
  EXPECT_EQ(store_->status().batches, batches);
  EXPECT_EQ(store_->status().syncs, syncs);
}

TEST_F(SequenceStore, WhatWasHandedOutAtWrittenSurvivesAKill) {
  EXPECT_EQ(next(7, Durability::Written), 0u);
  EXPECT_EQ(store_->status().syncs, 0u);
  EXPECT_EQ(crashed()->next_sequence("s"), kBlock);
}

TEST_F(SequenceStore, AReservationThatCannotBecomeDurableIsNeverHandedOut) {
  for (const char* point : {"journal.write", "journal.sync", "group.synced", "sequencer.insert"}) {
    std::uint64_t handed_out = next();
    next(kBlock - 1);  // the block is used up
    store_->flush();
    {
      fault::Armed fault(point, {.fail_with = EIO});
      EXPECT_TRUE(is_refused_for_good([&] { return next(); })) << point;
    }
    EXPECT_TRUE(is_refused_for_good([&] { return next(); })) << point;
    EXPECT_TRUE(is_refused_for_good([&] { return next(1, kApplied); })) << point << ": it would be lost";
    EXPECT_NO_THROW(store_->peek_sequence("s"));
    store_.reopen();
    std::uint64_t after = store_->peek_sequence("s");
    EXPECT_GE(after, handed_out + kBlock) << point;
    EXPECT_LE(after, handed_out + 2 * kBlock) << point;
  }
}

TEST_F(SequenceStore, ANumberOfAnEarlierBlockThatCannotBecomeDurableIsNotHandedOutEither) {
  next(1, kApplied);  // the reservation is in the open batch
  Hold sync("journal.sync", {.fail_with = EIO});
  auto failing = in_background([&] { return is_refused_for_good([&] { return next(); }); });
  sync.wait_for_arrivals();
  auto another = in_background([&] { return is_refused_for_good([&] { return next(); }); });
  sync.release();
  EXPECT_TRUE(failing.get());
  EXPECT_TRUE(another.get());
}

TEST_F(SequenceStore, AReservationThatIsRefusedLeavesTheBlockAsItWas) {
  Options options = test::tiny_options();
  options.sequence_block = 100;
  options.timeout = milliseconds{1};
  use(options);
  const SubmitOptions patient{.timeout = std::chrono::minutes{2}};
  store_->submit(set_of("a"), {}, patient)->wait();  // what waits for a journal segment
  EXPECT_EQ(next(95), 0u);
  Hold bulk("bulk.apply");
  auto writer = in_background([&] { store_->submit(set_of("k", std::string(60'000, 'v')), {}, patient)->wait(); });
  bulk.wait_for_arrivals();
  EXPECT_EQ(code_of([&] { return next(10); }), ErrorCode::Backpressure);
  EXPECT_EQ(store_->peek_sequence("s"), 95u);
  EXPECT_EQ(next(5), 95u) << "the block has them";
  bulk.release();
  writer.get();
  use(test::quiet_options());
  EXPECT_EQ(next(10), 100u);
}

TEST_F(SequenceStore, ATransactionsTimeoutHoldsForTheNumbersThatItDraws) {
  Options options = test::tiny_options();
  options.sequence_block = 100;
  options.timeout = std::chrono::minutes{10};  // longer than the test may take
  use(options);
  store_->submit(set_of("a"), {}, {})->wait();
  EXPECT_EQ(next(95), 0u);
  Hold bulk("bulk.apply");
  auto writer = in_background([&] { store_->submit(set_of("k", std::string(60'000, 'v')))->wait(); });
  bulk.wait_for_arrivals();
  const auto draw = [&] {
    return store_->transaction().exclusive("x").timeout(milliseconds{1}).execute([](Txn& txn) {
      return txn.next_sequence("s", 10);
    });
  };
  EXPECT_EQ(code_of(draw), ErrorCode::Backpressure);
  auto patient = in_background([&] { return next(10); });  // has the sequence while it waits
  test::await([&] { return store_->status().waiting_writers >= 1; });
  EXPECT_EQ(code_of(draw), ErrorCode::Backpressure);
  bulk.release();
  patient.get();
  writer.get();
}

// --- Clean ends and crashes

TEST_F(SequenceStore, ACleanCloseLeavesNoGap) {
  next(10);
  store_->next_sequence("t", 3);
  store_.reopen();
  EXPECT_TRUE(store_->status().recovery.clean);
  EXPECT_EQ(store_->peek_sequence("s"), 10u);
  EXPECT_EQ(next(), 10u);
  EXPECT_EQ(store_->next_sequence("t"), 3u);
}

TEST_F(SequenceStore, CloseReturnsAllRestsInOneCommitAndOnlyIfThereAreAny) {
  next(10);
  store_->next_sequence("t", 3);
  store_->next_sequence("full", kBlock);
  CommitSeq before = applied();
  store_.reopen();
  EXPECT_EQ(applied(), before + 1);
  store_->peek_sequence("s");
  store_->next_sequence("s", 0);
  store_.reopen();
  EXPECT_EQ(applied(), before + 1) << "nothing was used";
}

TEST_F(SequenceStore, ACloseBesideAFullMemoryIsClean) {
  use(test::tiny_options());
  next(10);
  {
    test::LmdbIsFull full;
    test::put(*store_, "a", std::string(30'000, 'a'));
    full.freeze(*store_);
    store_->next_sequence("t", 5);
  }
  store_.reopen();
  EXPECT_EQ(next(), 10u);
  EXPECT_EQ(store_->next_sequence("t"), 5u);
}

TEST_F(SequenceStore, ACrashLeavesAGapOfAtMostOneBlock) {
  next(10);
  std::unique_ptr<Store> copy = crashed();
  EXPECT_EQ(copy->peek_sequence("s"), kBlock);
  EXPECT_EQ(listed(*copy), (Listed{{"s", kBlock}}));
  EXPECT_EQ(copy->next_sequence("s"), kBlock);
}

TEST_F(SequenceStore, AFailedStoreLeavesAGapAtItsClose) {
  next(10);
  {
    fault::Armed fault("journal.write", {.fail_with = EIO});
    EXPECT_EQ(code_of([&] { return test::submit(*store_, set_of("k"), kDurable).wait(); }), ErrorCode::StoreFailed);
  }
  store_.reopen();
  EXPECT_EQ(next(), kBlock);
}

TEST_F(SequenceStore, AfterCloseEverythingSaysSo) {
  WriteTxn txn = store_->begin();
  txn.next_sequence("s");
  in_background([&] { store_->close(); }).get();
  EXPECT_EQ(code_of([&] { return txn.next_sequence("s"); }), ErrorCode::Closed);
  txn.abort();
  EXPECT_EQ(refusal(), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store_->peek_sequence("s"); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store_->sequences(); }), ErrorCode::Closed);
}

TEST_F(SequenceStore, ARandomHistoryOfLivesAgreesWithAModel) {
  std::mt19937_64 random(test::test_seed());
  std::map<std::string, std::uint64_t> expected;
  test::TempDir copies;
  for (int life = 0; life < rounds(12, 200) && !HasFatalFailure(); ++life) {
    Options options = test::tiny_options();
    options.sequence_block = 1 + random() % 50;
    use(options);
    std::uint64_t block = options.sequence_block;
    bool crash = life % 3 == 2;
    std::unique_ptr<Store> copy;
    Store* store = &*store_;
    if (crash) {
      copy_store(store_.directory(), copies.path() / "copy");
      copy = Store::open(copies.path() / "copy", options);
      store = copy.get();
    }
    std::map<std::string, std::uint64_t> here = expected;
    for (int step = 0; step < 60; ++step) {
      std::string name(1, static_cast<char>('a' + random() % 3));
      std::uint64_t n = random() % 80;
      std::uint64_t first = 0;
      if (random() % 3 == 0) {
        WriteTxn txn = store->begin();
        first = txn.next_sequence(name, n);
        if (random() % 2 == 0) {
          txn.put("k", std::to_string(step));
          txn.commit();
        }
      } else {
        first = store->next_sequence(name, n, static_cast<Durability>(1 + random() % 3));
      }
      ASSERT_EQ(first, here[name]);
      here[name] += n;
      if (random() % 20 == 0) store->pause("test").resume();
      if (random() % 20 == 0) store->checkpoint();
      if (random() % 40 == 0) {
        store->seal();
        store->unseal();
      }
    }
    std::erase_if(here, [](const auto& entry) { return entry.second == 0; });
    ASSERT_EQ(listed(*store), Listed(here.begin(), here.end()));
    if (!crash) {
      expected = here;
      continue;
    }
    store->flush();
    copy_store(copies.path() / "copy", copies.path() / "crashed");
    auto after = Store::open(copies.path() / "crashed", options);
    for (const auto& [name, least] : here) {
      std::uint64_t found = after->peek_sequence(name);
      ASSERT_GE(found, least) << "a number would be handed out twice";
      ASSERT_LE(found - least, std::max<std::uint64_t>(block, 80)) << "the gap is too large";
    }
  }
}

TEST_F(SequenceStore, NoNumberIsHandedOutTwiceOverManyKills) {
  std::mt19937_64 random(test::test_seed());
  store_.close();
  Options options = test::tiny_options();
  options.sequence_block = 64;
  options.sync_interval = milliseconds{5};
  options.delta_age = milliseconds{20};
  struct Given {
    std::uint64_t first;
    std::uint64_t count;
  };
  std::vector<Given> all;
  for (int kill = 0; kill < rounds(20, 500); ++kill) {
    Pipe pipe;
    ChildProcess child([&] {
      auto store = Store::open(store_.directory(), options);
      for (std::uint64_t i = 0;; ++i) {
        Given given{0, 1 + i * 7 % 40};
        given.first = store->next_sequence("s", given.count);
        pipe.send(given);
      }
    });
    pipe.close_writing();
    Given given{};
    for (std::uint64_t life = 1 + random() % 60; life > 0; --life) {
      ASSERT_TRUE(pipe.receive(given)) << "the child ended by itself";
      all.push_back(given);
    }
    child.kill();
    ASSERT_TRUE(child.was_killed());
    while (pipe.receive(given)) all.push_back(given);
  }
  std::uint64_t end = 0;
  for (const Given& given : all) {
    ASSERT_GE(given.first, end) << "handed out twice";
    end = given.first + given.count;
  }
  store_.open();
  EXPECT_GE(store_->peek_sequence("s"), end);
  EXPECT_TRUE(store_->verify().ok());
}

// --- Transactions

TEST_F(SequenceStore, AWriteTxnTakesNumbersWithoutWaiting) {
  WriteTxn txn = store_->begin();
  EXPECT_EQ(txn.next_sequence("s"), 0u);
  EXPECT_EQ(txn.next_sequence("s", 5), 1u);
  EXPECT_EQ(store_->status().durable_seq, 0u);
  txn.put("k", "6");
  EventId event = txn.append({.type = "t", .tags = {}, .payload = ""});
  EXPECT_EQ(txn.next_sequence("t", 2 * kBlock), 0u);
  CommitInfo info = txn.commit();
  EXPECT_EQ(info.commit_seq, 3u) << "behind both reservations";
  EXPECT_EQ(info.first_event, event);
  EXPECT_EQ(info.keys_written, 1u);
  EXPECT_EQ(store_->status().durable_seq, 3u) << "it is durable with its reservations";
  EXPECT_EQ(next(), 6u);
  EXPECT_EQ(code_of([&] { return txn.next_sequence("s"); }), ErrorCode::InvalidArgument) << "it is over";
}

TEST_F(SequenceStore, AnAbortedTransactionThatRolledABlockOverTakesNothingBack) {
  next(kBlock);
  {
    WriteTxn txn = store_->begin();
    EXPECT_EQ(txn.next_sequence("s"), kBlock);
    txn.put("k", "v");
  }
  EXPECT_EQ(next(), kBlock + 1) << "of the block that the aborted one has reserved";
  EXPECT_FALSE(store_->read(kApplied).exists("k"));
  EXPECT_EQ(crashed()->next_sequence("s"), 2 * kBlock) << "its reservation is durable with the number";
}

TEST_F(SequenceStore, ATransactionThatSurvivesACrashHasItsReservation) {
  WriteTxn txn = store_->begin();
  std::uint64_t number = txn.next_sequence("s");
  txn.put("k", std::to_string(number));
  txn.commit(Durability::Written);
  std::unique_ptr<Store> copy = crashed();
  EXPECT_EQ(copy->read().get("k"), "0");
  EXPECT_GT(copy->next_sequence("s"), number);
}

TEST_F(SequenceStore, OthersTakeNumbersWhileAWriteTxnLives) {
  WriteTxn txn = store_->begin();
  EXPECT_EQ(txn.next_sequence("s"), 0u);
  EXPECT_EQ(in_background([&] { return next(2 * kBlock); }).get(), 1u);
  EXPECT_EQ(txn.next_sequence("s"), 2 * kBlock + 1);
  txn.put("k", "v");
  txn.append({.type = "t", .tags = {}, .payload = ""});
  EXPECT_EQ(txn.commit().first_event, 1u);
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(SequenceStore, NestedUseSaysWhatToUseInstead) {
  WriteTxn txn = store_->begin();
  EXPECT_EQ(refusal(), ErrorCode::NestedUse);
  EXPECT_THAT(message_of([&] { return next(); }), HasSubstr("next_sequence"));
  EXPECT_EQ(store_->peek_sequence("s"), 0u);
  txn.abort();
  std::promise<ErrorCode> in_callback;
  test::submit(*store_, set_of("k"), kDurable).then(kDurable, [&](const CommitInfo&, const Error*) {
    in_callback.set_value(refusal());
  });
  EXPECT_EQ(in_callback.get_future().get(), ErrorCode::NestedUse);
  EXPECT_EQ(next(), 0u);
}

TEST_F(SequenceStore, BesideABulkTransactionItsTurnComes) {
  use(test::tiny_options());
  next(kBlock);
  Hold bulk("bulk.apply");
  auto writer = in_background(
      [&] { return test::submit(*store_, set_of("k", std::string(60'000, 'v')), kDurable).wait().commit_seq; });
  bulk.wait_for_arrivals();
  auto number = in_background([&] { return next(); });
  test::await([&] { return store_->status().waiting_writers == 1; });
  bulk.release();
  writer.get();
  EXPECT_EQ(number.get(), kBlock);
  store_.reopen();
  EXPECT_EQ(next(), kBlock + 1);
  EXPECT_TRUE(store_->verify().ok());
}

// --- Reading beside the writer

TEST_F(SequenceStore, AReadOnlyStoreShowsWhatTheRowsSay) {
  next(10);
  store_->next_sequence("t", kBlock + 5);
  std::filesystem::path copy = copies_.path() / "copy";
  copy_store(store_.directory(), copy);
  {
    auto reading = Store::open_read_only(copy, store_.options());
    EXPECT_EQ(listed(*reading), (Listed{{"s", kBlock}, {"t", kBlock + 5}})) << "ends of blocks";
    EXPECT_EQ(reading->peek_sequence("s"), kBlock);
    EXPECT_EQ(reading->peek_sequence("none"), 0u);
    EXPECT_EQ(code_of([&] { return reading->next_sequence("s"); }), ErrorCode::ReadOnly);
    EXPECT_EQ(code_of([&] { return reading->peek_sequence(""); }), ErrorCode::InvalidArgument);
  }
  store_.close();
  auto reading = Store::open_read_only(store_.directory(), store_.options());
  EXPECT_EQ(listed(*reading), (Listed{{"s", 10}, {"t", kBlock + 5}}));
  EXPECT_EQ(reading->peek_sequence("s"), 10u);
}

// --- Damage

TEST_F(SequenceStore, ARowOfTheWrongSizeIsCorruptionAndNotZero) {
  next(10);
  store_->next_sequence("whole", 3);
  Uuid id = store_->meta().store_id;
  store_.close();
  {
    StorePaths paths(store_.directory());
    LmdbEnv env(paths.canonical, lmdb_settings(store_.options()), LmdbEnv::Mode::Write);
    LmdbWriteTxn txn(env);
    Rows(id).put_value(txn, Table::System, "\x01s", "fifteen bytes..");  // with a checksum that is right
    txn.commit(2);
  }
  store_.open();
  EXPECT_EQ(refusal(), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { return store_->peek_sequence("s"); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { return store_->sequences(); }), ErrorCode::Corruption);
  EXPECT_EQ(store_->next_sequence("whole"), 3u);
  VerifyReport report = store_->verify();
  EXPECT_THAT(report.problems, testing::ElementsAre(HasSubstr("sequence s"), HasSubstr("sum of their checksums")));
}

// --- Space

TEST_F(SequenceStore, AboveTheSoftLimitNumbersAreStillReserved) {
  Options options = options_with_block(1);
  options.map_bytes = std::size_t{4} << 20;
  use(options);
  next();
  ErrorCode code{};
  for (int i = 0; i < 1000 && code == ErrorCode{}; ++i) {
    code = code_of([&] { return test::put(*store_, "k" + std::to_string(i), std::string(20'000, 'v')); });
    if (code == ErrorCode{}) store_->checkpoint();
  }
  ASSERT_EQ(code, ErrorCode::NoSpace);
  EXPECT_EQ(next(), 1u);
  EXPECT_EQ(next(100), 2u);
  EXPECT_EQ(code_of([&] { return test::put(*store_, "more", "v"); }), ErrorCode::NoSpace);
  store_.reopen();
  EXPECT_EQ(next(), 102u);
}

}  // namespace
}  // namespace azoth
