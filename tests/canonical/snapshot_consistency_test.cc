// Snapshots beside writers, while freezes and flushes happen all the time: amounts are moved between keys, so every
// snapshot has the same sum, and its state is the fold of its log.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/seed.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

constexpr int kAccounts = 8;
constexpr int kStart = 1000;

std::string account(std::uint64_t number) { return "account/" + std::to_string(number); }

using Balances = std::map<std::string, long>;

Balances balances_of(const ReadTxn& snapshot, bool reverse) {
  Balances balances;
  for (auto [key, value] : snapshot.scan("account/", {.reverse = reverse})) {
    balances.emplace(key, std::stol(std::string(value)));
  }
  return balances;
}

Balances fold(const ReadTxn& snapshot) {
  Balances balances;
  for (int i = 0; i < kAccounts; ++i) balances[account(static_cast<std::uint64_t>(i))] = kStart;
  for (const EventView& event : snapshot.events()) {
    std::string payload(event.payload());  // "from to amount"
    std::size_t first = payload.find(' ');
    std::size_t second = payload.find(' ', first + 1);
    long amount = std::stol(payload.substr(second + 1));
    balances[payload.substr(0, first)] -= amount;
    balances[payload.substr(first + 1, second - first - 1)] += amount;
  }
  return balances;
}

class SnapshotConsistency : public WritePath {
 protected:
  SnapshotConsistency() {
    WriteSet set;
    for (int i = 0; i < kAccounts; ++i) set.put(account(static_cast<std::uint64_t>(i)), std::to_string(kStart));
    submit(*store_, std::move(set), Durability::Durable).wait();
  }

  // Moves an amount if nobody was faster: the conditions are the balances that were read.
  void move(std::mt19937_64& random) {
    std::string from = account(random() % kAccounts);
    std::string to = account(random() % kAccounts);
    if (from == to) return;
    ReadTxn snapshot = store_->read(Durability::Applied);
    std::string from_text(*snapshot.get(from));
    std::string to_text(*snapshot.get(to));
    long amount = 1 + static_cast<long>(random() % 5);
    WriteSet set;
    set.put(from, std::to_string(std::stol(from_text) - amount)).put(to, std::to_string(std::stol(to_text) + amount));
    std::string payload = from + " " + to + " " + std::to_string(amount) ;
    set.append({.type = "moved", .tags = {from, to}, .payload = payload});
    std::vector<Condition> unchanged = {Condition::key_equals(from, from_text), Condition::key_equals(to, to_text)};
    auto outcome = store_->submit(std::move(set), unchanged, {.level = Durability::Written});
    if (!outcome) return;
    const CommitInfo& commit = outcome->wait();
    ASSERT_GE(store_->read().commit_seq(), commit.commit_seq) << "what was acknowledged is not there to be read";
    moves_.fetch_add(1);
  }

  void check(const ReadTxn& snapshot) {
    Balances balances = balances_of(snapshot, false);
    ASSERT_EQ(balances, balances_of(snapshot, true));
    long sum = 0;
    for (const auto& [key, balance] : balances) sum += balance;
    ASSERT_EQ(sum, kAccounts * kStart);
    ASSERT_EQ(fold(snapshot), balances);
  }

  TestStore store_{tiny_options()};
  std::atomic<int> moves_{0};
};

TEST_F(SnapshotConsistency, EverySnapshotIsOneCommitsStateAndLog) {
  std::uint64_t seed = test_seed();
  const int wanted = rounds(3000, 100'000);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937_64 random(seed + i);
      while (moves_.load() < wanted && !HasFatalFailure()) move(random);
    });
  }
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      CommitSeq previous = 0;
      while (moves_.load() < wanted && !HasFatalFailure()) {
        ReadTxn snapshot = store_->read();
        ASSERT_GE(snapshot.commit_seq(), previous) << "a later snapshot shows less";
        previous = snapshot.commit_seq();
        check(snapshot);
        Balances before = balances_of(snapshot, false);
        std::this_thread::yield();
        ASSERT_EQ(balances_of(snapshot, false), before) << "a snapshot has changed";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(store_->status().flushes, 2u) << "hardly anything was flushed meanwhile";
  check(store_->read());
}

TEST_F(SnapshotConsistency, AHeldSnapshotStaysWhatItIsThroughFlushesAndClose) {
  std::mt19937_64 random(test_seed());
  while (moves_.load() < 50) move(random);
  ReadTxn held = store_->read();
  Balances before = balances_of(held, false);
  while (moves_.load() < 500) move(random);
  store_->checkpoint();
  EXPECT_EQ(balances_of(held, false), before);
  check(held);
  store_.close();
  EXPECT_EQ(balances_of(held, true), before);
  check(held);
}

}  // namespace
}  // namespace azoth::test
