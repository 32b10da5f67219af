#include <fmt/format.h>

#include "backup_text.h"
#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

using backup::SnapshotSet;

// Also without a slash at the end.
std::filesystem::path absolute(const std::filesystem::path& path) {
  std::filesystem::path normal = std::filesystem::absolute(path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

// Also of a set that is not there any more, by the place where it was.
Uuid set_named(const std::vector<RetainedSet>& known, const std::string& name) {
  if (const std::optional<Uuid> id = Uuid::parse(name)) return *id;
  try {
    return SnapshotSet::open(name, {.read_only = true}).id();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound) throw;
  }
  for (const RetainedSet& set : known) {
    if (set.place == name || absolute(set.place) == absolute(name)) return set.set_id;
  }
  throw Error(ErrorCode::NotFound,
              fmt::format("there is no snapshot set in {}, and the store knows none of this place; azoth backup sets "
                          "lists those that it knows",
                          name));
}

}  // namespace

Exit run_backup_sets(Context& context, const BackupSetsArgs&) {
  require_store(context);
  const std::vector<RetainedSet> sets = Db::retained_sets(context.globals.directory);
  for (const RetainedSet& set : sets) {
    if (context.json()) {
      context.out.json(retained_json(set));
    } else {
      context.out.line(fmt::format("{}  {}", set.set_id.text(), retained_text(set)));
    }
  }
  if (sets.empty() && !context.json()) write_message("azoth: the store keeps its journal for no snapshot set");
  return Exit::Ok;
}

Exit run_backup_forget(Context& context, const BackupForgetArgs& args) {
  send_log_to_stderr(context);
  require_store(context);
  const std::filesystem::path& directory = context.globals.directory;
  const Uuid set = set_named(Db::retained_sets(directory), args.set);
  if (!Db::forget_set(directory, set)) {
    throw Error(ErrorCode::NotFound,
                fmt::format("the store keeps no journal for the set {}; azoth backup sets lists those that it does",
                            set.text()));
  }
  if (context.json()) {
    context.out.json(JsonObject().text("set_id", set.text()).boolean("forgotten", true).finish());
  } else {
    context.out.line(fmt::format("the store keeps no journal for the set {} any more", set.text()));
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
