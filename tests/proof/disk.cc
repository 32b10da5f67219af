#include "disk.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace azoth::proof {

namespace {

[[noreturn]] void confused(const std::string& why) { throw std::runtime_error("the trace cannot be followed: " + why); }

bool touches(std::uint64_t a, std::uint64_t a_size, std::uint64_t b, std::uint64_t b_size) {
  return a < b + b_size && b < a + a_size;
}

}  // namespace

Disk::Disk(const DiskState& base) : root_(std::make_shared<Node>()) {
  root_->is_directory = true;
  auto add = [&](const std::string& path, NodePtr node) {
    Place at = place(path);
    at.directory->entries[at.name] = at.directory->durable_entries[at.name] = std::move(node);
  };
  for (const std::string& directory : base.directories) {  // parents come first
    auto node = std::make_shared<Node>();
    node->is_directory = true;
    add(directory, std::move(node));
  }
  for (const auto& [path, file] : base.files) {
    auto node = std::make_shared<Node>();
    node->cached = node->durable = file.image;
    node->mapped = file.mapped;
    add(path, std::move(node));
  }
}

Disk::NodePtr Disk::find(const std::string& path) const {
  NodePtr node = root_;
  for (std::size_t at = 0; at < path.size();) {
    std::size_t end = std::min(path.find('/', at), path.size());
    auto entry = node->entries.find(path.substr(at, end - at));
    if (entry == node->entries.end()) return nullptr;
    node = entry->second;
    at = end + 1;
  }
  return node;
}

Disk::Place Disk::place(const std::string& path) const {
  std::size_t slash = path.rfind('/');
  NodePtr directory = slash == std::string::npos ? root_ : find(path.substr(0, slash));
  if (!directory || !directory->is_directory) confused("no directory for " + path);
  return {directory, slash == std::string::npos ? path : path.substr(slash + 1)};
}

Disk::NodePtr Disk::node(std::uint64_t inode) const {
  auto found = inodes_.find(inode);
  if (found == inodes_.end()) confused("a file that was never opened");
  return found->second;
}

void Disk::apply(const Op& op, std::size_t number) {
  switch (op.kind) {
    case OpKind::Open:
      open(op, number);
      break;
    case OpKind::Write:
      write(*node(op.inode), op, number);
      break;
    case OpKind::Resize:
      resize(*node(op.inode), op.offset, op.has(op_flag::kGrows), number);
      break;
    case OpKind::Sync:
      make_durable(*node(op.inode));
      break;
    case OpKind::SyncDirectory:
      if (NodePtr directory = find(op.path)) sync_directory(*directory);
      break;
    case OpKind::Rename: {
      Place from = place(op.path);
      Place to = place(op.other);
      change({from.directory->entries.at(from.name), from.directory, from.name, to.directory, to.name});
      break;
    }
    case OpKind::Remove: {
      Place from = place(op.path);
      change({from.directory->entries.at(from.name), from.directory, from.name, nullptr, {}});
      break;
    }
    case OpKind::MakeDirectory: {
      auto directory = std::make_shared<Node>();
      directory->is_directory = true;
      Place to = place(op.path);
      change({std::move(directory), nullptr, {}, to.directory, to.name});
      break;
    }
    case OpKind::Link: {
      Place to = place(op.path);
      change({node(op.inode), nullptr, {}, to.directory, to.name});
      break;
    }
    case OpKind::Map:
      node(op.inode)->mapped = true;
      break;
    case OpKind::Mark:
      break;
    case OpKind::Unknown:
      confused(op.data);
  }
  collect_pieces();
}

void Disk::open(const Op& op, std::size_t number) {
  if (op.has(op_flag::kCreated)) {
    auto file = std::make_shared<Node>();
    inodes_[op.inode] = file;
    Place to = place(op.path);
    change({std::move(file), nullptr, {}, to.directory, to.name});
    return;
  }
  NodePtr file = find(op.path);
  if (!file || file->is_directory) confused(op.path + " was opened and is not there");
  inodes_[op.inode] = file;
  if (op.has(op_flag::kTruncated)) resize(*file, 0, false, number);
}

void Disk::write(Node& file, const Op& op, std::size_t number) {
  const std::uint64_t end = op.offset + op.data.size();
  for (std::uint64_t at = op.offset; at < end;) {
    std::uint64_t next = std::min(end, (at / kSectorBytes + 1) * kSectorBytes);
    std::string bytes = op.data.substr(at - op.offset, next - at);
    // What is there already is no choice.
    bool same = file.cached.read(at, bytes.size()) == bytes && file.durable.read(at, bytes.size()) == bytes;
    if (!same) add_pending(file, {Change::Kind::Bytes, at, bytes, number});
    at = next;
  }
  file.cached.write(op.offset, op.data);
  if (end > file.cached.size()) resize(file, end, true, number);
  if (!op.has(op_flag::kSynchronous)) return;
  synchronous_ = node(op.inode);
  synchronous_offset_ = op.offset;
  synchronous_bytes_ = op.data.size();
}

void Disk::resize(Node& file, std::uint64_t size, bool grows, std::size_t number) {
  if (size == file.cached.size() || (grows && size < file.cached.size())) return;
  Change change{grows ? Change::Kind::Grow : Change::Kind::Set, size, {}, number};
  apply(file.cached, change);
  add_pending(file, std::move(change));
}

void Disk::add_pending(Node& file, Change change) {
  if (file.pending.empty()) files_.push_back(file.shared_from_this());
  file.pending.push_back(std::move(change));
}

void Disk::settle() {
  if (!synchronous_) return;
  make_durable(*std::exchange(synchronous_, nullptr), synchronous_offset_, synchronous_bytes_);
  collect_pieces();
}

// --- Content

void Disk::apply(Image& image, const Change& change) {
  switch (change.kind) {
    case Change::Kind::Bytes:
      image.write(change.offset, change.bytes);
      break;
    case Change::Kind::Grow:
      image.set_size(std::max(image.size(), change.offset));
      break;
    case Change::Kind::Set:
      image.clear_from(change.offset);
      image.set_size(change.offset);
      break;
  }
}

void Disk::make_durable(Node& file) {
  file.durable = file.cached;
  file.pending.clear();
}

// The sectors that were written are as the program sees them; what else is pending may still be lost.
void Disk::make_durable(Node& file, std::uint64_t offset, std::uint64_t size) {
  std::uint64_t first = offset / kSectorBytes * kSectorBytes;
  std::uint64_t end = (offset + size + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  bool needs_size = offset + size > file.durable.size();
  std::erase_if(file.pending, [&](const Change& change) {
    bool is_bytes = change.kind == Change::Kind::Bytes;
    return is_bytes ? touches(change.offset, change.bytes.size(), first, end - first) : needs_size;
  });
  if (needs_size) file.durable.set_size(file.cached.size());
  file.durable.write(first, file.cached.read(first, end - first));
}

void Disk::collect_pieces() {
  std::erase_if(files_, [](const NodePtr& file) { return file->pending.empty(); });
  pieces_.clear();
  for (std::size_t i = 0; i < files_.size(); ++i) {
    std::size_t op = 0;
    std::uint64_t position = 0;
    for (const Change& change : files_[i]->pending) {
      if (std::exchange(op, change.op) != change.op) position = 0;
      bool is_size = change.kind != Change::Kind::Bytes;
      pieces_.push_back({change.op, is_size ? 0 : change.offset / kBlockBytes, is_size ? 0 : position++, i, is_size});
    }
  }
}

// --- Names

void Disk::apply(const EntryChange& change, const std::function<Entries&(Node&)>& entries_of) {
  if (change.from) {
    Entries& entries = entries_of(*change.from);
    auto entry = entries.find(change.from_name);
    if (entry != entries.end() && entry->second == change.node) entries.erase(entry);
  }
  if (change.to) entries_of(*change.to)[change.to_name] = change.node;
}

void Disk::change(EntryChange change) {
  apply(change, [](Node& directory) -> Entries& { return directory.entries; });
  changes_.push_back(std::move(change));
}

void Disk::sync_directory(Node& directory) {
  std::erase_if(changes_, [&](const EntryChange& change) {
    if (change.home().get() != &directory) return false;
    apply(change, [](Node& node) -> Entries& { return node.durable_entries; });
    return true;
  });
}

void Disk::walk(const Entries& entries, const std::string& prefix,
                const std::function<const Entries&(const NodePtr&)>& entries_of,
                const std::function<void(const std::string&, const NodePtr&)>& visit) {
  for (const auto& [name, node] : entries) {
    visit(prefix + name, node);
    if (node->is_directory) walk(entries_of(node), prefix + name + "/", entries_of, visit);
  }
}

DiskState Disk::cached() const {
  DiskState state;
  auto entries_of = [](const NodePtr& directory) -> const Entries& { return directory->entries; };
  walk(root_->entries, "", entries_of, [&](const std::string& path, const NodePtr& node) {
    if (node->is_directory) {
      state.directories.insert(path);
      return;
    }
    state.files[path] = {node->cached, node->mapped};
    state.files[path].image.trim();
  });
  return state;
}

DiskState Disk::after(const Cut& cut) const {
  // Names first: directories whose entries differ from what is durable.
  std::map<const Node*, Entries> changed;
  auto entries_for_change = [&](Node& directory) -> Entries& {
    return changed.try_emplace(&directory, directory.durable_entries).first->second;
  };
  std::map<const Node*, std::pair<std::size_t, std::size_t>>
      homes;  // how many changes each has, and how many were seen
  for (const EntryChange& change : changes_) ++homes[change.home().get()].first;
  std::vector<const Node*> order;
  std::size_t number = 0;
  for (const EntryChange& change : changes_) {
    const Node* home = change.home().get();
    auto known = std::find(order.begin(), order.end(), home);
    auto directory = static_cast<std::size_t>(known - order.begin());
    if (known == order.end()) order.push_back(home);
    auto& [count, seen] = homes[home];
    if (cut.keeps_entry(number++, directory, seen++, count)) apply(change, entries_for_change);
  }
  // Then bytes.
  std::map<const Node*, Image> images;
  std::size_t last_op = 0;
  for (const Piece& piece : pieces_) last_op = std::max(last_op, piece.op);
  std::size_t index = 0;
  for (const NodePtr& file : files_) {
    Image image = file->durable;
    bool differs = false;
    for (const Change& change : file->pending) {
      if (cut.keeps(pieces_[index], index, last_op)) {
        apply(image, change);
        differs = true;
      }
      ++index;
    }
    if (differs) images.emplace(file.get(), std::move(image));
  }
  DiskState state;
  auto entries_of = [&](const NodePtr& directory) -> const Entries& {
    auto found = changed.find(directory.get());
    return found != changed.end() ? found->second : directory->durable_entries;
  };
  walk(entries_of(root_), "", entries_of, [&](const std::string& path, const NodePtr& node) {
    if (node->is_directory) {
      state.directories.insert(path);
      return;
    }
    auto image = images.find(node.get());
    DiskState::FileState& file = state.files[path];
    file.image = image != images.end() ? image->second : node->durable;
    file.image.trim();
    file.mapped = node->mapped;
  });
  return state;
}

}  // namespace azoth::proof
