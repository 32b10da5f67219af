#include "purge_plan.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "azoth/core/timeline.h"

namespace azoth::backup {
namespace {

// A timeline and of its ancestors what it goes on from. A full counts for it only if what the set has behind the full's
// end goes on from there: what was there before the full, of a store restored from what the full's store has, or runs
// past its end needs an older one.
class History {
 public:
  History(const std::vector<SnapshotInfo>& snapshots, Lineage lineage, std::size_t keep_fulls)
      : lineage_(std::move(lineage)) {
    std::size_t fulls = 0;
    for (auto at = snapshots.rbegin(); at != snapshots.rend() && fulls < keep_fulls; ++at) {
      if (at->state != SnapshotState::Whole || at->manifest->type != SnapshotType::Full || !has(*at)) continue;
      if (!carries_on(snapshots, *at)) continue;
      if (newest_full_ == nullptr) newest_full_ = &*at;
      oldest_kept_ = ++fulls == keep_fulls ? at->ordinal : 0;
    }
  }

  const Uuid& timeline() const { return lineage_.front().id; }
  bool has(const SnapshotInfo& snapshot) const {
    if (!snapshot.manifest) return false;
    const auto shared = shared_through(lineage_, snapshot.manifest->timeline());
    return shared && snapshot.manifest->last_commit <= *shared;
  }
  // 0: it has too few fulls for anything to go.
  std::uint64_t oldest_kept() const { return oldest_kept_; }
  const SnapshotInfo* newest_full() const { return newest_full_; }

 private:
  bool carries_on(const std::vector<SnapshotInfo>& snapshots, const SnapshotInfo& full) const {
    const CommitSeq end = full.manifest->last_commit;
    return std::all_of(snapshots.begin(), snapshots.end(), [&](const SnapshotInfo& other) {
      if (!has(other) || other.manifest->last_commit <= end) return true;
      const bool runs_past = other.manifest->type == SnapshotType::Diff && other.manifest->after_commit < end;
      return other.ordinal > full.ordinal && !runs_past;
    });
  }

  Lineage lineage_;
  std::uint64_t oldest_kept_ = 0;
  const SnapshotInfo* newest_full_ = nullptr;
};

// One that another goes on from with all that the set has of it is part of that one.
std::vector<History> histories_of(const std::vector<SnapshotInfo>& snapshots, std::size_t keep_fulls) {
  std::map<std::string, History> all;
  for (const SnapshotInfo& snapshot : snapshots) {
    if (!snapshot.manifest) continue;
    all.try_emplace(snapshot.manifest->timeline().text(), snapshots, snapshot.manifest->lineage, keep_fulls);
  }
  const auto goes_on_from = [&](const History& history, const History& earlier) {
    return history.timeline() != earlier.timeline() &&
           std::all_of(snapshots.begin(), snapshots.end(), [&](const SnapshotInfo& snapshot) {
             const bool of_it = snapshot.manifest && snapshot.manifest->timeline() == earlier.timeline();
             return !of_it || history.has(snapshot);
           });
  };
  std::vector<History> own;
  for (const auto& each : all) {
    const History& history = each.second;
    const bool is_part =
        std::any_of(all.begin(), all.end(), [&](const auto& other) { return goes_on_from(other.second, history); });
    if (!is_part) own.push_back(history);
  }
  return own;
}

// What cannot be read now may be of any history, and go on from anything that was there before it.
const SnapshotInfo* newest_unknown(const std::vector<SnapshotInfo>& snapshots) {
  const auto found = std::find_if(snapshots.rbegin(), snapshots.rend(), [](const SnapshotInfo& snapshot) {
    return snapshot.may_be_whole && !snapshot.manifest;
  });
  return found == snapshots.rend() ? nullptr : &*found;
}

}  // namespace

PurgePlan plan_purge(const std::vector<SnapshotInfo>& snapshots, std::size_t keep_fulls) {
  const std::vector<History> histories = histories_of(snapshots, keep_fulls);
  const SnapshotInfo* unknown = newest_unknown(snapshots);
  // A damaged manifest may be of any history.
  const auto concerns = [](const History& history, const SnapshotInfo& snapshot) {
    return !snapshot.manifest || history.has(snapshot);
  };
  PurgePlan plan;
  if (unknown != nullptr) {
    plan.note = "nothing up to snapshot " + std::to_string(unknown->ordinal) +
                " was removed, which cannot be read now and may need it: " + unknown->why;
  }
  for (auto at = snapshots.rbegin(); at != snapshots.rend(); ++at) {
    const bool kept = histories.empty() || at->state == SnapshotState::Unfinished ||
                      (unknown != nullptr && at->ordinal <= unknown->ordinal) ||
                      std::any_of(histories.begin(), histories.end(), [&](const History& history) {
                        return concerns(history, *at) && at->ordinal >= history.oldest_kept();
                      });
    if (kept) continue;
    plan.remove.push_back(at->ordinal);
    for (const History& history : histories) {
      const bool noted = std::find(plan.verify.begin(), plan.verify.end(), history.newest_full()) != plan.verify.end();
      if (concerns(history, *at) && !noted) plan.verify.push_back(history.newest_full());
    }
  }
  return plan;
}

}  // namespace azoth::backup
