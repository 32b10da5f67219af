// Makes a store out of the content of another one: first everything at some commit, then, if wanted, the commits behind
// it, one by one. What restoring a backup stands on.
//
//   StoreBuilder builder(directory, {store_id, created, lineage}, options);
//   builder.put(key, value) ...; builder.append(event) ...; builder.put_own(space, key, value) ...
//   builder.end_content(last_commit, latest);
//   builder.apply(record) ...
//   ContentTotals totals = builder.finish(Uuid::random());
//
// It trusts nothing that it is given: keys, events, rows of the store's own and records that no store has held are
// refused with Corruption.
// The result begins a timeline of its own behind its last commit, and is not sealed. Before finish() has returned there
// is no store: the directory may be thrown away. One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "azoth/canonical/backup_source.h"
#include "azoth/canonical/options.h"
#include "azoth/core/event.h"
#include "azoth/core/file.h"
#include "azoth/core/timeline.h"

namespace azoth {

class StoreBuilder {
 public:
  struct Facts {
    Uuid store_id;
    Timestamp created{};
    Lineage lineage;  // of the content: the new timeline's parent, and its ancestors
  };

  // In a directory that does not exist, or is empty.
  StoreBuilder(const std::filesystem::path& directory, const Facts& facts, const Options& options = {},
               FileSystem& fs = FileSystem::posix());
  ~StoreBuilder();
  StoreBuilder(const StoreBuilder&) = delete;
  StoreBuilder& operator=(const StoreBuilder&) = delete;

  // --- The content, in any order of these three; each in its own order.
  void put(std::string_view key, std::string_view value);  // ascending keys
  void append(const EventView& event);                     // ids from 1 on, commits not descending
  void put_own(std::uint8_t space, std::string_view key, std::string_view value);  // ascending
  // Nothing of the content comes behind it. No commit of it is later than `latest`.
  void end_content(CommitSeq last_commit, Timestamp latest);

  // --- The commits behind it. A whole record, whose commit and first event follow the last ones.
  void apply(std::string record);

  // Makes all of it durable and a store, whose timeline is this one.
  ContentTotals finish(const Uuid& timeline);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace azoth
