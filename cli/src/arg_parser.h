// Functions over CLI11, for args.cc and arg_commands.cc only.
//
// Values are taken as they stand: CLI11's own conversions would read 010 as octal and take "[a,b]" and "{}" apart.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "context.h"

namespace azoth::cli {

using Run = std::function<Exit(Context&)>;

CLI::Option* add_text(CLI::App& app, const std::string& name, std::string& target, const std::string& help);
CLI::Option* add_text(CLI::App& app, const std::string& name, std::optional<std::string>& target,
                      const std::string& help);
// A file or directory, whose name is not empty.
CLI::Option* add_path(CLI::App& app, const std::string& name, std::string& target, const std::string& help);
// May be given several times, one value each.
CLI::Option* add_texts(CLI::App& app, const std::string& name, std::vector<std::string>& target,
                       const std::string& help);
CLI::Option* add_count(CLI::App& app, const std::string& name, std::uint64_t& target, const std::string& help);
CLI::Option* add_count(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& target,
                       const std::string& help);
CLI::Option* add_bytes(CLI::App& app, const std::string& name, std::size_t& target, std::size_t least, std::size_t most,
                       const std::string& help);

// A subcommand with its arguments of type Args: `declare` adds the options, `run` does the work.
template <class Args>
void add_command(CLI::App& app, Run& selected, const std::string& name, const std::string& help,
                 const std::string& examples, Exit (*run)(Context&, const Args&), void (*declare)(CLI::App&, Args&)) {
  auto args = std::make_shared<Args>();
  CLI::App* command = app.add_subcommand(name, help);
  command->group("Commands that write, and need the store for themselves");
  command->fallthrough();
  command->footer(examples + "\nThe options of `azoth --help` (--db, --json, ...) may be given here too.");
  declare(*command, *args);
  command->callback(
      [args, run, &selected] { selected = [args, run](Context& context) { return run(context, *args); }; });
}

// A command that is followed by one of its own, which are added to what this returns.
CLI::App& add_family(CLI::App& app, const std::string& name, const std::string& group, const std::string& help,
                     const std::string& examples);

// projection, dlq and sql: in arg_projections.cc.
void add_projection_commands(CLI::App& app, Run& selected);

// backup, restore and keygen: in arg_backup.cc.
void add_backup_commands(CLI::App& app, Run& selected);

// All commands; the one that was given is put into `selected`.
void add_commands(CLI::App& app, Run& selected);

}  // namespace azoth::cli
