// What a backup takes from a store: snapshots of one commit, with totals that are those of their content.
#include "azoth/canonical/backup_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "copied_content.h"
#include "kept_journal.h"
#include "open_tables.h"
#include "random_history.h"
#include "support/child_process.h"
#include "support/patience.h"
#include "support/seed.h"
#include "verify.h"

namespace azoth {
namespace {

using test::code_of;
using test::collect;
using test::CopiedRow;
using test::copy_own_rows;
using test::put;
using test::RandomHistory;
using test::test_seed;
using test::TestStore;
using testing::HasSubstr;

class BackupSourceTest : public test::WritePath {
 protected:
  ~BackupSourceTest() override { fault::disarm_all(); }
};

WriteSet counter_step(int thread, int step) {
  WriteSet set;
  const std::string name = "counter" + std::to_string(thread);
  set.put(name, std::to_string(step));
  if (step % 3 == 0)
    set.put(name + "/" + std::to_string(step % 50), std::string(static_cast<std::size_t>(step % 900), 'v'));
  if (step % 7 == 0) set.del(name + "/" + std::to_string(step % 49));
  set.append({.type = "counted", .tags = {name}, .payload = std::to_string(step)});
  return set;
}

// Whether all readers show one commit, and what the totals say is what is there.
void expect_one_commit(const BackupSource::Content& content) {
  const ContentTotals& totals = content.totals;
  const ReadTxn& first = content.readers.front();
  const test::Entries state = collect(first.scan());
  for (const ReadTxn& reader : content.readers) {
    ASSERT_EQ(reader.commit_seq(), totals.last_commit);
    ASSERT_EQ(reader.last_event(), totals.last_event);
    ASSERT_EQ(collect(reader.scan()), state);
  }
  ASSERT_EQ(totals.state_rows, state.size());
  EventId events = 0;
  CommitSeq last_event_commit = 0;
  Timestamp latest = Timestamp::min();
  for (const EventView& event : first.events()) {
    ASSERT_EQ(event.id(), ++events);
    last_event_commit = event.commit_seq();
    latest = std::max(latest, event.commit_time());
  }
  ASSERT_EQ(totals.last_event, events);
  ASSERT_EQ(totals.last_event_commit, last_event_commit);
  ASSERT_GE(totals.latest, latest);
  const Snapshot& snapshot = ReadTxnMaker::snapshot_of(first);
  std::uint64_t state_sum = 0;
  for (const auto& [key, value] : state) state_sum += snapshot.rows().checksum(key, value);
  ASSERT_EQ(totals.state_sum, state_sum);
  std::uint64_t events_sum = 0;
  for (const EventView& event : first.events()) events_sum += snapshot.rows().event_checksum(event);
  ASSERT_EQ(totals.events_sum, events_sum);
}

TEST_F(BackupSourceTest, TellsOfTheStore) {
  TestStore store;
  const auto source = store->backup_source();
  EXPECT_EQ(source->store_id(), store->meta().store_id);
  EXPECT_EQ(source->created(), store->meta().created);
  EXPECT_EQ(source->lineage(), store->meta().lineage);
  EXPECT_EQ(source->content(2).totals, (ContentTotals{.latest = Timestamp::min()})) << "of nothing";
}

TEST_F(BackupSourceTest, TheTotalsAreThoseOfAModel) {
  for (int round = 0; round < 3; ++round) {
    RandomHistory history(test_seed() + static_cast<std::uint64_t>(round));
    TestStore store(history.options());
    for (int look = 0; look < 12; ++look) {
      ASSERT_NO_FATAL_FAILURE(history.steps(*store, 8));
      const BackupSource::Content content = store->backup_source()->content(1 + static_cast<std::size_t>(look) % 3);
      ASSERT_NO_FATAL_FAILURE(expect_one_commit(content));
      ASSERT_EQ(content.totals.last_commit, history.last_commit());
      ASSERT_EQ(content.totals.latest, history.now().latest);
      ASSERT_EQ(content.totals.last_event_commit, history.last_event_commit(history.last_commit()));
      for (const ReadTxn& reader : content.readers) ASSERT_NO_FATAL_FAILURE(history.expect_reads_as(reader));
    }
  }
}

TEST_F(BackupSourceTest, TheTotalsOverDeltasAreThoseOfLmdbAfterTheFlush) {
  RandomHistory history(test_seed());
  TestStore store(history.options());
  for (int look = 0; look < 20; ++look) {
    ASSERT_NO_FATAL_FAILURE(history.steps(*store, 5));
    const ReadTxn applied = store->read(Durability::Applied);
    const Snapshot& over = ReadTxnMaker::snapshot_of(applied);
    const RowSums sums = row_totals_of(over).sums;
    const std::uint64_t keys = count_keys(over);
    const auto content = store->backup_source()->content(1);
    const Head head = ReadTxnMaker::snapshot_of(content.readers.front()).head();
    ASSERT_EQ(head.last_commit, applied.commit_seq());
    ASSERT_EQ(head.sums, sums);
    ASSERT_EQ(head.state_keys, keys);
  }
}

TEST_F(BackupSourceTest, ASealIsToldOf) {
  TestStore store;
  test::append(*store, "t", {}, "");
  EXPECT_EQ(store->backup_source()->content(1).totals.sealed_event, std::nullopt);
  store->seal();
  EXPECT_EQ(store->backup_source()->content(1).totals.sealed_event, 1u);
  store->unseal();
  EXPECT_EQ(store->backup_source()->content(1).totals.sealed_event, std::nullopt);
}

TEST_F(BackupSourceTest, AllReadersShowOneCommitWhateverIsWrittenMeanwhile) {
  Options options = test::tiny_options();
  options.delta_age = std::chrono::milliseconds(3);
  TestStore store(options);
  std::array<std::atomic<int>, 2> acknowledged{};
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int thread = 0; thread < 2; ++thread) {
    writers.emplace_back([&, thread] {
      for (int step = 1; !stop; ++step) {
        if (step % 200 == 0) put(*store, "bulk", std::string(40'000, 'b'));
        const auto level = step % 5 == 0 ? Durability::Durable : Durability::Written;
        test::commit(*store, counter_step(thread, step), level);
        if (step % 5 == 0) acknowledged[static_cast<std::size_t>(thread)] = step;
      }
    });
  }
  const auto source = store->backup_source();
  for (int i = 0; i < 25 && !HasFatalFailure(); ++i) {
    const CommitSeq before_this = store->read().commit_seq();
    test::await([&] { return store->read().commit_seq() >= before_this + 10; });
    const std::array<int, 2> before = {acknowledged[0], acknowledged[1]};
    const BackupSource::Content content = source->content(4);
    expect_one_commit(content);
    for (std::size_t thread = 0; thread < 2; ++thread) {
      const auto step = content.readers[1].get("counter" + std::to_string(thread));
      EXPECT_GE(step ? std::stoi(std::string(*step)) : 0, before[thread]) << "what was durable is missing";
    }
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
}

TEST_F(BackupSourceTest, SnapshotsAreTakenAgainWhenAFlushComesBetweenThem) {
  TestStore store;
  put(*store, "key", "1");
  int flushes = 0;
  const auto flush = [&] {
    if (++flushes > 5) return;
    put(*store, "key", std::to_string(flushes + 1));
    store->checkpoint();
  };
  fault::Armed armed("backup.snapshot", {.run = flush, .times = -1});
  const BackupSource::Content content = store->backup_source()->content(3);
  EXPECT_EQ(content.totals.last_commit, 6u);
  for (const ReadTxn& reader : content.readers) EXPECT_EQ(reader.get("key"), "6");
  expect_one_commit(content);
}

TEST_F(BackupSourceTest, AReadOnlyStoreGivesAsMuchBesideAWriter) {
  test::TempDir parent;
  const std::filesystem::path directory = parent.path() / "store";
  Options options = test::tiny_options();
  options.delta_bytes = std::size_t{1} << 20;
  options.delta_age = std::chrono::milliseconds(50);
  Store::create(directory, options);
  test::Pipe pipe;
  test::ChildProcess child([&] {
    auto store = Store::open(directory, options);
    for (int step = 1;; ++step) {
      test::commit(*store, counter_step(0, step), Durability::Durable);
      if (step % 40 == 0) put(*store, "bulk", std::string(40'000, 'b'));
      if (step % 20 == 0) pipe.send(step);
      std::this_thread::sleep_for(std::chrono::microseconds(300));  // a reader must be able to follow
    }
  });
  std::unique_ptr<Store> reader;
  int looks_over_deltas = 0;
  for (int i = 0; i < 20 && !HasFatalFailure(); ++i) {
    int step = 0;
    ASSERT_TRUE(pipe.receive(step));
    if (!reader) reader = test::patiently([&] { return Store::open_read_only(directory, options); });
    const BackupSource::Content content = test::patiently([&] { return reader->backup_source()->content(3); });
    expect_one_commit(content);
    EXPECT_GE(std::stoi(std::string(content.readers[2].get("counter0").value())), step);
    const Snapshot& snapshot = ReadTxnMaker::snapshot_of(content.readers.front());
    looks_over_deltas += snapshot.deltas().empty() ? 0 : 1;
  }
  EXPECT_GT(looks_over_deltas, 0);
}

TEST_F(BackupSourceTest, AReadOnlyStoreTellsTheSameOfWhatIsNotInLmdbYet) {
  RandomHistory history(test_seed());
  TestStore store(history.options());
  ASSERT_NO_FATAL_FAILURE(history.steps(*store, 60));
  store->flush();
  test::TempDir copies;
  test::copy_store(store.directory(), copies.path() / "copy");
  const auto expected = store->backup_source()->content(1).totals;
  auto reader = Store::open_read_only(copies.path() / "copy", store.options());
  const auto source = reader->backup_source();
  const auto content = source->content(2);
  EXPECT_EQ(content.totals, expected);
  EXPECT_LE(source->flushed_commit(), expected.last_commit);
  history.expect_reads_as(content.readers[1]);
}

// --- Own rows

TEST_F(BackupSourceTest, OwnRowsComeInOrderWithASealPutInItsPlace) {
  TestStore store;
  store->next_sequence("invoice");
  WriteSet set;
  set.append({.type = "t", .tags = {}, .payload = ""});
  store->submit(std::move(set), {}, {.command = Command{.id = "request"}}).value().wait();
  const auto source = store->backup_source();
  const auto rows = [&](std::optional<EventId> sealed_at) {
    const auto content = source->content(1);
    return copy_own_rows(*source, content.readers.front(), sealed_at);
  };
  const auto places = [](const std::vector<CopiedRow>& all) {
    std::vector<std::string> texts;
    for (const CopiedRow& row : all) texts.push_back(std::to_string(row.space) + row.key);
    return texts;
  };
  const std::string at_one("\1\0\0\0\0\0\0\0", 8);
  EXPECT_THAT(places(rows({})), testing::ElementsAre("1invoice", "2request"));
  EXPECT_THAT(places(rows(1)), testing::ElementsAre("1invoice", "2request", "3seal"));
  EXPECT_EQ(rows(1).back().value, at_one);
  store->seal();
  EXPECT_EQ(rows({}).back().value, at_one);
  EXPECT_THAT(places(rows(2)), testing::ElementsAre("1invoice", "2request", "3seal")) << "once";
  EXPECT_EQ(rows(2).back().value, "\2" + at_one.substr(1));
}

TEST_F(BackupSourceTest, ASealIsPutIntoNoRowsAtAll) {
  TestStore store;
  const auto source = store->backup_source();
  const auto content = source->content(1);
  EXPECT_TRUE(copy_own_rows(*source, content.readers.front()).empty());
  EXPECT_EQ(copy_own_rows(*source, content.readers.front(), 0),
            (std::vector<CopiedRow>{{3, "seal", std::string(8, '\0')}}));
}

// --- Damage

TEST_F(BackupSourceTest, EverythingThatIsReadIsVerifiedAlsoInAStoreThatVerifiesNothing) {
  Options options = test::quiet_options();
  options.verify_reads = false;
  TestStore store(options);
  put(*store, "key", "the value of a key");
  test::append(*store, "t", {"tag:1"}, "the payload of an event");
  test::append(*store, "t", {}, "the last event is read by the totals");
  store->next_sequence("the name of a sequence");
  store.close();
  const std::filesystem::path data = store.directory() / "canonical" / "data.mdb";
  std::ostringstream whole;
  whole << std::ifstream(data, std::ios::binary).rdbuf();
  for (const char* text : {"the value", "the payload", "the name of"}) {
    for (std::size_t at = whole.str().find(text); at != std::string::npos; at = whole.str().find(text, at + 1)) {
      test::flip_byte(data, at + std::string(text).size() + 6 + (text[4] == 'n' ? 8 : 0));
    }
  }
  store.open();
  EXPECT_EQ(store->read().get("key")->size(), 18u) << "the store itself looks at nothing";
  const auto source = store->backup_source();
  const auto content = source->content(1);
  const ReadTxn& reader = content.readers.front();
  EXPECT_EQ(code_of([&] { return reader.get("key"); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { return collect(reader.scan()); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { return reader.event(1); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { return test::ids_of(reader.events()); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { return test::ids_of(reader.events({.tags = {"tag:1"}})); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { return copy_own_rows(*source, reader); }), ErrorCode::Corruption);
}

// --- Space

TEST_F(BackupSourceTest, IsEndedWhenWhatItKeepsBringsLmdbNearItsLimit) {
  Options options = test::quiet_options();
  options.map_bytes = std::size_t{8} << 20;
  TestStore store(options);
  put(*store, "key", "value");
  const auto source = store->backup_source();
  {
    const auto content = source->content(1);
    EXPECT_EQ(code_of([&] { source->check_space(); }), ErrorCode{});
    ErrorCode told{};
    for (int i = 0; i < 100 && told == ErrorCode{}; ++i) {
      put(*store, "key", std::string(400'000, static_cast<char>('a' + i % 20)));
      if (code_of([&] { store->checkpoint(); }) != ErrorCode{}) break;
      told = code_of([&] { source->check_space(); });
    }
    EXPECT_EQ(told, ErrorCode::NoSpace) << "before writers are refused";
  }
  EXPECT_EQ(code_of([&] { source->check_space(); }), ErrorCode{}) << "it is the snapshots that keep it";
}

}  // namespace
}  // namespace azoth
