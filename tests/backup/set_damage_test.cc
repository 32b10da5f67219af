// Sets in which files were changed, swapped, removed or put.
#include <sys/stat.h>

#include "sealed_text.h"
#include "set_fixture.h"

namespace azoth::backup::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Damage : SnapshotSetTest, testing::WithParamInterface<bool> {
  Damage() {
    SnapshotSet set = create(key());
    take_full(set, 4);
    take_diff(set, 1, 4, 6);
    take_full(set, 6);
    take_diff(set, 3, 6, 8);
  }
  const Key* key() const { return GetParam() ? &key_ : nullptr; }

  // That snapshot `ordinal`, and no other, is found to be broken or damaged.
  void expect_found(std::uint64_t ordinal, const std::string& what) {
    SnapshotSet set = open(key());
    std::vector<std::uint64_t> listed;
    for (const SnapshotInfo& info : set.list()) {
      listed.push_back(info.ordinal);
      const auto error = error_of([&] { set.verify(info.ordinal); });
      EXPECT_EQ(error.has_value(), info.ordinal == ordinal) << what << (error ? error->what() : "");
      if (error) {
        EXPECT_NE(error->code(), ErrorCode::InvalidArgument) << error->what();
      }
      EXPECT_NE(info.state, SnapshotState::Unfinished) << what;
    }
    EXPECT_THAT(listed, ElementsAre(1, 2, 3, 4)) << what;
  }
  std::vector<std::string> files_of(std::uint64_t ordinal) {
    SnapshotSet set = open(key());
    std::vector<std::string> files = set.list().at(ordinal - 1).files;
    files.push_back(manifest(ordinal));
    return files;
  }
  std::string get(const std::string& name) const { return get_file(FileSystem::posix(), file(name)); }
  void put(const std::string& name, const std::string& bytes) const {
    replace_file(FileSystem::posix(), file(name), bytes);
  }

  Key key_ = Key::random();
};

TEST_P(Damage, OfAnyFileOfASnapshotIsFoundAndConcernsThatSnapshotAlone) {
  for (std::uint64_t ordinal = 1; ordinal <= 4; ++ordinal) {
    for (const std::string& name : files_of(ordinal)) {
      const std::string good = get(name);
      for (std::size_t at = 0; at < good.size(); at += 1 + good.size() / 40) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ 4);
        put(name, bytes);
        expect_found(ordinal, name + " flipped at " + std::to_string(at));
      }
      put(name, good.substr(0, good.size() - 1));
      expect_found(ordinal, name + " cut");
      put(name, "");
      expect_found(ordinal, name + " emptied");
      put(name, good + "x");
      expect_found(ordinal, name + " extended");
      std::filesystem::remove(file(name));
      if (name != manifest(ordinal)) expect_found(ordinal, name + " removed");
      std::filesystem::create_symlink("SET", file(name));
      expect_found(ordinal, name + " made a link");
      std::filesystem::remove(file(name));
      ASSERT_EQ(mkfifo(file(name).c_str(), 0600), 0);
      expect_found(ordinal, name + " made a pipe");
      put(name, good);
    }
  }
  expect_found(0, "nothing is damaged");
}

TEST_P(Damage, BySwappedFilesIsFound) {
  const auto swap_and_check = [&](const std::string& a, const std::string& b) {
    const std::string was_a = get(a), was_b = get(b);
    put(a, was_b);
    put(b, was_a);
    SnapshotSet set = open(key());
    std::size_t damaged = 0;
    for (const SnapshotInfo& info : set.list()) damaged += error_of([&] { set.verify(info.ordinal); }) ? 1 : 0;
    EXPECT_GE(damaged, 1u) << a << " and " << b;
    put(a, was_a);
    put(b, was_b);
  };
  swap_and_check(files_of(1)[0], files_of(1)[1]);
  swap_and_check(files_of(1)[0], files_of(3)[0]);
  swap_and_check(files_of(2)[0], files_of(4)[0]);
  swap_and_check(manifest(1), manifest(3));
  swap_and_check(manifest(2), manifest(4));
}

TEST_P(Damage, ByTheSnapshotOfAnotherSetIsFound) {
  const std::filesystem::path other = dir_.path() / "other";
  {
    SnapshotSet set = SnapshotSet::create(other, kStore, {.key = key()});
    take_full(set, 4);
  }
  put(manifest(1), get_file(FileSystem::posix(), other / manifest(1)));
  expect_found(1, "only the manifest");
  for (const std::string& name : {files_of(1)[0], files_of(1)[1]})
    put(name, get_file(FileSystem::posix(), other / name));
  expect_found(1, "all of it");
  SnapshotSet set = open(key());
  EXPECT_THAT(set.list()[0].why, testing::HasSubstr("from the set"));
}

TEST_P(Damage, ABaseThatIsNoLongerTheSameIsFound) {
  // A valid snapshot 1 of the same set and key, but not the one that 2 was made from.
  Manifest m = *open(key()).list()[0].manifest;
  m.operations = 0;
  m.state_rows = 99;
  put(manifest(1), encode_manifest(m, key()));
  SnapshotSet set = open(key());
  EXPECT_NO_THROW(set.verify(1));
  expect_error([&] { set.verify(2); }, ErrorCode::Corruption, "was not made from snapshot 1");
}

TEST_P(Damage, ARemovedManifestLeavesRemainsAndTheChainSaysWhatIsMissing) {
  std::filesystem::remove(file(manifest(3)));
  std::filesystem::remove(file(manifest(2)));
  SnapshotSet set = open(key());
  EXPECT_THAT(ordinals(set, SnapshotState::Unfinished), ElementsAre(2, 3));
  expect_error([&] { set.chain(RestoreTarget::newest()); }, ErrorCode::NotFound, "lacks commits 5 to 6");
  EXPECT_THAT(set.repair().remains, ElementsAre(2, 3));
  EXPECT_THAT(ordinals(set), ElementsAre(1, 4));
}

TEST_P(Damage, ABrokenFullIsPassedOverWhenOlderSnapshotsLeadAsFar) {
  std::filesystem::remove(file(files_of(3)[0]));
  SnapshotSet set = open(key());
  const Chain chain = set.chain(RestoreTarget::newest());
  EXPECT_THAT(ordinals(chain), ElementsAre(1, 2, 4));
  EXPECT_EQ(read_chain(set, chain), content_of(1, 8));
}

TEST_P(Damage, ABrokenNewestSnapshotIsNeverPassedOverInSilence) {
  put(manifest(4), "");
  SnapshotSet set = open(key());
  expect_error([&] { set.chain(RestoreTarget::newest()); }, ErrorCode::Corruption, "restore to commit 6 instead");
  expect_error([&] { set.chain(RestoreTarget::at(time_of(99))); }, ErrorCode::Corruption, "snapshot 4 is broken");
  EXPECT_THAT(ordinals(set.chain(RestoreTarget::commit(6))), ElementsAre(3));
}

TEST_P(Damage, RepairRemovesBrokenSnapshotsOnlyWhenAsked) {
  std::filesystem::remove(file(files_of(2)[0]));
  SnapshotSet set = open(key());
  EXPECT_THAT(set.repair().removed, IsEmpty());
  EXPECT_THAT(ordinals(set, SnapshotState::Broken), ElementsAre(2));
  EXPECT_THAT(set.repair(true).removed, ElementsAre(2));
  EXPECT_THAT(ordinals(set), ElementsAre(1, 3, 4));
  EXPECT_THAT(ordinals(set, SnapshotState::Broken), IsEmpty());
}

TEST_P(Damage, OfTheSetsOwnFilesIsRepairedFromTheCopy) {
  for (const std::string name : {"SET", "SET-copy"}) {
    const std::string good = get(name);
    for (std::size_t at = 0; at < good.size(); at += 3) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ 2);
      put(name, bytes);
      EXPECT_THAT(ordinals(open(key())), ElementsAre(1, 2, 3, 4)) << name << at;
    }
    std::filesystem::remove(file(name));
    SnapshotSet set = open(key());
    EXPECT_THAT(ordinals(set), ElementsAre(1, 2, 3, 4));
    set.repair();
    EXPECT_EQ(get(name), good);
  }
  put("SET", "x");
  put("SET-copy", "x");
  expect_error([&] { open(key()); }, ErrorCode::Corruption, "SET-copy is damaged");
}

TEST_P(Damage, OfTheNextOrdinalIsRepairedFarAboveAllThatMayHaveBeenGivenOut) {
  const std::string beyond_all = seal_text("{\"next\":\"14888658925962378171\"}\n", "azoth next ordinal", nullptr);
  for (const std::string& damaged : {std::string("x"), beyond_all}) {
    put("next", damaged);
    SnapshotSet set = open(key());
    expect_error([&] { set.begin(SnapshotType::Full, kSmall); }, ErrorCode::Corruption, "repair it");
    EXPECT_THAT(ordinals(set), ElementsAre(1, 2, 3, 4));
    set.repair();
    EXPECT_GE(set.begin(SnapshotType::Full, kSmall).ordinal(), 1000u);
  }
}

TEST_P(Damage, ForeignFilesAreLeftAlone) {
  const std::string full = files_of(1)[0];
  for (const std::string& name :
       {std::string("notes.txt"), full + ".old", std::string("snapshot_1_full_state_0-of-1.azs"),
        std::string("snapshot_00000000000000000009_full_state_1-of-1.azs"),
        std::string("snapshot_00000000000000000009_full_state_00-of-1.azs"),
        std::string("snapshot_00000000000000000000_full_state_0-of-1.azs"),
        std::string("snapshot_99999999999999999999_full_state_0-of-1.azs"), std::string("manifest_9.json"),
        std::string("manifest_99999999999999999999.json"), std::string("SET.abc.tmp")}) {
    put(name, "x");
    SnapshotSet set = open(key());
    EXPECT_EQ(set.list().size(), 4u) << name;
    set.repair(true);
    set.purge(2);
    EXPECT_TRUE(std::filesystem::exists(file(name))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Damage, testing::Bool(),
                         [](const auto& variant) { return variant.param ? "Encrypted" : "Plain"; });

}  // namespace
}  // namespace azoth::backup::test
