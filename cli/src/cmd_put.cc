#include <fmt/format.h>

#include "commands.h"
#include "submission.h"

namespace azoth::cli {

Exit run_put(Context& context, const PutArgs& args) {
  std::string key = argument_bytes(args.key, args.hex, "KEY");
  std::string value = argument_bytes(args.value, args.hex, "VALUE");
  std::vector<Condition> conditions;
  if (args.if_value) {
    conditions.push_back(Condition::key_equals(key, argument_bytes(*args.if_value, args.hex, "--if-value")));
  }
  if (args.if_absent) conditions.push_back(Condition::key_absent(key));
  std::string fingerprint = fingerprint_of({"put", key, value});
  WriteSet set;
  set.put(key, value);
  Db db = open_store(context);
  Outcome<Ticket> outcome = db.submit(std::move(set), conditions, {.command = command_of(args.command, fingerprint)});
  if (!outcome) return report_rejection(context, outcome.rejection());
  const CommitInfo& commit = outcome->wait();
  context.done = fmt::format("the key was set by commit {}", commit.commit_seq);
  if (context.json()) {
    JsonObject result;
    result.number("commit", commit.commit_seq);
    context.out.json(add_repeat(result, commit).finish());
  }
  report_repeat(context, args.command, commit);
  db.close();
  return Exit::Ok;
}

}  // namespace azoth::cli
