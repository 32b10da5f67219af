#include "tag_index.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "azoth/core/digest.h"

namespace azoth {

namespace {
constexpr std::uint32_t kFirstChunk = 2;
constexpr std::uint32_t kLargestChunk = 512;
}  // namespace

void TagIndex::insert(std::string_view tag, EventId id) {
  std::atomic<Tag*>* buckets = buckets_.load(std::memory_order_relaxed);
  if (buckets == nullptr) {
    buckets = reinterpret_cast<std::atomic<Tag*>*>(arena_.allocate(bucket_count_ * sizeof(std::atomic<Tag*>)));
    for (std::size_t i = 0; i < bucket_count_; ++i) new (buckets + i) std::atomic<Tag*>(nullptr);
    buckets_.store(buckets, std::memory_order_release);
  }
  std::uint64_t hash = checksum64(tag);
  std::atomic<Tag*>& first = bucket(buckets, hash);
  Tag* node = first.load(std::memory_order_relaxed);
  while (node != nullptr && (node->hash != hash || node->text() != tag)) node = node->next;
  if (node == nullptr) {
    node = make_tag(tag, hash, first.load(std::memory_order_relaxed));
    first.store(node, std::memory_order_release);
  }
  Chunk* chunk = node->newest.load(std::memory_order_relaxed);
  std::uint32_t count = chunk->count.load(std::memory_order_relaxed);
  if (count == chunk->capacity) {
    chunk = make_chunk(std::min(chunk->capacity * 2, kLargestChunk), chunk);
    count = 0;
    node->newest.store(chunk, std::memory_order_release);
  }
  chunk->ids[count] = id;
  chunk->count.store(count + 1, std::memory_order_release);
  ++entries_;
}

TagIndex::Tag* TagIndex::make_tag(std::string_view tag, std::uint64_t hash, Tag* next) {
  Chunk* chunk = make_chunk(kFirstChunk, nullptr);
  Tag* node = new (arena_.allocate(sizeof(Tag) + tag.size())) Tag{next, hash, {chunk}, 0};
  node->size = static_cast<std::uint32_t>(tag.size());
  tag.copy(reinterpret_cast<char*>(node + 1), tag.size());
  return node;
}

TagIndex::Chunk* TagIndex::make_chunk(std::uint32_t capacity, Chunk* older) {
  std::size_t size = sizeof(Chunk) + (capacity - 1) * sizeof(EventId);
  return new (arena_.allocate(size)) Chunk{older, {0}, capacity, {0}};
}

const TagIndex::Tag* TagIndex::find(std::string_view tag) const {
  std::atomic<Tag*>* buckets = buckets_.load(std::memory_order_acquire);
  if (buckets == nullptr) return nullptr;
  std::uint64_t hash = checksum64(tag);
  const Tag* node = bucket(buckets, hash).load(std::memory_order_acquire);
  while (node != nullptr && (node->hash != hash || node->text() != tag)) node = node->next;
  return node;
}

EventId TagIndex::newest(const Tag* tag) {
  const Chunk* chunk = tag == nullptr ? nullptr : tag->newest.load(std::memory_order_acquire);
  for (; chunk != nullptr; chunk = chunk->older) {
    if (std::uint32_t count = chunk->count.load(std::memory_order_acquire)) return chunk->ids[count - 1];
  }
  return 0;
}

std::vector<const TagIndex::Tag*> TagIndex::sorted() const {
  std::vector<const Tag*> tags;
  const std::atomic<Tag*>* buckets = buckets_.load(std::memory_order_acquire);
  for (std::size_t i = 0; buckets != nullptr && i < bucket_count_; ++i) {
    for (const Tag* tag = buckets[i].load(std::memory_order_acquire); tag != nullptr; tag = tag->next) {
      tags.push_back(tag);
    }
  }
  std::sort(tags.begin(), tags.end(), [](const Tag* a, const Tag* b) { return a->text() < b->text(); });
  return tags;
}

TagIds::TagIds(const TagIndex::Tag* tag, EventId after, EventId to) {
  if (tag == nullptr) return;
  for (const TagIndex::Chunk* chunk = tag->newest.load(std::memory_order_acquire); chunk != nullptr;
       chunk = chunk->older) {
    pieces_.push_back({chunk, chunk->count.load(std::memory_order_acquire)});
  }
  std::reverse(pieces_.begin(), pieces_.end());
  for (Piece& piece : pieces_) {
    std::size_t count = piece.begin;
    piece.begin = total_;
    total_ += count;
  }
  first_ = first_above(after);
  last_ = std::max(first_, first_above(to));
}

EventId TagIds::at(std::size_t index) const {
  auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), index,
                                [](std::size_t i, const Piece& p) { return i < p.begin; });
  --piece;
  return piece->chunk->ids[index - piece->begin];
}

EventId TagIds::operator[](std::size_t index) const { return at(first_ + index); }

std::size_t TagIds::first_above(EventId id) const {
  std::size_t low = 0;
  std::size_t high = total_;
  while (low < high) {
    std::size_t middle = (low + high) / 2;
    if (at(middle) <= id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace azoth
