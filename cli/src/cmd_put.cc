#include "commands.h"

namespace azoth::cli {

Exit run_put(Context& context, const PutArgs& args) {
  WriteSet set;
  set.put(argument_bytes(args.key, args.hex, "KEY"), argument_bytes(args.value, args.hex, "VALUE"));
  Db db = open_store(context);
  CommitInfo commit = db.submit(std::move(set))->wait();
  if (context.json()) context.out.json(JsonObject().number("commit", commit.commit_seq).finish());
  db.close();
  return Exit::Ok;
}

}  // namespace azoth::cli
