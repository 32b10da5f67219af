#include "support/temp_dir.h"

#include <system_error>

#include "support/memory_dir.h"

namespace azoth::test {

TempDir::TempDir() : path_(make_unique_directory(place_of_temporary_files(), "azoth-test")) {}

TempDir::~TempDir() {
  std::error_code ignored;  // what cannot be removed is left to whoever cleans the temporary directory
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace azoth::test
