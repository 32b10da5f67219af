#include "azoth/backup/snapshot_set.h"

#include <algorithm>

#include "azoth/core/error.h"
#include "chain.h"
#include "purge_plan.h"
#include "set_impl.h"

namespace azoth::backup {
namespace {

using Path = std::filesystem::path;

// Far above any ordinal that may have been given out and left no trace, when the file that says so is lost.
constexpr std::uint64_t kOrdinalJump = 1000;

bool is_lockable(const SnapshotSet::Options& options) { return options.file_system == &FileSystem::posix(); }

void take_lock(SnapshotSet::Impl& set) {
  if (!is_lockable(set.options)) return;
  const Path path = set.files.lock();
  const auto mode = set.options.read_only ? LockFile::Mode::Shared : LockFile::Mode::Exclusive;
  try {
    set.lock = LockFile::try_lock(path, mode);
  } catch (const Error& error) {
    // A copy without the lock file, perhaps where nothing can be written, is read all the same.
    if (set.options.read_only && error.code() == ErrorCode::NotFound) return;
    throw;
  }
  if (set.lock) return;
  const std::optional<std::string> pid = LockFile::is_held(path) ? LockFile::last_holder(path) : std::nullopt;
  throw Error(ErrorCode::Locked, "the snapshot set " + set.files.directory().native() + " is in use by " +
                                     (pid ? "process " + *pid : std::string("a process that reads it")) +
                                     "; wait until it is done");
}

void require_empty(const SetFiles& files) {
  for (const std::string& name : files.fs().list(files.directory())) {
    if (name == "SET") {
      throw Error(ErrorCode::AlreadyExists, files.directory().native() + " is a snapshot set already; open it");
    }
  }
  const Found found = files.scan();
  if (found.foreign.empty() && found.snapshots.empty()) return;
  throw Error(ErrorCode::AlreadyExists,
              files.directory().native() + " is not empty; name a new directory for the snapshot set");
}

}  // namespace

SnapshotSet::SnapshotSet(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
SnapshotSet::SnapshotSet(SnapshotSet&&) noexcept = default;
SnapshotSet& SnapshotSet::operator=(SnapshotSet&&) noexcept = default;
SnapshotSet::~SnapshotSet() = default;

SnapshotSet SnapshotSet::create(const Path& directory, const Uuid& store_id, const Options& options) {
  auto set = std::make_shared<Impl>(SetFiles(*options.file_system, directory), options);
  set->options.read_only = false;
  FileSystem& fs = *options.file_system;
  fs.make_directory(directory);
  fs.sync_directory(directory.has_parent_path() ? directory.parent_path() : Path("."));
  require_empty(set->files);  // before there is a lock file in somebody else's directory
  take_lock(*set);
  require_empty(set->files);  // now it counts
  set->identity = {.set_id = Uuid::random(),
                   .store_id = store_id,
                   .created = options.clock->now(),
                   .key_id = options.key == nullptr ? std::string() : options.key->id()};
  set->files.write_next(1);
  set->files.write_identity(set->identity, options.key);
  return SnapshotSet(std::move(set));
}

SnapshotSet SnapshotSet::open(const Path& directory, const Options& options) {
  auto set = std::make_shared<Impl>(SetFiles(*options.file_system, directory), options);
  if (!options.file_system->exists(directory)) {
    throw Error(ErrorCode::NotFound, "there is no snapshot set " + directory.native());
  }
  set->files.read_identity(nullptr);  // so that no lock file is put into a directory that is no set
  take_lock(*set);
  set->identity = set->files.read_identity(options.key);
  const std::string& key_id = set->identity.key_id;
  if (options.key != nullptr && options.key->id() != key_id) {
    throw Error(ErrorCode::InvalidArgument,
                key_id.empty()
                    ? "the snapshot set " + directory.native() + " is not encrypted; open it without a key"
                    : "the snapshot set " + directory.native() + " is encrypted with key " + key_id +
                          ", but the key file has key " + options.key->id() + "; give the key file that belongs to it");
  }
  return SnapshotSet(std::move(set));
}

const Uuid& SnapshotSet::id() const { return impl_->identity.set_id; }
const Uuid& SnapshotSet::store_id() const { return impl_->identity.store_id; }
const std::string& SnapshotSet::key_id() const { return impl_->identity.key_id; }

void SnapshotSet::require_store(const Uuid& store) const {
  if (store == store_id()) return;
  throw Error(ErrorCode::InvalidArgument, "the snapshot set " + impl_->files.directory().native() + " is of store " +
                                              store_id().text() + ", not of " + store.text() +
                                              "; use another set for this store");
}

void SnapshotSet::require_key() const { impl_->require_key(); }

std::vector<SnapshotInfo> SnapshotSet::list() const {
  std::unique_lock hold(impl_->mutex);
  return impl_->list(impl_->writing);
}

void SnapshotSet::verify(std::uint64_t ordinal) const {
  impl_->require_key();
  const std::vector<SnapshotInfo> all = list();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& info) { return info.ordinal == ordinal; });
  if (found == all.end() || found->state == SnapshotState::Unfinished) {
    throw Error(ErrorCode::NotFound,
                "there is no published snapshot " + std::to_string(ordinal) + "; list the set to see which there are");
  }
  impl_->verify(*found);
}

void SnapshotSet::verify_base(const Manifest& diff) const { impl_->verify_base(diff); }

Chain SnapshotSet::chain(const RestoreTarget& target) const { return chain(target, list()); }

Chain SnapshotSet::chain(const RestoreTarget& target, const std::vector<SnapshotInfo>& all) const {
  impl_->require_key();
  return plan_chain(all, target);
}

std::unique_ptr<BlockFileReader> SnapshotSet::read(const Manifest& manifest, const ManifestFile& file,
                                                   Reads reads) const {
  impl_->require_key();
  if (!plain_file_name(file.name)) {
    throw Error(ErrorCode::InvalidArgument, "a snapshot has no file of such a name; take it from its manifest");
  }
  BlockFileReader::Options options = impl_->reader_options(file);
  options.hashed = reads == Reads::Hashed;
  return std::make_unique<BlockFileReader>(impl_->files.fs(), impl_->files.path(file.name), identity_of(manifest, file),
                                           std::move(options));
}

PurgeReport SnapshotSet::purge(std::size_t keep_fulls) {
  impl_->require_writable();
  impl_->require_key();
  if (keep_fulls == 0) {
    throw Error(ErrorCode::InvalidArgument, "a purge keeps at least one full snapshot; remove the directory instead");
  }
  std::unique_lock hold(impl_->mutex);
  PurgeReport report;
  const std::vector<SnapshotInfo> all = impl_->list(impl_->writing);
  const Found found = impl_->files.scan();
  const PurgePlan plan = plan_purge(all, keep_fulls);
  report.note = plan.note;
  for (const SnapshotInfo* full : plan.verify) {
    if (impl_->verified.contains(full->ordinal)) continue;
    impl_->verify(*full);
    impl_->verified.insert(full->ordinal);
  }
  // From the newest of them down: after each step what is left is a chain from its full on, not diffs without one.
  for (const std::uint64_t ordinal : plan.remove) {
    impl_->remove(ordinal, found.snapshots.at(ordinal));
    report.removed.push_back(ordinal);
  }
  impl_->remove_unfinished(found, report);
  return report;
}

PurgeReport SnapshotSet::repair(bool remove_broken) {
  impl_->require_writable();
  impl_->require_key();
  std::unique_lock hold(impl_->mutex);
  PurgeReport report;
  const SetFiles& files = impl_->files;
  if (files.identity_needs_repair(impl_->identity, impl_->options.key)) {
    files.write_identity(impl_->identity, impl_->options.key);
    report.note = "the set's identity was put right from its copy";
  }
  const Found found = files.scan();
  try {
    files.read_next();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Corruption && error.code() != ErrorCode::NotFound) throw;
    files.write_next(std::min(found.newest_ordinal() + kOrdinalJump, kMaxOrdinal));
  }
  if (remove_broken) {
    const std::vector<SnapshotInfo> all = impl_->list(impl_->writing);
    for (auto at = all.rbegin(); at != all.rend(); ++at) {
      if (at->state != SnapshotState::Broken || at->may_be_whole) continue;
      impl_->remove(at->ordinal, found.snapshots.at(at->ordinal));
      report.removed.push_back(at->ordinal);
    }
  }
  impl_->remove_unfinished(found, report);
  return report;
}

}  // namespace azoth::backup
