#include "support/temp_dir.h"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "azoth/core/error.h"

namespace azoth::test {

TempDir::TempDir() {
  const char* parent = std::getenv("TMPDIR");
  std::string name = parent != nullptr && *parent != '\0' ? parent : "/tmp";
  name += "/azoth-test-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw_errno(errno, "cannot make the temporary directory " + name);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;  // what cannot be removed is left to whoever cleans the temporary directory
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace azoth::test
