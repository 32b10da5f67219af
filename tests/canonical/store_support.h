// Stores for tests: small ones in directories of their own, in which nothing happens by itself.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "azoth/canonical/store.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "support/copy_store.h"
#include "support/temp_dir.h"
#include "support/thrown.h"

namespace azoth::test {

// Nothing is flushed or synced by age: only by size, and when the test says so.
inline Options quiet_options() {
  Options options;
  options.delta_bytes = std::size_t{4} << 20;
  options.delta_age = std::chrono::hours{1};
  options.segment_bytes = std::size_t{1} << 20;
  options.sync_interval = std::chrono::hours{1};
  options.map_bytes = std::size_t{256} << 20;
  options.max_readers = 64;
  options.timeout = std::chrono::minutes{2};
  return options;
}

// The smallest Deltas and segments there are, so that freezes, flushes and segment switches happen all the time.
inline Options tiny_options() {
  Options options = quiet_options();
  options.delta_bytes = limits::kMinDeltaBytes;
  options.segment_bytes = limits::kMinSegmentBytes;
  return options;
}

// A store in a directory of its own.
class TestStore {
 public:
  explicit TestStore(const Options& options = quiet_options()) : options_(options) {
    Store::create(directory(), options_);
    open();
  }

  std::filesystem::path directory() const { return parent_.path() / "store"; }
  const Options& options() const { return options_; }
  void set_options(const Options& options) { options_ = options; }  // for the next open

  void open() { store_ = Store::open(directory(), options_); }
  void close() { store_.reset(); }
  void reopen() {
    close();
    open();
  }

  Store& operator*() const { return *store_; }
  Store* operator->() const { return store_.get(); }

 private:
  TempDir parent_;
  Options options_;
  std::unique_ptr<Store> store_;
};

// Commits and waits until it can be read.
inline CommitInfo commit(Store& store, WriteSet set, Durability level = Durability::Written) {
  return store.submit(std::move(set), {}, {.level = level}).value().wait();
}

inline CommitInfo put(Store& store, std::string_view key, std::string_view value) {
  WriteSet set;
  set.put(key, value);
  return commit(store, std::move(set));
}

inline CommitInfo del(Store& store, std::string_view key) {
  WriteSet set;
  set.del(key);
  return commit(store, std::move(set));
}

inline CommitInfo append(Store& store, std::string_view type, std::vector<std::string_view> tags,
                         std::string_view payload) {
  WriteSet set;
  set.append({.type = type, .tags = std::move(tags), .payload = payload});
  return commit(store, std::move(set));
}

// While it lives LMDB takes nothing: Deltas are frozen and stay.
class LmdbIsFull {
 public:
  LmdbIsFull() : armed_("flush.apply", {.fail_with = ENOSPC, .times = -1}) {}

  // What was committed so far is in a frozen Delta from now on (two of them can be).
  void freeze(Store& store) const { EXPECT_EQ(code_of([&] { store.checkpoint(); }), ErrorCode::NoSpace); }

 private:
  fault::Armed armed_;
};

using Entries = std::vector<std::pair<std::string, std::string>>;

inline Entries collect(StateRange range) {
  Entries entries;
  for (const auto& [key, value] : range) entries.emplace_back(key, value);
  return entries;
}

inline std::vector<std::string> keys_of(StateRange range) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : range) keys.emplace_back(key);
  return keys;
}

inline std::vector<EventId> ids_of(EventRange range) {
  std::vector<EventId> ids;
  for (const EventView& event : range) ids.push_back(event.id());
  return ids;
}

}  // namespace azoth::test
