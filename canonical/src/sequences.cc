#include "sequences.h"

#include <algorithm>
#include <limits>

#include "azoth/canonical/write_set.h"
#include "azoth/core/bytes.h"
#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "azoth/core/limits.h"
#include "record.h"
#include "snapshot.h"

namespace azoth {

namespace {

constexpr std::uint64_t kEnd = std::numeric_limits<std::uint64_t>::max();  // of all blocks
constexpr std::size_t kBlockBytes = 16;

}  // namespace

// --- As it is stored

void check_sequence_name(std::string_view name) {
  if (name.empty()) throw Error(ErrorCode::InvalidArgument, "the name of a sequence must have at least one byte");
  if (name.size() <= limits::kMaxSequenceNameBytes) return;
  throw Error(ErrorCode::InvalidArgument, "the name of the sequence " + printable(name) + " has " +
                                              std::to_string(name.size()) + " bytes and may have " +
                                              std::to_string(limits::kMaxSequenceNameBytes));
}

std::string encode_block(const SequenceBlock& block) {
  std::string row(kBlockBytes, '\0');
  codec::store_big(row.data(), block.base);
  codec::store_big(row.data() + 8, block.size);
  return row;
}

SequenceBlock decode_block(std::string_view name, std::string_view row) {
  SequenceBlock block;
  bool sound = row.size() == kBlockBytes;
  if (sound) {
    block = {.base = codec::load_big(row.data()), .size = codec::load_big(row.data() + 8)};
    sound = block.size <= kEnd - block.base;
  }
  if (sound) return block;
  throw Error(ErrorCode::Corruption,
              "the row of the sequence " + printable(name) + " cannot be decoded; restore the store from a backup");
}

std::optional<SequenceBlock> stored_block(const Snapshot& snapshot, std::string_view name) {
  auto row = snapshot.get(Space::Sequence, name);
  if (!row) return std::nullopt;
  return decode_block(name, *row);
}

std::vector<SequenceInfo> stored_sequences(const Snapshot& snapshot) {
  std::map<std::string, std::uint64_t, std::less<>> found;
  auto note = [&](std::string_view name, std::string_view row) {
    found.insert_or_assign(std::string(name), decode_block(name, row).end());
  };
  const std::string space(1, static_cast<char>(Space::Sequence));
  LmdbCursor row = snapshot.lmdb().cursor(Table::System);
  for (bool more = row.seek(space); more && row.key().starts_with(space); more = row.next()) {
    note(row.key().substr(1), snapshot.rows().value(row.key(), row.value(), snapshot.verify_reads()));
  }
  const auto& deltas = snapshot.deltas();
  for (auto delta = deltas.rbegin(); delta != deltas.rend(); ++delta) {
    const VersionMap& versions = (*delta)->versions();
    const VersionMap::Node* node = versions.seek(Space::Sequence, "", kEnd);
    for (; node != nullptr && node->space == Space::Sequence; node = versions.seek(node->space, node->key(), 0)) {
      const VersionMap::Node* seen = versions.find(Space::Sequence, node->key(), snapshot.commit_seq());
      if (seen != nullptr && !seen->removed()) note(seen->key(), seen->value_view());
    }
  }
  std::vector<SequenceInfo> sequences;
  for (const auto& [name, next] : found) sequences.push_back({name, next});
  return sequences;
}

// --- Handing out

Sequences::Range Sequences::allocate(std::string_view name, std::uint64_t n, Durability level, Deadline deadline) {
  check_sequence_name(name);
  check();  // before anything is kept for the name
  Sequence& sequence = find_or_make(name);
  std::unique_lock lock(sequence.mutex, deadline);  // who reserves a block has it, and may have to wait
  if (!lock) {
    throw Error(ErrorCode::Backpressure, "numbers of the sequence " + printable(name) +
                                             " were not to be had in time: others wait for a block of it");
  }
  check();
  if (!sequence.loaded) load(name, sequence);
  if (n > sequence.end - sequence.next) reserve(name, sequence, n, level, deadline);
  Range range{.first = sequence.next, .reserved_by = n == 0 ? CommitSeq{0} : sequence.reserved_by};
  sequence.next += n;
  return range;
}

// What is left of the block that a crash found is given up: nobody knows how much of it was handed out.
void Sequences::load(std::string_view name, Sequence& sequence) const {
  SequenceBlock block = backing_.load(name).value_or(SequenceBlock{});
  sequence.next = sequence.end = sequence.recorded = block.end();
  sequence.loaded = true;
}

void Sequences::reserve(std::string_view name, Sequence& sequence, std::uint64_t n, Durability level,
                        Deadline deadline) const {
  std::uint64_t needed = n - (sequence.end - sequence.next);
  std::uint64_t room = kEnd - sequence.end;
  if (needed > room) {
    throw Error(ErrorCode::SequenceExhausted, "the sequence " + printable(name) + " has " +
                                                  std::to_string(kEnd - sequence.next) + " numbers left and " +
                                                  std::to_string(n) + " were asked for; begin another sequence");
  }
  SequenceBlock block{.base = sequence.end, .size = std::min(std::max(needed, block_size_), room)};
  sequence.reserved_by = backing_.reserve(name, block, level, deadline);
  sequence.end = sequence.recorded = block.end();
}

std::optional<std::uint64_t> Sequences::peek(std::string_view name) const {
  Sequence* sequence = find(name);
  if (sequence == nullptr) return std::nullopt;
  std::lock_guard lock(sequence->mutex);
  if (!sequence->loaded) return std::nullopt;
  return sequence->next;
}

void Sequences::check() const {
  if (closed_.load()) throw Error(ErrorCode::Closed, "the store is closed");
  backing_.check();
}

Sequences::Sequence* Sequences::find(std::string_view name) const {
  std::lock_guard lock(mutex_);
  auto found = sequences_.find(name);
  return found == sequences_.end() ? nullptr : found->second.get();
}

Sequences::Sequence& Sequences::find_or_make(std::string_view name) {
  if (Sequence* sequence = find(name)) return *sequence;
  auto made = std::make_unique<Sequence>();
  std::lock_guard lock(mutex_);
  return *sequences_.try_emplace(std::string(name), std::move(made)).first->second;
}

std::vector<std::pair<std::string_view, Sequences::Sequence*>> Sequences::all() const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string_view, Sequence*>> all;
  for (const auto& [name, sequence] : sequences_) all.emplace_back(name, sequence.get());
  return all;
}

// --- Returning

// In memory a rest is given up at once, whatever becomes of the set: the next block begins where it did.
void Sequences::return_rests(WriteSet& set) {
  for (auto [name, sequence] : all()) {
    std::lock_guard lock(sequence->mutex);
    sequence->returning = false;
    if (sequence->recorded == sequence->next) continue;
    if (set.operations() + set.events() >= limits::kMaxOperations) return;
    RecordBuilder::put(set, Space::Sequence, name, encode_block({.base = sequence->next, .size = 0}));
    sequence->end = sequence->next;
    sequence->returning = true;
  }
}

void Sequences::rests_returned() noexcept {
  std::lock_guard all(mutex_);
  for (const auto& [name, sequence] : sequences_) {
    std::lock_guard lock(sequence->mutex);
    if (sequence->returning) sequence->recorded = sequence->next;
    sequence->returning = false;
  }
}

}  // namespace azoth
