// Writing a full snapshot: everything that a store holds at one commit.
//
// First the state is walked once, for its digest and for the keys at which it is cut into shards: every so many rows,
// so that the same content makes the same shards, however LMDB has laid it out. Events are cut by their ids. Then the
// shards are written, by several threads if there are; each has a snapshot of the store of its own, all of one commit.
// Both times what was read is compared with the sums that the store keeps: of a store that has lost a write, a full
// that nobody could restore would take the place of those that can be.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "azoth/backup/backup.h"
#include "azoth/canonical/backup_source.h"
#include "parallel.h"

namespace azoth::backup {

class FullSnapshot {
 public:
  // `sealed_at`: the snapshot is to say that the history ends there.
  FullSnapshot(BackupSource& source, BackupSource::Content& content, PendingSnapshot& pending,
               const BackupOptions& options, std::optional<EventId> sealed_at)
      : source_(source), content_(content), pending_(pending), options_(options), sealed_at_(sealed_at) {}

  // Writes state, events and system; answers what the manifest says of them. The digests are of the content itself.
  Manifest write();

 private:
  using Tasks = std::vector<std::function<void(std::size_t)>>;

  void write_files();
  void cut_state(const ReadTxn& reader);
  void digest_state(const ReadTxn& reader);
  void digest_events(const ReadTxn& reader);
  void write_state(const ReadTxn& reader, std::uint32_t shard);
  void write_events(const ReadTxn& reader, std::uint32_t shard);
  void write_system(const ReadTxn& reader);
  std::uint32_t shards_of(std::uint64_t rows) const;
  void check_state_sum(std::uint64_t sum) const;
  void check_events_sum(std::uint64_t sum) const;

  BackupSource& source_;
  BackupSource::Content& content_;
  PendingSnapshot& pending_;
  const BackupOptions& options_;
  const std::optional<EventId> sealed_at_;
  std::string state_digest_;
  std::string events_digest_;
  std::atomic<std::uint64_t> state_sum_ = 0;  // of the checksums of what was written
  std::atomic<std::uint64_t> events_sum_ = 0;
  std::vector<std::string> cuts_;  // the first keys of the shards behind the first one
  std::promise<void> state_is_cut_;
  const std::shared_future<void> cut_ = state_is_cut_.get_future().share();
  StepMeter* meter_ = nullptr;  // of the pass that is under way
};

}  // namespace azoth::backup
