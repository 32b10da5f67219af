#include "chain.h"

#include <algorithm>
#include <map>
#include <optional>

#include "azoth/core/error.h"

namespace azoth::backup {
namespace {

using Kind = RestoreTarget::Kind;
using Path = std::vector<const SnapshotInfo*>;

std::string commits(CommitSeq first, CommitSeq last) {
  return first == last ? "commit " + std::to_string(first)
                       : "commits " + std::to_string(first) + " to " + std::to_string(last);
}

class Planner {
 public:
  Planner(const std::vector<SnapshotInfo>& snapshots, const RestoreTarget& target) : target_(target) {
    choose_history(snapshots);
    for (const SnapshotInfo& snapshot : snapshots) {
      if (!snapshot.manifest) {
        if (snapshot.state == SnapshotState::Broken) unreadable_.push_back(&snapshot);
        continue;
      }
      const auto shared = shared_through(lineage_, snapshot.manifest->timeline());
      if (!shared || snapshot.manifest->last_commit > *shared) continue;  // of a history that was cut off
      (snapshot.state == SnapshotState::Whole ? whole_ : broken_).push_back(&snapshot);
    }
  }

  Chain plan() const {
    Path best;  // what gets furthest of the chains that do not get there
    bool before_all = true;
    for (auto at = whole_.rbegin(); at != whole_.rend(); ++at) {
      if (!is_full(**at) || !may_begin(*(*at)->manifest)) continue;
      before_all = false;
      const Reached reached = reachable(**at);
      for (const auto& [through, step] : reached) {
        if (!is_end(*step.snapshot->manifest)) continue;
        const Path path = path_to(step);
        require_nothing_behind(path);
        return chain_of(path);
      }
      const auto& [furthest, step] = *reached.rbegin();
      if (best.empty() || furthest > end_of(best)) best = path_to(step);
    }
    if (before_all) fail_before();
    fail_behind(best);
  }

 private:
  // How a commit is reached: by a snapshot that continues another.
  struct Step {
    const SnapshotInfo* snapshot;
    const Step* before;  // none for a full
  };
  using Reached = std::map<CommitSeq, Step>;

  static Path path_to(const Step& last) {
    Path path;
    for (const Step* step = &last; step != nullptr; step = step->before) path.push_back(step->snapshot);
    std::reverse(path.begin(), path.end());
    return path;
  }

  static bool is_full(const SnapshotInfo& snapshot) { return snapshot.manifest->type == SnapshotType::Full; }
  static CommitSeq end_of(const Path& path) { return path.back()->manifest->last_commit; }

  void choose_history(const std::vector<SnapshotInfo>& snapshots) {
    const Manifest* newest = nullptr;
    for (const SnapshotInfo& snapshot : snapshots) {
      if (!snapshot.manifest) {
        if (snapshot.state == SnapshotState::Broken && !target_.timeline) {
          doubt_ = "snapshot " + std::to_string(snapshot.ordinal) +
                   " is newer than what says which history is restored, and cannot be read: it may be of another one";
        }
        continue;
      }
      doubt_.clear();
      if (target_.timeline && snapshot.manifest->timeline() != *target_.timeline) continue;
      newest = &*snapshot.manifest;
    }
    if (newest != nullptr) {
      lineage_ = newest->lineage;
      return;
    }
    if (!target_.timeline) {
      throw Error(ErrorCode::NotFound, "the set has no snapshot that can be restored; make a full one");
    }
    throw Error(ErrorCode::NotFound, "the set has no snapshot of timeline " + target_.timeline->text() +
                                         "; list the set and choose another");
  }

  // Whether nothing in a full lies behind the target.
  bool may_begin(const Manifest& full) const {
    switch (target_.kind) {
      case Kind::Newest:
        return true;
      case Kind::Commit:
        return full.last_commit <= target_.number;
      case Kind::Event:  // commits without events after it must not be in it
        return full.last_event < target_.number ||
               (full.last_event == target_.number && full.last_event_commit == full.last_commit);
      case Kind::Time:
        return full.last_commit == 0 || full.latest <= target_.time;
    }
    return false;
  }

  // Whether a chain that ends with this snapshot has all that is wanted.
  bool is_end(const Manifest& last) const {
    switch (target_.kind) {
      case Kind::Newest:
        return last.last_commit == newest_commit();
      case Kind::Commit:
        return last.last_commit >= target_.number;
      case Kind::Event:
        return last.last_event >= target_.number;
      case Kind::Time:
        return (last.type == SnapshotType::Diff && last.latest > target_.time) || last.last_commit == newest_commit();
    }
    return false;
  }

  // The last commit of this history that any published snapshot has, be it broken.
  CommitSeq newest_commit() const {
    CommitSeq newest = 0;
    for (const std::vector<const SnapshotInfo*>& some : {whole_, broken_}) {
      for (const SnapshotInfo* snapshot : some) newest = std::max(newest, snapshot->manifest->last_commit);
    }
    return newest;
  }

  // The commits that diffs lead to from this full, each with the first way there that was found.
  Reached reachable(const SnapshotInfo& full) const {
    Reached reached{{full.manifest->last_commit, {&full, nullptr}}};
    for (const SnapshotInfo* snapshot : whole_) {  // by ordinal, so that each path is, too
      if (is_full(*snapshot) || snapshot->ordinal < full.ordinal) continue;
      const auto from = reached.find(snapshot->manifest->after_commit);
      const bool continues =
          from != reached.end() && from->second.snapshot->manifest->last_event == snapshot->manifest->after_event;
      if (continues) reached.try_emplace(snapshot->manifest->last_commit, Step{snapshot, &from->second});
    }
    return reached;
  }

  Chain chain_of(const Path& path) const {
    Chain chain;
    chain.note = doubt_;
    for (const SnapshotInfo* snapshot : path) chain.snapshots.push_back(*snapshot->manifest);
    return chain;
  }

  // A snapshot whose manifest cannot be read may have what is wanted: of the target that means "all there is", that is
  // not passed over in silence.
  void require_nothing_behind(const Path& path) const {
    const bool open_ended =
        target_.kind == Kind::Newest || (target_.kind == Kind::Time && path.back()->manifest->latest <= target_.time);
    if (!open_ended) return;
    for (const SnapshotInfo* snapshot : unreadable_) {
      if (snapshot->ordinal > path.back()->ordinal) fail_behind(path);
    }
  }

  std::string target_text() const {
    switch (target_.kind) {
      case Kind::Newest:
        return "the newest commit, " + std::to_string(newest_commit());
      case Kind::Commit:
        return "commit " + std::to_string(target_.number);
      case Kind::Event:
        return "event " + std::to_string(target_.number);
      case Kind::Time:
        return format_time(target_.time);
    }
    return "";
  }

  // What broken snapshots there are, for messages: they may be the reason.
  std::string broken_text() const {
    std::string text;
    for (const std::vector<const SnapshotInfo*>& some : {broken_, unreadable_}) {
      for (const SnapshotInfo* snapshot : some) {
        if (text.size() < 2000)
          text += "; snapshot " + std::to_string(snapshot->ordinal) + " is broken: " + snapshot->why;
      }
    }
    return text;
  }

  // Whether one that is broken may be the reason.
  template <class MayBe>
  ErrorCode code(MayBe may_be) const {
    const bool is = !unreadable_.empty() || std::any_of(broken_.begin(), broken_.end(), may_be);
    return is ? ErrorCode::Corruption : ErrorCode::NotFound;
  }

  [[noreturn]] void fail_before() const {
    const SnapshotInfo* oldest = nullptr;
    for (const SnapshotInfo* snapshot : whole_) {
      if (!is_full(*snapshot)) continue;
      if (oldest == nullptr || snapshot->manifest->last_commit < oldest->manifest->last_commit) oldest = snapshot;
    }
    const ErrorCode code =
        this->code([&](const SnapshotInfo* broken) { return is_full(*broken) && may_begin(*broken->manifest); });
    if (oldest == nullptr) {
      throw Error(code, "cannot restore " + target_text() + ": the set has no whole full snapshot" + broken_text());
    }
    const Manifest& m = *oldest->manifest;
    throw Error(code, "cannot restore " + target_text() + ": it lies before the oldest full snapshot, " +
                          std::to_string(m.ordinal) + "; the earliest that can be restored is commit " +
                          std::to_string(m.last_commit) + " (event " + std::to_string(m.last_event) + ", " +
                          format_time(m.latest) + ")" +
                          (target_.kind == Kind::Event && m.last_event == target_.number
                               ? ", which has commits without events behind that one"
                               : "") +
                          broken_text());
  }

  [[noreturn]] void fail_behind(const Path& best) const {
    const CommitSeq end = end_of(best);
    std::string why = "nothing in the set goes on from there";
    const SnapshotInfo* next = nullptr;  // what would go on behind a gap
    for (const SnapshotInfo* snapshot : whole_) {
      if (is_full(*snapshot) || snapshot->manifest->after_commit <= end) continue;
      if (next == nullptr || snapshot->manifest->after_commit < next->manifest->after_commit) next = snapshot;
    }
    if (next != nullptr) {
      why = "the next one, " + std::to_string(next->ordinal) + ", lacks " +
            commits(end + 1, next->manifest->after_commit);
    }
    const ErrorCode code = this->code([&](const SnapshotInfo* broken) { return broken->manifest->last_commit > end; });
    throw Error(code, "cannot restore " + target_text() + ": the chain ends with snapshot " +
                          std::to_string(best.back()->ordinal) + " at commit " + std::to_string(end) + " (event " +
                          std::to_string(best.back()->manifest->last_event) + "), and " + why + "; restore to commit " +
                          std::to_string(end) + " instead" + broken_text());
  }

  const RestoreTarget& target_;
  Lineage lineage_;
  std::vector<const SnapshotInfo*> whole_;  // of this history, by ordinal
  std::vector<const SnapshotInfo*> broken_;
  std::vector<const SnapshotInfo*> unreadable_;  // broken, and of no known history
  std::string doubt_;                            // about which history is meant
};

}  // namespace

Chain plan_chain(const std::vector<SnapshotInfo>& snapshots, const RestoreTarget& target) {
  return Planner(snapshots, target).plan();
}

}  // namespace azoth::backup
