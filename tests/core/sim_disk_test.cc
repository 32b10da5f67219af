#include "support/sim_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>
#include <thread>

#include "azoth/core/error.h"
#include "support/seed.h"

namespace azoth::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Mode = FileSystem::Mode;
using Kind = DiskOperation::Kind;

std::string get(SimDisk& disk, const std::string& path) { return read_file(disk, path, 10'000'000); }

std::unique_ptr<File> durable_file(SimDisk& disk, const std::string& path, std::string_view content) {
  auto file = disk.open(path, Mode::Create);
  file->write_at(0, content);
  file->sync_data();
  disk.sync_directory("/");
  return file;
}

template <typename Call>
ErrorCode error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode{};
}

std::string pattern(std::size_t size, char first = 'a') {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(first + i / 512);
  return text;
}

// --- bytes -----------------------------------------------------------------------------------------------------------

TEST(SimDisk, SyncedBytesSurviveAnyPowerCut) {
  SimDisk disk;
  durable_file(disk, "f", "content");
  EXPECT_THAT(disk.pending_writes(), IsEmpty());
  EXPECT_THAT(disk.pending_entries(), IsEmpty());
  EXPECT_EQ(get(*disk.power_cut(choose::none(), choose::none()), "f"), "content");
}

TEST(SimDisk, UnsyncedBytesSurviveAsTheChooserSays) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "old");
  file->write_at(0, "new");
  EXPECT_EQ(get(disk, "f"), "new");
  EXPECT_EQ(get(*disk.power_cut(choose::none()), "f"), "old");
  EXPECT_EQ(get(*disk.power_cut(choose::all()), "f"), "new");
  EXPECT_EQ(get(disk, "f"), "new") << "a power cut leaves this disk as it is";
}

TEST(SimDisk, AWriteIsSplitAtTheSectorsOfTheFile) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", std::string(2000, '.'));
  file->write_at(500, std::string(600, 'x'));
  const auto pieces = disk.pending_writes();
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].offset, 500u);
  EXPECT_EQ(pieces[0].length, 12u);
  EXPECT_EQ(pieces[1].offset, 512u);
  EXPECT_EQ(pieces[1].length, 512u);
  EXPECT_EQ(pieces[2].offset, 1024u);
  EXPECT_EQ(pieces[2].length, 76u);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].index, i);
    EXPECT_EQ(pieces[i].path, "/f");
    EXPECT_EQ(pieces[i].operation, disk.operations());
    EXPECT_EQ(pieces[i].kind, PendingWrite::Kind::Bytes);
  }
}

TEST(SimDisk, EachPieceSurvivesOnItsOwn) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", std::string(1536, '.'));
  file->write_at(0, pattern(1536));
  for (std::size_t i = 0; i < 3; ++i) {
    std::string only(1536, '.');
    std::string all_but = pattern(1536);
    only.replace(512 * i, 512, all_but, 512 * i, 512);
    all_but.replace(512 * i, 512, 512, '.');
    EXPECT_EQ(get(*disk.power_cut(choose::only(i)), "f"), only);
    EXPECT_EQ(get(*disk.power_cut(choose::all_but(i)), "f"), all_but);
  }
  EXPECT_EQ(get(*disk.power_cut(choose::first(2)), "f"), pattern(1024) + std::string(512, '.'));
}

TEST(SimDisk, OfTwoWritesToOnePlaceTheLaterWinsIfItSurvives) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "zero");
  file->write_at(0, "one!");
  file->write_at(0, "two!");
  EXPECT_EQ(get(*disk.power_cut(choose::all()), "f"), "two!");
  EXPECT_EQ(get(*disk.power_cut(choose::only(0)), "f"), "one!");
  EXPECT_EQ(get(*disk.power_cut(choose::only(1)), "f"), "two!");
}

TEST(SimDisk, GrowthIsAPieceOfItsOwn) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "ab");
  file->write_at(2, "cd");
  const auto pieces = disk.pending_writes();
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1].kind, PendingWrite::Kind::Size);
  EXPECT_EQ(pieces[1].offset, 4u);
  EXPECT_EQ(get(*disk.power_cut(choose::only(0)), "f"), "ab") << "bytes behind the end are not seen";
  EXPECT_EQ(get(*disk.power_cut(choose::only(1)), "f"), std::string_view("ab\0\0", 4)) << "a hole";
  EXPECT_EQ(get(*disk.power_cut(choose::all()), "f"), "abcd");
}

TEST(SimDisk, ALaterGrowthShowsZerosForWhatIsMissing) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "");
  file->write_at(0, "ab");
  file->write_at(2, "cd");
  const auto pieces = disk.pending_writes();  // ab, size 2, cd, size 4
  ASSERT_EQ(pieces.size(), 4u);
  const auto without_first = [](const PendingWrite& piece) { return piece.index >= 2; };
  EXPECT_EQ(get(*disk.power_cut(without_first), "f"), std::string_view("\0\0cd", 4));
}

TEST(SimDisk, TruncationsSurviveAsTheChooserSays) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "abcdef");
  file->truncate(2);
  file->truncate(4);
  EXPECT_EQ(get(disk, "f"), std::string_view("ab\0\0", 4));
  EXPECT_EQ(get(*disk.power_cut(choose::none()), "f"), "abcdef");
  EXPECT_EQ(get(*disk.power_cut(choose::only(0)), "f"), "ab");
  EXPECT_EQ(get(*disk.power_cut(choose::only(1)), "f"), "abcd");
  EXPECT_EQ(get(*disk.power_cut(choose::all()), "f"), std::string_view("ab\0\0", 4));
}

TEST(SimDisk, ASyncCoversOneFileOnly) {
  SimDisk disk;
  const auto one = durable_file(disk, "one", "1");
  const auto two = durable_file(disk, "two", "2");
  two->write_at(0, "B");
  one->write_at(0, "A");
  one->sync_data();
  const auto pieces = disk.pending_writes();
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].path, "/two");
  const auto after = disk.power_cut(choose::none());
  EXPECT_EQ(get(*after, "one"), "A");
  EXPECT_EQ(get(*after, "two"), "2");
}

TEST(SimDisk, RandomChoicesAreTheSameForTheSameSeed) {
  const std::uint64_t seed = test_seed();
  SimDisk disk;
  const auto file = durable_file(disk, "f", std::string(20 * 512, '.'));
  file->write_at(0, std::string(20 * 512, 'x'));
  std::set<std::string> different;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const std::string once = get(*disk.power_cut(choose::random(seed + i)), "f");
    EXPECT_EQ(get(*disk.power_cut(choose::random(seed + i)), "f"), once);
    different.insert(once);
  }
  EXPECT_GT(different.size(), 15u);
}

TEST(SimDisk, WhatAPowerCutLeavesIsDurable) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "old");
  file->write_at(0, "new");
  const auto after = disk.power_cut(choose::all());
  EXPECT_THAT(after->pending_writes(), IsEmpty());
  EXPECT_EQ(get(*after->power_cut(choose::none()), "f"), "new");
}

// --- directories -----------------------------------------------------------------------------------------------------

TEST(SimDisk, ASyncedFileWithoutItsEntryMayBeMissing) {
  SimDisk disk;
  const auto file = disk.open("f", Mode::Create);
  file->write_at(0, "content");
  file->sync_data();
  EXPECT_FALSE(disk.power_cut(choose::all(), choose::none())->exists("f"));
  EXPECT_EQ(get(*disk.power_cut(choose::none(), choose::all()), "f"), "content");
}

TEST(SimDisk, ASyncedEntryKeepsTheFileButNotItsBytes) {
  SimDisk disk;
  const auto file = disk.open("f", Mode::Create);
  file->write_at(0, "content");
  disk.sync_directory("/");
  EXPECT_EQ(get(*disk.power_cut(choose::none(), choose::none()), "f"), "");
}

TEST(SimDisk, ADirectoryThatIsLostTakesItsFilesAlong) {
  SimDisk disk;
  disk.make_directory("d");
  const auto file = disk.open("d/f", Mode::Create);
  file->sync_data();
  disk.sync_directory("d");
  EXPECT_THAT(disk.power_cut(choose::all(), choose::none())->list("/"), IsEmpty());
  disk.sync_directory("/");
  EXPECT_TRUE(disk.power_cut(choose::all(), choose::none())->exists("d/f"));
}

TEST(SimDisk, RenamesAndRemovalsAreUndoneUntilTheDirectoryIsSynced) {
  SimDisk disk;
  durable_file(disk, "old", "old");
  durable_file(disk, "new", "new");
  durable_file(disk, "gone", "gone");
  disk.rename("new", "old");
  disk.remove("gone");
  EXPECT_THAT(disk.list("/"), ElementsAre("old"));
  const auto undone = disk.power_cut(choose::all(), choose::none());
  EXPECT_THAT(undone->list("/"), ElementsAre("gone", "new", "old"));
  EXPECT_EQ(get(*undone, "old"), "old");
  EXPECT_EQ(get(*undone, "gone"), "gone");
  disk.sync_directory("/");
  const auto done = disk.power_cut(choose::none(), choose::none());
  EXPECT_THAT(done->list("/"), ElementsAre("old"));
  EXPECT_EQ(get(*done, "old"), "new");
}

TEST(SimDisk, WhatIsWrittenToARemovedFileReachesTheOneThatComesBack) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "old");
  disk.remove("f");
  file->write_at(0, "new");
  file->sync_data();
  EXPECT_EQ(get(*disk.power_cut(choose::none(), choose::none()), "f"), "new");
}

TEST(SimDisk, ChangesOfADirectorySurviveInTheirOrder) {
  SimDisk disk;
  for (const char* name : {"a", "b", "c"}) disk.open(name, Mode::Create);
  const auto entries = disk.pending_entries();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[1].path, "b");
  EXPECT_EQ(entries[1].kind, Kind::Create);
  EXPECT_THAT(disk.power_cut(choose::all(), choose::first(2))->list("/"), ElementsAre("a", "b"));
  EXPECT_THAT(disk.power_cut(choose::all(), choose::all_but(1))->list("/"), ElementsAre("a"));
  EXPECT_THAT(disk.power_cut(choose::all(), choose::only(1))->list("/"), IsEmpty());
}

TEST(SimDisk, DirectoriesKeepTheirOwnOrder) {
  SimDisk disk;
  disk.make_directory("d");
  disk.make_directory("e");
  disk.sync_directory("/");
  disk.open("d/lost", Mode::Create);
  disk.open("e/kept", Mode::Create);
  disk.open("d/lost too", Mode::Create);
  const auto after = disk.power_cut(choose::all(), choose::all_but(0));
  EXPECT_THAT(after->list("d"), IsEmpty());
  EXPECT_THAT(after->list("e"), ElementsAre("kept"));
}

TEST(SimDisk, ARenameBetweenDirectoriesIsWholeOrNot) {
  SimDisk disk;
  disk.make_directory("d");
  durable_file(disk, "f", "content");
  disk.rename("f", "d/g");
  EXPECT_TRUE(disk.power_cut(choose::all(), choose::none())->exists("f"));
  EXPECT_FALSE(disk.power_cut(choose::all(), choose::none())->exists("d/g"));
  const auto after = disk.power_cut(choose::all(), choose::all());
  EXPECT_FALSE(after->exists("f"));
  EXPECT_EQ(get(*after, "d/g"), "content");
}

TEST(SimDisk, TheTargetsSyncMakesARenameBetweenDirectoriesDurable) {
  SimDisk disk;
  disk.make_directory("d");
  disk.sync_directory("/");
  disk.open("f", Mode::Create)->sync_data();
  disk.rename("f", "d/g");
  disk.sync_directory("d");
  for (const auto& after :
       {disk.power_cut(choose::all(), choose::none()), disk.power_cut(choose::all(), choose::all())}) {
    EXPECT_TRUE(after->exists("d/g"));
    EXPECT_FALSE(after->exists("f")) << "the creation of the old name must not come back";
  }
}

// --- failing operations ----------------------------------------------------------------------------------------------

TEST(SimDisk, AfterAFailedSyncNoLaterOneSavesTheBytes) {
  SimDisk disk;
  const auto file = durable_file(disk, "1", "....");
  file->write_at(0, "AB");
  disk.fail_next_sync("1");
  EXPECT_EQ(error_of([&] { file->sync_data(); }), ErrorCode::Io);
  EXPECT_EQ(get(disk, "1"), "AB..") << "reads see the page cache";
  file->write_at(2, "CD");
  file->sync_data();
  EXPECT_EQ(get(disk, "1"), "ABCD");
  EXPECT_THAT(disk.pending_writes(), IsEmpty());
  EXPECT_EQ(get(*disk.power_cut(choose::all()), "1"), "..CD");
}

TEST(SimDisk, AfterAFailedSyncALaterOneSavesTheSizeThatTheFileShows) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "");
  file->write_at(0, "ABCD");
  disk.fail_next_sync("f");
  EXPECT_THROW(file->sync_data(), Error);
  EXPECT_EQ(get(*disk.power_cut(choose::all()), "f"), "");
  file->write_at(1, "x");
  file->sync_data();
  EXPECT_EQ(get(*disk.power_cut(choose::none()), "f"), std::string_view("\0x\0\0", 4));
}

TEST(SimDisk, AFailedSyncMayHaveReachedTheDiskInPart) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", std::string(1024, '.'));
  file->write_at(0, pattern(1024));
  disk.fail_next_sync("f", choose::only(1));
  EXPECT_THROW(file->sync_data(), Error);
  EXPECT_EQ(get(*disk.power_cut(choose::all()), "f"), std::string(512, '.') + std::string(512, 'b'));
}

TEST(SimDisk, OnlyTheNextSyncOfAMatchingFileFails) {
  SimDisk disk;
  const auto one = durable_file(disk, "one", "");
  const auto two = durable_file(disk, "two", "");
  disk.fail_next_sync("two");
  EXPECT_NO_THROW(one->sync_data());
  EXPECT_THROW(two->sync_data(), Error);
  EXPECT_NO_THROW(two->sync_data());
}

TEST(SimDisk, TheNthWriteFailsForLackOfSpace) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "......");
  disk.fail_write(2, 1);
  file->write_at(0, "ab");
  EXPECT_EQ(error_of([&] { file->write_at(2, "cd"); }), ErrorCode::NoSpace);
  file->write_at(4, "ef");
  EXPECT_EQ(get(disk, "f"), "abc.ef");
  disk.fail_write(1);
  EXPECT_EQ(error_of([&] { file->write_at(0, "xxx"); }), ErrorCode::NoSpace);
  EXPECT_EQ(get(disk, "f"), "abc.ef");
}

TEST(SimDisk, AnObserverThatThrowsFailsTheOperationWithoutEffect) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "old");
  file->write_at(0, "new");
  disk.observe([](const DiskOperation& operation) { throw Error(ErrorCode::Io, "no " + operation.path); });
  EXPECT_THROW(file->write_at(0, "xxx"), Error);
  EXPECT_THROW(file->truncate(0), Error);
  EXPECT_THROW(file->sync_data(), Error);
  EXPECT_THROW(disk.open("g", Mode::Create), Error);
  EXPECT_THROW(disk.make_directory("d"), Error);
  EXPECT_THROW(disk.rename("f", "g"), Error);
  EXPECT_THROW(disk.remove("f"), Error);
  EXPECT_THROW(disk.sync_directory("/"), Error);
  disk.observe(nullptr);
  EXPECT_THAT(disk.list("/"), ElementsAre("f"));
  EXPECT_EQ(get(disk, "f"), "new");
  EXPECT_EQ(get(*disk.power_cut(choose::none()), "f"), "old");
}

// --- observing and killing -------------------------------------------------------------------------------------------

TEST(SimDisk, OperationsAreCountedAndObservedBeforeTheyHappen) {
  SimDisk disk;
  std::vector<DiskOperation> seen;
  std::vector<bool> existed;
  disk.observe([&](const DiskOperation& operation) {
    seen.push_back(operation);
    existed.push_back(disk.exists("d/f"));
  });
  disk.make_directory("d");
  disk.make_directory("d");  // no change, no operation
  const auto file = disk.open("d/f", Mode::Create);
  file->write_at(0, "x");
  file->truncate(0);
  file->sync_data();
  disk.rename("d/f", "d/g");
  disk.sync_directory("d");
  disk.remove("d/g");
  disk.list("d");
  std::vector<Kind> kinds;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    kinds.push_back(seen[i].kind);
    EXPECT_EQ(seen[i].number, i + 1);
  }
  EXPECT_THAT(kinds, ElementsAre(Kind::MakeDirectory, Kind::Create, Kind::Write, Kind::Truncate, Kind::Sync,
                                 Kind::Rename, Kind::SyncDirectory, Kind::Remove));
  EXPECT_THAT(existed, ElementsAre(false, false, true, true, true, true, false, false));
  EXPECT_EQ(disk.operations(), 8u);
  EXPECT_EQ(seen[5].path, "d/g");
}

TEST(SimDisk, AnObserverMayCutThePowerAndReplaceItself) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "old");
  std::unique_ptr<SimDisk> cut;
  disk.observe([&](const DiskOperation& operation) {
    if (operation.kind != Kind::Sync) return;
    cut = disk.power_cut(choose::none());
    disk.observe(nullptr);
  });
  file->write_at(0, "new");
  file->sync_data();
  file->sync_data();
  ASSERT_NE(cut, nullptr);
  EXPECT_EQ(get(*cut, "f"), "old");
  EXPECT_EQ(get(disk, "f"), "new");
}

TEST(SimDisk, AKilledProcessLosesNothingButLeavesItUnsynced) {
  SimDisk disk;
  const auto file = durable_file(disk, "f", "old");
  file->write_at(0, "new");
  disk.open("g", Mode::Create);
  disk.rename("g", "h");
  const auto after = disk.crash();
  EXPECT_EQ(get(*after, "f"), "new");
  EXPECT_THAT(after->list("/"), ElementsAre("f", "h"));
  EXPECT_EQ(get(*after->power_cut(choose::none(), choose::none()), "f"), "old");
  EXPECT_THAT(after->power_cut(choose::none(), choose::none())->list("/"), ElementsAre("f"));
  after->sync_directory("/");
  after->open("f", Mode::Read)->sync_data();
  EXPECT_EQ(get(*after->power_cut(choose::none(), choose::none()), "f"), "new");
  EXPECT_EQ(get(*disk.power_cut(choose::none(), choose::none()), "f"), "old") << "the two disks are independent";
}

TEST(SimDisk, PathsWithDotDotAreRefused) {
  SimDisk disk;
  EXPECT_EQ(error_of([&] { disk.exists("../f"); }), ErrorCode::Io);
  disk.make_directory("d");
  EXPECT_NO_THROW(disk.open("/d/../f", Mode::Create));
  EXPECT_TRUE(disk.exists("f"));
}

TEST(SimDisk, ThreadsMayShareIt) {
  SimDisk disk;
  std::atomic<std::uint64_t> observed{0};
  disk.observe([&](const DiskOperation&) { ++observed; });
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      const std::string path = "f" + std::to_string(t);
      const auto file = disk.open(path, Mode::Create);
      for (std::uint64_t i = 0; i < 200; ++i) {
        file->write_at(i, "x");
        if (i % 10 == 0) file->sync_data();
        if (i % 50 == 0) disk.power_cut(choose::none());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(observed, disk.operations());
  EXPECT_EQ(disk.operations(), 3u * (1 + 200 + 20));
}

// --- the helpers of file.h, with the power cut at every operation ----------------------------------------------------

// Calls `check` with every state the disk may be left in when the power is cut before any operation of `run`, or after
// the last: nothing unsynced survived, all of it, one piece only, all but one, some at random; with each prefix of the
// changes of directories.
void cut_everywhere(SimDisk& disk, const std::function<void()>& run, const std::function<void(SimDisk&)>& check) {
  const std::uint64_t seed = test_seed();
  const auto cut = [&] {
    std::vector<WriteChooser> writes = {choose::none(), choose::all(), choose::random(seed), choose::random(seed + 1)};
    for (std::size_t i = 0; i < disk.pending_writes().size(); ++i) {
      writes.push_back(choose::only(i));
      writes.push_back(choose::all_but(i));
    }
    for (const WriteChooser& chooser : writes) {
      for (std::size_t i = 0; i <= disk.pending_entries().size(); ++i)
        check(*disk.power_cut(chooser, choose::first(i)));
    }
  };
  disk.observe([&](const DiskOperation&) { cut(); });
  run();
  disk.observe(nullptr);
  cut();
}

TEST(SimDisk, AnAtomicWriteIsOldOrNewWheneverThePowerIsCut) {
  SimDisk disk;
  const std::string before = pattern(1200, 'a');
  const std::string after = pattern(1700, 'A');
  durable_file(disk, "f", before);
  int old_ones = 0;
  int new_ones = 0;
  cut_everywhere(
      disk, [&] { write_file_atomically(disk, "f", after); },
      [&](SimDisk& cut) {
        const std::string content = get(cut, "f");
        EXPECT_TRUE(content == before || content == after);
        ++(content == before ? old_ones : new_ones);
      });
  EXPECT_GT(old_ones, 0);
  EXPECT_GT(new_ones, 0);
  EXPECT_EQ(get(*disk.power_cut(choose::none(), choose::none()), "f"), after);
}

TEST(SimDisk, AZeroFilledFileIsDurableWhenItIsDone) {
  SimDisk disk;
  cut_everywhere(
      disk, [&] { create_zero_filled(disk, "f", 3000); },
      [&](SimDisk& cut) {
        if (cut.exists("f")) {
          EXPECT_EQ(get(cut, "f"), std::string(get(cut, "f").size(), '\0'));
        }
      });
  EXPECT_EQ(get(*disk.power_cut(choose::none(), choose::none()), "f"), std::string(3000, '\0'));
}

TEST(SimDisk, DirectoriesThatWereMadeAreDurableWhoeverMadeThem) {
  SimDisk disk;
  make_directories(disk, "/a/b/c");
  EXPECT_TRUE(disk.power_cut(choose::none(), choose::none())->exists("/a/b/c"));
  disk.make_directory("/d");
  make_directories(disk, "/d");
  EXPECT_TRUE(disk.power_cut(choose::none(), choose::none())->exists("/d"));
}

TEST(SimDisk, TheHelpersCleanUpAfterEachFailingOperation) {
  for (std::uint64_t failing = 1;; ++failing) {
    SimDisk disk;
    durable_file(disk, "f", "old");
    const std::uint64_t first = disk.operations();
    bool failed = false;
    disk.observe([&](const DiskOperation& operation) {
      if (operation.number != first + failing) return;
      failed = true;
      throw Error(ErrorCode::Io, "the test's");
    });
    const ErrorCode error = error_of([&] {
      create_zero_filled(disk, "zeros", 100);
      disk.remove("zeros");
      write_file_atomically(disk, "f", "new");
    });
    disk.observe(nullptr);
    EXPECT_EQ(error, failed ? ErrorCode::Io : ErrorCode{});
    EXPECT_TRUE(get(disk, "f") == "old" || get(disk, "f") == "new");
    EXPECT_LE(disk.list("/").size(), 2u);
    for (const std::string& name : disk.list("/")) EXPECT_FALSE(name.ends_with(".tmp")) << name;
    if (!failed) break;
    ASSERT_LT(failing, 50u);
  }
}

}  // namespace
}  // namespace azoth::test
