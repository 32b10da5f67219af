// What SnapshotSet and its PendingSnapshots share.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "azoth/backup/snapshot_set.h"
#include "azoth/core/lock_file.h"
#include "block_file.h"
#include "manifest.h"
#include "set_files.h"

namespace azoth::backup {

struct SnapshotSet::Impl {
  Impl(SetFiles set_files, const Options& set_options) : files(std::move(set_files)), options(set_options) {}

  SetFiles files;
  Options options;
  SetIdentity identity;
  std::optional<LockFile> lock;

  // Guards the next ordinal, what is being written, and that only one of begin, publish, purge and repair changes the
  // directory.
  std::mutex mutex;
  std::set<std::uint64_t> writing;
  std::set<std::uint64_t> verified;  // published, hence read back, by this object

  void require_writable() const;
  void require_key() const;  // of an encrypted set
  BlockFileReader::Options reader_options(const ManifestFile& file) const;

  SnapshotInfo inspect(std::uint64_t ordinal, const FoundSnapshot& found, bool being_written) const;
  std::vector<SnapshotInfo> list(const std::set<std::uint64_t>& being_written) const;
  void verify_files(const Manifest& manifest) const;
  std::string manifest_hash(std::uint64_t ordinal) const;  // empty if it cannot be read
  void verify_base(const Manifest& diff) const;
  void verify(const SnapshotInfo& snapshot) const;

  // Removes a snapshot, manifest first: never is there a manifest whose files are going.
  void remove(std::uint64_t ordinal, const FoundSnapshot& found) const;
  void remove_unfinished(const Found& found, PurgeReport& report) const;

 private:
  ReadManifest read_manifest(std::uint64_t ordinal) const;
  void check_file_present(const ManifestFile& file) const;
};

// Removes what can be removed and says nothing: an error is already on its way, or nobody waits for one.
void remove_quietly(const SetFiles& files, const std::string& name) noexcept;

}  // namespace azoth::backup
