#include "support/copy_store.h"

#include <set>
#include <stdexcept>
#include <string>
#include <system_error>

namespace azoth::test {

namespace {

std::set<std::string> names_in(const std::filesystem::path& directory) {
  std::set<std::string> names;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator file(directory, error), end; file != end; file.increment(error)) {
    names.insert(file->path().string());
  }
  return names;
}

}  // namespace

void copy_store(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  for (int attempts = 0; attempts < 1000; ++attempts) {
    std::filesystem::remove_all(to);
    const std::set<std::string> before = names_in(from);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, error);
    if (error || names_in(from) != before) continue;
    std::filesystem::remove(to / "lock");
    return;
  }
  throw std::runtime_error("the store cannot be copied: " + error.message());
}

}  // namespace azoth::test
