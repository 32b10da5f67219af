#include "commands.h"
#include "submission.h"

namespace azoth::cli {

Exit run_del(Context& context, const DelArgs& args) {
  std::string key = argument_bytes(args.key, args.hex, "KEY");
  std::string if_value = argument_bytes(args.if_value.value_or(""), args.hex, "--if-value");
  Db db = open_store(context);
  Transaction transaction = db.transaction();
  transaction.exclusive(key);
  if (args.if_value) transaction.require_equals(key, if_value);
  if (args.command) transaction.command(*args.command, fingerprint_of({"del", key}));
  TransactionEnd end = transaction.execute([&](Txn& txn) {
    if (txn.exists(key)) txn.del(key);
  });
  if (!end) return report_rejection(context, end.rejection());
  const CommitInfo& commit = end.commit();
  bool existed = commit.keys_deleted != 0;
  context.done = existed ? "the key was deleted" : "there was no such key";
  if (context.json()) {
    JsonObject result;
    if (existed || args.command) {
      result.number("commit", commit.commit_seq);
    } else {
      result.null("commit");  // it took none
    }
    result.boolean("existed", existed);
    context.out.json(add_repeat(result, commit).finish());
  }
  report_repeat(context, args.command, commit);
  db.close();
  return Exit::Ok;
}

}  // namespace azoth::cli
