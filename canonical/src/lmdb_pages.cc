#include "lmdb_pages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <utility>

#include "azoth/core/codec.h"

namespace azoth {

namespace {

enum PageFlag : std::uint16_t { kBranch = 1, kLeaf = 2, kOverflow = 4, kMeta = 8 };
enum NodeFlag : std::uint16_t { kBigData = 1, kSubTree = 2 };

constexpr std::size_t kHeader = kLmdbPageHeaderBytes;
constexpr std::size_t kNodeHeader = 8;
constexpr std::size_t kMetaBytes = kHeader + 24 + 2 * LmdbTree::kBytes + 16;
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kMinPageBytes = 512;
constexpr std::uint64_t kMaxPageBytes = 32768;
constexpr std::uint16_t kIntegerKeys = 8;  // of the tree of free pages
constexpr std::uint16_t kDeepest = 32;     // LMDB's cursors go no deeper

constexpr std::size_t even(std::size_t size) { return (size + 1) & ~std::size_t{1}; }

std::uint64_t number_of(std::string_view page) { return codec::load<std::uint64_t>(page.data()); }
std::uint16_t flags_of(std::string_view page) { return codec::load<std::uint16_t>(page.data() + 10); }

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// What LMDB writes as meta page `index`, or why this is none.
std::optional<std::string> decode_meta(std::string_view bytes, std::uint64_t index, LmdbMeta& meta) {
  if (number_of(bytes) != index || flags_of(bytes) != kMeta) return "is none";
  codec::Reader reader(bytes.substr(kHeader));
  if (reader.read<std::uint32_t>() != kMagic || reader.read<std::uint32_t>() != kVersion) return "is none of LMDB's";
  reader.take(8 + 8);  // where and how large its map was
  meta.free_pages = LmdbTree::decode(reader.take(LmdbTree::kBytes));
  meta.tables = LmdbTree::decode(reader.take(LmdbTree::kBytes));
  meta.last_page = reader.read<std::uint64_t>();
  meta.transaction = reader.read<std::uint64_t>();
  meta.page_bytes = meta.free_pages.pad;
  if (!std::has_single_bit(meta.page_bytes) || meta.page_bytes < kMinPageBytes || meta.page_bytes > kMaxPageBytes) {
    return "has pages of " + std::to_string(meta.page_bytes) + " bytes";
  }
  if (meta.free_pages.flags != kIntegerKeys || meta.tables.flags != 0) return "has flags that Azoth does not use";
  if (meta.last_page + 1 < LmdbFile::kFirstPage || meta.last_page > UINT64_MAX / meta.page_bytes - 1) {
    return "has an impossible number of pages";
  }
  return std::nullopt;
}

// Of the meta page that counts only: when LMDB fails to write one, it puts the number of the transaction before it back,
// but not its trees.
bool trees_are_possible(const LmdbMeta& meta) {
  return lmdb_tree_is_possible(meta.free_pages, meta.last_page) && lmdb_tree_is_possible(meta.tables, meta.last_page);
}

// Transactions write the two in turn. A new file has neither.
bool follow_each_other(const LmdbMeta& even_one, const LmdbMeta& odd_one) {
  if (even_one.transaction == 0) return odd_one.transaction <= 1;
  if (even_one.transaction % 2 != 0) return false;
  return odd_one.transaction == even_one.transaction - 1 || odd_one.transaction == even_one.transaction + 1;
}

}  // namespace

// --- LmdbTree

LmdbTree LmdbTree::decode(std::string_view bytes) {
  codec::Reader reader(bytes);
  LmdbTree tree;
  tree.pad = reader.read<std::uint32_t>();
  tree.flags = reader.read<std::uint16_t>();
  tree.depth = reader.read<std::uint16_t>();
  tree.branch_pages = reader.read<std::uint64_t>();
  tree.leaf_pages = reader.read<std::uint64_t>();
  tree.overflow_pages = reader.read<std::uint64_t>();
  tree.entries = reader.read<std::uint64_t>();
  tree.root = reader.read<std::uint64_t>();
  return tree;
}

bool lmdb_tree_is_possible(const LmdbTree& tree, std::uint64_t last_page) {
  if (tree.root == LmdbTree::kNoRoot) return tree.depth == 0 && tree.entries == 0;
  return tree.root >= LmdbFile::kFirstPage && tree.root <= last_page && tree.depth > 0 && tree.depth <= kDeepest;
}

// --- LmdbPage

std::optional<std::string> LmdbPage::open(std::string_view bytes, std::uint64_t number) {
  bytes_ = bytes;
  if (number_of(bytes) != number) return "says that it is page " + std::to_string(number_of(bytes));
  std::uint16_t flags = flags_of(bytes);
  if (flags != kBranch && flags != kLeaf) return "is neither a branch nor a leaf";
  kind_ = flags == kBranch ? Kind::Branch : Kind::Leaf;
  std::size_t lower = codec::load<std::uint16_t>(bytes.data() + 12);
  std::size_t upper = codec::load<std::uint16_t>(bytes.data() + 14);
  if (lower <= kHeader || lower % 2 != 0 || lower > upper || upper > bytes.size()) {
    return "has bounds that cannot be";
  }
  nodes_ = (lower - kHeader) / 2;
  for (std::size_t i = 0; i < nodes_; ++i) {
    if (offset(i) < upper) return "has an entry in its free space";
  }
  return check_nodes();
}

// Entries fill what is behind the free space, each its own place and without gaps.
std::optional<std::string> LmdbPage::check_nodes() const {
  std::size_t upper = codec::load<std::uint16_t>(bytes_.data() + 14);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < nodes_; ++i) {
    std::size_t at = offset(i);
    if (at % 2 != 0 || at + kNodeHeader > bytes_.size()) return "has an entry outside of it";
    if (kind_ == Kind::Leaf && codec::load<std::uint16_t>(bytes_.data() + at + 4) > kSubTree) {
      return "has an entry of a kind that Azoth does not use";
    }
    std::size_t size = size_of(at);
    if (at + size > bytes_.size()) return "has an entry that does not end in it";
    taken += even(size);
  }
  if (taken != bytes_.size() - upper) return "has entries that overlap, or gaps between them";
  return std::nullopt;
}

std::size_t LmdbPage::offset(std::size_t index) const {
  return codec::load<std::uint16_t>(bytes_.data() + kHeader + 2 * index);
}

std::size_t LmdbPage::size_of(std::size_t at) const {
  const char* node = bytes_.data() + at;
  std::size_t size = kNodeHeader + codec::load<std::uint16_t>(node + 6);
  if (kind_ == Kind::Branch) return size;
  bool big = (codec::load<std::uint16_t>(node + 4) & kBigData) != 0;
  return size + (big ? sizeof(std::uint64_t) : codec::load<std::uint32_t>(node));
}

LmdbNode LmdbPage::node(std::size_t index) const {
  std::string_view bytes = bytes_.substr(offset(index));
  std::uint32_t low = codec::load<std::uint32_t>(bytes.data());
  std::uint16_t flags = codec::load<std::uint16_t>(bytes.data() + 4);
  LmdbNode node;
  node.key = bytes.substr(kNodeHeader, codec::load<std::uint16_t>(bytes.data() + 6));
  std::string_view data = bytes.substr(kNodeHeader + node.key.size());
  if (kind_ == Kind::Branch) {
    node.page = low | std::uint64_t{flags} << 32;
  } else if ((flags & kBigData) != 0) {
    node.page = codec::load<std::uint64_t>(data.data());
    node.size = low;
  } else {
    node.data = data.substr(0, low);
    node.size = low;
    node.is_tree = (flags & kSubTree) != 0;
  }
  return node;
}

std::optional<std::uint32_t> lmdb_overflow_pages(std::string_view first_page, std::uint64_t number) {
  if (number_of(first_page) != number || flags_of(first_page) != kOverflow) return std::nullopt;
  return codec::load<std::uint32_t>(first_page.data() + 12);
}

// --- LmdbFile

LmdbFile::LmdbFile(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {
  std::string first(kMetaBytes, '\0');
  fill(0, first);
  LmdbMeta meta;
  if (auto why = decode_meta(first, 0, meta)) throw damaged("meta page 0 " + *why);
  page_bytes_ = meta.page_bytes;
}

LmdbMeta LmdbFile::newest() const {
  Metas metas = read_metas();
  const LmdbMeta meta = metas[0].transaction > metas[1].transaction ? metas[0] : metas[1];
  require_trees(meta);
  return meta;
}

std::optional<LmdbMeta> LmdbFile::of_transaction(std::uint64_t transaction) const {
  LmdbMeta meta = read_metas()[transaction % 2];
  if (meta.transaction != transaction) return std::nullopt;
  require_trees(meta);
  return meta;
}

void LmdbFile::require_trees(const LmdbMeta& meta) const {
  if (trees_are_possible(meta)) return;
  throw damaged("meta page " + std::to_string(meta.transaction % 2) +
                " has a tree whose root is outside of the file, or too deep");
}

// Beside a writer one may be read while it is written; transactions never go back, so what is read twice was there.
LmdbFile::Metas LmdbFile::read_metas() const {
  auto look = [&] {
    std::array<std::string, 2> both = {std::string(kMetaBytes, '\0'), std::string(kMetaBytes, '\0')};
    for (std::uint64_t i = 0; i < both.size(); ++i) fill(i * page_bytes_, both[i]);
    return both;
  };
  auto bytes = look();
  for (auto again = look(); again != bytes; again = look()) bytes = std::move(again);
  Metas metas;
  for (std::uint64_t i = 0; i < metas.size(); ++i) {
    auto why = decode_meta(bytes[i], i, metas[i]);
    if (why) throw damaged("meta page " + std::to_string(i) + " " + *why);
    if (metas[i].page_bytes != page_bytes_) throw damaged("its meta pages differ in the size of pages");
  }
  if (!follow_each_other(metas[0], metas[1])) {
    throw damaged("its meta pages are of transactions " + std::to_string(metas[0].transaction) + " and " +
                  std::to_string(metas[1].transaction) + ", which do not follow each other");
  }
  return metas;
}

Error LmdbFile::damaged(const std::string& what) const {
  return Error(ErrorCode::Corruption, path_.string() + " is damaged: " + what + "; restore it from a copy or a backup");
}

void LmdbFile::read(std::uint64_t number, std::uint64_t pages, std::string& into) const {
  into.resize(pages * page_bytes_);
  fill(number * page_bytes_, into);
}

std::uint64_t LmdbFile::whole_pages() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) throw_errno(errno, "finding the size of " + path_.string());
  return static_cast<std::uint64_t>(status.st_size) / page_bytes_;
}

void LmdbFile::fill(std::uint64_t offset, std::string& bytes) const {
  std::size_t got = 0;
  while (got < bytes.size()) {
    ssize_t n = pread(fd_, bytes.data() + got, bytes.size() - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(errno, "reading " + path_.string());
    if (n == 0) throw cut_at(offset + bytes.size());
    got += static_cast<std::size_t>(n);
  }
}

Error LmdbFile::cut_at(std::uint64_t byte) const {
  return Error(ErrorCode::Corruption, path_.string() + " ends before byte " + std::to_string(byte) +
                                          ": it was cut; restore it from a copy or a backup");
}

void check_lmdb_metas(const std::filesystem::path& data_file) {
  FileDescriptor fd(open(data_file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd.get() < 0) throw_errno(errno, "opening " + data_file.string());
  LmdbFile(fd.get(), data_file).newest();
}

}  // namespace azoth
