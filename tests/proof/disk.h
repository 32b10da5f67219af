// The model of a disk: what a power cut may leave of what a program did.
//
// Of a file, what was written since its last sync is pending, in sectors of 512 bytes, each of which is on the disk or
// not; so is each change of its size. What an O_DSYNC write has written is on the disk when the call has returned.
// Of a directory, what was created, renamed or removed in it since its last sync is pending; of that, a prefix is on
// the disk or any subset (cut.h). A rename is there whole or not at all; it is made durable by a sync of the directory
// that it leads to. A file's sync does not make its name durable, nor a directory's sync the bytes of its files.
//
// This permits more than file systems do: a sector may hold a later write without an earlier one that touches it, too.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cut.h"
#include "image.h"
#include "trace.h"

namespace azoth::proof {

class Disk {
 public:
  // Everything in it is durable.
  explicit Disk(const DiskState& base);

  // Carries out an operation, the number of which is its place in the trace. A synchronous write is left pending, for
  // the power may be cut while it is under way: settle() makes it durable.
  void apply(const Op& op, std::size_t number);
  void settle();

  // What a power cut at this moment may choose from.
  const std::vector<Piece>& pieces() const { return pieces_; }
  std::size_t entry_changes() const { return changes_.size(); }
  DiskState after(const Cut& cut) const;

  // What the program sees. To be compared with what is really there: then nothing was missed.
  DiskState cached() const;

 private:
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  using Entries = std::map<std::string, NodePtr>;

  struct Change {  // of a file's content
    enum class Kind { Bytes, Set, Grow } kind;
    std::uint64_t offset;  // of a size: the size
    std::string bytes;
    std::size_t op;
  };
  struct Node : std::enable_shared_from_this<Node> {
    bool is_directory = false;
    bool mapped = false;
    Image cached;
    Image durable;
    std::vector<Change> pending;
    Entries entries;
    Entries durable_entries;
  };
  struct EntryChange {  // a node leaves one place, gets into another, or both
    NodePtr node;
    NodePtr from;
    std::string from_name;
    NodePtr to;
    std::string to_name;

    const NodePtr& home() const { return to ? to : from; }
  };
  struct Place {
    NodePtr directory;
    std::string name;
  };

  NodePtr find(const std::string& path) const;
  Place place(const std::string& path) const;
  NodePtr node(std::uint64_t inode) const;
  void open(const Op& op, std::size_t number);
  void write(Node& file, const Op& op, std::size_t number);
  void resize(Node& file, std::uint64_t size, bool grows, std::size_t number);
  void change(EntryChange change);
  void sync_directory(Node& directory);
  void add_pending(Node& file, Change change);
  static void apply(Image& image, const Change& change);
  static void apply(const EntryChange& change, const std::function<Entries&(Node&)>& entries_of);
  static void make_durable(Node& file);
  void make_durable(Node& file, std::uint64_t offset, std::uint64_t size);
  void collect_pieces();
  static void walk(const Entries& entries, const std::string& prefix,
                   const std::function<const Entries&(const NodePtr&)>& entries_of,
                   const std::function<void(const std::string&, const NodePtr&)>& visit);

  NodePtr root_;
  std::map<std::uint64_t, NodePtr> inodes_;
  std::vector<NodePtr> files_;  // with pending changes
  std::vector<EntryChange> changes_;
  std::vector<Piece> pieces_;  // of all files' pending changes, file by file
  NodePtr synchronous_;        // that settle() is about
  std::uint64_t synchronous_offset_ = 0;
  std::uint64_t synchronous_bytes_ = 0;
};

}  // namespace azoth::proof
