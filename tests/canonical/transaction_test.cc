#include "azoth/canonical/transaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/value.h"
#include "store_support.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using namespace test;  // NOLINT: the tests' own helpers
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TransactionTest : public WritePath {
 protected:
  TransactionTest() {
    put(*store_, "a", i64(1000));
    put(*store_, "b", i64(500));
    before_ = store_->status().applied_seq;
  }
  std::string value(std::string_view key) {
    auto value = store_->read(Durability::Applied).get(key);
    return value ? std::string(*value) : "absent";
  }
  void expect_nothing_changed() {
    EXPECT_EQ(store_->status().applied_seq, before_);
    EXPECT_EQ(value("a"), "1000");
    EXPECT_EQ(value("b"), "500");
    EXPECT_EQ(store_->read(Durability::Applied).last_event(), 0u);
  }

  TestStore store_;
  CommitSeq before_ = 0;
};

void nothing(Txn&) {}

TEST_F(TransactionTest, MovesMoney) {
  auto outcome = store_->transaction()
                     .exclusive("b")
                     .exclusive("a")
                     .require("a", [](auto v) { return v && as_i64(*v) >= 100; }, "insufficient funds")
                     .execute([](Txn& txn) {
                       txn.put("a", i64(as_i64(*txn.get("a")) - 100));
                       txn.put("b", i64(as_i64(*txn.get("b")) + 100));
                       txn.append({.type = "moved", .tags = {"account:a", "account:b"}, .payload = R"({"amount":100})"});
                     });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome.commit().commit_seq, before_ + 1);
  EXPECT_EQ(outcome.commit().first_event, 1u);
  EXPECT_EQ(outcome.commit().keys_written, 2u);
  EXPECT_FALSE(outcome.already_applied());
  EXPECT_TRUE(outcome.ticket().reached(Durability::Durable));
  EXPECT_EQ(value("a"), "900");
  EXPECT_EQ(value("b"), "600");
}

TEST_F(TransactionTest, ARejectionListsEveryCheckThatFails) {
  auto outcome = store_->transaction()
                     .exclusive("a")
                     .require_absent("a")
                     .require_exists("nobody")
                     .require_equals("b", "500")
                     .require_min("a", 1001)
                     .require_max("b", 499)
                     .require("b", [](auto v) { return v->empty(); }, "must be empty")
                     .require([](const LockedState& s) { return s.get("a") == s.get("b"); }, "a and b differ")
                     .execute([](Txn& txn) { txn.put("a", "written"); });
  ASSERT_FALSE(outcome);
  std::vector<std::string> keys;
  for (const FailedCondition& failure : outcome.rejection().failures) keys.push_back(failure.key);
  EXPECT_THAT(keys, ElementsAre("a", "nobody", "a", "b", "b", ""));
  EXPECT_THAT(outcome.rejection().message(),
              AllOf(HasSubstr("key a"), HasSubstr("nobody"), HasSubstr("1001"), HasSubstr("499"),
                    HasSubstr("must be empty"), HasSubstr("a and b differ")));
  EXPECT_EQ(code_of([&] { outcome.commit(); }), ErrorCode::Rejected);
  EXPECT_EQ(code_of([&] { outcome.ticket(); }), ErrorCode::Rejected);
  expect_nothing_changed();
}

TEST_F(TransactionTest, MinimumAndMaximumIncludeTheirBounds) {
  auto holds = [&](auto&& check) { return check(store_->transaction()).execute(nothing).has_value(); };
  EXPECT_TRUE(holds([](Transaction t) { return t.require_min("a", 1000).require_max("a", 1000); }));
  EXPECT_FALSE(holds([](Transaction t) { return t.require_min("a", 1001); }));
  EXPECT_FALSE(holds([](Transaction t) { return t.require_max("a", 999); }));
  EXPECT_FALSE(holds([](Transaction t) { return t.require_min("nobody", 0); }));
  EXPECT_FALSE(holds([](Transaction t) { return t.require_max("nobody", 0); }));
  put(*store_, "word", "ten");
  EXPECT_FALSE(holds([](Transaction t) { return t.require_min("word", 0); }));
}

TEST_F(TransactionTest, TheBodySeesItsOwnWrites) {
  auto outcome = store_->transaction().exclusive({"a", "new"}).execute([](Txn& txn) {
    EXPECT_EQ(txn.get("new"), std::nullopt);
    std::string_view old = *txn.get("a");
    txn.put("a", "first");
    std::string_view first = *txn.get("a");
    txn.put("a", std::string(100'000, 'x'));
    EXPECT_EQ(old, "1000");
    EXPECT_EQ(first, "first");
    EXPECT_EQ(txn.get("a")->size(), 100'000u);
    txn.put("new", "");
    EXPECT_EQ(txn.get("new"), "");
    txn.del("a");
    EXPECT_FALSE(txn.exists("a"));
    EXPECT_EQ(first, "first");
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(value("a"), "absent");
  EXPECT_EQ(value("new"), "");
}

TEST_F(TransactionTest, WhatTheBodyReturnsIsTheResult) {
  auto add = [](Txn& txn) {
    std::int64_t sum = as_i64(*txn.get("a")) + as_i64(*txn.get("b"));
    txn.put("b", i64(sum));
    return sum;
  };
  auto outcome = store_->transaction().shared("a").exclusive("b").execute(add);
  EXPECT_EQ(outcome.result(), 1500);
  auto rejected = store_->transaction().shared("a").exclusive("b").require_absent("a").execute(add);
  EXPECT_EQ(rejected.result(), std::nullopt);
  EXPECT_EQ(value("b"), "1500");
}

TEST_F(TransactionTest, WhatTheBodyReturnedIsNoResultIfTheCommitWasRefused) {
  auto outcome = store_->transaction().require(Condition::no_event({{.tags = {"t"}}}, 0)).execute([&](Txn&) {
    in_background([&] { test::append(*store_, "x", {"t"}, ""); }).get();
    return 1;
  });
  EXPECT_FALSE(outcome);
  EXPECT_EQ(outcome.result(), std::nullopt);
}

TEST_F(TransactionTest, TheKeySetsAreWhatWasUsed) {
  auto outcome = store_->transaction()
                     .exclusive({"a", "b", "c", "unused"})
                     .shared({"d", "e"})
                     .require_absent("e")
                     .execute([](Txn& txn) {
                       txn.put("c", "1");
                       txn.get("c");
                       txn.get("a");
                       txn.del("b");
                     });
  EXPECT_THAT(outcome.keys().read, ElementsAre("a", "e"));
  EXPECT_THAT(outcome.keys().written, ElementsAre("b", "c"));
  auto rejected = store_->transaction().exclusive("a").require_min("b", 1'000'000).execute(nothing);
  EXPECT_THAT(rejected.keys().read, ElementsAre("b"));
  EXPECT_THAT(rejected.keys().written, IsEmpty());
}

TEST_F(TransactionTest, AnUndeclaredKeyIsAnErrorThatNamesIt) {
  auto run = [&](auto body) { return [this, body] { return store_->transaction().exclusive("a").shared("b").execute(body); }; };
  auto read = run([](Txn& txn) { txn.get("secret"); });
  EXPECT_EQ(code_of(read), ErrorCode::UndeclaredKey);
  EXPECT_THAT(message_of(read), HasSubstr("secret"));
  EXPECT_EQ(code_of(run([](Txn& txn) { txn.put("secret", ""); })), ErrorCode::UndeclaredKey);
  EXPECT_EQ(code_of(run([](Txn& txn) { txn.del("secret"); })), ErrorCode::UndeclaredKey);
  EXPECT_EQ(code_of(run([](Txn& txn) { txn.put("b", ""); })), ErrorCode::UndeclaredKey);
  EXPECT_EQ(code_of(run([](Txn& txn) { txn.del("b"); })), ErrorCode::UndeclaredKey);
  EXPECT_EQ(code_of(run([](Txn& txn) {
              txn.put("a", "x");
              txn.put("aa", "x");
            })),
            ErrorCode::UndeclaredKey);
  EXPECT_EQ(code_of([&] {
              return store_->transaction().require([](const LockedState& s) { return s.exists("z"); }, "").execute(nothing);
            }),
            ErrorCode::UndeclaredKey);
  expect_nothing_changed();
}

TEST_F(TransactionTest, ARequirementDeclaresItsKeySharedOnly) {
  EXPECT_EQ(code_of([&] {
              return store_->transaction().require_exists("a").execute([](Txn& txn) { txn.put("a", "x"); });
            }),
            ErrorCode::UndeclaredKey);
  EXPECT_TRUE(store_->transaction().require_exists("a").execute([](Txn& txn) { EXPECT_TRUE(txn.exists("a")); }));
  EXPECT_TRUE(store_->transaction().require_exists("a").exclusive("a").execute([](Txn& txn) { txn.put("a", "x"); }));
}

TEST_F(TransactionTest, ABodyThatThrowsChangesNothing) {
  auto run = [&] {
    return store_->transaction().exclusive("a").execute([](Txn& txn) {
      txn.put("a", "x");
      txn.append({.type = "t", .tags = {}, .payload = ""});
      throw std::runtime_error("no");
    });
  };
  EXPECT_THROW(static_cast<void>(run()), std::runtime_error);
  auto check = [](const LockedState&) -> bool { throw std::logic_error("no"); };
  EXPECT_THROW(static_cast<void>(store_->transaction().require(check, "").execute(nothing)), std::logic_error);
  expect_nothing_changed();
  EXPECT_TRUE(store_->transaction().exclusive("a").timeout(std::chrono::seconds(0)).execute(nothing)) << "still locked";
}

TEST_F(TransactionTest, LimitsAreCheckedInTheBody) {
  Options options = quiet_options();
  options.max_value_bytes = 100;
  options.max_event_bytes = 100;
  options.max_transaction_bytes = 1000;
  store_.set_options(options);
  store_.reopen();
  auto run = [&](auto body) { return code_of([&] { return store_->transaction().exclusive("a").execute(body); }); };
  std::string large(101, 'x');
  EXPECT_EQ(run([&](Txn& txn) { txn.put("a", large); }), ErrorCode::ValueTooLarge);
  EXPECT_EQ(run([&](Txn& txn) { txn.append({.type = "t", .tags = {}, .payload = large}); }), ErrorCode::EventTooLarge);
  EXPECT_EQ(run([&](Txn& txn) { txn.append({.type = "", .tags = {}, .payload = ""}); }), ErrorCode::EventTypeInvalid);
  EXPECT_EQ(run([&](Txn& txn) {
              for (int i = 0; i < 100; ++i) txn.put("a", "0123456789");
            }),
            ErrorCode::TransactionTooLarge);
  EXPECT_EQ(code_of([&] { store_->transaction().exclusive(""); }), ErrorCode::KeyEmpty);
  EXPECT_EQ(code_of([&] { store_->transaction().shared(std::string(512, 'k')); }), ErrorCode::KeyTooLarge);
}

TEST_F(TransactionTest, TenThousandKeysMayBeDeclared) {
  Transaction most = store_->transaction();
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 10'000; ++i) most.exclusive("key" + std::to_string(i));
  }
  EXPECT_TRUE(most.execute([](Txn& txn) {
    for (int i = 0; i < 10'000; ++i) txn.put("key" + std::to_string(i), "v");
  }));
  EXPECT_EQ(code_of([&] { return most.shared("one more").execute(nothing); }), ErrorCode::TooManyKeys);
  EXPECT_EQ(value("key9999"), "v");
}

TEST_F(TransactionTest, OneThatWritesNothingCommitsNothing) {
  auto outcome = store_->transaction().shared("a").execute([](Txn& txn) { return std::string(*txn.get("a")); });
  EXPECT_EQ(outcome.result(), "1000");
  EXPECT_EQ(outcome.commit().commit_seq, before_);
  expect_nothing_changed();
}

TEST_F(TransactionTest, MayBeExecutedAgain) {
  Transaction count = store_->transaction().exclusive("a");
  for (int i = 1; i <= 3; ++i) {
    auto outcome = count.execute([](Txn& txn) { txn.put("a", i64(as_i64(*txn.get("a")) + 1)); });
    EXPECT_EQ(outcome.commit().commit_seq, before_ + static_cast<CommitSeq>(i));
  }
  EXPECT_EQ(value("a"), "1003");
}

TEST_F(TransactionTest, SubmitKeepsManyInFlight) {
  std::vector<Ticket> tickets;
  for (int i = 0; i < 100; ++i) {
    auto outcome = store_->transaction().exclusive("a").submit(
        [](Txn& txn) { txn.put("a", i64(as_i64(*txn.get("a")) + 1)); });
    tickets.push_back(outcome.ticket());
  }
  EXPECT_EQ(value("a"), "1100");
  tickets.back().wait();
  for (const Ticket& ticket : tickets) EXPECT_TRUE(ticket.reached(Durability::Durable));
}

TEST_F(TransactionTest, AConditionOnEventsMayBeRequired) {
  append(*store_, "taken", {"seat:1"}, "");
  auto take = [&](std::string tag) {
    return store_->transaction()
        .require(Condition::tag_version(tag, ExpectedVersion::none()))
        .execute([&](Txn& txn) { txn.append({.type = "taken", .tags = {tag}, .payload = ""}); });
  };
  EXPECT_FALSE(take("seat:1"));
  EXPECT_TRUE(take("seat:2"));
  EXPECT_FALSE(take("seat:2"));
}

TEST_F(TransactionTest, ALargeOneIsABulkTransaction) {
  std::string large(3'000'000, 'x');
  auto outcome = store_->transaction().exclusive("a").require_equals("a", "1000").execute([&](Txn& txn) {
    txn.put("a", large);
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(store_->status().flushed_seq, outcome.commit().commit_seq);
  EXPECT_FALSE(store_->transaction().exclusive("a").require_equals("a", "1000").execute([&](Txn& txn) {
    txn.put("a", large);
  }));
}

// --- Beside others

TEST_F(TransactionTest, CallsThatWouldWaitForItAreRefused) {
  std::vector<ErrorCode> codes;
  auto calls = [&] {
    codes.push_back(code_of([&] { return store_->transaction().shared("z").execute(nothing); }));
    codes.push_back(code_of([&] { return store_->submit(WriteSet()); }));
    codes.push_back(code_of([&] { return store_->begin(); }));
    codes.push_back(code_of([&] { store_->flush(); }));
    codes.push_back(code_of([&] { store_->checkpoint(); }));
    codes.push_back(code_of([&] { return store_->pause("me"); }));
    codes.push_back(code_of([&] { return store_->seal(); }));
    codes.push_back(code_of([&] { store_->close(); }));
  };
  auto outcome = store_->transaction()
                     .exclusive("a")
                     .require([&](const LockedState&) { return calls(), true; }, "")
                     .execute([&](Txn&) { calls(); });
  EXPECT_EQ(codes, std::vector<ErrorCode>(16, ErrorCode::NestedUse));
  EXPECT_TRUE(outcome);
  put(*store_, "a", "it goes on");
}

TEST_F(TransactionTest, AnotherStoreMayBeUsedInTheBody) {
  TestStore other;
  EXPECT_TRUE(store_->transaction().exclusive("a").execute([&](Txn&) { put(*other, "k", "v"); }));
  EXPECT_EQ(other->read().get("k"), "v");
}

TEST_F(TransactionTest, WhoeverHasNoKeyInCommonRunsBesideIt) {
  Options options = quiet_options();
  options.stripes = 1 << 16;
  store_.set_options(options);
  store_.reopen();
  auto outcome = store_->transaction().exclusive("a").shared("b").execute([&](Txn&) {
    std::jthread([&] {
      auto in_time = [&](Transaction t) {
        return code_of([&] { return t.timeout(std::chrono::milliseconds(1)).execute(nothing); });
      };
      EXPECT_EQ(in_time(store_->transaction().exclusive("other")), ErrorCode{});
      EXPECT_EQ(in_time(store_->transaction().shared("b")), ErrorCode{});
      EXPECT_EQ(in_time(store_->transaction().exclusive("b")), ErrorCode::LockTimeout);
      EXPECT_EQ(in_time(store_->transaction().shared("a")), ErrorCode::LockTimeout);
      EXPECT_THAT(message_of([&] {
                    return store_->transaction().shared("a").timeout(std::chrono::milliseconds(1)).execute(nothing);
                  }),
                  HasSubstr("a"));
    });
  });
  EXPECT_TRUE(outcome);
}

// What a check has found cannot be changed by any other way of writing before the transaction is committed.
TEST_F(TransactionTest, NobodyChangesALockedKeyMeanwhile) {
  auto outcome = store_->transaction().exclusive("a").require_equals("a", "1000").execute([&](Txn& txn) {
    std::jthread([&] {
      WriteSet set;
      set.put("a", "0");
      SubmitOptions soon{.timeout = std::chrono::milliseconds(1)};
      EXPECT_EQ(code_of([&] { return store_->submit(set, {}, soon); }), ErrorCode::LockTimeout);
      EXPECT_EQ(code_of([&] { return store_->begin(std::chrono::milliseconds(1)); }), ErrorCode::LockTimeout);
    });
    EXPECT_EQ(txn.get("a"), "1000");
  });
  EXPECT_TRUE(outcome);
}

TEST_F(TransactionTest, LocksAreReleasedLongBeforeTheCommitIsDurable) {
  Hold sync("journal.sync");
  auto first = store_->transaction().exclusive("a").submit([](Txn& txn) { txn.put("a", "1"); });
  std::jthread leader([&] { first.ticket().wait(); });
  sync.wait_for_arrivals();
  auto second = store_->transaction().exclusive("a").submit([](Txn& txn) {
    EXPECT_EQ(txn.get("a"), "1");
    txn.put("a", "2");
  });
  EXPECT_FALSE(first.ticket().reached(Durability::Durable));
  EXPECT_FALSE(second.ticket().reached(Durability::Durable));
  sync.release();
  second.ticket().wait();
  EXPECT_EQ(value("a"), "2");
}

// A rejection, a repeated command and an exception rest on a commit whose sync is held up: none is answered before it
// is durable, and each is answered at once at the level that has been reached.
TEST_F(TransactionTest, AnAnswerWaitsForWhatItRestsOn) {
  Hold sync("journal.sync");
  auto first = store_->transaction().exclusive("a").command("c1").submit([](Txn& txn) { txn.put("a", "1"); });
  std::jthread leader([&] { first.ticket().wait(); });
  sync.wait_for_arrivals();
  auto reject = [&](Durability level) {
    EXPECT_FALSE(store_->transaction().require_equals("a", "1000").durability(level).execute(nothing));
  };
  auto repeat = [&](Durability level) {
    EXPECT_TRUE(store_->transaction().exclusive("a").command("c1").durability(level).execute(nothing).already_applied());
  };
  auto fail = [&](Durability level) {
    EXPECT_THROW(static_cast<void>(store_->transaction().shared("a").durability(level).execute([](Txn& txn) {
      throw std::runtime_error(std::string(*txn.get("a")));
    })),
                 std::runtime_error);
  };
  reject(Durability::Applied);
  repeat(Durability::Applied);
  fail(Durability::Applied);
  std::atomic<int> answers{0};
  std::vector<std::jthread> threads;
  threads.emplace_back([&] { reject(Durability::Durable), ++answers; });
  threads.emplace_back([&] { repeat(Durability::Durable), ++answers; });
  threads.emplace_back([&] { fail(Durability::Durable), ++answers; });
  await([&] { return store_->status().applied_seq == before_ + 1; });
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(answers, 0);
    std::this_thread::yield();
  }
  sync.release();
  threads.clear();
  EXPECT_EQ(answers, 3);
}

TEST_F(TransactionTest, AnAnswerThatRestsOnALostCommitIsStoreFailed) {
  fault::Armed fail("journal.sync", {.fail_with = EIO, .times = -1});
  auto first = store_->transaction().exclusive("a").command("c1").submit([](Txn& txn) { txn.put("a", "1"); });
  EXPECT_EQ(code_of([&] { return store_->transaction().require_equals("a", "1000").execute(nothing); }),
            ErrorCode::StoreFailed);
  EXPECT_EQ(code_of([&] { first.ticket().wait(); }), ErrorCode::StoreFailed);
}

// --- Many threads

TEST_F(TransactionTest, NoIncrementIsLost) {
  constexpr int kThreads = 8;
  constexpr int kEach = 2000;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        for (int n = 0; n < kEach; ++n) {
          auto outcome = store_->transaction()
                             .exclusive("a")
                             .exclusive("own" + std::to_string(i))
                             .durability(Durability::Applied)
                             .execute([&](Txn& txn) {
                               txn.put("a", i64(as_i64(*txn.get("a")) + 1));
                               txn.put("own" + std::to_string(i), i64(n));
                             });
          ASSERT_TRUE(outcome);
        }
      });
    }
  }
  EXPECT_EQ(value("a"), std::to_string(1000 + kThreads * kEach));
}

// Random sets of keys in random order and mode, from many threads, with few stripes: nobody waits for ever, and each
// key ends with as many increments as were committed.
TEST_F(TransactionTest, RandomKeySetsDoNotDeadlock) {
  constexpr int kThreads = 6;
  constexpr int kEach = 1500;
  constexpr int kKeys = 12;
  Options options = tiny_options();
  options.stripes = 7;
  options.map_bytes = std::size_t{512} << 20;
  store_.set_options(options);
  store_.reopen();
  std::uint64_t seed = test_seed();
  std::vector<std::map<std::string, int>> counts(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        std::mt19937_64 random(seed + static_cast<std::uint64_t>(i));
        for (int n = 0; n < kEach; ++n) {
          Transaction transaction = store_->transaction();
          std::vector<std::string> exclusive;
          for (std::size_t keys = 1 + random() % 5; keys != 0; --keys) {
            std::string key = "k" + std::to_string(random() % kKeys);
            if (random() % 3 != 0) {
              transaction.exclusive(key);
              exclusive.push_back(key);
            } else {
              transaction.shared(key);
            }
          }
          auto outcome = transaction.durability(Durability::Applied).execute([&](Txn& txn) {
            for (const std::string& key : exclusive) {
              txn.put(key, i64(try_i64(txn.get(key).value_or("0")).value() + 1));
              ++counts[static_cast<std::size_t>(i)][key];
            }
          });
          ASSERT_TRUE(outcome);
        }
      });
    }
  }
  std::map<std::string, int> all;
  for (const auto& mine : counts) {
    for (const auto& [key, count] : mine) all[key] += count;
  }
  for (const auto& [key, count] : all) EXPECT_EQ(value(key), std::to_string(count)) << key;
}

// Direct writers and exclusive transactions keep to the locks as well.
TEST_F(TransactionTest, AllWaysOfWritingExcludeEachOther) {
  constexpr int kEach = 300;
  auto by_transaction = [&] {
    static_cast<void>(store_->transaction().exclusive("a").durability(Durability::Applied).execute([](Txn& txn) {
      txn.put("a", i64(as_i64(*txn.get("a")) + 1));
    }));
  };
  auto by_condition = [&] {
    while (true) {
      std::string seen(*store_->read(Durability::Applied).get("a"));
      WriteSet set;
      set.put("a", i64(as_i64(seen) + 1));
      std::vector<Condition> conditions = {Condition::key_equals("a", seen)};
      if (store_->submit(std::move(set), conditions, {.level = Durability::Applied})) return;
    }
  };
  auto by_write_txn = [&] {
    WriteTxn txn = store_->begin();
    txn.put("a", i64(as_i64(*txn.get("a")) + 1));
    txn.commit_async(Durability::Applied);
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] { for (int n = 0; n < kEach; ++n) by_transaction(); });
      threads.emplace_back([&] { for (int n = 0; n < kEach; ++n) by_condition(); });
      threads.emplace_back([&] { for (int n = 0; n < kEach; ++n) by_write_txn(); });
    }
  }
  EXPECT_EQ(value("a"), std::to_string(1000 + 6 * kEach));
}

}  // namespace
}  // namespace azoth
