#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/codec.h"
#include "event_model.h"
#include "store_support.h"
#include "support/seed.h"

namespace azoth {
namespace {

using namespace test;  // NOLINT: the tests' own helpers
using testing::ElementsAre;
using testing::IsEmpty;

class EventQueryTest : public testing::Test {
 protected:
  ~EventQueryTest() override { fault::disarm_all(); }

  void commit_events(std::vector<EventModel> events) {
    WriteSet set;
    for (const EventModel& event : events) set.append(event.event());
    CommitInfo info = commit(*store_, std::move(set));
    ASSERT_EQ(info.events, events.size());
    if (!events.empty()) {
      ASSERT_EQ(info.first_event, log_.size() + 1);
      ASSERT_EQ(info.last_event, log_.size() + events.size());
    }
    for (EventModel& event : events) {
      event.commit_seq = info.commit_seq;
      event.commit_time = info.time;
      log_.push_back(std::move(event));
    }
  }
  void append_some(std::mt19937_64& random) {
    for (std::uint64_t commits = 1 + random() % 4; commits > 0; --commits) {
      std::vector<EventModel> events;
      for (std::uint64_t i = random() % 5; i > 0; --i) events.push_back(random_event(random));
      if (events.empty()) {
        put(*store_, "k", "a commit without events");
      } else {
        ASSERT_NO_FATAL_FAILURE(commit_events(std::move(events)));
      }
      if (random() % 2 == 0) snapshots_.emplace_back(store_->read(), log_.size());
    }
    snapshots_.emplace_back(store_->read(), log_.size());
  }

  TestStore store_;
  LogModel log_;
  std::vector<std::pair<ReadTxn, std::size_t>> snapshots_;  // and how many events it has
};

TEST_F(EventQueryTest, RangesExcludeTheLowerBoundAndIncludeTheUpper) {
  for (int i = 0; i < 6; ++i) append(*store_, "t", {}, "p");
  ReadTxn read = store_->read();
  EXPECT_THAT(ids_of(read.events()), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(ids_of(read.events({.after = 2, .to = 4})), ElementsAre(3, 4));
  EXPECT_THAT(ids_of(read.events({.after = 2, .to = 4, .reverse = true})), ElementsAre(4, 3));
  EXPECT_THAT(ids_of(read.events({.after = 6})), IsEmpty());
  EXPECT_THAT(ids_of(read.events({.after = 3, .to = 3})), IsEmpty());
  EXPECT_THAT(ids_of(read.events({.after = 4, .to = 2})), IsEmpty());
  EXPECT_THAT(ids_of(read.events({.to = 0})), IsEmpty());
  EXPECT_THAT(ids_of(read.events({.after = std::numeric_limits<EventId>::max()})), IsEmpty());
  EXPECT_THAT(ids_of(read.events({.after = 4, .to = 100})), ElementsAre(5, 6));
  EXPECT_THAT(ids_of(read.events({.limit = 2})), ElementsAre(1, 2));
  EXPECT_THAT(ids_of(read.events({.reverse = true, .limit = 2})), ElementsAre(6, 5));
  EXPECT_THAT(ids_of(read.events({.limit = 0})), IsEmpty());
}

TEST_F(EventQueryTest, TypesAreAlternativesAndTagsAreAllRequired) {
  append(*store_, "opened", {"account:1"}, "");
  append(*store_, "moved", {"account:1", "account:2"}, "");
  append(*store_, "closed", {"account:2"}, "");
  append(*store_, "moved", {"account:2", "account:1"}, "");
  for (int flushed = 0; flushed < 2; ++flushed) {
    ReadTxn read = store_->read();
    EXPECT_THAT(ids_of(read.events({.types = {"moved"}})), ElementsAre(2, 4));
    EXPECT_THAT(ids_of(read.events({.types = {"opened", "closed"}})), ElementsAre(1, 3));
    EXPECT_THAT(ids_of(read.events({.types = {"move"}})), IsEmpty());
    EXPECT_THAT(ids_of(read.events({.tags = {"account:1"}})), ElementsAre(1, 2, 4));
    EXPECT_THAT(ids_of(read.events({.tags = {"account:2", "account:1"}})), ElementsAre(2, 4));
    EXPECT_THAT(ids_of(read.events({.tags = {"account:1", "account:1"}})), ElementsAre(1, 2, 4));
    EXPECT_THAT(ids_of(read.events({.tags = {"account:1", "account:3"}})), IsEmpty());
    EXPECT_THAT(ids_of(read.events({.types = {"moved"}, .tags = {"account:2"}, .reverse = true, .limit = 1})),
                ElementsAre(4));
    EXPECT_THAT(ids_of(read.events({.after = 1, .to = 3, .tags = {"account:1"}})), ElementsAre(2));
    store_->checkpoint();
  }
}

// No tag can have such bytes, but in the index something with them might seem to lie under it.
TEST_F(EventQueryTest, ATagThatCannotBeFindsNothing) {
  std::string id_bytes(8, '\0');
  codec::store_big(id_bytes.data(), 1);
  append(*store_, "t", {"a"}, "");
  append(*store_, "t", {std::string_view("aXXXXXXXX")}, "");
  for (int flushed = 0; flushed < 2; ++flushed) {
    ReadTxn read = store_->read();
    for (const std::string& tag : {std::string(), std::string(1, '\0'), "a" + std::string(1, '\0') + id_bytes,
                                   "a" + std::string(1, '\0'), std::string(300, 'a'), std::string(2000, 'a')}) {
      EXPECT_THAT(ids_of(read.events({.tags = {tag}})), IsEmpty());
      EXPECT_THAT(ids_of(read.events({.tags = {tag}, .reverse = true})), IsEmpty());
    }
    EXPECT_THAT(ids_of(read.events({.tags = {"a"}})), ElementsAre(1));
    store_->checkpoint();
  }
}

TEST_F(EventQueryTest, EverythingThatWasAppendedComesBack) {
  EventModel event;
  event.type = std::string(limits::kMaxTypeBytes, 'T');
  for (std::size_t i = 0; i < limits::kMaxTags; ++i) event.tags.push_back("tag" + std::to_string(i));
  event.payload = std::string(200'000, '\0') + "\xFF";
  event.metadata = std::string(70'000, 'm');
  event.time = Timestamp(std::chrono::microseconds(-5));
  ASSERT_NO_FATAL_FAILURE(commit_events({event, EventModel{.type = "t"}}));
  for (int flushed = 0; flushed < 2; ++flushed) {
    ReadTxn read = store_->read();
    for (EventId id : {1, 2}) ASSERT_NO_FATAL_FAILURE(expect_event(*read.event(id), id, log_[id - 1]));
    for (const std::string& tag : event.tags) EXPECT_THAT(ids_of(read.events({.tags = {tag}})), ElementsAre(1));
    store_->checkpoint();
  }
}

// Each border there is: of LMDB, of two frozen Deltas, of the filling one, of the snapshot itself.
TEST_F(EventQueryTest, EveryRangeIsCutRightAcrossTheLayers) {
  std::vector<std::size_t> sizes = {3, 1, 4, 2};
  auto append_layer = [&](std::size_t events) {
    for (std::size_t i = 0; i < events; ++i) {
      EventModel event{.type = log_.size() % 2 == 0 ? "even" : "odd", .tags = {"all"}};
      if (log_.size() % 3 == 0) event.tags.push_back("third");
      ASSERT_NO_FATAL_FAILURE(commit_events({event}));
    }
  };
  append_layer(sizes[0]);
  store_->checkpoint();
  LmdbIsFull full;
  append_layer(sizes[1]);
  full.freeze(*store_);
  append_layer(sizes[2]);
  full.freeze(*store_);
  append_layer(sizes[3]);
  ReadTxn read = store_->read();
  append_layer(2);  // behind the snapshot, in the same Delta
  std::size_t events = 10;
  ASSERT_EQ(read.last_event(), events);
  for (EventId after = 0; after <= events + 1; ++after) {
    for (EventId to = 0; to <= events + 2; ++to) {
      for (bool reverse : {false, true}) {
        for (std::uint64_t limit : {std::uint64_t{1}, std::uint64_t{4}, kNoLimit}) {
          EventQuery query{.after = after, .to = to, .types = {}, .tags = {}, .reverse = reverse, .limit = limit};
          ASSERT_NO_FATAL_FAILURE(expect_query(read, log_, events, query));
          query.types = {"odd"};
          ASSERT_NO_FATAL_FAILURE(expect_query(read, log_, events, query));
          query.tags = {"all"};
          ASSERT_NO_FATAL_FAILURE(expect_query(read, log_, events, query));
          query.types = {};
          query.tags = {"third", "all"};
          ASSERT_NO_FATAL_FAILURE(expect_query(read, log_, events, query));
        }
      }
    }
  }
  for (EventId id = 1; id <= events; ++id) ASSERT_NO_FATAL_FAILURE(expect_event(*read.event(id), id, log_[id - 1]));
  EXPECT_EQ(read.event(events + 1), std::nullopt);
}

class EventQueryLayers : public EventQueryTest, public testing::WithParamInterface<int> {};

TEST_P(EventQueryLayers, ReadAsAFilteredVector) {
  std::mt19937_64 random(test_seed() + static_cast<std::uint64_t>(GetParam()));
  {
    if ((GetParam() & 1) != 0) append_some(random);
    store_->checkpoint();
    LmdbIsFull full;
    for (int layer : {2, 4}) {
      if ((GetParam() & layer) == 0) continue;
      ASSERT_NO_FATAL_FAILURE(append_some(random));
      full.freeze(*store_);
    }
    if ((GetParam() & 8) != 0) append_some(random);
    ASSERT_FALSE(HasFailure());
    for (const auto& [read, events] : snapshots_) {
      ASSERT_NO_FATAL_FAILURE(expect_log_reads_as(read, log_, events, random, 200));
    }
  }
  store_->checkpoint();
  for (const auto& [read, events] : snapshots_) {
    ASSERT_NO_FATAL_FAILURE(expect_log_reads_as(read, log_, events, random, 50));
  }
  ASSERT_NO_FATAL_FAILURE(expect_log_reads_as(store_->read(), log_, log_.size(), random, 200));
}

INSTANTIATE_TEST_SUITE_P(Layers, EventQueryLayers, testing::Range(0, 16));

}  // namespace
}  // namespace azoth
