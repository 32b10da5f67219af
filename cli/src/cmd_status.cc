#include <fmt/format.h>

#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

std::string recovery_json(const RecoveryReport& recovery) {
  return JsonObject()
      .boolean("clean", recovery.clean)
      .number("recovered_commits", recovery.recovered_commits)
      .number("last_commit", recovery.last_commit)
      .raw("damage", json_strings(recovery.damage))
      .finish();
}

std::string status_json(const Status& status) {
  JsonObject object;
  object.text("store_id", status.meta.store_id.text())
      .text("timeline", status.meta.timeline.text())
      .number("format_version", status.meta.format_version)
      .text("created", format_time(status.meta.created))
      .number("last_commit", status.meta.last_commit)
      .number("last_event", status.meta.last_event)
      .null("sealed_event")
      .number("state_keys", status.state_keys)
      .number("flushed_seq", status.flushed_seq)
      .number("durable_seq", status.durable_seq)
      .number("visible_seq", status.visible_seq)
      .number("applied_seq", status.applied_seq)
      .number("delta_bytes", status.delta_bytes)
      .number("live_deltas", status.live_deltas)
      .number("journal_bytes", status.journal_bytes)
      .number("journal_segments", status.journal_segments)
      .number("map_bytes", status.map_bytes)
      .number("map_used_bytes", status.map_used_bytes)
      .number("readers", status.readers)
      .number("commits", status.commits)
      .number("batches", status.batches)
      .number("syncs", status.syncs)
      .number("flushes", status.flushes);
  if (status.failure) {
    object.text("failure", terminal_safe(*status.failure));
  } else {
    object.null("failure");
  }
  return object.raw("recovery", recovery_json(status.recovery)).raw("projections", "[]").finish();
}

void row(Output& out, std::string_view name, const std::string& text) {
  out.line(fmt::format("{:<10} {}", name, terminal_safe(text)));
}

void print_table(Context& context, const Status& status) {
  Output& out = context.out;
  row(out, "store", fmt::format("{} in {}", status.meta.store_id.text(), context.globals.directory.string()));
  row(out, "timeline", status.meta.timeline.text());
  row(out, "format",
      fmt::format("version {}, created {}", status.meta.format_version, format_time(status.meta.created)));
  row(out, "commits",
      fmt::format("{} (applied {}, visible {}, durable {}, in LMDB {})", grouped(status.meta.last_commit),
                  status.applied_seq, status.visible_seq, status.durable_seq, status.flushed_seq));
  row(out, "events", grouped(status.meta.last_event));
  row(out, "state", fmt::format("{} keys", grouped(status.state_keys)));
  row(out, "sealed", "no");
  row(out, "journal", fmt::format("{} in {} segments", human_bytes(status.journal_bytes), status.journal_segments));
  row(out, "map", fmt::format("{} used of {}", human_bytes(status.map_used_bytes), human_bytes(status.map_bytes)));
  row(out, "memory", fmt::format("{} in {} deltas", human_bytes(status.delta_bytes), status.live_deltas));
  const RecoveryReport& recovery = status.recovery;
  row(out, "opened",
      recovery.clean ? "had been closed"
                     : fmt::format("had not been closed; {} commits recovered from the journal",
                                   grouped(recovery.recovered_commits)));
  for (const std::string& damage : recovery.damage) row(out, "damage", damage);
  row(out, "writes", status.failure ? "refused: " + *status.failure : "accepted");
}

}  // namespace

Exit run_status(Context& context, const StatusArgs&) {
  Db db = open_store(context);
  Status status = db.status();
  if (context.json()) {
    context.out.json(status_json(status));
  } else {
    print_table(context, status);
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
