#include <fmt/format.h>

#include "commands.h"
#include "text.h"

namespace azoth::cli {

// Nobody else can seal or unseal it between the two looks: the store is ours alone.
Exit run_seal(Context& context, const SealArgs&) {
  Db db = open_store(context);
  bool already = db.meta().sealed_event.has_value();
  EventId last = db.seal();
  context.done = fmt::format("the store is sealed at event {}", last);
  if (context.json()) {
    context.out.json(JsonObject().number("sealed_event", last).boolean("already_sealed", already).finish());
  } else {
    context.out.line(fmt::format("{} at event {}", already ? "was sealed already" : "sealed", last));
  }
  db.close();
  return Exit::Ok;
}

Exit run_unseal(Context& context, const UnsealArgs&) {
  Db db = open_store(context);
  bool sealed = db.meta().sealed_event.has_value();
  db.unseal();
  context.done = "the store is not sealed any more";
  if (context.json()) {
    context.out.json(JsonObject().boolean("was_sealed", sealed).finish());
  } else {
    context.out.line(sealed ? "unsealed" : "was not sealed");
  }
  db.close();
  return Exit::Ok;
}

}  // namespace azoth::cli
