// A snapshot set: a directory with the full and differential snapshots of one store (docs/backup.md).
//
// Snapshots have increasing ordinals, which are never given out twice. A snapshot exists from the moment its manifest
// is renamed into place; before that its files are remains that nobody reads. So a crash at any moment leaves the
// snapshots that were published, whole, and perhaps remains, which repair() and purge() remove. One broken snapshot
// never makes the set unusable: list() says what each one is.
//
// One object at a time, of all processes, has a set open for writing; those that only read share it. The calls of one
// set may come from several threads. PendingSnapshots keep the set open.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "azoth/backup/key_file.h"
#include "azoth/backup/manifest.h"
#include "azoth/core/file.h"

namespace azoth::backup {

class BlockFileReader;
class BlockFileWriter;

enum class SnapshotState {
  Whole,       // its manifest is right, and its files are there with their sizes; verify() reads them too
  Broken,      // published, but the manifest or a file is missing or damaged
  Unfinished,  // being written now, or what a crash left of that
};

struct SnapshotInfo {
  std::uint64_t ordinal = 0;
  SnapshotState state = SnapshotState::Unfinished;
  std::string why;                   // of a broken or unfinished one
  std::optional<Manifest> manifest;  // if it can be read
  bool may_be_whole = false;         // nothing of it is damaged, but its manifest or a file cannot be read here and now
  std::string manifest_hash;
  bool authenticated = false;      // by the set's key
  std::vector<std::string> files;  // the snapshot's files that are there, without the manifest
};

// Up to where to restore.
struct RestoreTarget {
  enum class Kind { Newest, Event, Commit, Time };

  static RestoreTarget newest() { return {}; }
  // The last commit that does not come after the event's: later commits without events are left out.
  static RestoreTarget event(EventId id) { return {.kind = Kind::Event, .number = id}; }
  static RestoreTarget commit(CommitSeq commit) { return {.kind = Kind::Commit, .number = commit}; }
  // The last commit before the first one that is later than this.
  static RestoreTarget at(Timestamp time) { return {.kind = Kind::Time, .time = time}; }

  Kind kind = Kind::Newest;
  std::uint64_t number = 0;
  Timestamp time{};
  std::optional<Uuid> timeline = {};  // the one that the newest snapshot is on when not given
};

// What to restore: a full, and diffs that continue each other. The target lies in the last one or at its end.
struct Chain {
  std::vector<Manifest> snapshots;
  std::string note = {};  // what makes it doubtful that this is what was meant; mostly nothing
};

struct PurgeReport {
  std::vector<std::uint64_t> removed;  // snapshots, descending
  std::vector<std::uint64_t> remains;  // unfinished ones whose files were removed
  std::string note = {};  // why less was removed than was asked for, or what else was done; mostly nothing
};

class PendingSnapshot;

class SnapshotSet {
 public:
  struct Options {
    const Key* key = nullptr;  // encrypts a new set, opens an encrypted one; outlives the set and its snapshots
    bool read_only = false;    // for open(): nothing in the directory is touched
    FileSystem* file_system = &FileSystem::posix();  // another one than the system's is not locked
    Clock* clock = &Clock::system();
  };
  struct WriteOptions {
    int compression_level = 3;  // of zstd, 1..19; 0: none
    std::uint32_t block_bytes = std::uint32_t{256} << 10;
    unsigned threads = 1;  // that read files back
  };

  // Makes the directory, which must be empty if it is there, and an empty set in it.
  static SnapshotSet create(const std::filesystem::path& directory, const Uuid& store_id, const Options& options);
  // NotFound if the directory is no set; Locked, naming the process, while another one has it open for writing.
  static SnapshotSet open(const std::filesystem::path& directory, const Options& options);

  SnapshotSet(SnapshotSet&&) noexcept;
  SnapshotSet& operator=(SnapshotSet&&) noexcept;
  ~SnapshotSet();

  const Uuid& id() const;
  const Uuid& store_id() const;
  const std::string& key_id() const;            // empty: not encrypted
  void require_store(const Uuid& store) const;  // InvalidArgument if the set is another store's
  void require_key() const;                     // InvalidArgument if it is encrypted and was opened without its key

  // Gives out the next ordinal, durably. An encrypted set needs its key.
  PendingSnapshot begin(SnapshotType type, const WriteOptions& options);

  std::vector<SnapshotInfo> list() const;  // by ordinal
  // Reads all of a snapshot and throws what is wrong with it; NotFound if there is none published of this ordinal.
  void verify(std::uint64_t ordinal) const;
  // That a diff's base, if it is still there, is the one that it was made from: the part of verify() that reads no
  // file.
  void verify_base(const Manifest& diff) const;
  // Never leaves a gap: NotFound if the target lies before the oldest full or behind what can be reached, naming the
  // nearest commit that can be restored; Corruption if a broken snapshot is the reason. Of an encrypted set only with
  // its key. Nothing of the files was verified.
  Chain chain(const RestoreTarget& target) const;
  // The same over what list() has found: whoever asks often need not read every manifest each time.
  Chain chain(const RestoreTarget& target, const std::vector<SnapshotInfo>& all) const;

  // A reader of one file of a published snapshot; include "block_file.h" to use it. Who has read it through a moment
  // ago need not compute its hash once more: then its blocks' checksums, or authenticators, have to do.
  enum class Reads { Hashed, HashedBefore };
  std::unique_ptr<BlockFileReader> read(const Manifest& manifest, const ManifestFile& file,
                                        Reads reads = Reads::Hashed) const;

  // Of each history in the set, keeps the newest `keep_fulls` whole full snapshots that all of the history behind
  // their end goes on from, and everything above the oldest of them; the rest is removed, and the remains of
  // unfinished snapshots. Before that the newest full is verified, unless this object has published it; when one is
  // damaged, no published snapshot is removed, and of a history that has not so many none is. A timeline is a history
  // of its own unless another one goes on from it with all that the set has of it: stores that share a set, because
  // one was restored out of it, take nothing from each other. Below a manifest that is not damaged, but cannot be
  // read here and now (a permission, an error of the disk, a later format), nothing is removed: it may need it.
  PurgeReport purge(std::size_t keep_fulls);

  // Removes the remains of unfinished snapshots, if asked also broken ones, but for those that merely cannot be read
  // now, and puts the set's own small files right.
  PurgeReport repair(bool remove_broken = false);

  struct Impl;

 private:
  explicit SnapshotSet(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// A snapshot that is being written. The destructor abandons what was not published.
class PendingSnapshot {
 public:
  PendingSnapshot(PendingSnapshot&&) noexcept;
  PendingSnapshot& operator=(PendingSnapshot&&) = delete;
  ~PendingSnapshot();

  std::uint64_t ordinal() const;

  // A file of the snapshot; include "block_file.h" to write to it. Files may be written and closed by a thread each.
  // Each one that was added must be closed before publish().
  std::unique_ptr<BlockFileWriter> add_file(FileKind kind, std::uint32_t shard, std::uint32_t shards);
  void close_file(std::unique_ptr<BlockFileWriter> writer);  // finishes it, which syncs it

  // Reads all files back, syncs the directory, and puts the manifest in its place: from then on the snapshot exists.
  // When it throws, it does not, unless the error's outcome_unknown() says that only what comes behind that failed:
  // then list() tells. A diff's base must be whole and end where the diff begins.
  SnapshotInfo publish(const Manifest& facts);

  // Removes the files. What cannot be removed stays as remains.
  void abandon() noexcept;

 private:
  friend class SnapshotSet;
  struct State;
  explicit PendingSnapshot(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace azoth::backup
