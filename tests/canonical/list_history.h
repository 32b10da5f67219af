// Recording list-append histories (support/serializability.h) of a real store: what clients on several threads do, see
// and are told, while a thread flushes all the time.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "store_support.h"
#include "support/seed.h"
#include "support/serializability.h"

namespace azoth::test {

// One that wants to be done: to append a value, or to read.
struct Wish {
  std::string list;
  ListValue append = 0;  // 0: read
};

// What all clients share.
class Recording {
 public:
  static constexpr std::size_t kHot = 4;      // lists at a time
  static constexpr std::uint64_t kLong = 60;  // appends that were tried, then another list takes its place

  std::uint64_t tick() { return tick_.fetch_add(1); }
  std::uint64_t next_id() { return id_.fetch_add(1); }

  Wish wish(std::mt19937_64& random, bool append) {
    const std::size_t slot = random() % kHot;
    const std::uint64_t appends = append ? appends_[slot].fetch_add(1) : appends_[slot].load();
    std::string list = "list:" + std::to_string(slot) + "/" + std::to_string(appends / kLong);
    return {std::move(list), append ? value_.fetch_add(1) : 0};
  }

  std::vector<std::string> lists() const {
    std::vector<std::string> all;
    for (std::size_t slot = 0; slot < kHot; ++slot) {
      for (std::uint64_t at = 0; at <= appends_[slot] / kLong; ++at) {
        all.push_back("list:" + std::to_string(slot) + "/" + std::to_string(at));
      }
    }
    return all;
  }

 private:
  std::atomic<std::uint64_t> tick_{1};
  std::atomic<std::uint64_t> id_{1};
  std::atomic<ListValue> value_{1};
  std::array<std::atomic<std::uint64_t>, kHot> appends_{};
};

// At which levels clients write and read, and what must hold for what they see then.
struct Levels {
  const char* name;
  std::vector<Durability> writes;
  std::vector<Durability> reads;
  CheckOptions check;

  friend void PrintTo(const Levels& levels, std::ostream* to) { *to << levels.name; }
};

// What is acknowledged at a level is seen by all who begin later and read at that level; across levels only the order
// of commits holds.
inline std::vector<Levels> all_levels() {
  using enum Durability;
  return {
      {"applied", {Applied}, {Applied}, {}},
      {"written", {Written, Durable}, {Written}, {}},
      {"durable", {Durable}, {Durable}, {}},
      {"mixed", {Applied, Written, Durable}, {Applied, Written, Durable}, {.real_time = false, .session = false}},
  };
}

// One thread's client; a subclass knows what a list is and how to work on it.
class ListClient {
 public:
  ListClient(Store& store, Recording& recording, const Levels& levels, std::uint32_t client)
      : store_(store), recording_(recording), levels_(levels), client_(client), random_(test_seed() + client) {}
  virtual ~ListClient() = default;

  void run(std::size_t transactions) {
    while (done_.size() < transactions) {
      current_ = {};
      current_.id = recording_.next_id();
      current_.client = client_;
      current_.invoked = recording_.tick();
      transact();
      current_.completed = recording_.tick();
      done_.push_back(std::move(current_));
    }
  }
  std::vector<RecordedTxn> take() { return std::move(done_); }

  // The list as a snapshot shows it.
  virtual List read(const ReadTxn& snapshot, const std::string& list) = 0;

 protected:
  // One, which fills current_.
  virtual void transact() = 0;

  std::vector<Wish> wishes(bool only_reads = false) {
    std::vector<Wish> all;
    for (std::size_t n = 1 + random_() % 4; n != 0; --n) {
      all.push_back(recording_.wish(random_, !only_reads && random_() % 2 == 0));
    }
    return all;
  }
  bool one_in(std::uint64_t n) { return random_() % n == 0; }
  Durability pick(const std::vector<Durability>& levels) { return levels[random_() % levels.size()]; }
  Durability write_level() { return pick(levels_.writes); }

  void saw(const Wish& wish, List list) { current_.ops.push_back(MicroOp::read(wish.list, std::move(list))); }
  void appended(const Wish& wish) { current_.ops.push_back(MicroOp::append(wish.list, wish.append)); }

  void by_reading() {
    ReadTxn snapshot = store_.read(pick(levels_.reads));
    for (const Wish& wish : wishes(true)) saw(wish, read(snapshot, wish.list));
    current_.commit = snapshot.commit_seq();
  }

  void ended(const Outcome<Ticket>& outcome) {
    if (outcome) {
      current_.commit = outcome.value().wait().commit_seq;
    } else {
      current_.outcome = TxnOutcome::Aborted;
    }
  }

  Store& store_;
  Recording& recording_;
  const Levels& levels_;
  const std::uint32_t client_;
  std::mt19937_64 random_;
  RecordedTxn current_;
  std::vector<RecordedTxn> done_;
};

// The smallest Deltas and segments, and everything by age as well.
inline Options busy_options() {
  Options options = tiny_options();
  options.delta_age = std::chrono::milliseconds{20};
  options.sync_interval = std::chrono::milliseconds{2};
  options.map_bytes = std::size_t{2} << 30;
  return options;
}

// AZOTH_TEST_TRANSACTIONS gives another number of transactions for each history.
inline std::size_t transactions_or(std::size_t usual) {
  const char* given = std::getenv("AZOTH_TEST_TRANSACTIONS");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : usual;
}

template <class Client>
void record_and_check(const Levels& levels, std::size_t transactions) {
  SCOPED_TRACE(levels.name);
  constexpr std::uint32_t kThreads = 6;
  TestStore store(busy_options());
  Recording recording;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint32_t i = 0; i < kThreads; ++i) {
    clients.push_back(std::make_unique<Client>(*store, recording, levels, i));
  }
  {
    std::jthread flusher([&](std::stop_token stop) {
      while (!stop.stop_requested()) store->checkpoint();
    });
    std::vector<std::jthread> threads;
    for (auto& client : clients) {
      threads.emplace_back([&] { client->run(transactions / kThreads); });
    }
  }
  ASSERT_GT(store->status().flushes, 10u);
  store.reopen();
  History history;
  history.final_state.emplace();
  ReadTxn after = store->read();
  for (const std::string& list : recording.lists()) (*history.final_state)[list] = clients[0]->read(after, list);
  std::size_t aborted = 0;
  for (auto& client : clients) {
    for (RecordedTxn& txn : client->take()) {
      aborted += txn.outcome == TxnOutcome::Aborted ? 1 : 0;
      history.transactions.push_back(std::move(txn));
    }
  }
  CheckResult result = check_history(history, levels.check);
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(result.committed + aborted, history.transactions.size());
  EXPECT_GT(aborted, 0u) << "no condition was ever violated: nothing was at stake";
  EXPECT_GT(result.replayed_reads, history.transactions.size() / 2);
}

}  // namespace azoth::test
