#include "links.h"

#include <cerrno>

#include "azoth/core/error.h"

namespace azoth::cli {

namespace fs = std::filesystem;

// Also one that leads to nothing yet, which canonical() could not tell.
fs::path followed(fs::path path) {
  constexpr int kMostLinks = 40;  // as the kernel follows
  std::error_code unknown;
  if (!path.has_filename()) path = path.parent_path();
  for (int links = 0; fs::is_symlink(path, unknown); ++links) {
    if (links == kMostLinks) throw_errno(ELOOP, "following " + path.string());
    const fs::path to = fs::read_symlink(path, unknown);
    if (unknown) throw_errno(unknown.value(), "following " + path.string());
    path = path.parent_path() / to;  // the latter alone if it is absolute
  }
  const fs::path parent = path.parent_path();
  if (!fs::is_symlink(parent, unknown)) return path;
  const fs::path real = fs::canonical(parent, unknown);
  return unknown ? path : real / path.filename();
}

}  // namespace azoth::cli
