#include "store_metrics.h"

namespace azoth {

namespace {

constexpr double kSeconds = 1e-9;          // of a nanosecond
constexpr std::size_t kMicroseconds = 10;  // what is shorter is shown as one bucket

class Reporter {
 public:
  explicit Reporter(const MetricCallback& callback) : callback_(callback) {}

  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    callback_({.name = name, .help = help, .kind = Metric::Kind::Counter, .value = static_cast<double>(value)});
  }
  void seconds(std::string_view name, std::string_view help, std::chrono::nanoseconds time) {
    double value = std::chrono::duration<double>(time).count();
    callback_({.name = name, .help = help, .kind = Metric::Kind::Counter, .value = value});
  }
  template <class Number>
  void gauge(std::string_view name, std::string_view help, Number value, std::string_view labels = {}) {
    callback_({.name = name,
               .labels = labels,
               .help = help,
               .kind = Metric::Kind::Gauge,
               .value = static_cast<double>(value)});
  }
  void times(std::string_view name, std::string_view help, const Histogram& histogram, std::string_view labels = {}) {
    Metric metric{.name = name, .labels = labels, .help = help, .kind = Metric::Kind::Histogram};
    histogram.show(metric, kSeconds, kMicroseconds);
    callback_(metric);
  }
  void sizes(std::string_view name, std::string_view help, const Histogram& histogram) {
    Metric metric{.name = name, .help = help, .kind = Metric::Kind::Histogram};
    histogram.show(metric, 1);
    callback_(metric);
  }

 private:
  const MetricCallback& callback_;
};

}  // namespace

void report_status(const Status& status, const MetricCallback& callback) {
  Reporter report(callback);
  constexpr std::string_view kSeq = "How far the store is: the last commit at each level.";
  report.gauge("azoth_commit_seq", kSeq, status.applied_seq, "level=\"applied\"");
  report.gauge("azoth_commit_seq", kSeq, status.visible_seq, "level=\"visible\"");
  report.gauge("azoth_commit_seq", kSeq, status.durable_seq, "level=\"durable\"");
  report.gauge("azoth_commit_seq", kSeq, status.flushed_seq, "level=\"flushed\"");
  report.gauge("azoth_last_event", "The id of the newest event.", status.meta.last_event);
  report.gauge("azoth_state_keys", "Keys in the state.", status.state_keys);
  report.gauge("azoth_delta_bytes", "Memory of the commits that are not in LMDB yet.", status.delta_bytes);
  report.gauge("azoth_pinned_delta_bytes", "Memory of flushed Deltas that snapshots keep alive.",
               status.pinned_delta_bytes);
  report.gauge("azoth_deltas", "Deltas that are not in LMDB yet.", status.live_deltas);
  report.gauge("azoth_journal_bytes", "Size of the journal's files.", status.journal_bytes);
  report.gauge("azoth_journal_segments", "Files of the journal, spares included.", status.journal_segments);
  report.gauge("azoth_map_bytes", "LMDB's map.", status.map_bytes);
  report.gauge("azoth_map_used_bytes", "What LMDB uses of its map.", status.map_used_bytes);
  report.gauge("azoth_map_soft_limit_bytes", "Use of the map above which only deletions pass.",
               status.map_soft_limit_bytes);
  report.gauge("azoth_snapshots", "Snapshots that are alive in this process.", status.readers);
  report.gauge("azoth_oldest_snapshot_seconds", "Age of the oldest of them.",
               std::chrono::duration<double>(status.oldest_reader_age).count());
  report.gauge("azoth_all_snapshots", "Snapshots that are alive in all processes.", status.all_readers);
  report.gauge("azoth_oldest_snapshot_lag", "Transactions of LMDB since the oldest of these began.",
               status.oldest_reader_lag);
  report.gauge("azoth_waiting_writers", "Transactions that wait for memory, for keys, or for a bulk transaction.",
               status.waiting_writers);
  report.gauge("azoth_sealed", "1 if the store is sealed.", status.meta.sealed_event ? 1 : 0);
  report.gauge("azoth_paused", "How many owners pause the store.", status.pauses.size());
  report.gauge("azoth_failed", "1 if the store refuses writes for good.", status.failure ? 1 : 0);
  if (status.read_only) return;
  report.counter("azoth_commits_total", "Commits since the store was opened.", status.commits);
  report.counter("azoth_batches_total", "Writes of the journal.", status.batches);
}

void report_measures(const Measured& parts, const MetricCallback& callback) {
  Reporter report(callback);
  const GroupCommit::Measures& group = parts.group.measures();
  report.counter("azoth_rejections_total", "Transactions whose conditions did not hold.", parts.rejections);
  report.counter("azoth_repeated_commands_total", "Commands that had been carried out before.", parts.repeats);
  const StripeLocks& locks = parts.stripe_locks;
  report.counter("azoth_lock_waits_total", "Transactions that waited for keys.", locks.waits());
  report.seconds("azoth_lock_wait_seconds_total", "How long all of them waited.", locks.time_waited());
  report.counter("azoth_lock_timeouts_total", "Those that gave up.", locks.timeouts());
  report.counter("azoth_journal_written_bytes_total", "Bytes written to the journal.", group.bytes.load());
  report.counter("azoth_stalls_total", "Waits for a commit of more than 50 ms.", group.stalls.load());
  report.sizes("azoth_batch_commits", "Commits of one write of the journal.", group.batch_commits);
  constexpr std::string_view kWait = "How long those waited for a commit who had to, by the level they asked for.";
  report.times("azoth_wait_seconds", kWait, group.wait_written, "level=\"written\"");
  report.times("azoth_wait_seconds", kWait, group.wait_durable, "level=\"durable\"");
  report.times("azoth_journal_sync_seconds", "fdatasync of the journal.", group.sync);
  report.times("azoth_flush_seconds", "Moving a Delta to LMDB.", parts.flusher.flush_times());
  report.times("azoth_bulk_commit_seconds", "Bulk transactions, from their turn in line on.", parts.bulk.times());
  constexpr std::string_view kPressure = "How long writers were held up, by what they waited for.";
  report.times("azoth_backpressure_seconds", kPressure, parts.admission.waits(), "reason=\"memory\"");
  report.times("azoth_backpressure_seconds", kPressure, parts.sequencer.journal_waits(), "reason=\"journal\"");
  report.times("azoth_backpressure_seconds", kPressure, parts.sequencer.bulk_waits(), "reason=\"bulk\"");
}

}  // namespace azoth
