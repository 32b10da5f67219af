#include "azoth/canonical/read_txn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "state_model.h"
#include "store_support.h"
#include "support/seed.h"

namespace azoth {
namespace {

using namespace test;  // NOLINT: the tests' own helpers
using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::string_literals;

class ReadTxnTest : public testing::Test {
 protected:
  ~ReadTxnTest() override { fault::disarm_all(); }
  TestStore store_;
};

// --- One snapshot

TEST_F(ReadTxnTest, AnEmptyStoreReadsEmpty) {
  ReadTxn read = store_->read();
  EXPECT_EQ(read.commit_seq(), 0u);
  EXPECT_EQ(read.last_event(), 0u);
  EXPECT_EQ(read.get("a"), std::nullopt);
  EXPECT_FALSE(read.exists("a"));
  EXPECT_EQ(read.event(0), std::nullopt);
  EXPECT_EQ(read.event(1), std::nullopt);
  for (bool reverse : {false, true}) {
    EXPECT_THAT(collect(read.scan("", {.reverse = reverse})), IsEmpty());
    EXPECT_THAT(ids_of(read.events({.reverse = reverse})), IsEmpty());
  }
}

TEST_F(ReadTxnTest, ShowsWhatWasAcknowledged) {
  WriteSet set;
  set.put("a", "1").append({.type = "t", .tags = {}, .payload = "p"});
  CommitInfo info = commit(*store_, std::move(set));
  ReadTxn read = store_->read();
  EXPECT_EQ(read.commit_seq(), info.commit_seq);
  EXPECT_EQ(read.last_event(), info.last_event);
  EXPECT_EQ(read.get("a"), "1");
  EXPECT_EQ(read.event(info.first_event)->payload(), "p");
}

TEST_F(ReadTxnTest, DoesNotChangeWhateverIsCommittedAndFlushed) {
  put(*store_, "a", "1");
  ReadTxn first = store_->read();
  put(*store_, "a", "2");
  append(*store_, "t", {}, "p");
  ReadTxn second = store_->read();
  store_->checkpoint();
  del(*store_, "a");
  ReadTxn third = store_->read();
  store_->checkpoint();
  EXPECT_EQ(first.get("a"), "1");
  EXPECT_EQ(first.last_event(), 0u);
  EXPECT_EQ(first.event(1), std::nullopt);
  EXPECT_EQ(second.get("a"), "2");
  EXPECT_EQ(second.last_event(), 1u);
  EXPECT_EQ(third.get("a"), std::nullopt);
  EXPECT_THAT(keys_of(third.scan()), IsEmpty());
  EXPECT_THAT(keys_of(first.scan()), ElementsAre("a"));
}

// The LMDB transaction of one that has ended is used again: not before the next one has its View.
TEST_F(ReadTxnTest, ShowsWhatWasFlushedSinceTheLastOneEnded) {
  for (const char* value : {"1", "2", "3"}) {
    put(*store_, "a", value);
    store_->checkpoint();
    EXPECT_EQ(store_->read().get("a"), value);
  }
}

TEST_F(ReadTxnTest, GetManyAnswersInTheOrderOfTheKeys) {
  put(*store_, "a", "1");
  put(*store_, "c", "");
  ReadTxn read = store_->read();
  std::vector<std::string_view> keys = {"c", "b", "a", "c"};
  EXPECT_THAT(read.get_many(keys), ElementsAre(std::optional<std::string_view>(""), std::nullopt,
                                               std::optional<std::string_view>("1"), std::optional<std::string_view>("")));
}

TEST_F(ReadTxnTest, KeysHaveTheirLimits) {
  ReadTxn read = store_->read();
  std::string longest(limits::kMaxKeyBytes, 'k');
  EXPECT_EQ(read.get(longest), std::nullopt);
  EXPECT_EQ(code_of([&] { read.get(""); }), ErrorCode::KeyEmpty);
  EXPECT_EQ(code_of([&] { read.get(longest + 'k'); }), ErrorCode::KeyTooLarge);
  EXPECT_EQ(code_of([&] { read.exists(""); }), ErrorCode::KeyEmpty);
  std::vector<std::string_view> keys = {"a", ""};
  EXPECT_EQ(code_of([&] { read.get_many(keys); }), ErrorCode::KeyEmpty);
}

TEST_F(ReadTxnTest, WritersGoOnWhileRangesAreWalked) {
  for (int i = 0; i < 20; ++i) put(*store_, "key" + std::to_string(100 + i), "old");
  store_->checkpoint();
  for (int i = 20; i < 40; ++i) put(*store_, "key" + std::to_string(100 + i), "old");
  ReadTxn read = store_->read();
  std::vector<std::string> seen;
  int at = 0;
  for (auto [key, value] : read.scan("key")) {
    EXPECT_EQ(value, "old");
    seen.emplace_back(key);
    // Moves keys from before the walk to behind it, and the other way round.
    std::string here = "key" + std::to_string(100 + at);
    std::string mirror = "key" + std::to_string(139 - at);
    WriteSet set;
    set.put(here + "!", "new").put(mirror, "new").del(here);
    commit(*store_, std::move(set));
    if (++at % 7 == 0) store_->checkpoint();
  }
  ASSERT_EQ(seen.size(), 40u);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], "key" + std::to_string(100 + i));
}

// --- Lifetimes

TEST_F(ReadTxnTest, ViewsStayValidWhileItLives) {
  put(*store_, "in LMDB", std::string(10'000, 'x'));
  append(*store_, "t", {"tag"}, "first");
  store_->checkpoint();
  put(*store_, "in a Delta", "value");
  append(*store_, "t", {"tag"}, "second");
  auto read = std::make_unique<ReadTxn>(store_->read());
  std::string_view flushed = *read->get("in LMDB");
  std::string_view fresh = *read->get("in a Delta");
  std::vector<EventView> events;
  for (const EventView& event : read->events({.tags = {"tag"}})) events.push_back(event);
  std::vector<StateEntry> entries;
  for (StateEntry entry : read->scan()) entries.push_back(entry);

  for (int round = 0; round < 3; ++round) {
    WriteSet set;
    set.put("in LMDB", "other").put("in a Delta", "other").put("more", std::string(100'000, 'y'));
    commit(*store_, std::move(set));
    store_->checkpoint();
  }
  store_->close();
  store_.close();  // and destroyed
  EXPECT_EQ(flushed, std::string(10'000, 'x'));
  EXPECT_EQ(fresh, "value");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].payload(), "first");
  EXPECT_EQ(events[1].payload(), "second");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0], StateEntry("in LMDB", flushed));
  EXPECT_EQ(entries[1], StateEntry("in a Delta", "value"));
}

TEST_F(ReadTxnTest, OutlivesTheStoreAndGoesOnReading) {
  put(*store_, "a", "1");
  store_->checkpoint();
  put(*store_, "b", "2");
  append(*store_, "t", {"x"}, "p");
  ReadTxn read = store_->read();
  store_.close();
  EXPECT_EQ(read.get("a"), "1");
  EXPECT_EQ(read.get("b"), "2");
  EXPECT_THAT(keys_of(read.scan("", {.reverse = true})), ElementsAre("b", "a"));
  EXPECT_THAT(ids_of(read.events({.tags = {"x"}})), ElementsAre(1));
  EXPECT_EQ(code_of([&] { store_.open(); }), ErrorCode::StillRead);
}

TEST_F(ReadTxnTest, AMovedSnapshotIsTheSameSnapshot) {
  put(*store_, "a", "1");
  ReadTxn first = store_->read();
  put(*store_, "a", "2");
  ReadTxn moved = std::move(first);
  EXPECT_EQ(moved.get("a"), "1");
  EXPECT_EQ(store_->status().readers, 1u);
  ReadTxn second = store_->read();
  EXPECT_EQ(store_->status().readers, 2u);
  second = std::move(moved);  // ends what it was
  EXPECT_EQ(second.get("a"), "1");
  EXPECT_EQ(store_->status().readers, 1u);
}

TEST_F(ReadTxnTest, MayMoveToAnotherThread) {
  put(*store_, "a", "1");
  ReadTxn read = store_->read();
  std::thread([read = std::move(read)] { EXPECT_EQ(read.get("a"), "1"); }).join();
  EXPECT_EQ(store_->status().readers, 0u);
}

TEST_F(ReadTxnTest, AsManyAsConfiguredMayLiveAndTheStoreGoesOn) {
  Options options = quiet_options();
  options.max_readers = 4;
  store_.set_options(options);
  std::vector<ReadTxn> snapshots;
  store_.reopen();
  put(*store_, "a", "1");
  ErrorCode refused{};
  while (refused == ErrorCode{} && snapshots.size() < 100) {
    refused = code_of([&] { snapshots.push_back(store_->read()); });
  }
  EXPECT_EQ(refused, ErrorCode::ReadersFull);
  EXPECT_GE(snapshots.size(), 4u);
  // Whoever writes needs no snapshot, nor does the flusher.
  put(*store_, "a", "2");
  store_->checkpoint();
  put(*store_, "a", "3");
  store_->checkpoint();
  EXPECT_EQ(snapshots.front().get("a"), "1");
  snapshots.pop_back();
  EXPECT_EQ(store_->read().get("a"), "3");
}

// --- The hot key

TEST_F(ReadTxnTest, EachSnapshotOfAHotKeySeesItsVersion) {
  put(*store_, "before", "x");
  put(*store_, "hot", "in LMDB");
  store_->checkpoint();
  put(*store_, "next", "y");
  std::vector<std::pair<ReadTxn, std::string>> snapshots;
  constexpr int kVersions = 3000;
  for (int i = 0; i < kVersions; ++i) {
    std::string value = std::to_string(i);
    WriteSet set;
    i % 10 == 9 ? set.del("hot") : set.put("hot", value);
    commit(*store_, std::move(set));
    if (i % 100 == 0 || i % 100 == 9) snapshots.emplace_back(store_->read(), i % 10 == 9 ? "" : value);
    if (i == kVersions / 2) store_->checkpoint();
  }
  ASSERT_EQ(store_->status().live_deltas, 1u);
  for (const auto& [read, value] : snapshots) {
    Entries expected = {{"before", "x"}, {"hot", value}, {"next", "y"}};
    if (value.empty()) expected.erase(expected.begin() + 1);
    ASSERT_EQ(read.get("hot").value_or(""), value);
    ASSERT_EQ(collect(read.scan()), expected);
    std::reverse(expected.begin(), expected.end());
    ASSERT_EQ(collect(read.scan("", {.reverse = true})), expected);
  }
}

// Versions that are all newer than the snapshot, on many keys in a row: the walk must step over them.
TEST_F(ReadTxnTest, KeysThatOnlyLaterCommitsHaveAreSteppedOver) {
  put(*store_, "m", "1");
  ReadTxn read = store_->read();
  for (int round = 0; round < 8; ++round) {
    WriteSet set;
    for (char c = 'a'; c <= 'z'; ++c) set.put(std::string(1, c), std::to_string(round));
    commit(*store_, std::move(set));
  }
  for (bool reverse : {false, true}) {
    EXPECT_THAT(collect(read.scan("", {.reverse = reverse})), ElementsAre(std::pair("m"s, "1"s)));
    EXPECT_THAT(collect(read.range({.from = "n"}, {.reverse = reverse})), IsEmpty());
    EXPECT_THAT(collect(read.range({.to = "m"}, {.reverse = reverse})), IsEmpty());
  }
}

// --- Wherever the data is

TEST_F(ReadTxnTest, ATombstoneHidesWhatIsInLmdb) {
  for (const char* key : {"a", "b", "c"}) put(*store_, key, "old");
  store_->checkpoint();
  LmdbIsFull full;
  del(*store_, "b");
  full.freeze(*store_);
  put(*store_, "b", "newer");
  full.freeze(*store_);
  del(*store_, "b");
  del(*store_, "c");
  ReadTxn read = store_->read();
  ASSERT_EQ(store_->status().live_deltas, 3u);
  EXPECT_EQ(read.get("b"), std::nullopt);
  EXPECT_EQ(read.get("c"), std::nullopt);
  EXPECT_THAT(keys_of(read.scan()), ElementsAre("a"));
  EXPECT_THAT(keys_of(read.scan("", {.reverse = true})), ElementsAre("a"));
  EXPECT_EQ(store_->status().state_keys, 1u);
}

TEST_F(ReadTxnTest, DeletedKeysDoNotCountForALimit) {
  for (int i = 0; i < 10; ++i) put(*store_, "k" + std::to_string(i), "v");
  store_->checkpoint();
  for (int i = 2; i < 8; ++i) del(*store_, "k" + std::to_string(i));
  ReadTxn read = store_->read();
  EXPECT_THAT(keys_of(read.scan("k", {.limit = 3})), ElementsAre("k0", "k1", "k8"));
  EXPECT_THAT(keys_of(read.scan("k", {.reverse = true, .limit = 3})), ElementsAre("k9", "k8", "k1"));
  EXPECT_THAT(keys_of(read.scan("k", {.limit = 0})), IsEmpty());
}

// Which of LMDB, two frozen Deltas and the filling one hold operations.
class ReadTxnLayers : public ReadTxnTest, public testing::WithParamInterface<int> {};

TEST_P(ReadTxnLayers, ReadsAsASortedMap) {
  std::mt19937_64 random(test_seed() + static_cast<std::uint64_t>(GetParam()));
  StateModel model;
  std::vector<std::pair<ReadTxn, StateModel>> snapshots;
  auto write_some = [&] {
    for (std::uint64_t commits = 1 + random() % 6; commits > 0; --commits) {
      WriteSet set;
      for (std::uint64_t i = 1 + random() % 8; i > 0; --i) {
        const std::string& key = tricky_keys()[random() % tricky_keys().size()];
        if (random() % 3 == 0) {
          set.del(key);
          model.erase(key);
        } else {
          std::string value = std::to_string(random() % 1000);
          set.put(key, value);
          model[key] = value;
        }
      }
      commit(*store_, std::move(set));
      if (random() % 3 == 0) snapshots.emplace_back(store_->read(), model);
    }
    snapshots.emplace_back(store_->read(), model);
  };
  {
    if ((GetParam() & 1) != 0) write_some();
    store_->checkpoint();
    LmdbIsFull full;
    for (int layer : {2, 4}) {
      if ((GetParam() & layer) == 0) continue;
      write_some();
      full.freeze(*store_);
    }
    if ((GetParam() & 8) != 0) write_some();
    if (snapshots.empty()) snapshots.emplace_back(store_->read(), model);
    ASSERT_NO_FATAL_FAILURE(expect_reads_as(snapshots.back().first, snapshots.back().second));
    for (const auto& [read, expected] : snapshots) {
      ASSERT_NO_FATAL_FAILURE(expect_some_reads(read, expected, random, 60));
    }
    ASSERT_EQ(store_->status().state_keys, model.size());
  }
  store_->checkpoint();  // the snapshots are no different when what they stand on was flushed
  for (const auto& [read, expected] : snapshots) {
    ASSERT_NO_FATAL_FAILURE(expect_some_reads(read, expected, random, 20));
  }
  ASSERT_NO_FATAL_FAILURE(expect_reads_as(store_->read(), model));
  ASSERT_EQ(store_->status().state_keys, model.size());
}

INSTANTIATE_TEST_SUITE_P(Layers, ReadTxnLayers, testing::Range(0, 16));

// --- Where others have gone wrong

std::vector<std::string> numbered_users(int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back("user:" + std::to_string(i));
  std::sort(keys.begin(), keys.end());
  return keys;
}

TEST_F(ReadTxnTest, ALongPrefixScanSkipsNoKeyThatExtendsAnother) {
  constexpr int kUsers = 20'000;
  std::vector<std::string> users = numbered_users(kUsers);
  for (std::size_t begin = 0; begin < users.size(); begin += 2000) {
    WriteSet set;
    for (std::size_t i = begin; i < begin + 2000; ++i) set.put(users[i], "v");
    commit(*store_, std::move(set));
    if (begin == 8000) store_->checkpoint();
  }
  put(*store_, "user;", "behind");
  put(*store_, "user9", "before");
  for (int flushed = 0; flushed < 2; ++flushed) {
    ReadTxn read = store_->read();
    EXPECT_EQ(keys_of(read.scan("user:")), users);
    std::vector<std::string> reversed = keys_of(read.scan("user:", {.reverse = true}));
    std::reverse(reversed.begin(), reversed.end());
    EXPECT_EQ(reversed, users);
    store_->checkpoint();
  }
}

TEST_F(ReadTxnTest, APrefixThatEndsWithTheLargestByteIsBounded) {
  for (const std::string& key : {"\x01\xFF\x00"s, "\x01\xFF"s, "\x02"s, "\xFF\xFF"s, "\xFF"s, "\x01\xFE"s}) {
    put(*store_, key, "v");
  }
  for (int flushed = 0; flushed < 2; ++flushed) {
    ReadTxn read = store_->read();
    EXPECT_THAT(keys_of(read.scan("\x01\xFF")), ElementsAre("\x01\xFF"s, "\x01\xFF\x00"s));
    EXPECT_THAT(keys_of(read.scan("\x01\xFF", {.reverse = true})), ElementsAre("\x01\xFF\x00"s, "\x01\xFF"s));
    EXPECT_THAT(keys_of(read.scan("\xFF")), ElementsAre("\xFF"s, "\xFF\xFF"s));
    EXPECT_THAT(keys_of(read.scan("\xFF", {.reverse = true})), ElementsAre("\xFF\xFF"s, "\xFF"s));
    EXPECT_THAT(keys_of(read.scan("\xFF\xFF")), ElementsAre("\xFF\xFF"s));
    EXPECT_THAT(keys_of(read.scan("\xFF\xFF\xFF")), IsEmpty());
    store_->checkpoint();
  }
}

TEST_F(ReadTxnTest, AWalkStopsWhenItsUserDoes) {
  for (std::size_t begin = 0; begin < 20'000; begin += 5000) {
    WriteSet set;
    for (std::size_t i = begin; i < begin + 5000; ++i) set.put("k" + std::to_string(i), "v");
    commit(*store_, std::move(set));
  }
  ReadTxn read = store_->read();
  auto range = read.scan("k");
  auto at = range.begin();
  EXPECT_EQ((*at).first, "k0");
  ++at;
  EXPECT_EQ((*at).first, "k1");  // and the rest is never looked at
  StateRange moved = std::move(range);
  EXPECT_EQ((*moved.begin()).first, "k1");
}

}  // namespace
}  // namespace azoth
