// What the tests of the backup layer share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "azoth/backup/snapshot_set.h"
#include "azoth/core/error.h"
#include "block_file.h"
#include "manifest.h"

namespace azoth::backup::test {

template <typename Call>
std::optional<Error> error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// That `call` throws this code with a message that has this part.
template <typename Call>
void expect_error(Call call, ErrorCode code, const std::string& part, const std::string& trace = "") {
  const std::optional<Error> error = error_of(call);
  ASSERT_TRUE(error) << "nothing was thrown; " << trace;
  EXPECT_EQ(error_name(error->code()), error_name(code)) << error->what() << "; " << trace;
  EXPECT_THAT(std::string(error->what()), testing::HasSubstr(part)) << trace;
}

inline Uuid uuid_of(std::uint8_t byte) {
  Uuid uuid;
  uuid.bytes.fill(byte);
  return uuid;
}

inline const Uuid kStore = uuid_of(0x57);
inline const Uuid kTimeline = uuid_of(0x71);

inline Timestamp time_of(std::int64_t seconds) { return Timestamp(std::chrono::seconds(1'700'000'000 + seconds)); }

inline void put_file(FileSystem& fs, const std::filesystem::path& path, std::string_view content) {
  const auto file = fs.open(path, FileSystem::Mode::Create);
  file->write_at(0, content);
  file->sync_data();
}

inline void replace_file(FileSystem& fs, const std::filesystem::path& path, std::string_view content) {
  if (fs.exists(path)) fs.remove(path);
  put_file(fs, path, content);
}

inline std::string get_file(FileSystem& fs, const std::filesystem::path& path) {
  return read_file(fs, path, std::size_t{1} << 30);
}

inline std::vector<std::string> write_records(BlockFileWriter& writer, std::vector<std::string> records) {
  for (const std::string& record : records) writer.add(record);
  return records;
}

inline std::vector<std::string> read_records(BlockFileReader& reader) {
  std::vector<std::string> records;
  while (const auto record = reader.next()) records.emplace_back(*record);
  return records;
}

// A history of commits with an event each; the commit's number is the event's.
inline Manifest facts(CommitSeq after, CommitSeq last, std::uint64_t base = 0, Lineage lineage = {{kTimeline}}) {
  Manifest m;
  m.store_id = kStore;
  m.lineage = std::move(lineage);
  m.base_ordinal = base;
  m.after_commit = m.after_event = base == 0 ? 0 : after;
  m.last_commit = m.last_event = m.last_event_commit = last;
  m.commits = base == 0 ? 0 : last - after;
  m.earliest = time_of(static_cast<std::int64_t>(after) + 1);
  m.latest = time_of(static_cast<std::int64_t>(last));
  m.taken = time_of(static_cast<std::int64_t>(last) + 1);
  return m;
}

inline std::vector<std::string> content_of(std::uint64_t first, std::uint64_t last) {
  std::vector<std::string> records;
  for (std::uint64_t i = first; i <= last; ++i) records.push_back("commit " + std::to_string(i));
  return records;
}

inline const SnapshotSet::WriteOptions kSmall{.compression_level = 1, .block_bytes = 64};

inline SnapshotInfo take_full(SnapshotSet& set, CommitSeq last, Lineage lineage = {{kTimeline}}) {
  PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
  for (std::uint32_t shard = 0; shard < 2; ++shard) {
    auto writer = pending.add_file(FileKind::State, shard, 2);
    write_records(*writer, shard == 0 ? content_of(1, last / 2) : content_of(last / 2 + 1, last));
    pending.close_file(std::move(writer));
  }
  return pending.publish(facts(0, last, 0, std::move(lineage)));
}

inline SnapshotInfo take_diff(SnapshotSet& set, std::uint64_t base, CommitSeq after, CommitSeq last,
                              Lineage lineage = {{kTimeline}}) {
  PendingSnapshot pending = set.begin(SnapshotType::Diff, kSmall);
  auto writer = pending.add_file(FileKind::Commits, 0, 1);
  write_records(*writer, content_of(after + 1, last));
  pending.close_file(std::move(writer));
  return pending.publish(facts(after, last, base, std::move(lineage)));
}

// What the files of a chain say, in their order.
inline std::vector<std::string> read_chain(const SnapshotSet& set, const Chain& chain) {
  std::vector<std::string> all;
  for (const Manifest& manifest : chain.snapshots) {
    for (const ManifestFile& file : manifest.files) {
      for (std::string& record : read_records(*set.read(manifest, file))) all.push_back(std::move(record));
    }
  }
  return all;
}

inline std::vector<std::uint64_t> ordinals(const Chain& chain) {
  std::vector<std::uint64_t> numbers;
  for (const Manifest& manifest : chain.snapshots) numbers.push_back(manifest.ordinal);
  return numbers;
}

inline std::vector<std::uint64_t> ordinals(const SnapshotSet& set, SnapshotState state = SnapshotState::Whole) {
  std::vector<std::uint64_t> numbers;
  for (const SnapshotInfo& info : set.list()) {
    if (info.state == state) numbers.push_back(info.ordinal);
  }
  return numbers;
}

}  // namespace azoth::backup::test
