// What the disk may hold: the unsynced pieces, and the disks that a power cut or a kill leaves.
#include <algorithm>
#include <set>
#include <utility>

#include "support/sim_disk.h"

namespace azoth::test {
namespace {

constexpr std::uint64_t kSectorBytes = 512;

// The content of a file while its surviving pieces are put together. Bytes can be there before the change of the size
// that shows them, so `bytes` may be longer or shorter than `size`.
struct Image {
  std::string bytes;
  std::uint64_t size;

  void put(std::uint64_t offset, std::string_view piece) {
    if (bytes.size() < offset + piece.size()) bytes.resize(offset + piece.size());
    bytes.replace(offset, piece.size(), piece);
  }
  void set_size(std::uint64_t new_size) {
    bytes.resize(std::min<std::uint64_t>(bytes.size(), new_size));
    size = new_size;
  }
};

}  // namespace

bool choose::coin(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t mixed = seed + (index + 1) * 0x9E3779B97F4A7C15u;  // splitmix64
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return ((mixed ^ (mixed >> 31)) & 1) != 0;
}

void SimDisk::apply(const EntryChange& change, const std::function<Entries&(Node&)>& entries_of) {
  if (change.from) {
    Entries& entries = entries_of(*change.from);
    auto found = entries.find(change.from_name);
    if (found != entries.end() && found->second == change.node) entries.erase(found);
  }
  if (change.to) entries_of(*change.to)[change.to_name] = change.node;
}

void SimDisk::make_durable(Node& file) {
  Image image{std::move(file.durable), 0};
  for (const Write& change : file.pending) {
    if (change.kind == PendingWrite::Kind::Bytes) {
      image.put(change.offset, change.bytes);
    } else {
      image.set_size(change.offset);
    }
  }
  file.durable = std::move(image.bytes);
  // The size is metadata: a sync writes it whatever became of the bytes an earlier, failed sync has lost.
  file.durable.resize(file.cached.size());
  file.pending.clear();
}

std::map<const SimDisk::Node*, std::string> SimDisk::paths() const {
  std::map<const Node*, std::string> result;
  const auto walk = [&](const auto& self, const Node& directory, const std::string& path, Entries Node::*view) -> void {
    for (const auto& [name, node] : directory.*view) {
      const std::string own = path + "/" + name;
      result.emplace(node.get(), own);
      if (node->is_directory) self(self, *node, own, view);
    }
  };
  walk(walk, *root_, "", &Node::entries);
  walk(walk, *root_, "", &Node::durable_entries);  // what was removed or renamed, but not durably
  return result;
}

template <typename Visit>
void SimDisk::for_each_piece(const Node& file, const std::string& path, std::size_t& index, Visit visit) {
  for (const Write& change : file.pending) {
    PendingWrite piece{path, change.operation, change.kind, change.offset, 0, index};
    if (change.kind == PendingWrite::Kind::Size) {
      visit(change, piece);
      ++index;
      continue;
    }
    const std::uint64_t end = change.offset + change.bytes.size();
    while (piece.offset < end) {
      piece.index = index++;
      piece.length = std::min(end, (piece.offset / kSectorBytes + 1) * kSectorBytes) - piece.offset;
      visit(change, piece);
      piece.offset += piece.length;
    }
  }
}

std::string SimDisk::image(const Node& file, const std::string& path, std::size_t& index, const WriteChooser& chooser) {
  Image image{file.durable, file.durable.size()};
  for_each_piece(file, path, index, [&](const Write& change, const PendingWrite& piece) {
    if (!chooser(piece)) return;
    if (piece.kind == PendingWrite::Kind::Size) {
      image.set_size(piece.offset);
    } else {
      image.put(piece.offset, std::string_view(change.bytes).substr(piece.offset - change.offset, piece.length));
    }
  });
  image.bytes.resize(image.size);
  return std::move(image.bytes);
}

std::map<const SimDisk::Node*, SimDisk::Entries> SimDisk::surviving_entries(const EntryChooser& chooser) const {
  std::map<const Node*, Entries> result;
  std::set<const Node*> cut;  // directories of which a change is missing
  const auto entries_of = [&](Node& directory) -> Entries& {
    return result.try_emplace(&directory, directory.durable_entries).first->second;
  };
  for (std::size_t i = 0; i < entry_changes_.size(); ++i) {
    const EntryChange& change = entry_changes_[i];
    const bool chosen = chooser({change.path, change.operation, change.kind, i});
    if (chosen && !cut.contains(change.from.get()) && !cut.contains(change.to.get())) {
      apply(change, entries_of);
      continue;
    }
    if (change.from) cut.insert(change.from.get());
    if (change.to) cut.insert(change.to.get());
  }
  return result;
}

std::vector<PendingWrite> SimDisk::pending_writes() const {
  std::lock_guard guard(mutex_);
  std::vector<PendingWrite> pieces;
  std::size_t index = 0;
  const auto names = paths();
  for (const std::weak_ptr<Node>& file : files_) {
    const NodePtr node = file.lock();
    if (!node) continue;
    const auto name = names.find(node.get());
    for_each_piece(*node, name == names.end() ? "(removed)" : name->second, index,
                   [&](const Write&, const PendingWrite& piece) { pieces.push_back(piece); });
  }
  return pieces;
}

std::vector<PendingEntry> SimDisk::pending_entries() const {
  std::lock_guard guard(mutex_);
  std::vector<PendingEntry> result;
  for (const EntryChange& change : entry_changes_) {
    result.push_back({change.path, change.operation, change.kind, result.size()});
  }
  return result;
}

std::unique_ptr<SimDisk> SimDisk::power_cut(const WriteChooser& writes, const EntryChooser& entries) const {
  std::lock_guard guard(mutex_);
  const auto names = paths();
  const std::map<const Node*, Entries> surviving = surviving_entries(entries);
  std::map<const Node*, NodePtr> files;
  std::size_t index = 0;
  for (const std::weak_ptr<Node>& file : files_) {
    const NodePtr node = file.lock();
    if (!node) continue;
    const auto name = names.find(node.get());
    auto copy = std::make_shared<Node>();
    copy->durable = image(*node, name == names.end() ? "(removed)" : name->second, index, writes);
    copy->cached = copy->durable;
    files.emplace(node.get(), std::move(copy));
  }

  auto disk = std::make_unique<SimDisk>();
  const auto copy_entries = [&](const auto& self, const Node& from, Node& to) -> void {
    const auto changed = surviving.find(&from);
    for (const auto& [name, node] : changed == surviving.end() ? from.durable_entries : changed->second) {
      NodePtr& copy = to.entries[name];
      if (node->is_directory) {
        copy = std::make_shared<Node>();
        copy->is_directory = true;
        self(self, *node, *copy);
      } else {
        copy = files.at(node.get());
        disk->files_.push_back(copy);
      }
    }
    to.durable_entries = to.entries;
  };
  copy_entries(copy_entries, *root_, *disk->root_);
  return disk;
}

std::unique_ptr<SimDisk> SimDisk::crash() const {
  std::lock_guard guard(mutex_);
  std::map<const Node*, NodePtr> copies;
  const auto copy_of = [&](const auto& self, const NodePtr& node) -> NodePtr {
    if (!node) return nullptr;
    if (auto found = copies.find(node.get()); found != copies.end()) return found->second;
    auto copy = std::make_shared<Node>(*node);
    copies.emplace(node.get(), copy);
    for (auto& [name, child] : copy->entries) child = self(self, child);
    for (auto& [name, child] : copy->durable_entries) child = self(self, child);
    return copy;
  };
  auto disk = std::make_unique<SimDisk>();
  disk->root_ = copy_of(copy_of, root_);
  for (const EntryChange& change : entry_changes_) {
    EntryChange copy = change;
    copy.node = copy_of(copy_of, change.node);
    copy.from = copy_of(copy_of, change.from);
    copy.to = copy_of(copy_of, change.to);
    disk->entry_changes_.push_back(std::move(copy));
  }
  for (const std::weak_ptr<Node>& file : files_) {
    if (const auto found = copies.find(file.lock().get()); found != copies.end()) disk->files_.push_back(found->second);
  }
  disk->operations_ = operations_;
  return disk;
}

}  // namespace azoth::test
