// What is behind a Store: one that writes (writing_store.h), or one that reads beside a writer in another process
// (reading_store.h).
#pragma once

#include <memory>
#include <string>

#include "azoth/canonical/store.h"
#include "snapshot.h"
#include "subscription.h"

namespace azoth {

class WritingStore;

std::string encode_seal(EventId last_event);
std::optional<EventId> sealed_event(const Snapshot& snapshot);

// What the journal of this store is bound to. Throws Corruption if LMDB is of another store, or if a repair of it was
// begun and has not ended.
JournalIdentity journal_identity(const StoreRow& row, const Uuid& store_id, const StorePaths& paths);
void check_store_id(const StoreRow& row, const Uuid& store_id, const StorePaths& paths);

// What a status says of LMDB and its readers.
void describe_lmdb(LmdbEnv& lmdb, Status& status);

Meta make_meta(const Snapshot& snapshot, const JournalIdentity& identity, Timestamp created);

// What a BackupSource stands on.
struct BackupSite {
  FileSystem& fs;
  StorePaths paths;
  JournalIdentity identity;
  Timestamp created;
  std::size_t delta_bytes;
};

// A View, and up to which commit of it to read; nothing comes into it up to there.
struct PinnedView {
  CommitSeq commit = 0;  // 0: what LMDB has
  std::shared_ptr<const View> view;
  Timestamp latest = Timestamp::min();  // of the commits in its Deltas
};

class StoreImpl {
 public:
  virtual ~StoreImpl() = default;

  virtual WritingStore& writer() = 0;  // throws ReadOnly if this is none

  virtual std::unique_ptr<Snapshot> read(Durability level) = 0;
  virtual std::unique_ptr<SubscriptionState> subscribe(EventId after) = 0;
  virtual std::unique_ptr<EventSource> event_source() = 0;
  virtual std::shared_ptr<Environment> environment() = 0;  // throws Closed
  virtual BackupSite backup_site() = 0;
  // Of everything that was acknowledged as Durable before, and nothing that is not durable.
  virtual PinnedView pin() = 0;
  virtual PinnedView pin_recent() = 0;  // the same, without moving anything to LMDB; `latest` does not count
  virtual Meta meta() = 0;
  virtual Status status() = 0;
  virtual void metrics(const MetricCallback& callback) = 0;
  virtual VerifyReport verify(const Progress& progress) = 0;
  virtual std::string digest(const Progress& progress) = 0;
  virtual std::uint64_t peek_sequence(std::string_view name) = 0;
  virtual std::vector<SequenceInfo> sequences() = 0;
  virtual void close() = 0;
};

}  // namespace azoth
