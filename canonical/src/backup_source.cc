#include "backup_source.h"

#include <algorithm>
#include <string>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "commit_log.h"
#include "read_txn_maker.h"
#include "sequencer.h"
#include "settings.h"

namespace azoth {

namespace {

class StoreBackupSource : public BackupSource {
 public:
  explicit StoreBackupSource(StoreImpl& store)
      : store_(store),
        site_(store.backup_site()),
        rows_(site_.identity.store_id),
        retention_(site_.paths.directory, site_.fs) {}

  Uuid store_id() const override { return site_.identity.store_id; }
  Timestamp created() const override { return site_.created; }
  Lineage lineage() const override { return site_.identity.lineage; }

  void check_pages() override { store_.environment()->lmdb.require_whole_pages(); }

  // Each snapshot has an LMDB transaction of its own, and a flush may come in between: then they are taken again.
  Content content(std::size_t readers) override {
    while (true) {
      const PinnedView pinned = store_.pin();
      Content content;
      for (std::size_t i = 0; i < readers; ++i) {
        AZOTH_FAULT("backup.snapshot");
        content.readers.push_back(
            ReadTxnMaker::make(std::make_unique<Snapshot>(pinned.commit, pinned.view, Snapshot::Reads::Verified)));
      }
      const CommitSeq commit = content.readers.front().commit_seq();
      const bool together = std::all_of(content.readers.begin(), content.readers.end(),
                                        [&](const ReadTxn& reader) { return reader.commit_seq() == commit; });
      if (!together) continue;
      content.totals = totals_of(ReadTxnMaker::snapshot_of(content.readers.front()), pinned.latest);
      return content;
    }
  }

  Content recent_content() override {
    const PinnedView pinned = store_.pin_recent();
    Content content;
    content.readers.push_back(
        ReadTxnMaker::make(std::make_unique<Snapshot>(pinned.commit, pinned.view, Snapshot::Reads::Verified)));
    content.totals = totals_of(ReadTxnMaker::snapshot_of(content.readers.front()), pinned.latest);
    return content;
  }

  void check_space() override {
    Status status;
    describe_lmdb(store_.environment()->lmdb, status);
    const std::uint64_t limit = status.map_soft_limit_bytes;
    const std::uint64_t in_deltas = 2 * (kMaxFrozen + 1) * site_.delta_bytes;  // writers are refused that much earlier
    if (status.map_used_bytes + std::min(in_deltas, limit / 4) < limit || status.oldest_reader_lag == 0) return;
    throw Error(
        ErrorCode::NoSpace,
        "the backup keeps old pages of LMDB, which has grown near the limit of its map; it was given up so that "
        "writing can go on. Open the store with a larger map, or back up while less is written");
  }

  std::uint32_t checksum(std::string_view key, std::string_view value) const override {
    return rows_.checksum(key, value);
  }
  std::uint32_t checksum(const EventView& event) const override { return rows_.event_checksum(event); }

  void for_each_own_row(const ReadTxn& reader, std::optional<EventId> sealed_at,
                        const EachOwnRow& each) const override {
    const auto hand_on = [&](Space space, std::string_view key, std::string_view value) {
      each(static_cast<std::uint8_t>(space), key, value);
    };
    const auto hand_on_seal = [&] {
      if (sealed_at) hand_on(Space::Meta, kSealKey, encode_seal(*sealed_at));
      sealed_at.reset();
    };
    const Snapshot& snapshot = ReadTxnMaker::snapshot_of(reader);
    std::uint64_t sum = 0;
    std::string system_key;
    azoth::for_each_own_row(snapshot, [&](Space space, std::string_view key, std::string_view value) {
      system_key.assign(1, static_cast<char>(space)).append(key);
      sum += rows_.checksum(system_key, value);
      const auto place = std::pair(space, key);
      const auto of_seal = std::pair(Space::Meta, kSealKey);
      const bool replaced = sealed_at && place == of_seal;
      if (place >= of_seal) hand_on_seal();
      if (!replaced) hand_on(space, key, value);
    });
    hand_on_seal();
    if (sum != row_totals_of(snapshot).sums.own) {
      throw Error(
          ErrorCode::Corruption,
          "the store's own rows are not those that were written last: their checksums do not add up; restore the "
          "store from an older backup");
    }
  }

  void for_each_commit(const ReadTxn& reader, CommitSeq after, EventId after_event, CommitSeq through,
                       const EachPiece& each) override {
    CommitLog(site_.fs, site_.paths.journal, site_.identity, ReadTxnMaker::snapshot_of(reader))
        .read(after, after_event, through, each);
  }

  CommitSeq flushed_commit() override {
    const std::shared_ptr<Environment> in = store_.environment();
    return in->rows.head(in->lmdb.begin_read()).last_commit;
  }
  Retention& retention() override { return retention_; }

 private:
  static ContentTotals totals_of(const Snapshot& snapshot, Timestamp latest_in_deltas) {
    const Head head = snapshot.head();
    ContentTotals totals;
    totals.last_commit = snapshot.commit_seq();
    totals.last_event = snapshot.last_event();
    if (totals.last_event != 0) totals.last_event_commit = snapshot.event(totals.last_event)->commit_seq();
    totals.latest = snapshot.deltas().empty() ? head.latest : std::max(head.latest, latest_in_deltas);
    const RowTotals rows = row_totals_of(snapshot);
    totals.state_rows = rows.state_keys;
    totals.state_sum = rows.sums.state;
    totals.events_sum = rows.sums.events;
    totals.sealed_event = azoth::sealed_event(snapshot);
    return totals;
  }

  StoreImpl& store_;
  const BackupSite site_;
  const Rows rows_;
  Retention retention_;
};

}  // namespace

std::unique_ptr<BackupSource> make_backup_source(StoreImpl& store) {
  return std::make_unique<StoreBackupSource>(store);
}

}  // namespace azoth
