#include "version_map.h"

#include <algorithm>
#include <bit>
#include <new>

#include "azoth/core/digest.h"

namespace azoth {

namespace {

// Negative, zero, positive: node against (space, key, commit_seq).
int compare(const VersionMap::Node& node, Space space, std::string_view key, CommitSeq commit_seq) {
  if (node.space != space) return node.space < space ? -1 : 1;
  if (int order = node.key().compare(key)) return order;
  if (node.commit_seq == commit_seq) return 0;
  return node.commit_seq > commit_seq ? -1 : 1;
}

// About three keys a word in a full Delta: then one search in some hundreds goes on for nothing.
constexpr std::size_t kBytesPerFilterWord = 1024;
constexpr std::size_t kMostFilterWords = std::size_t{1} << 21;  // they are zeroed with a commit waiting

std::uint64_t hash_of(Space space, std::string_view key) { return checksum64(key, static_cast<std::uint64_t>(space)); }

// Four bits of a word, by the part of the hash that did not choose the word.
std::uint64_t filter_bits(std::uint64_t hash) {
  std::uint64_t bits = 0;
  for (int shift = 40; shift < 64; shift += 6) bits |= std::uint64_t{1} << ((hash >> shift) & 63);
  return bits;
}

}  // namespace

VersionMap::VersionMap(Arena& arena, std::size_t delta_bytes)
    : arena_(arena),
      head_(make_node(kMaxHeight, Space::State, {}, 0)),
      filter_words_(std::bit_floor(std::min(delta_bytes / kBytesPerFilterWord, kMostFilterWords))) {}

// Before the key's node is linked. Whoever may see the commit sees the filter, as both come before the commit is
// published.
void VersionMap::note_key(Space space, std::string_view key) {
  FilterWord* words = filter_.load(std::memory_order_relaxed);
  if (words == nullptr) {
    words = reinterpret_cast<FilterWord*>(arena_.allocate(filter_words_ * sizeof(FilterWord)));
    for (std::size_t i = 0; i < filter_words_; ++i) new (&words[i]) FilterWord(0);
    filter_.store(words, std::memory_order_release);
  }
  std::uint64_t hash = hash_of(space, key);
  FilterWord& word = words[hash & (filter_words_ - 1)];
  word.store(word.load(std::memory_order_relaxed) | filter_bits(hash), std::memory_order_relaxed);
}

bool VersionMap::may_have(Space space, std::string_view key) const {
  if (filter_words_ == 0) return true;
  const FilterWord* words = filter_.load(std::memory_order_acquire);
  if (words == nullptr) return false;
  std::uint64_t hash = hash_of(space, key);
  std::uint64_t bits = filter_bits(hash);
  return (words[hash & (filter_words_ - 1)].load(std::memory_order_relaxed) & bits) == bits;
}

VersionMap::Node* VersionMap::make_node(int height, Space space, std::string_view key, CommitSeq commit_seq) {
  std::size_t links = static_cast<std::size_t>(height);
  std::size_t size = sizeof(Node) + (links - 1) * sizeof(std::atomic<Node*>) + key.size();
  Node* node = new (arena_.allocate(size)) Node{};
  node->commit_seq = commit_seq;
  node->key_size = static_cast<std::uint16_t>(key.size());
  node->space = space;
  node->height = static_cast<std::uint8_t>(height);
  for (std::size_t i = 1; i < links; ++i) new (&node->next[i]) std::atomic<Node*>(nullptr);
  key.copy(reinterpret_cast<char*>(node->next + links), key.size());
  return node;
}

int VersionMap::random_height() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  int height = 1;
  for (std::uint64_t bits = random_; height < kMaxHeight && (bits & 3) == 0; bits >>= 2) ++height;
  return height;
}

void VersionMap::insert(Space space, std::string_view key, CommitSeq commit_seq, const char* value,
                        std::uint32_t value_size) {
  Node* before[kMaxHeight];
  int height = height_.load(std::memory_order_relaxed);
  Node* at = head_;
  Node* next = nullptr;
  for (int level = height - 1; level >= 0; --level) {
    next = at->next[level].load(std::memory_order_relaxed);
    while (next != nullptr && compare(*next, space, key, commit_seq) < 0) {
      at = next;
      next = at->next[level].load(std::memory_order_relaxed);
    }
    before[level] = at;
  }
  if (next != nullptr && compare(*next, space, key, commit_seq) == 0) {
    next->value = value;
    next->value_size = value_size;
    return;
  }
  if (filter_words_ != 0) note_key(space, key);
  int node_height = random_height();
  Node* node = make_node(node_height, space, key, commit_seq);
  node->value = value;
  node->value_size = value_size;
  for (int level = height; level < node_height; ++level) before[level] = head_;
  if (node_height > height) height_.store(node_height, std::memory_order_relaxed);
  for (int level = 0; level < node_height; ++level) {
    node->next[level].store(before[level]->next[level].load(std::memory_order_relaxed), std::memory_order_relaxed);
    before[level]->next[level].store(node, std::memory_order_release);
  }
  ++size_;
}

const VersionMap::Node* VersionMap::seek(Space space, std::string_view key, CommitSeq commit_seq) const {
  const Node* at = head_;
  const Node* next = nullptr;
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    next = at->next[level].load(std::memory_order_acquire);
    while (next != nullptr && compare(*next, space, key, commit_seq) < 0) {
      at = next;
      next = at->next[level].load(std::memory_order_acquire);
    }
  }
  return next;
}

const VersionMap::Node* VersionMap::seek_before(Space space, std::optional<std::string_view> key) const {
  auto is_before = [&](const Node& node) {
    if (node.space != space) return node.space < space;
    return !key || node.key() < *key;
  };
  const Node* at = head_;
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    const Node* next = at->next[level].load(std::memory_order_acquire);
    while (next != nullptr && is_before(*next)) {
      at = next;
      next = at->next[level].load(std::memory_order_acquire);
    }
  }
  return at != head_ && at->space == space ? at : nullptr;
}

const VersionMap::Node* VersionMap::find(Space space, std::string_view key, CommitSeq commit_seq) const {
  if (!may_have(space, key)) return nullptr;
  const Node* node = seek(space, key, commit_seq);
  return node != nullptr && node->space == space && node->key() == key ? node : nullptr;
}

}  // namespace azoth
