// LMDB's data file read without LMDB: its meta pages, and one page at a time, every number checked before it is used.
//
// LMDB has no checksums and believes what its pages say; one damaged byte makes it read, or write, outside of them. So
// whoever wants to know whether a file is whole must not ask LMDB. Pages are read with pread, never through the map.
// While a snapshot of the transaction is alive its pages do not change; the meta pages do, and are read until two looks
// at them agree.
//
// The layout is that of LMDB 0.9 on a 64-bit machine, little-endian (lmdb.h and mdb.c of the system's package):
//
//   page    u64 number  u16 -  u16 flags  u16 lower  u16 upper, or u32 pages of an overflow  u16 offset of each node
//   node    u16 low  u16 high  u16 flags  u16 key size  key  data
//           of a branch: low, high and flags are the number of the page below; of a leaf: low and high are the size of
//           the data; flag 1: the data is the number of the overflow page with it; flag 2: the data is a table's Tree
//   meta    page header  u32 magic  u32 version  u64 -  u64 map size  Tree of free pages  Tree of tables  u64 last page
//           u64 transaction
//   Tree    u32 -  (of the free pages: page size)  u16 flags  u16 depth  u64 branch, leaf, overflow pages  u64 entries
//           u64 root
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "azoth/core/error.h"

namespace azoth {

struct LmdbTree {
  static constexpr std::size_t kBytes = 48;
  static constexpr std::uint64_t kNoRoot = ~std::uint64_t{0};

  std::uint32_t pad = 0;
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t branch_pages = 0;
  std::uint64_t leaf_pages = 0;
  std::uint64_t overflow_pages = 0;
  std::uint64_t entries = 0;
  std::uint64_t root = kNoRoot;

  static LmdbTree decode(std::string_view bytes);  // kBytes of them
};

// Whether a tree in a file of so many pages may have this record.
bool lmdb_tree_is_possible(const LmdbTree& tree, std::uint64_t last_page);

struct LmdbMeta {
  std::uint64_t page_bytes = 0;
  std::uint64_t last_page = 0;
  std::uint64_t transaction = 0;
  LmdbTree free_pages;
  LmdbTree tables;
};

// One entry of a branch or a leaf; views into the page.
struct LmdbNode {
  std::string_view key;
  std::string_view data;   // of a leaf, if it is in the page
  std::uint64_t page = 0;  // of a branch: the one below; of a leaf: the overflow page, 0 if there is none
  std::uint32_t size = 0;  // of a leaf: of the data, wherever it is
  bool is_tree = false;
};

// A branch or a leaf whose numbers all lie inside of it. Owns nothing.
class LmdbPage {
 public:
  enum class Kind { Branch, Leaf };

  // What is wrong with it, or nothing, and then the rest may be used.
  std::optional<std::string> open(std::string_view bytes, std::uint64_t number);

  Kind kind() const { return kind_; }
  std::size_t nodes() const { return nodes_; }
  LmdbNode node(std::size_t index) const;

 private:
  std::optional<std::string> check_nodes() const;
  std::size_t offset(std::size_t index) const;
  std::size_t size_of(std::size_t at) const;  // of the node there, which may lie anywhere inside the page

  std::string_view bytes_;
  Kind kind_ = Kind::Leaf;
  std::size_t nodes_ = 0;
};

class LmdbFile {
 public:
  static constexpr std::uint64_t kFirstPage = 2;  // behind the two meta pages

  // The descriptor stays the caller's. Throws Corruption unless both meta pages are such as LMDB writes them.
  LmdbFile(int fd, std::filesystem::path path);

  // The newer of the two, which is the one that LMDB uses.
  LmdbMeta newest() const;
  // That of one transaction; nothing if it has been overwritten since.
  std::optional<LmdbMeta> of_transaction(std::uint64_t transaction) const;

  // Pages from `number` on. Throws Corruption if the file does not have them.
  void read(std::uint64_t number, std::uint64_t pages, std::string& into) const;

  std::uint64_t whole_pages() const;  // that the file has
  std::uint64_t page_bytes() const { return page_bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  using Metas = std::array<LmdbMeta, 2>;
  Metas read_metas() const;
  void require_trees(const LmdbMeta& meta) const;
  void fill(std::uint64_t offset, std::string& bytes) const;
  Error damaged(const std::string& what) const;
  Error cut_at(std::uint64_t byte) const;

  int fd_;
  std::filesystem::path path_;
  std::uint64_t page_bytes_ = 0;
};

// Before LMDB maps a file: whether its meta pages can be believed. Throws Corruption if not.
void check_lmdb_metas(const std::filesystem::path& data_file);

// How many pages an overflow has, as its header says; nothing if that is none.
std::optional<std::uint32_t> lmdb_overflow_pages(std::string_view first_page, std::uint64_t number);
inline constexpr std::size_t kLmdbPageHeaderBytes = 16;

}  // namespace azoth
