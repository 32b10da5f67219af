// A disk in memory whose power can be cut: what a program may find after a power failure, computed instead of waited
// for.
//
// It has the two halves of a real one. The page cache is what reads see: every write, truncation and change of a
// directory at once. The disk has what was synced, and of the rest what a chooser grants when the power is cut:
//   - each write is split at the 512-byte sectors of the file, and each piece is on the disk or not; a change of a
//     file's size (by a write behind its end, or a truncation) is a piece of its own;
//   - changes of directories (create, rename, remove, make a directory) are on the disk in their order: once one of a
//     directory is missing, so are the later ones of it. A rename is there whole or not at all.
// This permits more than most real disks do: a piece can be there without an older piece of the same sector.
//
// sync_data() makes a file's bytes and size durable, not its directory entry; sync_directory() makes a directory's
// entries durable (of a rename between directories: the target's sync), not the contents of what they name.
//
// Paths: absolute or relative mean the same, the root exists. All calls are thread safe; an operation and what its
// observer does happen as one. The disk must outlive the Files it opened. It does not pass the posix fault points: an
// observer that throws azoth::Error makes any operation fail, before it has had any effect.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "azoth/core/file.h"

namespace azoth::test {

// What counts as an operation: whatever changes the disk, or makes something durable.
struct DiskOperation {
  enum class Kind { Create, Write, Truncate, Sync, MakeDirectory, Rename, Remove, SyncDirectory };

  std::uint64_t number;  // from 1
  Kind kind;
  std::string path;  // of a rename: the new one
};

struct PendingWrite {
  enum class Kind { Bytes, Size };

  std::string path;
  std::uint64_t operation;  // the number of the DiskOperation it is a piece of
  Kind kind;
  std::uint64_t offset;  // of Size: the new size
  std::uint64_t length;  // of Size: 0
  std::size_t index;     // its place in pending_writes()
};

struct PendingEntry {
  std::string path;  // of a rename: the new one
  std::uint64_t operation;
  DiskOperation::Kind kind;  // Create, MakeDirectory, Rename or Remove
  std::size_t index;         // its place in pending_entries()
};

// Whether the piece is on the disk. Asked once for each, in the order of their indexes.
using WriteChooser = std::function<bool(const PendingWrite&)>;
using EntryChooser = std::function<bool(const PendingEntry&)>;

// Choosers for both. They depend on nothing but the piece's index, so a state can be made again.
namespace choose {

inline auto none() {
  return [](const auto&) { return false; };
}
inline auto all() {
  return [](const auto&) { return true; };
}
inline auto only(std::size_t index) {
  return [index](const auto& piece) { return piece.index == index; };
}
inline auto all_but(std::size_t index) {
  return [index](const auto& piece) { return piece.index != index; };
}
inline auto first(std::size_t count) {
  return [count](const auto& piece) { return piece.index < count; };
}
bool coin(std::uint64_t seed, std::uint64_t index);  // fair, and always the same for the same arguments
inline auto random(std::uint64_t seed) {
  return [seed](const auto& piece) { return coin(seed, piece.index); };
}

}  // namespace choose

class SimDisk final : public FileSystem {
 public:
  SimDisk();
  ~SimDisk() override;

  std::unique_ptr<File> open(const std::filesystem::path& path, Mode mode) override;
  bool exists(const std::filesystem::path& path) override;
  std::vector<std::string> list(const std::filesystem::path& directory) override;
  void make_directory(const std::filesystem::path& path) override;
  void rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  void remove(const std::filesystem::path& path) override;
  void sync_directory(const std::filesystem::path& path) override;

  // What is not certain to be on the disk: how many states there are to try.
  std::vector<PendingWrite> pending_writes() const;
  std::vector<PendingEntry> pending_entries() const;

  // The disk after a power failure at this moment; everything on it is durable. This disk goes on as before.
  std::unique_ptr<SimDisk> power_cut(const WriteChooser& writes, const EntryChooser& entries = choose::all()) const;
  // The disk after the process was killed: every write survives in the page cache, and is as unsynced as it was.
  std::unique_ptr<SimDisk> crash() const;

  // The next sync_data() of a file whose path contains this fails with Io. As on Linux, its unsynced writes count as
  // clean from then on: reads see them, no later sync makes them durable. What had reached the disk before the failure
  // is the chooser's to say; its indexes count the pieces of this file alone.
  void fail_next_sync(std::string path_part, WriteChooser reached_disk = choose::none());
  // The nth write_at() from now on (1: the next) fails with NoSpace, after its first `bytes_written` bytes.
  void fail_write(std::uint64_t nth, std::uint64_t bytes_written = 0);

  std::uint64_t operations() const;  // begun so far
  // Called before each operation. It may use the disk, above all cut its power.
  void observe(std::function<void(const DiskOperation&)> observer);

  // Keeps everybody else from the disk. For an observer's helpers that take locks of their own: the disk's comes first.
  [[nodiscard]] std::unique_lock<std::recursive_mutex> hold() const { return std::unique_lock(mutex_); }

 private:
  friend class SimFile;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  using Entries = std::map<std::string, NodePtr>;

  // An unsynced change of a file.
  struct Write {
    std::uint64_t operation;
    PendingWrite::Kind kind;
    std::uint64_t offset;
    std::string bytes;
  };
  // A file or a directory. A file uses the first three members, a directory the other two.
  struct Node {
    bool is_directory = false;
    std::string cached;
    std::string durable;
    std::vector<Write> pending;
    Entries entries;
    Entries durable_entries;
  };
  // An unsynced change of one directory, or of two by a rename.
  struct EntryChange {
    std::uint64_t operation;
    DiskOperation::Kind kind;
    std::string path;
    NodePtr node;
    NodePtr from;  // the directory it leaves
    std::string from_name;
    NodePtr to;  // the directory it gets into
    std::string to_name;

    const NodePtr& home() const { return to ? to : from; }  // whose sync makes it durable
  };
  struct Place {  // of a path: its directory, and the name in it
    NodePtr directory;
    std::string name;
  };

  std::uint64_t begin(DiskOperation::Kind kind, const std::string& path);
  NodePtr find(const std::filesystem::path& path) const;
  Place place_of(const std::filesystem::path& path, const std::string& action) const;
  static NodePtr entry(const Place& place);
  void change_entries(EntryChange change);
  static void apply(const EntryChange& change, const std::function<Entries&(Node&)>& entries_of);
  static void make_durable(Node& file);
  std::map<const Node*, std::string> paths() const;
  template <typename Visit>
  static void for_each_piece(const Node& file, const std::string& path, std::size_t& index, Visit visit);
  static std::string image(const Node& file, const std::string& path, std::size_t& index, const WriteChooser& chooser);
  std::map<const Node*, Entries> surviving_entries(const EntryChooser& chooser) const;

  std::size_t read(const Node& file, std::uint64_t offset, char* to, std::size_t size) const;
  void write(Node& file, const std::string& path, std::uint64_t offset, std::string_view bytes);
  void truncate(Node& file, const std::string& path, std::uint64_t size);
  void sync(Node& file, const std::string& path);
  std::uint64_t size(const Node& file) const;

  mutable std::recursive_mutex mutex_;  // everything; recursive because observers use the disk
  NodePtr root_;
  std::vector<std::weak_ptr<Node>> files_;  // in the order of their creation: the order of pending_writes()
  std::vector<EntryChange> entry_changes_;
  std::uint64_t operations_ = 0;
  std::shared_ptr<std::function<void(const DiskOperation&)>> observer_;  // empty: none
  std::string failing_sync_;
  WriteChooser failing_sync_reached_;  // empty unless a sync is to fail
  std::uint64_t writes_until_failure_ = 0;
  std::uint64_t failing_write_bytes_ = 0;
};

}  // namespace azoth::test
