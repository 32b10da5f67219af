#include "azoth/canonical/store.h"

#include <utility>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "backup_source.h"
#include "journal.h"
#include "lmdb_tables.h"
#include "new_store.h"
#include "out_of_memory.h"
#include "reading_store.h"
#include "settings.h"
#include "store_files.h"
#include "verify.h"
#include "writing_store.h"

namespace azoth {

namespace {

// As a clean close leaves it.
void create_lmdb(const StorePaths& paths, const Options& options, const StoreRow& row, const JournalTail& tail) {
  LmdbEnv env(paths.canonical, lmdb_settings(options), LmdbEnv::Mode::Create);
  Rows rows(row.store_id);
  env.reserve_disk(LmdbEnv::kFewRows);
  LmdbWriteTxn txn(env);
  rows.put_store(txn, row);
  rows.put_head(txn, {.clean = tail});
  txn.commit(0);
}

}  // namespace

// --- Creating

void Store::create(const std::filesystem::path& directory, const Options& options, FileSystem& fs) {
  check_options(options);
  StoreRow row{.store_id = Uuid::random(), .created = clock_of(options).now(), .lineage = {{.id = Uuid::random()}}};
  NewStore store(directory, fs);
  const StorePaths& paths = store.paths();
  JournalTail tail = create_journal(fs, paths.journal, {row.store_id, row.timeline()}, options.segment_bytes);
  create_lmdb(paths, options, row, tail);
  store.finish(row.store_id);
}

bool Store::exists(const std::filesystem::path& directory, FileSystem& fs) {
  return fs.exists(StorePaths(directory).identity);
}

// --- For both kinds of store

std::string encode_seal(EventId last_event) {
  std::string value;
  codec::append(value, last_event);
  return value;
}

std::optional<EventId> sealed_event(const Snapshot& snapshot) {
  auto value = snapshot.get(Space::Meta, kSealKey);
  if (!value) return std::nullopt;
  return codec::Reader(*value).read<EventId>();
}

void check_store_id(const StoreRow& row, const Uuid& store_id, const StorePaths& paths) {
  if (row.store_id == store_id) return;
  throw Error(ErrorCode::Corruption, paths.canonical.string() + " belongs to store " + row.store_id.text() +
                                         ", and this is store " + store_id.text());
}

JournalIdentity journal_identity(const StoreRow& row, const Uuid& store_id, const StorePaths& paths) {
  check_store_id(row, store_id, paths);
  if (row.repair_keeps_through) {
    throw Error(ErrorCode::Corruption, "a repair of the store in " + paths.directory.string() +
                                           " was begun and has not ended; run it again with its loss accepted");
  }
  return {row.store_id, row.timeline(), row.lineage, row.first_segment};
}

void describe_lmdb(LmdbEnv& lmdb, Status& status) {
  LmdbEnv::Space space = lmdb.space();
  status.map_bytes = space.map_bytes;
  status.map_used_bytes = space.used();
  status.map_soft_limit_bytes = soft_limit(space.map_bytes);
  LmdbEnv::Readers all = lmdb.readers_of_all_processes();
  status.all_readers = all.snapshots;
  status.oldest_reader_lag = all.oldest_lag;
  status.readers = lmdb.live_readers();
  status.oldest_reader_age = lmdb.oldest_reader_age();
}

Meta make_meta(const Snapshot& snapshot, const JournalIdentity& identity, Timestamp created) {
  return {.store_id = identity.store_id,
          .format_version = kFormatVersion,
          .created = created,
          .timeline = identity.timeline,
          .lineage = identity.lineage,
          .last_commit = snapshot.commit_seq(),
          .last_event = snapshot.last_event(),
          .sealed_event = sealed_event(snapshot)};
}

// --- The public face

Store::Store(std::unique_ptr<StoreImpl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

std::unique_ptr<Store> Store::open(const std::filesystem::path& directory, const Options& options, FileSystem& fs) {
  return std::unique_ptr<Store>(new Store(std::make_unique<WritingStore>(directory, options, fs)));
}

std::unique_ptr<Store> Store::open_read_only(const std::filesystem::path& directory, const Options& options,
                                             FileSystem& fs) {
  return std::unique_ptr<Store>(new Store(std::make_unique<ReadingStore>(directory, options, fs)));
}

Outcome<Ticket> Store::submit(WriteSet set, std::span<const Condition> conditions, const SubmitOptions& options) {
  return or_out_of_memory(kNoMemoryForTransaction,
                          [&] { return impl_->writer().submit(std::move(set), conditions, options); });
}

ReadTxn Store::read(Durability level) const { return ReadTxn(impl_->read(level)); }

Subscription Store::subscribe(EventId after) const { return Subscription(impl_->subscribe(after)); }

std::unique_ptr<EventSource> Store::event_source() const { return impl_->event_source(); }

std::unique_ptr<BackupSource> Store::backup_source() { return make_backup_source(*impl_); }

EventId Store::seal(std::optional<std::chrono::nanoseconds> timeout) {
  WritingStore& writer = impl_->writer();
  return writer.seal(writer.deadline(timeout));
}

void Store::unseal(std::optional<std::chrono::nanoseconds> timeout) {
  WritingStore& writer = impl_->writer();
  writer.unseal(writer.deadline(timeout));
}

Pause Store::pause(std::string owner, std::optional<std::chrono::nanoseconds> timeout) {
  WritingStore& writer = impl_->writer();
  writer.pause(owner, writer.deadline(timeout));
  return Pause(writer.gate(), std::move(owner));
}

std::uint64_t Store::next_sequence(std::string_view name, std::uint64_t n, Durability level) {
  return or_out_of_memory(kNoMemoryForNumbers, [&] { return impl_->writer().next_sequence(name, n, level); });
}

std::uint64_t Store::peek_sequence(std::string_view name) const { return impl_->peek_sequence(name); }
std::vector<SequenceInfo> Store::sequences() const { return impl_->sequences(); }

void Store::flush(Durability level) { impl_->writer().flush(level); }
void Store::checkpoint() { impl_->writer().checkpoint(); }
Meta Store::meta() const { return impl_->meta(); }
Status Store::status() const { return impl_->status(); }
void Store::metrics(const MetricCallback& callback) const { impl_->metrics(callback); }

std::vector<Metric> Store::metrics() const {
  std::vector<Metric> metrics;
  impl_->metrics([&](const Metric& metric) { metrics.push_back(metric); });
  return metrics;
}

VerifyReport Store::verify(const Progress& progress) {
  VerifyReport report = impl_->verify(progress);
  if (!report.pages_whole) return report;
  const BackupSite site = impl_->backup_site();
  verify_registrations(
      site.fs, site.paths.directory, site.identity.timeline, [&] { return impl_->meta().last_commit; }, report);
  const auto take = [&] {
    const PinnedView pinned = impl_->pin_recent();
    return std::make_unique<Snapshot>(pinned.commit, pinned.view, Snapshot::Reads::Verified);
  };
  verify_kept_journal(site.fs, site.paths, site.identity, take, report);
  return report;
}
std::string Store::digest(const Progress& progress) { return impl_->digest(progress); }
void Store::close() { impl_->close(); }

}  // namespace azoth
