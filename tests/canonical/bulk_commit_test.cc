// Bulk transactions: one synced LMDB commit past the journal, alone, with everybody else waiting in order.
#include "bulk_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bulk_commit_support.h"
#include "kept_journal.h"
#include "settings.h"
#include "store_files.h"
#include "support/child_process.h"
#include "support/seed.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::bulk_of;
using test::BulkCommitTest;
using test::code_of;
using test::Hold;
using test::in_background;
using test::kBulk;
using test::put;
using test::set_of;
using test::submit;
using test::TestStore;
using testing::ElementsAre;

// Of a store that is closed.
std::optional<std::string> kept_record(const TestStore& store, CommitSeq commit) {
  StorePaths paths(store.directory());
  LmdbEnv env(paths.canonical, lmdb_settings(store.options()), LmdbEnv::Mode::Read);
  return bulk_record(env.begin_read(), Rows(read_identity(FileSystem::posix(), paths).store_id), commit);
}

TEST_F(BulkCommitTest, IsDurableAndInLmdbWhenSubmitReturns) {
  TestStore store;
  put(*store, "before", "1");
  WriteSet set = bulk_of("key");
  set.append({.type = "filled", .tags = {"key:key"}, .payload = "{}"});
  set.append({.type = "filled", .tags = {"key:key"}, .payload = "{}"});
  Ticket ticket = submit(*store, std::move(set), Durability::Applied);
  EXPECT_EQ(ticket.info().commit_seq, 2u);
  EXPECT_EQ(ticket.info().first_event, 1u);
  EXPECT_EQ(ticket.info().last_event, 2u);
  Status status = store->status();
  EXPECT_EQ(status.flushed_seq, 2u);
  EXPECT_EQ(status.durable_seq, 2u);
  EXPECT_EQ(status.visible_seq, 2u);
  EXPECT_EQ(status.applied_seq, 2u);
  EXPECT_EQ(status.live_deltas, 1u);
  ReadTxn snapshot = store->read();
  EXPECT_EQ(snapshot.get("key"), std::string(kBulk, 'b'));
  EXPECT_EQ(snapshot.get("before"), "1");
  EXPECT_THAT(test::ids_of(snapshot.events({.tags = {"key:key"}})), ElementsAre(1u, 2u));
  EXPECT_EQ(put(*store, "after", "3").commit_seq, 3u);
  EXPECT_EQ(test::append(*store, "t", {}, "").first_event, 3u);
}

TEST_F(BulkCommitTest, IsNotInTheJournal) {
  TestStore store;
  CommitInfo first = put(*store, "before", "1");
  for (int i = 0; i < 20; ++i) submit(*store, bulk_of("key"), Durability::Durable).wait();
  put(*store, "after", "2");
  VerifyReport report = store->verify();
  EXPECT_EQ(report.problems, std::vector<std::string>());
  EXPECT_LE(store->status().journal_segments, 3u) << "20 MB would have needed many segments of 1 MiB";
  EXPECT_EQ(store->status().applied_seq, first.commit_seq + 21);
}

TEST_F(BulkCommitTest, MayBeTheFirstThingAStoreDoes) {
  TestStore store;
  for (int life = 0; life < 3; ++life) {
    std::string key = "key" + std::to_string(life);
    submit(*store, bulk_of(key), Durability::Durable).wait();
    EXPECT_TRUE(store->verify().ok());
    store.reopen();
    EXPECT_EQ(store->read().get(key), std::string(kBulk, 'b'));
    EXPECT_EQ(store->status().applied_seq, static_cast<CommitSeq>(life) + 1);
  }
}

TEST_F(BulkCommitTest, OneOfAWriteTxnIsAsGood) {
  TestStore store;
  WriteTxn txn = store->begin();
  txn.put("key", std::string(kBulk, 'b'));
  EXPECT_EQ(txn.append({.type = "t", .tags = {}, .payload = ""}), 1u);
  EXPECT_EQ(txn.commit().commit_seq, 1u);
  EXPECT_EQ(store->status().flushed_seq, 1u);
  EXPECT_EQ(store->read().last_event(), 1u);
}

TEST_F(BulkCommitTest, GoesThroughTheJournalWhileMoreThanItsSizeWaitsInTheDeltas) {
  Options options = test::quiet_options();
  options.segment_bytes = std::size_t{8} << 20;
  TestStore store(options);
  for (int i = 0; i < 3; ++i) put(*store, "key" + std::to_string(i), std::string(900'000, 'x'));
  put(*store, "large", std::string(1'200'000, 'x'));
  EXPECT_EQ(store->status().flushed_seq, 0u);
  store->checkpoint();
  put(*store, "larger", std::string(1'200'000, 'x'));
  EXPECT_EQ(store->status().flushed_seq, 5u) << "nothing was waiting";
}

// The batch by which the journal is told of one may still be queued when the next one comes: nobody waits for it but
// the client whose it is.
class BulkCommitBehindAnother : public BulkCommitTest {
 protected:
  static WriteSet bulk(std::string_view key) { return set_of(key, std::string(40'000, 'b')); }  // of segments of 64 KiB

  void with_a_batch_queued(const std::function<void()>& then) {
    std::future<void> first;  // waited for behind the hold's end, whatever is thrown
    Hold sequenced("bulk.sequenced");
    first = in_background([&] { submit(*store, bulk("first"), Durability::Written); });
    sequenced.wait_for_arrivals();
    then();
    sequenced.release();
    first.get();
  }

  void expect_sound() {
    EXPECT_EQ(store->verify().problems, std::vector<std::string>());
    test::TempDir copies;
    test::copy_store(store.directory(), copies.path() / "killed");
    const auto copy = Store::open(copies.path() / "killed", store.options());
    EXPECT_EQ(copy->status().recovery.damage, std::vector<std::string>());
    EXPECT_EQ(copy->status().applied_seq, store->status().applied_seq);
  }

  TestStore store{test::tiny_options()};
};

TEST_F(BulkCommitBehindAnother, StartsItsSegmentBehindThatOnesBatch) {
  constexpr std::size_t kSlots = (std::size_t{64} << 10) / kBatchAlignment - kSegmentHeaderBytes / kBatchAlignment;
  for (std::size_t slots : {kSlots / 2, kSlots - kSlots / 2 - 1}) {  // which leaves one of the segment
    const std::size_t value = slots * kBatchAlignment - kBatchHeaderBytes - set_of("key", "").bytes();
    submit(*store, set_of("key", std::string(value, 'v')), Durability::Durable).wait();
  }
  with_a_batch_queued([&] { submit(*store, bulk("second"), Durability::Written); });
  EXPECT_EQ(store->status().applied_seq, 4u);
  expect_sound();
}

TEST_F(BulkCommitBehindAnother, LeavesLmdbAheadOfTheJournalByOneCommitOnly) {
  put(*store, "a", "1");
  test::TempDir copies;
  with_a_batch_queued([&] {
    std::future<void> second;
    Hold committed("bulk.committed");
    second = in_background([&] { submit(*store, bulk("second"), Durability::Written); });
    committed.wait_for_arrivals();
    test::copy_store(store.directory(), copies.path() / "killed");
    committed.release();
    second.get();
  });
  EXPECT_EQ(test::batches_in(copies.path() / "killed", test::identity_of(*store)).back().header.last_commit, 2u);
  const auto copy = Store::open(copies.path() / "killed", store.options());
  EXPECT_EQ(copy->status().recovery.damage, std::vector<std::string>());
  EXPECT_EQ(copy->status().applied_seq, 3u);
  expect_sound();
}

// Whoever asks for a checkpoint while its marks change sleeps, and the flusher has nothing to do that would wake him.
TEST_F(BulkCommitTest, ACheckpointThatCameInBetweenIsToldOfIt) {
  TestStore store;
  Hold marks("bulk.marks");
  auto committing = in_background([&] { submit(*store, bulk_of("key"), Durability::Applied); });
  marks.wait_for_arrivals();
  auto checkpoint = in_background([&] { store->checkpoint(); });
  std::this_thread::sleep_for(milliseconds{50});  // for it to fall asleep
  marks.release();
  committing.get();
  checkpoint.get();
  EXPECT_EQ(store->status().flushed_seq, 1u);
}

TEST_F(BulkCommitTest, OthersWaitInTheOrderInWhichTheyCame) {
  TestStore store;
  Hold bulk_holds("bulk.apply");
  auto bulk = in_background([&] { return submit(*store, bulk_of("key"), Durability::Applied).info().commit_seq; });
  bulk_holds.wait_for_arrivals();
  std::vector<std::future<CommitSeq>> others;
  for (std::uint32_t i = 0; i < 6; ++i) {
    others.push_back(in_background([&, i] {
      WriteSet set = i % 3 == 2 ? bulk_of("other" + std::to_string(i)) : set_of("other" + std::to_string(i));
      return submit(*store, std::move(set), Durability::Applied).info().commit_seq;
    }));
    test::await([&] { return store->status().waiting_writers == i + 1; });
  }
  EXPECT_EQ(store->read(Durability::Applied).commit_seq(), 0u);
  bulk_holds.release();
  EXPECT_EQ(bulk.get(), 1u);
  for (std::uint32_t i = 0; i < 6; ++i) EXPECT_EQ(others[i].get(), i + 2);
  EXPECT_EQ(store->status().waiting_writers, 0u);
  EXPECT_TRUE(store->verify().ok());
}

TEST_F(BulkCommitTest, WhoWaitsForOneHasADeadline) {
  TestStore store;
  Hold bulk_holds("bulk.apply");
  auto bulk = in_background([&] { submit(*store, bulk_of("key"), Durability::Applied); });
  bulk_holds.wait_for_arrivals();
  SubmitOptions hurried{.level = Durability::Applied, .timeout = milliseconds{1}};
  EXPECT_EQ(code_of([&] { return store->submit(set_of("a"), {}, hurried); }), ErrorCode::Backpressure);
  EXPECT_EQ(code_of([&] { return store->submit(bulk_of("b"), {}, hurried); }), ErrorCode::Backpressure);
  EXPECT_EQ(code_of([&] { return store->seal(milliseconds{1}); }), ErrorCode::LockTimeout);
  EXPECT_EQ(code_of([&] { return store->pause("p", milliseconds{1}); }), ErrorCode::LockTimeout);
  EXPECT_EQ(store->read().get("key"), std::nullopt) << "reading goes on";
  bulk_holds.release();
  bulk.get();
  EXPECT_EQ(put(*store, "c", "1").commit_seq, 2u);
}

TEST_F(BulkCommitTest, WhoWaitsForOneKeepsItsKeysLocked) {
  TestStore store;
  Hold bulk_holds("bulk.apply");
  auto bulk = in_background([&] { submit(*store, bulk_of("key"), Durability::Applied); });
  bulk_holds.wait_for_arrivals();
  auto waiting = in_background([&] { submit(*store, set_of("a"), Durability::Applied); });
  test::await([&] { return store->status().waiting_writers == 1; });
  SubmitOptions hurried{.level = Durability::Applied, .timeout = milliseconds{1}};
  EXPECT_EQ(code_of([&] { return store->submit(set_of("a"), {}, hurried); }), ErrorCode::LockTimeout);
  bulk_holds.release();
  bulk.get();
  waiting.get();
}

TEST_F(BulkCommitTest, ItsConditionsAreCheckedOnWhatCameBeforeIt) {
  TestStore store;
  Hold bulk_holds("bulk.apply");
  auto take_seat = [&](const std::string& key, char content) {
    WriteSet set = bulk_of(key, content);
    set.append({.type = "seat taken", .tags = {"seat:1"}, .payload = key});
    std::vector<Condition> free = {Condition::tag_version("seat:1", ExpectedVersion::none())};
    return store->submit(std::move(set), free, {.level = Durability::Durable}).has_value();
  };
  auto first = in_background([&] { return take_seat("a", 'a'); });
  bulk_holds.wait_for_arrivals();
  // Holds when it is evaluated, and no longer when its turn comes.
  auto second = in_background([&] { return take_seat("b", 'b'); });
  test::await([&] { return store->status().waiting_writers == 1; });
  bulk_holds.release();
  EXPECT_TRUE(first.get());
  EXPECT_FALSE(second.get());
  EXPECT_EQ(store->read().get("a"), std::string(kBulk, 'a'));
  EXPECT_EQ(store->read().get("b"), std::nullopt);
  EXPECT_EQ(store->status().applied_seq, 1u);
  EXPECT_EQ(put(*store, "next", "1").commit_seq, 2u) << "the sequencer is open";
}

TEST_F(BulkCommitTest, CloseWaitsForTheOneUnderWayAndRefusesTheRest) {
  TestStore store;
  Hold bulk_holds("bulk.apply");
  auto bulk = in_background([&] { return submit(*store, bulk_of("key"), Durability::Durable).wait().commit_seq; });
  bulk_holds.wait_for_arrivals();
  auto waiting = in_background([&] { return code_of([&] { return store->submit(set_of("a")); }); });
  auto waiting_bulk = in_background([&] { return code_of([&] { return store->submit(bulk_of("b")); }); });
  test::await([&] { return store->status().waiting_writers == 2; });
  auto closing = in_background([&] { store->close(); });
  test::await([&] { return code_of([&] { return store->begin(milliseconds{1}); }) == ErrorCode::Closed; });
  bulk_holds.release();
  EXPECT_EQ(bulk.get(), 1u);
  EXPECT_EQ(waiting.get(), ErrorCode::Closed);
  EXPECT_EQ(waiting_bulk.get(), ErrorCode::Closed);
  closing.get();
  store.reopen();
  EXPECT_TRUE(store->status().recovery.clean);
  EXPECT_EQ(store->status().applied_seq, 1u);
  EXPECT_EQ(store->read().get("key"), std::string(kBulk, 'b'));
}

// For the address sanitizer, too: nothing of the store is touched when close() has gone on.
TEST_F(BulkCommitTest, CloseMayComeAtAnyMomentOfOne) {
  TestStore store(test::tiny_options());
  std::uint64_t keys = 0;
  for (int round = test::rounds(60, 3000); round > 0; --round) {
    std::atomic<std::uint64_t> committed{0};
    auto writing = in_background([&] {
      return code_of([&] {
        while (true) {
          submit(*store, set_of("key" + std::to_string(keys + committed), std::string(40'000, 'b')),
                 Durability::Durable)
              .wait();
          ++committed;
        }
      });
    });
    test::await([&] { return committed.load() > static_cast<std::uint64_t>(round % 3); });
    store->close();
    EXPECT_EQ(writing.get(), ErrorCode::Closed);
    store.reopen();
    keys += committed.load();
    std::uint64_t found = store->status().state_keys;
    ASSERT_GE(found, keys) << "what was acknowledged is lost";
    ASSERT_LE(found, keys + 1);
    keys = found;
  }
}

TEST_F(BulkCommitTest, IsDeliveredToSubscribers) {
  TestStore store;
  Subscription subscription = store->subscribe();
  WriteSet set = bulk_of("key");
  set.append({.type = "filled", .tags = {}, .payload = "{}"});
  submit(*store, std::move(set), Durability::Durable);
  auto delivered = subscription.next(std::chrono::minutes{1});
  ASSERT_TRUE(delivered);
  EXPECT_EQ(delivered->commit_seq(), 1u);
}

TEST_F(BulkCommitTest, IsSeenByReadersBesideAWriterInAnotherProcess) {
  test::TempDir parent;
  std::filesystem::path directory = parent.path() / "store";
  Store::create(directory, test::quiet_options());
  test::Pipe done;
  test::Pipe go;
  test::ChildProcess writer([&] {
    std::unique_ptr<Store> store = Store::open(directory, test::quiet_options());
    for (char c = 'a'; c < 'e'; ++c) {
      put(*store, "small", std::string(1, c));
      submit(*store, bulk_of("large", c), Durability::Durable).wait();
      test::put(*store, "after", std::string(1, c));
      done.send(c);
      char next = 0;
      if (!go.receive(next)) return;
    }
  });
  done.close_writing();
  char c = 0;
  std::unique_ptr<Store> reader;
  for (CommitSeq commit = 3; commit <= 12; commit += 3) {
    ASSERT_TRUE(done.receive(c));
    if (!reader) reader = Store::open_read_only(directory, test::quiet_options());
    ReadTxn snapshot = reader->read();
    EXPECT_EQ(snapshot.commit_seq(), commit);
    EXPECT_EQ(snapshot.get("large"), std::string(kBulk, c));
    EXPECT_EQ(snapshot.get("after"), std::string(1, c));
    go.send(c);
  }
  writer.wait();
  EXPECT_TRUE(writer.succeeded());
}

TEST_F(BulkCommitTest, ItsOperationsAreKeptAsLongAsTheJournalAroundIt) {
  TestStore store;
  put(*store, "before", "1");
  WriteSet set = bulk_of("key");
  set.append({.type = "filled", .tags = {"a:b"}, .payload = std::string(300'000, 'p')});
  set.del("before");
  submit(*store, std::move(set), Durability::Durable);
  put(*store, "key", "overwritten");
  store.close();
  auto record = kept_record(store, 2);
  ASSERT_TRUE(record);
  EXPECT_GT(record->size(), kBulk);
  EXPECT_LT(record->size(), kBulk + 1000) << "the event is in the log";
  EXPECT_FALSE(kept_record(store, 1));
  EXPECT_FALSE(kept_record(store, 3));
  store.open();
  for (int i = 0; i < 6; ++i) put(*store, "key", std::string(400'000, 'x'));  // through more than one segment
  store->checkpoint();
  put(*store, "key", "flushed behind the trim");
  store.close();
  EXPECT_FALSE(kept_record(store, 2));
}

TEST_F(BulkCommitTest, AGibibyteInOneTransactionWorksWhenConfigured) {
  const std::uint64_t count = test::long_run() ? 490'000 : 20'000;  // of keys, and of events
  Options options = test::quiet_options();
  options.map_bytes = std::size_t{16} << 30;
  options.max_transaction_bytes = std::size_t{2} << 30;
  TestStore store(options);
  put(*store, "before", "1");
  std::string body(1100, 'x');
  WriteSet set;
  for (std::uint64_t i = 0; i < count; ++i) {
    set.put("key/" + std::to_string(i * 7919 % count), body);
    std::string tag = "n:" + std::to_string(i % 1000);
    set.append({.type = "filled", .tags = {tag}, .payload = body});
  }
  EXPECT_GT(set.bytes(), count * 2 * body.size());
  CommitInfo commit = submit(*store, std::move(set), Durability::Durable).wait();
  EXPECT_EQ(commit.last_event, count);
  Status status = store->status();
  EXPECT_EQ(status.state_keys, count + 1);
  EXPECT_EQ(status.flushed_seq, 2u);
  put(*store, "after", "1");
  store.reopen();
  VerifyReport report = store->verify();
  EXPECT_EQ(report.problems, std::vector<std::string>());
  EXPECT_EQ(report.events, count);
  EXPECT_EQ(report.tag_entries, count);
}

// Writers of both kinds, readers, pauses and seals together: every snapshot is the fold of its log.
TEST_F(BulkCommitTest, BesideEverythingElseEverySnapshotIsTheFoldOfItsLog) {
  TestStore store(test::tiny_options());
  std::uint64_t seed = test::test_seed();
  std::atomic<int> left{test::rounds(1500, 50'000)};
  std::atomic<std::uint64_t> bulks{0};
  auto write = [&](std::uint64_t thread) {
    std::mt19937_64 random(seed + thread);
    while (left.fetch_sub(1) > 0) {
      bool large = random() % 16 == 0;
      std::string key = "k" + std::to_string(random() % 20);
      std::string value = std::to_string(random()) + std::string(large ? 40'000 : random() % 200, 'v');
      std::string payload = key + "=" + value;
      WriteSet set;
      set.put(key, value).append({.type = "put", .tags = {key}, .payload = payload});
      try {
        Ticket ticket = submit(*store, std::move(set), static_cast<Durability>(1 + random() % 3));
        if (random() % 2 == 0) ticket.wait();
        if (large) bulks.fetch_add(1);
      } catch (const Error& error) {
        ASSERT_TRUE(error.code() == ErrorCode::Paused || error.code() == ErrorCode::Sealed) << error.what();
        left.fetch_add(1);
        std::this_thread::yield();
      }
    }
  };
  auto read = [&] {
    CommitSeq previous = 0;
    while (left.load() > 0) {
      ReadTxn snapshot = store->read();
      ASSERT_GE(snapshot.commit_seq(), previous);
      previous = snapshot.commit_seq();
      std::map<std::string, std::string> folded;
      EventId expected = 1;
      for (const EventView& event : snapshot.events()) {
        ASSERT_EQ(event.id(), expected++);
        std::string_view payload = event.payload();
        folded[std::string(payload.substr(0, payload.find('=')))] = payload.substr(payload.find('=') + 1);
      }
      std::map<std::string, std::string> state;
      for (auto [key, value] : snapshot.scan()) state.emplace(key, value);
      ASSERT_EQ(state, folded) << "at commit " << snapshot.commit_seq();
    }
  };
  auto hold_up = [&] {
    while (left.load() > 0) {
      int before = left.load();
      { Pause pause = store->pause("test"); }
      store->seal();
      CommitSeq sealed = store->status().applied_seq;
      EXPECT_EQ(code_of([&] { put(*store, "sealed", ""); }), ErrorCode::Sealed);
      EXPECT_EQ(store->status().applied_seq, sealed);
      store->unseal();
      test::await([&] { return left.load() <= std::max(0, before - 30); });
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 3; ++i) threads.emplace_back([&, i] { write(i); });
  threads.emplace_back(read);
  threads.emplace_back(hold_up);
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(bulks.load(), 10u);
  EXPECT_TRUE(store->verify().ok());
  std::string digest = store->digest();
  store.reopen();
  EXPECT_EQ(store->digest(), digest);
}

}  // namespace
}  // namespace azoth
