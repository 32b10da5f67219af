#include "support/temp_dir.h"

#include <system_error>

#include "support/memory_dir.h"

namespace azoth::test {

TempDir::TempDir() : TempDir(place_of_temporary_files()) {}

TempDir::TempDir(const std::filesystem::path& parent) : path_(make_unique_directory(parent, "azoth-test")) {}

TempDir::~TempDir() {
  std::error_code ignored;  // what cannot be removed is left to whoever cleans the temporary directory
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace azoth::test
