#include "commands.h"

namespace azoth::cli {

Exit run_del(Context& context, const DelArgs& args) {
  std::string key = argument_bytes(args.key, args.hex, "KEY");
  Db db = open_store(context);
  WriteTxn txn = db.begin();
  bool existed = txn.exists(key);
  JsonObject result;
  if (existed) {
    txn.del(key);
    result.number("commit", txn.commit().commit_seq);
  } else {
    txn.abort();
    result.null("commit");
  }
  if (context.json()) context.out.json(result.boolean("existed", existed).finish());
  db.close();
  return Exit::Ok;
}

}  // namespace azoth::cli
