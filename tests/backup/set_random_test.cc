// Random lives of a set, with forks of the history and power cuts, against a model that knows no files.
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "support.h"
#include "support/seed.h"
#include "support/sim_disk.h"

namespace azoth::backup::test {
namespace {

using azoth::test::SimDisk;
using azoth::test::test_seed;
namespace choose = azoth::test::choose;

struct ModelSnapshot {
  std::uint64_t ordinal;
  bool full;
  CommitSeq after;
  CommitSeq last;
  Lineage lineage;
  bool broken = false;
};

class Model {
 public:
  std::vector<ModelSnapshot> snapshots;

  // Every end of a chain that lies in the history of the newest snapshot and goes from a full at or below `target` on.
  bool reaches(CommitSeq target) const {
    return std::any_of(snapshots.begin(), snapshots.end(), [&](const ModelSnapshot& s) {
      return s.full && usable(s) && s.last <= target && goes_on(s.last, s.ordinal, target);
    });
  }

  // The furthest commit that each history can be restored to.
  std::map<std::string, CommitSeq> furthest() const {
    std::map<std::string, CommitSeq> furthest;
    for (const ModelSnapshot& end : snapshots) {
      if (is_part_of_another(end.lineage)) continue;
      CommitSeq& commit = furthest[end.lineage.front().id.text()];
      for (const ModelSnapshot& full : snapshots) {
        if (full.full && !full.broken && in_history(end.lineage, full)) {
          commit = std::max(commit, end_of_chain(end.lineage, full));
        }
      }
    }
    return furthest;
  }

  // What each history keeps, that is each timeline of which another one does not have everything.
  void purge(std::size_t keep) {
    std::set<std::uint64_t> kept;
    for (const ModelSnapshot& end : snapshots) {
      if (is_part_of_another(end.lineage)) continue;
      std::size_t fulls = 0;
      for (auto s = snapshots.rbegin(); s != snapshots.rend() && fulls < keep; ++s) {
        if (!in_history(end.lineage, *s)) continue;
        kept.insert(s->ordinal);
        if (s->full && !s->broken && all_behind_goes_on(end.lineage, *s)) ++fulls;
      }
    }
    std::erase_if(snapshots, [&](const ModelSnapshot& s) { return !kept.contains(s.ordinal); });
  }

 private:
  static bool in_history(const Lineage& lineage, const ModelSnapshot& s) {
    const auto shared = shared_through(lineage, s.lineage.front().id);
    return shared && s.last <= *shared;
  }
  // From this full, so that it can take the place of those before it.
  bool all_behind_goes_on(const Lineage& lineage, const ModelSnapshot& full) const {
    return std::none_of(snapshots.begin(), snapshots.end(), [&](const ModelSnapshot& s) {
      const bool behind = in_history(lineage, s) && s.last > full.last;
      return behind && (s.ordinal < full.ordinal || (!s.full && s.after < full.last));
    });
  }
  CommitSeq end_of_chain(const Lineage& lineage, const ModelSnapshot& from) const {
    CommitSeq end = from.last;
    for (const ModelSnapshot& s : snapshots) {
      const bool continues = !s.full && !s.broken && in_history(lineage, s) && s.ordinal > from.ordinal;
      if (continues && s.after == from.last) end = std::max(end, end_of_chain(lineage, s));
    }
    return end;
  }
  bool is_part_of_another(const Lineage& lineage) const {
    const Uuid& timeline = lineage.front().id;
    return std::any_of(snapshots.begin(), snapshots.end(), [&](const ModelSnapshot& other) {
      return other.lineage.front().id != timeline && has_all(other.lineage, timeline);
    });
  }
  bool has_all(const Lineage& lineage, const Uuid& timeline) const {
    return std::all_of(snapshots.begin(), snapshots.end(), [&](const ModelSnapshot& s) {
      return s.lineage.front().id != timeline || in_history(lineage, s);
    });
  }
  bool usable(const ModelSnapshot& s) const { return !s.broken && in_history(snapshots.back().lineage, s); }
  bool goes_on(CommitSeq at, std::uint64_t ordinal, CommitSeq target) const {
    if (at >= target) return true;
    return std::any_of(snapshots.begin(), snapshots.end(), [&](const ModelSnapshot& s) {
      return !s.full && usable(s) && s.ordinal > ordinal && s.after == at && goes_on(s.last, s.ordinal, target);
    });
  }
};

class Life {
 public:
  explicit Life(std::uint64_t seed) : random_(seed) {
    if (random_() % 2 == 0) key_.emplace(Key::random());
    set_.emplace(SnapshotSet::create("/set", kStore, options()));
  }

  void step() {
    switch (random_() % 12) {
      case 0:
      case 1:
        head_ += random_() % 4;
        return full();
      case 2:
      case 3:
      case 4:
      case 5:
        return diff();
      case 6:
        return fork();
      case 7:
        return purge();
      case 8:
        return break_one();
      case 9:
        return unfinished();
      case 10:
        set_->repair();
        return;
      default:
        return cut();
    }
  }

  void check() {
    std::vector<std::uint64_t> whole, broken;
    for (const ModelSnapshot& s : model_.snapshots) (s.broken ? broken : whole).push_back(s.ordinal);
    ASSERT_EQ(ordinals(*set_), whole);
    ASSERT_EQ(ordinals(*set_, SnapshotState::Broken), broken);
    if (model_.snapshots.empty()) return;
    for (CommitSeq target = 0; target <= head_ + 1; ++target) {
      std::optional<Chain> chain;
      const auto error = error_of([&] { chain = set_->chain(RestoreTarget::commit(target)); });
      ASSERT_EQ(!error, model_.reaches(target)) << "commit " << target << ": " << (error ? error->what() : "a chain");
      if (!chain) continue;
      const CommitSeq end = chain->snapshots.back().last_commit;
      ASSERT_GE(end, target);
      if (random_() % 4 == 0) {
        ASSERT_EQ(read_chain(*set_, *chain), content_of(1, end));
      }
      for (std::size_t i = 0; i + 1 < chain->snapshots.size(); ++i) ASSERT_LT(chain->snapshots[i].last_commit, target);
    }
  }

 private:
  SnapshotSet::Options options() { return {.key = key_ ? &*key_ : nullptr, .file_system = disk_.get()}; }
  void remember(const SnapshotInfo& info) {
    ASSERT_GT(info.ordinal, highest_);
    highest_ = info.ordinal;
    const Manifest& m = *info.manifest;
    model_.snapshots.push_back({info.ordinal, m.type == SnapshotType::Full, m.after_commit, m.last_commit, m.lineage});
  }
  void full() { remember(take_full(*set_, head_, lineage_)); }
  void diff() {
    std::vector<const ModelSnapshot*> bases;
    for (const ModelSnapshot& s : model_.snapshots) {
      const auto shared = shared_through(lineage_, s.lineage.front().id);
      if (!s.broken && shared && s.last <= *shared && s.last <= head_) bases.push_back(&s);
    }
    if (bases.empty()) return;
    const ModelSnapshot base = *bases[random_() % bases.size()];
    head_ = std::max(head_, base.last + 1 + random_() % 3);
    remember(take_diff(*set_, base.ordinal, base.last, head_, lineage_));
  }
  void fork() {  // as a restore: history goes on from an earlier commit, under another name
    if (head_ == 0) return;
    const CommitSeq at = random_() % (head_ + 1);
    lineage_.insert(lineage_.begin(), Timeline{Uuid::random(), lineage_.front().id, at});
    head_ = at;
  }
  void purge() {
    const std::size_t keep = 1 + random_() % 3;
    const std::map<std::string, CommitSeq> before = model_.furthest();
    set_->purge(keep);
    model_.purge(keep);
    const std::map<std::string, CommitSeq> after = model_.furthest();
    for (const auto& [timeline, commit] : before) ASSERT_EQ(after.at(timeline), commit);
  }
  void break_one() {
    if (model_.snapshots.size() < 3 || random_() % 2 == 0) return;
    ModelSnapshot& victim = model_.snapshots[random_() % model_.snapshots.size()];
    if (victim.broken) return;
    for (const SnapshotInfo& info : set_->list()) {
      if (info.ordinal == victim.ordinal) disk_->remove("/set/" + info.files[random_() % info.files.size()]);
    }
    disk_->sync_directory("/set");
    victim.broken = true;
  }
  void unfinished() {
    PendingSnapshot pending = set_->begin(SnapshotType::Full, kSmall);
    ASSERT_GT(pending.ordinal(), highest_);
    highest_ = pending.ordinal();
    pending.add_file(FileKind::State, 0, 1)->add("part");
    if (random_() % 2 == 0) cut_with(choose::random(random_()), choose::random(random_()));
  }
  void cut() { cut_with(choose::random(random_()), choose::random(random_())); }
  template <typename Writes, typename Entries>
  void cut_with(Writes writes, Entries entries) {
    std::unique_ptr<SimDisk> after = disk_->power_cut(writes, entries);
    set_.reset();
    old_disks_.push_back(std::move(disk_));  // a pending snapshot may still be abandoned on it
    disk_ = std::move(after);
    set_.emplace(SnapshotSet::open("/set", options()));
  }

  std::mt19937_64 random_;
  std::optional<Key> key_;
  std::vector<std::unique_ptr<SimDisk>> old_disks_;
  std::unique_ptr<SimDisk> disk_ = std::make_unique<SimDisk>();
  std::optional<SnapshotSet> set_;
  Model model_;
  Lineage lineage_ = {{kTimeline}};
  CommitSeq head_ = 2;
  std::uint64_t highest_ = 0;
};

TEST(RandomSets, AgreeWithTheModel) {
  const std::uint64_t seed = test_seed();
  for (std::uint64_t run = 0; run < 15; ++run) {
    Life life(seed + run);
    for (int step = 0; step < 40; ++step) {
      life.step();
      life.check();
      ASSERT_FALSE(testing::Test::HasFailure()) << "AZOTH_TEST_SEED=" << seed << ", run " << run << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace azoth::backup::test
