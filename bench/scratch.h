// Directories for what is measured; gone when the object is, or when SIGINT or SIGTERM ends the program.
#pragma once

#include <filesystem>
#include <string_view>

namespace azoth::bench {

class Scratch {
 public:
  // A new directory in `parent`, which is made if it is missing. One for each process, made before there are threads.
  explicit Scratch(const std::filesystem::path& parent);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // A new, empty directory inside.
  std::filesystem::path make(std::string_view name);

 private:
  std::filesystem::path path_;
  unsigned made_ = 0;
};

}  // namespace azoth::bench
