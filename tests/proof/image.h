// What a file holds, in blocks that copies share: making a variant of a file costs the blocks in which it differs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace azoth::proof {

inline constexpr std::size_t kBlockBytes = 4096;
inline constexpr std::size_t kSectorBytes = 512;

class Image {
 public:
  std::uint64_t size() const { return size_; }
  // Changes the size only: bytes behind it stay where they are, for a size that comes back.
  void set_size(std::uint64_t size) { size_ = size; }
  // Zeros from here on.
  void clear_from(std::uint64_t offset);
  // Does not change the size.
  void write(std::uint64_t offset, std::string_view bytes);
  // Forgets what lies behind the size.
  void trim() { clear_from(size_); }

  std::string read(std::uint64_t offset, std::size_t bytes) const;
  std::uint64_t hash() const;

  // Blocks that are not zero, in their order: f(offset, bytes).
  template <class Visit>
  void for_each_block(Visit visit) const {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i]) visit(i * kBlockBytes, std::string_view(blocks_[i]->bytes.data(), kBlockBytes));
    }
  }

 private:
  struct Block {
    std::array<char, kBlockBytes> bytes{};
    mutable std::uint64_t hash = 0;  // 0: nobody has asked for it yet
  };
  using BlockPtr = std::shared_ptr<const Block>;

  static BlockPtr finish(std::shared_ptr<Block> block);       // null if it is all zero
  void change(std::uint64_t offset, std::string_view bytes);  // within one block

  std::uint64_t size_ = 0;
  std::vector<BlockPtr> blocks_;  // null: zeros
};

// All files and directories below a root.
struct DiskState {
  struct FileState {
    Image image;
    bool mapped = false;  // something writes it through a map: what it holds is anybody's guess
  };
  std::map<std::string, FileState> files;
  std::set<std::string> directories;  // without the root

  std::uint64_t hash() const;
  DiskState below(const std::string& directory) const;  // the part that is this directory, with the paths as they are
  void add(const DiskState& part);
};

// Makes a directory hold this and nothing else. Files that are mapped are filled with garbage if `garbage` is not 0.
void materialise(const DiskState& state, const std::string& root, std::uint64_t garbage = 0);
DiskState load_state(const std::string& root);

}  // namespace azoth::proof
