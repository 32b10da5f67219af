// What the commands about projections accept; see arg_commands.cc.
#include <limits>

#include "arg_parser.h"
#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

constexpr const char* kGroup = "Projections: tables kept up to date from the events, beside whoever has the store open";

template <class Args>
void declare_nothing(CLI::App&, Args&) {}

template <class Args>
void declare_name(CLI::App& app, Args& args) {
  add_text(app, "NAME", args.name, "The projection")->required();
}

void add_names(CLI::App& app, std::vector<std::string>& names, const std::string& help) {
  add_texts(app, "NAME", names, help)->type_name("")->expected(-1);
}

void declare_add(CLI::App& app, ProjectionAddArgs& args) {
  add_text(app, "FILE", args.file, "The declaration; - is standard input")->required();
}

void add_policy(CLI::App& app, ErrorPolicy& policy) {
  CLI::callback_t then = [&policy](const CLI::results_t& values) {
    const std::string& value = values.back();
    if (value != "fail" && value != "dead-letter") {
      throw CLI::ValidationError("--on-error", "must be fail or dead-letter");
    }
    policy.then = value == "fail" ? ErrorPolicy::Then::Fail : ErrorPolicy::Then::DeadLetter;
    return true;
  };
  app.add_option("--on-error", then,
                 "What becomes of an event that cannot be applied: fail (stop in front of it; the default) or "
                 "dead-letter (put it aside, see azoth dlq, and go on)")
      ->type_name("WHAT");
  CLI::callback_t retries = [&policy](const CLI::results_t& values) {
    const std::optional<std::uint64_t> number = parse_number(values.back());
    if (!number || *number > 1000) throw CLI::ValidationError("--retries", "must be a number from 0 to 1000");
    policy.retries = static_cast<std::uint32_t>(*number);
    return true;
  };
  app.add_option("--retries", retries, "How often it is tried again before that, after growing waits (default 0)")
      ->type_name("N");
}

void declare_run(CLI::App& app, ProjectionRunArgs& args) {
  add_names(app, args.names, "The projections; all that are declared if none is named");
  app.add_flag("--follow", args.follow, "Go on with events as they become durable, until SIGINT (Ctrl-C) or SIGTERM");
  add_policy(app, args.policy);
}

void declare_rebuild(CLI::App& app, ProjectionRebuildArgs& args) {
  declare_name(app, args);
  add_policy(app, args.policy);
}

void declare_dlq_list(CLI::App& app, DlqListArgs& args) {
  add_names(app, args.names, "Only those of these projections");
}

EventId event_id(const std::string& text) {
  if (std::optional<std::uint64_t> id = parse_number(text)) return *id;
  throw CLI::ValidationError("EVENT", "\"" + text + "\" is not an event's id");
}

void declare_dlq_show(CLI::App& app, DlqShowArgs& args) {
  declare_name(app, args);
  add_count(app, "EVENT", args.event, "The event's id")->type_name("")->required();
}

void declare_dlq_choose(CLI::App& app, DlqChooseArgs& args) {
  declare_name(app, args);
  CLI::callback_t take = [&args](const CLI::results_t& values) {
    for (const std::string& value : values) args.events.push_back(event_id(value));
    return true;
  };
  CLI::Option* events = app.add_option("EVENT", take, "The ids of the events")->type_name("")->expected(-1)->take_all();
  app.add_flag("--all", args.all, "All dead letters of this projection")->excludes(events);
}

void declare_sql(CLI::App& app, SqlArgs& args) {
  add_text(app, "QUERY", args.query, "One SELECT; - reads it from standard input")->required();
  add_texts(app, "VALUE", args.values, "The values of its parameters, in their order")->type_name("")->expected(-1);
  add_texts(app, "-p,--projection", args.projections,
            "Query this projection; may be repeated. All that have tables if not given")
      ->type_name("NAME");
  app.add_flag("--csv", args.csv, "Print CSV (RFC 4180) instead of a table");
}

void add_projection_family(CLI::App& app, Run& selected) {
  CLI::App& family =
      add_family(app, "projection", kGroup, "Declare and run projections: add, list, run, rebuild, path, drop",
                 R"(Examples:
  azoth projection add accounts.sql
  azoth projection run
  azoth projection run --follow
  azoth projection list

A projection is declared in a file of SQL, without any code:
  -- azoth:projection accounts version 1
  CREATE TABLE accounts (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL);
  -- azoth:on deposited
  INSERT INTO accounts VALUES (:account, :amount) ON CONFLICT (owner) DO UPDATE SET cents = cents + excluded.cents;
:account is a field of the event's JSON payload. docs/cli.md has the whole format.)");
  add_command<ProjectionAddArgs>(family, selected, "add", "Check a declaration, and keep a copy of it in the store",
                                 R"(Examples:
  azoth projection add accounts.sql

A changed declaration takes the place of the one of the same name, and the next run builds the tables anew, beside the
old ones. Nothing is run yet. What is wrong with a file is said with its line; exit 1.)",
                                 run_projection_add, declare_add);
  add_command<ProjectionListArgs>(family, selected, "list", "Say where each projection stands",
                                  "Examples:\n  azoth projection list\n  azoth --json projection list | jq .lag",
                                  run_projection_list, declare_nothing);
  add_command<ProjectionRunArgs>(family, selected, "run",
                                 "Bring projections up to date, and with --follow keep them so",
                                 R"(Examples:
  azoth projection run
  azoth projection run accounts --on-error dead-letter
  azoth projection run --follow

One process at a time keeps a projection up to date. It may be killed at any time: each event takes effect once.

Exit codes, of the first projection that is not brought up to date, while the others are: 1 an event cannot be applied
(--on-error fail); 3 another process keeps it up to date, and is named; 4 no such projection is declared; 5 damage.)",
                                 run_projection_run, declare_run);
  add_command<ProjectionRebuildArgs>(family, selected, "rebuild", "Build a projection anew from the first event",
                                     "Example:\n  azoth projection rebuild accounts\n\nThe old tables answer queries "
                                     "until the new ones have caught up.",
                                     run_projection_rebuild, declare_rebuild);
  add_command<ProjectionPathArgs>(family, selected, "path", "Print the SQLite file of a projection's current tables",
                                  R"x(Example:
  sqlite3 -readonly "$(azoth projection path accounts)" .schema

Open it for reading only. The name changes with each rebuild. Exit 4 if there are no tables yet.)x",
                                  run_projection_path, declare_name);
  add_command<ProjectionDropArgs>(
      family, selected, "drop", "Remove a projection: declaration, tables and dead letters",
      "Example:\n  azoth projection drop accounts\n\nThe events stay: added again and run, "
      "the projection is as it was. Exit 3 while a process keeps\nit up to date or reads it.",
      run_projection_drop, declare_name);
  for (const char* name : {"add", "list", "run", "rebuild", "path", "drop"})
    family.get_subcommand(name)->group("Commands");
}

void add_dlq_family(CLI::App& app, Run& selected) {
  CLI::App& family =
      add_family(app, "dlq", kGroup, "Dead letters, the events put aside by --on-error: list, show, retry, drop",
                 R"(Examples:
  azoth dlq list
  azoth dlq show accounts 17
  azoth dlq retry accounts 17
  azoth dlq drop accounts --all

A dead letter is an event that a projection could not apply: it is not in the projection's tables. It stays in the log.)");
  add_command<DlqListArgs>(family, selected, "list", "List dead letters, of all projections or of some",
                           "Examples:\n  azoth dlq list\n  azoth --json dlq list accounts", run_dlq_list,
                           declare_dlq_list);
  add_command<DlqShowArgs>(family, selected, "show", "Show a dead letter with its event",
                           "Example:\n  azoth dlq show accounts 17\n\nExit 4 if there is none of this event.",
                           run_dlq_show, declare_dlq_show);
  add_command<DlqChooseArgs>(family, selected, "retry", "Apply dead letters now",
                             R"(Examples:
  azoth dlq retry accounts 17 18
  azoth dlq retry accounts --all

What is applied is no dead letter any more. Exit 1 if one of them has failed again, 3 while another process keeps the
projection up to date. If the declaration has been mended, run the projection instead: it is built anew with all events.)",
                             run_dlq_retry, declare_dlq_choose);
  add_command<DlqChooseArgs>(
      family, selected, "drop", "Give dead letters up: they are never applied",
      "Examples:\n  azoth dlq drop accounts 17\n  azoth dlq drop accounts --all\n\nThe events stay "
      "in the log, and a rebuild meets them again.",
      run_dlq_drop, declare_dlq_choose);
  for (const char* name : {"list", "show", "retry", "drop"}) family.get_subcommand(name)->group("Commands");
}

}  // namespace

void add_projection_commands(CLI::App& app, Run& selected) {
  add_projection_family(app, selected);
  add_command<SqlArgs>(app, selected, "sql", "Query the tables of projections",
                       R"(Examples:
  azoth sql 'SELECT * FROM accounts ORDER BY cents DESC LIMIT 10'
  azoth sql 'SELECT cents FROM accounts WHERE owner = ?' alice
  azoth --json sql 'SELECT owner, cents FROM accounts' | jq -r .owner
  azoth sql --csv 'SELECT * FROM accounts' > accounts.csv
  azoth sql -p accounts "SELECT name FROM sqlite_schema WHERE type = 'table'"

Several projections are joined by their names: accounts.accounts, git.files. A query only reads, and never waits for
whoever keeps the projection up to date. What it shows is the log up to the projection's cursor: azoth projection list.)",
                       run_sql, declare_sql);
  app.get_subcommand("sql")->group(kGroup);
  add_dlq_family(app, selected);
}

}  // namespace azoth::cli
