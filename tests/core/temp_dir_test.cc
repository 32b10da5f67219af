#include "support/temp_dir.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "azoth/core/error.h"

namespace azoth::test {
namespace {

// Sets an environment variable for a scope.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    if (old_) {
      ::setenv(name_, old_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(TempDir, EachIsItsOwnAndGoesWithItsContent) {
  std::filesystem::path path;
  {
    const TempDir one;
    const TempDir other;
    EXPECT_NE(one.path(), other.path());
    path = one.path();
    std::filesystem::create_directories(path / "a" / "b");
    std::ofstream(path / "a" / "b" / "f") << "content";
    EXPECT_TRUE(std::filesystem::is_directory(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(TempDir, IsMadeUnderTmpdir) {
  const TempDir outer;
  const Environment tmpdir("TMPDIR", outer.path().native());
  const TempDir inner;
  EXPECT_EQ(inner.path().parent_path(), outer.path());
}

TEST(TempDir, SaysSoWhenTmpdirIsMissing) {
  const TempDir outer;
  const Environment tmpdir("TMPDIR", (outer.path() / "none").native());
  EXPECT_THROW(TempDir(), Error);
}

}  // namespace
}  // namespace azoth::test
