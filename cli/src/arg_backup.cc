// What backup, restore and keygen accept; see arg_commands.cc.
#include <fmt/format.h>

#include "arg_parser.h"
#include "commands.h"
#include "text.h"

namespace azoth::cli {
namespace {

constexpr const char* kGroup = "Backups: snapshot sets of a store, and stores out of them";

void declare_nothing(CLI::App&, BackupSetsArgs&) {}

void add_key_file(CLI::App& app, std::optional<std::string>& target, const std::string& help) {
  add_text(app, "--key-file", target, help)->type_name("FILE");
}

constexpr const char* kOpensSet = "The key file of an encrypted set: azoth keygen makes them";

template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, Number& target, std::uint64_t least, std::uint64_t most,
                        const std::string& help) {
  CLI::callback_t take = [&target, name, least, most](const CLI::results_t& values) {
    const std::optional<std::uint64_t> number = parse_number(values.back());
    if (!number || *number < least || *number > most) {
      throw CLI::ValidationError(name, fmt::format("must be a number from {} to {}", least, most));
    }
    target = static_cast<Number>(*number);
    return true;
  };
  return app.add_option(name, take, help)->type_name("N");
}

void add_threads(CLI::App& app, unsigned& target) {
  add_number(app, "--threads", target, 1, 256, "How many threads do the work (default 2)");
}

void declare_create(CLI::App& app, BackupCreateArgs& args) {
  add_path(app, "DIR", args.directory, "The snapshot set; made if there is nothing of that name")->required();
  app.add_flag("--incremental", args.incremental, "Only what was committed since the snapshot before it");
  CLI::Option* sealed = app.add_flag("--sealed", args.sealed,
                                     "Projections are brought up to date before, and the snapshot says that its "
                                     "history ends there; needs the store for "
                                     "itself");
  app.add_flag("--seal-store", args.seal_store,
               "The same, and the store stays sealed, also if no snapshot comes of it: see azoth seal")
      ->excludes(sealed);
  add_number(app, "--level", args.level, 0, 19, "How hard zstd compresses, 1 to 19 (default 3); 0: not at all");
  app.add_flag("--encrypt", args.encrypt, "Make an encrypted set; needs --key-file");
  add_key_file(app, args.key_file, "The key of an encrypted set: azoth keygen makes them");
  app.add_flag("--no-projections", args.no_projections,
               "Without the tables of projections; a restore builds them from the events");
  add_number(app, "--shards", args.shards, 1, backup::kMaxShards,
             "How many files a full snapshot of a large store has for its state, and as many for its events (default "
             "4)");
  add_threads(app, args.threads);
  add_bytes(app, "--retain", args.retain_bytes, 0, std::numeric_limits<std::size_t>::max(),
            "How much of its journal the store may keep for the next incremental snapshot (default 1G)");
}

void declare_list(CLI::App& app, BackupListArgs& args) {
  add_path(app, "DIR", args.directory, "The snapshot set")->required();
  add_key_file(app, args.key_file, kOpensSet);
}

void declare_verify(CLI::App& app, BackupVerifyArgs& args) {
  add_path(app, "DIR", args.directory, "The snapshot set")->required();
  CLI::Option* no_restore =
      app.add_flag("--no-restore", args.no_restore, "Only read the set; nothing is restored on trial");
  add_text(app, "--scratch", args.scratch, "Where the trial is restored to, and removed again; beside DIR if not given")
      ->type_name("DIR")
      ->excludes(no_restore);
  add_key_file(app, args.key_file, kOpensSet);
  add_threads(app, args.threads);
}

void declare_prune(CLI::App& app, BackupPruneArgs& args) {
  add_path(app, "DIR", args.directory, "The snapshot set")->required();
  add_number(app, "--keep", args.keep, 1, 1'000'000,
             "How many full snapshots to keep, the newest ones, with all that build on them")
      ->required();
  add_key_file(app, args.key_file, kOpensSet);
}

void declare_repair(CLI::App& app, BackupRepairArgs& args) {
  add_path(app, "DIR", args.directory, "The snapshot set")->required();
  app.add_flag("--remove-broken", args.remove_broken, "Remove broken snapshots, too, for good");
  add_key_file(app, args.key_file, kOpensSet);
}

void declare_forget(CLI::App& app, BackupForgetArgs& args) {
  add_path(app, "SET", args.set, "The set's directory, or its id: azoth backup sets")->required();
}

void declare_restore(CLI::App& app, RestoreArgs& args) {
  add_path(app, "DIR", args.set, "The snapshot set")->required();
  add_path(app, "TARGET", args.target, "The new store's directory, which must not exist or be empty")->required();
  CLI::Option* event =
      add_count(app, "--event", args.event, "Up to this event, and no commit behind it")->type_name("ID");
  CLI::Option* commit = add_count(app, "--commit", args.commit, "Up to this commit")->type_name("SEQ")->excludes(event);
  add_text(app, "--time", args.time, "Up to the last commit before the first one that is later, RFC 3339")
      ->type_name("TIME")
      ->excludes(event)
      ->excludes(commit);
  add_text(app, "--timeline", args.timeline, "Of this timeline's history; that of the newest snapshot if not given")
      ->type_name("ID");
  app.add_flag("--sealed", args.sealed, "The restored store is sealed: see azoth seal");
  add_count(app, "--advance-sequences", args.advance_sequences,
            "Each sequence skips N numbers, which may have been handed out since");
  app.add_flag("--no-projections", args.no_projections,
               "Without the tables of projections; azoth projection run builds them from the events");
  add_key_file(app, args.key_file, kOpensSet);
  add_threads(app, args.threads);
}

void declare_keygen(CLI::App& app, KeygenArgs& args) {
  add_path(app, "FILE", args.file, "The key file to make; a file that is there is never overwritten")->required();
}

void add_taking_commands(CLI::App& family, Run& selected) {
  add_command<BackupCreateArgs>(family, selected, "create", "Take a snapshot of the store",
                                R"(Examples:
  azoth backup create /backups/ledger
  azoth backup create /backups/ledger --incremental
  azoth keygen ledger.key && azoth backup create /backups/ledger --encrypt --key-file ledger.key
  azoth backup create /backups/ledger --sealed

Works beside a process that has the store open; only --sealed and --seal-store need the store for themselves. A full
snapshot has everything; an incremental one what was committed since the newest snapshot.

Exit codes: 3 another process writes to the set, or with --sealed or --seal-store has the store open; 4 there is no
store, or only a full snapshot can bring what came since the last one; 5 the store is damaged.)",
                                run_backup_create, declare_create);
  add_command<BackupSetsArgs>(family, selected, "sets", "List the snapshot sets that the store keeps its journal for",
                              "Examples:\n  azoth backup sets\n  azoth --json backup sets | jq -r .set_id",
                              run_backup_sets, declare_nothing);
  add_command<BackupForgetArgs>(family, selected, "forget", "Keep no journal for a snapshot set any more",
                                R"(Examples:
  azoth backup forget /backups/ledger
  azoth backup forget 00112233445566778899aabbccddeeff

For a set that gets no more snapshots. The set itself is not touched; its next snapshot must be a full one. Exit 4 if
the store knows no such set.)",
                                run_backup_forget, declare_forget);
}

void add_set_commands(CLI::App& family, Run& selected) {
  add_command<BackupListArgs>(family, selected, "list", "List the snapshots of a set, and what can be restored",
                              "Examples:\n  azoth backup list /backups/ledger\n  azoth --json backup list "
                              "/backups/ledger | jq '.ordinal // empty'\n\nReads the manifests only: azoth backup "
                              "verify reads all. Exit 0 also if there are broken snapshots.",
                              run_backup_list, declare_list);
  add_command<BackupVerifyArgs>(family, selected, "verify", "Prove that a snapshot set restores",
                                R"(Examples:
  azoth backup verify /backups/ledger
  azoth backup verify /backups/ledger --no-restore
  azoth backup verify /backups/ledger --scratch /var/tmp --key-file ledger.key

Reads every record of every snapshot, restores the newest state into a scratch directory, verifies that store and
removes it. Exit 5 if anything is wrong.)",
                                run_backup_verify, declare_verify);
  add_command<BackupPruneArgs>(family, selected, "prune", "Remove old snapshots from a set",
                               R"(Example:
  azoth backup prune /backups/ledger --keep 3

Keeps the newest N full snapshots and everything behind the oldest of them. The newest full one is read first: if it is
damaged nothing is removed; exit 5. Nor is it if there are no more than N. If stores of several histories share the set,
because one was restored out of it, this is done for each history by itself.)",
                               run_backup_prune, declare_prune);
  add_command<BackupRepairArgs>(family, selected, "repair", "Remove what interrupted backups left in a set",
                                R"(Examples:
  azoth backup repair /backups/ledger
  azoth backup repair /backups/ledger --remove-broken

Also restores the set's own small files from their copies. Broken snapshots stay unless --remove-broken is given: what
is left of one may be worth something.)",
                                run_backup_repair, declare_repair);
}

}  // namespace

void add_backup_commands(CLI::App& app, Run& selected) {
  CLI::App& family =
      add_family(app, "backup", kGroup, "Snapshot sets: create, list, verify, prune, repair, sets, forget",
                 R"(Examples:
  azoth backup create /backups/ledger
  azoth backup create /backups/ledger --incremental
  azoth backup list /backups/ledger
  azoth backup verify /backups/ledger
  azoth restore /backups/ledger restored --event 1000

A snapshot set is a directory with full and incremental snapshots of one store. create, sets and forget are about the
store (--db); the others need nothing but the set.)");
  add_taking_commands(family, selected);
  add_set_commands(family, selected);
  for (CLI::App* command : family.get_subcommands({})) command->group("Commands");
  add_command<RestoreArgs>(app, selected, "restore", "Make a new store out of a snapshot set",
                           R"(Examples:
  azoth restore /backups/ledger restored
  azoth restore /backups/ledger restored --event 1000
  azoth restore /backups/ledger restored --time 2026-11-21T09:30:00Z --sealed

All that is used is verified before; the new store appears whole or not at all, on a timeline of its own. --db means
nothing here: the new store is TARGET.

Exit codes: 3 TARGET is there and not empty; 4 there is no such set, or it does not reach what was asked for (it says
what it does reach); 5 a snapshot is damaged.)",
                           run_restore, declare_restore);
  add_command<KeygenArgs>(app, selected, "keygen", "Make a key file for encrypted backups",
                          R"(Example:
  azoth keygen ledger.key

Whoever loses the key loses the backups, and whoever reads it reads them: keep a copy elsewhere, and not beside them.
The file is for its owner only, and the key is never printed.)",
                          run_keygen, declare_keygen);
  for (const char* name : {"restore", "keygen"}) app.get_subcommand(name)->group(kGroup);
}

}  // namespace azoth::cli
