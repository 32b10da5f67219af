#include <fmt/format.h>

#include <algorithm>

#include "commands.h"
#include "line_reader.h"
#include "progress.h"
#include "projection_info.h"
#include "projection_run.h"
#include "table.h"
#include "text.h"

namespace azoth::cli {
namespace {

std::string_view change_name(Declarations::Change change) {
  using enum Declarations::Change;
  return change == New ? "new" : change == Replaced ? "replaced" : "unchanged";
}

void print_added(Context& context, const Declarations::Added& added, const ProjectionInfo& info) {
  if (context.json()) {
    JsonObject object;
    object.text("projection", added.name)
        .number("version", added.version)
        .text("change", change_name(added.change))
        .boolean("rebuild", info.rebuild.has_value());
    context.out.json(object.finish());
    return;
  }
  using enum Declarations::Change;
  std::string text = fmt::format("{} version {}: {}", added.name, added.version,
                                 added.change == New        ? "declared"
                                 : added.change == Replaced ? "replaced"
                                                            : "unchanged");
  if (added.change != Unchanged && info.owner) {
    text += fmt::format("; process {} keeps the old one up to date until it ends", *info.owner);
  }
  if (info.rebuild) {
    text += fmt::format("; the next run builds its tables anew, because {}", *info.rebuild);
  } else if (info.generation == 0) {
    text += fmt::format("; azoth projection run {} brings it up to date", added.name);
  }
  context.out.line(text);
}

std::optional<ProjectionInfo> find_info(Db& db, const std::string& name) {
  for (ProjectionInfo& info : db.projections().inspect()) {
    if (info.name == name) return std::move(info);
  }
  return std::nullopt;
}

void print_table(Context& context, const std::vector<ProjectionInfo>& all) {
  Table table(context.out, {"name", "version", "cursor", "lag", "dead letters", "generation", "state"});
  for (const ProjectionInfo& info : all) {
    table.add({{info.name},
               {std::to_string(info.version), true},
               {grouped(info.cursor), true},
               {lag_text(info), true},
               {grouped(info.dead_letters), true},
               {info.generation == 0 ? "-" : grouped(info.generation), true},
               {state_text(info)}});
  }
  table.finish();
  for (const ProjectionInfo& info : all) {
    for (const std::string& note : projection_notes(info)) context.out.line(terminal_safe(note));
  }
}

}  // namespace

Exit run_projection_add(Context& context, const ProjectionAddArgs& args) {
  Db db = open_store_for_reading(context);
  const InputFile input(args.file);
  const std::string text = read_all(input, Declarations::kMaxBytes + 1);  // one more is refused
  const Declarations::Added added = Declarations(db.directory()).add(text, input.name());
  print_added(context, added, find_info(db, added.name).value_or(ProjectionInfo{}));
  return Exit::Ok;
}

Exit run_projection_list(Context& context, const ProjectionListArgs&) {
  Db db = open_store_for_reading(context);
  const std::vector<ProjectionInfo> all = db.projections().inspect();
  if (context.json()) {
    for (const ProjectionInfo& info : all) context.out.json(projection_json(info));
  } else if (all.empty()) {
    write_message("azoth: there are no projections; declare one with: azoth projection add FILE.sql");
  } else {
    print_table(context, all);
  }
  return Exit::Ok;
}

Exit run_projection_path(Context& context, const ProjectionPathArgs& args) {
  Db db = open_store_for_reading(context);
  const std::optional<ProjectionInfo> info = find_info(db, args.name);
  if (!info) throw Error(ErrorCode::NotFound, no_projection(args.name));
  if (info->file.empty()) {
    if (info->problem) throw Error(ErrorCode::Corruption, *info->problem);
    throw Error(ErrorCode::NotFound,
                fmt::format("the projection {0} has no tables yet: azoth projection run {0}", args.name));
  }
  const std::string path = std::filesystem::absolute(info->file).lexically_normal().string();
  if (context.json()) {
    context.out.json(JsonObject().text("projection", args.name).bytes("path", path).finish());
  } else {
    context.out.line(path);
  }
  return Exit::Ok;
}

Exit run_projection_drop(Context& context, const ProjectionDropArgs& args) {
  Db db = open_store_for_reading(context);
  Declarations(db.directory()).drop(args.name);
  if (context.json()) {
    context.out.json(JsonObject().text("projection", args.name).boolean("dropped", true).finish());
  } else {
    context.out.line(fmt::format("{} is dropped", args.name));
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
