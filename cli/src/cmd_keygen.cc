#include <fmt/format.h>

#include "commands.h"
#include "links.h"
#include "text.h"

namespace azoth::cli {

Exit run_keygen(Context& context, const KeygenArgs& args) {
  // A link in the place of the file itself is not followed: that may be somebody else's.
  const std::filesystem::path file(args.file);
  const std::filesystem::path directory = file.has_parent_path() ? followed(file.parent_path()) : ".";
  require_directory(directory);
  const backup::Key key = backup::make_key_file(directory / file.filename());
  context.done = fmt::format("key {} is in {}", key.id(), escaped(args.file));
  if (context.json()) {
    context.out.json(JsonObject().text("key_id", key.id()).bytes("file", args.file).finish());
    return Exit::Ok;
  }
  context.out.line(fmt::format("key {} in {}", key.id(), escaped(args.file)));
  context.out.line(
      "Keep a copy of the file elsewhere, and not beside the backups: without it nobody can restore them, and whoever "
      "has it can read them.");
  return Exit::Ok;
}

}  // namespace azoth::cli
