// Restoring to every event, every commit and every time of a history.
//
// Covers of the defects that other stores had: increments that are never used (E12), a snapshot that is listed and
// cannot be restored (E13), a restored store that refuses writes (E3).
#include <sys/mount.h>

#include "backup_support.h"

namespace azoth::backup::test {
namespace {

using testing::HasSubstr;

const int kCommits = rounds(4, 12);  // in each snapshot
constexpr int kBack = 3;             // the time of this one lies before that of the others

// A full of something, three diffs, a second full, one more diff; commits with several events and without any, and
// times that go back now and then.
class RestoreTargets : public BackupTest {
 protected:
  RestoreTargets() : BackupTest(with_clock()) {
    std::mt19937_64 random(azoth::test::test_seed());
    for (int part = 0; part < 5; ++part) {
      for (int i = 0; i < kCommits; ++i) {
        clock().set(static_cast<int>(2000 + 10 * (kCommits * part + i) - (i == kBack || random() % 5 == 0 ? 45 : 0)));
        Change change = random_change(random);
        if (i % 3 == 1) change.events.clear();
        if (i % 3 == 2) change.events.resize(3, {.type = "several"});
        if (change.writes.empty()) change.writes.emplace_back("key", std::to_string(part));
        commit(std::move(change));
      }
      if (part != 0) incremental();
      if (part == 0 || part == 3) fulls_.push_back(back_up().snapshot.manifest->last_commit);
    }
    infos_ = model_.infos();
  }

  static azoth::test::ManualClock& clock() {
    static azoth::test::ManualClock clock;
    return clock;
  }
  static Options with_clock() {
    Options options = azoth::test::tiny_options();
    options.clock = &clock();
    return options;
  }
  CommitSeq last() const { return infos_.back().commit_seq; }
  EventId last_event() const { return model_.log(last()).size(); }
  std::size_t events_through(CommitSeq commit) const { return model_.log(commit).size(); }

  std::vector<CommitSeq> fulls_;
  std::vector<CommitInfo> infos_;
};

TEST_F(RestoreTargets, EveryCommitIsTheModelThere) {
  for (CommitSeq commit = fulls_.front(); commit <= last(); ++commit) {
    const RestoreReport restored = restore_to(RestoreTarget::commit(commit));
    EXPECT_EQ(restored.commit, commit);
    EXPECT_EQ(restored.event, events_through(commit));
    EXPECT_EQ(restored.rounded, std::nullopt);
    ASSERT_NO_FATAL_FAILURE(expect_restored(target(), model_, commit, options_));
  }
}

// The last commit that does not come after the event's; inside of a transaction, the last before it.
TEST_F(RestoreTargets, EveryEventIsTheModelThereAndInsideATransactionTheOneBeforeIt) {
  int rounded = 0;
  for (EventId event = events_through(fulls_.front()) + 1; event <= last_event(); ++event) {
    CommitSeq expected = 0;
    bool inside = false;
    for (const CommitInfo& info : infos_) {
      if (info.events == 0) continue;
      if (info.last_event == event) expected = info.commit_seq;
      inside = inside || (info.first_event <= event && info.last_event > event);
      if (info.first_event <= event && info.last_event > event) expected = info.commit_seq - 1;
    }
    const RestoreReport restored = restore_to(RestoreTarget::event(event));
    EXPECT_EQ(restored.commit, expected) << event;
    EXPECT_EQ(restored.rounded.has_value(), inside) << event;
    rounded += inside ? 1 : 0;
    if (inside) {
      EXPECT_THAT(*restored.rounded, HasSubstr("event " + std::to_string(event) + " lies inside of a transaction"));
      EXPECT_THAT(*restored.rounded, HasSubstr("ends before it, with event " + std::to_string(restored.event)));
    }
    ASSERT_NO_FATAL_FAILURE(expect_restored(target(), model_, expected, options_));
  }
  EXPECT_GT(rounded, 3);
}

// The commits before the first one that is later; between the times, too, and though times go back.
TEST_F(RestoreTargets, EveryTimeIsTheModelBeforeTheFirstLaterCommit) {
  std::set<Timestamp> times;
  for (const CommitInfo& info : infos_) times.insert({info.time, info.time + std::chrono::microseconds{1}});
  Timestamp earliest{};
  for (const CommitInfo& info : infos_) {
    if (info.commit_seq <= fulls_.front()) earliest = std::max(earliest, info.time);
  }
  for (const Timestamp time : times) {
    if (time < earliest) {
      expect_error([&] { restore_to(RestoreTarget::at(time)); }, ErrorCode::NotFound, "before the oldest full");
      continue;
    }
    CommitSeq expected = 0;
    for (const CommitInfo& info : infos_) {
      if (info.time > time) break;
      expected = info.commit_seq;
    }
    const RestoreReport restored = restore_to(RestoreTarget::at(time));
    EXPECT_EQ(restored.commit, expected) << format_time(time);
    ASSERT_NO_FATAL_FAILURE(expect_restored(target(), model_, expected, options_));
  }
}

TEST_F(RestoreTargets, TheSnapshotsAreWhatTheirManifestsSay) { EXPECT_TRUE(verify().ok()); }

TEST_F(RestoreTargets, BeforeTheOldestFullIsNotFoundAndNamesTheEarliest) {
  const std::string earliest = "the earliest that can be restored is commit " + std::to_string(fulls_.front());
  expect_error([&] { restore_to(RestoreTarget::commit(fulls_.front() - 1)); }, ErrorCode::NotFound, earliest);
  expect_error([&] { restore_to(RestoreTarget::commit(0)); }, ErrorCode::NotFound, earliest);
  expect_error([&] { restore_to(RestoreTarget::event(1)); }, ErrorCode::NotFound, earliest);
  expect_error([&] { restore_to(RestoreTarget::event(0)); }, ErrorCode::NotFound, earliest);
  expect_error([&] { restore_to(RestoreTarget::at(Timestamp{})); }, ErrorCode::NotFound, earliest);
  expect_no_target();
}

TEST_F(RestoreTargets, BehindTheEndIsNotFoundAndNamesTheNewest) {
  const std::string newest = "restore to commit " + std::to_string(last()) + " instead";
  expect_error([&] { restore_to(RestoreTarget::commit(last() + 1)); }, ErrorCode::NotFound, newest);
  expect_error([&] { restore_to(RestoreTarget::event(last_event() + 1)); }, ErrorCode::NotFound, newest);
  expect_error([&] { restore_to(RestoreTarget::commit(~CommitSeq{0})); }, ErrorCode::NotFound, newest);
  expect_error([&] { restore_to(RestoreTarget::event(~EventId{0})); }, ErrorCode::NotFound, newest);
  expect_no_target();
  EXPECT_EQ(restore_to(RestoreTarget::at(Timestamp::max())).commit, last());  // that is all there is
}

TEST_F(RestoreTargets, TheRestoredStoreGoesOnWithATimelineOfItsOwn) {
  const RestoreReport restored = restore_to(RestoreTarget::commit(fulls_.back() + 2));
  EXPECT_EQ(restored.store_id, store_->meta().store_id);
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  EXPECT_EQ(store->meta().timeline, restored.timeline);
  EXPECT_NE(store->meta().timeline, store_->meta().timeline);
  EXPECT_EQ(store->meta().lineage.at(1).id, store_->meta().timeline);
  EXPECT_EQ(store->meta().lineage.front().fork, restored.commit);
  EXPECT_EQ(store->meta().created, store_->meta().created);
  EXPECT_EQ(store->meta().sealed_event, std::nullopt);
  EXPECT_EQ(azoth::test::put(*store, "more", "of it").commit_seq, restored.commit + 1);
}

TEST_F(RestoreTargets, NothingIsRestoredOverWhatIsThere) {
  std::filesystem::create_directories(target());
  EXPECT_NO_THROW(backup::restore(set_path(), target(), {.store = options_}));  // an empty directory is fine
  fault::arm("restore.verified", {.run = [] { ADD_FAILURE() << "it was not looked at first"; }, .times = -1});
  const std::set<std::string> names = names_in(target());
  expect_error([&] { backup::restore(set_path(), target(), {.store = options_}); }, ErrorCode::AlreadyExists, "not an");
  EXPECT_EQ(names_in(target()), names);
  std::filesystem::remove_all(target());
  put_file(FileSystem::posix(), target(), "a file");
  expect_error([&] { backup::restore(set_path(), target(), {.store = options_}); }, ErrorCode::AlreadyExists, "not an");
  std::filesystem::remove(target());
  std::filesystem::create_directory_symlink(set_path(), target());
  expect_error([&] { backup::restore(set_path(), target(), {.store = options_}); }, ErrorCode::AlreadyExists, "not an");
  EXPECT_THAT(names_in(targets()), testing::ElementsAre("store"));
}

TEST_F(RestoreTargets, WhereTheSystemFindsItIsWhereItIsRestored) {
  std::filesystem::create_directories(targets() / "a" / "b");
  std::filesystem::create_directory_symlink(targets() / "a" / "b", targets() / "link");
  backup::restore(set_path(), targets() / "link" / ".." / "there", {.store = options_});
  EXPECT_TRUE(Store::exists(targets() / "a" / "there"));
  EXPECT_FALSE(std::filesystem::exists(targets() / "there"));
}

// The last step would fail.
TEST_F(RestoreTargets, WhereAFileSystemIsMountedIsRefusedAtOnce) {
  std::filesystem::create_directories(target());
  if (::mount("none", target().c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "nothing can be mounted here";
  fault::arm("restore.verified", {.run = [] { ADD_FAILURE() << "it was not looked at first"; }, .times = -1});
  expect_error([&] { backup::restore(set_path(), target(), {.store = options_}); }, ErrorCode::InvalidArgument,
               "name a new directory in it");
  ::umount(target().c_str());
}

// Whoever puts something there while the store is being built loses nothing (E7).
TEST_F(RestoreTargets, WhatComesIntoTheTargetMeanwhileIsLeftAlone) {
  const Path file = target() / "notes";
  fault::arm("restore.moving", {.run = [&] {
               std::filesystem::create_directories(target());
               put_file(FileSystem::posix(), file, "mine");
             }});
  expect_error([&] { restore(); }, ErrorCode::AlreadyExists, "nothing is restored over data");
  EXPECT_EQ(get_file(FileSystem::posix(), file), "mine");
  EXPECT_THAT(names_in(targets()), testing::ElementsAre("store"));
}

// The set is only read, and a second restore is as good as the first (E5).
TEST_F(RestoreTargets, RestoringChangesNothingInTheSet) {
  std::map<std::string, std::string> before;
  for (const std::string& name : names_in(set_path())) before[name] = get_file(FileSystem::posix(), set_path() / name);
  for (int i = 0; i < 2; ++i) {
    restore();
    for (const auto& [name, bytes] : before) EXPECT_EQ(get_file(FileSystem::posix(), set_path() / name), bytes);
    EXPECT_EQ(names_in(set_path()).size(), before.size());
    ASSERT_NO_FATAL_FAILURE(expect_restored(target(), model_, last(), options_));
  }
}

// Beside it a directory with a longer name is made.
TEST_F(RestoreTargets, ANameMayBeAsLongAsTheFileSystemTakes) {
  const Path long_name = targets() / std::string(255, 'n');
  backup::restore(set_path(), long_name, {.store = options_});
  expect_restored(long_name, model_, last(), options_);
  EXPECT_THAT(names_in(targets()), testing::ElementsAre(long_name.filename().string()));
}

}  // namespace
}  // namespace azoth::backup::test
