#include <fmt/format.h>

#include "backup_text.h"
#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

using backup::Key;
using backup::RestoreReport;
using backup::SetReport;

std::size_t count_problems(const SetReport& report) {
  std::size_t count = report.problems.size();
  for (const SetReport::Snapshot& snapshot : report.snapshots) count += snapshot.problems.size();
  return count;
}

std::string snapshot_json(const SetReport::Snapshot& snapshot) {
  JsonObject object;
  object.number("ordinal", snapshot.ordinal);
  if (snapshot.manifest) {
    object.text("type", backup::type_name(snapshot.manifest->type));
  } else {
    object.null("type");
  }
  return object.boolean("ok", snapshot.problems.empty())
      .raw("problems", json_strings(safe_texts(snapshot.problems)))
      .finish();
}

std::string restored_json(const std::optional<RestoreReport>& restored) {
  if (!restored) return "null";
  JsonObject object;
  object.number("commit", restored->commit)
      .number("event", restored->event)
      .raw("snapshots", json_numbers(restored->snapshots));
  return object.finish();
}

std::string report_json(const SetReport& report) {
  std::string snapshots = "[";
  for (const SetReport::Snapshot& snapshot : report.snapshots) {
    if (snapshots.size() > 1) snapshots += ',';
    snapshots += snapshot_json(snapshot);
  }
  return JsonObject()
      .boolean("ok", report.ok())
      .raw("snapshots", snapshots + ']')
      .raw("unfinished", json_numbers(report.unfinished))
      .number("files", report.files)
      .number("bytes", report.bytes)
      .number("records", report.records)
      .raw("restored", restored_json(report.restored))
      .raw("problems", json_strings(safe_texts(report.problems)))
      .raw("checked", json_strings(safe_texts(report.checked)))
      .finish();
}

void print_snapshot(Output& out, const SetReport::Snapshot& snapshot) {
  std::string about = snapshot.manifest ? fmt::format(" ({}), {}", backup::type_name(snapshot.manifest->type),
                                                      content_text(*snapshot.manifest))
                                        : std::string();
  if (snapshot.problems.empty()) about += ": whole";
  out.line(fmt::format("snapshot {}{}", snapshot.ordinal, about));
  for (const std::string& problem : snapshot.problems) out.line("problem: " + terminal_safe(problem));
}

void print(Context& context, const std::string& directory, const SetReport& report) {
  Output& out = context.out;
  if (context.json()) {
    out.json(report_json(report));
    return;
  }
  for (const SetReport::Snapshot& snapshot : report.snapshots) print_snapshot(out, snapshot);
  for (const std::string& problem : report.problems) out.line("problem: " + terminal_safe(problem));
  if (!report.unfinished.empty()) {
    out.line(fmt::format("note: unfinished: {}; azoth backup repair {} removes what is left of them",
                         numbers_text(report.unfinished), escaped(directory)));
  }
  for (const std::string& checked : report.checked) out.line("checked: " + terminal_safe(checked));
  if (report.restored) {
    out.line(fmt::format("restored on trial: {}, from snapshots {}",
                         point_text(report.restored->commit, report.restored->event, report.restored->time),
                         numbers_text(report.restored->snapshots)));
  }
  out.line(fmt::format("read {} files, {}, {} records", grouped(report.files), human_bytes(report.bytes),
                       grouped(report.records)));
  out.line(report.ok() ? "everything is as it was written"
                       : fmt::format("{} problems found", grouped(count_problems(report))));
}

SetReport verify(const Context& context, const BackupVerifyArgs& args, const Key* key) {
  StepLine line;
  try {
    return Db::verify_backup(args.directory, {.restore = !args.no_restore,
                                              .scratch = args.scratch.value_or(""),
                                              .key = key,
                                              .threads = args.threads,
                                              .store = context.globals.options,
                                              .progress = line.callback()});
  } catch (const Error& error) {
    // A set too damaged to be opened is an answer to the question, too.
    if (!error.corruption()) throw;
    SetReport report;
    report.problems.emplace_back(error.what());
    return report;
  }
}

}  // namespace

Exit run_backup_verify(Context& context, const BackupVerifyArgs& args) {
  send_log_to_stderr(context);
  if (args.scratch) require_directory(*args.scratch);
  const std::optional<Key> key = load_key(args.key_file);
  const SetReport report = verify(context, args, key_or_null(key));
  print(context, args.directory, report);
  return report.ok() ? Exit::Ok : Exit::Corrupt;
}

}  // namespace azoth::cli
