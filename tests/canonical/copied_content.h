// What a backup source gives, held in memory, and stores that are made of it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "azoth/canonical/commit_record.h"
#include "azoth/canonical/store_builder.h"
#include "record.h"
#include "store_support.h"

namespace azoth::test {

struct CopiedEvent {
  EventId id;
  CommitSeq commit;
  Timestamp time;
  std::string body;

  EventView view() const { return {id, commit, time, body}; }
};

struct CopiedRow {
  std::uint8_t space;
  std::string key;
  std::string value;

  friend bool operator==(const CopiedRow&, const CopiedRow&) = default;
};

struct CopiedContent {
  StoreBuilder::Facts facts;
  ContentTotals totals;
  Entries state;
  std::vector<CopiedEvent> events;
  std::vector<CopiedRow> own;
  std::vector<std::string> records;  // of the commits behind it
};

inline std::vector<CopiedRow> copy_own_rows(const BackupSource& source, const ReadTxn& reader,
                                            std::optional<EventId> sealed_at = {}) {
  std::vector<CopiedRow> rows;
  source.for_each_own_row(reader, sealed_at, [&](std::uint8_t space, std::string_view key, std::string_view value) {
    rows.push_back({space, std::string(key), std::string(value)});
  });
  return rows;
}

inline CopiedContent copy_content(BackupSource& source) {
  BackupSource::Content content = source.content(1);
  const ReadTxn& reader = content.readers.front();
  CopiedContent copy;
  copy.facts = {.store_id = source.store_id(), .created = source.created(), .lineage = source.lineage()};
  copy.totals = content.totals;
  copy.state = collect(reader.scan());
  for (const EventView& event : reader.events()) {
    copy.events.push_back({event.id(), event.commit_seq(), event.commit_time(), std::string(event.body())});
  }
  copy.own = copy_own_rows(source, reader);
  return copy;
}

// The records of the commits (after, through], each whole.
inline std::vector<std::string> copy_commits(BackupSource& source, const ReadTxn& reader, CommitSeq after,
                                             EventId after_event, CommitSeq through) {
  std::vector<std::string> records;
  bool whole = true;
  source.for_each_commit(reader, after, after_event, through, [&](std::string_view bytes, bool last) {
    if (whole) {
      records.emplace_back();
      EXPECT_GE(bytes.size(), CommitFacts::kBytes) << "the first piece has the facts";
    }
    records.back().append(bytes);
    whole = last;
  });
  EXPECT_TRUE(whole) << "the last record has no end";
  return records;
}

// Everything that came since the content, or since the last call. Answers what the totals are then.
inline ContentTotals copy_commits_since(BackupSource& source, CopiedContent& copy) {
  CommitSeq after = copy.totals.last_commit;
  EventId after_event = copy.totals.last_event;
  for (const std::string& record : copy.records) {
    const CommitFacts facts = commit_facts(record);
    after = facts.commit;
    after_event += facts.events;
  }
  BackupSource::Content content = source.content(1);
  const CommitSeq through = content.totals.last_commit;
  for (std::string& record : copy_commits(source, content.readers.front(), after, after_event, through)) {
    copy.records.push_back(std::move(record));
  }
  return content.totals;
}

inline void feed(StoreBuilder& builder, const CopiedContent& copy) {
  for (const auto& [key, value] : copy.state) builder.put(key, value);
  for (const CopiedEvent& event : copy.events) builder.append(event.view());
  for (const CopiedRow& row : copy.own) builder.put_own(row.space, row.key, row.value);
  builder.end_content(copy.totals.last_commit, copy.totals.latest);
  for (const std::string& record : copy.records) builder.apply(record);
}

inline ContentTotals build(const CopiedContent& copy, const std::filesystem::path& directory, const Options& options,
                           const Uuid& timeline = Uuid::random()) {
  StoreBuilder builder(directory, copy.facts, options);
  feed(builder, copy);
  return builder.finish(timeline);
}

}  // namespace azoth::test
