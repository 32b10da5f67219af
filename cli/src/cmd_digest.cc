#include "commands.h"
#include "progress.h"

namespace azoth::cli {

Exit run_digest(Context& context, const DigestArgs&) {
  Db db = open_store_for_reading(context);
  Progress progress("entries");
  std::string digest = db.digest(
      [&](std::uint64_t done, std::uint64_t total) { progress.update({.items = done, .done = done, .total = total}); });
  progress.clear();
  if (context.json()) {
    context.out.json(JsonObject().text("digest", digest).finish());
  } else {
    context.out.line(digest);
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
