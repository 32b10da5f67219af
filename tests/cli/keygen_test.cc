// The command keygen: a key file that only its owner can read, and that is never overwritten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "program.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;

class Keygen : public testing::Test {
 protected:
  std::string file(const std::string& name = "key") const { return (directory_.path() / name).string(); }
  static Result run(const Arguments& arguments) { return Child(arguments).finish(); }

  TempDir directory_;
};

TEST_F(Keygen, MakesAFileForItsOwnerOnlyAndPrintsItsId) {
  const Result result = run({"keygen", file()});
  EXPECT_EQ(result.exit, 0) << result.err;
  EXPECT_THAT(result.lines().at(0), MatchesRegex("key [0-9a-f]{16} in .*"));
  EXPECT_THAT(result.out, HasSubstr("copy"));
  struct stat about {};
  ASSERT_EQ(::stat(file().c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0600u);
  const std::vector<std::string> lines = split_lines(read_file(file()));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(result.out.find(lines[1]), std::string::npos) << "the key itself is not printed";
}

TEST_F(Keygen, JsonHasTheIdAndTheFile) {
  const Json made = run({"--json", "keygen", file()}).json();
  EXPECT_EQ(made.size(), 2u);
  EXPECT_EQ(made["key_id"].get<std::string>().size(), 16u);
  EXPECT_EQ(made["file"], file());
  EXPECT_NE(run({"--json", "keygen", file("other")}).json()["key_id"], made["key_id"]);
}

TEST_F(Keygen, NeverOverwrites) {
  EXPECT_EQ(run({"keygen", file()}).exit, 0);
  const std::string before = read_file(file());
  const Result again = run({"--json", "keygen", file()});
  EXPECT_EQ(again.exit, 3);
  EXPECT_EQ(again.out, "");
  EXPECT_EQ(Json::parse(again.err)["error"], "already_exists");
  EXPECT_EQ(read_file(file()), before);
  std::filesystem::create_symlink(file("elsewhere"), file("link"));
  EXPECT_EQ(run({"keygen", file("link")}).exit, 3);
  EXPECT_FALSE(std::filesystem::exists(file("elsewhere")));
}

TEST_F(Keygen, SaysWhyItCannot) {
  const Result nowhere = run({"keygen", file("none/key")});
  EXPECT_EQ(nowhere.exit, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("/none"));
  EXPECT_EQ(run({"keygen"}).exit, 2);
  EXPECT_EQ(run({"keygen", ""}).exit, 2);
  EXPECT_EQ(run({"keygen", file(), "more"}).exit, 2);
  EXPECT_FALSE(std::filesystem::exists(file()));
}

}  // namespace
}  // namespace azoth::test
