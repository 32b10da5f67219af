// Copies of stores that are open.
#pragma once

#include <filesystem>

namespace azoth::test {

// As a kill at this moment would leave its files, in `to`, which is replaced, without the lock file. The store may be
// open and its journal's keeper at work, which renames files: then again, until nothing has changed meanwhile. Throws
// std::runtime_error if it never stands still.
void copy_store(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace azoth::test
