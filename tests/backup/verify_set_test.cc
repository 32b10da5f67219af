// What verifying a set says, with and without restoring.
#include "backup_support.h"
#include "support/watched_files.h"

namespace azoth::backup::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class VerifySet : public BackupTest {
 protected:
  VerifySet() {
    put("a", "b");
    append("event", 3);
    store_->next_sequence("invoice");
    back_up();
    put("a", "c");
    append("more", 2);
    incremental();
    std::filesystem::create_directories(targets());
  }
  void flip(std::size_t snapshot, std::size_t file) {
    const Path path = set_path() / list()[snapshot - 1].files[file];
    std::string bytes = get_file(FileSystem::posix(), path);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    replace_file(FileSystem::posix(), path, bytes);
  }
  static std::vector<std::string> all_problems(const SetReport& report) {
    std::vector<std::string> all;
    for (const SetReport::Snapshot& snapshot : report.snapshots) {
      all.insert(all.end(), snapshot.problems.begin(), snapshot.problems.end());
    }
    return all;
  }
};

TEST_F(VerifySet, AFileThatTheDiskDoesNotGiveIsNotedAndTheNextOnesAreLookedAt) {
  flip(2, 0);
  const std::string name = list()[0].files[0];
  azoth::test::WatchedFiles files({.read = [&](const Path& path, std::size_t) {
    if (path.filename() == name) throw Error(ErrorCode::Io, "a bad sector");
  }});
  const SetReport report = verify({.restore = false, .file_system = &files});
  EXPECT_THAT(report.snapshots.at(0).problems, ElementsAre(HasSubstr("a bad sector")));
  EXPECT_THAT(report.snapshots.at(1).problems, ElementsAre(HasSubstr("damaged")));
}

TEST_F(VerifySet, WhatItsCallerThrowsOutOfTheProgressEndsItAndIsNoProblemOfASnapshot) {
  const auto throwing = [](const Step&) { throw Error(ErrorCode::Io, "nobody listens"); };
  expect_error([&] { verify({.restore = false, .progress = throwing}); }, ErrorCode::Io, "nobody listens");
}

TEST_F(VerifySet, OfASetThatIsNamedThroughALinkIsOfThatSet) {
  std::filesystem::create_directories(targets() / "inner");
  std::filesystem::create_directory_symlink(targets() / "inner", set_path().parent_path() / "link");
  std::filesystem::rename(set_path(), targets() / set_path().filename());
  const Path through = set_path().parent_path() / "link" / ".." / set_path().filename();
  const SetReport report = verify_set(through, {.store = options_});
  EXPECT_TRUE(report.ok());
  EXPECT_TRUE(report.restored.has_value());
}

TEST_F(VerifySet, SaysWhatItHasLookedAt) {
  const SetReport report = verify({.scratch = targets()});
  EXPECT_TRUE(report.ok());
  ASSERT_EQ(report.snapshots.size(), 2u);
  EXPECT_EQ(report.snapshots[1].ordinal, 2u);
  EXPECT_EQ(report.snapshots[1].manifest->last_commit, store_->status().visible_seq);
  EXPECT_EQ(report.files, 4u);
  std::uint64_t bytes = 0, records = 0;
  for (const SetReport::Snapshot& snapshot : report.snapshots) {
    for (const ManifestFile& file : snapshot.manifest->files) {
      bytes += std::filesystem::file_size(set_path() / file.name);
      records += file.records;
    }
  }
  EXPECT_EQ(report.bytes, bytes);
  EXPECT_EQ(report.records, records);
  EXPECT_EQ(report.restored->commit, store_->status().visible_seq);
  EXPECT_EQ(report.restored->event, 5u);
  EXPECT_THAT(report.checked, ElementsAre(HasSubstr("every hash"), HasSubstr("decoded"),
                                          HasSubstr("is led to by 2 snapshots"), HasSubstr("verified every row")));
  EXPECT_THAT(report.unfinished, IsEmpty());
}

TEST_F(VerifySet, RestoresIntoADirectoryThatIsRemovedAgain) {
  const std::set<std::string> beside = names_in(dir_.path());
  EXPECT_TRUE(verify().restored);
  EXPECT_EQ(names_in(dir_.path()), beside);
  EXPECT_TRUE(verify({.scratch = targets()}).restored);
  EXPECT_THAT(names_in(targets()), IsEmpty());
  EXPECT_FALSE(verify({.restore = false}).restored);
  // What one that was killed has left is removed by the next.
  const Path left = targets() / (".set.verify-" + uuid_of(7).text());
  std::filesystem::create_directories(left / "store");
  verify({.scratch = targets()});
  EXPECT_THAT(names_in(targets()), IsEmpty());
  fault::arm("restore.built", {.run = [] { throw std::runtime_error("given up"); }});
  EXPECT_THROW(verify({.scratch = targets()}), std::runtime_error);
  EXPECT_THAT(names_in(targets()), IsEmpty());
}

TEST_F(VerifySet, DamageIsFoundByReadingAsWellAsByRestoringAndNamesTheFile) {
  for (std::size_t file = 0; file < 3; ++file) {
    const std::string name = list()[0].files[file];
    const std::string good = get_file(FileSystem::posix(), set_path() / name);
    flip(1, file);
    const SetReport reading = verify({.restore = false});
    const SetReport restoring = verify({.scratch = targets()});
    EXPECT_THAT(all_problems(reading), ElementsAre(HasSubstr(name)));
    EXPECT_EQ(all_problems(reading), all_problems(restoring));
    EXPECT_FALSE(restoring.restored);
    EXPECT_THAT(restoring.problems, ElementsAre(HasSubstr("it does not restore: ")));
    EXPECT_THAT(names_in(targets()), IsEmpty());
    replace_file(FileSystem::posix(), set_path() / name, good);
  }
  EXPECT_TRUE(verify().ok());
}

// Everything that is wrong, not only the first.
TEST_F(VerifySet, EachDamagedFileIsAProblemOfItsSnapshot) {
  flip(1, 0);
  flip(1, 2);
  flip(2, 0);
  const SetReport report = verify({.restore = false});
  EXPECT_EQ(report.snapshots[0].problems.size(), 2u);
  EXPECT_EQ(report.snapshots[1].problems.size(), 1u);
  EXPECT_FALSE(report.ok());
}

TEST_F(VerifySet, ASnapshotThatIsNotNeededMayBeDamagedAndTheNewestStateIsStillRestored) {
  back_up();
  flip(1, 0);
  const SetReport report = verify({.scratch = targets()});
  EXPECT_FALSE(report.ok());
  EXPECT_TRUE(report.restored);
  EXPECT_THAT(report.problems, IsEmpty());
}

TEST_F(VerifySet, AnEmptySetIsAProblemAndRemainsAreNone) {
  std::filesystem::remove_all(set_path());
  SnapshotSet::create(set_path(), store_->meta().store_id, {});
  EXPECT_FALSE(verify().ok());
  EXPECT_THAT(verify().problems, Contains(HasSubstr("has no snapshot; make a full one")));
  back_up();
  put_file(FileSystem::posix(), set_path() / "snapshot_00000000000000000009_full_state_0-of-1.azs", "part");
  const SetReport report = verify();
  EXPECT_TRUE(report.ok());
  EXPECT_THAT(report.unfinished, ElementsAre(9));
}

TEST_F(VerifySet, AGapIsAProblem) {
  for (int i = 0; i < 2; ++i) {
    put("a", std::to_string(i));
    incremental();
  }
  std::filesystem::remove(set_path() / list()[2].files[0]);
  std::filesystem::remove(set_path() / "manifest_00000000000000000003.json");
  const SetReport report = verify({.restore = false});
  EXPECT_THAT(report.problems, ElementsAre(HasSubstr("cannot restore the newest commit")));
  EXPECT_FALSE(report.ok());
}

TEST_F(VerifySet, WhatIsNoSetIsAnError) {
  expect_error([&] { verify_set(targets(), {}); }, ErrorCode::NotFound, "is no snapshot set");
  expect_error([&] { verify_set(dir_.path() / "none", {}); }, ErrorCode::NotFound, "there is no snapshot set");
}

// A manifest's digests and counts are those of its records.
TEST_F(VerifySet, WhatAManifestSaysOfItsContentIsComparedWithIt) {
  const auto with = [&](std::size_t snapshot, const std::function<void(Manifest&)>& change) {
    const Path path = set_path() / ("manifest_0000000000000000000" + std::to_string(snapshot) + ".json");
    const std::string good = get_file(FileSystem::posix(), path);
    Manifest manifest = *list()[snapshot - 1].manifest;
    change(manifest);
    replace_file(FileSystem::posix(), path, encode_manifest(manifest, nullptr));
    const std::vector<std::string> problems = all_problems(verify({.restore = false}));
    replace_file(FileSystem::posix(), path, good);
    return problems;
  };
  const std::string other(64, '0');
  EXPECT_THAT(with(1, [&](Manifest& m) { m.state_digest = other; }), Contains(HasSubstr("the keys of snapshot 1")));
  EXPECT_THAT(with(1, [&](Manifest& m) { m.events_digest = other; }), Contains(HasSubstr("the events of snapshot 1")));
  EXPECT_THAT(with(1, [](Manifest& m) { ++m.state_rows; }), Contains(HasSubstr("should have")));
  EXPECT_THAT(with(2, [](Manifest& m) { ++m.operations; }), Contains(HasSubstr("operations and should have")));
  EXPECT_THAT(with(2, [](Manifest& m) { ++m.last_event; }), Contains(HasSubstr("should end with")));
  EXPECT_THAT(with(2, [](Manifest& m) { m.latest = m.earliest = Timestamp{}; }), Contains(HasSubstr("is of a time")));
}

}  // namespace
}  // namespace azoth::backup::test
