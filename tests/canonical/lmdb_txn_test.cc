// Transactions and cursors of LMDB.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <latch>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/bytes.h"
#include "azoth/core/codec.h"
#include "azoth/core/limits.h"
#include "lmdb_env_support.h"
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

// --- Transactions

TEST_F(LmdbEnvTest, ACommitIsSeenByLaterSnapshotsOnly) {
  put({"a"});
  LmdbReadTxn before = env_->begin_read();
  put({"b"});
  EXPECT_THAT(keys(before), ElementsAre("a"));
  EXPECT_THAT(keys(), ElementsAre("a", "b"));
  EXPECT_EQ(before.entries(Table::State), 1u);
  EXPECT_EQ(before.get(Table::State, "b"), std::nullopt);
  EXPECT_EQ(before.get(Table::State, "a"), "value of a");
}

TEST_F(LmdbEnvTest, AWriteTransactionSeesItsOwnWritesAndAbortsUnlessCommitted) {
  put({"a"});
  {
    LmdbWriteTxn txn(*env_);
    txn.put(Table::State, "b", "new");
    txn.del(Table::State, "a");
    txn.del(Table::State, "absent");
    EXPECT_EQ(txn.get(Table::State, "b"), "new");
    EXPECT_EQ(txn.get(Table::State, "a"), std::nullopt);
    EXPECT_EQ(txn.entries(Table::State), 1u);
    LmdbCursor cursor = txn.cursor(Table::State);
    EXPECT_TRUE(cursor.first());
    EXPECT_EQ(cursor.key(), "b");
  }
  EXPECT_THAT(keys(), ElementsAre("a"));
}

TEST_F(LmdbEnvTest, TablesAreApart) {
  LmdbWriteTxn txn(*env_);
  txn.put(Table::State, "k", "state");
  txn.put(Table::System, "k", "system");
  txn.commit(0);
  LmdbReadTxn read = env_->begin_read();
  EXPECT_EQ(read.get(Table::State, "k"), "state");
  EXPECT_EQ(read.get(Table::System, "k"), "system");
  EXPECT_EQ(read.get(Table::Tags, "k"), std::nullopt);
  EXPECT_EQ(read.entries(Table::Events), 0u);
}

TEST_F(LmdbEnvTest, AppendingOutOfOrderIsAnError) {
  LmdbWriteTxn txn(*env_);
  txn.reserve(Table::Events, "b", 1, true)[0] = 'x';
  EXPECT_EQ(code_of([&] { txn.reserve(Table::Events, "a", 1, true); }), ErrorCode::Io);
  EXPECT_EQ(code_of([&] { txn.reserve(Table::Events, "b", 1, true); }), ErrorCode::Io);
}

TEST_F(LmdbEnvTest, EmptyValuesAndLongestKeys) {
  std::string longest(limits::kMaxKeyBytes, '\xFF');
  LmdbWriteTxn txn(*env_);
  txn.put(Table::State, longest, {});
  txn.commit(0);
  LmdbReadTxn read = env_->begin_read();
  EXPECT_EQ(read.get(Table::State, longest), "");
}

TEST_F(LmdbEnvTest, ASnapshotMayEndOnAnotherThread) {
  put({"a"});
  LmdbReadTxn txn = env_->begin_read();
  std::thread([txn = std::move(txn)]() mutable { EXPECT_EQ(txn.get(Table::State, "a"), "value of a"); }).join();
  EXPECT_EQ(env_->live_readers(), 0u);
}

TEST_F(LmdbEnvTest, OneThreadMayHaveManySnapshots) {
  std::vector<LmdbReadTxn> snapshots;
  for (std::size_t i = 0; i < 8; ++i) {
    put({"key" + std::to_string(i)});
    snapshots.push_back(env_->begin_read());
  }
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(keys(snapshots[i]).size(), i + 1);
}

// --- Cursors

TEST_F(LmdbEnvTest, CursorsOfAnEmptyTableFindNothing) {
  LmdbReadTxn txn = env_->begin_read();
  LmdbCursor cursor = txn.cursor(Table::State);
  EXPECT_FALSE(cursor.first());
  EXPECT_FALSE(cursor.last());
  EXPECT_FALSE(cursor.seek(""));
  EXPECT_FALSE(cursor.seek("a"));
  EXPECT_FALSE(cursor.seek_before("a"));
  EXPECT_FALSE(cursor.seek_before(""));
}

TEST_F(LmdbEnvTest, SeekFindsTheKeyOrTheNextOneAndSeekBeforeTheOneBefore) {
  std::vector<std::string> sorted = {"\0"s, "\0\0"s, "a", "a\0"s, "ab", "b", "\x80", "\xFF", "\xFF\xFF"};
  put(sorted);
  ASSERT_EQ(keys(), sorted);
  std::vector<std::string> probes = sorted;
  for (const std::string& key : sorted) {
    probes.push_back(key + '\0');
    probes.push_back(key + '\xFF');
  }
  probes.insert(probes.end(),
                {"", "\x01", "0", "c", std::string(limits::kMaxKeyBytes, '\xFF'),
                 std::string(3 * limits::kMaxKeyBytes, 'a'), std::string(3 * limits::kMaxKeyBytes, '\xFF')});
  LmdbReadTxn txn = env_->begin_read();
  LmdbCursor cursor = txn.cursor(Table::State);
  for (const std::string& probe : probes) {
    auto behind = std::find_if(sorted.begin(), sorted.end(), [&](const std::string& key) { return key >= probe; });
    ASSERT_EQ(cursor.seek(probe), behind != sorted.end()) << to_hex(probe);
    if (behind != sorted.end()) {
      ASSERT_EQ(cursor.key(), *behind);
    }
    ASSERT_EQ(cursor.seek_before(probe), behind != sorted.begin()) << to_hex(probe);
    if (behind != sorted.begin()) {
      ASSERT_EQ(cursor.key(), *std::prev(behind));
      ASSERT_EQ(cursor.value(), "value of " + *std::prev(behind));
    }
  }
}

TEST_F(LmdbEnvTest, CursorsWalkBothWaysAndTurn) {
  put({"a", "b", "c"});
  LmdbReadTxn txn = env_->begin_read();
  LmdbCursor cursor = txn.cursor(Table::State);
  EXPECT_TRUE(cursor.last());
  EXPECT_TRUE(cursor.previous());
  EXPECT_EQ(cursor.key(), "b");
  EXPECT_TRUE(cursor.next());
  EXPECT_EQ(cursor.key(), "c");
  EXPECT_FALSE(cursor.next());
  EXPECT_TRUE(cursor.first());
  EXPECT_FALSE(cursor.previous());
  LmdbCursor moved = std::move(cursor);
  EXPECT_TRUE(moved.seek("b"));
  EXPECT_EQ(moved.value(), "value of b");
}

// --- The commit that a snapshot holds

TEST_F(LmdbEnvTest, SnapshotsKnowTheirCommitWithoutReading) {
  std::vector<LmdbReadTxn> snapshots;
  for (CommitSeq commit = 1; commit <= 12; ++commit) {
    LmdbWriteTxn txn(*env_);
    txn.put(Table::State, "k", std::to_string(commit));
    txn.commit(commit);
    snapshots.push_back(env_->begin_read());
    EXPECT_EQ(snapshots.back().published_commit(), commit);
  }
  // Only the newest few are remembered; of the others it must be read.
  EXPECT_EQ(snapshots[11].published_commit(), CommitSeq{12});
  EXPECT_EQ(snapshots[0].published_commit(), std::nullopt);
}

TEST_F(LmdbEnvTest, NothingIsPublishedOfWhatAnEarlierLifeWrote) {
  LmdbWriteTxn(*env_).commit(5);
  env_.reset();
  env_.emplace(path(), kSettings, LmdbEnv::Mode::Write);
  EXPECT_EQ(env_->begin_read().published_commit(), std::nullopt);
}

TEST_F(LmdbEnvTest, APublishedCommitIsAlwaysTheOneInTheSnapshot) {
  constexpr CommitSeq kCommits = 400;
  std::atomic<bool> done{false};
  std::atomic<int> mistakes{0};
  std::atomic<int> published{0};
  std::latch ready(3);
  auto read = [&] {
    ready.arrive_and_wait();
    while (!done.load()) {
      LmdbReadTxn txn = env_->begin_read();
      auto commit = txn.published_commit();
      auto row = txn.get(Table::State, "k");
      if (!commit) continue;
      ++published;
      mistakes += row && *row == std::to_string(*commit) ? 0 : 1;
    }
  };
  std::vector<std::jthread> readers;
  for (int i = 0; i < 2; ++i) readers.emplace_back(read);
  ready.arrive_and_wait();
  for (CommitSeq commit = 1; commit <= kCommits; ++commit) {
    LmdbWriteTxn txn(*env_);
    txn.put(Table::State, "k", std::to_string(commit));
    txn.commit(commit);
  }
  while (published == 0) std::this_thread::yield();  // the readers may have been off the CPU until now
  done = true;
  readers.clear();
  EXPECT_EQ(mistakes, 0);
  EXPECT_EQ(env_->begin_read().published_commit(), kCommits);
}

TEST_F(LmdbEnvTest, AFailedCommitIsAnIoErrorWhateverTheCause) {
  for (int error : {EIO, ENOSPC}) {
    LmdbWriteTxn txn(*env_);
    fault::Armed fault("lmdb.commit", {.fail_with = error});
    EXPECT_EQ(code_of([&] { txn.commit(1); }), ErrorCode::Io);
  }
}

// --- Against a model

TEST_F(LmdbEnvTest, AgreesWithASortedMapUnderRandomTransactions) {
  std::mt19937_64 random(test_seed());
  std::map<std::string, std::string> model;
  auto random_key = [&] {
    std::string key(1 + random() % 3, '\0');
    for (char& byte : key) byte = "\0\1a\x7F\x80\xFE\xFF"[random() % 7];
    return key;
  };
  for (int round = 0; round < 60; ++round) {
    std::map<std::string, std::string> changed = model;
    LmdbWriteTxn txn(*env_);
    for (std::uint64_t i = random() % 40; i > 0; --i) {
      std::string key = random_key();
      if (random() % 3 == 0) {
        txn.del(Table::State, key);
        changed.erase(key);
      } else {
        std::string value(random() % 3000, static_cast<char>(random()));
        txn.put(Table::State, key, value);
        changed[key] = value;
      }
    }
    ASSERT_EQ(txn.entries(Table::State), changed.size());
    if (random() % 4 == 0) continue;  // aborted
    txn.commit(0);
    model = changed;
    LmdbReadTxn read = env_->begin_read();
    LmdbCursor cursor = read.cursor(Table::State);
    bool more = cursor.first();
    for (const auto& [key, value] : model) {
      ASSERT_TRUE(more);
      ASSERT_EQ(cursor.key(), key);
      ASSERT_EQ(cursor.value(), value);
      more = cursor.next();
    }
    ASSERT_FALSE(more);
  }
}

}  // namespace
}  // namespace azoth
