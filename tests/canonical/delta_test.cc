#include "delta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "azoth/core/limits.h"
#include "support/seed.h"

namespace azoth {
namespace {

using test::test_seed;
using testing::ElementsAre;

Timestamp at(int seconds) { return Timestamp(std::chrono::seconds(seconds)); }

std::string record(WriteSet set, CommitSeq commit, EventId first_event, Timestamp time = {}) {
  RecordBuilder::seal(set, commit, time, first_event);
  return RecordBuilder::take(std::move(set));
}

std::string find(const Delta& delta, std::string_view key, CommitSeq commit, Space space = Space::State) {
  const VersionMap::Node* node = delta.versions().find(space, key, commit);
  if (node == nullptr) return "(none)";
  return node->removed() ? "(removed)" : std::string(node->value_view());
}

std::vector<EventId> tagged(const Delta& delta, std::string_view tag) {
  TagIds ids(delta.tags().find(tag), 0, std::numeric_limits<EventId>::max());
  std::vector<EventId> all;
  for (std::size_t i = 0; i < ids.size(); ++i) all.push_back(ids[i]);
  return all;
}

TEST(Delta, BeginsEmpty) {
  Delta delta(7, 40);
  EXPECT_TRUE(delta.empty());
  EXPECT_EQ(delta.first_commit(), 7u);
  EXPECT_EQ(delta.last_commit(), 6u);
  EXPECT_EQ(delta.first_event(), 40u);
  EXPECT_EQ(delta.last_event(100), 39u);
  EXPECT_EQ(delta.versions().first(), nullptr);
}

TEST(Delta, HoldsTheOperationsOfACommit) {
  Delta delta(7, 40);
  delta.insert(record(WriteSet().put("a", "1").del("b").put("c", ""), 7, 0));
  EXPECT_FALSE(delta.empty());
  EXPECT_EQ(delta.last_commit(), 7u);
  EXPECT_EQ(find(delta, "a", 7), "1");
  EXPECT_EQ(find(delta, "b", 7), "(removed)");
  EXPECT_EQ(find(delta, "c", 7), "");
  EXPECT_EQ(find(delta, "d", 7), "(none)");
  EXPECT_EQ(find(delta, "a", 6), "(none)");
}

TEST(Delta, TheLastOperationOnAKeyWithinACommitCounts) {
  Delta delta(1, 1);
  delta.insert(record(WriteSet().put("a", "1").del("a").del("b").put("b", "2").put("c", "3").put("c", "4"), 1, 0));
  EXPECT_EQ(find(delta, "a", 1), "(removed)");
  EXPECT_EQ(find(delta, "b", 1), "2");
  EXPECT_EQ(find(delta, "c", 1), "4");
}

TEST(Delta, OperationsOfTheStoreItselfAreNotState) {
  Delta delta(1, 1);
  WriteSet set;
  RecordBuilder::put(set, Space::Sequence, "orders", "100");
  RecordBuilder::del(set, Space::Command, "c-1");
  set.put("orders", "state");
  delta.insert(record(std::move(set), 1, 0));
  EXPECT_EQ(find(delta, "orders", 1), "state");
  EXPECT_EQ(find(delta, "orders", 1, Space::Sequence), "100");
  EXPECT_EQ(find(delta, "c-1", 1, Space::Command), "(removed)");
  EXPECT_EQ(find(delta, "c-1", 1), "(none)");
}

TEST(Delta, HoldsEventsUnderTheirIds) {
  Delta delta(1, 10);
  Timestamp own_time = at(5);
  delta.insert(record(WriteSet()
                          .append({.type = "opened", .tags = {"account:a", "branch:x"}, .payload = "p1"})
                          .put("k", "v")
                          .append({.type = "noted", .tags = {}, .payload = "p2", .metadata = "m", .time = own_time}),
                      1, 10, at(1)));
  delta.insert(record(WriteSet().append({.type = "closed", .tags = {"account:a"}, .payload = ""}), 2, 12, at(2)));

  EventView opened = delta.event(10);
  EXPECT_EQ(opened.id(), 10u);
  EXPECT_EQ(opened.commit_seq(), 1u);
  EXPECT_EQ(opened.commit_time(), at(1));
  EXPECT_EQ(opened.time(), at(1));
  EXPECT_EQ(opened.type(), "opened");
  EXPECT_EQ(opened.payload(), "p1");
  EXPECT_TRUE(opened.tags().contains("branch:x"));
  EXPECT_EQ(delta.event(11).time(), own_time);
  EXPECT_EQ(delta.event(11).metadata(), "m");
  EXPECT_EQ(delta.event(12).commit_seq(), 2u);
  EXPECT_EQ(delta.event(12).commit_time(), at(2));
  EXPECT_THAT(tagged(delta, "account:a"), ElementsAre(10, 12));
  EXPECT_THAT(tagged(delta, "branch:x"), ElementsAre(10));
  EXPECT_EQ(delta.rows(), 4u);  // a version and three tag entries
}

TEST(Delta, KnowsTheLastEventOfEachCommit) {
  Delta delta(5, 100);
  auto append = [&](CommitSeq commit, EventId first, int count) {
    WriteSet set;
    set.put("k", "v");
    for (int i = 0; i < count; ++i) set.append({.type = "t", .tags = {}, .payload = ""});
    delta.insert(record(std::move(set), commit, first));
  };
  append(5, 100, 0);
  append(6, 100, 3);
  append(7, 103, 0);
  append(8, 103, 1);
  append(9, 104, 0);
  std::vector<EventId> last;
  for (CommitSeq commit = 4; commit <= 10; ++commit) last.push_back(delta.last_event(commit));
  EXPECT_THAT(last, ElementsAre(99, 99, 102, 102, 103, 103, 103));
}

TEST(Delta, CountsItsMemory) {
  Delta delta(1, 1);
  delta.insert(record(WriteSet().put("a", "1"), 1, 0));
  std::size_t small = delta.bytes();
  EXPECT_GT(small, 0u);
  delta.insert(record(WriteSet().put("b", std::string(100'000, 'x')), 2, 0));
  EXPECT_GE(delta.bytes(), small + 100'000);
}

// Else a store with small Deltas would flush after each commit that has a tag.
TEST(Delta, ASmallOneIsNotFilledByItsFirstTag) {
  constexpr std::size_t kFull = limits::kMinDeltaBytes;
  Delta delta(1, 1, kFull);
  delta.insert(record(WriteSet().append({.type = "t", .tags = {"a"}, .payload = ""}), 1, 1));
  EXPECT_LT(delta.bytes(), kFull / 4);
}

TEST(Delta, EntriesAndTheirRecordsStayWhereTheyAre) {
  Delta delta(1, 1);
  std::vector<std::pair<CommitEntry*, const char*>> entries;
  for (CommitSeq commit = 1; commit <= 1000; ++commit) {
    CommitEntry* entry = delta.insert(record(WriteSet().put("k", std::to_string(commit)), commit, 0));
    entries.emplace_back(entry, entry->record.data());
  }
  for (CommitSeq commit = 1; commit <= 1000; ++commit) {
    auto [entry, bytes] = entries[commit - 1];
    ASSERT_EQ(entry->header.commit_seq, commit);
    ASSERT_EQ(entry->record.data(), bytes);
    ASSERT_EQ(find(delta, "k", commit), std::to_string(commit));
  }
}

// A commit sets two keys to its number and appends one event: a reader sees all of it or nothing.
TEST(Delta, ReadersBesideTheInserterSeeWholeCommits) {
  constexpr CommitSeq kCommits = 20'000;
  constexpr int kReaders = 2;
  Delta delta(1, 1);
  std::atomic<CommitSeq> published{0};
  std::atomic<int> mistakes{0};
  std::latch ready(kReaders + 1);
  auto expect = [&](bool holds) { mistakes += holds ? 0 : 1; };

  auto read = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    ready.arrive_and_wait();
    CommitSeq newest = 0;
    while (newest < kCommits) {
      newest = published.load(std::memory_order_acquire);
      if (newest == 0) continue;
      CommitSeq snapshot = random() % 2 == 0 ? newest : 1 + random() % newest;
      std::string number = std::to_string(snapshot);
      expect(find(delta, "first", snapshot) == number);
      expect(find(delta, "second", snapshot) == number);
      expect(find(delta, "own/" + number, snapshot) == number);
      expect(find(delta, "own/" + std::to_string(snapshot + 1), snapshot) == "(none)");
      expect(delta.last_event(snapshot) == snapshot);
      EventView event = delta.event(snapshot);
      expect(event.payload() == number && event.commit_seq() == snapshot);
      TagIds ids(delta.tags().find("all"), snapshot - 1, snapshot);
      expect(ids.size() == 1 && ids[0] == snapshot);
    }
  };
  std::vector<std::jthread> readers;
  for (int i = 0; i < kReaders; ++i) readers.emplace_back(read, test_seed() + static_cast<std::uint64_t>(i));
  ready.arrive_and_wait();
  for (CommitSeq commit = 1; commit <= kCommits; ++commit) {
    std::string number = std::to_string(commit);
    delta.insert(record(WriteSet()
                            .put("first", number)
                            .append({.type = "t", .tags = {"all"}, .payload = number})
                            .put("own/" + number, number)
                            .put("second", number),
                        commit, commit));
    published.store(commit, std::memory_order_release);
  }
  readers.clear();
  EXPECT_EQ(mistakes, 0);
}

}  // namespace
}  // namespace azoth
