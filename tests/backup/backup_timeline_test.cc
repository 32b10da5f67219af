// Stores that were restored out of one set and share it: each has a history of its own from where it was restored.
#include "backup_support.h"
#include "diff_snapshot.h"

namespace azoth::backup::test {
namespace {

using testing::HasSubstr;

// A restored store with a model of its own that begins as the first one's.
class Restored {
 public:
  Restored(const Path& set, const Path& directory, const RestoreTarget& target, const Options& options)
      : set_(set), directory_(directory), options_(options) {
    report = backup::restore(set, directory, {.target = target, .store = options});
    store = Store::open(directory, options);
  }
  BackupReport back_up(bool incremental) {
    return backup::back_up(*store, directory_, nullptr, set_, {.incremental = incremental});
  }

  RestoreReport report;
  std::unique_ptr<Store> store;

 private:
  Path set_;
  Path directory_;
  Options options_;
};

class BackupTimeline : public BackupTest {
 protected:
  BackupTimeline() {
    put("a", "1");
    append("first", 2);
    back_up();
    put("a", "2");
    middle_ = put("a", "3").commit_seq;
    put("a", "4");
    incremental();
    last_ = store_->status().visible_seq;
  }

  Restored restored(const std::string& name, const RestoreTarget& target = {}) {
    return {set_path(), targets() / name, target, options_};
  }
  // What the set has of this timeline is what this store holds.
  void expect_same(const Restored& store) {
    RestoreTarget target;
    target.timeline = store.report.timeline;
    restore_to(target);
    const auto again = Store::open_read_only(this->target(), options_);
    EXPECT_EQ(again->digest(), store.store->digest());
    EXPECT_TRUE(again->verify().ok());
  }

  CommitSeq middle_ = 0;
  CommitSeq last_ = 0;
};

TEST_F(BackupTimeline, TwoRestoredStoresAndTheFirstShareASetAndEachHistoryIsRestored) {
  Restored one = restored("one"), two = restored("two");
  EXPECT_NE(one.report.timeline, two.report.timeline);
  for (int i = 0; i < 3; ++i) {
    azoth::test::put(*one.store, "a", "one" + std::to_string(i));
    azoth::test::put(*two.store, "a", "two" + std::to_string(i));
    azoth::test::append(*two.store, "two", {}, std::to_string(i));
    put("a", "first" + std::to_string(i));
    EXPECT_EQ(one.back_up(true).snapshot.manifest->base_ordinal, i == 0 ? 2u : 3u * static_cast<unsigned>(i));
    two.back_up(true);
    incremental();
  }
  expect_same(one);
  expect_same(two);
  RestoreTarget first;
  first.timeline = store_->meta().timeline;
  restore_to(first);
  expect_restored(target(), model_, store_->status().visible_seq, options_);
  EXPECT_EQ(restore().timeline.text().size(), 32u);  // the newest snapshot's history: the first store's
  expect_restored(target(), model_, store_->status().visible_seq, options_);
  EXPECT_TRUE(verify().ok());
}

TEST_F(BackupTimeline, AnIncrementalRightAfterARestoreHasNothingToBring) {
  Restored one = restored("one");
  const BackupReport report = one.back_up(true);
  EXPECT_EQ(report.snapshot.ordinal, 2u);
  EXPECT_THAT(report.notes, testing::ElementsAre(HasSubstr("nothing was committed since snapshot 2")));
  EXPECT_EQ(list().size(), 2u);
  azoth::test::put(*one.store, "a", "one");
  EXPECT_EQ(one.back_up(true).snapshot.manifest->after_commit, last_);
  expect_same(one);
}

TEST_F(BackupTimeline, AStoreThatWasRestoredToTheMiddleOfADiffNeedsAFullFirst) {
  Restored one = restored("one", RestoreTarget::commit(middle_));
  azoth::test::put(*one.store, "a", "one");
  expect_error([&] { one.back_up(true); }, ErrorCode::NotFound, "make a full one");
  EXPECT_THAT(Retention(targets() / "one").list(), testing::IsEmpty());
  EXPECT_EQ(one.back_up(false).snapshot.manifest->lineage.at(0).fork, middle_);
  azoth::test::put(*one.store, "a", "two");
  one.back_up(true);
  expect_same(one);
  for (const CommitSeq commit : {middle_ - 1, last_}) {  // the first store's history is there as before
    RestoreTarget first = RestoreTarget::commit(commit);
    first.timeline = store_->meta().timeline;
    EXPECT_EQ(restore_to(first).commit, commit);
    expect_restored(target(), model_, commit, options_);
  }
}

// The first store has a way around the broken snapshot, which leads past the fork: of no use to the restored one.
TEST_F(BackupTimeline, AStoreWhoseBaseIsReachedOnlyByADiffThatRunsPastItNeedsAFull) {
  put("a", "5");
  incremental();  // 3
  Restored one = restored("one");
  std::filesystem::remove(set_path() / list()[1].files[0]);
  put("a", "6");
  ASSERT_EQ(incremental().snapshot.manifest->base_ordinal, 1u);
  azoth::test::put(*one.store, "a", "one");
  expect_error([&] { one.back_up(true); }, ErrorCode::NotFound, "make a full one");
  one.back_up(false);
  expect_same(one);
}

TEST_F(BackupTimeline, ARestoreOfARestoreOfARestoreIsStillOneHistory) {
  std::string digest;
  for (int i = 0; i < 4; ++i) {
    Restored next = restored("store" + std::to_string(i));
    EXPECT_EQ(next.store->meta().lineage.size(), 2u + static_cast<unsigned>(i));
    if (i > 0) {
      EXPECT_EQ(next.store->digest(), digest);
    }
    azoth::test::append(*next.store, "more", {}, std::to_string(i));
    next.back_up(i != 2);
    digest = next.store->digest();
  }
  EXPECT_TRUE(verify().ok());
  restore_to(RestoreTarget::commit(last_));
  expect_restored(target(), model_, last_, options_);
}

// A trial of a restore that was backed up into the set by mistake must not cost the store its backups.
TEST_F(BackupTimeline, APurgeKeepsTheFullsOfEachHistory) {
  const auto purge = [&](std::size_t keep) { return SnapshotSet::open(set_path(), {}).purge(keep).removed; };
  Restored one = restored("one");
  azoth::test::put(*one.store, "a", "one");
  put("a", "first");
  incremental();       // 3
  one.back_up(false);  // 4
  EXPECT_THAT(purge(1), testing::IsEmpty());
  expect_same(one);
  RestoreTarget first;
  first.timeline = store_->meta().timeline;
  restore_to(first);
  expect_restored(target(), model_, store_->status().visible_seq, options_);
  incremental();  // nothing was committed
  back_up();      // 5
  EXPECT_THAT(purge(1), testing::ElementsAre(3, 2, 1));
  expect_same(one);
  restore_to(first);
  expect_restored(target(), model_, store_->status().visible_seq, options_);
}

TEST_F(BackupTimeline, APurgeOfAStoreThatWentOnFromTheNewestSnapshotRemovesTheOldTimeline) {
  Restored one = restored("one");
  azoth::test::put(*one.store, "a", "one");
  one.back_up(true);   // 3
  one.back_up(false);  // 4
  EXPECT_THAT(SnapshotSet::open(set_path(), {}).purge(1).removed, testing::ElementsAre(3, 2, 1));
  expect_same(one);
}

// The first store's full has nothing of what the restored one has written before it.
TEST_F(BackupTimeline, APurgeKeepsWhatGoesOnFromAnOlderFullThanTheNewestOfTheIdleStore) {
  const auto purge = [&] { return SnapshotSet::open(set_path(), {}).purge(1).removed; };
  Restored one = restored("one");
  azoth::test::put(*one.store, "a", "one");
  one.back_up(true);  // 3
  back_up();          // 4
  EXPECT_THAT(purge(), testing::IsEmpty());
  expect_same(one);
  azoth::test::put(*one.store, "a", "more");
  one.back_up(true);   // 5
  one.back_up(false);  // 6
  EXPECT_THAT(purge(), testing::ElementsAre(5, 4, 3, 2, 1));
  expect_same(one);
}

TEST_F(BackupTimeline, TheSetOfAnotherStoreIsRefused) {
  azoth::test::TestStore other(options_);
  const auto back_up_other = [&](bool incremental) {
    backup::back_up(*other, other.directory(), nullptr, set_path(), {.incremental = incremental});
  };
  for (const bool incremental : {false, true}) {
    expect_error([&] { back_up_other(incremental); }, ErrorCode::InvalidArgument, "use another set for this store");
  }
  EXPECT_THAT(Retention(other.directory()).list(), testing::IsEmpty());
  EXPECT_EQ(list().size(), 2u);
}

// A copy of the directory that lies behind the set would bring other commits of the same numbers.
class OlderCopy : public BackupTimeline {
 protected:
  // The copy is of the store before the commit that the set's newest snapshot ends with.
  void copy_and_go_on(const std::function<void()>& go_on) {
    close();
    std::filesystem::create_directories(targets());
    std::filesystem::copy(store_path(), path(), std::filesystem::copy_options::recursive);
    open();
    go_on();
    incremental();
    snapshots_ = list().size();
    older_ = Store::open(path(), options_);
  }
  Path path() const { return targets() / "copy"; }
  BackupReport back_up_older(const BackupOptions& options = {.incremental = true}) {
    return backup::back_up(*older_, path(), nullptr, set_path(), options);
  }
  void expect_no_incremental() {
    const std::vector<RetainedSet> before = Retention(path()).list();
    expect_error([&] { back_up_older(); }, ErrorCode::InvalidArgument, "it is an older copy of the store");
    EXPECT_EQ(list().size(), snapshots_);
    EXPECT_EQ(Retention(path()).list(), before);
  }

  std::unique_ptr<Store> older_;
  std::size_t snapshots_ = 0;
};

TEST_F(OlderCopy, ThatIsBehindTheSetGetsNoIncremental) {
  copy_and_go_on([&] { put("a", "5"); });
  expect_no_incremental();
}

TEST_F(OlderCopy, ThatEndsWithTheSameNumbersGetsNoIncremental) {
  copy_and_go_on([&] { put("a", "5"); });
  azoth::test::put(*older_, "a", "other");
  expect_no_incremental();
}

TEST_F(OlderCopy, WithTheEventsOfItsOwnGetsNoIncremental) {
  copy_and_go_on([&] { append("the first one's"); });
  azoth::test::append(*older_, "count", {}, "the copy's");
  expect_no_incremental();
  for (int i = 0; i < 3; ++i) azoth::test::append(*older_, "count", {}, "the copy's");
  expect_no_incremental();
  Retention(path()).forget(list()[0].manifest->set_id);
  expect_no_incremental();
}

TEST_F(OlderCopy, WithFewerEventsThanTheSetGetsNoIncremental) {
  copy_and_go_on([&] { append("the first one's", 3); });
  for (int i = 0; i < 3; ++i) azoth::test::put(*older_, "a", "other" + std::to_string(i));
  expect_no_incremental();
}

// It would be taken for the newest state that there is, or be passed over, and its chains would be mixed with others.
TEST_F(OlderCopy, GetsNoFullIntoTheSetEither) {
  copy_and_go_on([&] { put("a", "5"); });
  const auto refused = [&] {
    expect_error([&] { back_up_older({}); }, ErrorCode::InvalidArgument, "it is an older copy of the store");
    EXPECT_EQ(list().size(), snapshots_);
  };
  refused();
  azoth::test::put(*older_, "a", "other");
  refused();
  for (int i = 0; i < 3; ++i) azoth::test::put(*older_, "a", "other" + std::to_string(i));
  refused();
  EXPECT_EQ(back_up().snapshot.manifest->type, SnapshotType::Full) << "the store itself may";
}

// Nothing but the journal tells them apart.
TEST_F(OlderCopy, WithoutNewEventsOrARegistrationGetsNoIncremental) {
  copy_and_go_on([&] { put("a", "5"); });
  Retention(path()).forget(list()[0].manifest->set_id);
  for (int i = 0; i < 3; ++i) azoth::test::put(*older_, "a", "other" + std::to_string(i));
  expect_no_incremental();
}

TEST_F(OlderCopy, WhoseJournalWasTrimmedGetsNoIncremental) {
  copy_and_go_on([&] { put("a", "5"); });
  const RetainedSet registered = Retention(path()).list().at(0);
  Retention(path()).forget(registered.set_id);
  for (int i = 0; i < 60; ++i) azoth::test::put(*older_, "a", std::string(8000, 'x'));
  older_->checkpoint();
  Retention(path()).set(registered);
  expect_error([&] { back_up_older(); }, ErrorCode::NotFound, "make a full one");
  EXPECT_EQ(list().size(), snapshots_);
  EXPECT_EQ(Retention(path()).list().at(0), registered);
}

// A store whose journal begins right behind the snapshot: nothing but the registration may tell that it is another.
class Trimmed : public BackupSource {
 public:
  explicit Trimmed(BackupSource& source) : source_(source) {}
  Uuid store_id() const override { return source_.store_id(); }
  Timestamp created() const override { return source_.created(); }
  Lineage lineage() const override { return source_.lineage(); }
  Content content(std::size_t readers) override { return source_.content(readers); }
  Content recent_content() override { return source_.recent_content(); }
  void check_pages() override {}
  void check_space() override {}
  std::uint32_t checksum(std::string_view, std::string_view) const override { return 0; }
  std::uint32_t checksum(const EventView&) const override { return 0; }
  void for_each_own_row(const ReadTxn&, std::optional<EventId>, const EachOwnRow&) const override {}
  void for_each_commit(const ReadTxn&, CommitSeq, EventId, CommitSeq, const EachPiece&) override {
    throw Error(ErrorCode::NotFound, "it was trimmed");
  }
  CommitSeq flushed_commit() override { return source_.flushed_commit(); }
  Retention& retention() override { return source_.retention(); }

 private:
  BackupSource& source_;
};

TEST_F(OlderCopy, ThatIsRegisteredWithLessThanASnapshotOfWhichTheJournalHasNothingGetsNoIncremental) {
  copy_and_go_on([&] { put("a", "5"); });
  for (int i = 0; i < 3; ++i) azoth::test::put(*older_, "a", "other" + std::to_string(i));
  const std::unique_ptr<BackupSource> source = older_->backup_source();
  Trimmed trimmed(*source);
  const BackupSource::Content content = trimmed.recent_content();
  const SnapshotInfo base = list().back();
  std::optional<RetainedSet> registered = Retention(path()).list().at(0);
  const auto look = [&] { require_same_history(trimmed, content, base, registered, nullptr); };
  expect_error(look, ErrorCode::NotFound,
               "it cannot be told whether snapshot 3 is of this store's history; make a full");
  registered->commit = base.manifest->last_commit;  // it has published it itself
  EXPECT_NO_THROW(look());
  registered.reset();
  EXPECT_NO_THROW(look());
}

// Files of the store from which it was restored, or of one beside it, lie in its journal: an ancestor's are no longer
// needed, others are refused if they tell of commits that it does not have.
TEST_F(BackupTimeline, JournalSegmentsOfAnAncestorChangeNothingAndOthersAreRefused) {
  put("a", "behind the backup");
  close();
  const auto open_with = [&](const Path& other, ErrorCode expected) {
    const Path directory = targets() / "mixed";
    std::filesystem::remove_all(directory);
    backup::restore(set_path(), directory, {.store = options_});
    const std::string digest = Store::open_read_only(directory, options_)->digest();
    int copied = 0;
    for (const auto& entry : std::filesystem::directory_iterator(other / "journal")) {
      const Path to = directory / "journal" / entry.path().filename();
      if (!std::filesystem::exists(to)) copied += std::filesystem::copy_file(entry.path(), to);
    }
    EXPECT_GT(copied, 0);
    EXPECT_EQ(azoth::test::code_of([&] {
                const auto store = Store::open(directory, options_);
                EXPECT_EQ(store->digest(), digest);
                azoth::test::put(*store, "b", "after it");
                EXPECT_TRUE(store->verify().ok());
              }),
              expected);
    std::filesystem::remove_all(directory);
  };
  open_with(store_path(), ErrorCode{});
  {
    Restored beside = restored("beside");
    azoth::test::put(*beside.store, "a", "beside");
  }
  open_with(targets() / "beside", ErrorCode::Corruption);
}

}  // namespace
}  // namespace azoth::backup::test
