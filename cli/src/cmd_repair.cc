#include <fmt/format.h>

#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

std::string damage_json(const RepairReport& report) {
  std::string list = "[";
  for (const RepairReport::Damage& damage : report.damage) {
    if (list.size() > 1) list += ',';
    list += JsonObject()
                .text("file", terminal_safe(damage.file.string()))
                .number("offset", damage.offset)
                .text("what", terminal_safe(damage.what))
                .finish();
  }
  return list + ']';
}

std::string repair_json(const RepairReport& report) {
  JsonObject object;
  object.boolean("ok", report.ok())
      .raw("damage", damage_json(report))
      .raw("notes", json_strings(safe_texts(report.notes)))
      .number("kept_commit", report.kept_commit)
      .number("kept_event", report.kept_event)
      .number("kept_from_journal", report.kept_from_journal)
      .number("newest_known_commit", report.newest_known_commit)
      .number("lost_commits", report.lost_commits)
      .number("lost_events", report.lost_events)
      .number("lost_bytes", report.lost_bytes)
      .boolean("repaired", report.repaired)
      .text("timeline", report.timeline.id.text());
  if (report.timeline.parent == Uuid{}) {
    object.null("parent").null("fork");
  } else {
    object.text("parent", report.timeline.parent.text()).number("fork", report.timeline.fork);
  }
  return object.finish();
}

std::string lost(const RepairReport& report) {
  std::string known = report.newest_known_commit > report.kept_commit
                          ? fmt::format("commits {} to {} at least", grouped(report.kept_commit + 1),
                                        grouped(report.newest_known_commit))
                          : std::string("whatever was committed behind that");
  return fmt::format("{}; {} commits with {} events ({}) of them can still be read", known,
                     grouped(report.lost_commits), grouped(report.lost_events), human_bytes(report.lost_bytes));
}

void print(Context& context, const RepairReport& report) {
  Output& out = context.out;
  for (const std::string& note : report.notes) out.line("note: " + terminal_safe(note));
  if (report.ok()) {
    out.line(
        fmt::format("nothing is to be repaired: the store opens with commit {} and event {}; azoth verify "
                    "looks at all of it",
                    grouped(report.kept_commit), grouped(report.kept_event)));
    return;
  }
  for (const RepairReport::Damage& damage : report.damage) {
    out.line(terminal_safe(fmt::format("damage: {} at byte {}: {}", damage.file.string(), damage.offset, damage.what)));
  }
  out.line(fmt::format("{}: everything up to commit {} and event {}", report.repaired ? "kept" : "can be kept",
                       grouped(report.kept_commit), grouped(report.kept_event)));
  out.line(fmt::format("{}: {}", report.repaired ? "lost" : "would be lost", lost(report)));
  if (report.repaired) {
    out.line(fmt::format("repaired: the store is on timeline {}, which leaves {} at commit {}",
                         report.timeline.id.text(), report.timeline.parent.text(), grouped(report.timeline.fork)));
  } else {
    out.line(terminal_safe(fmt::format(
        "nothing was changed; copy the directory, then accept the loss with: azoth --db {} repair --accept-loss",
        context.globals.directory.string())));
  }
}

}  // namespace

Exit run_repair(Context& context, const RepairArgs& args) {
  RepairReport report =
      Db::repair(context.globals.directory, context.globals.options, {.accept_loss = args.accept_loss});
  if (context.json()) {
    context.out.json(repair_json(report));
  } else {
    print(context, report);
  }
  return report.ok() || report.repaired ? Exit::Ok : Exit::Corrupt;
}

}  // namespace azoth::cli
