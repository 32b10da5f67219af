// Which events of a Delta carry a tag: a hash table from tags to lists of ascending event ids.
//
// One thread inserts at a time; readers take no lock: nodes and chunks are linked with release stores when complete,
// and a chunk's count is published after the id. The number of buckets is fixed, as a Delta's size is bounded; a small
// Delta has few, so that an index of one tag does not fill it.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "arena.h"
#include "azoth/core/ids.h"

namespace azoth {

class TagIndex {
 public:
  struct Chunk {
    Chunk* older;
    std::atomic<std::uint32_t> count;
    std::uint32_t capacity;
    EventId ids[1];  // `capacity` of them
  };

  struct Tag {
    Tag* next;
    std::uint64_t hash;
    std::atomic<Chunk*> newest;
    std::uint32_t size;

    std::string_view text() const { return {reinterpret_cast<const char*>(this + 1), size}; }
  };

  // For a Delta of about so many bytes.
  explicit TagIndex(Arena& arena, std::size_t delta_bytes = std::size_t{32} << 20)
      : arena_(arena), bucket_count_(std::bit_floor(std::clamp(delta_bytes / 1024, kFewestBuckets, kMostBuckets))) {}

  void insert(std::string_view tag, EventId id);  // ids ascend
  const Tag* find(std::string_view tag) const;
  static EventId newest(const Tag* tag);  // 0 without a tag
  std::vector<const Tag*> sorted() const;  // when no one inserts any more

  std::size_t entries() const { return entries_; }  // the inserter's

 private:
  static constexpr std::size_t kFewestBuckets = 64;
  static constexpr std::size_t kMostBuckets = std::size_t{1} << 15;

  std::atomic<Tag*>& bucket(std::atomic<Tag*>* buckets, std::uint64_t hash) const {
    return buckets[hash & (bucket_count_ - 1)];
  }
  Tag* make_tag(std::string_view tag, std::uint64_t hash, Tag* next);
  Chunk* make_chunk(std::uint32_t capacity, Chunk* older);

  Arena& arena_;
  const std::size_t bucket_count_;  // a power of two
  std::atomic<std::atomic<Tag*>*> buckets_{nullptr};  // made for the first tag
  std::size_t entries_ = 0;
};

// The ids of one tag up to a bound, forwards or backwards. Later insertions do not disturb it.
class TagIds {
 public:
  TagIds() = default;
  TagIds(const TagIndex::Tag* tag, EventId after, EventId to);

  bool empty() const { return first_ == last_; }
  std::size_t size() const { return last_ - first_; }
  EventId operator[](std::size_t index) const;  // ascending, below size()

 private:
  struct Piece {
    const TagIndex::Chunk* chunk;
    std::size_t begin;  // index of its first id among all
  };
  std::size_t first_above(EventId id) const;
  EventId at(std::size_t index) const;

  std::vector<Piece> pieces_;  // ascending
  std::size_t total_ = 0;
  std::size_t first_ = 0;
  std::size_t last_ = 0;
};

}  // namespace azoth
