#include "set_impl.h"

#include <algorithm>

#include "azoth/core/error.h"

namespace azoth::backup {

void remove_quietly(const SetFiles& files, const std::string& name) noexcept {
  try {
    files.remove(name);
  } catch (...) {  // It stays as remains, which repair() removes.
  }
}

void SnapshotSet::Impl::require_writable() const {
  if (!options.read_only) return;
  throw Error(ErrorCode::ReadOnly,
              "the snapshot set " + files.directory().native() + " was opened for reading only; open it for writing");
}

void SnapshotSet::Impl::require_key() const {
  if (identity.key_id.empty() || options.key != nullptr) return;
  throw Error(ErrorCode::InvalidArgument, "the snapshot set " + files.directory().native() +
                                              " is encrypted; give the key file with key " + identity.key_id);
}

BlockFileReader::Options SnapshotSet::Impl::reader_options(const ManifestFile& file) const {
  return {.key = options.key, .expected = FileSummary{.bytes = file.bytes, .records = file.records, .hash = file.hash}};
}

ReadManifest SnapshotSet::Impl::read_manifest(std::uint64_t ordinal) const {
  const std::filesystem::path path = files.path(SetFiles::manifest_name(ordinal));
  ReadManifest read = decode_manifest(read_file(files.fs(), path, kMaxManifestBytes), options.key, path.native());
  const Manifest& m = read.manifest;
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::Corruption, path.native() + " does not belong here: " + why);
  };
  if (m.set_id != identity.set_id) refuse("it is from the set " + m.set_id.text());
  if (m.store_id != identity.store_id) refuse("it is of the store " + m.store_id.text());
  if (m.ordinal != ordinal) refuse("it is the manifest of snapshot " + std::to_string(m.ordinal));
  if (m.key_id != identity.key_id) refuse("it is not encrypted as the set is");
  return read;
}

void SnapshotSet::Impl::check_file_present(const ManifestFile& file) const {
  const std::filesystem::path path = files.path(file.name);
  const std::uint64_t size = files.fs().open(path, FileSystem::Mode::Read)->size();
  if (size == file.bytes) return;
  throw Error(ErrorCode::Corruption, path.native() + " has " + std::to_string(size) + " bytes, its manifest says " +
                                         std::to_string(file.bytes));
}

SnapshotInfo SnapshotSet::Impl::inspect(std::uint64_t ordinal, const FoundSnapshot& found, bool being_written) const {
  SnapshotInfo info;
  info.ordinal = ordinal;
  info.files = found.files;
  if (!found.manifest) {
    info.why = being_written ? "it is being written" : "it was not published; repair the set to remove its files";
    return info;
  }
  try {
    ReadManifest read = read_manifest(ordinal);
    info.manifest = std::move(read.manifest);
    info.manifest_hash = std::move(read.hash);
    info.authenticated = read.authenticated;
    for (const ManifestFile& file : info.manifest->files) check_file_present(file);
    info.state = SnapshotState::Whole;
  } catch (const Error& error) {
    info.state = SnapshotState::Broken;
    info.why = error.what();
    info.may_be_whole = !error.corruption() && error.code() != ErrorCode::NotFound;
  }
  return info;
}

std::vector<SnapshotInfo> SnapshotSet::Impl::list(const std::set<std::uint64_t>& being_written) const {
  std::vector<SnapshotInfo> all;
  for (const auto& [ordinal, found] : files.scan().snapshots) {
    all.push_back(inspect(ordinal, found, being_written.contains(ordinal)));
  }
  return all;
}

void SnapshotSet::Impl::verify_files(const Manifest& manifest) const {
  for (const ManifestFile& file : manifest.files) {
    verify_block_file(files.fs(), files.path(file.name), identity_of(manifest, file), reader_options(file));
  }
}

std::string SnapshotSet::Impl::manifest_hash(std::uint64_t ordinal) const {
  try {
    return read_manifest(ordinal).hash;
  } catch (const Error&) {  // list() says why
    return {};
  }
}

void SnapshotSet::Impl::verify_base(const Manifest& m) const {
  if (m.type != SnapshotType::Diff) return;
  const std::string base_hash = manifest_hash(m.base_ordinal);
  if (base_hash.empty() || base_hash == m.base_hash) return;
  throw Error(ErrorCode::Corruption, "snapshot " + std::to_string(m.ordinal) + " was not made from snapshot " +
                                         std::to_string(m.base_ordinal) +
                                         " as it is now: that one's manifest is another; use older snapshots");
}

void SnapshotSet::Impl::verify(const SnapshotInfo& snapshot) const {
  if (snapshot.state != SnapshotState::Whole) {
    throw Error(ErrorCode::Corruption, "snapshot " + std::to_string(snapshot.ordinal) + " is broken: " + snapshot.why);
  }
  verify_base(*snapshot.manifest);
  verify_files(*snapshot.manifest);
}

void SnapshotSet::Impl::remove(std::uint64_t ordinal, const FoundSnapshot& found) const {
  if (found.manifest) {
    files.remove(SetFiles::manifest_name(ordinal));
    files.sync();  // or a power cut could leave the manifest without its files
  }
  for (const std::string& name : found.files) files.remove(name);
  files.sync();
}

void SnapshotSet::Impl::remove_unfinished(const Found& found, PurgeReport& report) const {
  for (const auto& [ordinal, snapshot] : found.snapshots) {
    if (snapshot.manifest || writing.contains(ordinal)) continue;
    remove(ordinal, snapshot);
    report.remains.push_back(ordinal);
  }
  for (const std::string& name : found.temporary) files.remove(name);
  if (!found.temporary.empty()) files.sync();
}

}  // namespace azoth::backup
