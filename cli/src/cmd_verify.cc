#include <fmt/format.h>

#include "commands.h"
#include "progress.h"
#include "text.h"

namespace azoth::cli {
namespace {

std::vector<std::string> safe(const std::vector<std::string>& texts) {
  std::vector<std::string> result;
  for (const std::string& text : texts) result.push_back(terminal_safe(text));
  return result;
}

void print(Context& context, const VerifyReport& report) {
  Output& out = context.out;
  if (context.json()) {
    out.json(JsonObject()
                 .boolean("ok", report.ok())
                 .number("commits", report.commits)
                 .number("state_keys", report.state_keys)
                 .number("events", report.events)
                 .number("tag_entries", report.tag_entries)
                 .number("journal_batches", report.journal_batches)
                 .number("journal_segments", report.journal_segments)
                 .number("registered_sets", report.registered_sets)
                 .number("projections", report.projections)
                 .raw("problems", json_strings(safe(report.problems)))
                 .raw("notes", json_strings(safe(report.notes)))
                 .finish());
    return;
  }
  for (const std::string& problem : safe(report.problems)) out.line("problem: " + problem);
  for (const std::string& note : safe(report.notes)) out.line("note: " + note);
  out.line(fmt::format("checked {} commits, {} keys, {} events, {} tag entries, {} journal batches in {} segments",
                       grouped(report.commits), grouped(report.state_keys), grouped(report.events),
                       grouped(report.tag_entries), grouped(report.journal_batches), grouped(report.journal_segments)));
  out.line(report.ok() ? "everything is as it was written"
                       : fmt::format("{} problems found", grouped(report.problems.size())));
}

VerifyReport verify(Context& context) {
  Progress progress("entries");
  try {
    Db db = open_store_for_reading(context);
    return db.verify([&](std::uint64_t done, std::uint64_t total) {
      progress.update({.items = done, .done = done, .total = total});
    });
  } catch (const Error& error) {
    // A store too damaged to be opened is an answer to the question, too.
    if (!error.corruption()) throw;
    VerifyReport report;
    report.problems.push_back(error.what());
    return report;
  }
}

}  // namespace

Exit run_verify(Context& context, const VerifyArgs&) {
  VerifyReport report = verify(context);
  print(context, report);
  return report.ok() ? Exit::Ok : Exit::Corrupt;
}

}  // namespace azoth::cli
