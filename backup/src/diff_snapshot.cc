#include "diff_snapshot.h"

#include <algorithm>
#include <optional>

#include "azoth/canonical/commit_record.h"
#include "azoth/core/error.h"
#include "block_file.h"
#include "content_sums.h"
#include "manifest.h"
#include "parallel.h"
#include "records.h"

namespace azoth::backup {

namespace {

// The journal begins with the store's timeline: of an ancestor's snapshots it continues those that end at the fork.
bool can_be_continued(const Manifest& base, const Lineage& lineage) {
  if (base.timeline() == lineage.front().id) return true;
  const auto shared = shared_through(lineage, base.timeline());
  return shared && base.last_commit <= *shared && base.last_commit == lineage.front().fork;
}

// Adds up what a manifest says of the commits.
class Facts {
 public:
  void take(const CommitFacts& commit) {
    facts_.earliest = facts_.commits == 0 ? commit.time : std::min(facts_.earliest, commit.time);
    facts_.latest = facts_.commits == 0 ? commit.time : std::max(facts_.latest, commit.time);
    facts_.commits += 1;
    facts_.operations += commit.operations;
  }
  Manifest& manifest() { return facts_; }

 private:
  Manifest facts_;
};

// Whether the store's commits through the end of a snapshot are those that the snapshot has.
class SameHistory {
 public:
  SameHistory(BackupSource& source, const BackupSource::Content& content, const Manifest& base, const Key* key)
      : source_(source), content_(content), reader_(content.readers.front()), base_(base), key_(key) {}

  // What is false at once.
  bool is_another() const {
    const ContentTotals& totals = content_.totals;
    if (totals.last_commit < base_.last_commit || totals.last_event < base_.last_event) return true;
    return totals.last_commit == base_.last_commit ? !same_content() : !same_last_event();
  }
  bool is_at_the_end() const { return content_.totals.last_commit == base_.last_commit && !base_.content_sums.empty(); }

  // The base's last commit as the journal has it; nothing if the journal does not reach back so far. It begins with the
  // timeline, so it has nothing of a base of another one.
  std::optional<CommitFacts> last_commit_in_journal() const {
    if (base_.last_commit == 0 || base_.timeline() != source_.lineage().front().id) return std::nullopt;
    std::optional<CommitFacts> facts;
    try {
      source_.for_each_commit(reader_, base_.last_commit - 1, last_event_before(base_.last_commit), base_.last_commit,
                              [&](std::string_view bytes, bool) {
                                if (!facts) facts = commit_facts(bytes);
                              });
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound && !error.corruption()) throw;
      return std::nullopt;
    }
    return facts;
  }

  // A commit of another history came after the snapshot was taken, so it is later.
  bool is_last_commit(const CommitFacts& commit) const {
    const bool has_last_event = base_.last_event != 0 && base_.last_event_commit == base_.last_commit;
    return in_range(commit.time) && commit.last_event() == (has_last_event ? base_.last_event : 0);
  }

 private:
  bool same_content() const {
    const ContentTotals& totals = content_.totals;
    const bool counts = totals.last_event == base_.last_event && totals.last_event_commit == base_.last_event_commit &&
                        totals.state_rows == base_.state_rows;
    return counts && (base_.content_sums.empty() || base_.content_sums == content_digest(content_sums(totals), key_));
  }

  bool same_last_event() const {
    if (base_.last_event == 0) return events_behind(base_.last_commit, 1);
    const std::optional<EventView> event = reader_.event(base_.last_event);
    if (!event || event->commit_seq() != base_.last_event_commit) return false;
    if (base_.last_event_commit > base_.after_commit && !in_range(event->commit_time())) return false;
    return events_behind(base_.last_commit, base_.last_event + 1);
  }
  bool events_behind(CommitSeq commit, EventId first) const {
    const std::optional<EventView> event = reader_.event(first);
    return !event || event->commit_seq() > commit;
  }

  // Of a full only the end of the range counts.
  bool in_range(Timestamp time) const {
    return time <= base_.latest && (base_.type == SnapshotType::Full || time >= base_.earliest);
  }

  EventId last_event_before(CommitSeq commit) const {
    EventId before = 0, from = base_.last_event + 1;  // the last that is before it, the first that is not
    while (from - before > 1) {
      const EventId middle = before + (from - before) / 2;
      const std::optional<EventView> event = reader_.event(middle);
      if (!event) throw Error(ErrorCode::Corruption, "event " + std::to_string(middle) + " is missing");
      (event->commit_seq() < commit ? before : from) = middle;
    }
    return before;
  }

  BackupSource& source_;
  const BackupSource::Content& content_;
  const ReadTxn& reader_;
  const Manifest& base_;
  const Key* const key_;
};

[[noreturn]] void fail_another(const SnapshotInfo& base, const ContentTotals& totals) {
  const std::string commit = std::to_string(base.manifest->last_commit);
  const std::string what = totals.last_commit < base.manifest->last_commit
                               ? "but the store ends with commit " + std::to_string(totals.last_commit)
                               : "but what the store has through commit " + commit + " is something else";
  throw Error(ErrorCode::InvalidArgument,
              "snapshot " + std::to_string(base.ordinal) + " of the set has commit " + commit + " of this timeline, " +
                  what +
                  ": it is an older copy of the store; restore the set instead, or back this up into another one");
}

// Throws if what the store has through the snapshot's end is something else; answers whether that could be told.
bool compare_with(const SnapshotInfo& snapshot, BackupSource& source, const BackupSource::Content& content,
                  const Key* key) {
  const SameHistory history(source, content, *snapshot.manifest, key);
  if (history.is_another()) fail_another(snapshot, content.totals);
  if (history.is_at_the_end()) return true;
  const std::optional<CommitFacts> commit = history.last_commit_in_journal();
  if (commit && !history.is_last_commit(*commit)) fail_another(snapshot, content.totals);
  return commit.has_value();
}

}  // namespace

// The set registers after each snapshot with that one's end, so a copy that is older than the snapshot is registered
// with less. So is the store itself when it died in between; then its journal reaches back to the snapshot's end.
void require_same_history(BackupSource& source, const BackupSource::Content& content, const SnapshotInfo& base,
                          const std::optional<RetainedSet>& registered, const Key* key) {
  if (compare_with(base, source, content, key)) return;
  const Manifest& manifest = *base.manifest;
  if (registered && registered->timeline == manifest.timeline() && registered->commit < manifest.last_commit) {
    throw Error(ErrorCode::NotFound,
                "a differential snapshot cannot be made: the store knows of what the set has through commit " +
                    std::to_string(registered->commit) + " only, and its journal does not have commit " +
                    std::to_string(manifest.last_commit) + " any more, so it cannot be told whether snapshot " +
                    std::to_string(base.ordinal) + " is of this store's history; make a full one");
  }
}

void refuse_older_copy(BackupSource& source, const BackupSource::Content& content, const SnapshotSet& set,
                       const Key* key) {
  const Uuid timeline = source.lineage().front().id;
  std::optional<SnapshotInfo> newest;
  for (SnapshotInfo& info : set.list()) {
    if (info.state != SnapshotState::Whole || info.manifest->timeline() != timeline) continue;
    if (!newest || info.manifest->last_commit >= newest->manifest->last_commit) newest = std::move(info);
  }
  if (newest) compare_with(*newest, source, content, key);
}

SnapshotInfo base_for_diff(const SnapshotSet& set, const Lineage& lineage) {
  const std::vector<SnapshotInfo> all = set.list();
  std::vector<const SnapshotInfo*> candidates;
  for (const SnapshotInfo& info : all) {
    if (info.state == SnapshotState::Whole && can_be_continued(*info.manifest, lineage)) candidates.push_back(&info);
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const SnapshotInfo* a, const SnapshotInfo* b) {
    return a->manifest->last_commit < b->manifest->last_commit;
  });
  std::string why = "the set has no whole snapshot of this store's history";
  for (auto at = candidates.rbegin(); at != candidates.rend(); ++at) {
    const SnapshotInfo& candidate = **at;
    RestoreTarget target = RestoreTarget::commit(candidate.manifest->last_commit);
    target.timeline = candidate.manifest->timeline();
    try {
      // One that runs past the candidate is none that a diff could go on from.
      const CommitSeq end = set.chain(target, all).snapshots.back().last_commit;
      if (end == candidate.manifest->last_commit) return candidate;
      why = "no chain of whole snapshots ends with snapshot " + std::to_string(candidate.ordinal);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound && !error.corruption()) throw;
      why = error.what();
    }
  }
  throw Error(ErrorCode::NotFound,
              "there is nothing that a differential snapshot could continue: " + why + "; make a full one");
}

Manifest write_diff(BackupSource& source, const BackupSource::Content& content, PendingSnapshot& pending,
                    const Manifest& base, const BackupOptions& options) {
  const ContentTotals& totals = content.totals;
  StepMeter meter(options.progress, "copying", "commits", totals.last_commit - base.last_commit,
                  [&] { source.check_space(); });
  StepCounter counter(meter, 1000);
  auto file = pending.add_file(FileKind::Commits, 0, 1);
  Facts facts;
  std::string record;
  bool first_of_record = true;
  const auto take = [&](std::string_view bytes, bool last) {
    if (first_of_record) facts.take(commit_facts(bytes));
    first_of_record = last;
    records::encode(records::CommitPiece{last, bytes}, record);
    file->add(record);
    if (last) counter.add(1);
  };
  try {
    source.for_each_commit(content.readers.front(), base.last_commit, base.last_event, totals.last_commit, take);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound && !error.corruption()) throw;
    throw Error(error.code(),
                std::string("a differential snapshot cannot be made: ") + error.what() + "; make a full one");
  }
  counter.flush();
  meter.end();
  pending.close_file(std::move(file));

  Manifest& m = facts.manifest();
  m.base_ordinal = base.ordinal;
  m.after_commit = base.last_commit;
  m.last_commit = totals.last_commit;
  m.after_event = base.last_event;
  m.last_event = totals.last_event;
  m.last_event_commit = totals.last_event_commit;
  m.state_rows = totals.state_rows;
  return m;
}

}  // namespace azoth::backup
