#include <map>
#include <new>
#include <utility>

#include "azoth/core/error.h"
#include "parallel.h"
#include "set_impl.h"

namespace azoth::backup {

struct PendingSnapshot::State {
  std::shared_ptr<SnapshotSet::Impl> set;
  std::uint64_t ordinal = 0;
  SnapshotType type{};
  SnapshotSet::WriteOptions options;
  bool done = false;  // published or abandoned

  std::mutex mutex;                                                                 // the files
  std::map<std::pair<FileKind, std::uint32_t>, std::optional<ManifestFile>> files;  // nothing: not closed yet
  std::map<std::string, std::uint64_t> folds;                                       // of those that are closed

  void read_back(const Manifest& manifest) const;
  void read_back(const Manifest& manifest, const ManifestFile& file) const;
};

// Every block is where it was written, as it was written. The hash was computed from the bytes on their way out.
void PendingSnapshot::State::read_back(const Manifest& manifest) const {
  std::vector<std::function<void(std::size_t)>> tasks;
  for (const ManifestFile& file : manifest.files) {
    tasks.emplace_back([&](std::size_t) { read_back(manifest, file); });
  }
  run_parallel(options.threads, tasks);
}

void PendingSnapshot::State::read_back(const Manifest& manifest, const ManifestFile& file) const {
  BlockFileReader::Options reads = set->reader_options(file);
  reads.hashed = false;
  BlockFileReader reader(set->files.fs(), set->files.path(file.name), identity_of(manifest, file), std::move(reads));
  while (reader.next()) {
  }
  if (reader.fold() == folds.at(file.name)) return;
  throw Error(ErrorCode::Corruption,
              set->files.path(file.name).native() + " does not read back as it was written; the snapshot was given up");
}

namespace {

SnapshotInfo base_of(const Manifest& diff, const SnapshotSet::Impl& set) {
  const std::string name = "snapshot " + std::to_string(diff.base_ordinal);
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::InvalidArgument, "a diff cannot continue " + name + ": " + why + "; make a full snapshot");
  };
  const Found found = set.files.scan();
  const auto at = found.snapshots.find(diff.base_ordinal);
  if (at == found.snapshots.end()) refuse("there is none of this ordinal");
  SnapshotInfo info = set.inspect(diff.base_ordinal, at->second, set.writing.contains(diff.base_ordinal));
  if (info.state != SnapshotState::Whole) refuse("it is not whole: " + info.why);
  const Manifest& base = *info.manifest;
  const std::optional<CommitSeq> shared = shared_through(diff.lineage, base.timeline());
  if (!shared || base.last_commit > *shared) refuse("it is of another timeline, behind the fork");
  if (base.last_commit != diff.after_commit || base.last_event != diff.after_event) {
    refuse("it ends at commit " + std::to_string(base.last_commit) + " and event " + std::to_string(base.last_event) +
           ", the diff begins behind commit " + std::to_string(diff.after_commit) + " and event " +
           std::to_string(diff.after_event));
  }
  return info;
}

}  // namespace

PendingSnapshot SnapshotSet::begin(SnapshotType type, const WriteOptions& options) {
  impl_->require_writable();
  impl_->require_key();
  std::unique_lock hold(impl_->mutex);
  std::uint64_t ordinal = 0;
  try {
    ordinal = impl_->files.read_next();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Corruption && error.code() != ErrorCode::NotFound) throw;
    throw Error(ErrorCode::Corruption,
                std::string("the set does not know its next ordinal; repair it (") + error.what() + ")");
  }
  ordinal = std::max(ordinal, impl_->files.scan().newest_ordinal() + 1);
  if (ordinal > kMaxOrdinal - 1) {
    throw Error(ErrorCode::SequenceExhausted, "the set has no more ordinals; make another set");
  }
  impl_->files.write_next(ordinal + 1);  // durably, before any file has the ordinal
  auto state = std::make_unique<PendingSnapshot::State>();
  state->set = impl_;
  state->ordinal = ordinal;
  state->type = type;
  state->options = options;
  impl_->writing.insert(ordinal);
  return PendingSnapshot(std::move(state));
}

PendingSnapshot::PendingSnapshot(std::unique_ptr<State> state) : state_(std::move(state)) {}
PendingSnapshot::PendingSnapshot(PendingSnapshot&&) noexcept = default;
PendingSnapshot::~PendingSnapshot() { abandon(); }

std::uint64_t PendingSnapshot::ordinal() const { return state_->ordinal; }

std::unique_ptr<BlockFileWriter> PendingSnapshot::add_file(FileKind kind, std::uint32_t shard, std::uint32_t shards) {
  std::unique_lock hold(state_->mutex);
  if (state_->done) {
    throw Error(ErrorCode::InvalidArgument, "nothing can be added to a snapshot that was published or abandoned");
  }
  if (state_->files.size() >= kMaxManifestFiles) {
    throw Error(ErrorCode::InvalidArgument, "a snapshot has at most " + std::to_string(kMaxManifestFiles) + " files");
  }
  const FileIdentity identity{.set_id = state_->set->identity.set_id,
                              .ordinal = state_->ordinal,
                              .type = state_->type,
                              .kind = kind,
                              .shard = shard,
                              .shards = shards};
  const BlockOptions options{.block_bytes = state_->options.block_bytes,
                             .compression_level = state_->options.compression_level,
                             .key = state_->set->options.key};
  const SetFiles& files = state_->set->files;
  auto writer = std::make_unique<BlockFileWriter>(files.fs(), files.path(file_name(identity)), identity, options);
  state_->files.emplace(std::pair(kind, shard), std::nullopt);
  return writer;
}

void PendingSnapshot::close_file(std::unique_ptr<BlockFileWriter> writer) {
  const FileIdentity identity = writer->identity();
  const FileSummary summary = writer->finish();
  std::unique_lock hold(state_->mutex);
  state_->files[std::pair(identity.kind, identity.shard)] = ManifestFile{.name = file_name(identity),
                                                                         .kind = identity.kind,
                                                                         .shard = identity.shard,
                                                                         .shards = identity.shards,
                                                                         .bytes = summary.bytes,
                                                                         .records = summary.records,
                                                                         .hash = summary.hash};
  state_->folds[file_name(identity)] = summary.fold;
}

namespace {

// Of what is being caught.
[[noreturn]] void throw_with_unknown_outcome() {
  try {
    throw;
  } catch (const Error& error) {
    throw error.with_unknown_outcome();
  } catch (const std::bad_alloc&) {
    throw no_memory().with_unknown_outcome();
  }
}

// False also if that cannot be told.
bool is_missing(const SetFiles& files, const std::string& name) noexcept {
  try {
    return !files.fs().exists(files.path(name));
  } catch (const std::exception&) {
    return false;
  }
}

// What everybody sees of it from now on. It is there, whatever fails here, so that is no "nothing was added".
SnapshotInfo published(SnapshotSet::Impl& set, std::uint64_t ordinal) {
  try {
    set.verified.insert(ordinal);
    SnapshotInfo info = set.inspect(ordinal, set.files.scan().snapshots.at(ordinal), false);
    if (info.state == SnapshotState::Whole) return info;
    throw Error(ErrorCode::Io, "the snapshot was published, and cannot be read: " + info.why);
  } catch (const std::exception&) {
    throw_with_unknown_outcome();
  }
}

}  // namespace

SnapshotInfo PendingSnapshot::publish(const Manifest& facts) {
  SnapshotSet::Impl& set = *state_->set;
  Manifest manifest = facts;
  manifest.set_id = set.identity.set_id;
  manifest.ordinal = state_->ordinal;
  manifest.type = state_->type;
  manifest.base_hash.clear();
  manifest.azoth_version = AZOTH_VERSION;
  manifest.compression_level = state_->options.compression_level;
  manifest.key_id = set.identity.key_id;
  manifest.files.clear();
  {
    std::unique_lock hold(state_->mutex);
    if (state_->done) throw Error(ErrorCode::InvalidArgument, "a snapshot is published once, and not when abandoned");
    for (const auto& [place, file] : state_->files) {
      if (!file) throw Error(ErrorCode::InvalidArgument, "a file of the snapshot was not closed; close it and publish");
      manifest.files.push_back(*file);
    }
  }
  if (manifest.store_id != set.identity.store_id) {
    throw Error(ErrorCode::InvalidArgument, "the set is of store " + set.identity.store_id.text() + ", not of " +
                                                manifest.store_id.text() + "; use another set for this store");
  }
  std::unique_lock hold(set.mutex);
  if (manifest.type == SnapshotType::Diff) manifest.base_hash = base_of(manifest, set).manifest_hash;
  const std::string content = encode_manifest(manifest, set.options.key);
  hold.unlock();  // what follows may take long; nothing else touches these files
  state_->read_back(manifest);
  hold.lock();
  if (manifest.type == SnapshotType::Diff && base_of(manifest, set).manifest_hash != manifest.base_hash) {
    throw Error(ErrorCode::InvalidArgument, "snapshot " + std::to_string(manifest.base_ordinal) +
                                                ", which a diff was to continue, was replaced meanwhile");
  }
  set.files.sync();  // the entries of the files, before the one that counts on them
  const std::string name = SetFiles::manifest_name(state_->ordinal);
  try {
    write_file_atomically(set.files.fs(), set.files.path(name), content);
  } catch (const std::exception&) {
    if (is_missing(set.files, name)) throw;
    state_->done = true;
    set.writing.erase(state_->ordinal);
    throw_with_unknown_outcome();
  }
  state_->done = true;
  set.writing.erase(state_->ordinal);
  return published(set, state_->ordinal);
}

void PendingSnapshot::abandon() noexcept {
  if (!state_ || state_->done) return;
  state_->done = true;
  SnapshotSet::Impl& set = *state_->set;
  try {
    std::unique_lock hold(set.mutex);
    const Found found = set.files.scan();
    if (const auto at = found.snapshots.find(state_->ordinal); at != found.snapshots.end() && !at->second.manifest) {
      for (const std::string& name : at->second.files) remove_quietly(set.files, name);
    }
    set.writing.erase(state_->ordinal);
    set.files.sync();
  } catch (...) {  // What is left counts as unfinished.
  }
}

}  // namespace azoth::backup
