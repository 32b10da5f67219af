#include "diff_snapshot.h"

#include <algorithm>
#include <optional>

#include "azoth/canonical/commit_record.h"
#include "azoth/core/error.h"
#include "block_file.h"
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

}  // namespace

SnapshotInfo base_for_diff(const SnapshotSet& set, const Lineage& lineage) {
  std::vector<SnapshotInfo> candidates;
  for (SnapshotInfo& info : set.list()) {
    if (info.state == SnapshotState::Whole && can_be_continued(*info.manifest, lineage)) candidates.push_back(info);
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const SnapshotInfo& a, const SnapshotInfo& b) {
    return a.manifest->last_commit < b.manifest->last_commit;
  });
  std::string why = "the set has no whole snapshot of this store's history";
  for (auto candidate = candidates.rbegin(); candidate != candidates.rend(); ++candidate) {
    RestoreTarget target = RestoreTarget::commit(candidate->manifest->last_commit);
    target.timeline = candidate->manifest->timeline();
    try {
      set.chain(target);
      return *candidate;
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
