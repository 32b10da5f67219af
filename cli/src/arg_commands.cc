// What each command accepts. What it does is in cmd_NAME.cc, and for people in docs/cli.md.
#include <map>

#include "arg_parser.h"
#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

template <class Args>
void declare_none(CLI::App&, Args&) {}

constexpr const char* kReadingGroup = "Commands that read, also beside a process that has the store open";
constexpr const char* kHexHelp = "Keys and values are hex digits, on the command line and in the output";

void declare_apply(CLI::App& app, ApplyArgs& args) {
  add_text(app, "FILE", args.file, "JSON Lines, one transaction each; - is standard input")->required();
  static const std::map<std::string, Durability> kLevels = {
      {"applied", Durability::Applied}, {"written", Durability::Written}, {"durable", Durability::Durable}};
  CLI::callback_t level = [&args](const CLI::results_t& values) {
    auto found = kLevels.find(values.back());
    if (found == kLevels.end()) throw CLI::ValidationError("--durability", "must be applied, written or durable");
    args.durability = found->second;
    return true;
  };
  app.add_option("--durability", level,
                 "How safe a commit must be to count: applied (in its place, but a crash may take it back), written "
                 "(survives kill -9) or durable (survives a power cut; the default)")
      ->type_name("LEVEL");
  CLI::callback_t pipeline = [&args](const CLI::results_t& values) {
    std::uint64_t depth = parse_number(values.back()).value_or(0);
    if (depth == 0 || depth > 1'000'000) {
      throw CLI::ValidationError("--pipeline", "must be a number from 1 to 1000000");
    }
    args.pipeline = depth;
    return true;
  };
  app.add_option("--pipeline", pipeline,
                 "How many commits may be on their way to that level at once (default 256). The result is the same "
                 "for every N: each line sees the lines before it")
      ->type_name("N");
  app.add_flag("--ack", args.ack, "Print a JSON line for each commit as soon as it has reached that level, in order");
  app.add_flag("--keep-going", args.keep_going, "Report lines that are refused and go on; exit 3 if there were any");
}

void add_command_id(CLI::App& app, std::optional<std::string>& target) {
  add_text(app, "--command", target,
           "An id of this request, 1 to 128 bytes: however often it is sent, it is carried out once")
      ->type_name("ID");
}

void declare_put(CLI::App& app, PutArgs& args) {
  add_text(app, "KEY", args.key, "The key, 1 to 511 bytes")->required();
  add_text(app, "VALUE", args.value, "Its new value, may be empty")->required();
  CLI::Option* if_value =
      add_text(app, "--if-value", args.if_value, "Only if the key has this value")->type_name("VALUE");
  app.add_flag("--if-absent", args.if_absent, "Only if there is no such key")->excludes(if_value);
  add_command_id(app, args.command);
  app.add_flag("--hex", args.hex, kHexHelp);
}

void declare_get(CLI::App& app, GetArgs& args) {
  add_text(app, "KEY", args.key, "The key")->required();
  CLI::Option* hex = app.add_flag("--hex", args.hex, kHexHelp);
  app.add_flag("--raw", args.raw, "Print exactly the value's bytes, without a newline, on a terminal too")
      ->excludes(hex);
}

void declare_del(CLI::App& app, DelArgs& args) {
  add_text(app, "KEY", args.key, "The key")->required();
  add_text(app, "--if-value", args.if_value, "Only if the key has this value")->type_name("VALUE");
  add_command_id(app, args.command);
  app.add_flag("--hex", args.hex, kHexHelp);
}

void declare_scan(CLI::App& app, ScanArgs& args) {
  add_text(app, "PREFIX", args.prefix, "Only keys that begin with this");
  add_text(app, "--from", args.from, "Only keys from this one on")->type_name("KEY");
  add_text(app, "--to", args.to, "Only keys before this one")->type_name("KEY");
  app.add_flag("--reverse", args.reverse, "Greatest key first");
  add_count(app, "--limit", args.limit, "At most N keys");
  app.add_flag("--keys-only", args.keys_only, "Print no values");
  app.add_flag("--hex", args.hex, kHexHelp);
}

void declare_append(CLI::App& app, AppendArgs& args) {
  add_text(app, "TYPE", args.type, "The event's type, 1 to 255 bytes")->required();
  CLI::Option* payload = add_text(app, "PAYLOAD", args.payload,
                                  "Its payload, by convention JSON; - reads standard input, without the newline at "
                                  "its end; empty if not given");
  add_text(app, "--payload", args.payload_option, "The same, as an option")->excludes(payload);
  add_texts(app, "--tag", args.tags, "A tag, e.g. account:alice; may be repeated");
  add_text(app, "--metadata", args.metadata, "A JSON object stored beside the payload")->type_name("JSON");
  add_text(app, "--time", args.time, "The event's time, RFC 3339; the commit's if not given")->type_name("TIME");
  add_texts(app, "--if-none-tag", args.if_none_tags,
            "Only if no event has this tag; may be repeated: no event has all of them")
      ->type_name("TAG");
  add_texts(app, "--if-none-type", args.if_none_types,
            "With --if-none-tag: events of this type only; may be repeated: of any of them")
      ->type_name("TYPE");
  add_count(app, "--after", args.after, "With --if-none-tag: events after this id only")->type_name("ID");
  add_texts(app, "--expect", args.expect,
            "Only if the newest event with TAG has this id; or none (there is no such event), exists (there is one) or "
            "any; may be repeated")
      ->type_name("TAG=ID");
  add_command_id(app, args.command);
  app.add_flag("--hex", args.hex, "The payload is hex digits");
}

void declare_events(CLI::App& app, EventsArgs& args) {
  add_count(app, "--after", args.after, "Only events after this id")->type_name("ID");
  add_count(app, "--to", args.to, "Only events up to this id, itself included")->type_name("ID");
  add_count(app, "--last", args.last, "Only the newest N of what the other options select");
  add_texts(app, "--type", args.types, "Only events of this type; may be repeated: any of them");
  add_texts(app, "--tag", args.tags, "Only events with this tag; may be repeated: all of them");
  app.add_flag("--reverse", args.reverse, "Newest first");
  add_count(app, "--limit", args.limit, "At most N events; with --follow it ends after them");
  app.add_flag(
      "--follow", args.follow,
      "Go on with events as they become durable, until SIGINT (Ctrl-C) or SIGTERM; not with --to or --reverse");
}

void declare_export(CLI::App& app, ExportArgs& args) {
  add_path(app, "FILE", args.file, "Where to; replaced only when all is written. Standard output if - or not given");
}

void declare_repair(CLI::App& app, RepairArgs& args) {
  app.add_flag("--accept-loss", args.accept_loss, "Give up what is lost, and make the store usable again");
}

void declare_sequence_next(CLI::App& app, SequenceNextArgs& args) {
  add_text(app, "NAME", args.name, "The sequence, 1 to 128 bytes; it begins at 0 with its first use")->required();
  CLI::callback_t count = [&args](const CLI::results_t& values) {
    args.count = parse_number(values.back()).value_or(0);
    if (args.count == 0) throw CLI::ValidationError("N", "must be a whole number, at least 1");
    return true;
  };
  app.add_option("N", count, "How many numbers, one behind the other (default 1)")->type_name("");
}

void declare_sequence_peek(CLI::App& app, SequencePeekArgs& args) {
  add_text(app, "NAME", args.name, "The sequence")->required();
}

void add_sequence_commands(CLI::App& app, Run& selected) {
  CLI::App* sequence = app.add_subcommand("sequence", "Hand out numbers, each of them once: next, peek, list");
  sequence->group("Commands that write, and need the store for themselves");
  sequence->fallthrough();
  sequence->require_subcommand(1);
  sequence->footer(
      "Examples:\n  azoth sequence next invoice\n  azoth sequence list\n\nnext writes; peek and list read, also beside "
      "a process that has the store open.\nThe options of `azoth --help` (--db, --json, ...) may be given here too.");
  add_command<SequenceNextArgs>(*sequence, selected, "next", "Hand out the next number, or the next N",
                                "Examples:\n  azoth sequence next invoice\n  azoth sequence next invoice 100\n\nPrints "
                                "the number, or FIRST..LAST for several. None of them is ever handed out again.",
                                run_sequence_next, declare_sequence_next);
  add_command<SequencePeekArgs>(*sequence, selected, "peek", "Print the number that would come next",
                                "Example:\n  azoth sequence peek invoice\n\nIt is not used up. Beside a process that "
                                "has the store open, it is the end of what that one has reserved.",
                                run_sequence_peek, declare_sequence_peek);
  add_command<SequenceListArgs>(*sequence, selected, "list", "List all sequences, each with the number that comes next",
                                "Examples:\n  azoth sequence list\n  azoth --json sequence list | jq -r .sequence",
                                run_sequence_list, declare_none);
  for (const char* name : {"peek", "list"}) sequence->get_subcommand(name)->group(kReadingGroup);
}

void add_writing_commands(CLI::App& app, Run& selected) {
  add_command<InitArgs>(app, selected, "init", "Create a new, empty store",
                        "Example:\n  azoth --db ledger init\n\nThe directory must not exist or be empty; exit 3 if it "
                        "holds a store already.",
                        run_init, declare_none);
  add_command<ApplyArgs>(app, selected, "apply", "Commit transactions from JSON Lines, one line = one atomic commit",
                         R"(A line:
  {"require":{"k":"v"},"del":["a"],"put":{"k":"w"},"events":[{"type":"t","tags":["x:y"],"payload":{"n":1}}]}
More conditions, and a command id, with which a line that is sent again is carried out once:
  {"command":"request-4711","if_none":{"types":["t"],"tags":["x:y"],"after":17},"expect":{"a:b":17,"c:d":"none"},...}
All members are optional (docs/cli.md has the whole format). It stops at the first line that is refused.

Examples:
  azoth apply history.jsonl
  producer | azoth apply - --ack --durability written
  azoth --db copy init && azoth export | azoth --db copy apply -

Exit codes: 1 a line is not valid; 3 a condition of a line does not hold, or its command was carried out before with
another line, or with --keep-going any line was refused, or the store is sealed, or another process (a service, say) has
it open.)",
                         run_apply, declare_apply);
  add_command<PutArgs>(app, selected, "put", "Set a key",
                       "Examples:\n  azoth put balance/alice 100\n  azoth put balance/alice 90 --if-value 100\n  azoth "
                       "put note -- -draft-\n  azoth put --hex 00ff 0102\n\nExit 3, with nothing changed, if "
                       "--if-value or --if-absent does not hold.",
                       run_put, declare_put);
  add_command<DelArgs>(app, selected, "del", "Remove a key",
                       "Example:\n  azoth del balance/alice\n\nRemoving a key that is not there is fine (exit 0) and "
                       "commits nothing; --json says whether it was there. Exit 3 if --if-value does not hold.",
                       run_del, declare_del);
  add_command<RepairArgs>(app, selected, "repair",
                          "Say what is left of a store whose journal is damaged, and keep that",
                          R"(Examples:
  azoth repair
  azoth repair --accept-loss

For a store that cannot be opened (exit 5). Without --accept-loss nothing is changed: what is damaged, what can be kept
and what would be lost is printed. Copy the directory before you accept a loss; restoring a backup may lose less.

Exit codes: 0 nothing is to be repaired, or the store was repaired; 3 another process holds the store; 5 something is
wrong and was not repaired.)",
                          run_repair, declare_repair);
  add_command<AppendArgs>(app, selected, "append", "Append an event and print its id",
                          R"(Examples:
  azoth append deposited '{"account":"alice","amount":100}' --tag account:alice
  azoth append imported - < payload.json
  azoth append noted '{}' --time 2026-11-21T09:30:00Z --metadata '{"by":"alice"}'
  azoth append opened '{}' --tag account:alice --expect account:alice=none
  azoth append booked '{}' --tag seat:7 --if-none-tag seat:7 --if-none-type booked
  azoth append deposited '{"amount":100}' --tag account:alice --command request-4711

Exit 3 if a condition does not hold; then nothing is appended. A request that was sent before with the same --command
prints the id it got then, and appends nothing; exit 3 if what is to be appended is something else.)",
                          run_append, declare_append);
  add_command<SealArgs>(app, selected, "seal", "Close the history: refuse every write until it is unsealed",
                        R"(Example:
  azoth seal

Prints the id of the last event. Sealing a sealed store changes nothing and is fine. Writes to a sealed store exit
with 3, also from other programs. A store that another process holds (a service, say) cannot be sealed from here.)",
                        run_seal, declare_none);
  add_command<UnsealArgs>(app, selected, "unseal", "Let a sealed store be written to again",
                          R"(Example:
  azoth unseal

Unsealing a store that is not sealed changes nothing and is fine.)",
                          run_unseal, declare_none);
}

void add_reading_commands(CLI::App& app, Run& selected) {
  add_command<GetArgs>(app, selected, "get", "Print a key's value",
                       "Examples:\n  azoth get balance/alice\n  azoth get --raw picture > picture.png\n\nExit 4 if "
                       "there is no such key.",
                       run_get, declare_get);
  add_command<ScanArgs>(app, selected, "scan", "List keys and values in key order",
                        "Examples:\n  azoth scan balance/\n  azoth scan --from a --to b --keys-only\n  azoth scan "
                        "--reverse --limit 10\n  azoth --json scan | jq -r .key",
                        run_scan, declare_scan);
  add_command<EventsArgs>(
      app, selected, "events", "List events",
      "Examples:\n  azoth events --last 10\n  azoth events --after 1000 --limit 100\n  azoth "
      "--json events --type deposited --tag account:alice\n  azoth events --last 10 --follow\n\n--follow "
      "also shows what other processes commit. It ends with exit code 0.",
      run_events, declare_events);
  add_command<StatusArgs>(
      app, selected, "status", "Say where the store stands",
      "Examples:\n  azoth status\n  azoth --json status\n\nIt works beside a process that has the store "
      "open for writing; numbers of memory, syncs and the like\nare then not that process's, and are marked so.",
      run_status, declare_none);
  add_command<VerifyArgs>(app, selected, "verify", "Check everything that is stored",
                          "Example:\n  azoth verify\n\nExit 5 if anything is not as it was written.", run_verify,
                          declare_none);
  add_command<DigestArgs>(app, selected, "digest", "Print a hash over all state and events",
                          "Example:\n  azoth digest\n\nStores with equal content have equal digests.", run_digest,
                          declare_none);
  add_command<ExportArgs>(app, selected, "export", "Write everything as lines that apply reads back",
                          "Examples:\n  azoth export ledger.jsonl\n  azoth --db copy init && azoth export | azoth --db "
                          "copy apply -",
                          run_export, declare_export);
}

}  // namespace

void add_commands(CLI::App& app, Run& selected) {
  add_writing_commands(app, selected);
  add_sequence_commands(app, selected);
  add_reading_commands(app, selected);
  add_projection_commands(app, selected);
  add_backup_commands(app, selected);
  for (const char* name : {"get", "scan", "events", "status", "verify", "digest", "export"}) {
    app.get_subcommand(name)->group(kReadingGroup);
  }
}

}  // namespace azoth::cli
