#include "projection_info.h"

#include <fmt/format.h>

#include "json_writer.h"
#include "text.h"

namespace azoth::cli {
namespace {

bool incomplete(const ProjectionInfo& info) { return !info.declared && info.generation == 0 && !info.problem; }

std::string_view state_code(const ProjectionInfo& info) {
  if (info.failure) return "failed";
  if (info.owner) return "running";
  if (incomplete(info)) return "incomplete";
  return info.generation == 0 ? "never_run" : "stopped";
}

double seconds(const ProjectionInfo& info) { return std::chrono::duration<double>(info.lag_time).count(); }

void text_or_null(JsonObject& object, std::string_view name, const std::optional<std::string>& text) {
  if (text) {
    object.text(name, terminal_safe(*text));
  } else {
    object.null(name);
  }
}

}  // namespace

std::string projection_json(const ProjectionInfo& info) {
  JsonObject object;
  object.text("name", info.name)
      .boolean("declared", info.declared)
      .number("version", info.version)
      .text("state", state_code(info));
  if (auto pid = parse_number(info.owner.value_or(""))) {
    object.number("pid", *pid);
  } else {
    object.null("pid");
  }
  object.number("cursor", info.cursor)
      .number("newest", info.newest)
      .number("lag", info.lag)
      .decimal("lag_seconds", seconds(info))
      .number("dead_letters", info.dead_letters)
      .number("generation", info.generation);
  text_or_null(object, "failure", info.failure);
  text_or_null(object, "rebuild", info.rebuild);
  text_or_null(object, "problem", info.problem);
  return object.finish();
}

std::string state_text(const ProjectionInfo& info) {
  if (info.failure) return info.owner ? "failed, in process " + *info.owner : "failed";
  if (info.owner) return "kept up to date by process " + *info.owner;
  if (incomplete(info)) return "incomplete";
  return info.generation == 0 ? "never run" : "not running";
}

std::string lag_text(const ProjectionInfo& info) {
  if (info.lag == 0) return "none";
  const double s = seconds(info);
  const std::string age = s < 120      ? fmt::format("{:.1f} s", s)
                          : s < 7200   ? fmt::format("{:.0f} min", s / 60)
                          : s < 172800 ? fmt::format("{:.0f} h", s / 3600)
                                       : fmt::format("{:.0f} days", s / 86400);
  return fmt::format("{} events, {}", grouped(info.lag), age);
}

std::vector<std::string> projection_notes(const ProjectionInfo& info) {
  std::vector<std::string> notes;
  if (info.failure) notes.push_back(fmt::format("{} failed: {}", info.name, *info.failure));
  if (info.problem) notes.push_back(fmt::format("{} is not to be relied on: {}", info.name, *info.problem));
  if (info.rebuild) {
    notes.push_back(fmt::format("{} {}: {}", info.name,
                                info.owner ? "is being built anew" : "is built anew by the next run", *info.rebuild));
  }
  if (incomplete(info) && !info.owner) {
    notes.push_back(
        fmt::format("{0} is what an interrupted drop or first run left: azoth projection drop {0}", info.name));
  }
  return notes;
}

}  // namespace azoth::cli
