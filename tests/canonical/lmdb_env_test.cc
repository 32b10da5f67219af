// The environment: readers, room, opening.
#include "lmdb_env.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <latch>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/codec.h"
#include "azoth/core/limits.h"
#include "lmdb_env_support.h"
#include "support/child_process.h"
#include "support/seed.h"

namespace azoth {
namespace {

using test::code_of;
using test::kSettings;
using test::LmdbEnvTest;
using test::test_seed;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::string_literals;

// --- Readers

TEST_F(LmdbEnvTest, SnapshotsAreCountedAndLimited) {
  std::vector<LmdbReadTxn> snapshots;
  EXPECT_EQ(code_of([&] {
              while (snapshots.size() < 100) snapshots.push_back(env_->begin_read());
            }),
            ErrorCode::ReadersFull);
  EXPECT_GE(snapshots.size(), kSettings.max_readers);
  EXPECT_LE(snapshots.size(), kSettings.max_readers + 1);  // LMDB rounds up
  EXPECT_EQ(env_->live_readers(), snapshots.size());
  snapshots.pop_back();
  EXPECT_EQ(code_of([&] { snapshots.push_back(env_->begin_read()); }), ErrorCode{});
  snapshots.clear();
  EXPECT_EQ(env_->live_readers(), 0u);
}

// The slots are those of all processes: who has ended his snapshots does not keep them.
TEST_F(LmdbEnvTest, SnapshotsThatHaveEndedLeaveRoomForOtherProcesses) {
  {
    std::vector<LmdbReadTxn> snapshots;
    EXPECT_EQ(code_of([&] {
                while (snapshots.size() < 100) snapshots.push_back(env_->begin_read());
              }),
              ErrorCode::ReadersFull);
  }
  test::ChildProcess other([&] {
    LmdbEnv env(path(), kSettings, LmdbEnv::Mode::Read);
    std::vector<LmdbReadTxn> snapshots;
    for (int i = 0; i < 8; ++i) snapshots.push_back(env.begin_read());
  });
  other.wait();
  EXPECT_TRUE(other.succeeded());
  std::vector<LmdbReadTxn> snapshots;
  for (unsigned i = 0; i < kSettings.max_readers; ++i) snapshots.push_back(env_->begin_read());
}

TEST_F(LmdbEnvTest, SnapshotsOfAProcessThatHasDiedLeaveRoomForOthers) {
  test::ChildProcess other([&] {
    LmdbEnv env(path(), kSettings, LmdbEnv::Mode::Read);
    std::vector<LmdbReadTxn> snapshots;
    const ErrorCode error = code_of([&] {
      while (true) snapshots.push_back(env.begin_read());
    });
    if (error == ErrorCode::ReadersFull) raise(SIGKILL);
  });
  other.wait();
  ASSERT_TRUE(other.was_killed());
  std::vector<LmdbReadTxn> snapshots;
  for (unsigned i = 0; i < kSettings.max_readers; ++i) snapshots.push_back(env_->begin_read());
}

TEST_F(LmdbEnvTest, ASnapshotOfAProcessThatHasDiedKeepsNoPages) {
  put({"a"});
  test::ChildProcess other([&] {
    LmdbEnv env(path(), kSettings, LmdbEnv::Mode::Read);
    const LmdbReadTxn snapshot = env.begin_read();
    raise(SIGKILL);
  });
  other.wait();
  ASSERT_TRUE(other.was_killed());
  for (int i = 0; i < 20; ++i) put({"a"});
  const std::uint64_t kept = env_->space().used();
  env_->clear_stale_readers();
  EXPECT_LT(env_->space().used(), kept);
}

TEST_F(LmdbEnvTest, WhatTheFlusherNeedsWorksWhenNoMoreSnapshotsCanBeTaken) {
  put({"a"});
  std::vector<LmdbReadTxn> snapshots;
  EXPECT_EQ(code_of([&] {
              while (true) snapshots.push_back(env_->begin_read());
            }),
            ErrorCode::ReadersFull);
  EXPECT_EQ(env_->pages(Table::State).leaf, 1u);
  EXPECT_GT(env_->space().used(), 0u);
  env_->reserve_disk(1);
  env_->clear_stale_readers();
  put({"b"});
  EXPECT_EQ(keys(snapshots.front()), std::vector<std::string>{"a"});
}

// Others have mapped so much of the lock file as there was: no writer may put snapshots behind that.
TEST_F(LmdbEnvTest, AnotherProcessWithMoreReadersLeavesTheLockFileAsLargeAsItIsMapped) {
  const std::filesystem::path lock = path() / "lock.mdb";
  const std::uintmax_t mapped = std::filesystem::file_size(lock);
  const LmdbEnv::Settings larger{kSettings.map_bytes, 1000};
  test::ChildProcess child([&] { LmdbEnv(path(), larger, LmdbEnv::Mode::Write); });
  child.wait();
  ASSERT_TRUE(child.succeeded());
  EXPECT_EQ(std::filesystem::file_size(lock), mapped);
  env_.reset();
  env_.emplace(path(), larger, LmdbEnv::Mode::Write);
  EXPECT_GT(std::filesystem::file_size(lock), mapped) << "when nobody else has it open it grows";
}

// --- Room

TEST_F(LmdbEnvTest, SpaceCountsFreedPages) {
  std::uint64_t empty = env_->space().used();
  {
    LmdbWriteTxn txn(*env_);
    for (int i = 0; i < 1000; ++i) txn.put(Table::State, std::to_string(i), std::string(2000, 'x'));
    txn.commit(0);
  }
  std::uint64_t full = env_->space().used();
  EXPECT_GE(full, empty + 1000 * 2000);
  {
    LmdbWriteTxn txn(*env_);
    for (int i = 0; i < 1000; ++i) txn.del(Table::State, std::to_string(i));
    txn.commit(0);
  }
  put({"a"});
  EXPECT_LT(env_->space().used(), full / 4);
  EXPECT_EQ(env_->space().map_bytes, kSettings.map_bytes);
}

TEST_F(LmdbEnvTest, LeafPagesGrowWithTheTable) {
  EXPECT_EQ(env_->pages(Table::State).leaf, 0u);
  LmdbWriteTxn txn(*env_);
  for (int i = 0; i < 1000; ++i) txn.put(Table::State, std::to_string(i), std::string(1000, 'x'));
  txn.commit(0);
  EXPECT_GE(env_->pages(Table::State).leaf, 1000u / 4);
}

TEST_F(LmdbEnvTest, AFullMapIsNoSpaceAndChangesNothing) {
  put({"a"});
  std::string megabyte(1 << 20, 'x');
  EXPECT_EQ(code_of([&] {
              LmdbWriteTxn txn(*env_);
              for (int i = 0; i < 100; ++i) txn.put(Table::State, std::to_string(i), megabyte);
            }),
            ErrorCode::NoSpace);
  EXPECT_THAT(keys(), ElementsAre("a"));
  put({"b"});
  EXPECT_THAT(keys(), ElementsAre("a", "b"));
}

TEST_F(LmdbEnvTest, ReservingExtendsTheFile) {
  constexpr std::uint64_t kBytes = 5 << 20;
  env_->reserve_disk(kBytes);
  EXPECT_GE(std::filesystem::file_size(data()), kBytes);
  fault::Armed fault("lmdb.reserve", {.fail_with = ENOSPC});
  EXPECT_EQ(code_of([&] { env_->reserve_disk(2 * kBytes); }), ErrorCode::NoSpace);
}

// --- Opening

TEST_F(LmdbEnvTest, ReopeningKeepsTheContent) {
  put({"a", "b"});
  env_.reset();
  env_.emplace(path(), kSettings, LmdbEnv::Mode::Write);
  EXPECT_THAT(keys(), ElementsAre("a", "b"));
}

// LMDB's last step of a commit is to write in its lock file which transaction is the newest. A writer that is killed
// while LMDB syncs the step before has committed and not told; that is put together here.
TEST_F(LmdbEnvTest, WhatAKilledWriterHasCommittedIsThereForTheNextOneBesideAReader) {
  put({"a"});
  env_.reset();
  test::Pipe to_reader;
  test::Pipe from_reader;
  test::ChildProcess reader([&] {
    LmdbEnv env(path(), kSettings, LmdbEnv::Mode::Read);
    std::uint64_t asked = 0;
    do {
      from_reader.send(env.begin_read().entries(Table::State));
    } while (to_reader.receive(asked));
  });
  auto seen_by_reader = [&] {
    std::uint64_t entries = 0;
    EXPECT_TRUE(from_reader.receive(entries));
    return entries;
  };
  EXPECT_EQ(seen_by_reader(), 1u);
  test::ChildProcess writer([&] {
    env_.emplace(path(), kSettings, LmdbEnv::Mode::Write);
    int fd = open((path() / "lock.mdb").c_str(), O_RDWR);
    std::array<std::uint64_t, 24> before{};  // more than the header in front of the readers' slots has
    std::array<std::uint64_t, 24> after{};
    std::uint64_t old_id = env_->begin_read().id();
    bool read = pread(fd, before.data(), sizeof before, 0) == sizeof before;
    put({"b"});
    std::uint64_t new_id = env_->begin_read().id();
    read = read && pread(fd, after.data(), sizeof after, 0) == sizeof after;
    LmdbWriteTxn lock(*env_);  // a commit holds LMDB's mutex
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (!read || before[i] != old_id || after[i] != new_id) continue;
      if (pwrite(fd, &old_id, sizeof old_id, static_cast<off_t>(i * sizeof old_id)) == sizeof old_id) raise(SIGKILL);
    }
  });
  writer.wait();
  ASSERT_TRUE(writer.was_killed());
  to_reader.send(std::uint64_t{1});
  EXPECT_EQ(seen_by_reader(), 1u);  // so it is as it should be for this test
  env_.emplace(path(), kSettings, LmdbEnv::Mode::Write);
  EXPECT_THAT(keys(), ElementsAre("a", "b"));
  to_reader.send(std::uint64_t{1});
  EXPECT_EQ(seen_by_reader(), 2u);
}

TEST_F(LmdbEnvTest, AMapSmallerThanTheDataIsRaised) {
  {
    LmdbWriteTxn txn(*env_);
    for (int i = 0; i < 1000; ++i) txn.put(Table::State, std::to_string(i), std::string(4000, 'x'));
    txn.commit(0);
  }
  env_.reset();
  env_.emplace(path(), LmdbEnv::Settings{limits::kMinMapBytes, 16}, LmdbEnv::Mode::Write);
  EXPECT_EQ(keys().size(), 1000u);
  EXPECT_GE(env_->space().map_bytes, 1000u * 4000u);
}

TEST_F(LmdbEnvTest, AReaderHasAsLargeAMapAsTheWriterWhateverItAsksFor) {
  put({"a"});
  env_.reset();
  test::Pipe start;
  test::ChildProcess writer([&] {
    char go = 0;
    if (!start.receive(go)) return;
    env_.emplace(path(), kSettings, LmdbEnv::Mode::Write);
    LmdbWriteTxn txn(*env_);
    for (int i = 0; i < 1000; ++i) txn.put(Table::State, std::to_string(i), std::string(4000, 'x'));
    txn.commit(0);
    _exit(0);
  });
  env_.emplace(path(), LmdbEnv::Settings{limits::kMinMapBytes, 16}, LmdbEnv::Mode::Read);
  EXPECT_EQ(env_->space().map_bytes, kSettings.map_bytes);
  EXPECT_EQ(keys().size(), 1u);
  start.send('g');
  writer.wait();
  ASSERT_TRUE(writer.succeeded());
  EXPECT_EQ(keys().size(), 1001u);
}

TEST_F(LmdbEnvTest, AReaderMayHaveALargerMapThanTheWriter) {
  env_.reset();
  env_.emplace(path(), LmdbEnv::Settings{kSettings.map_bytes * 2, 16}, LmdbEnv::Mode::Read);
  EXPECT_EQ(env_->space().map_bytes, kSettings.map_bytes * 2);
}

TEST_F(LmdbEnvTest, AReaderThatAWriterWithALargerMapHasOutgrownIsToldWhatToDo) {
  env_.reset();
  std::filesystem::path small = path() / "small";
  std::filesystem::create_directory(small);
  const LmdbEnv::Settings small_settings{limits::kMinMapBytes, 16};
  { LmdbEnv create(small, small_settings, LmdbEnv::Mode::Create); }
  test::Pipe start;
  test::ChildProcess writer([&] {
    char go = 0;
    if (!start.receive(go)) return;
    env_.emplace(small, kSettings, LmdbEnv::Mode::Write);
    LmdbWriteTxn txn(*env_);
    for (int i = 0; i < 1000; ++i) txn.put(Table::State, std::to_string(i), std::string(4000, 'x'));
    txn.commit(0);
    _exit(0);
  });
  env_.emplace(small, small_settings, LmdbEnv::Mode::Read);
  EXPECT_EQ(keys().size(), 0u);
  start.send('g');
  writer.wait();
  ASSERT_TRUE(writer.succeeded());
  EXPECT_THAT(test::message_of([&] { return env_->begin_read(); }), HasSubstr("open it again"));
  env_.reset();
  env_.emplace(small, small_settings, LmdbEnv::Mode::Read);
  EXPECT_EQ(keys().size(), 1000u);
}

TEST_F(LmdbEnvTest, AMissingOrEmptyDataFileIsCorruptionAndNotMadeAnew) {
  env_.reset();
  std::filesystem::resize_file(data(), 0);
  EXPECT_EQ(open_code(), ErrorCode::Corruption);
  EXPECT_EQ(std::filesystem::file_size(data()), 0u);
  std::filesystem::remove(data());
  EXPECT_EQ(open_code(), ErrorCode::Corruption);
  EXPECT_FALSE(std::filesystem::exists(data()));
}

// A read of a page behind the end of a mapped file is a SIGBUS: it must be found when opening.
TEST_F(LmdbEnvTest, ADataFileThatWasCutIsCorruption) {
  {
    LmdbWriteTxn txn(*env_);
    for (int i = 0; i < 100; ++i) txn.put(Table::State, std::to_string(i), std::string(3000, 'x'));
    txn.commit(0);
  }
  std::uint64_t end = env_->space().end_bytes;
  env_.reset();
  for (std::uint64_t size = end - 4096; size > 8192; size -= std::min<std::uint64_t>(size, 16 * 4096)) {
    std::filesystem::resize_file(data(), size);
    ASSERT_EQ(open_code(), ErrorCode::Corruption) << size;
    ASSERT_THAT(test::message_of([&] { LmdbEnv(path(), kSettings, LmdbEnv::Mode::Write); }), HasSubstr("data.mdb"));
  }
  std::filesystem::resize_file(data(), 100);
  EXPECT_EQ(open_code(), ErrorCode::Corruption);
}

// LMDB does not write pages that a transaction took and gave back, even if they are the last ones.
TEST_F(LmdbEnvTest, AFileWhoseLastPagesWereGivenBackDoesNotLookCut) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 150; ++round) {
    LmdbWriteTxn txn(*env_);
    for (std::uint64_t i = random() % 300; i > 0; --i) {
      txn.put(Table::State, std::to_string(random() % 1000), std::string(random() % 6000, 'x'));
    }
    for (int i = 0; i < 1000; ++i) {
      if (random() % 10 != 0) txn.del(Table::State, std::to_string(i));
    }
    txn.commit(0);
    ASSERT_GE(std::filesystem::file_size(data()), env_->space().end_bytes);
  }
}

// On a file system that cannot take room beforehand; the power may go before the file is extended behind the commit.
TEST_F(LmdbEnvTest, ThatHoldsWhereRoomCannotBeReserved) {
  fault::Armed cannot("lmdb.reserve", {.fail_with = EOPNOTSUPP, .times = -1});
  const std::uint64_t end = env_->space().end_bytes;
  env_->reserve_disk(std::uint64_t{10} << 20);
  EXPECT_GE(std::filesystem::file_size(data()), end + (std::uint64_t{10} << 20));
  put({"a"});
  EXPECT_EQ(keys(), std::vector<std::string>{"a"});
}

// lock.mdb tells of a transaction that the file does not have, for as long as another process is there.
TEST_F(LmdbEnvTest, AFileThatWasReplacedBesideAReaderIsCorruption) {
  put({"a"});
  const std::filesystem::path older = path() / "older";
  std::filesystem::copy_file(data(), older);
  for (int i = 0; i < 5; ++i) put({"b"});
  env_.reset();
  test::Pipe to_reader;
  test::Pipe from_reader;
  test::ChildProcess reader([&] {
    LmdbEnv env(path(), kSettings, LmdbEnv::Mode::Read);
    from_reader.send(env.begin_read().entries(Table::State));
    std::uint64_t asked = 0;
    (void)to_reader.receive(asked);
  });
  std::uint64_t entries = 0;
  ASSERT_TRUE(from_reader.receive(entries));
  ASSERT_EQ(entries, 2u);
  std::filesystem::rename(older, data());
  alarm(60);
  EXPECT_EQ(open_code(), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { LmdbEnv(path(), kSettings, LmdbEnv::Mode::Read); }), ErrorCode::Corruption);
  alarm(0);
  to_reader.send(std::uint64_t{1});
  reader.wait();
  EXPECT_EQ(open_code(), ErrorCode{}) << "the reader is gone";
}

TEST_F(LmdbEnvTest, AFileThatIsNotLmdbsIsCorruption) {
  env_.reset();
  std::ofstream(data(), std::ios::trunc) << std::string(100'000, 'x');
  EXPECT_EQ(open_code(), ErrorCode::Corruption);
}

TEST_F(LmdbEnvTest, SymbolicLinksAreRefused) {
  env_.reset();
  for (const char* name : {"data.mdb", "lock.mdb"}) {
    std::filesystem::path elsewhere = path() / "elsewhere";
    std::filesystem::rename(path() / name, elsewhere);
    std::filesystem::create_symlink(elsewhere, path() / name);
    EXPECT_EQ(open_code(), ErrorCode::Corruption) << name;
    std::filesystem::remove(path() / name);
    std::filesystem::rename(elsewhere, path() / name);
  }
  EXPECT_EQ(open_code(), ErrorCode{});
}

}  // namespace
}  // namespace azoth
