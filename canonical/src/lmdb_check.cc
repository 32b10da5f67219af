#include "lmdb_check.h"

#include <algorithm>
#include <utility>

#include "azoth/core/bytes.h"
#include "azoth/core/codec.h"

namespace azoth {

namespace {

constexpr std::size_t kMostProblems = 20;
constexpr std::size_t kMaxKeyBytes = 511;

using Order = bool (*)(std::string_view, std::string_view);  // strictly before
bool bytes_before(std::string_view a, std::string_view b) { return a < b; }
bool number_before(std::string_view a, std::string_view b) {  // in the list of free pages keys are transactions
  return codec::load<std::uint64_t>(a.data()) < codec::load<std::uint64_t>(b.data());
}

// What has a use so far. Shared by the walks over all trees.
class PagesInUse {
 public:
  PagesInUse(const LmdbFile& file, const LmdbMeta& meta)
      : used_(std::min(file.whole_pages(), meta.last_page + 1), false), pages_(meta.last_page + 1) {}

  // Why the pages from `number` on cannot have one more use, or nothing: then they have it.
  std::optional<std::string> take(std::uint64_t number, std::uint64_t pages) {
    if (number < LmdbFile::kFirstPage || number >= pages_ || pages > pages_ - number) return "is outside of the file";
    if (number + pages > used_.size()) return "is behind the end of the file, which was cut";
    for (std::uint64_t page = number; page < number + pages; ++page) {
      if (used_[page]) return "has two uses";
      used_[page] = true;
    }
    taken_ += pages;
    return std::nullopt;
  }

  // A free page may lie behind the end of the file: LMDB does not write what a transaction took and gave back.
  std::optional<std::string> take_free(std::uint64_t number) {
    if (number >= used_.size() && number < pages_) {
      ++taken_;
      return std::nullopt;
    }
    return take(number, 1);
  }

  std::uint64_t taken() const { return taken_; }
  std::uint64_t left() const { return pages_ - LmdbFile::kFirstPage - taken_; }

 private:
  std::vector<bool> used_;
  std::uint64_t pages_;
  std::uint64_t taken_ = 0;
};

// One tree, in the order of its keys.
class TreeWalk {
 public:
  using Each = std::function<void(const LmdbNode&)>;

  TreeWalk(const LmdbFile& file, PagesInUse& in_use, LmdbCheck& check, std::string name)
      : file_(file), in_use_(in_use), check_(check), name_(std::move(name)) {}

  void ordered_by(Order order, std::size_t key_bytes) {
    order_ = order;
    key_bytes_ = key_bytes;
  }
  void skip(const SkipKeys& skip) { skip_ = skip; }

  void run(const LmdbTree& tree, const Each& each) {
    depth_ = tree.depth;
    each_ = each;
    if (depth_ > 0) walk(tree.root, 0, {}, {});
    if (!complete_) return;
    compare(found_.branch_pages, tree.branch_pages, "branch pages");
    compare(found_.leaf_pages, tree.leaf_pages, "leaf pages");
    compare(found_.overflow_pages, tree.overflow_pages, "overflow pages");
    compare(found_.entries, tree.entries, "entries");
  }

  // The data of an entry, wherever it is; empty if it cannot be had, which was then noted.
  std::string_view data_of(const LmdbNode& node, std::string& room) {
    if (node.page == 0) return node.data;
    std::uint64_t pages = overflow_pages(node);
    if (pages == 0) return {};
    file_.read(node.page, pages, room);
    return std::string_view(room).substr(kLmdbPageHeaderBytes, node.size);
  }

  void problem(const std::string& what) {
    complete_ = false;
    if (check_.problems.size() < kMostProblems) check_.problems.push_back(file_.path().string() + ": " + what);
  }
  const std::string& name() const { return name_; }

 private:
  using Key = std::optional<std::string_view>;

  void page_problem(std::uint64_t number, const std::string& what) {
    problem("page " + std::to_string(number) + " of " + name_ + " " + what);
  }

  void compare(std::uint64_t found, std::uint64_t expected, const char* what) {
    if (found == expected) return;
    problem(name_ + " has " + std::to_string(found) + " " + what + " and should have " + std::to_string(expected));
  }

  // `low` and `high` are in the pages above, which stay as long as this goes on.
  void walk(std::uint64_t number, std::size_t level, Key low, Key high) {
    if (check_.problems.size() >= kMostProblems) return;
    if (auto why = in_use_.take(number, 1)) return page_problem(number, *why);
    if (buffers_.size() <= level) buffers_.resize(level + 1);
    file_.read(number, 1, buffers_[level]);
    LmdbPage page;
    if (auto why = page.open(buffers_[level], number)) return page_problem(number, *why);
    bool is_last = level + 1 == depth_;
    if ((page.kind() == LmdbPage::Kind::Leaf) != is_last)
      return page_problem(number, "is not on the level of its kind");
    if (auto why = check_keys(page, low, high)) return page_problem(number, *why);
    if (is_last) {
      walk_leaf(page);
    } else {
      walk_branch(page, level, low, high);
    }
  }

  // The first key of a branch stands for all that come before the second.
  std::optional<std::string> check_keys(const LmdbPage& page, Key low, Key high) const {
    const bool branch = page.kind() == LmdbPage::Kind::Branch;
    if (branch && page.nodes() < 2) return "is a branch to a single page";
    Key previous;
    for (std::size_t i = branch ? 1 : 0; i < page.nodes(); ++i) {
      const std::string_view key = page.node(i).key;
      if (key.empty() || key.size() > kMaxKeyBytes || (key_bytes_ != 0 && key.size() != key_bytes_)) {
        return "has a key of " + std::to_string(key.size()) + " bytes";
      }
      if (previous && !order_(*previous, key)) return "has keys that are out of order";
      if ((low && order_(key, *low)) || (high && !order_(key, *high))) {
        return "has key " + printable(key) + ", which does not belong there";
      }
      previous = key;
    }
    return std::nullopt;
  }

  void walk_branch(const LmdbPage& page, std::size_t level, Key low, Key high) {
    ++found_.branch_pages;
    for (std::size_t i = 0; i < page.nodes(); ++i) {
      const Key begin = i == 0 ? low : Key(page.node(i).key);
      const Key end = i + 1 == page.nodes() ? high : Key(page.node(i + 1).key);
      if (skip_ && skip_(begin.value_or(std::string_view()), end)) {
        complete_ = false;
        continue;
      }
      walk(page.node(i).page, level + 1, begin, end);
    }
  }

  void walk_leaf(const LmdbPage& page) {
    ++found_.leaf_pages;
    found_.entries += page.nodes();
    for (std::size_t i = 0; i < page.nodes(); ++i) {
      const LmdbNode node = page.node(i);
      if (node.page != 0) take_overflow(node);
      if (each_) each_(node);
    }
  }

  void take_overflow(const LmdbNode& node) {
    if (auto why = in_use_.take(node.page, 1)) return page_problem(node.page, *why);
    const std::uint64_t pages = overflow_pages(node);
    if (pages == 0) return page_problem(node.page, "should hold " + std::to_string(node.size) + " bytes and does not");
    if (auto why = in_use_.take(node.page + 1, pages - 1); why && pages > 1) page_problem(node.page + 1, *why);
    found_.overflow_pages += pages;
  }

  // 0: it is none, or does not hold what the entry says.
  std::uint64_t overflow_pages(const LmdbNode& node) {
    if (node.page >= file_.whole_pages()) return 0;
    file_.read(node.page, 1, overflow_);
    const std::uint64_t pages = lmdb_overflow_pages(overflow_, node.page).value_or(0);
    const bool fits = pages <= file_.whole_pages() - node.page &&
                      pages * file_.page_bytes() >= kLmdbPageHeaderBytes + std::uint64_t{node.size};
    return fits ? pages : 0;
  }

  const LmdbFile& file_;
  PagesInUse& in_use_;
  LmdbCheck& check_;
  const std::string name_;
  Order order_ = bytes_before;
  std::size_t key_bytes_ = 0;  // 0: any number
  SkipKeys skip_;
  Each each_;
  std::size_t depth_ = 0;
  bool complete_ = true;  // nothing was skipped
  LmdbTree found_;
  std::vector<std::string> buffers_;  // a page for each level
  std::string overflow_;
};

struct NamedTree {
  std::string name;
  LmdbTree tree;
};

class FileWalk {
 public:
  FileWalk(const LmdbFile& file, const LmdbMeta& meta) : file_(file), meta_(meta), in_use_(file, meta) {}

  LmdbCheck whole() {
    for (const NamedTree& table : tables()) {
      TreeWalk walk(file_, in_use_, check_, "table " + table.name);
      walk.run(table.tree, no_trees(walk));
    }
    free_pages();
    check_.pages = in_use_.taken();
    check_.lost = check_.problems.empty() ? in_use_.left() : 0;
    return std::move(check_);
  }

  LmdbCheck entrance(std::string_view name, const SkipKeys& skip, bool writing) {
    for (const NamedTree& table : tables()) {
      if (table.name != name) continue;
      TreeWalk walk(file_, in_use_, check_, "table " + table.name);
      walk.skip(skip);
      walk.run(table.tree, no_trees(walk));
    }
    if (writing) free_pages();
    check_.pages = in_use_.taken();
    return std::move(check_);
  }

 private:
  static TreeWalk::Each no_trees(TreeWalk& walk) {
    return [&walk](const LmdbNode& node) {
      if (node.is_tree) walk.problem(walk.name() + " has a table inside of it");
    };
  }

  std::vector<NamedTree> tables() {
    std::vector<NamedTree> found;
    TreeWalk walk(file_, in_use_, check_, "the list of tables");
    walk.run(meta_.tables, [&](const LmdbNode& node) {
      const std::string name = printable(node.key);
      if (!node.is_tree || node.size != LmdbTree::kBytes) return walk.problem(name + " should be a table and is none");
      const LmdbTree tree = LmdbTree::decode(node.data);
      if (tree.pad != 0 || tree.flags != 0 || !lmdb_tree_is_possible(tree, meta_.last_page)) {
        return walk.problem("the record of table " + name + " is not one that Azoth has written");
      }
      found.push_back({name, tree});
    });
    return found;
  }

  void free_pages() {
    TreeWalk walk(file_, in_use_, check_, "the list of free pages");
    walk.ordered_by(number_before, sizeof(std::uint64_t));
    std::string room;
    walk.run(meta_.free_pages, [&](const LmdbNode& node) {
      if (node.is_tree) return walk.problem("the list of free pages has a table inside of it");
      if (codec::load<std::uint64_t>(node.key.data()) > meta_.transaction) {
        return walk.problem("the list of free pages has some of a transaction that was not yet");
      }
      free_pages_of(walk, walk.data_of(node, room));
    });
  }

  // Their number, and theirs from the last one to the first.
  void free_pages_of(TreeWalk& walk, std::string_view list) {
    codec::Reader reader(list);
    const auto count = reader.read<std::uint64_t>();
    if (reader.failed() || count > reader.rest().size() / sizeof count) {
      return walk.problem("the list of free pages is cut short");
    }
    std::uint64_t previous = meta_.last_page + 1;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto page = reader.read<std::uint64_t>();
      if (page >= previous) return walk.problem("the list of free pages is out of order");
      if (auto why = in_use_.take_free(page)) return walk.problem("the free page " + std::to_string(page) + " " + *why);
      previous = page;
    }
  }

  const LmdbFile& file_;
  const LmdbMeta& meta_;
  PagesInUse in_use_;
  LmdbCheck check_;
};

}  // namespace

LmdbCheck check_lmdb(const LmdbFile& file, const LmdbMeta& meta) { return FileWalk(file, meta).whole(); }

LmdbCheck check_lmdb_entrance(const LmdbFile& file, const LmdbMeta& meta, std::string_view table, const SkipKeys& skip,
                              bool writing) {
  return FileWalk(file, meta).entrance(table, skip, writing);
}

}  // namespace azoth
