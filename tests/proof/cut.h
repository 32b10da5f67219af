// A cut says which pending pieces of a disk are on it after the power has gone. It is a few words of text, so that a
// state can be made again from them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace azoth::proof {

// A pending change of one sector, or of one file's size.
struct Piece {
  std::size_t op;          // that made it
  std::uint64_t page;      // of the file, 4096 bytes each
  std::uint64_t position;  // in its write, in sectors
  std::size_t file;        // which
  bool is_size;
};

struct Cut {
  enum class Bytes {
    None,
    All,
    Only,    // unit `which` and nothing else
    AllBut,  // unit `which` is missing
    Subset,  // a coin is tossed for each unit, seeded with `which`
    Front,   // of the last write so many sectors, counted from its front; all of what is before it
    Back,    // of the last write all but so many
  };
  enum class Unit { Write, Page, Sector };
  enum class Entries {
    All,
    First,      // the first `entries_which`, of all directories together
    Random,     // of each directory the first ones, seeded with `entries_which`
    Scattered,  // a coin is tossed for each
  };

  Bytes bytes = Bytes::All;
  Unit unit = Unit::Write;
  std::uint64_t which = 0;
  Entries entries = Entries::All;
  std::uint64_t entries_which = 0;

  // `index`: of the piece among all pieces. `last_op`: that made any piece.
  bool keeps(const Piece& piece, std::size_t index, std::size_t last_op) const;
  // Of the changes of directories the `number`th; the `place`th of the `count` of its directory, the `directory`th.
  bool keeps_entry(std::size_t number, std::size_t directory, std::size_t place, std::size_t count) const;

  std::string text() const;
  static Cut parse(std::string_view text);
};

// The cuts to try at one moment: nothing, everything, each unit missing and alone, torn writes, random subsets, with
// none, some or all of the changes of directories. What there is too much of is sampled.
std::vector<Cut> cuts_at(const std::vector<Piece>& pieces, std::size_t entry_changes, std::uint64_t seed);

std::uint64_t mix(std::uint64_t a, std::uint64_t b);

}  // namespace azoth::proof
