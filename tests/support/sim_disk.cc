#include "support/sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "azoth/core/error.h"

namespace azoth::test {
namespace {

using Path = std::filesystem::path;

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

// --- operations ------------------------------------------------------------------------------------------------------

std::uint64_t SimDisk::begin(DiskOperation::Kind kind, const std::string& path) {
  const std::uint64_t number = ++operations_;
  const auto observer = observer_;  // keeps it alive if it replaces itself
  if (observer) (*observer)({number, kind, path});
  return number;
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
  make_durable(file);
}

std::uint64_t SimDisk::size(const Node& file) const {
  std::lock_guard guard(mutex_);
  return file.cached.size();
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
  observer_ = observer ? std::make_shared<std::function<void(const DiskOperation&)>>(std::move(observer)) : nullptr;
}

}  // namespace azoth::test
