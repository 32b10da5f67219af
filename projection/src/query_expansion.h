// What SQLite writes out when it prepares a statement: the tables of WITH, and the views that the text makes, once for
// each time that they are named, and the ones that they name again each time; and columns. Preparing cannot be
// interrupted, so it is looked at before.
#pragma once

#include <string_view>

namespace azoth {

inline constexpr double kMaxWithExpansions = 10'000;

// An estimate, from the words of the text, of the statement that has most, or of all triggers together: exact for what
// is written plainly; no statement is refused for a few too many.
double with_expansions(std::string_view text);

// In a statement a result column's expression takes the place of its name behind the result columns (AsTheyAre). If
// SELECTs of FROM, tables of WITH and views are flattened, it does so in the SELECT around them, too: x + x, of x + x
// of an x, is four.
enum class Columns { AsTheyAre, Flattened };
inline constexpr double kMaxColumnCopies = 200'000;

// An estimate, from the words of the text, of the operands that a statement has more than its text, or all triggers
// together. It may be far too large, as not all is flattened; hardly too small.
double column_copies(std::string_view text, Columns columns);

}  // namespace azoth
