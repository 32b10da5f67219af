// A store as kill -9 leaves it: LMDB holds its first commits, the journal the others, and of every batch is known where
// it stands. Tools to damage it, and to say what of it is left.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "journal.h"
#include "journal_reader.h"
#include "store_support.h"
#include "support/memory_dir.h"

namespace azoth::test {

using FileBytes = std::map<std::string, std::string>;

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// Of every file but the locks, which name whoever held them last.
inline FileBytes files_in(const std::filesystem::path& directory) {
  FileBytes files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    std::filesystem::path name = entry.path().lexically_relative(directory);
    if (name == "lock" || name.filename() == "lock.mdb") continue;
    files[name.string()] = entry.is_directory() ? "a directory" : bytes_of(entry.path());
  }
  return files;
}

class DamagedStore {
 public:
  static constexpr CommitSeq kInLmdb = 10;
  static constexpr CommitSeq kLast = 60;

  DamagedStore() {
    std::filesystem::path alive = parent_.path() / "alive";
    Store::create(alive, options_);
    auto store = Store::open(alive, options_);
    for (CommitSeq step = 1; step <= kLast; ++step) {
      commit(*store, step_of(step), Durability::Durable);
      if (step == kInLmdb) store->checkpoint();
    }
    Meta meta = store->meta();
    identity_ = {meta.store_id, meta.timeline, meta.lineage};
    copy_store(alive, directory());
    store.reset();
    std::filesystem::remove_all(alive);
    find_batches();
  }

  std::filesystem::path directory() const { return parent_.path() / "store"; }
  std::filesystem::path journal() const { return directory() / "journal"; }
  std::filesystem::path beside(const std::string& name) const { return parent_.path() / name; }
  const Options& options() const { return options_; }
  const JournalIdentity& identity() const { return identity_; }

  // The transaction of this number: one key, and an event that says what it was set to.
  static WriteSet step_of(CommitSeq number, const std::string& life = "old") {
    std::string key = "key" + std::to_string(number % 7);
    std::string value = life + std::to_string(number);
    WriteSet set;
    set.put(key, value + std::string(3000, '.'));
    set.append({.type = life, .tags = {"all:1"}, .payload = key + "=" + value});
    return set;
  }

  // --- Where everything is

  struct Placed {
    std::uint64_t segment;
    std::uint64_t offset;
    BatchHeader header;
  };
  const std::vector<Placed>& batches() const { return batches_; }
  const Placed& holding(CommitSeq commit) const {
    for (const Placed& batch : batches_) {
      if (batch.header.first_commit <= commit && commit <= batch.header.last_commit) return batch;
    }
    throw std::logic_error("no batch holds this commit");
  }
  // The segments that hold commits, oldest first.
  std::vector<std::uint64_t> segments() const {
    std::vector<std::uint64_t> numbers;
    for (const Placed& batch : batches_) numbers.push_back(batch.segment);
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    return numbers;
  }
  CommitSeq first_of(std::uint64_t segment) const {
    for (const Placed& batch : batches_) {
      if (batch.segment == segment) return batch.header.first_commit;
    }
    throw std::logic_error("no such segment");
  }
  std::filesystem::path path(std::uint64_t segment) const { return journal() / segment_name(segment); }
  JournalFiles files() const { return list_journal(FileSystem::posix(), journal(), identity_); }
  SegmentHeader header(std::uint64_t segment) const { return files().find(segment)->header.value(); }

  // --- Damage

  static void overwrite(const std::filesystem::path& path, std::uint64_t offset, const std::string& bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw std::runtime_error("writing " + path.string());
  }
  static void flip(const std::filesystem::path& path, std::uint64_t offset) {
    std::string byte = bytes_of(path).substr(offset, 1);
    byte[0] = static_cast<char>(byte[0] ^ 1);
    overwrite(path, offset, byte);
  }
  void damage_batch(CommitSeq commit) const { flip(path(holding(commit).segment), holding(commit).offset + 90); }
  void damage_header(std::uint64_t segment) const { flip(path(segment), 20); }
  void write_header(SegmentHeader header, const JournalIdentity& identity) const {
    std::string bytes = header.encode(identity);
    if (!std::filesystem::exists(path(header.number))) std::ofstream(path(header.number)).flush();
    overwrite(path(header.number), 0, bytes);
  }

 private:
  void find_batches() {
    for (const JournalFiles::Segment& segment : files().segments) {
      if (!segment.header) continue;
      SegmentReader reader(FileSystem::posix(), journal(), identity_, segment.number);
      for (auto found = reader.search(kSegmentHeaderBytes); found;
           found = reader.search(found->offset + align_batch(found->header.length))) {
        batches_.push_back({segment.number, found->offset, found->header});
      }
    }
  }

  static Options make_options() {
    Options options = quiet_options();
    options.segment_bytes = limits::kMinSegmentBytes;
    options.map_bytes = std::size_t{16} << 20;
    return options;
  }

  MemoryDir parent_;
  Options options_ = make_options();
  JournalIdentity identity_;
  std::vector<Placed> batches_;
};

// The store holds the old commits up to `kept`, and `more` new ones behind them, and nothing else.
inline void expect_holds(Store& store, CommitSeq kept, CommitSeq more = 0) {
  ReadTxn snapshot = store.read();
  ASSERT_EQ(snapshot.commit_seq(), kept + more);
  std::map<std::string, std::string> state;
  CommitSeq number = 0;
  for (const EventView& event : snapshot.events()) {
    ++number;
    std::string life = number <= kept ? "old" : "new";
    std::string key = "key" + std::to_string(number % 7);
    ASSERT_EQ(event.id(), number);
    ASSERT_EQ(event.commit_seq(), number);
    ASSERT_EQ(event.type(), life);
    ASSERT_EQ(event.payload(), key + "=" + life + std::to_string(number));
    state[key] = life + std::to_string(number);
  }
  ASSERT_EQ(number, kept + more);
  std::size_t keys = 0;
  for (auto [key, value] : snapshot.scan()) {
    ++keys;
    ASSERT_EQ(value.substr(0, value.find('.')), state[std::string(key)]) << key;
  }
  ASSERT_EQ(keys, state.size());
  VerifyReport report = store.verify();
  ASSERT_TRUE(report.ok()) << report.problems.front();
}

}  // namespace azoth::test
