// Stores whose journal is kept for snapshot sets: registrations, and a look at what is kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "azoth/canonical/retention.h"
#include "journal.h"
#include "journal_reader.h"
#include "store_support.h"
#include "write_path_support.h"

namespace azoth::test {

inline RetainedSet retained_set(const Uuid& timeline, CommitSeq commit, std::uint8_t id = 1,
                                std::uint64_t limit = RetainedSet::kDefaultLimitBytes) {
  Uuid set_id;
  set_id.bytes.fill(id);
  return {.set_id = set_id, .timeline = timeline, .commit = commit, .limit_bytes = limit, .place = "/backups/set"};
}

// A set that has everything through a commit; 0 keeps everything.
inline void keep_behind(Store& store, CommitSeq commit, std::uint8_t id = 1) {
  store.backup_source()->retention().set(retained_set(store.meta().timeline, commit, id));
}

inline JournalIdentity identity_of(Store& store) {
  const Meta meta = store.meta();
  return {meta.store_id, meta.timeline, meta.lineage};
}

// Those that have a header. The keeper may rename files meanwhile: then they are looked at again.
inline std::vector<JournalFiles::Segment> used_segments(const std::filesystem::path& store,
                                                        const JournalIdentity& identity) {
  while (true) {
    try {
      std::vector<JournalFiles::Segment> segments =
          list_journal(FileSystem::posix(), store / "journal", identity).segments;
      std::erase_if(segments, [](const JournalFiles::Segment& segment) { return !segment.header; });
      return segments;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound) throw;
    }
  }
}

struct PlacedInStore {
  std::filesystem::path file;
  std::uint64_t offset;
  BatchHeader header;
};

// Every batch that can be found, dead ones included, in the order of their segments.
inline std::vector<PlacedInStore> batches_in(const std::filesystem::path& store, const JournalIdentity& identity) {
  std::vector<PlacedInStore> batches;
  for (const JournalFiles::Segment& segment : used_segments(store, identity)) {
    SegmentReader reader(FileSystem::posix(), store / "journal", identity, segment.number);
    for (auto found = reader.search(kSegmentHeaderBytes); found;
         found = reader.search(found->offset + align_batch(found->header.length))) {
      batches.push_back({reader.path(), found->offset, found->header});
    }
  }
  return batches;
}

inline void flip_byte(const std::filesystem::path& file, std::uint64_t offset) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  const char byte = static_cast<char>(stream.get() ^ 1);
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(byte);
  ASSERT_TRUE(stream.flush());
}

// Commits until a segment has been begun since; each is durable. Answers the last commit.
inline CommitSeq fill_segments(Store& store, int segments = 1) {
  CommitSeq last = 0;
  const std::string value(9000, 'v');
  for (int i = 0; i < segments * 8; ++i) last = commit(store, set_of("filler", value), Durability::Durable).commit_seq;
  return last;
}

}  // namespace azoth::test
