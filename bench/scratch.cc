#include "scratch.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>

#include "azoth/core/error.h"

namespace azoth::bench {

Scratch::Scratch(const std::filesystem::path& parent) {
  std::filesystem::create_directories(parent);
  std::string name = (parent / "azoth-bench-XXXXXX").native();
  if (mkdtemp(name.data()) == nullptr) throw_errno(errno, "cannot make a directory in " + parent.native());
  path_ = name;
}

Scratch::~Scratch() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (error) std::fprintf(stderr, "cannot remove %s: %s\n", path_.c_str(), error.message().c_str());
}

std::filesystem::path Scratch::make(std::string_view name) {
  std::filesystem::path directory = path_ / (std::to_string(++made_) + "-" + std::string(name));
  std::filesystem::create_directory(directory);
  return directory;
}

}  // namespace azoth::bench
