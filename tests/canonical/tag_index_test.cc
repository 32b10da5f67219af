#include "tag_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/seed.h"

namespace azoth {
namespace {

using test::test_seed;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr EventId kAll = std::numeric_limits<EventId>::max();

std::vector<EventId> ids(const TagIds& range) {
  std::vector<EventId> all;
  for (std::size_t i = 0; i < range.size(); ++i) all.push_back(range[i]);
  return all;
}

std::vector<EventId> ids(const TagIndex& index, std::string_view tag, EventId after = 0, EventId to = kAll) {
  return ids(TagIds(index.find(tag), after, to));
}

TEST(TagIndex, AnEmptyIndexHasNoTags) {
  Arena arena;
  TagIndex index(arena);
  EXPECT_EQ(index.find("a"), nullptr);
  EXPECT_THAT(index.sorted(), IsEmpty());
  EXPECT_TRUE(TagIds(nullptr, 0, kAll).empty());
  EXPECT_TRUE(TagIds().empty());
}

TEST(TagIndex, ATagHasItsIdsInOrder) {
  Arena arena;
  TagIndex index(arena);
  index.insert("a", 1);
  index.insert("b", 1);
  index.insert("a", 4);
  index.insert("a", 9);
  EXPECT_THAT(ids(index, "a"), ElementsAre(1, 4, 9));
  EXPECT_THAT(ids(index, "b"), ElementsAre(1));
  EXPECT_THAT(ids(index, "c"), IsEmpty());
  EXPECT_EQ(index.entries(), 4u);
}

TEST(TagIndex, TheLowerBoundIsExclusiveTheUpperInclusive) {
  Arena arena;
  TagIndex index(arena);
  for (EventId id : {3, 5, 7}) index.insert("a", id);
  EXPECT_THAT(ids(index, "a", 2, 7), ElementsAre(3, 5, 7));
  EXPECT_THAT(ids(index, "a", 3, 7), ElementsAre(5, 7));
  EXPECT_THAT(ids(index, "a", 3, 6), ElementsAre(5));
  EXPECT_THAT(ids(index, "a", 3, 5), ElementsAre(5));
  EXPECT_THAT(ids(index, "a", 7, 9), IsEmpty());
  EXPECT_THAT(ids(index, "a", 0, 2), IsEmpty());
  EXPECT_THAT(ids(index, "a", 6, 3), IsEmpty());
}

TEST(TagIndex, LongListsAreCutAtAnyBounds) {
  Arena arena;
  TagIndex index(arena);
  std::vector<EventId> expected;
  std::mt19937_64 random(test_seed());
  EventId id = 0;
  for (int i = 0; i < 3000; ++i) {
    id += 1 + random() % 3;
    index.insert("a", id);
    expected.push_back(id);
    if (i > 40 && i % 100 != 0) continue;  // around the ends of the small chunks, and now and then
    EventId after = random() % (id + 2);
    EventId to = random() % (id + 2);
    auto first = std::upper_bound(expected.begin(), expected.end(), after);
    auto last = std::max(first, std::upper_bound(expected.begin(), expected.end(), to));
    ASSERT_EQ(ids(index, "a", after, to), std::vector<EventId>(first, last));
  }
  EXPECT_EQ(ids(index, "a"), expected);
}

TEST(TagIndex, InsertionsDoNotDisturbARangeThatWasTaken) {
  Arena arena;
  TagIndex index(arena);
  for (EventId id = 1; id <= 5; ++id) index.insert("a", id);
  TagIds range(index.find("a"), 0, kAll);
  for (EventId id = 6; id <= 2000; ++id) index.insert("a", id);
  EXPECT_THAT(ids(range), ElementsAre(1, 2, 3, 4, 5));
}

TEST(TagIndex, TagsThatShareABucketAreApart) {
  Arena arena;
  TagIndex index(arena, 64 << 10);
  constexpr EventId kTags = 10'000;  // many more than there are buckets
  for (EventId id = 1; id <= kTags; ++id) index.insert("tag" + std::to_string(id), id);
  for (EventId id = 1; id <= kTags; ++id) {
    const TagIndex::Tag* tag = index.find("tag" + std::to_string(id));
    ASSERT_NE(tag, nullptr);
    ASSERT_THAT(ids(TagIds(tag, 0, kAll)), ElementsAre(id));
  }
  EXPECT_EQ(index.find("tag0"), nullptr);
}

TEST(TagIndex, SortedListsEachTagOnceInByteOrder) {
  Arena arena;
  TagIndex index(arena);
  std::vector<std::string> tags = {"b", "a", "\xFF", "a:1", "\x01", "a:10", std::string(255, 'z')};
  EventId id = 0;
  for (int round = 0; round < 2; ++round) {
    for (const std::string& tag : tags) index.insert(tag, ++id);
  }
  std::sort(tags.begin(), tags.end(), [](std::string_view a, std::string_view b) { return a < b; });
  std::vector<std::string> sorted;
  for (const TagIndex::Tag* tag : index.sorted()) sorted.emplace_back(tag->text());
  EXPECT_EQ(sorted, tags);
}

// Event i has tag i % kTags, and one that all have.
TEST(TagIndex, ReadersBesideTheInserterSeeEveryPublishedEvent) {
  constexpr EventId kEvents = 100'000;
  constexpr EventId kTags = 97;
  constexpr int kReaders = 2;
  Arena arena;
  TagIndex index(arena);
  std::atomic<EventId> published{0};
  std::atomic<int> mistakes{0};
  std::latch ready(kReaders + 1);
  auto expect = [&](bool holds) { mistakes += holds ? 0 : 1; };

  auto read = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    ready.arrive_and_wait();
    EventId last = 0;
    while (last < kEvents) {
      last = published.load(std::memory_order_acquire);
      TagIds all(index.find("all"), 0, last);
      expect(all.size() == last);
      if (last == 0) continue;
      EventId place = random() % last;
      expect(all[place] == place + 1);

      EventId after = random() % last;
      EventId tag = random() % kTags;
      TagIds some(index.find(std::to_string(tag)), after, last);
      // Of (after, last] those with remainder `tag`.
      EventId count = (last + kTags - tag) / kTags - (after + kTags - tag) / kTags;
      expect(some.size() == count);
      for (std::size_t i = 0; i < some.size(); ++i) expect(some[i] % kTags == tag && some[i] > after && some[i] <= last);
    }
  };
  std::vector<std::jthread> readers;
  for (int i = 0; i < kReaders; ++i) readers.emplace_back(read, test_seed() + static_cast<std::uint64_t>(i));
  ready.arrive_and_wait();
  for (EventId id = 1; id <= kEvents; ++id) {
    index.insert(std::to_string(id % kTags), id);
    index.insert("all", id);
    published.store(id, std::memory_order_release);
  }
  readers.clear();
  EXPECT_EQ(mistakes, 0);
}

}  // namespace
}  // namespace azoth
