#include "cut.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <random>
#include <stdexcept>
#include <utility>

namespace azoth::proof {

namespace {

constexpr std::array<std::string_view, 7> kBytes = {"none", "all", "only", "all-but", "subset", "front", "back"};
constexpr std::array<std::string_view, 3> kUnits = {"write", "page", "sector"};
constexpr std::array<std::string_view, 4> kEntries = {"all", "first", "random", "scattered"};

constexpr std::size_t kSingles = 6;   // units that are tried one by one, of each kind
constexpr std::size_t kSubsets = 3;   // of each kind of unit
constexpr std::size_t kNames = 4;     // random ways to lose changes of directories
constexpr std::size_t kPrefixes = 5;  // of the changes of directories
constexpr std::size_t kTorn = 4;      // places at which the last write is torn

std::uint64_t unit_of(Cut::Unit unit, const Piece& piece, std::size_t index) {
  switch (unit) {
    case Cut::Unit::Write:
      return piece.op;
    case Cut::Unit::Page:
      return mix(mix(piece.op, piece.page), piece.is_size ? 1 : 0) >> 16;
    case Cut::Unit::Sector:
      return index;
  }
  return 0;
}

template <std::size_t N>
std::size_t index_of(const std::array<std::string_view, N>& names, std::string_view name) {
  auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw std::invalid_argument("no cut has the word " + std::string(name));
  return static_cast<std::size_t>(found - names.begin());
}

// At most so many of them, evenly, from a random one on.
template <class T>
std::vector<T> sample(const std::vector<T>& all, std::size_t most, std::mt19937_64& random) {
  if (all.size() <= most) return all;
  std::vector<T> some;
  std::size_t start = random() % all.size();
  for (std::size_t i = 0; i < most; ++i) some.push_back(all[(start + i * all.size() / most) % all.size()]);
  return some;
}

std::vector<std::uint64_t> units(Cut::Unit unit, const std::vector<Piece>& pieces) {
  std::vector<std::uint64_t> found;
  for (std::size_t i = 0; i < pieces.size(); ++i) found.push_back(unit_of(unit, pieces[i], i));
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::size_t last_op_of(const std::vector<Piece>& pieces) {
  std::size_t last = 0;
  for (const Piece& piece : pieces) last = std::max(last, piece.op);
  return last;
}

void add_byte_cuts(const std::vector<Piece>& pieces, std::mt19937_64& random, std::vector<Cut>& cuts) {
  std::size_t seen = 1;  // one unit alone is all or nothing
  for (Cut::Unit unit : {Cut::Unit::Write, Cut::Unit::Page, Cut::Unit::Sector}) {
    std::vector<std::uint64_t> all = units(unit, pieces);
    if (std::exchange(seen, all.size()) == all.size()) continue;  // as before
    for (std::uint64_t which : sample(all, kSingles, random)) {
      cuts.push_back({.bytes = Cut::Bytes::Only, .unit = unit, .which = which});
      cuts.push_back({.bytes = Cut::Bytes::AllBut, .unit = unit, .which = which});
    }
    for (std::size_t i = 0; i < kSubsets && all.size() > 2; ++i) {
      cuts.push_back({.bytes = Cut::Bytes::Subset, .unit = unit, .which = random() >> 16});
    }
  }
  std::size_t last = last_op_of(pieces);
  auto sectors = static_cast<std::size_t>(
      std::count_if(pieces.begin(), pieces.end(), [&](const Piece& piece) { return piece.op == last; }));
  for (std::size_t i = 0; i < kTorn && sectors > 1; ++i) {
    std::uint64_t which = 1 + random() % (sectors - 1);
    cuts.push_back({.bytes = i % 2 == 0 ? Cut::Bytes::Front : Cut::Bytes::Back, .which = which});
  }
}

// Each way to lose bytes is combined with some way to lose names, so that both kinds are tried at once.
void add_entry_cuts(std::size_t changes, std::mt19937_64& random, std::vector<Cut>& cuts) {
  std::vector<std::uint64_t> prefixes(changes);
  for (std::size_t i = 0; i < changes; ++i) prefixes[i] = i;
  const std::size_t byte_cuts = cuts.size();
  for (std::uint64_t prefix : sample(prefixes, kPrefixes, random)) {
    for (Cut::Bytes bytes : {Cut::Bytes::All, Cut::Bytes::None}) {
      cuts.push_back({.bytes = bytes, .entries = Cut::Entries::First, .entries_which = prefix});
    }
    Cut cut = cuts[random() % byte_cuts];
    cut.entries = Cut::Entries::First;
    cut.entries_which = prefix;
    cuts.push_back(cut);
  }
  for (std::size_t i = 0; i < kNames && changes > 1; ++i) {
    Cut cut = cuts[random() % byte_cuts];
    cut.entries = i % 2 == 0 ? Cut::Entries::Random : Cut::Entries::Scattered;
    cut.entries_which = random() >> 16;
    cuts.push_back(cut);
  }
}

}  // namespace

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t mixed = (a ^ (b + 0x9E3779B97F4A7C15u + (a << 6) + (a >> 2))) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return mixed ^ (mixed >> 31);
}

bool Cut::keeps(const Piece& piece, std::size_t index, std::size_t last_op) const {
  const std::uint64_t own = unit_of(unit, piece, index);
  const bool in_last = piece.op == last_op && !piece.is_size;
  switch (bytes) {
    case Bytes::None:
      return false;
    case Bytes::All:
      return true;
    case Bytes::Only:
      return own == which;
    case Bytes::AllBut:
      return own != which;
    case Bytes::Subset:
      return (mix(which, own) & 1) != 0;
    case Bytes::Front:
      return !in_last || piece.position < which;
    case Bytes::Back:
      return !in_last || piece.position >= which;
  }
  return true;
}

bool Cut::keeps_entry(std::size_t number, std::size_t directory, std::size_t place, std::size_t count) const {
  switch (entries) {
    case Entries::All:
      return true;
    case Entries::First:
      return number < entries_which;
    case Entries::Random:
      return place < mix(entries_which, directory) % (count + 1);
    case Entries::Scattered:
      return (mix(entries_which, number) & 1) != 0;
  }
  return true;
}

std::string Cut::text() const {
  std::string text(kBytes[static_cast<std::size_t>(bytes)]);
  text.append(",").append(kUnits[static_cast<std::size_t>(unit)]).append(",").append(std::to_string(which));
  text.append(",").append(kEntries[static_cast<std::size_t>(entries)]).append(",");
  return text + std::to_string(entries_which);
}

Cut Cut::parse(std::string_view text) {
  std::array<std::string_view, 5> words;
  for (std::string_view& word : words) {
    word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  auto number = [](std::string_view word) {
    std::uint64_t value = 0;
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{}) throw std::invalid_argument("not a number: " + std::string(word));
    return value;
  };
  return {.bytes = static_cast<Bytes>(index_of(kBytes, words[0])),
          .unit = static_cast<Unit>(index_of(kUnits, words[1])),
          .which = number(words[2]),
          .entries = static_cast<Entries>(index_of(kEntries, words[3])),
          .entries_which = number(words[4])};
}

std::vector<Cut> cuts_at(const std::vector<Piece>& pieces, std::size_t entry_changes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Cut> cuts{{.bytes = Cut::Bytes::All}, {.bytes = Cut::Bytes::None}};
  add_byte_cuts(pieces, random, cuts);
  add_entry_cuts(entry_changes, random, cuts);
  return cuts;
}

}  // namespace azoth::proof
