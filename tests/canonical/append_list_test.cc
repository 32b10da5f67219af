#include "append_list.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <latch>
#include <thread>
#include <vector>

namespace azoth {
namespace {

TEST(Arena, PiecesAreAlignedAndApart) {
  Arena arena;
  std::vector<std::pair<char*, std::size_t>> pieces;
  for (std::size_t size : {1, 7, 8, 9, 0, 4096, 100, 300'000, 3, 5000, 262'144}) {
    char* piece = arena.allocate(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece) % 8, 0u);
    std::fill_n(piece, size, static_cast<char>(pieces.size()));
    pieces.emplace_back(piece, size);
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    auto [piece, size] = pieces[i];
    for (std::size_t at = 0; at < size; ++at) ASSERT_EQ(piece[at], static_cast<char>(i));
  }
}

TEST(Arena, CountsWhatItTookFromTheSystem) {
  Arena arena;
  EXPECT_EQ(arena.bytes(), 0u);
  arena.allocate(1);
  std::size_t first = arena.bytes();
  EXPECT_GE(first, 1u);
  arena.allocate(1);
  EXPECT_EQ(arena.bytes(), first);
  arena.allocate(1 << 20);
  EXPECT_GE(arena.bytes(), first + (1 << 20));
}

TEST(AppendList, HoldsWhatWasAppended) {
  Arena arena;
  AppendList<std::uint64_t> list(arena);
  EXPECT_EQ(list.size(), 0u);
  constexpr std::size_t kElements = 100'000;  // over many segments
  for (std::size_t i = 0; i < kElements; ++i) {
    list.push_back(i * i);
    ASSERT_EQ(list.size(), i + 1);
    ASSERT_EQ(list[i], i * i);
  }
  for (std::size_t i = 0; i < kElements; ++i) ASSERT_EQ(list[i], i * i);
}

TEST(AppendList, ElementsNeverMove) {
  Arena arena;
  AppendList<int> list(arena);
  std::vector<const int*> places;
  for (int i = 0; i < 5000; ++i) {
    list.push_back(i);
    places.push_back(&list[static_cast<std::size_t>(i)]);
  }
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(&list[static_cast<std::size_t>(i)], places[static_cast<std::size_t>(i)]);
    ASSERT_EQ(*places[static_cast<std::size_t>(i)], i);
  }
}

TEST(AppendList, ReadersBesideTheAppenderSeeWholeElements) {
  struct Element {
    std::uint64_t number;
    std::uint64_t twice;
  };
  constexpr std::size_t kElements = 500'000;
  constexpr int kReaders = 2;
  Arena arena;
  AppendList<Element> list(arena);
  std::atomic<int> mistakes{0};
  std::latch ready(kReaders + 1);
  auto read = [&] {
    ready.arrive_and_wait();
    std::size_t checked = 0;
    while (checked < kElements) {
      for (std::size_t size = list.size(); checked < size; ++checked) {
        Element element = list[checked];
        mistakes += element.number == checked && element.twice == 2 * checked ? 0 : 1;
      }
    }
  };
  std::vector<std::jthread> readers;
  for (int i = 0; i < kReaders; ++i) readers.emplace_back(read);
  ready.arrive_and_wait();
  for (std::uint64_t i = 0; i < kElements; ++i) list.push_back({i, 2 * i});
  readers.clear();
  EXPECT_EQ(mistakes, 0);
}

}  // namespace
}  // namespace azoth
