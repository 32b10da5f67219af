#include "support/sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "azoth/core/error.h"

namespace azoth::test {
namespace {

using Path = std::filesystem::path;

constexpr std::uint64_t kSectorBytes = 512;

[[noreturn]] void fail(int errno_value, const std::string& action, const std::string& path) {
  throw_errno(errno_value, "cannot " + action + " " + path + " on the simulated disk");
}

// The names on the way from the root.
std::vector<std::string> components(const Path& path) {
  std::vector<std::string> names;
  for (const Path& part : path.lexically_normal().relative_path()) {
    if (part == "..") fail(EINVAL, "follow '..' in", path.native());
    if (!part.empty() && part != ".") names.push_back(part.native());
  }
  return names;
}

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

class SimFile final : public File {
 public:
  SimFile(SimDisk& disk, SimDisk::NodePtr node, std::string path, bool writable)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)), writable_(writable) {}

  std::size_t read_at(std::uint64_t offset, char* to, std::size_t size) override {
    return disk_.read(*node_, offset, to, size);
  }
  void write_at(std::uint64_t offset, std::string_view bytes) override {
    if (!writable_) fail(EBADF, "write", path_);
    disk_.write(*node_, path_, offset, bytes);
  }
  void sync_data() override { disk_.sync(*node_, path_); }
  void truncate(std::uint64_t size) override {
    if (!writable_) fail(EBADF, "truncate", path_);
    disk_.truncate(*node_, path_, size);
  }
  std::uint64_t size() override { return disk_.size(*node_); }
  void will_need(std::uint64_t /*offset*/, std::uint64_t /*size*/) override {}

 private:
  SimDisk& disk_;
  const SimDisk::NodePtr node_;
  const std::string path_;
  const bool writable_;
};

bool choose::coin(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t mixed = seed + (index + 1) * 0x9E3779B97F4A7C15u;  // splitmix64
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return ((mixed ^ (mixed >> 31)) & 1) != 0;
}

SimDisk::SimDisk() : root_(std::make_shared<Node>()) { root_->is_directory = true; }
SimDisk::~SimDisk() = default;

// --- paths -----------------------------------------------------------------------------------------------------------

SimDisk::NodePtr SimDisk::find(const Path& path) const {
  NodePtr node = root_;
  for (const std::string& name : components(path)) {
    auto found = node->entries.find(name);
    if (found == node->entries.end()) return nullptr;
    node = found->second;
  }
  return node;
}

SimDisk::Place SimDisk::place_of(const Path& path, const std::string& action) const {
  std::vector<std::string> names = components(path);
  if (names.empty()) fail(EINVAL, action, path.native());
  std::string name = std::move(names.back());
  NodePtr directory = root_;
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    auto found = directory->entries.find(names[i]);
    if (found == directory->entries.end()) fail(ENOENT, action, path.native());
    directory = found->second;
  }
  if (!directory->is_directory) fail(ENOTDIR, action, path.native());
  return {std::move(directory), std::move(name)};
}

SimDisk::NodePtr SimDisk::entry(const Place& place) {
  auto found = place.directory->entries.find(place.name);
  return found == place.directory->entries.end() ? nullptr : found->second;
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

// --- operations ------------------------------------------------------------------------------------------------------

std::uint64_t SimDisk::begin(DiskOperation::Kind kind, const std::string& path) {
  const std::uint64_t number = ++operations_;
  const auto observer = observer_;  // keeps it alive if it replaces itself
  if (observer) (*observer)({number, kind, path});
  return number;
}

template <typename EntriesOf>
void SimDisk::apply(const EntryChange& change, EntriesOf entries_of) {
  if (change.from) {
    Entries& entries = entries_of(*change.from);
    auto found = entries.find(change.from_name);
    if (found != entries.end() && found->second == change.node) entries.erase(found);
  }
  if (change.to) entries_of(*change.to)[change.to_name] = change.node;
}

void SimDisk::change_entries(EntryChange change) {
  apply(change, [](Node& directory) -> Entries& { return directory.entries; });
  entry_changes_.push_back(std::move(change));
}

std::unique_ptr<File> SimDisk::open(const Path& path, Mode mode) {
  std::lock_guard guard(mutex_);
  if (mode != Mode::Create) {
    NodePtr node = find(path);
    if (!node) fail(ENOENT, "open", path.native());
    if (node->is_directory) fail(EISDIR, "open", path.native());
    return std::make_unique<SimFile>(*this, std::move(node), path.native(), mode == Mode::Write);
  }
  const Place place = place_of(path, "create");
  if (entry(place)) {
    throw Error(ErrorCode::AlreadyExists, "cannot create " + path.native() + ": there is such a file already");
  }
  const std::uint64_t number = begin(DiskOperation::Kind::Create, path.native());
  auto node = std::make_shared<Node>();
  std::erase_if(files_, [](const std::weak_ptr<Node>& file) { return file.expired(); });
  files_.push_back(node);
  change_entries({number, DiskOperation::Kind::Create, path.native(), node, nullptr, "", place.directory, place.name});
  return std::make_unique<SimFile>(*this, std::move(node), path.native(), true);
}

bool SimDisk::exists(const Path& path) {
  std::lock_guard guard(mutex_);
  return find(path) != nullptr;
}

std::vector<std::string> SimDisk::list(const Path& directory) {
  std::lock_guard guard(mutex_);
  const NodePtr node = find(directory);
  if (!node) fail(ENOENT, "list", directory.native());
  if (!node->is_directory) fail(ENOTDIR, "list", directory.native());
  std::vector<std::string> names;
  for (const auto& [name, child] : node->entries) names.push_back(name);
  return names;
}

void SimDisk::make_directory(const Path& path) {
  std::lock_guard guard(mutex_);
  if (const NodePtr node = find(path)) {
    if (node->is_directory) return;
    throw Error(ErrorCode::AlreadyExists, "cannot make the directory " + path.native() + ": there is a file");
  }
  const Place place = place_of(path, "make the directory");
  const std::uint64_t number = begin(DiskOperation::Kind::MakeDirectory, path.native());
  auto node = std::make_shared<Node>();
  node->is_directory = true;
  change_entries(
      {number, DiskOperation::Kind::MakeDirectory, path.native(), node, nullptr, "", place.directory, place.name});
}

void SimDisk::rename(const Path& from, const Path& to) {
  std::lock_guard guard(mutex_);
  const std::string action = "rename " + from.native() + " to";
  const Place source = place_of(from, "rename");
  const Place target = place_of(to, action);
  const NodePtr node = entry(source);
  if (!node) fail(ENOENT, action, to.native());
  const NodePtr replaced = entry(target);
  if (replaced == node) return;
  if (replaced && replaced->is_directory != node->is_directory) {
    fail(node->is_directory ? ENOTDIR : EISDIR, action, to.native());
  }
  if (replaced && !replaced->entries.empty()) fail(ENOTEMPTY, action, to.native());
  for (Path above = to.lexically_normal(); above.has_relative_path(); above = above.parent_path()) {
    if (find(above) == node) fail(EINVAL, action, to.native());  // into itself
  }
  const std::uint64_t number = begin(DiskOperation::Kind::Rename, to.native());
  change_entries({number, DiskOperation::Kind::Rename, to.native(), node, source.directory, source.name,
                  target.directory, target.name});
}

void SimDisk::remove(const Path& path) {
  std::lock_guard guard(mutex_);
  const Place place = place_of(path, "remove");
  const NodePtr node = entry(place);
  if (!node) fail(ENOENT, "remove", path.native());
  if (!node->entries.empty()) fail(ENOTEMPTY, "remove", path.native());
  const std::uint64_t number = begin(DiskOperation::Kind::Remove, path.native());
  change_entries({number, DiskOperation::Kind::Remove, path.native(), node, place.directory, place.name, nullptr, ""});
}

void SimDisk::sync_directory(const Path& path) {
  std::lock_guard guard(mutex_);
  const NodePtr directory = find(path);
  if (!directory) fail(ENOENT, "sync the directory", path.native());
  if (!directory->is_directory) fail(ENOTDIR, "sync the directory", path.native());
  begin(DiskOperation::Kind::SyncDirectory, path.native());
  std::vector<EntryChange> rest;
  for (EntryChange& change : entry_changes_) {
    if (change.home() != directory) {
      rest.push_back(std::move(change));
      continue;
    }
    apply(change, [](Node& node) -> Entries& { return node.durable_entries; });
    // What is durably renamed away cannot turn up under its old name any more, though that name was never durable.
    std::erase_if(rest, [&](const EntryChange& earlier) {
      return earlier.node == change.node && earlier.to == change.from && earlier.to_name == change.from_name;
    });
  }
  entry_changes_ = std::move(rest);
}

std::size_t SimDisk::read(const Node& file, std::uint64_t offset, char* to, std::size_t size) const {
  std::lock_guard guard(mutex_);
  if (offset >= file.cached.size()) return 0;
  return file.cached.copy(to, size, offset);
}

void SimDisk::write(Node& file, const std::string& path, std::uint64_t offset, std::string_view bytes) {
  std::lock_guard guard(mutex_);
  const std::uint64_t number = begin(DiskOperation::Kind::Write, path);
  const bool fails = writes_until_failure_ > 0 && --writes_until_failure_ == 0;
  if (fails) bytes = bytes.substr(0, failing_write_bytes_);
  if (!bytes.empty()) {
    const std::uint64_t end = offset + bytes.size();
    file.pending.push_back({number, PendingWrite::Kind::Bytes, offset, std::string(bytes)});
    if (end > file.cached.size()) {
      file.pending.push_back({number, PendingWrite::Kind::Size, end, {}});
      file.cached.resize(end);
    }
    file.cached.replace(offset, bytes.size(), bytes);
  }
  if (fails) fail(ENOSPC, "write", path);
}

void SimDisk::truncate(Node& file, const std::string& path, std::uint64_t size) {
  std::lock_guard guard(mutex_);
  const std::uint64_t number = begin(DiskOperation::Kind::Truncate, path);
  file.pending.push_back({number, PendingWrite::Kind::Size, size, {}});
  file.cached.resize(size);
}

void SimDisk::sync(Node& file, const std::string& path) {
  std::lock_guard guard(mutex_);
  begin(DiskOperation::Kind::Sync, path);
  if (failing_sync_reached_ && path.find(failing_sync_) != std::string::npos) {
    const WriteChooser reached = std::exchange(failing_sync_reached_, nullptr);
    std::size_t index = 0;
    file.durable = image(file, path, index, reached);
    file.pending.clear();
    fail(EIO, "sync", path);
  }
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

std::uint64_t SimDisk::size(const Node& file) const {
  std::lock_guard guard(mutex_);
  return file.cached.size();
}

// --- what the disk may hold ------------------------------------------------------------------------------------------

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

// --- hooks -----------------------------------------------------------------------------------------------------------

void SimDisk::fail_next_sync(std::string path_part, WriteChooser reached_disk) {
  std::lock_guard guard(mutex_);
  failing_sync_ = std::move(path_part);
  failing_sync_reached_ = std::move(reached_disk);
}

void SimDisk::fail_write(std::uint64_t nth, std::uint64_t bytes_written) {
  std::lock_guard guard(mutex_);
  writes_until_failure_ = nth;
  failing_write_bytes_ = bytes_written;
}

std::uint64_t SimDisk::operations() const {
  std::lock_guard guard(mutex_);
  return operations_;
}

void SimDisk::observe(std::function<void(const DiskOperation&)> observer) {
  std::lock_guard guard(mutex_);
  observer_ =
      observer ? std::make_shared<std::function<void(const DiskOperation&)>>(std::move(observer)) : nullptr;
}

}  // namespace azoth::test
