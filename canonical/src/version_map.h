// An ordered map of versions, (space, key, commit_seq) -> value or deletion: the state half of a Delta.
//
// A skip list, after W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (1990). One thread inserts at
// a time; any number of threads read without locks while it does, because a node is complete before a release store
// links it and is never changed or unlinked afterwards. Within a key the newest version comes first, so one search
// finds what a snapshot sees of a key. Nodes carry their key, so that a search touches one cache line a step; values
// stay in the records. A Bloom filter (B. H. Bloom, 1970) of one word a key answers most searches for keys that are not
// there: what LMDB holds is read past several Deltas. (A library's concurrent map was considered: the ones at hand walk
// only forwards, and a snapshot is also scanned in reverse.)
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "arena.h"
#include "azoth/core/ids.h"
#include "record.h"

namespace azoth {

class VersionMap {
 public:
  static constexpr int kMaxHeight = 12;

  struct Node {
    CommitSeq commit_seq;
    const char* value;  // null: the key was removed
    std::uint32_t value_size;
    std::uint16_t key_size;
    Space space;
    std::uint8_t height;
    std::atomic<Node*> next[1];  // `height` of them, and then the key

    std::string_view key() const { return {reinterpret_cast<const char*>(next + height), key_size}; }
    bool removed() const { return value == nullptr; }
    std::string_view value_view() const { return {value, value_size}; }
    Node* after() const { return next[0].load(std::memory_order_acquire); }
  };

  // With a filter of the size for a Delta of so many bytes; 0: without.
  explicit VersionMap(Arena& arena, std::size_t delta_bytes = 0);

  // By the one inserter. `commit_seq` is not smaller than any before; a second operation on a key within one commit
  // replaces the first (no reader can see that commit yet).
  void insert(Space space, std::string_view key, CommitSeq commit_seq, const char* value, std::uint32_t value_size);

  // The first node at or behind (space, key, commit_seq), in the order space, key, newest first.
  const Node* seek(Space space, std::string_view key, CommitSeq commit_seq) const;
  // The last node of `space` whose key is smaller than `key` (without a key: the last of the space).
  const Node* seek_before(Space space, std::optional<std::string_view> key) const;
  // What a snapshot at `commit_seq` sees of a key: its newest version up to there.
  const Node* find(Space space, std::string_view key, CommitSeq commit_seq) const;
  const Node* first() const { return head_->after(); }

  std::size_t size() const { return size_; }  // the inserter's

 private:
  using FilterWord = std::atomic<std::uint64_t>;

  void note_key(Space space, std::string_view key);
  bool may_have(Space space, std::string_view key) const;
  Node* make_node(int height, Space space, std::string_view key, CommitSeq commit_seq);
  int random_height();

  Arena& arena_;
  Node* head_;
  std::atomic<int> height_{1};
  const std::size_t filter_words_;            // a power of two, or 0
  std::atomic<FilterWord*> filter_{nullptr};  // made for the first key
  std::size_t size_ = 0;
  std::uint64_t random_ = 0x9e3779b97f4a7c15;
};

}  // namespace azoth
