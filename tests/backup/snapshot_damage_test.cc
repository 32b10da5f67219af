// Each file of a set of real content damaged in each way: restoring and verifying find it, name the file, and write
// nothing.
//
// Covers of the defects that other stores had: manifests that are read and not compared with anything (E6), a bad file
// that makes the whole set unusable (E13), a failed restore that destroys the backup (E5).
#include <sys/stat.h>

#include "azoth/projection/declarations.h"

#include "backup_support.h"
#include "block_format.h"

namespace azoth::backup::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const std::string kProjection =
    "-- azoth:projection counts version 1\nCREATE TABLE counts (n INTEGER);\n"
    "-- azoth:on several\nINSERT INTO counts VALUES (1);\n";

// Two fulls with two shards of everything that can have two, and a diff behind each; nothing leads around the second
// full.
class SnapshotDamage : public BackupTest, public testing::WithParamInterface<bool> {
 protected:
  SnapshotDamage() {
    for (const std::string name : {"a", "b"}) {
      std::string text = kProjection;
      while (text.find("counts") != std::string::npos) text.replace(text.find("counts"), 6, name);
      Declarations(store_path()).add(text, name + ".sql");
    }
    for (int i = 0; i < 1100; ++i) {
      Change change{{{"key" + std::to_string(i), "value"}}, {{.type = "several", .payload = std::to_string(i)}}};
      model_.add(store_->submit(change.set(), {}, {.level = Durability::Applied}).value().info(), change);
    }
    project();
    back_up();
    put("key", "1");
    back_up({.incremental = true});
    put("key", "2");
    back_up();
    put("key", "3");
    back_up({.incremental = true});
    last_ = store_->status().visible_seq;
    original_ = names_in(set_path());
  }

  BackupReport back_up(BackupOptions options = {}) {
    options.shards = 2;
    options.key = key();
    return BackupTest::back_up(options);
  }
  void project() {
    const auto source = store_->event_source();
    Projector projector(store_path(), *source);
    for (const std::string name : {"a", "b"}) {
      projector.add(Declarations(store_path()).load(name));
      projector.catch_up(name);
    }
  }
  const Key* key() const { return GetParam() ? &key_ : nullptr; }
  Path file(const std::string& name) const { return set_path() / name; }
  std::string get(const std::string& name) const { return get_file(FileSystem::posix(), file(name)); }
  void put_back(const std::string& name, const std::string& bytes) const {
    std::filesystem::remove_all(file(name));
    put_file(FileSystem::posix(), file(name), bytes);
  }

  static bool of(const std::string& name, int ordinal) {
    return name.find("0" + std::to_string(ordinal) + (name.starts_with("manifest") ? ".json" : "_")) !=
           std::string::npos;
  }

  // The newest state needs the file: a restore says what is wrong with it.
  void expect_found(const std::string& name, const std::string& what) {
    SCOPED_TRACE(name + " " + what);
    std::filesystem::create_directories(targets());
    bool verified = false;
    fault::arm("restore.verified", {.run = [&] { verified = true; }});
    const auto error = error_of([&] { restore({.key = key()}); });
    ASSERT_TRUE(error);
    EXPECT_FALSE(verified);  // so nothing was written
    EXPECT_TRUE(error->corruption() || error->code() == ErrorCode::UnsupportedFormat) << error->what();
    EXPECT_THAT(std::string(error->what()), HasSubstr(name));
    EXPECT_THAT(names_in(targets()), IsEmpty());
    const SetReport report = verify({.restore = false, .key = key()});
    EXPECT_FALSE(report.ok());
    std::string problems;
    for (const SetReport::Snapshot& snapshot : report.snapshots) {
      for (const std::string& problem : snapshot.problems) problems += problem + "\n";
    }
    EXPECT_THAT(problems, HasSubstr(name));
    std::filesystem::remove_all(targets());
  }

  // One place in each part of a file.
  std::vector<std::size_t> places(const std::string& name, const std::string& bytes) const {
    std::vector<std::size_t> places;
    if (name.ends_with(".json")) {
      for (std::size_t at = 0; at < bytes.size(); at += bytes.size() / 12 + 1) places.push_back(at);
      places.push_back(bytes.size() - 3);  // the hash, or the authenticator
    } else {
      for (const std::size_t at : {0, 8, 12, 13, 14, 15, 16, 32, 40, 44, 48, 52, 56, 80, 88}) places.push_back(at);
      for (const std::size_t at : {0, 8, 12, 16, 20, 24}) places.push_back(block_format::kFileHeaderBytes + at);
      const std::size_t trailer = bytes.size() - block_format::kTrailerBytes - (GetParam() ? kStreamOverhead : 0);
      for (const std::size_t at : {trailer - block_format::kBlockHeaderBytes, trailer - 12, trailer, trailer + 8})
        places.push_back(at);
    }
    places.push_back(bytes.size() / 2);
    places.push_back(bytes.size() - 1);
    return places;
  }

  Key key_ = Key::random();
  CommitSeq last_ = 0;
  std::set<std::string> original_;
};

TEST_P(SnapshotDamage, TheSetHasEachKindOfFile) {
  for (const std::string kind : {"state_1-of-2", "events_1-of-2", "system_0-of-1", "projections_1-of-2", "commits"}) {
    EXPECT_THAT(original_, testing::Contains(HasSubstr(kind)));
  }
}

TEST_P(SnapshotDamage, OfAnyByteOfAnyFileIsFoundAndNothingIsWritten) {
  for (const std::string& name : original_) {
    if (!of(name, 3) && !of(name, 4)) continue;
    const std::string good = get(name);
    for (const std::size_t at : places(name, good)) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
      put_back(name, bytes);
      expect_found(name, "flipped at " + std::to_string(at));
    }
    put_back(name, good.substr(0, good.size() / 2));
    expect_found(name, "cut in two");
    put_back(name, good.substr(0, good.size() - 1));
    expect_found(name, "cut");
    put_back(name, "");
    expect_found(name, "emptied");
    put_back(name, good + "x");
    expect_found(name, "extended");
    put_back(name, good);
  }
  EXPECT_TRUE(verify({.restore = false, .key = key()}).ok());
}

TEST_P(SnapshotDamage, ByAFileThatIsGoneOrIsNoneIsFoundAndNothingIsWritten) {
  for (const std::string& name : original_) {
    if (!of(name, 3) && !of(name, 4)) continue;
    const std::string good = get(name);
    if (!name.ends_with(".json")) {  // else it is no snapshot any more
      std::filesystem::remove(file(name));
      expect_found(name, "removed");
    }
    std::filesystem::remove(file(name));
    put_file(FileSystem::posix(), dir_.path() / "elsewhere", good);
    std::filesystem::create_symlink(dir_.path() / "elsewhere", file(name));
    expect_found(name, "made a link");
    std::filesystem::remove(dir_.path() / "elsewhere");
    std::filesystem::remove(file(name));
    ASSERT_EQ(mkfifo(file(name).c_str(), 0600), 0);
    expect_found(name, "made a pipe");
    std::filesystem::remove(file(name));
    std::filesystem::create_directory(file(name));
    expect_found(name, "made a directory");
    put_back(name, good);
  }
}

TEST_P(SnapshotDamage, BySwappedFilesIsFoundAndNothingIsWritten) {
  const auto swap_and_check = [&](const std::string& a, const std::string& b) {
    const std::string was_a = get(a), was_b = get(b);
    put_back(a, was_b);
    put_back(b, was_a);
    EXPECT_FALSE(verify({.restore = false, .key = key()}).ok()) << a << " " << b;
    std::filesystem::create_directories(targets());
    const auto error = error_of([&] { restore({.key = key()}); });
    ASSERT_TRUE(error) << a << " " << b;
    EXPECT_TRUE(error->corruption()) << error->what();
    EXPECT_THAT(names_in(targets()), IsEmpty());
    put_back(a, was_a);
    put_back(b, was_b);
  };
  const auto name = [&](const std::string& part, int ordinal) {
    for (const std::string& file : original_) {
      if (of(file, ordinal) && file.find(part) != std::string::npos) return file;
    }
    return std::string();
  };
  for (const std::string kind : {"state_", "events_", "projections_"}) {
    swap_and_check(name(kind + "0", 3), name(kind + "1", 3));  // shards of one kind
    swap_and_check(name(kind + "0", 3), name(kind + "0", 1));  // the same shard of two snapshots
  }
  swap_and_check(name("state_0", 3), name("events_0", 3));
  swap_and_check(name("system", 3), name("commits", 4));
  swap_and_check(name("commits", 2), name("commits", 4));
  swap_and_check(name("manifest", 2), name("manifest", 4));
  swap_and_check(name("manifest", 1), name("manifest", 3));
}

TEST_P(SnapshotDamage, OfTheSetsOwnFilesIsFoundOrDoesNotMatter) {
  for (const std::string name : {"SET", "SET-copy", "next"}) {
    const std::string good = get(name);
    for (std::size_t at = 0; at < good.size(); at += 7) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ 2);
      put_back(name, bytes);
      const SnapshotSet set = SnapshotSet::open(set_path(), {.key = key(), .read_only = true});
      EXPECT_EQ(set.chain(RestoreTarget::newest()).snapshots.back().last_commit, last_);
    }
    EXPECT_TRUE(verify({.restore = false, .key = key()}).ok());
    put_back(name, good);
  }
  for (const std::string name : {"SET", "SET-copy"}) put_back(name, "{}");
  expect_error([&] { restore({.key = key()}); }, ErrorCode::Corruption, "SET-copy is damaged");
  expect_error([&] { verify({.key = key()}); }, ErrorCode::Corruption, "SET-copy is damaged");
  expect_no_target();
}

// Two ways to the same commit, of which the nearer one is damaged inside.
TEST_F(BackupTest, WhatIsDamagedInsideIsGoneAround) {
  put("key", "1");
  back_up();
  put("key", "2");
  incremental();
  back_up();  // of the same commit
  const CommitSeq last = put("key", "3").commit_seq;
  incremental();
  const auto damage = [&](const std::string& name) {
    std::string bytes = get_file(FileSystem::posix(), set_path() / name);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    std::filesystem::remove(set_path() / name);
    put_file(FileSystem::posix(), set_path() / name, bytes);
  };
  EXPECT_THAT(restore().snapshots, testing::ElementsAre(3, 4));
  damage("snapshot_00000000000000000003_full_state_0-of-1.azs");
  const RestoreReport report = restore();
  EXPECT_THAT(report.snapshots, testing::ElementsAre(1, 2, 4));
  EXPECT_THAT(report.notes, testing::ElementsAre(HasSubstr("snapshot 3 is gone around")));
  expect_restored(target(), model_, last, options_);
  damage("snapshot_00000000000000000002_diff_commits_0-of-1.azs");
  std::filesystem::remove_all(targets());
  const auto error = error_of([&] { restore(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::Corruption);
  EXPECT_THAT(error->what(), HasSubstr("snapshot_00000000000000000003")) << "what was met first";
  expect_no_target();
}

INSTANTIATE_TEST_SUITE_P(All, SnapshotDamage, testing::Bool(),
                         [](const auto& variant) { return variant.param ? "Encrypted" : "Plain"; });

}  // namespace
}  // namespace azoth::backup::test
