// The commits of the past: every range of them brings a store from the one moment to the other.
#include "commit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>

#include "copied_content.h"
#include "kept_journal.h"
#include "random_history.h"
#include "support/child_process.h"
#include "support/seed.h"

namespace azoth {
namespace {

using test::code_of;
using test::commit;
using test::copy_commits;
using test::keep_behind;
using test::Moment;
using test::put;
using test::RandomHistory;
using test::set_of;
using test::test_seed;
using test::TestStore;
using testing::HasSubstr;

// A moment, and the records behind it carried out one by one.
class Replayed {
 public:
  Replayed(const RandomHistory& history, CommitSeq after)
      : history_(history), moment_(history.at(after)), commit_(after) {}

  void apply(std::string_view record) {
    RecordReader reader(record);
    const RecordHeader& header = reader.header();
    ASSERT_EQ(header.commit_seq, ++commit_);
    if (header.events != 0) {
      ASSERT_EQ(header.first_event, moment_.events + 1);
    }
    while (const auto entry = reader.next()) {
      if (entry->kind == RecordEntry::Kind::Event) {
        const EventView view(++moment_.events, header.commit_seq, header.time, entry->value);
        ASSERT_NO_FATAL_FAILURE(test::expect_event(view, view.id(), history_.log()[view.id() - 1]));
      } else if (entry->space == Space::State) {
        change(moment_.state, std::string(entry->key), *entry);
      } else {
        change(moment_.own, std::pair(entry->space, std::string(entry->key)), *entry);
      }
    }
  }

  void expect_is_there(CommitSeq through) const {
    ASSERT_EQ(commit_, through);
    ASSERT_EQ(moment_.state, history_.at(through).state);
    ASSERT_EQ(moment_.own, history_.at(through).own);
    ASSERT_EQ(moment_.events, history_.at(through).events);
  }

 private:
  template <class Map, class Key>
  static void change(Map& map, const Key& key, const RecordEntry& entry) {
    map.erase(key);
    if (entry.kind == RecordEntry::Kind::Set) map.emplace(key, entry.value);
  }

  const RandomHistory& history_;
  Moment moment_;
  CommitSeq commit_;
};

class CommitLogTest : public test::WritePath {
 protected:
  static void expect_replays(const RandomHistory& history, BackupSource& source, const ReadTxn& reader, CommitSeq after,
                             CommitSeq through) {
    Replayed replayed(history, after);
    for (const std::string& record : copy_commits(source, reader, after, history.at(after).events, through)) {
      ASSERT_EQ(commit_facts(record).record_bytes, record.size());
      ASSERT_NO_FATAL_FAILURE(replayed.apply(record));
    }
    ASSERT_NO_FATAL_FAILURE(replayed.expect_is_there(through)) << after << " to " << through;
  }

  // From each commit to the next few, to the last, and to some in between.
  static void expect_replays_everything(const RandomHistory& history, Store& store, CommitSeq from = 0) {
    const auto source = store.backup_source();
    const auto content = source->content(1);
    const CommitSeq last = history.last_commit();
    ASSERT_EQ(content.totals.last_commit, last);
    std::mt19937_64 random(last);
    for (CommitSeq after = from; after <= last; ++after) {
      std::set<CommitSeq> ends = {after, last, after + random() % (last - after + 1)};
      if (after < last) ends.insert(after + 1);
      for (CommitSeq through : ends) {
        ASSERT_NO_FATAL_FAILURE(expect_replays(history, *source, content.readers.front(), after, through));
      }
    }
  }

  // What is thrown for a range, with no commit of it told twice or wrong.
  static std::optional<Error> error_of_range(Store& store, CommitSeq after, CommitSeq through) {
    const auto source = store.backup_source();
    const auto content = source->content(1);
    return test::error_of([&] { copy_commits(*source, content.readers.front(), after, 0, through); });
  }
};

TEST_F(CommitLogTest, EveryRangeOfARandomHistoryBringsTheStoreFromTheOneMomentToTheOther) {
  for (int round = 0; round < 2; ++round) {
    RandomHistory history(test_seed() + static_cast<std::uint64_t>(round));
    TestStore store(history.options());
    keep_behind(*store, 0);
    for (int life = 0; life < 3; ++life) {
      ASSERT_NO_FATAL_FAILURE(history.steps(*store, 20));
      ASSERT_NO_FATAL_FAILURE(expect_replays_everything(history, *store, history.last_commit() / 2));
      store.reopen();
      ASSERT_NO_FATAL_FAILURE(history.note(*store));
    }
    ASSERT_NO_FATAL_FAILURE(expect_replays_everything(history, *store));
  }
}

// A store whose last life ended in a power cut: behind its last commits the journal has a batch that cannot be read,
// and dead ones behind that, whose numbers were given out again.
struct StoreWithDeadTail {
  RandomHistory history{test_seed()};
  test::TempDir parent;
  std::filesystem::path directory = parent.path() / "store";
  CommitSeq cut = 0;  // the last commit before
  std::unique_ptr<Store> store;

  StoreWithDeadTail() {
    TestStore before(history.options());
    keep_behind(*before, 0);
    history.steps(*before, 25);
    before->flush();
    cut = history.last_commit();
    for (int i = 0; i < 4; ++i) put(*before, "dead", std::to_string(i));
    const auto identity = test::identity_of(*before);
    test::copy_store(before.directory(), directory);
    for (const auto& batch : test::batches_in(directory, identity)) {
      if (batch.header.first_commit == cut + 1) test::flip_byte(batch.file, batch.offset + 100);
    }
    store = Store::open(directory, history.options());
    const auto newest = [&] { return test::used_segments(directory, identity).back().header->first_commit; };
    while (newest() <= cut + 10) history.steps(*store, 5);
    store->checkpoint();
  }
};

TEST_F(CommitLogTest, WhatIsDeadBehindACrashIsNoPartOfTheHistory) {
  StoreWithDeadTail dead;
  if (HasFatalFailure()) return;
  ASSERT_NO_FATAL_FAILURE(expect_replays_everything(dead.history, *dead.store));
}

TEST_F(CommitLogTest, WhatIsDeadIsNotBelievedEitherWhenWhatCameBehindItIsGone) {
  StoreWithDeadTail dead;
  if (HasFatalFailure()) return;
  const auto identity = test::identity_of(*dead.store);
  int removed = 0;
  for (const auto& segment : test::used_segments(dead.directory, identity)) {
    if (segment.header->first_commit != dead.cut + 1) continue;
    removed += std::filesystem::remove(dead.directory / "journal" / segment_name(segment.number));
  }
  EXPECT_GT(removed, 0);
  const auto source = dead.store->backup_source();
  const auto content = source->content(1);
  int not_found = 0;
  for (CommitSeq after = dead.cut; after < dead.cut + 4 && !HasFailure(); ++after) {  // bulk transactions are in LMDB
    const auto error =
        test::error_of([&] { expect_replays(dead.history, *source, content.readers.front(), after, after + 1); });
    if (error) {
      EXPECT_EQ(error->code(), ErrorCode::NotFound) << error->what();
      ++not_found;
    }
  }
  EXPECT_GT(not_found, 0);
}

TEST_F(CommitLogTest, WhatOnlyAReadOnlyStoreHasSeenIsThereToo) {
  RandomHistory history(test_seed());
  TestStore store(history.options());
  keep_behind(*store, 0);
  ASSERT_NO_FATAL_FAILURE(history.steps(*store, 40));
  store->flush();
  test::TempDir copies;
  test::copy_store(store.directory(), copies.path() / "copy");
  auto reader = Store::open_read_only(copies.path() / "copy", store.options());
  ASSERT_NO_FATAL_FAILURE(expect_replays_everything(history, *reader));
}

// --- Bulk transactions of which the journal was not told

TEST_F(CommitLogTest, ABulkTransactionIsThereBeforeTheJournalIsToldOfIt) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  put(*store, "before", "1");
  test::Hold hold("bulk.committed");
  auto bulk = test::in_background([&] { put(*store, "bulk", std::string(40'000, 'b')); });
  hold.wait_for_arrivals();
  const auto source = store->backup_source();
  const auto content = source->content(1);
  ASSERT_EQ(content.totals.last_commit, 2u);
  EXPECT_EQ(copy_commits(*source, content.readers.front(), 0, 0, 2).size(), 2u);
  hold.release();
  bulk.get();
}

TEST_F(CommitLogTest, ABulkTransactionIsThereAfterAKillBeforeTheJournalWasToldOfIt) {
  test::TempDir parent;
  const std::filesystem::path directory = parent.path() / "store";
  Store::create(directory, test::tiny_options());
  test::ChildProcess child([&] {
    auto store = Store::open(directory, test::tiny_options());
    keep_behind(*store, 0);
    put(*store, "before", "1");
    fault::arm("bulk.committed", {.kill = true});
    put(*store, "bulk", std::string(40'000, 'b'));
  });
  child.wait();
  ASSERT_TRUE(child.was_killed());
  const auto expect_two = [](Store& store) {
    const auto source = store.backup_source();
    const auto content = source->content(1);
    EXPECT_EQ(copy_commits(*source, content.readers.front(), 0, 0, 2).size(), 2u);
    EXPECT_EQ(copy_commits(*source, content.readers.front(), 1, 0, 2).size(), 1u);
  };
  expect_two(*Store::open_read_only(directory, test::tiny_options()));
  auto store = Store::open(directory, test::tiny_options());
  expect_two(*store);
  put(*store, "after", "3");
  expect_two(*store);
}

// --- What is gone

TEST_F(CommitLogTest, WhatWasTrimmedIsNotFound) {
  TestStore store(test::tiny_options());
  test::fill_segments(*store, 6);
  store->checkpoint();
  const CommitSeq last = put(*store, "key", "value").commit_seq;
  store->checkpoint();
  const auto identity = test::identity_of(*store);
  const auto begin = [&] { return test::used_segments(store.directory(), identity).front().header->first_commit; };
  test::await([&] { return begin() > 3; });
  for (CommitSeq after : {0, 1, 2}) {
    EXPECT_EQ(error_of_range(*store, after, last)->code(), ErrorCode::NotFound);
    EXPECT_EQ(error_of_range(*store, after, after + 1)->code(), ErrorCode::NotFound);
  }
  EXPECT_EQ(error_of_range(*store, last - 1, last), std::nullopt);
  EXPECT_EQ(error_of_range(*store, last, last), std::nullopt) << "nothing";
}

TEST_F(CommitLogTest, ABulkTransactionThatLmdbHasForgottenIsNotFound) {
  TestStore store(test::tiny_options());
  put(*store, "bulk", std::string(40'000, 'b'));
  for (int i = 0; i < 3; ++i) {
    test::fill_segments(*store, 1);
    store->checkpoint();
  }
  EXPECT_EQ(error_of_range(*store, 0, 1)->code(), ErrorCode::NotFound);
}

TEST_F(CommitLogTest, EventsThatDoNotFollowTheOnesBeforeAreCorruption) {
  TestStore store(test::tiny_options());
  test::append(*store, "t", {}, "1");
  test::append(*store, "t", {}, "2");
  const auto source = store->backup_source();
  const auto content = source->content(1);
  EXPECT_EQ(copy_commits(*source, content.readers.front(), 1, 1, 2).size(), 1u);
  EXPECT_EQ(code_of([&] { copy_commits(*source, content.readers.front(), 1, 0, 2); }), ErrorCode::Corruption);
}

// --- Damage

TEST_F(CommitLogTest, ADamagedBatchIsCorruptionForTheRangesThatNeedItAndForNoOthers) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  const CommitSeq last = test::fill_segments(*store, 3);
  store->checkpoint();
  const auto batches = test::batches_in(store.directory(), test::identity_of(*store));
  ASSERT_EQ(batches.size(), last);
  for (std::size_t i = 0; i < batches.size(); i += i < last - 3 ? 4 : 1) {
    const test::PlacedInStore& batch = batches[i];
    const CommitSeq damaged = batch.header.first_commit;
    for (std::uint64_t at : {i % 2 == 0 ? std::uint64_t{14} : std::uint64_t{50}, std::uint64_t{90}}) {
      test::flip_byte(batch.file, batch.offset + at);
      const auto error = error_of_range(*store, damaged - 1, last);
      ASSERT_TRUE(error.has_value()) << damaged;
      ASSERT_EQ(error->code(), ErrorCode::Corruption);
      ASSERT_THAT(error->what(), HasSubstr(batch.file.string()));
      ASSERT_EQ(error_of_range(*store, damaged, last), std::nullopt) << "it is in front of the range";
      ASSERT_EQ(error_of_range(*store, 0, damaged - 1), std::nullopt) << "it is behind the range";
      test::flip_byte(batch.file, batch.offset + at);
    }
  }
}

// A batch of another copy of the store, say.
TEST_F(CommitLogTest, ABatchThatDoesNotContinueTheOneBeforeIsCorruption) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  const CommitSeq last = test::fill_segments(*store, 1);
  store->checkpoint();
  const auto identity = test::identity_of(*store);
  const test::PlacedInStore batch = test::batches_in(store.directory(), identity).at(1);
  const std::uint64_t number = parse_segment_name(batch.file.filename().string()).value();
  SegmentReader reader(FileSystem::posix(), store.directory() / "journal", identity, number);
  ASSERT_TRUE(reader.read(batch.offset));
  std::string bytes(kBatchHeaderBytes, '\0');
  bytes += reader.records();
  BatchHeader header = batch.header;
  header.previous_checksum ^= 1;
  header.encode(bytes, batch_seed(identity, number));
  FileSystem::posix().open(batch.file, FileSystem::Mode::Write)->write_at(batch.offset, bytes);
  const auto error = error_of_range(*store, 0, last);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::Corruption);
  EXPECT_THAT(error->what(), HasSubstr(batch.file.string()));
}

TEST_F(CommitLogTest, ADamagedHeaderIsCorruptionThatNamesItsFile) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  const CommitSeq last = test::fill_segments(*store, 3);
  store->checkpoint();
  auto segments = test::used_segments(store.directory(), test::identity_of(*store));
  std::erase_if(segments, [](const auto& segment) { return segment.bytes <= kSegmentHeaderBytes; });
  ASSERT_GE(segments.size(), 3u);
  for (const auto& segment : segments) {
    const std::filesystem::path file = store.directory() / "journal" / segment_name(segment.number);
    const CommitSeq first = segment.header->first_commit;
    test::flip_byte(file, 20);
    const auto error = error_of_range(*store, first - 1, first);
    ASSERT_TRUE(error.has_value()) << first;
    EXPECT_EQ(error->code(), ErrorCode::Corruption) << error->what();
    EXPECT_THAT(error->what(), HasSubstr(file.string()));
    if (first > 1) {
      EXPECT_EQ(error_of_range(*store, 0, first - 1), std::nullopt) << "it is behind the range";
    }
    test::flip_byte(file, 20);
  }
  EXPECT_EQ(error_of_range(*store, 0, last), std::nullopt);
}

// --- Who takes them

TEST_F(CommitLogTest, WhatTheCallerThrowsPassesAtOnceAndOnce) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  put(*store, "key", "1");
  WriteSet bulk = set_of("bulk", std::string(600'000, 'b'));
  for (int i = 0; i < 2; ++i) bulk.append({.type = "t", .tags = {}, .payload = std::string(300'000, 'e')});
  commit(*store, std::move(bulk));
  put(*store, "key", "3");
  const auto source = store->backup_source();
  const auto content = source->content(1);
  int pieces = 0;
  source->for_each_commit(content.readers.front(), 0, 0, 3, [&](std::string_view, bool) { ++pieces; });
  EXPECT_GE(pieces, 7);
  const auto expect_passes = [&](const auto& thrown) {
    for (int last = 1; last <= pieces; ++last) {
      int calls = 0;
      const auto each = [&](std::string_view, bool) {
        if (++calls == last) throw thrown;
      };
      EXPECT_THROW(source->for_each_commit(content.readers.front(), 0, 0, 3, each),
                   std::remove_cvref_t<decltype(thrown)>);
      EXPECT_EQ(calls, last);
    }
  };
  expect_passes(std::runtime_error("no more"));
  expect_passes(Error(ErrorCode::Corruption, "of the caller's own"));
  expect_passes(Error(ErrorCode::NotFound, "of the caller's own"));
}

}  // namespace
}  // namespace azoth
