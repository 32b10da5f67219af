#include <algorithm>

#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

// What is in the prefix and between --from and --to.
KeyRange range_of(const ScanArgs& args) {
  std::string prefix = argument_bytes(args.prefix, args.hex, "PREFIX");
  KeyRange range;
  if (!prefix.empty()) range = {.from = prefix, .to = prefix_end(prefix)};
  if (args.from) {
    std::string from = argument_bytes(*args.from, args.hex, "--from");
    if (!range.from || from > *range.from) range.from = from;
  }
  if (args.to) {
    std::string to = argument_bytes(*args.to, args.hex, "--to");
    if (!range.to || to < *range.to) range.to = to;
  }
  return range;
}

std::string shown(std::string_view bytes, bool hex) { return hex ? to_hex(bytes) : escaped(bytes); }

}  // namespace

Exit run_scan(Context& context, const ScanArgs& args) {
  KeyRange range = range_of(args);
  Db db = open_store_for_reading(context);
  ReadTxn snapshot = db.read();
  JsonObject object;
  for (auto [key, value] : snapshot.range(range, {.reverse = args.reverse, .limit = args.limit})) {
    if (context.json()) {
      object.bytes("key", key, args.hex);
      if (!args.keys_only) object.bytes("value", value, args.hex);
      context.out.json(object.finish());
    } else {
      context.out.write(shown(key, args.hex));
      if (!args.keys_only) context.out.write('\t' + shown(value, args.hex));
      context.out.write("\n");
    }
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
