#include "chain.h"

#include <sys/resource.h>

#include "support.h"

namespace azoth::backup::test {
namespace {

using testing::ElementsAre;

// Of address space; answers what it was.
rlimit memory_limit(rlimit limit) {
  rlimit before{};
  getrlimit(RLIMIT_AS, &before);
  limit.rlim_max = before.rlim_max;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which need terabytes of it
  setrlimit(RLIMIT_AS, &limit);
#endif
  return before;
}

// Lists of snapshots that need no files.
class Snapshots {
 public:
  Snapshots& full(CommitSeq last, Lineage lineage = {{kTimeline}}) {
    return add(SnapshotType::Full, facts(0, last, 0, std::move(lineage)));
  }
  Snapshots& diff(CommitSeq after, CommitSeq last, Lineage lineage = {{kTimeline}}) {
    return add(SnapshotType::Diff, facts(after, last, 1, std::move(lineage)));
  }
  Snapshots& broken() {  // the one before
    list_.back().state = SnapshotState::Broken;
    list_.back().why = "a reason";
    return *this;
  }
  Snapshots& unreadable() {
    broken();
    list_.back().manifest.reset();
    return *this;
  }
  Manifest& last() { return *list_.back().manifest; }

  Chain plan(const RestoreTarget& target) const { return plan_chain(list_, target); }
  std::vector<std::uint64_t> chain(const RestoreTarget& target = {}) const {
    return ordinals(plan_chain(list_, target));
  }
  void expect_none(const RestoreTarget& target, const std::string& part, ErrorCode code = ErrorCode::NotFound) const {
    expect_error([&] { plan_chain(list_, target); }, code, part);
  }

 private:
  Snapshots& add(SnapshotType type, Manifest manifest) {
    SnapshotInfo info;
    info.ordinal = list_.size() + 1;
    info.state = SnapshotState::Whole;
    manifest.type = type;
    manifest.ordinal = info.ordinal;
    info.manifest = std::move(manifest);
    list_.push_back(std::move(info));
    return *this;
  }
  std::vector<SnapshotInfo> list_;
};

TEST(Chain, IsTheNewestFullAndTheDiffsAfterIt) {
  const auto s = Snapshots().full(2).diff(2, 4).full(4).diff(4, 6).diff(6, 8);
  EXPECT_THAT(s.chain(), ElementsAre(3, 4, 5));
}

TEST(Chain, OfAHistoryThatAnUnreadableSnapshotMayHaveEndedIsNoted) {
  Snapshots s;
  s.full(2).diff(2, 4);
  EXPECT_EQ(s.plan(RestoreTarget::commit(3)).note, "");
  s.full(5).unreadable();
  EXPECT_THAT(s.plan(RestoreTarget::commit(3)).note, testing::HasSubstr("snapshot 3"));
  RestoreTarget of_timeline = RestoreTarget::commit(3);
  of_timeline.timeline = kTimeline;
  EXPECT_EQ(s.plan(of_timeline).note, "");
  s.full(6);
  EXPECT_EQ(s.plan(RestoreTarget::commit(3)).note, "");
}

TEST(Chain, OfVeryManyDiffsTakesLittleMemory) {
  Snapshots s;
  s.full(1);
  for (CommitSeq commit = 1; commit <= 30'000; ++commit) s.diff(commit, commit + 1);
  const rlimit unlimited = memory_limit({std::size_t{2} << 30, RLIM_INFINITY});
  EXPECT_EQ(s.chain().size(), 30'001u);
  memory_limit(unlimited);
}

TEST(Chain, ToACommitEndsWithTheSnapshotThatHasIt) {
  const auto s = Snapshots().full(2).diff(2, 4).full(4).diff(4, 6).diff(6, 8);
  EXPECT_THAT(s.chain(RestoreTarget::commit(2)), ElementsAre(1));
  EXPECT_THAT(s.chain(RestoreTarget::commit(3)), ElementsAre(1, 2));
  EXPECT_THAT(s.chain(RestoreTarget::commit(4)), ElementsAre(3));
  EXPECT_THAT(s.chain(RestoreTarget::commit(5)), ElementsAre(3, 4));
  EXPECT_THAT(s.chain(RestoreTarget::commit(8)), ElementsAre(3, 4, 5));
  s.expect_none(RestoreTarget::commit(9), "restore to commit 8 instead");
  s.expect_none(RestoreTarget::commit(1), "the earliest that can be restored is commit 2 (event 2");
}

TEST(Chain, ToATimeHasNothingLaterInItsFullAndStopsInItsLastDiff) {
  const auto s = Snapshots().full(2).diff(2, 4).full(4).diff(4, 6).diff(6, 8);
  s.expect_none(RestoreTarget::at(time_of(1)), "the earliest that can be restored is commit 2");
  EXPECT_THAT(s.chain(RestoreTarget::at(time_of(2))), ElementsAre(1, 2))
      << "a later commit of the same time may follow";
  EXPECT_THAT(s.chain(RestoreTarget::at(time_of(3))), ElementsAre(1, 2));
  EXPECT_THAT(s.chain(RestoreTarget::at(time_of(4))), ElementsAre(3, 4));
  EXPECT_THAT(s.chain(RestoreTarget::at(time_of(7))), ElementsAre(3, 4, 5));
  EXPECT_THAT(s.chain(RestoreTarget::at(time_of(100))), ElementsAre(3, 4, 5));
}

TEST(Chain, ToAnEventLeavesOutLaterCommitsWithoutEvents) {
  Snapshots s;
  s.full(2).diff(2, 4).full(6);
  s.last().last_event = s.last().last_event_commit = 4;  // commits 5 and 6 have no events
  EXPECT_THAT(s.chain(RestoreTarget::event(4)), ElementsAre(1, 2));
  EXPECT_THAT(s.chain(RestoreTarget::event(2)), ElementsAre(1));
  s.expect_none(RestoreTarget::event(5), "cannot restore event 5");
}

// Only one that could lead there is the reason.
TEST(Chain, ToWhatIsNotThereIsDamageIfABrokenSnapshotMayHaveIt) {
  const auto s = Snapshots().full(4).diff(4, 6).broken().diff(4, 6).full(8).diff(8, 10).broken();
  s.expect_none(RestoreTarget::commit(3), "lies before the oldest full", ErrorCode::NotFound);
  s.expect_none(RestoreTarget::commit(9), "the chain ends with snapshot 4", ErrorCode::Corruption);
  const auto t = Snapshots().full(2).broken().full(4).diff(4, 6).broken().diff(4, 8);
  t.expect_none(RestoreTarget::commit(3), "lies before the oldest full", ErrorCode::Corruption);
  t.expect_none(RestoreTarget::commit(9), "the chain ends with snapshot 4", ErrorCode::NotFound);
}

TEST(Chain, WithAGapIsAnErrorThatNamesIt) {
  const auto s = Snapshots().full(2).diff(2, 4).diff(6, 8);
  s.expect_none(RestoreTarget::newest(), "the next one, 3, lacks commits 5 to 6; restore to commit 4 instead");
  s.expect_none(RestoreTarget::commit(7), "lacks commits 5 to 6");
  EXPECT_THAT(s.chain(RestoreTarget::commit(4)), ElementsAre(1, 2));
}

TEST(Chain, WhoseDiffDoesNotFitInItsEventsIsAnError) {
  Snapshots s;
  s.full(2).diff(2, 4);
  s.last().after_event = 1;
  s.expect_none(RestoreTarget::newest(), "restore to commit 2 instead");
}

TEST(Chain, WithoutAFullIsAnError) {
  Snapshots().diff(2, 4).expect_none(RestoreTarget::newest(), "no whole full snapshot");
  Snapshots().expect_none(RestoreTarget::newest(), "make a full one");
  Snapshots().full(4).broken().expect_none(RestoreTarget::newest(), "snapshot 1 is broken: a reason",
                                           ErrorCode::Corruption);
}

TEST(Chain, GoesAroundBrokenSnapshotsOrSaysThatTheyAreTheReason) {
  const auto s = Snapshots().full(2).diff(2, 4).full(4).broken().diff(4, 6);
  EXPECT_THAT(s.chain(), ElementsAre(1, 2, 4));
  const auto t = Snapshots().full(2).diff(2, 4).broken().diff(4, 6);
  t.expect_none(RestoreTarget::newest(), "snapshot 2 is broken: a reason", ErrorCode::Corruption);
  const auto u = Snapshots().full(2).diff(2, 4).unreadable();
  u.expect_none(RestoreTarget::newest(), "restore to commit 2 instead", ErrorCode::Corruption);
  EXPECT_THAT(u.chain(RestoreTarget::commit(2)), ElementsAre(1));
  const auto v = Snapshots().full(2).unreadable().full(4);
  EXPECT_THAT(v.chain(), ElementsAre(2)) << "what is broken lies before it";
}

TEST(Chain, TriesEveryWayThroughTheDiffs) {
  const auto s = Snapshots().full(2).diff(2, 6).diff(2, 4).diff(4, 8);
  EXPECT_THAT(s.chain(), ElementsAre(1, 3, 4));
  EXPECT_THAT(s.chain(RestoreTarget::commit(6)), ElementsAre(1, 2));
}

TEST(Chain, FollowsTheNewestTimelineAndLeavesOutWhatItCutOff) {
  const Uuid second = uuid_of(2);
  const Lineage forked = {{second, kTimeline, 4}, {kTimeline}};
  const auto s = Snapshots().full(2).diff(2, 4).diff(4, 6).diff(4, 7, forked);
  EXPECT_THAT(s.chain(), ElementsAre(1, 2, 4));
  RestoreTarget old = RestoreTarget::newest();
  old.timeline = kTimeline;
  EXPECT_THAT(s.chain(old), ElementsAre(1, 2, 3));
  old.timeline = uuid_of(9);
  s.expect_none(old, "no snapshot of timeline");
  // Nothing ends at the fork: commit 4 of the old timeline lies within a diff.
  const auto t = Snapshots().full(2).diff(2, 6).diff(4, 7, forked);
  t.expect_none(RestoreTarget::newest(), "lacks commits 3 to 4");
}

TEST(Chain, OfAStrangerTimelineIsNotMixedIn) {
  const auto s = Snapshots().full(2).diff(2, 4, {{uuid_of(5)}}).full(3).diff(3, 5);
  EXPECT_THAT(s.chain(), ElementsAre(3, 4));
}

TEST(Chain, OfAnEmptyStoreIsItsFull) {
  Snapshots s;
  s.full(0);
  EXPECT_THAT(s.chain(), ElementsAre(1));
  EXPECT_THAT(s.chain(RestoreTarget::commit(0)), ElementsAre(1));
  EXPECT_THAT(s.chain(RestoreTarget::at(time_of(-100))), ElementsAre(1));
}

}  // namespace
}  // namespace azoth::backup::test
