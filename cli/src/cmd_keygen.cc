#include <fmt/format.h>

#include "commands.h"
#include "text.h"

namespace azoth::cli {

Exit run_keygen(Context& context, const KeygenArgs& args) {
  const backup::Key key = backup::make_key_file(args.file);
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
