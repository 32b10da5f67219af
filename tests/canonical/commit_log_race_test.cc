// The commits of the past beside a writer that trims and recycles its journal all the time: what is read is right, or
// it is not there; and what is kept for a set is always there.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>

#include "copied_content.h"
#include "kept_journal.h"
#include "record.h"
#include "support/child_process.h"
#include "support/patience.h"
#include "support/seed.h"

namespace azoth {
namespace {

using test::copy_commits;
using test::put;
using test::test_seed;

Options busy_options() {
  Options options = test::tiny_options();
  options.delta_age = std::chrono::milliseconds(2);
  return options;
}

// The only writer there is, so that commit n puts n: some small, some that fill a good part of a segment, some bulk.
void write_commit(Store& store, CommitSeq number) {
  std::string value = std::to_string(number) + ".";
  value.resize(number % 97 == 0 ? 40'000 : number % 5 == 0 ? 12'000 : 300, 'v');
  ASSERT_EQ(put(store, "number", value).commit_seq, number);
#ifdef __SANITIZE_THREAD__
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // whoever reads is slowed down far more than this is
#endif
}

void expect_right(const std::vector<std::string>& records, CommitSeq after) {
  for (const std::string& record : records) {
    RecordReader reader(record);
    ASSERT_EQ(reader.header().commit_seq, ++after);
    const auto entry = reader.next();
    ASSERT_TRUE(entry.has_value());
    ASSERT_EQ(entry->value.substr(0, entry->value.find('.')), std::to_string(after));
  }
}

class CommitLogRaceTest : public test::WritePath {
 protected:
  static void await_more(Store& store, CommitSeq than) {
    test::await([&] { return store.read(Durability::Durable).commit_seq() >= than + 10; });
  }

  // Ranges of the last commits, some of which are not there any more: so many times, and until one was.
  static void read_some(Store& store, std::mt19937_64& random, int times) {
    int found = 0;
    const auto source = store.backup_source();
    CommitSeq last = 0;
    for (int i = 0; (i < times || found == 0) && !HasFailure();) {
      try {
        await_more(store, last);
        const auto content = source->content(1);
        ++i;
        const CommitSeq through = last = content.totals.last_commit;
        const CommitSeq after = through - std::min<CommitSeq>(through, random() % 60);
        const auto records = copy_commits(*source, content.readers.front(), after, 0, through);
        EXPECT_EQ(records.size(), through - after);
        expect_right(records, after);
        ++found;
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::NotFound || error.retryable()) << error.what();
      }
    }
  }

  // A set that moves forward behind what it has read. Never without the commits that it needs.
  static void follow(Store& store, int times) {
    const auto source = store.backup_source();
    source->retention().set(test::retained_set(store.meta().timeline, source->flushed_commit()));
    std::optional<CommitSeq> has;
    for (int i = 0; i < times && !HasFatalFailure();) {
      try {
        await_more(store, has.value_or(0));
        const auto content = source->content(1);
        ++i;
        const CommitSeq through = content.totals.last_commit;
        if (has) {
          const auto records = copy_commits(*source, content.readers.front(), *has, 0, through);
          ASSERT_EQ(records.size(), through - *has);
          expect_right(records, *has);
        }
        has = through;
        source->retention().set(test::retained_set(store.meta().timeline, through));
      } catch (const Error& error) {
        ASSERT_TRUE(error.retryable()) << error.what();
      }
    }
  }
};

TEST_F(CommitLogRaceTest, IsRightOrNotFoundInTheWritersOwnProcess) {
  test::TestStore store(busy_options());
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (CommitSeq number = 1; !stop; ++number) write_commit(*store, number);
  });
  std::mt19937_64 random(test_seed());
  read_some(*store, random, 40);
  stop = true;
  writer.join();
}

TEST_F(CommitLogRaceTest, WhatASetNeedsIsAlwaysThereInTheWritersOwnProcess) {
  test::TestStore store(busy_options());
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (CommitSeq number = 1; !stop; ++number) write_commit(*store, number);
  });
  follow(*store, 40);
  stop = true;
  writer.join();
}

TEST_F(CommitLogRaceTest, IsRightAndAlwaysThereForASetBesideAWriterInAnotherProcess) {
  test::TempDir parent;
  const std::filesystem::path directory = parent.path() / "store";
  Store::create(directory, busy_options());
  test::Pipe pipe;
  test::ChildProcess child([&] {
    auto store = Store::open(directory, busy_options());
    for (CommitSeq number = 1;; ++number) {
      write_commit(*store, number);
      if (number == 100) pipe.send(number);
      std::this_thread::sleep_for(std::chrono::microseconds(300));  // a reader must be able to follow
    }
  });
  CommitSeq number = 0;
  ASSERT_TRUE(pipe.receive(number));
  std::mt19937_64 random(test_seed());
  auto store = test::patiently([&] { return Store::open_read_only(directory, busy_options()); });
  read_some(*store, random, 20);
  follow(*store, 30);
}

}  // namespace
}  // namespace azoth
