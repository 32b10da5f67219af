#include "image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "azoth/core/digest.h"
#include "azoth/core/error.h"

namespace azoth::proof {

namespace {

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  return checksum64({reinterpret_cast<const char*>(&a), sizeof a}, b);
}

// At most a block.
bool is_zero(std::string_view bytes) {
  static constexpr std::array<char, kBlockBytes> kZeros{};
  return std::memcmp(bytes.data(), kZeros.data(), bytes.size()) == 0;
}

// The file that a state says, in one go for each run of blocks.
void write_file(const std::string& path, const DiskState::FileState& file, std::uint64_t garbage) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) throw_errno(errno, "making " + path);
  bool good = true;
  auto put = [&](std::uint64_t offset, std::string_view bytes) {
    good = good &&
           pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes.size());
  };
  if (file.mapped && garbage != 0) {
    std::mt19937_64 random(garbage);
    std::string bytes(file.image.size(), '\0');
    std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
    put(0, bytes);
  } else {
    std::uint64_t start = 0;
    std::string run;
    file.image.for_each_block([&](std::uint64_t offset, std::string_view bytes) {
      if (offset != start + run.size() && !run.empty()) {
        put(start, run);
        run.clear();
      }
      if (run.empty()) start = offset;
      run.append(bytes.substr(0, std::min<std::uint64_t>(bytes.size(), file.image.size() - offset)));
    });
    if (!run.empty()) put(start, run);
    good = good && ftruncate(fd, static_cast<off_t>(file.image.size())) == 0;
  }
  ::close(fd);
  if (!good) throw_errno(errno, "writing " + path);
}

}  // namespace

// --- Image

Image::BlockPtr Image::finish(std::shared_ptr<Block> block) {
  if (is_zero({block->bytes.data(), kBlockBytes})) return nullptr;
  return block;
}

void Image::change(std::uint64_t offset, std::string_view bytes) {
  std::size_t index = offset / kBlockBytes;
  if (index >= blocks_.size()) blocks_.resize(index + 1);
  if (!blocks_[index] && is_zero(bytes)) return;
  auto block = blocks_[index] ? std::make_shared<Block>(*blocks_[index]) : std::make_shared<Block>();
  block->hash = 0;
  bytes.copy(block->bytes.data() + offset % kBlockBytes, bytes.size());
  blocks_[index] = finish(std::move(block));
}

void Image::write(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t size = std::min<std::size_t>(bytes.size(), kBlockBytes - offset % kBlockBytes);
    change(offset, bytes.substr(0, size));
    bytes.remove_prefix(size);
    offset += size;
  }
}

void Image::clear_from(std::uint64_t offset) {
  std::size_t whole = (offset + kBlockBytes - 1) / kBlockBytes;
  if (blocks_.size() > whole) blocks_.resize(whole);
  if (offset % kBlockBytes == 0 || offset / kBlockBytes >= blocks_.size() || !blocks_[offset / kBlockBytes]) return;
  const std::string zeros(kBlockBytes - offset % kBlockBytes, '\0');
  change(offset, zeros);
}

std::string Image::read(std::uint64_t offset, std::size_t bytes) const {
  std::string read(bytes, '\0');
  for (std::size_t at = 0; at < bytes;) {
    std::uint64_t from = offset + at;
    std::size_t size = std::min<std::size_t>(bytes - at, kBlockBytes - from % kBlockBytes);
    std::size_t index = from / kBlockBytes;
    if (index < blocks_.size() && blocks_[index]) {
      std::memcpy(read.data() + at, blocks_[index]->bytes.data() + from % kBlockBytes, size);
    }
    at += size;
  }
  return read;
}

std::uint64_t Image::hash() const {
  std::uint64_t hash = size_;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (!blocks_[i]) continue;
    if (blocks_[i]->hash == 0) blocks_[i]->hash = checksum64({blocks_[i]->bytes.data(), kBlockBytes});
    hash = mixed(hash ^ i, blocks_[i]->hash);
  }
  return hash;
}

// --- DiskState

std::uint64_t DiskState::hash() const {
  std::uint64_t hash = directories.size();
  for (const std::string& directory : directories) hash = checksum64(directory, hash);
  for (const auto& [path, file] : files) hash = mixed(checksum64(path, hash), file.image.hash());
  return hash;
}

DiskState DiskState::below(const std::string& directory) const {
  auto is_below = [&](const std::string& path) {
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
  };
  DiskState part;
  for (auto at = directories.lower_bound(directory); at != directories.end() && at->starts_with(directory); ++at) {
    if (is_below(*at)) part.directories.insert(*at);
  }
  for (auto at = files.lower_bound(directory); at != files.end() && at->first.starts_with(directory); ++at) {
    if (is_below(at->first)) part.files.insert(*at);
  }
  return part;
}

void DiskState::add(const DiskState& part) {
  files.insert(part.files.begin(), part.files.end());
  directories.insert(part.directories.begin(), part.directories.end());
}

// What is there already stays: removing and making files costs more than all the rest.
void materialise(const DiskState& state, const std::string& root, std::uint64_t garbage) {
  std::set<std::string> found;
  std::vector<std::filesystem::path> superfluous;
  for (const auto& each : std::filesystem::recursive_directory_iterator(root)) {
    std::string path = each.path().string().substr(root.size() + 1);
    bool is_directory = each.is_directory();
    if (is_directory ? state.directories.contains(path) : state.files.contains(path)) {
      if (is_directory) found.insert(path);
    } else {
      superfluous.push_back(each.path());
    }
  }
  for (const std::filesystem::path& path : superfluous) std::filesystem::remove_all(path);
  for (const std::string& directory : state.directories) {
    if (found.contains(directory)) continue;
    if (::mkdir((root + "/" + directory).c_str(), 0700) != 0) throw_errno(errno, "making " + directory);
  }
  for (const auto& [path, file] : state.files) write_file(root + "/" + path, file, garbage);
}

DiskState load_state(const std::string& root) {
  DiskState state;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    std::string path = entry.path().string().substr(root.size() + 1);
    if (entry.is_directory()) {
      state.directories.insert(path);
      continue;
    }
    std::ifstream stream(entry.path(), std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(stream), {});
    Image& image = state.files[path].image;
    image.set_size(bytes.size());
    image.write(0, bytes);
  }
  return state;
}

}  // namespace azoth::proof
