// Registrations of snapshot sets: what is written is what is read, whatever else lies in their folder.
#include "azoth/canonical/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>

#include "azoth/core/codec.h"
#include "azoth/core/digest.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "support/child_process.h"
#include "support/sim_disk.h"
#include "support/temp_dir.h"
#include "support/thrown.h"

namespace azoth {
namespace {

using test::code_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Uuid uuid_of(std::uint8_t byte) {
  Uuid id;
  id.bytes.fill(byte);
  return id;
}

RetainedSet set_of(std::uint8_t id, CommitSeq commit = 10) {
  return {.set_id = uuid_of(id), .timeline = uuid_of(99), .commit = commit, .limit_bytes = 1000, .place = "/backups"};
}

class RetentionTest : public testing::Test {
 protected:
  ~RetentionTest() override { fault::disarm_all(); }

  std::filesystem::path folder() const { return directory_.path() / "retain"; }
  std::filesystem::path file(std::uint8_t id) const { return folder() / uuid_of(id).text(); }

  std::string content(std::uint8_t id) const { return read_file(FileSystem::posix(), file(id), 100'000); }
  void write(const std::filesystem::path& path, const std::string& bytes) const { std::ofstream(path) << bytes; }
  // The text of a registration with something changed and the check made right for it.
  void forge(std::uint8_t id, const std::string& from, const std::string& to) const {
    std::string text = content(id);
    text.replace(text.find(from), from.size(), to);
    text.resize(text.rfind("check "));
    std::string check;
    codec::append(check, checksum64(text));
    write(file(id), text + "check " + to_hex(check) + "\n");
  }

  void expect_unreadable(const std::string& why) const {
    std::vector<std::string> unreadable;
    EXPECT_THAT(retention_.list(&unreadable), ElementsAre(set_of(2))) << why;
    ASSERT_EQ(unreadable.size(), 1u) << why;
    EXPECT_THAT(unreadable.front(), HasSubstr(file(1).string())) << why;
    EXPECT_EQ(retention_.find(uuid_of(1)), std::nullopt) << why;
  }

  test::TempDir directory_;
  Retention retention_{directory_.path()};
};

TEST_F(RetentionTest, NothingIsMadeBeforeTheFirstSetRegisters) {
  EXPECT_FALSE(retention_.in_use());
  EXPECT_THAT(retention_.list(), IsEmpty());
  EXPECT_EQ(retention_.find(uuid_of(1)), std::nullopt);
  EXPECT_FALSE(retention_.forget(uuid_of(1)));
  EXPECT_FALSE(std::filesystem::exists(folder()));
  retention_.set(set_of(1));
  EXPECT_TRUE(retention_.in_use());
}

TEST_F(RetentionTest, SetsAreListedByTheirIdsAndFoundAndForgotten) {
  for (std::uint8_t id : {3, 1, 2}) retention_.set(set_of(id, id));
  EXPECT_THAT(retention_.list(), ElementsAre(set_of(1, 1), set_of(2, 2), set_of(3, 3)));
  EXPECT_EQ(retention_.find(uuid_of(2)), set_of(2, 2));
  EXPECT_EQ(retention_.find(uuid_of(4)), std::nullopt);
  EXPECT_TRUE(retention_.forget(uuid_of(2)));
  EXPECT_FALSE(retention_.forget(uuid_of(2)));
  EXPECT_THAT(retention_.list(), ElementsAre(set_of(1, 1), set_of(3, 3)));
}

TEST_F(RetentionTest, ASetThatRegistersAgainReplacesWhatItSaidBefore) {
  retention_.set(set_of(1, 5));
  retention_.set(set_of(1, 8));
  EXPECT_THAT(retention_.list(), ElementsAre(set_of(1, 8)));
}

TEST_F(RetentionTest, TheGreatestNumbersAndEmptyPlacesAreKept) {
  RetainedSet set = set_of(1, std::numeric_limits<CommitSeq>::max());
  set.limit_bytes = std::numeric_limits<std::uint64_t>::max();
  set.place = "";
  retention_.set(set);
  EXPECT_EQ(retention_.find(uuid_of(1)), set);
}

TEST_F(RetentionTest, APlaceIsKeptWhateverItsNameIs) {
  RetainedSet set = set_of(1);
  for (const std::string& place : {std::string("/b\xC3\xBC"
                                               "cher/sicherung"),
                                   std::string("/a\ncheck 00\nplace b\n"), std::string("\xFF\x01\0z", 4),
                                   std::string(4096, 'p'), std::string(4096, '\xFF')}) {
    set.place = place;
    retention_.set(set);
    EXPECT_EQ(retention_.find(uuid_of(1)), set);
  }
  set.place = std::string(100'000, 'p');
  retention_.set(set);
  ASSERT_TRUE(retention_.find(uuid_of(1)).has_value()) << "it can be read, however long the place was";
  EXPECT_THAT(set.place, testing::StartsWith(retention_.find(uuid_of(1))->place));
}

// --- What is damaged

TEST_F(RetentionTest, AFileWithAnyByteChangedOrMissingCountsForNothing) {
  retention_.set(set_of(1));
  retention_.set(set_of(2));
  const std::string whole = content(1);
  for (std::size_t at = 0; at < whole.size(); at += at < 220 ? 3 : 1) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    write(file(1), changed);
    ASSERT_NO_FATAL_FAILURE(expect_unreadable("byte " + std::to_string(at)));
    write(file(1), whole.substr(0, at));
    ASSERT_NO_FATAL_FAILURE(expect_unreadable("cut to " + std::to_string(at)));
  }
  write(file(1), whole + "\n");
  expect_unreadable("longer");
  write(file(1), std::string(100'000, 'x'));
  expect_unreadable("far too long");
  retention_.set(set_of(1));
  EXPECT_EQ(retention_.find(uuid_of(1)), set_of(1)) << "and is replaced";
}

TEST_F(RetentionTest, AFileUnderAnothersNameCountsForNothing) {
  retention_.set(set_of(1));
  retention_.set(set_of(2));
  write(file(1), content(2));
  expect_unreadable("a copy");
}

TEST_F(RetentionTest, AFileThatNobodyHasWrittenSoCountsForNothingThoughItsCheckIsRight) {
  retention_.set(set_of(2));
  const auto forged = [&](const std::string& from, const std::string& to) {
    retention_.set(set_of(1));
    forge(1, from, to);
    expect_unreadable(to);
  };
  forged("commit 10", "commit 99999999999999999999");
  forged("commit 10", "commit ");
  forged("commit 10", "commit 10 ");
  forged("commit 10", "commit -1");
  forged("limit 1000\n", "");
  forged("azoth retained set 1", "azoth retained set 2");
  forged("timeline ", "timeline x");
  forged("place /backups\n", "");
  forged("place /backups\n", "place /backups");
  retention_.set(set_of(1));
  forge(1, "commit 10", "commit 11");
  EXPECT_EQ(retention_.find(uuid_of(1)), set_of(1, 11)) << "the check of a forged file is right";
}

TEST_F(RetentionTest, WhatIsNoFileCountsForNothing) {
  retention_.set(set_of(2));
  write(directory_.path() / "elsewhere", "text");
  std::filesystem::create_symlink(directory_.path() / "elsewhere", file(1));
  expect_unreadable("a symbolic link");
  std::filesystem::remove(file(1));
  std::filesystem::create_symlink(file(2), file(1));
  expect_unreadable("a symbolic link to another one");
  std::filesystem::remove(file(1));
  std::filesystem::create_directory(file(1));
  expect_unreadable("a folder");
}

TEST_F(RetentionTest, OtherNamesAreNobodysAndStay) {
  retention_.set(set_of(1));
  write(folder() / "README", "text");
  write(folder() / (uuid_of(2).text() + "x"), content(1));
  std::vector<std::string> unreadable;
  EXPECT_THAT(retention_.list(&unreadable), ElementsAre(set_of(1)));
  EXPECT_THAT(unreadable, IsEmpty());
  retention_.set(set_of(1, 20));
  EXPECT_TRUE(std::filesystem::exists(folder() / "README"));
}

// --- Crashes and others

TEST_F(RetentionTest, AKillAnywhereLeavesTheOldOrTheNewOneAndNoLeftoversThatStay) {
  for (const char* point :
       {"file.make_directory", "file.create", "file.write", "file.sync", "file.rename", "file.sync_directory"}) {
    for (int skip : {0, 1}) {
      std::filesystem::remove_all(folder());
      for (CommitSeq commit : {1, 2}) {
        test::ChildProcess child([&] {
          fault::arm(point, {.kill = true, .skip = skip});
          retention_.set(set_of(1, commit));
        });
        child.wait();
        ASSERT_TRUE(child.was_killed() || child.succeeded()) << point;
        if (skip == 0 && commit == 1) {
          EXPECT_TRUE(child.was_killed()) << point << " was not reached";
        }
        const auto left = retention_.find(uuid_of(1));
        std::vector<std::string> unreadable;
        if (commit == 2) {
          ASSERT_TRUE(left) << point;
          EXPECT_TRUE(*left == set_of(1, 1) || *left == set_of(1, 2)) << point;
        } else if (left) {
          EXPECT_EQ(*left, set_of(1, 1)) << point;
        }
        if (child.succeeded()) {
          EXPECT_EQ(left, set_of(1, commit)) << point;
        }
        retention_.list(&unreadable);
        EXPECT_THAT(unreadable, IsEmpty()) << point;
        retention_.set(set_of(1, commit));
        EXPECT_THAT(FileSystem::posix().list(folder()), ElementsAre(uuid_of(1).text(), "lock")) << point;
      }
    }
  }
}

TEST_F(RetentionTest, AnErrorLeavesTheOldOne) {
  retention_.set(set_of(1, 1));
  for (const char* point : {"file.create", "file.write", "file.sync", "file.rename"}) {
    fault::Armed armed(point, {.fail_with = EIO});
    EXPECT_EQ(code_of([&] { retention_.set(set_of(1, 2)); }), ErrorCode::Io) << point;
    EXPECT_EQ(retention_.find(uuid_of(1)), set_of(1, 1)) << point;
  }
}

// The folder's lock is on a disk of its own here; what is made durable is looked at on this one.
TEST_F(RetentionTest, IsDurableWhenSetReturnsAlsoIfAnotherHadMadeTheFolder) {
  std::filesystem::create_directory(folder());
  for (bool made_before : {false, true}) {
    test::SimDisk disk;
    std::filesystem::path path;
    for (const auto& part : directory_.path()) {
      path /= part;
      if (path != path.root_path()) disk.make_directory(path);
      if (path != path.root_path()) disk.sync_directory(path.parent_path());
    }
    if (made_before) disk.make_directory(folder());  // and died
    Retention(directory_.path(), disk).set(set_of(1));
    const auto after = disk.power_cut(test::choose::none(), test::choose::none());
    EXPECT_EQ(Retention(directory_.path(), *after).find(uuid_of(1)), set_of(1)) << made_before;
  }
}

TEST_F(RetentionTest, OthersWaitForAMomentWhileOneHoldsTheLock) {
  retention_.set(set_of(1));
  test::Pipe pipe;
  test::ChildProcess child([&] {
    const auto held = retention_.try_lock();
    pipe.send(held.has_value());
    usleep(100'000);
  });
  bool held = false;
  ASSERT_TRUE(pipe.receive(held) && held);
  EXPECT_EQ(retention_.try_lock(), std::nullopt);
  retention_.set(set_of(1, 20));
  EXPECT_EQ(retention_.find(uuid_of(1)), set_of(1, 20));
  child.wait();
  EXPECT_TRUE(retention_.try_lock().has_value());
}

TEST_F(RetentionTest, SetsThatRegisterInTwoProcessesAllRegister) {
  const auto registers = [&](std::uint8_t first) {
    return [this, first] {
      for (CommitSeq commit = 1; commit <= 8; ++commit) {
        for (std::uint8_t id = first; id < first + 3; ++id) retention_.set(set_of(id, commit));
      }
    };
  };
  test::ChildProcess one(registers(10));
  test::ChildProcess other(registers(20));
  one.wait();
  other.wait();
  ASSERT_TRUE(one.succeeded() && other.succeeded());
  const std::vector<RetainedSet> sets = retention_.list();
  ASSERT_EQ(sets.size(), 6u);
  for (const RetainedSet& set : sets) EXPECT_EQ(set.commit, 8u);
}

}  // namespace
}  // namespace azoth
