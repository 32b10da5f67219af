#include <fmt/format.h>

#include <array>

#include "backup_text.h"
#include "commands.h"
#include "projection_info.h"
#include "text.h"

namespace azoth::cli {
namespace {

// What this process, which only reads, says of itself: of a writer in another process it is not known.
constexpr std::array<std::string_view, 15> kOwn = {"visible_seq",
                                                   "applied_seq",
                                                   "delta_bytes",
                                                   "live_deltas",
                                                   "map_bytes",
                                                   "readers",
                                                   "commits",
                                                   "batches",
                                                   "syncs",
                                                   "flushes",
                                                   "pauses",
                                                   "recovery",
                                                   "pinned_delta_bytes",
                                                   "oldest_reader_ms",
                                                   "waiting_writers"};

std::string recovery_json(const RecoveryReport& recovery) {
  return JsonObject()
      .boolean("clean", recovery.clean)
      .number("recovered_commits", recovery.recovered_commits)
      .number("last_commit", recovery.last_commit)
      .raw("damage", json_strings(safe_texts(recovery.damage)))
      .finish();
}

std::string pauses_json(const std::vector<Status::PausedBy>& pauses) {
  std::string out = "[";
  for (const auto& [owner, times] : pauses) {
    if (out.size() > 1) out += ',';
    out += JsonObject().text("owner", terminal_safe(owner)).number("times", times).finish();
  }
  return out + ']';
}

void add_store(JsonObject& object, const Status& status) {
  const Meta& meta = status.meta;
  object.text("store_id", meta.store_id.text())
      .text("timeline", meta.timeline.text())
      .number("format_version", meta.format_version)
      .text("created", format_time(meta.created))
      .number("last_commit", meta.last_commit)
      .number("last_event", meta.last_event);
  if (meta.sealed_event) {
    object.number("sealed_event", *meta.sealed_event);
  } else {
    object.null("sealed_event");
  }
  object.number("state_keys", status.state_keys);
}

std::string projections_json(const std::vector<ProjectionInfo>& projections) {
  std::string out = "[";
  for (const ProjectionInfo& info : projections) {
    if (out.size() > 1) out += ',';
    out += projection_json(info);
  }
  return out + ']';
}

std::string sets_json(const std::vector<RetainedSet>& sets) {
  std::string out = "[";
  for (const RetainedSet& set : sets) {
    if (out.size() > 1) out += ',';
    out += retained_json(set);
  }
  return out + ']';
}

std::string status_json(const Status& status, const std::vector<ProjectionInfo>& projections,
                        const std::vector<RetainedSet>& sets) {
  JsonObject object;
  add_store(object, status);
  object.boolean("has_writer", status.has_writer)
      .number("flushed_seq", status.flushed_seq)
      .number("durable_seq", status.durable_seq)
      .number("visible_seq", status.visible_seq)
      .number("applied_seq", status.applied_seq)
      .number("delta_bytes", status.delta_bytes)
      .number("live_deltas", status.live_deltas)
      .number("pinned_delta_bytes", status.pinned_delta_bytes)
      .number("waiting_writers", status.waiting_writers)
      .number("journal_bytes", status.journal_bytes)
      .number("journal_segments", status.journal_segments)
      .number("map_bytes", status.map_bytes)
      .number("map_used_bytes", status.map_used_bytes)
      .number("map_soft_limit_bytes", status.map_soft_limit_bytes)
      .number("readers", status.readers)
      .number("oldest_reader_ms", static_cast<std::uint64_t>(status.oldest_reader_age.count()))
      .number("all_readers", status.all_readers)
      .number("oldest_reader_lag", status.oldest_reader_lag)
      .number("commits", status.commits)
      .number("batches", status.batches)
      .number("syncs", status.syncs)
      .number("flushes", status.flushes)
      .raw("pauses", pauses_json(status.pauses));
  if (status.failure) {
    object.text("failure", terminal_safe(*status.failure));
  } else {
    object.null("failure");
  }
  if (status.has_writer) {
    object.null("recovery");
  } else {
    object.raw("recovery", recovery_json(status.recovery));
  }
  return object.raw("own", json_strings(kOwn))
      .raw("projections", projections_json(projections))
      .raw("backup_sets", sets_json(sets))
      .finish();
}

void row(Output& out, std::string_view name, const std::string& text) {
  out.line(fmt::format("{:<10} {}", name, terminal_safe(text)));
}

std::string recovery_text(const RecoveryReport& recovery) {
  if (recovery.clean) return "not needed: the store was closed";
  return fmt::format("the store was not closed; the next command that writes moves {} commits from the journal to LMDB",
                     grouped(recovery.recovered_commits));
}

std::string writes_text(const Status& status) {
  if (status.failure) return "refused: " + *status.failure;
  if (status.meta.sealed_event) return "refused: the store is sealed; azoth unseal opens it";
  return status.has_writer ? "by the process that has it open only" : "accepted";
}

void print_store(Context& context, const Status& status) {
  Output& out = context.out;
  const Meta& meta = status.meta;
  row(out, "store", fmt::format("{} in {}", meta.store_id.text(), context.globals.directory.string()));
  row(out, "timeline", meta.timeline.text());
  for (std::size_t i = 1; i < meta.lineage.size(); ++i) {
    row(out, "", fmt::format("from {} at commit {}", meta.lineage[i].id.text(), grouped(meta.lineage[i - 1].fork)));
  }
  row(out, "format", fmt::format("version {}, created {}", meta.format_version, format_time(meta.created)));
  row(out, "writer", status.has_writer ? "a process has the store open for writing" : "none");
  row(out, "commits",
      fmt::format("{} ({} in LMDB, {} durable)", grouped(meta.last_commit), grouped(status.flushed_seq),
                  grouped(status.durable_seq)));
  row(out, "events", grouped(meta.last_event));
  row(out, "state", fmt::format("{} keys", grouped(status.state_keys)));
  row(out, "sealed", meta.sealed_event ? fmt::format("at event {}", grouped(*meta.sealed_event)) : "no");
  row(out, "journal", fmt::format("{} in {} segments", human_bytes(status.journal_bytes), status.journal_segments));
  row(out, "LMDB",
      fmt::format("{} used; above {} only deletions pass", human_bytes(status.map_used_bytes),
                  human_bytes(status.map_soft_limit_bytes)));
  row(out, "snapshots",
      status.all_readers == 0 ? "none in any process"
                              : fmt::format("{} in all processes, the oldest {} LMDB transactions back",
                                            status.all_readers, grouped(status.oldest_reader_lag)));
  if (!status.has_writer) row(out, "recovery", recovery_text(status.recovery));
  for (const std::string& damage : status.recovery.damage) row(out, "damage", damage);
  row(out, "writes", writes_text(status));
}

void print_projections(Context& context, const std::vector<ProjectionInfo>& projections) {
  if (projections.empty()) return;
  context.out.line("\nProjections:");
  for (const ProjectionInfo& info : projections) {
    row(context.out, info.name,
        fmt::format("at event {}, lag {}, {} dead letters, {}", grouped(info.cursor), lag_text(info),
                    grouped(info.dead_letters), state_text(info)));
    for (const std::string& note : projection_notes(info)) row(context.out, "", note);
  }
}

void print_sets(Context& context, const std::vector<RetainedSet>& sets) {
  if (sets.empty()) return;
  context.out.line("\nSnapshot sets that the journal is kept for:");
  for (const RetainedSet& set : sets) context.out.line(set.set_id.text() + "  " + retained_text(set));
}

void print_own(Context& context, const Status& status) {
  Output& out = context.out;
  out.line(status.has_writer ? "\nOf this reading process; the writer's own numbers are not known here:"
                             : "\nOf this reading process:");
  row(out, "commits", fmt::format("{} visible, {} applied", grouped(status.visible_seq), grouped(status.applied_seq)));
  row(out, "memory", fmt::format("{} in {} Deltas", human_bytes(status.delta_bytes), status.live_deltas));
  row(out, "map", human_bytes(status.map_bytes) + " of address space");
  row(out, "readers", fmt::format("{} snapshots", status.readers));
  row(out, "activity",
      fmt::format("{} commits, {} batches, {} syncs, {} flushes", grouped(status.commits), grouped(status.batches),
                  grouped(status.syncs), grouped(status.flushes)));
  if (status.pauses.empty()) row(out, "pauses", "none");
  for (const auto& [owner, times] : status.pauses) row(out, "paused by", fmt::format("{}, {} times", owner, times));
}

}  // namespace

Exit run_status(Context& context, const StatusArgs&) {
  Db db = open_store_for_reading(context);
  Status status = db.status();
  const std::vector<ProjectionInfo> projections = db.projections().inspect();
  const std::vector<RetainedSet> sets = Db::retained_sets(db.directory());
  if (context.json()) {
    context.out.json(status_json(status, projections, sets));
  } else {
    print_store(context, status);
    print_projections(context, projections);
    print_sets(context, sets);
    print_own(context, status);
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
