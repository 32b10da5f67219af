#include "azoth/backup/key_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>

#include "azoth/core/fault.h"
#include "crypto.h"
#include "support.h"
#include "support/temp_dir.h"

namespace azoth::backup::test {
namespace {

class KeyFile : public testing::Test {
 protected:
  std::string text() const { return get_file(FileSystem::posix(), path_); }
  void write(const std::string& text) const {
    std::ofstream(path_, std::ios::binary) << text;
    ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  }

  azoth::test::TempDir dir_;
  std::filesystem::path path_ = dir_.path() / "key";
};

TEST_F(KeyFile, IsReadBackAsTheSameKey) {
  const Key made = make_key_file(path_);
  const Key loaded = load_key_file(path_);
  EXPECT_EQ(made.id(), loaded.id());
  EXPECT_EQ(authenticator_hex(made, "p", "x"), authenticator_hex(loaded, "p", "x"));
  EXPECT_NE(Key::random().id(), Key::random().id());
}

TEST_F(KeyFile, IsPrivateText) {
  make_key_file(path_);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_THAT(text(), testing::MatchesRegex("azoth backup key 1\n[0-9a-f]*\n"));
  EXPECT_EQ(text().size(), 19u + 64 + 1);
}

TEST_F(KeyFile, IsNeverOverwritten) {
  write("something else");
  expect_error([&] { make_key_file(path_); }, ErrorCode::AlreadyExists, "never overwritten");
  EXPECT_EQ(text(), "something else");
  std::filesystem::create_symlink(dir_.path() / "nowhere", dir_.path() / "link");
  expect_error([&] { make_key_file(dir_.path() / "link"); }, ErrorCode::AlreadyExists, "never overwritten");
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "nowhere"));
}

TEST_F(KeyFile, ThatOthersMayReadIsRefusedWithWhatToDo) {
  make_key_file(path_);
  for (const mode_t mode : {0640u, 0604u, 0620u, 0601u, 0644u, 0666u}) {
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    expect_error([&] { load_key_file(path_); }, ErrorCode::InvalidArgument, "chmod 600 " + path_.native());
  }
  ASSERT_EQ(chmod(path_.c_str(), 0400), 0);
  EXPECT_EQ(load_key_file(path_).id().size(), 16u);
}

TEST_F(KeyFile, OfAnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  make_key_file(path_);
  ASSERT_EQ(chown(path_.c_str(), 12345, 12345), 0);
  expect_error([&] { load_key_file(path_); }, ErrorCode::InvalidArgument, "belongs to another user");
}

TEST_F(KeyFile, ThatIsDamagedIsRefusedAndNothingOfItIsTold) {
  make_key_file(path_);
  const std::string good = text();
  const std::string secret = good.substr(19, 64);
  std::vector<std::string> bad = {"", "\n", good + "\n", good.substr(0, good.size() - 1),
                                  "azoth backup key 2" + good.substr(18)};
  for (std::size_t size = 0; size < good.size(); size += 7) bad.push_back(good.substr(0, size));
  bad.push_back(good);
  bad.back()[30] = 'x';
  bad.push_back(good + std::string(100'000, 'a'));
  for (const std::string& content : bad) {
    write(content);
    const auto error = error_of([&] { load_key_file(path_); });
    ASSERT_TRUE(error) << content.substr(0, 100);
    EXPECT_EQ(error->code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(std::string(error->what()), testing::Not(testing::HasSubstr(secret.substr(0, 8))));
  }
}

TEST_F(KeyFile, LinksPipesAndMissingFilesAreRefused) {
  make_key_file(path_);
  std::filesystem::create_symlink(path_, dir_.path() / "link");
  ASSERT_EQ(mkfifo((dir_.path() / "pipe").c_str(), 0600), 0);
  expect_error([&] { load_key_file(dir_.path() / "link"); }, ErrorCode::Io, "symbolic links");
  expect_error([&] { load_key_file(dir_.path() / "pipe"); }, ErrorCode::InvalidArgument, "not a regular file");
  expect_error([&] { load_key_file(dir_.path() / "missing"); }, ErrorCode::NotFound, "missing");
}

TEST_F(KeyFile, ThatCannotBeWrittenIsNotThere) {
  for (const char* point : {"key_file.write", "key_file.sync", "file.sync_directory"}) {
    const fault::Armed full(point, {.fail_with = ENOSPC});
    expect_error([&] { make_key_file(path_); }, ErrorCode::NoSpace, "free space", point);
    EXPECT_FALSE(std::filesystem::exists(path_)) << point;
  }
}

// Of the memory that this address is in: what /proc/self/smaps says.
std::string flags_of_memory(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) here = begin <= at && at < end;
    if (here && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

TEST(SecretKey, IsInNoCoreDump) {
  const Key key = Key::random();
  EXPECT_THAT(flags_of_memory(key.impl().bytes), testing::HasSubstr(" dd "));  // "do not dump"
  const std::vector<char> other(100);
  EXPECT_THAT(flags_of_memory(other.data()), testing::Not(testing::HasSubstr(" dd ")));
}

TEST(Secret, IsWipedAtItsEnd) {
  alignas(Secret) unsigned char place[sizeof(Secret)];
  auto* secret = new (place) Secret;
  derive(Key::random(), "purpose", "bytes", *secret);
  const std::string was(reinterpret_cast<const char*>(place), sizeof place);
  EXPECT_NE(was, std::string(sizeof place, '\0'));
  secret->~Secret();
  // Read through volatile: the compiler must not take the bytes of an ended object for undetermined.
  const volatile unsigned char* bytes = place;
  for (std::size_t i = 0; i < sizeof place; ++i) EXPECT_EQ(bytes[i], 0);
}

TEST(DerivedKeys, DifferByPurposeTextAndKey) {
  const Key key = Key::random();
  const Key other = Key::random();
  const std::string one = authenticator_hex(key, "a", "b");
  EXPECT_EQ(one, authenticator_hex(key, "a", "b"));
  EXPECT_NE(one, authenticator_hex(key, "ab", ""));
  EXPECT_NE(one, authenticator_hex(key, "a", "c"));
  EXPECT_NE(one, authenticator_hex(other, "a", "b"));
}

}  // namespace
}  // namespace azoth::backup::test
