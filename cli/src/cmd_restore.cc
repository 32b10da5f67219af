#include <fmt/format.h>

#include <algorithm>

#include "backup_text.h"
#include "commands.h"
#include "links.h"
#include "text.h"

namespace azoth::cli {
namespace {

using backup::Key;
using backup::RestoreReport;
using backup::RestoreTarget;

RestoreTarget point_of(const RestoreArgs& args) {
  if (args.event) return RestoreTarget::event(*args.event);
  if (args.commit) return RestoreTarget::commit(*args.commit);
  if (!args.time) return RestoreTarget::newest();
  const std::optional<Timestamp> time = parse_time(*args.time);
  if (!time) throw UsageError("--time must be an RFC 3339 time such as 2026-11-21T09:30:00Z");
  return RestoreTarget::at(*time);
}

RestoreTarget target_of(const RestoreArgs& args) {
  RestoreTarget target = point_of(args);
  if (args.timeline) {
    target.timeline = Uuid::parse(*args.timeline);
    if (!target.timeline) throw UsageError("--timeline must be 32 hex digits, as azoth --json backup list prints them");
  }
  return target;
}

std::string moved_json(const std::vector<RestoreReport::MovedBack>& sequences) {
  std::string list = "[";
  for (const RestoreReport::MovedBack& sequence : sequences) {
    if (list.size() > 1) list += ',';
    list += JsonObject()
                .bytes("sequence", sequence.name)
                .number("next", sequence.next)
                .number("was", sequence.was)
                .finish();
  }
  return list + ']';
}

std::string report_json(const RestoreArgs& args, const RestoreReport& report, double seconds) {
  JsonObject object;
  object.text("store_id", report.store_id.text())
      .bytes("directory", args.target)
      .text("timeline", report.timeline.text())
      .number("commit", report.commit)
      .number("event", report.event);
  if (report.time) {
    object.text("time", format_time(*report.time));
  } else {
    object.null("time");
  }
  object.raw("snapshots", json_numbers(report.snapshots));
  if (report.rounded) {
    object.text("rounded", terminal_safe(*report.rounded));
  } else {
    object.null("rounded");
  }
  if (report.sealed_event) {
    object.number("sealed_event", *report.sealed_event);
  } else {
    object.null("sealed_event");
  }
  return object.raw("sequences_moved_back", moved_json(report.sequences_moved_back))
      .raw("projections", json_strings(safe_texts(report.projections)))
      .raw("rebuilt", json_strings(safe_texts(report.rebuilt)))
      .raw("notes", json_strings(safe_texts(report.notes)))
      .decimal("seconds", seconds)
      .finish();
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + escaped(name);
  return text;
}

void print_sequences(Output& out, const RestoreArgs& args, const RestoreReport& report) {
  std::uint64_t missing = 0;
  for (const RestoreReport::MovedBack& sequence : report.sequences_moved_back) {
    out.line(fmt::format("warning: sequence {} goes on with {}, but was at {} in a later snapshot",
                         escaped(sequence.name), sequence.next, sequence.was));
    missing = std::max(missing, sequence.was - std::min(sequence.was, sequence.next));
  }
  if (missing == 0) return;
  out.line(
      fmt::format("numbers that were handed out before will be so again; to skip them restore once more with "
                  "--advance-sequences {}, or more if numbers were handed out since that snapshot",
                  args.advance_sequences + missing));
}

void print_projections(Output& out, const RestoreArgs& args, const RestoreReport& report) {
  if (!report.projections.empty()) out.line("projections with their tables: " + joined(report.projections));
  if (report.rebuilt.empty()) return;
  out.line(fmt::format("projections that are built anew by azoth --db {} projection run: {}", escaped(args.target),
                       joined(report.rebuilt)));
}

void print_text(Context& context, const RestoreArgs& args, const RestoreReport& report, double seconds) {
  Output& out = context.out;
  out.line(fmt::format("restored store {} into {} in {:.2f} s", report.store_id.text(), escaped(args.target), seconds));
  out.line(fmt::format("it ends with {}, from snapshots {}", point_text(report.commit, report.event, report.time),
                       numbers_text(report.snapshots)));
  if (report.rounded) out.line("rounded: " + terminal_safe(*report.rounded));
  out.line("its timeline is " + report.timeline.text());
  if (report.sealed_event) {
    out.line(fmt::format("it is sealed at event {}: azoth --db {} unseal", grouped(*report.sealed_event),
                         escaped(args.target)));
  }
  print_sequences(out, args, report);
  print_projections(out, args, report);
  for (const std::string& note : report.notes) out.line("note: " + terminal_safe(note));
}

}  // namespace

Exit run_restore(Context& context, const RestoreArgs& args) {
  send_log_to_stderr(context);
  const RestoreTarget target = target_of(args);
  const std::optional<Key> key = load_key(args.key_file);
  const std::filesystem::path place = followed(args.target);
  std::error_code unknown;
  if (std::filesystem::equivalent(place, ".", unknown)) {
    throw Error(ErrorCode::InvalidArgument,
                "TARGET is the directory in which this runs, and an empty one is replaced; name it from outside");
  }
  StepLine line;
  const auto start = std::chrono::steady_clock::now();
  const RestoreReport report = Db::restore(followed(args.set), place,
                                           {.target = target,
                                            .sealed = args.sealed,
                                            .advance_sequences = args.advance_sequences,
                                            .projections = !args.no_projections,
                                            .key = key_or_null(key),
                                            .threads = args.threads,
                                            .store = context.globals.options,
                                            .progress = line.callback()});
  line.clear();
  context.done = fmt::format("the store was restored into {}", escaped(args.target));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (context.json()) {
    context.out.json(report_json(args, report, seconds));
  } else {
    print_text(context, args, report, seconds);
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
