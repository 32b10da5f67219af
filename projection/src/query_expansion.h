// How often the tables of WITH, and the views that the text makes, are written out when SQLite prepares a statement:
// once for each time that they are named, and the ones that they name again each time. Preparing cannot be interrupted,
// so it is looked at before.
#pragma once

#include <string_view>

namespace azoth {

inline constexpr double kMaxWithExpansions = 10'000;

// An estimate, from the words of the text, of the statement that has most, or of all triggers together: exact for what
// is written plainly; no statement is refused for a few too many.
double with_expansions(std::string_view text);

}  // namespace azoth
