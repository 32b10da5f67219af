// Command ids: a request that is sent any number of times is carried out once, and every answer is the first one's.
#include "azoth/canonical/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/child_process.h"
#include "store_support.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;

constexpr std::size_t kBulk = 600'000;  // more than half of a segment of 1 MiB

WriteSet some_work(const std::string& tag, std::size_t padding = 0) {
  WriteSet set;
  set.put("a", "1").put("b", std::string(padding, 'x')).del("c");
  for (int i = 0; i < 3; ++i) set.append({.type = "done", .tags = {tag}, .payload = ""});
  return set;
}

// How a command may be carried out; each does something else.
struct Way {
  const char* name;
  std::function<CommitInfo(Store&, const std::string& id)> run;
};

CommitInfo by_submit(Store& store, WriteSet set, const std::string& id) {
  return store.submit(std::move(set), {}, {.command = Command{.id = id}}).value().wait();
}

CommitInfo by_transaction(Store& store, const std::string& id, const std::function<void(Txn&)>& body) {
  return store.transaction().exclusive({"a", "b"}).command(id).execute(body).commit();
}

const std::vector<Way>& ways() {
  static const std::vector<Way> all = {
      {"a submitted set", [](Store& s, const std::string& id) { return by_submit(s, some_work(id), id); }},
      {"an empty set", [](Store& s, const std::string& id) { return by_submit(s, WriteSet(), id); }},
      {"a bulk transaction", [](Store& s, const std::string& id) { return by_submit(s, some_work(id, kBulk), id); }},
      {"a Transaction",
       [](Store& s, const std::string& id) {
         return by_transaction(s, id, [&](Txn& txn) {
           txn.put("a", "1");
           txn.append({.type = "done", .tags = {id}, .payload = ""});
         });
       }},
      {"a Transaction that writes nothing",
       [](Store& s, const std::string& id) { return by_transaction(s, id, [](Txn&) {}); }},
      {"a bulk Transaction",
       [](Store& s, const std::string& id) {
         return by_transaction(s, id, [](Txn& txn) { txn.put("a", std::string(kBulk, 'x')); });
       }},
  };
  return all;
}

void expect_same(const CommitInfo& repeat, const CommitInfo& original) {
  EXPECT_TRUE(repeat.already_applied);
  EXPECT_EQ(repeat.commit_seq, original.commit_seq);
  EXPECT_EQ(repeat.first_event, original.first_event);
  EXPECT_EQ(repeat.last_event, original.last_event);
  EXPECT_EQ(repeat.events, original.events);
  EXPECT_EQ(repeat.keys_written, original.keys_written);
  EXPECT_EQ(repeat.keys_deleted, original.keys_deleted);
  EXPECT_EQ(repeat.time, original.time);
}

// Repeats it in every way, with conditions that do not hold and code that must not run.
void expect_repeats(Store& store, const std::string& id, const CommitInfo& original) {
  CommitSeq before = store.status().applied_seq;
  std::vector<Condition> never = {Condition::key_exists("never"),
                                  Condition::tag_version("never", ExpectedVersion::exists())};
  auto submitted = store.submit(set_of("other", "written"), never, {.command = Command{.id = id}});
  expect_same(submitted.value().wait(), original);
  expect_same(store.submit(WriteSet(), {}, {.command = Command{.id = id}}).value().info(), original);
  expect_same(by_submit(store, set_of("other", std::string(kBulk, 'x')), id), original);
  auto outcome = store.transaction()
                     .exclusive("other")
                     .require(never[0])
                     .require(never[1])
                     .require([](const LockedState&) { return ADD_FAILURE() << "a validator ran", false; }, "never")
                     .command(id)
                     .execute([](Txn&) { return ADD_FAILURE() << "the body ran", 1; });
  EXPECT_TRUE(outcome.already_applied());
  EXPECT_EQ(outcome.result(), std::nullopt);
  expect_same(outcome.commit(), original);
  EXPECT_EQ(store.status().applied_seq, before);
  EXPECT_FALSE(store.read(Durability::Applied).exists("other"));
}

class CommandTest : public WritePath {
 protected:
  std::size_t done(const std::string& tag) {
    return ids_of(store_->read(Durability::Applied).events({.tags = {tag}})).size();
  }
  Outcome<Ticket> send(const std::string& id, const std::vector<Condition>& conditions = {}) {
    return store_->submit(event_of("done", id), conditions,
                          {.level = Durability::Applied, .command = Command{.id = id}});
  }

  TestStore store_;
};

// --- Repeats

TEST_F(CommandTest, ARepeatGetsTheOriginalsAnswerWhereverItIs) {
  std::map<std::string, CommitInfo> originals;
  for (const Way& way : ways()) {
    CommitInfo original = way.run(*store_, way.name);
    EXPECT_FALSE(original.already_applied) << way.name;
    originals.emplace(way.name, original);
    expect_repeats(*store_, way.name, original);
  }
  EXPECT_EQ(originals.at("a submitted set").events, 3u);
  EXPECT_EQ(originals.at("a submitted set").keys_written, 2u);
  EXPECT_EQ(originals.at("a submitted set").keys_deleted, 1u);
  EXPECT_EQ(originals.at("an empty set").commit_seq, 2u) << "its id is a commit's";
  EXPECT_EQ(originals.at("an empty set").keys_written, 0u);
  auto expect_all = [&](const char* when) {
    SCOPED_TRACE(when);
    for (const auto& [id, original] : originals) expect_repeats(*store_, id, original);
  };
  expect_all("from the Deltas and LMDB");
  store_->checkpoint();
  expect_all("from LMDB");
  store_.reopen();
  expect_all("after reopening");
  VerifyReport report = store_->verify();
  EXPECT_TRUE(report.ok()) << report.problems.front();
}

TEST_F(CommandTest, ARepeatAfterAKillGetsTheOriginalsAnswer) {
  store_.close();
  std::vector<CommitInfo> originals(ways().size());
  Pipe pipe;
  {
    ChildProcess child([&] {
      auto store = Store::open(store_.directory(), store_.options());
      for (const Way& way : ways()) pipe.send(way.run(*store, way.name));
      pause();
    });
    pipe.close_writing();
    for (CommitInfo& original : originals) ASSERT_TRUE(pipe.receive(original));
    child.kill();
    ASSERT_TRUE(child.was_killed());
  }
  store_.open();
  EXPECT_FALSE(store_->status().recovery.clean);
  for (std::size_t i = 0; i < ways().size(); ++i) expect_repeats(*store_, ways()[i].name, originals[i]);
}

TEST_F(CommandTest, ARepeatIsAsDurableAsItIsAskedFor) {
  Ticket original = send("c").value();
  EXPECT_TRUE(send("c").value().info().already_applied);
  EXPECT_FALSE(original.reached(Durability::Written)) << "a repeat at Applied waits for nothing";
  auto repeat = store_->submit(WriteSet(), {}, {.level = Durability::Written, .command = Command{.id = "c"}});
  EXPECT_TRUE(original.reached(Durability::Written));
  repeat = store_->submit(WriteSet(), {}, {.level = Durability::Durable, .command = Command{.id = "c"}});
  EXPECT_TRUE(original.reached(Durability::Durable));
}

TEST_F(CommandTest, ARepeatWaitsWhileTheOriginalsSyncIsHeldUp) {
  Hold sync("journal.sync");
  Ticket original = send("c").value();
  std::jthread leader([&] { original.wait(Durability::Durable); });
  sync.wait_for_arrivals();
  auto repeat = in_background([&] {
    auto outcome = store_->submit(WriteSet(), {}, {.command = Command{.id = "c"}});
    return original.reached(Durability::Durable) && outcome.value().info().already_applied;
  });
  EXPECT_TRUE(send("c").value().info().already_applied);
  for (int i = 0; i < 2000; ++i) {
    ASSERT_NE(repeat.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    std::this_thread::yield();
  }
  sync.release();
  EXPECT_TRUE(repeat.get());
}

// --- What is one command, and what is not

TEST_F(CommandTest, AnotherFingerprintIsAnErrorWhereBothHaveOne) {
  auto sent = [&](std::string_view id, std::string_view fingerprint) {
    return code_of([&] {
      return store_->submit(event_of("done", id), {}, {.command = Command{.id = id, .fingerprint = fingerprint}});
    });
  };
  for (bool flushed : {false, true}) {
    EXPECT_EQ(sent("with", "content"), ErrorCode{});
    EXPECT_EQ(sent("with", "content"), ErrorCode{});
    EXPECT_EQ(sent("with", ""), ErrorCode{});
    EXPECT_EQ(sent("with", "other"), ErrorCode::CommandMismatch);
    EXPECT_EQ(sent("with", std::string(100'000, 'c')), ErrorCode::CommandMismatch);
    EXPECT_EQ(sent("without", ""), ErrorCode{});
    EXPECT_EQ(sent("without", "content"), ErrorCode{});
    EXPECT_EQ(sent("without", "other"), ErrorCode{}) << "a repeat adds no fingerprint";
    if (!flushed) store_.reopen();
  }
  auto by_transaction = [&] {
    return store_->transaction().command("with", "other").execute([](Txn&) { ADD_FAILURE() << "it ran"; });
  };
  EXPECT_EQ(code_of(by_transaction), ErrorCode::CommandMismatch);
  EXPECT_THAT(message_of(by_transaction), HasSubstr("with"));
  EXPECT_EQ(done("with"), 1u);
  EXPECT_EQ(done("without"), 1u);
}

// A crash must not take back what the client was told of.
TEST_F(CommandTest, AMismatchIsSaidWhenTheOriginalIsSafe) {
  auto send_at = [&](Durability level, const std::string& fingerprint) {
    return store_->submit(event_of(), {}, {.level = level, .command = Command{"c", fingerprint}});
  };
  Ticket original = send_at(Durability::Applied, "first").value();
  EXPECT_EQ(code_of([&] { return send_at(Durability::Applied, "other"); }), ErrorCode::CommandMismatch);
  EXPECT_FALSE(original.reached(Durability::Written));
  EXPECT_EQ(code_of([&] { return send_at(Durability::Durable, "other"); }), ErrorCode::CommandMismatch);
  EXPECT_TRUE(original.reached(Durability::Durable));
}

TEST_F(CommandTest, IdsHaveTheirLimits) {
  auto run = [&](const std::string& id) {
    ErrorCode submitted = code_of([&] { return store_->submit(event_of(), {}, {.command = Command{.id = id}}); });
    EXPECT_EQ(code_of([&] { return store_->transaction().command(id).execute([](Txn&) {}); }), submitted);
    return submitted;
  };
  EXPECT_EQ(run(""), ErrorCode::InvalidArgument);
  EXPECT_EQ(run(std::string(limits::kMaxCommandBytes + 1, 'c')), ErrorCode::InvalidArgument);
  EXPECT_EQ(run(std::string(limits::kMaxCommandBytes, 'c')), ErrorCode{});
}

TEST_F(CommandTest, IdsAreBytesAndNoKeysOfTheState) {
  std::vector<std::string> ids = {std::string("\0", 1), std::string("\0\0", 2), "\xFF", "a", "aa", "b"};
  put(*store_, "a", "of the state");
  auto send_id = [&](const std::string& id) { return by_submit(*store_, WriteSet(), id).already_applied; };
  for (const std::string& id : ids) EXPECT_FALSE(send_id(id));
  store_.reopen();
  for (const std::string& id : ids) EXPECT_TRUE(send_id(id));
  EXPECT_EQ(keys_of(store_->read().scan()), std::vector<std::string>{"a"});
  EXPECT_EQ(store_->read().get("a"), "of the state");
}

// --- What was not done

TEST_F(CommandTest, ARejectedOneMayBeTriedAgain) {
  std::vector<Condition> exists = {Condition::key_exists("k")};
  EXPECT_FALSE(send("c", exists));
  auto by_transaction = [&] {
    return store_->transaction().require_exists("k").command("d").execute(
        [](Txn& txn) { txn.append({.type = "done", .tags = {"d"}, .payload = ""}); });
  };
  EXPECT_FALSE(by_transaction());
  put(*store_, "k", "");
  EXPECT_FALSE(send("c", exists).value().info().already_applied);
  EXPECT_FALSE(by_transaction().already_applied());
  del(*store_, "k");
  EXPECT_TRUE(send("c", exists).value().info().already_applied);
  EXPECT_TRUE(by_transaction().already_applied());
  EXPECT_EQ(done("c"), 1u);
  EXPECT_EQ(done("d"), 1u);
}

// By an event that came when its conditions had been evaluated.
TEST_F(CommandTest, OneThatWasRejectedInTheOrderMayBeTriedAgain) {
  bool in_the_way = true;
  auto run = [&](ExpectedVersion version) {
    return store_->transaction().require(Condition::tag_version("t", version)).command("c").execute([&](Txn& txn) {
      if (in_the_way) std::jthread([&] { append(*store_, "came", {"t"}, ""); });
      txn.append({.type = "done", .tags = {"c"}, .payload = ""});
    });
  };
  EXPECT_FALSE(run(ExpectedVersion::none()));
  in_the_way = false;
  EXPECT_FALSE(run(ExpectedVersion::exactly(1)).already_applied());
  EXPECT_TRUE(run(ExpectedVersion::none()).already_applied());
  EXPECT_EQ(done("c"), 1u);
}

TEST_F(CommandTest, AnErrorRecordsNothing) {
  auto run = [&](bool fails) {
    return store_->transaction().exclusive("a").command("c").execute([&](Txn& txn) {
      txn.put("a", "1");
      if (fails) throw std::runtime_error("no");
    });
  };
  EXPECT_THROW(static_cast<void>(run(true)), std::runtime_error);
  EXPECT_EQ(code_of([&] {
              return store_->submit(set_of("a", std::string(store_.options().max_value_bytes + 1, 'x')), {},
                                    {.command = Command{.id = "c"}});
            }),
            ErrorCode::ValueTooLarge);
  EXPECT_EQ(store_->status().applied_seq, 0u);
  EXPECT_FALSE(run(false).already_applied());
  EXPECT_TRUE(run(true).already_applied());
}

// --- At the gate

TEST_F(CommandTest, ARepeatIsRefusedLikeAnyTransactionWhileTheStoreIsShut) {
  CommitInfo original = by_submit(*store_, WriteSet(), "c");
  auto repeat = [&] { return code_of([&] { return send("c"); }); };
  store_->seal();
  EXPECT_EQ(repeat(), ErrorCode::Sealed);
  store_->unseal();
  expect_repeats(*store_, "c", original);
  {
    Pause pause = store_->pause("test");
    EXPECT_EQ(repeat(), ErrorCode::Paused);
  }
  expect_repeats(*store_, "c", original);
  store_->close();
  EXPECT_EQ(repeat(), ErrorCode::Closed);
}

// --- By many at once

TEST_F(CommandTest, OfThoseWhoSendOneCommandOneCarriesItOut) {
  constexpr int kThreads = 4;
  const int kRounds = rounds(2000, 50'000);
  Options options = tiny_options();
  options.map_bytes = std::size_t{1} << 30;
  store_.set_options(options);
  store_.reopen();
  std::vector<std::array<CommitInfo, kThreads>> answers(static_cast<std::size_t>(kRounds));
  std::atomic<int> arrived{0};
  std::atomic<int> bodies{0};
  auto by_way = [&](const std::string& id, int way) {
    std::string payload(way == 0 ? 500 : 5, 'p');
    if (way % 2 == 0) {
      return store_->submit(event_of("done", id, payload), {}, {.level = Durability::Applied, .command = Command{id}})
          .value()
          .info();
    }
    auto outcome = store_->transaction().command(id).durability(Durability::Applied).execute([&](Txn& txn) {
      ++bodies;
      txn.append({.type = "done", .tags = {id}, .payload = payload});
    });
    bodies -= outcome.already_applied() ? 0 : 1;
    return outcome.commit();
  };
  {
    std::jthread flushing([&](std::stop_token stop) {
      while (!stop.stop_requested()) store_->checkpoint();
    });
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int round = 0; round < kRounds; ++round) {
          ++arrived;
          await([&] { return arrived >= kThreads * (round + 1); });
          answers[static_cast<std::size_t>(round)][static_cast<std::size_t>(thread)] =
              by_way("command:" + std::to_string(round), (thread + round) % kThreads);
        }
      });
    }
  }
  EXPECT_EQ(bodies, 0) << "bodies ran that were not the ones to be carried out";
  for (int round = 0; round < kRounds; ++round) {
    int carried_out = 0;
    CommitInfo original;
    for (const CommitInfo& info : answers[static_cast<std::size_t>(round)]) {
      if (!info.already_applied) original = info;
      carried_out += info.already_applied ? 0 : 1;
    }
    ASSERT_EQ(carried_out, 1) << "round " << round;
    ASSERT_EQ(done("command:" + std::to_string(round)), 1u) << "round " << round;
    for (const CommitInfo& info : answers[static_cast<std::size_t>(round)]) {
      if (info.already_applied) expect_same(info, original);
    }
  }
}

}  // namespace
}  // namespace azoth::test
