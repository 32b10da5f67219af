// Symbolic links in names that are given to the program. The library does not follow one in the last place of a name.
#pragma once

#include <filesystem>

namespace azoth::cli {

// The name without links in its last two places, where a file or directory is made, synced or replaced: what is there,
// or is to be made there, is not the link. Any other name stays as it is. Throws Error if links lead in a circle.
std::filesystem::path followed(std::filesystem::path path);

}  // namespace azoth::cli
