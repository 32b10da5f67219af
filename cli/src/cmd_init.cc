#include <fmt/format.h>

#include "commands.h"
#include "text.h"

namespace azoth::cli {

Exit run_init(Context& context, const InitArgs&) {
  std::string directory = context.globals.directory.string();
  Db db = Db::create(directory, context.globals.options);
  std::string id = db.meta().store_id.text();
  db.close();
  if (context.json()) {
    context.out.json(JsonObject().text("store_id", id).bytes("directory", directory).finish());
  } else {
    context.out.line(fmt::format("created store {} in {}", id, escaped(directory)));
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
