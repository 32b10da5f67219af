#include "azoth/canonical/store.h"

#include <new>
#include <system_error>
#include <utility>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "journal.h"
#include "lmdb_tables.h"
#include "reading_store.h"
#include "settings.h"
#include "store_files.h"
#include "writing_store.h"

namespace azoth {

namespace {

void make_directories(const std::filesystem::path& directory) {
  FileSystem& fs = FileSystem::posix();
  std::filesystem::path parent = std::filesystem::absolute(directory).parent_path();
  std::error_code error;
  if (!std::filesystem::exists(parent, error)) make_directories(parent);
  fs.make_directory(directory);
  fs.sync_directory(parent);
}

// Whether this is what a creation leaves that is interrupted before it has marked the directory as its own.
bool is_leftover(const StorePaths& paths, const std::string& name) {
  return name == paths.lock.filename() || (name.starts_with("creating.") && name.ends_with(".tmp"));
}

// What an interrupted creation left in our own folders.
void clear_leftovers(FileSystem& fs, const StorePaths& paths) {
  if (fs.exists(paths.journal)) {
    for (const std::string& name : fs.list(paths.journal)) fs.remove(paths.journal / name);
  }
  std::filesystem::remove(paths.canonical / "data.mdb");
  std::filesystem::remove(paths.canonical / "lock.mdb");
}

// As a clean close leaves it.
void create_lmdb(const StorePaths& paths, const Options& options, const StoreRow& row, const JournalTail& tail) {
  FileSystem::posix().make_directory(paths.canonical);
  {
    LmdbEnv env(paths.canonical, lmdb_settings(options), LmdbEnv::Mode::Create);
    Rows rows(row.store_id);
    LmdbWriteTxn txn(env);
    rows.put_store(txn, row);
    rows.put_head(txn, {.last_commit = 0, .last_event = 0, .state_keys = 0, .tag_entries = 0, .clean = tail});
    txn.commit(0);
  }
  FileSystem::posix().sync_directory(paths.canonical);
}

}  // namespace

// --- Creating

// The identity file is written last: until it is there, this is no store, and what is there may be thrown away.
void Store::create(const std::filesystem::path& directory, const Options& options, FileSystem& fs) {
  check_options(options);
  StorePaths paths(directory);
  if (fs.exists(paths.identity)) {
    throw Error(ErrorCode::AlreadyExists, "there is a store in " + directory.string() + " already");
  }
  make_directories(paths.directory);
  if (&fs != &FileSystem::posix()) fs.make_directory(paths.directory);
  if (!fs.exists(paths.creating)) {
    for (const std::string& name : fs.list(paths.directory)) {
      if (is_leftover(paths, name)) continue;
      throw Error(ErrorCode::AlreadyExists, directory.string() + " is not empty (there is " + name +
                                                "); choose a new or an empty directory");
    }
  }
  DirectoryClaim claim(paths, DirectoryClaim::Mode::Write);
  if (fs.exists(paths.identity)) {  // made by somebody else since we looked, and not ours to throw away
    throw Error(ErrorCode::AlreadyExists, "there is a store in " + directory.string() + " already");
  }
  for (const std::string& name : fs.list(paths.directory)) {
    if (name.ends_with(".tmp")) fs.remove(paths.directory / name);
  }
  write_file_atomically(fs, paths.creating, "a store is being created here\n");
  clear_leftovers(fs, paths);
  StoreRow row{.store_id = Uuid::random(), .created = clock_of(options).now(), .lineage = {{.id = Uuid::random()}}};
  JournalTail tail = create_journal(fs, paths.journal, {row.store_id, row.timeline()}, options.segment_bytes);
  create_lmdb(paths, options, row, tail);
  fs.sync_directory(paths.directory);
  FileSystem::posix().sync_directory(paths.directory);
  write_identity(fs, paths, {.store_id = row.store_id});
  fs.remove(paths.creating);
  fs.sync_directory(paths.directory);
}

bool Store::exists(const std::filesystem::path& directory, FileSystem& fs) {
  return fs.exists(StorePaths(directory).identity);
}

// --- For both kinds of store

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
  try {
    return impl_->writer().submit(std::move(set), conditions, options);
  } catch (const std::bad_alloc&) {  // what fails behind the assignment of numbers is StoreFailed
    throw Error(ErrorCode::OutOfMemory, "there is no memory for the transaction; nothing was changed");
  }
}

ReadTxn Store::read(Durability level) const { return ReadTxn(impl_->read(level)); }

Subscription Store::subscribe(EventId after) const { return Subscription(impl_->subscribe(after)); }

std::unique_ptr<EventSource> Store::event_source() const { return impl_->event_source(); }

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
  try {
    return impl_->writer().next_sequence(name, n, level);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::OutOfMemory, "there is no memory to reserve numbers; none was used up");
  }
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

VerifyReport Store::verify(const Progress& progress) { return impl_->verify(progress); }
std::string Store::digest(const Progress& progress) { return impl_->digest(progress); }
void Store::close() { impl_->close(); }

}  // namespace azoth
