// The journal kept for snapshot sets: as long as they need it, no larger than it must be, and nothing without them.
#include "retained_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <string>

#include "azoth/core/log.h"
#include "bulk_rows.h"
#include "kept_journal.h"
#include "open_tables.h"
#include "support/child_process.h"

namespace azoth {
namespace {

using test::fill_segments;
using test::keep_behind;
using test::put;
using test::retained_set;
using test::TestStore;
using test::used_segments;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What is logged while it lives.
class Log {
 public:
  Log() {
    set_log_sink([this](LogLevel, std::string_view line) {
      std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
    });
  }
  ~Log() { set_log_sink({}); }
  std::vector<std::string> lines() const {
    std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Counts what is asked of one folder and what is in it.
class WatchedFolder final : public FileSystem {
 public:
  explicit WatchedFolder(std::string name) : name_(std::move(name)) {}

  std::uint64_t looks() const { return looks_; }
  std::uint64_t others() const { return others_; }

  std::unique_ptr<File> open(const std::filesystem::path& path, Mode mode) override {
    note(path, others_);
    return posix().open(path, mode);
  }
  bool exists(const std::filesystem::path& path) override {
    note(path, looks_);
    return posix().exists(path);
  }
  std::vector<std::string> list(const std::filesystem::path& path) override {
    note(path, others_);
    return posix().list(path);
  }
  void make_directory(const std::filesystem::path& path) override {
    note(path, others_);
    posix().make_directory(path);
  }
  void rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    note(to, others_);
    posix().rename(from, to);
  }
  void remove(const std::filesystem::path& path) override {
    note(path, others_);
    posix().remove(path);
  }
  void sync_directory(const std::filesystem::path& path) override {
    note(path, others_);
    posix().sync_directory(path);
  }

 private:
  void note(const std::filesystem::path& path, std::atomic<std::uint64_t>& counter) const {
    if (path.filename() == name_ || path.parent_path().filename() == name_) ++counter;
  }

  const std::string name_;
  std::atomic<std::uint64_t> looks_{0};
  std::atomic<std::uint64_t> others_{0};
};

class RetainedJournalTest : public test::WritePath {
 protected:
  static std::vector<JournalFiles::Segment> segments(TestStore& store) {
    return used_segments(store.directory(), test::identity_of(*store));
  }
  // The first commit that the journal still has.
  static CommitSeq begin_of(TestStore& store) { return segments(store).front().header->first_commit; }

  // A flush that has something to trim, and the time that the keeper needs for it.
  static CommitSeq flush(TestStore& store) {
    const CommitSeq last = fill_segments(*store);
    store->checkpoint();
    return last;
  }
  static void await_begin(TestStore& store, CommitSeq commit) {
    test::await([&] { return begin_of(store) >= commit; });
  }
  static bool all_but_the_last_are_cut(TestStore& store) {
    const auto all = segments(store);
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
      if (all[i].bytes != all[i + 1].header->previous_valid_bytes) return false;
    }
    return all.size() > 1;
  }
  static void await_cuts(TestStore& store) {
    test::await([&] { return all_but_the_last_are_cut(store); });
  }
};

TEST_F(RetainedJournalTest, WithoutASetTheJournalIsTrimmed) {
  TestStore store(test::tiny_options());
  fill_segments(*store, 4);
  const CommitSeq last = flush(store);
  await_begin(store, last - 16);
  EXPECT_LE(segments(store).size(), 3u);
  EXPECT_FALSE(std::filesystem::exists(store.directory() / "retain"));
}

TEST_F(RetainedJournalTest, WithoutASetNobodyLooksFurtherThanForTheFolder) {
  TestStore store(test::tiny_options());
  store.close();
  WatchedFolder watched("retain");
  auto open = Store::open(store.directory(), store.options(), watched);
  for (int i = 0; i < 3; ++i) {
    fill_segments(*open);
    open->checkpoint();
  }
  const std::uint64_t flushes = open->status().flushes;
  open.reset();
  EXPECT_EQ(watched.others(), 0u);
  EXPECT_GE(watched.looks(), 2u);
  EXPECT_LE(watched.looks(), flushes + 2) << "once when it is opened, and once at most in each flush";
}

TEST_F(RetainedJournalTest, WhatASetNeedsIsKeptAndCutAndTheRestIsTrimmed) {
  TestStore store(test::tiny_options());
  const CommitSeq begin = fill_segments(*store, 3);
  keep_behind(*store, begin);
  for (int i = 0; i < 5; ++i) flush(store);
  await_begin(store, begin - 16);
  EXPECT_LE(begin_of(store), begin + 1);
  await_cuts(store);
  EXPECT_GE(segments(store).size(), 5u);
  EXPECT_TRUE(store->verify().ok());
}

TEST_F(RetainedJournalTest, IsKeptOverCleanClosesAndKills) {
  TestStore store(test::tiny_options());
  const CommitSeq begin = fill_segments(*store, 2);
  keep_behind(*store, begin);
  for (int life = 0; life < 3; ++life) {
    flush(store);
    fill_segments(*store);
    test::TempDir copies;
    test::copy_store(store.directory(), copies.path() / "copy");
    {
      auto killed = Store::open(copies.path() / "copy", store.options());
      const auto identity = test::identity_of(*killed);
      EXPECT_LE(used_segments(copies.path() / "copy", identity).front().header->first_commit, begin + 1);
      put(*killed, "key", "value");
      killed->checkpoint();
      EXPECT_TRUE(killed->verify().ok());
      EXPECT_LE(used_segments(copies.path() / "copy", identity).front().header->first_commit, begin + 1);
    }
    store.reopen();
    ASSERT_LE(begin_of(store), begin + 1) << "life " << life;
  }
  await_cuts(store);
}

TEST_F(RetainedJournalTest, IsTrimmedWhenTheSetMovesForwardAndWhenItIsForgotten) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  for (int i = 0; i < 3; ++i) flush(store);
  const CommitSeq middle = flush(store);
  ASSERT_EQ(begin_of(store), 1u);
  keep_behind(*store, middle);
  flush(store);
  await_begin(store, middle - 16);
  ASSERT_LE(begin_of(store), middle + 1);
  ASSERT_TRUE(store->backup_source()->retention().forget(retained_set({}, 0).set_id));
  await_begin(store, flush(store) - 16);
}

TEST_F(RetainedJournalTest, TheSetThatIsFurthestBehindCounts) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0, 2);
  keep_behind(*store, fill_segments(*store), 1);
  keep_behind(*store, fill_segments(*store), 3);
  for (int i = 0; i < 3; ++i) flush(store);
  EXPECT_EQ(begin_of(store), 1u);
}

TEST_F(RetainedJournalTest, ASetThatKeepsMoreThanItMayIsGivenUpAndTheLogSaysSo) {
  TestStore store(test::tiny_options());
  Log log;
  const Uuid timeline = store->meta().timeline;
  Retention(store.directory()).set(retained_set(timeline, 0, 1, 200'000));
  Retention(store.directory()).set(retained_set(timeline, 0, 2, 100'000'000));
  flush(store);
  EXPECT_EQ(Retention(store.directory()).list().size(), 2u) << "one segment is not too much";
  for (int i = 0; i < 6; ++i) flush(store);
  const auto left = Retention(store.directory()).list();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left.front().limit_bytes, 100'000'000u);
  EXPECT_THAT(log.lines(), Contains(AllOf(HasSubstr("no longer kept"), HasSubstr("/backups/set"),
                                          HasSubstr(retained_set({}, 0, 1).set_id.text()))));
  EXPECT_EQ(begin_of(store), 1u) << "the other one may keep it";
  Retention(store.directory()).set(retained_set(timeline, 0, 2, 200'000));
  await_begin(store, flush(store) - 16);
  EXPECT_TRUE(Retention(store.directory()).list().empty());
}

TEST_F(RetainedJournalTest, NothingIsTrimmedWhileSomebodyRegistersAndTheNextFlushMakesUpForIt) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  for (int i = 0; i < 3; ++i) flush(store);
  keep_behind(*store, store->meta().last_commit);
  {
    auto held = Retention(store.directory()).try_lock();
    test::await([&] { return held || (held = Retention(store.directory()).try_lock()); });  // the last flush trims yet
    const CommitSeq begin = begin_of(store);
    flush(store);
    EXPECT_EQ(begin_of(store), begin);
  }
  const CommitSeq registered = Retention(store.directory()).list().front().commit;
  flush(store);
  await_begin(store, registered - 16);
}

TEST_F(RetainedJournalTest, WhatCannotBeReadKeepsEverythingUntilItCan) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  const std::filesystem::path folder = store.directory() / "retain";
  const std::filesystem::path aside = store.directory() / "aside";
  store.close();
  std::filesystem::rename(folder, aside);
  std::filesystem::create_symlink(aside, folder);
  Log log;
  store.open();
  for (int i = 0; i < 3; ++i) flush(store);
  EXPECT_EQ(begin_of(store), 1u);
  EXPECT_THAT(log.lines(), Contains(HasSubstr("the journal is kept until it is known")));
  EXPECT_THAT(log.lines(), Contains(HasSubstr("the journal is not trimmed")));
  std::filesystem::remove(folder);
  std::filesystem::rename(aside, folder);
  ASSERT_TRUE(Retention(store.directory()).forget(retained_set({}, 0).set_id));
  await_begin(store, flush(store) - 16);
}

TEST_F(RetainedJournalTest, ADamagedRegistrationKeepsNothing) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  test::flip_byte(store.directory() / "retain" / retained_set({}, 0).set_id.text(), 30);
  fill_segments(*store, 3);
  await_begin(store, flush(store) - 16);
}

TEST_F(RetainedJournalTest, ARegistrationOfAnotherTimelineKeepsNothing) {
  TestStore store(test::tiny_options());
  Retention(store.directory()).set(retained_set(Uuid::random(), 0));
  fill_segments(*store, 3);
  await_begin(store, flush(store) - 16);
  EXPECT_EQ(Retention(store.directory()).list().size(), 1u) << "nor is it given up";
}

TEST_F(RetainedJournalTest, OfTheParentOnlyTheOneThatEndsAtTheForkCounts) {
  JournalIdentity identity;
  identity.timeline.bytes.fill(1);
  const Timeline grandparent{.id = Uuid::random()};
  const Timeline parent{.id = Uuid::random(), .parent = grandparent.id, .fork = 50};
  identity.lineage = {{.id = identity.timeline, .parent = parent.id, .fork = 100}, parent, grandparent};
  test::TempDir directory;
  const auto behind = [&](const Uuid& timeline, CommitSeq commit) {
    Retention retention(directory.path());
    retention.set(retained_set(timeline, commit));
    return retained_behind(retention, identity);
  };
  const CommitSeq nothing = std::numeric_limits<CommitSeq>::max();
  EXPECT_EQ(behind(parent.id, 100), 100u);
  EXPECT_EQ(behind(parent.id, 99), nothing);
  EXPECT_EQ(behind(parent.id, 101), nothing);
  EXPECT_EQ(behind(grandparent.id, 50), nothing);
  EXPECT_EQ(behind(grandparent.id, 100), nothing);
  EXPECT_EQ(behind(identity.timeline, 7), 7u);
  EXPECT_EQ(behind({}, 0), nothing);
}

TEST_F(RetainedJournalTest, BulkRowsStayAsLongAsTheJournalAroundThem) {
  TestStore store(test::tiny_options());
  const CommitSeq before = fill_segments(*store, 2);
  keep_behind(*store, before);
  const CommitSeq bulk = put(*store, "bulk", std::string(300'000, 'b')).commit_seq;
  const auto is_kept = [&] {
    store.close();
    const bool kept = was_bulk(test::OpenTables(store).env().begin_read(), bulk);
    store.open();
    return kept;
  };
  for (int i = 0; i < 3; ++i) flush(store);
  EXPECT_TRUE(is_kept());
  flush(store);
  EXPECT_TRUE(is_kept()) << "after it was reopened, too";
  keep_behind(*store, flush(store));
  flush(store);
  await_begin(store, bulk + 1);
  flush(store);
  EXPECT_FALSE(is_kept());
}

TEST_F(RetainedJournalTest, AReaderFollowsTheJournalBesideCutSegments) {
  test::TempDir parent;
  const std::filesystem::path directory = parent.path() / "store";
  const Options options = test::tiny_options();
  Store::create(directory, options);
  test::Pipe to_parent;
  test::Pipe to_child;
  test::ChildProcess child([&] {
    auto store = Store::open(directory, options);
    keep_behind(*store, 0);
    for (int round = 0; round < 6; ++round) {
      fill_segments(*store, 2);
      if (round % 2 == 0) store->checkpoint();
      to_parent.send(put(*store, "round", std::to_string(round)).commit_seq);
      store->flush();
      int answer = 0;
      if (!to_child.receive(answer)) throw Error(ErrorCode::Io, "the parent is gone");
    }
  });
  std::unique_ptr<Store> reader;
  for (int round = 0; round < 6; ++round) {
    CommitSeq last = 0;
    ASSERT_TRUE(to_parent.receive(last));
    to_child.send(round);
    if (!reader) reader = Store::open_read_only(directory, options);
    test::await([&] { return reader->read().commit_seq() >= last; });
    ASSERT_GE(std::stoi(std::string(*reader->read().get("round"))), round);
    ASSERT_TRUE(reader->verify().ok());
  }
  child.wait();
  EXPECT_TRUE(child.succeeded());
}

TEST_F(RetainedJournalTest, WhatIsKeptIsVerifiedAsFarAsASetNeedsIt) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  test::append(*store, "type", {"tag:1"}, "1");
  put(*store, "bulk", std::string(300'000, 'b'));
  const CommitSeq last = fill_segments(*store, 3);
  test::append(*store, "type", {"tag:1"}, "2");
  store->checkpoint();
  test::TempDir copies;
  const auto verify = [&] {
    test::copy_store(store.directory(), copies.path() / "copy");
    const VerifyReport read = Store::open_read_only(copies.path() / "copy", store.options())->verify();
    const VerifyReport report = store->verify();
    EXPECT_EQ(read.problems.size(), report.problems.size());
    return report.problems;
  };
  EXPECT_THAT(verify(), IsEmpty());
  const auto batches = test::batches_in(store.directory(), test::identity_of(*store));
  const test::PlacedInStore& batch = batches.at(batches.size() / 2);
  ASSERT_LT(batch.header.last_commit, last);
  test::flip_byte(batch.file, batch.offset + 90);
  EXPECT_THAT(verify(), ElementsAre(AllOf(HasSubstr(batch.file.filename().string()), HasSubstr("is damaged"),
                                          HasSubstr("must be a full one"))));
  keep_behind(*store, batch.header.last_commit);
  EXPECT_THAT(verify(), IsEmpty()) << "nobody needs it";
  keep_behind(*store, batch.header.first_commit - 1);
  EXPECT_EQ(verify().size(), 1u);
  test::flip_byte(batch.file, batch.offset + 90);
  EXPECT_THAT(verify(), IsEmpty());
}

TEST_F(RetainedJournalTest, WhatWasTrimmedBeforeASetRegisteredIsANote) {
  TestStore store(test::tiny_options());
  for (int i = 0; i < 4; ++i) flush(store);
  test::await([&] { return begin_of(store) > 1; });
  keep_behind(*store, 0);
  const VerifyReport report = store->verify();
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("must be a full one")));
}

TEST_F(RetainedJournalTest, ASegmentThatCannotBeCutIsNoTrouble) {
  TestStore store(test::tiny_options());
  keep_behind(*store, 0);
  Log log;
  fault::Armed armed("file.truncate", {.fail_with = EIO, .times = -1});
  for (int i = 0; i < 4; ++i) flush(store);
  test::await([&] { return !log.lines().empty(); });
  EXPECT_THAT(log.lines(), Contains(HasSubstr("could not be cut")));
  EXPECT_THAT(log.lines(), Not(Contains(HasSubstr("spare"))));
  store.reopen();
  EXPECT_EQ(begin_of(store), 1u);
  EXPECT_TRUE(store->verify().ok());
}

}  // namespace
}  // namespace azoth
