#include "azoth/canonical/repair.h"

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "azoth/canonical/store.h"
#include "azoth/core/error.h"
#include "bulk_rows.h"
#include "environment.h"
#include "replay_into_lmdb.h"
#include "salvage.h"
#include "settings.h"
#include "store_impl.h"

namespace azoth {

namespace {

// What is found in LMDB is for a backup to mend.
template <class Call>
auto reading_lmdb(Call call) {
  try {
    return call();
  } catch (const Error& error) {
    if (!error.corruption()) throw;
    throw Error(ErrorCode::Corruption,
                std::string(error.what()) +
                    ". This is damage in LMDB, and repair mends the journal alone: restore the store from a backup. "
                    "Nothing was changed");
  }
}

class Repair {
 public:
  Repair(const std::filesystem::path& directory, const Options& options, FileSystem& fs)
      : options_(options), fs_(fs), paths_(directory), store_id_(read_identity(fs, paths_).store_id) {}

  RepairReport run(bool accept_loss) {
    DirectoryClaim claim(paths_, DirectoryClaim::Mode::Write);
    explain();
    if (report_.ok() || !accept_loss) return std::move(report_);
    act();
    return std::move(report_);
  }

 private:
  // --- Reading

  // LMDB is opened as by who is going to write, which changes nothing: a writer may have died within a commit of which
  // readers do not know, and opening goes on behind that.
  void explain() {
    reading_lmdb([this] {
      LmdbEnv env(paths_.canonical, lmdb_settings(options_), LmdbEnv::Mode::Write);
      env.require_whole_pages();  // also of what needs no mending: the answer is to be believed
      LmdbReadTxn txn = env.begin_read();
      Rows rows(store_id_);
      row_ = rows.store(txn);
      check_store_id(row_, store_id_, paths_);
      head_ = rows.head(txn);
      told_through_ = last_not_bulk(txn, head_.last_commit);
    });
    identity_ = {store_id_, row_.timeline(), row_.lineage, row_.first_segment};
    report_.timeline = row_.lineage.front();
    files_ = list_journal(fs_, paths_.journal, identity_);
    std::optional<std::string> refusal = why_open_refuses();
    if (!refusal && !row_.repair_keeps_through) {
      report_.newest_known_commit = report_.kept_commit;
      return;
    }
    plan_salvage(refusal);
  }

  // Plans a recovery and goes through its records, as opening would.
  std::optional<std::string> why_open_refuses() {
    try {
      ReplayPlan plan =
          plan_recovery(fs_, paths_.journal, identity_, files_, head_.last_commit, head_.clean, told_through_);
      report_.kept_event = head_.last_event;
      replay(fs_, paths_.journal, identity_, plan, head_.last_commit,
             [this](std::string_view record) { report_.kept_event += RecordReader(record).header().events; });
      report_.kept_commit = plan.tail.last_commit;
      report_.kept_from_journal = plan.tail.last_commit - head_.last_commit;
      report_.notes = plan.damage;
      return std::nullopt;
    } catch (const Error& error) {
      if (!error.corruption()) throw;
      return error.what();
    }
  }

  void plan_salvage(const std::optional<std::string>& refusal) {
    CommitSeq at_most = row_.repair_keeps_through.value_or(std::numeric_limits<CommitSeq>::max());
    salvage_ = reading_lmdb(
        [&] { return salvage_journal(fs_, paths_.journal, identity_, files_, head_.last_commit, at_most); });
    report_.damage = std::move(salvage_.damage);
    if (row_.repair_keeps_through) {
      report_.damage.push_back(
          {paths_.canonical / "data.mdb", 0,
           "a repair that keeps the commits up to " + std::to_string(at_most) + " was begun and has not ended"});
    }
    if (report_.damage.empty()) report_.damage.push_back({paths_.journal, 0, *refusal});
    report_.kept_commit = salvage_.plan.tail.last_commit;
    report_.kept_event = head_.last_event + salvage_.kept_events;
    report_.kept_from_journal = report_.kept_commit - head_.last_commit;
    report_.newest_known_commit = salvage_.newest_known_commit;
    report_.lost_commits = salvage_.lost_commits;
    report_.lost_events = salvage_.lost_events;
    report_.lost_bytes = salvage_.lost_bytes;
  }

  // --- Acting. Until the last step the store is refused by open(); each step may be taken again.

  void act() {
    LmdbEnv env(paths_.canonical, lmdb_settings(options_), LmdbEnv::Mode::Write);
    Rows rows(store_id_);
    if (report_.kept_from_journal > 0) {
      if (!row_.repair_keeps_through) mark_begun(env, rows);
      sync_plan(fs_, paths_.journal, synced_plan());
      replay_into_lmdb(env, rows, fs_, paths_.journal, identity_, salvage_.plan, head_, options_.delta_bytes);
    }
    Timeline next{.id = Uuid::random(), .parent = row_.timeline(), .fork = report_.kept_commit};
    start_timeline(env, rows, next, make_first_segment(next));
    report_.timeline = next;
    report_.repaired = true;
  }

  // From here on LMDB holds commits of a journal that is to be cut, and which of them depends on how far this gets.
  // What recovery made of them need not be what repair keeps.
  void mark_begun(LmdbEnv& env, const Rows& rows) {
    row_.repair_keeps_through = report_.kept_commit;
    env.reserve_disk(LmdbEnv::kFewRows);
    LmdbWriteTxn txn(env);
    rows.put_store(txn, row_);
    txn.commit(head_.last_commit);
  }

  ReplayPlan synced_plan() const {
    ReplayPlan plan = salvage_.plan;
    plan.tail.segment_number = plan.extents.back().segment_number;
    return plan;
  }

  // The new timeline's beginning: a segment without a predecessor, durable before LMDB names the timeline.
  JournalTail make_first_segment(const Timeline& timeline) {
    JournalIdentity identity{store_id_, timeline.id};
    if (!fs_.exists(paths_.journal)) {
      fs_.make_directory(paths_.journal);
      fs_.sync_directory(paths_.directory);
    }
    SegmentHeader header{.number = files_.highest_number() + 1, .first_commit = timeline.fork + 1};
    auto file = fs_.open(paths_.journal / segment_name(header.number), FileSystem::Mode::Create);
    file->write_at(0, header.encode(identity));
    file->sync_data();
    fs_.sync_directory(paths_.journal);
    return {header.number, kSegmentHeaderBytes, header.checksum, timeline.fork};
  }

  void start_timeline(LmdbEnv& env, const Rows& rows, const Timeline& next, const JournalTail& tail) {
    row_.lineage.insert(row_.lineage.begin(), next);
    row_.repair_keeps_through.reset();
    row_.first_segment = tail.segment_number;
    env.reserve_disk(LmdbEnv::kFewRows);
    LmdbWriteTxn txn(env);
    Head head = rows.head(txn);
    if (head.last_commit != next.fork) {
      throw Error(ErrorCode::Corruption, "LMDB ends with commit " + std::to_string(head.last_commit) +
                                             " and should end with " + std::to_string(next.fork) +
                                             "; the repair has not ended");
    }
    head.clean = tail;
    rows.put_head(txn, head);
    rows.put_store(txn, row_);
    txn.commit(next.fork);
  }

  const Options& options_;
  FileSystem& fs_;
  const StorePaths paths_;
  const Uuid store_id_;
  StoreRow row_;
  Head head_;
  CommitSeq told_through_ = 0;  // what LMDB holds behind it are bulk transactions
  JournalIdentity identity_;
  JournalFiles files_;
  Salvage salvage_;
  RepairReport report_;
};

}  // namespace

RepairReport Store::repair(const std::filesystem::path& directory, const Options& options, const RepairOptions& repair,
                           FileSystem& fs) {
  check_options(options);
  return Repair(directory, options, fs).run(repair.accept_loss);
}

}  // namespace azoth
