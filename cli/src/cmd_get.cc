#include <fmt/format.h>

#include "commands.h"
#include "text.h"

namespace azoth::cli {

Exit run_get(Context& context, const GetArgs& args) {
  std::string key = argument_bytes(args.key, args.hex, "KEY");
  Db db = open_store_for_reading(context);
  ReadTxn snapshot = db.read();
  std::optional<std::string_view> value = snapshot.get(key);
  if (!value) throw Error(ErrorCode::NotFound, fmt::format("no key {}", printable(key)));
  Output& out = context.out;
  if (args.raw) {
    out.raw(*value);
  } else if (context.json()) {
    out.json(JsonObject().bytes("key", key, args.hex).bytes("value", *value, args.hex).finish());
  } else if (args.hex) {
    out.line(to_hex(*value));
  } else {
    out.line(out.terminal() ? terminal_safe(*value) : *value);
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
