#include "version_map.h"

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
#include <tuple>
#include <vector>

#include "support/seed.h"

namespace azoth {
namespace {

using test::test_seed;
using testing::ElementsAre;

constexpr CommitSeq kNewest = std::numeric_limits<CommitSeq>::max();

// Keeps the bytes of what it inserts, as records do for a Delta.
class Map {
 public:
  explicit Map(std::size_t delta_bytes = std::size_t{64} << 10) : map_(arena_, delta_bytes) {}

  void set(std::string_view key, CommitSeq seq, std::string_view value, Space space = Space::State) {
    char* copy = arena_.allocate(value.size() + 1);
    std::copy(value.begin(), value.end(), copy);
    map_.insert(space, key, seq, copy, static_cast<std::uint32_t>(value.size()));
  }
  void remove(std::string_view key, CommitSeq seq, Space space = Space::State) {
    map_.insert(space, key, seq, nullptr, 0);
  }
  const VersionMap* operator->() const { return &map_; }

  std::string find(std::string_view key, CommitSeq seq, Space space = Space::State) const {
    const VersionMap::Node* node = map_.find(space, key, seq);
    if (node == nullptr) return "(none)";
    return node->removed() ? "(removed)" : std::string(node->value_view());
  }
  std::string before(std::optional<std::string_view> key, Space space = Space::State) const {
    const VersionMap::Node* node = map_.seek_before(space, key);
    return node == nullptr ? "(none)" : std::string(node->key());
  }
  std::vector<std::string> walk() const {
    std::vector<std::string> nodes;
    for (const auto* node = map_.first(); node != nullptr; node = node->after()) {
      nodes.push_back(std::string(node->key()) + "@" + std::to_string(node->commit_seq));
    }
    return nodes;
  }

 private:
  Arena arena_;
  VersionMap map_;
};

TEST(VersionMap, AnEmptyMapHasNothing) {
  Map map;
  EXPECT_EQ(map->first(), nullptr);
  EXPECT_EQ(map->size(), 0u);
  EXPECT_EQ(map->seek(Space::State, "", kNewest), nullptr);
  EXPECT_EQ(map.find("a", kNewest), "(none)");
  EXPECT_EQ(map.before(std::nullopt), "(none)");
  EXPECT_EQ(map.before("a"), "(none)");
}

TEST(VersionMap, FindSeesTheNewestVersionUpToTheSnapshot) {
  Map map;
  map.set("k", 3, "three");
  map.set("k", 5, "five");
  map.remove("k", 7);
  map.set("k", 9, "nine");
  EXPECT_EQ(map.find("k", 2), "(none)");
  EXPECT_EQ(map.find("k", 3), "three");
  EXPECT_EQ(map.find("k", 4), "three");
  EXPECT_EQ(map.find("k", 5), "five");
  EXPECT_EQ(map.find("k", 6), "five");
  EXPECT_EQ(map.find("k", 7), "(removed)");
  EXPECT_EQ(map.find("k", 8), "(removed)");
  EXPECT_EQ(map.find("k", 9), "nine");
  EXPECT_EQ(map.find("k", kNewest), "nine");
}

// Without a filter, with one of the size, and with one that far too many keys have filled.
TEST(VersionMap, EveryKeyIsFoundAndNoOtherWhateverTheSizeOfTheFilter) {
  constexpr int kKeys = 5000;
  for (std::size_t delta_bytes : {std::size_t{0}, std::size_t{1024}, std::size_t{64} << 10, std::size_t{2} << 20}) {
    SCOPED_TRACE(delta_bytes);
    Map map(delta_bytes);
    for (int i = 0; i < kKeys; ++i) {
      std::string key = std::to_string(i);
      map.set("k" + key, 1, key);
      map.set("m" + key, 1, key, Space::Meta);
    }
    for (int i = 0; i < kKeys; ++i) {
      std::string key = std::to_string(i);
      ASSERT_EQ(map.find("k" + key, 1), key);
      ASSERT_EQ(map.find("m" + key, 1, Space::Meta), key);
      ASSERT_EQ(map.find("m" + key, 1), "(none)");
      ASSERT_EQ(map.find("l" + key, 1), "(none)");
    }
  }
}

TEST(VersionMap, TheLastOperationOfACommitCounts) {
  Map map;
  map.set("k", 1, "first");
  map.set("k", 1, "second");
  EXPECT_EQ(map.find("k", 1), "second");
  map.remove("k", 1);
  EXPECT_EQ(map.find("k", 1), "(removed)");
  map.set("k", 1, "third");
  EXPECT_EQ(map.find("k", 1), "third");
  EXPECT_EQ(map->size(), 1u);
}

TEST(VersionMap, AnEmptyValueIsAValue) {
  Map map;
  map.set("k", 1, "");
  EXPECT_EQ(map.find("k", 1), "");
}

TEST(VersionMap, KeysAreOrderedAsBytesAndVersionsNewestFirst) {
  Map map;
  using namespace std::string_literals;
  std::vector<std::string> keys = {"\xFF\xFF", "\x7F", "a\0"s, "\0"s, "a", "\x80", "\0\0"s, "ab", "\xFF"};
  CommitSeq seq = 0;
  for (const std::string& key : keys) map.set(key, ++seq, "");
  map.set("a", ++seq, "");
  EXPECT_THAT(map.walk(), ElementsAre("\0@4"s, "\0\0@7"s, "a@10", "a@5", "a\0@3"s, "ab@8", "\x7F@2", "\x80@6", "\xFF@9",
                                      "\xFF\xFF@1"));
}

TEST(VersionMap, SeekBeforeAnswersThePrecedingKey) {
  Map map;
  for (std::string_view key : {"b", "d", "f"}) map.set(key, 1, "");
  EXPECT_EQ(map.before("a"), "(none)");
  EXPECT_EQ(map.before("b"), "(none)");
  EXPECT_EQ(map.before("c"), "b");
  EXPECT_EQ(map.before("d"), "b");
  EXPECT_EQ(map.before(std::string_view("d\0", 2)), "d");
  EXPECT_EQ(map.before("f"), "d");
  EXPECT_EQ(map.before("g"), "f");
  EXPECT_EQ(map.before(std::nullopt), "f");
  EXPECT_EQ(map.before(""), "(none)");
}

TEST(VersionMap, SpacesAreApart) {
  Map map;
  map.set("m", 1, "state");
  map.set("m", 1, "command", Space::Command);
  map.set("z", 1, "meta", Space::Meta);
  EXPECT_EQ(map.find("m", 1), "state");
  EXPECT_EQ(map.find("m", 1, Space::Command), "command");
  EXPECT_EQ(map.find("m", 1, Space::Sequence), "(none)");
  EXPECT_EQ(map.find("m", 1, Space::Meta), "(none)");
  EXPECT_EQ(map.find("z", 1), "(none)");
  EXPECT_EQ(map.before(std::nullopt), "m");
  EXPECT_EQ(map.before(std::nullopt, Space::Sequence), "(none)");
  EXPECT_EQ(map.before("m", Space::Command), "(none)");
  EXPECT_EQ(map.before(std::nullopt, Space::Meta), "z");
  // At the end of a space a seek arrives at the next one; whoever walks looks at the space.
  EXPECT_EQ(map->seek(Space::State, "n", kNewest)->space, Space::Command);
}

using Version = std::tuple<Space, std::string, CommitSeq>;

struct Order {
  bool operator()(const Version& a, const Version& b) const {
    auto [as, ak, ac] = a;
    auto [bs, bk, bc] = b;
    return std::tie(as, ak, bc) < std::tie(bs, bk, ac);  // the newest version first
  }
};

std::string random_key(std::mt19937_64& random) {
  static constexpr char kAlphabet[] = {'\0', '\x01', 'a', 'b', '\x7F', '\x80', '\xFE', '\xFF'};
  std::string key(1 + random() % 3, '\0');
  for (char& byte : key) byte = kAlphabet[random() % std::size(kAlphabet)];
  return key;
}

Version version_of(const VersionMap::Node* node) { return {node->space, std::string(node->key()), node->commit_seq}; }

// Where a walk from `at` to the end of the model leads, for a comparison.
template <class Iterator, class Model>
std::optional<Version> at_or_none(Iterator at, const Model& model) {
  return at == model.end() ? std::nullopt : std::optional(at->first);
}

TEST(VersionMap, AnswersAsASortedMapDoes) {
  std::mt19937_64 random(test_seed());
  Map map;
  std::map<Version, std::string, Order> model;
  CommitSeq seq = 1;
  for (int i = 0; i < 4000; ++i) {
    seq += random() % 2;
    auto space = static_cast<Space>(random() % 4);
    std::string key = random_key(random);
    std::string value = std::to_string(i);
    map.set(key, seq, value, space);
    model[{space, key, seq}] = value;
  }
  ASSERT_EQ(map->size(), model.size());
  auto expected = model.begin();
  for (const auto* node = map->first(); node != nullptr; node = node->after(), ++expected) {
    ASSERT_EQ(version_of(node), expected->first);
    ASSERT_EQ(node->value_view(), expected->second);
  }
  ASSERT_TRUE(expected == model.end());

  for (int i = 0; i < 20'000; ++i) {
    auto space = static_cast<Space>(random() % 4);
    std::string key = random_key(random);
    CommitSeq at = random() % (seq + 2);
    auto behind = model.lower_bound({space, key, at});
    const auto* node = map->seek(space, key, at);
    ASSERT_EQ(node == nullptr ? std::nullopt : std::optional(version_of(node)), at_or_none(behind, model));

    bool there = behind != model.end() && std::get<0>(behind->first) == space && std::get<1>(behind->first) == key;
    ASSERT_EQ(map.find(key, at, space), there ? behind->second : "(none)");

    auto first_of_key = model.lower_bound({space, key, kNewest});
    bool has_before = first_of_key != model.begin() && std::get<0>(std::prev(first_of_key)->first) == space;
    ASSERT_EQ(map.before(key, space), has_before ? std::get<1>(std::prev(first_of_key)->first) : "(none)");
  }
}

TEST(VersionMap, AHotKeyIsFoundAtEachOfManyCommits) {
  Map map;
  constexpr CommitSeq kCommits = 20'000;
  map.set("a", 1, "before");
  for (CommitSeq seq = 1; seq <= kCommits; ++seq) map.set("hot", seq, std::to_string(seq));
  map.set("z", kCommits, "behind");
  for (CommitSeq seq = 1; seq <= kCommits; ++seq) ASSERT_EQ(map.find("hot", seq), std::to_string(seq));
  EXPECT_EQ(map.before("z"), "hot");
  EXPECT_EQ(map.before("hot"), "a");
  EXPECT_EQ(map->seek(Space::State, "hot", 0)->key(), "z");
}

// Commit c sets key c % kKeys to c. So what a snapshot at any commit sees is known.
TEST(VersionMap, ReadersBesideTheInserterSeeEveryPublishedCommitWhole) {
  constexpr CommitSeq kCommits = 60'000;
  constexpr CommitSeq kKeys = 251;
  constexpr int kReaders = 2;
  auto key_of = [](CommitSeq commit) { return "key" + std::to_string(commit % kKeys); };
  Map map;
  std::atomic<CommitSeq> published{0};
  std::atomic<int> mistakes{0};
  std::latch ready(kReaders + 1);
  auto expect = [&](bool holds) { mistakes += holds ? 0 : 1; };

  auto read = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    ready.arrive_and_wait();
    CommitSeq at = 0;
    while (at < kCommits) {
      at = published.load(std::memory_order_acquire);
      for (int probe = 0; probe < 50 && at > 0; ++probe) {
        CommitSeq snapshot = 1 + random() % at;
        CommitSeq newest = snapshot - random() % std::min(kKeys, snapshot);  // the last one to set its key
        expect(map.find(key_of(newest), snapshot) == std::to_string(newest));
      }
      std::size_t seen = 0;
      const VersionMap::Node* last = nullptr;
      for (const auto* node = map->first(); node != nullptr; node = node->after()) {
        if (last != nullptr) {
          expect(last->key() < node->key() || (last->key() == node->key() && last->commit_seq > node->commit_seq));
        }
        last = node;
        seen += node->commit_seq <= at ? 1 : 0;
      }
      expect(seen == at);
      std::size_t keys = 0;
      for (const auto* node = map->seek_before(Space::State, std::nullopt); node != nullptr;
           node = map->seek_before(Space::State, node->key())) {
        ++keys;
      }
      expect(keys >= std::min(kKeys, at));
    }
  };
  std::vector<std::jthread> readers;
  for (int i = 0; i < kReaders; ++i) readers.emplace_back(read, test_seed() + static_cast<std::uint64_t>(i));
  ready.arrive_and_wait();
  for (CommitSeq commit = 1; commit <= kCommits; ++commit) {
    map.set(key_of(commit), commit, std::to_string(commit));
    published.store(commit, std::memory_order_release);
  }
  readers.clear();
  EXPECT_EQ(mistakes, 0);
}

}  // namespace
}  // namespace azoth
