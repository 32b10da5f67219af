// A store that is written to at random, in all the ways there are, and what must be in it after each commit.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "event_model.h"
#include "read_txn_maker.h"
#include "record.h"
#include "snapshot.h"
#include "state_model.h"
#include "store_support.h"
#include "support/manual_clock.h"

namespace azoth::test {

using OwnRows = std::map<std::pair<Space, std::string>, std::string>;

inline OwnRows own_rows_of(const ReadTxn& reader) {
  OwnRows rows;
  for_each_own_row(ReadTxnMaker::snapshot_of(reader), [&](Space space, std::string_view key, std::string_view value) {
    EXPECT_TRUE(rows.empty() || rows.rbegin()->first < std::pair(space, std::string(key))) << "not in order";
    rows[{space, std::string(key)}] = value;
  });
  return rows;
}

// What a store holds at one commit. Events are those of the history's log.
struct Moment {
  StateModel state = {};
  std::size_t events = 0;
  OwnRows own = {};
  Timestamp latest = Timestamp::min();
};

class RandomHistory {
 public:
  explicit RandomHistory(std::uint64_t seed) : random_(seed), moments_(1) {}

  // The smallest sizes there are, and a clock that goes back as often as forth.
  Options options() {
    Options options = tiny_options();
    options.clock = &clock_;
    options.sequence_block = 5;
    return options;
  }

  // Something that commits, mostly once.
  void step(Store& store) {
    clock_.set(static_cast<int>(1000 + random_() % 100'000));
    const std::uint64_t dice = random_() % 40;
    if (dice < 4) {
      store.next_sequence("sequence" + std::to_string(random_() % 3), 1 + random_() % 4, Durability::Applied);
    } else if (dice == 4) {
      store.seal();
      note(store);
      store.unseal();
    } else if (dice == 5) {
      commit_random(store, random_() % 4 == 0 ? 300'000 : 40'000);  // a bulk transaction
    } else if (dice == 6) {
      store.checkpoint();
    } else {
      commit_random(store, dice < 10 ? 8000 : 200);
    }
    note(store);
  }
  void steps(Store& store, int count) {
    for (int i = 0; i < count && !testing::Test::HasFatalFailure(); ++i) step(store);
  }

  // What the store has committed by itself: when it was closed.
  void note(Store& store) {
    const ReadTxn read = store.read(Durability::Applied);
    if (read.commit_seq() < moments_.size()) return;
    ASSERT_EQ(read.commit_seq(), moments_.size()) << "commits were missed";
    moments_.push_back({.state = state_,
                        .events = log_.size(),
                        .own = own_rows_of(read),
                        .latest = std::max(moments_.back().latest, clock_.now())});
  }

  CommitSeq last_commit() const { return moments_.size() - 1; }
  const Moment& at(CommitSeq commit) const { return moments_[commit]; }
  const Moment& now() const { return moments_.back(); }
  const LogModel& log() const { return log_; }
  // The last commit with an event, up to this one.
  CommitSeq last_event_commit(CommitSeq at) const {
    const std::size_t events = moments_[at].events;
    return events == 0 ? 0 : log_[events - 1].commit_seq;
  }

  void expect_reads_as(const ReadTxn& reader) {
    const Moment& moment = at(reader.commit_seq());
    ASSERT_EQ(collect(reader.scan()), Entries(moment.state.begin(), moment.state.end()));
    ASSERT_NO_FATAL_FAILURE(expect_log_reads_as(reader, log_, moment.events, random_, 5));
    ASSERT_EQ(own_rows_of(reader), moment.own);
  }

 private:
  void commit_random(Store& store, std::size_t value_bytes) {
    WriteSet set;
    StateModel state = state_;
    const std::size_t first = log_.size();
    for (std::uint64_t i = random_() % 4; i > 0 || value_bytes > 200; --i) {
      const std::string& key = tricky_keys()[random_() % tricky_keys().size()];
      if (value_bytes <= 200 && random_() % 3 == 0) {
        set.del(key);
        state.erase(key);
        continue;
      }
      state[key] = std::string(value_bytes > 200 ? value_bytes : random_() % value_bytes, static_cast<char>(random_()));
      set.put(key, state[key]);
      value_bytes = 200;
      if (i == 0) break;
    }
    LogModel events;
    for (std::uint64_t i = random_() % 3; i > 0; --i) events.push_back(random_event(random_));
    for (const EventModel& event : events) set.append(event.event());
    const std::string id = "command" + std::to_string(moments_.size());
    std::optional<Command> command;
    if (random_() % 5 == 0) command = Command{.id = id, .fingerprint = random_() % 2 == 0 ? "fingerprint" : ""};
    if (set.empty() && !command) set.del("nothing");
    const auto level = static_cast<Durability>(1 + random_() % 3);
    const CommitInfo info = store.submit(std::move(set), {}, {.level = level, .command = command}).value().wait();
    ASSERT_EQ(info.time, clock_.now());
    ASSERT_EQ(info.events, events.size());
    if (!events.empty()) {
      ASSERT_EQ(info.first_event, first + 1);
    }
    state_ = std::move(state);
    for (EventModel& event : events) {
      event.commit_seq = info.commit_seq;
      event.commit_time = info.time;
      log_.push_back(std::move(event));
    }
  }

  std::mt19937_64 random_;
  ManualClock clock_;
  StateModel state_;
  LogModel log_;
  std::vector<Moment> moments_;  // after commit i
};

}  // namespace azoth::test
