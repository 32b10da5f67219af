// Options::command_retention: how long command ids are kept, and how they go.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "azoth/canonical/command.h"
#include "commands.h"
#include "lmdb_tables.h"
#include "settings.h"
#include "store_files.h"
#include "store_support.h"
#include "support/manual_clock.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

class CommandRetentionTest : public WritePath {
 protected:
  CommandRetentionTest() { open_with(quiet_options()); }

  void open_with(Options options) {
    options.clock = &clock_;
    options.command_retention = std::chrono::seconds(100);
    store_.set_options(options);
    store_.reopen();
  }
  // The ids that LMDB holds; the store is closed for it and opened again.
  std::size_t rows_in_lmdb() {
    store_.close();
    std::size_t rows = 0;
    {
      StorePaths paths(store_.directory());
      LmdbEnv env(paths.canonical, lmdb_settings(store_.options()), LmdbEnv::Mode::Read);
      LmdbReadTxn txn = env.begin_read();
      const std::string space(1, static_cast<char>(Space::Command));
      LmdbCursor cursor = txn.cursor(Table::System);
      for (bool there = cursor.seek(space); there && cursor.key().starts_with(space); there = cursor.next()) ++rows;
    }
    store_.open();
    return rows;
  }
  std::size_t done(const std::string& tag) {
    return ids_of(store_->read(Durability::Applied).events({.tags = {tag}})).size();
  }
  // Whether it was carried out: false for a repeat.
  bool carried_out(const std::string& id) {
    SubmitOptions options{.level = Durability::Applied, .command = Command{.id = id}};
    return !store_->submit(event_of("done", id), {}, options).value().info().already_applied;
  }
  void carry_out(const std::string& name, int from, int to) {
    for (int i = from; i < to; ++i) ASSERT_TRUE(carried_out(name + std::to_string(i)));
  }

  ManualClock clock_;
  TestStore store_;
};

TEST_F(CommandRetentionTest, IdsAreKeptAtLeastSoLongAndRemovedLittleByLittle) {
  constexpr int kOld = 6000;
  carry_out("old", 0, kOld);
  store_->checkpoint();
  clock_.set(1100);  // just as old as they may be
  carry_out("young", 0, 4000);
  for (int i = 0; i < kOld; ++i) ASSERT_FALSE(carried_out("old" + std::to_string(i)));
  EXPECT_EQ(rows_in_lmdb(), kOld + 4000u);

  clock_.set(1101);
  std::size_t left = kOld + 4000;
  for (int i = 0; i < 10; ++i) {
    carry_out("new", i * 1100, (i + 1) * 1100);
    std::size_t now = rows_in_lmdb() - static_cast<std::size_t>(i + 1) * 1100;
    ASSERT_LE(now, left);
    ASSERT_LE(left, now + 2 * 1100 + OldCommands::kRowsAtOnce) << "two rows for each command, and no more";
    left = now;
  }
  EXPECT_EQ(left, 4000u) << "the young ones remain";
  for (int i = 0; i < 4000; ++i) ASSERT_FALSE(carried_out("young" + std::to_string(i)));
  for (int i = 0; i < kOld; i += 100) ASSERT_TRUE(carried_out("old" + std::to_string(i))) << "it is forgotten";
  EXPECT_TRUE(store_->verify().ok());
}

// Whoever removes old ids has asked for something else, and in time. The id of one of them is locked here for longer
// than that; if the removal waited for it, this would not end.
TEST_F(CommandRetentionTest, TheRemovalKeepsToTheDeadlineOfTheCall) {
  Options options = quiet_options();
  options.timeout = std::chrono::hours(1);
  options.stripes = 1 << 16;
  open_with(options);
  carry_out("old", 0, 1);
  store_->checkpoint();
  clock_.set(2000);
  auto locked = store_->transaction().exclusive(command_lock("old0")).execute([&](Txn&) {
    std::jthread other([&] {
      for (std::size_t i = 0; i < OldCommands::kRowsAtOnce; ++i) {
        std::string id = "new" + std::to_string(i);
        SubmitOptions soon{
            .level = Durability::Applied, .timeout = std::chrono::milliseconds(100), .command = Command{id}};
        EXPECT_TRUE(store_->submit(WriteSet(), {}, soon));
      }
    });
  });
  ASSERT_TRUE(locked);
  EXPECT_FALSE(carried_out("old0")) << "it could not be removed";
  carry_out("later", 0, OldCommands::kRowsAtOnce);
  EXPECT_TRUE(carried_out("old0")) << "it was removed later";
}

// Its commit is in its place: a transaction that somebody has begun since, and that waits for this one, is not in the
// way.
TEST_F(CommandRetentionTest, NobodyWaitsForTheRemoval) {
  Options options = quiet_options();
  options.timeout = std::chrono::hours(1);
  open_with(options);
  carry_out("old", 0, 1);
  store_->checkpoint();
  clock_.set(2000);
  Hold removal("commands.forget");
  auto commanding = in_background([&] {
    for (int i = 0; removal.arrivals() == 0; ++i) carried_out("new" + std::to_string(i));
  });
  removal.wait_for_arrivals();
  WriteTxn txn = store_->begin();
  removal.release();
  commanding.get();
  txn.abort();
}

// A store that is opened for a few commands at a time (by a program that ends) must not grow for ever.
TEST_F(CommandRetentionTest, ShortLivesOfTheStoreRemoveThemToo) {
  carry_out("old", 0, 300);
  clock_.set(2000);
  for (int life = 0; life < 50; ++life) {
    store_.reopen();
    carry_out("new", 1000 + life * 40, 1000 + (life + 1) * 40);
  }
  EXPECT_LT(rows_in_lmdb(), 300u + 50 * 40);
}

TEST_F(CommandRetentionTest, WithoutOneIdsAreKeptForEver) {
  Options options = store_.options();
  options.command_retention = {};
  store_.set_options(options);
  store_.reopen();
  carry_out("old", 0, 1000);
  store_->checkpoint();
  clock_.set(1'000'000'000);
  carry_out("new", 0, 5000);
  EXPECT_EQ(rows_in_lmdb(), 6000u);
}

// Old ids are repeated while they are removed: each is answered, or carried out once more and then answered.
TEST_F(CommandRetentionTest, ARepeatThatRacesWithTheRemovalIsAnsweredOrRunsOnce) {
  constexpr int kOld = 3000;
  Options options = tiny_options();
  options.map_bytes = std::size_t{1} << 30;
  options.stripes = 64;
  open_with(options);
  carry_out("old", 0, kOld);
  store_->checkpoint();
  clock_.set(2000);
  std::vector<std::atomic<int>> again(kOld);
  std::atomic<int> all_again = 0;  // until something was removed nothing is at stake
  {
    std::jthread flushing([&](std::stop_token stop) {
      while (!stop.stop_requested()) store_->checkpoint();
    });
    std::vector<std::jthread> threads;
    threads.emplace_back([&] {
      for (int i = 0; i < 8000 || all_again == 0; ++i) carry_out("new", i, i + 1);
    });
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 4 * kOld || all_again == 0; ++i) {
          int which = (i * 7 + thread * 1000) % kOld;
          const bool runs_again = carried_out("old" + std::to_string(which));
          again[static_cast<std::size_t>(which)] += runs_again ? 1 : 0;
          all_again += runs_again ? 1 : 0;
        }
      });
    }
  }
  for (int i = 0; i < kOld; ++i) {
    std::string id = "old" + std::to_string(i);
    int times = again[static_cast<std::size_t>(i)];
    ASSERT_LE(times, 1) << id;
    ASSERT_EQ(done(id), 1u + static_cast<unsigned>(times)) << id;
  }
}

}  // namespace
}  // namespace azoth::test
