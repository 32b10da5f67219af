// A walk over the pages of LMDB's data file, by what they say and not by LMDB: whether LMDB can be let loose on them.
//
// Whole: every page that the transaction's meta page leads to is what its place asks for, keys are in order within
// pages and between them, no page has two uses, free pages are no live ones, and each tree has as many pages and
// entries as its record says. What stands in the entries is not looked at: the rows have checksums (verify.h).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lmdb_pages.h"

namespace azoth {

struct LmdbCheck {
  std::vector<std::string> problems;  // a few of them; not all pages are reached behind one
  std::uint64_t pages = 0;            // that have a use
  std::uint64_t lost = 0;             // that have none and are not free either; meaningless if there are problems
};

// All pages. The transaction must not end meanwhile.
LmdbCheck check_lmdb(const LmdbFile& file, const LmdbMeta& meta);

// A stretch of a table's keys, of which the pages need not be looked at: `low` is the first key that it may have,
// `high` is behind the last one; without them, from the beginning or to the end.
using SkipKeys = std::function<bool(std::string_view low, std::optional<std::string_view> high)>;

// Only what is used before anything is asked for: the list of tables, of one table the pages that are not to be
// skipped, and the free pages if somebody is going to write.
LmdbCheck check_lmdb_entrance(const LmdbFile& file, const LmdbMeta& meta, std::string_view table, const SkipKeys& skip,
                              bool writing);

}  // namespace azoth
