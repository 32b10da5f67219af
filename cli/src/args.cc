#include "args.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <limits>

#include "arg_parser.h"
#include "azoth/core/limits.h"
#include "text.h"

namespace azoth::cli {
namespace {

constexpr const char* kFooter = R"(Examples:
  azoth --db ledger init
  azoth --db ledger put balance/alice 100
  azoth --db ledger append deposited '{"account":"alice","amount":100}' --tag account:alice
  azoth --db ledger events --tag account:alice
  azoth --db copy init && azoth --db ledger export | azoth --db copy apply -

Arguments after -- are not options: azoth put note -- -draft-
A command that writes exits with 3 while another process has the store open, and names the process.
Exit codes: 0 ok, 1 failure, 2 usage, 3 refused by the store's state (sealed, locked by another process, a requirement
that does not hold, ...), 4 not found, 5 corruption or failed verification.)";

[[noreturn]] void fail(const std::string& name, const std::string& what) { throw CLI::ValidationError(name, what); }

std::uint64_t count_of(const std::string& name, const std::string& text) {
  std::optional<std::uint64_t> number = parse_number(text);
  if (!number)
    fail(name,
         fmt::format("\"{}\" is not a whole number from 0 to {}", text, std::numeric_limits<std::uint64_t>::max()));
  return *number;
}

void add_globals(CLI::App& app, Globals& globals, std::optional<std::string>& directory) {
  add_text(app, "--db", directory, "The store's directory; else $AZOTH_DB, else ./azoth-data")
      ->type_name("DIR")
      ->take_last();
  app.add_flag("--json", globals.json, "Results as JSON (docs/cli.md), messages as one JSON object per line")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Options& options = globals.options;
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  std::vector<CLI::Option*> advanced = {
      add_bytes(app, "--map-size", options.map_bytes, limits::kMinMapBytes, kMost,
                "Address space for LMDB; the file grows up to it (default 1T)"),
      add_bytes(app, "--delta-size", options.delta_bytes, limits::kMinDeltaBytes, limits::kMaxDeltaBytes,
                "Memory of one Delta, of which there are at most three (default 32M)"),
      add_bytes(app, "--segment-size", options.segment_bytes, limits::kMinSegmentBytes, limits::kMaxSegmentBytes,
                "Size of a journal segment (default 64M)"),
  };
  for (CLI::Option* option : advanced) option->group("Advanced");
}

// The one that was given, or the last of those that take another one: "sequence next".
const CLI::App* command_of(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return command;
}

// As it is typed behind "azoth", with a space at its end.
std::string command_words(const CLI::App& app) {
  std::string words;
  for (const CLI::App* command = command_of(app); command->get_parent() != nullptr; command = command->get_parent()) {
    words.insert(0, command->get_name() + ' ');
  }
  return words;
}

// CLI11 takes "[a,b]" apart where an argument may be given several times, unless there is something behind it. What
// is an option and what a value it alone knows: so whatever may have such a value gets it, and loses it again.
constexpr char kBehindBracket = '\x1f';

bool may_be_taken_apart(std::string_view argument) {
  if (!argument.starts_with("--")) return argument.starts_with('[');
  const std::size_t equals = argument.find('=');
  return equals != std::string_view::npos && argument.substr(equals + 1).starts_with('[');
}

void keep_whole(std::vector<std::string>& arguments) {
  for (std::string& argument : arguments) {
    if (may_be_taken_apart(argument)) argument += kBehindBracket;
  }
}

std::string as_given(std::string value) {
  if (may_be_taken_apart(value) && value.ends_with(kBehindBracket)) value.pop_back();
  return value;
}

// CLI11's words, except where they do not say what to do.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  std::vector<std::string> extra = app.remaining(true);
  for (std::string& argument : extra) argument = as_given(std::move(argument));
  if (command_of(app)->get_require_subcommand_min() > 0) {
    std::string words = command_words(app);
    if (extra.empty()) return "a command is required" + (words.empty() ? words : ": azoth " + words + "COMMAND");
    return fmt::format("there is no command or option \"{}\"", extra.front());
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const std::string text = error.what();
    const std::string name = text.substr(0, text.find(':'));
    if (text.find(": At Most ") != std::string::npos) return fmt::format("{} may be given only once", name);
    return fmt::format("{} needs a value", name);
  }
  if (extra.empty()) return error.what();
  if (!extra.front().starts_with('-')) {
    return fmt::format("\"{}\" is one argument too many; text with spaces must be in quotes", extra.front());
  }
  return fmt::format("there is no option \"{}\"; what begins with - and is not an option must come after --",
                     extra.front());
}

// CLI11 would misread these: it takes the next argument for the value of `--option=`, and swallows `++`.
std::optional<std::string> misread(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument == "++") return "\"++\" must come after --";
    if (argument.starts_with("--") && argument.find('=') == argument.size() - 1) {
      return fmt::format("{} has no value", argument);
    }
  }
  return std::nullopt;
}

std::filesystem::path directory_from(const std::optional<std::string>& given) {
  if (given && given->empty()) fail("--db", "the directory's name is empty");
  if (given) return *given;
  if (const char* variable = std::getenv("AZOTH_DB"); variable != nullptr && *variable != '\0') return variable;
  return "./azoth-data";
}

}  // namespace

CLI::Option* add_text(CLI::App& app, const std::string& name, std::string& target, const std::string& help) {
  CLI::callback_t take = [&target](const CLI::results_t& values) { return target = as_given(values.back()), true; };
  return app.add_option(name, take, help)->type_name(name.starts_with('-') ? "TEXT" : "")->take_last();
}

CLI::Option* add_text(CLI::App& app, const std::string& name, std::optional<std::string>& target,
                      const std::string& help) {
  CLI::callback_t take = [&target](const CLI::results_t& values) { return target = as_given(values.back()), true; };
  return app.add_option(name, take, help)->type_name(name.starts_with('-') ? "TEXT" : "");
}

CLI::Option* add_path(CLI::App& app, const std::string& name, std::string& target, const std::string& help) {
  return add_text(app, name, target, help)->check([](const std::string& path) {
    return path.empty() ? std::string("its name is empty") : std::string();
  });
}

CLI::Option* add_texts(CLI::App& app, const std::string& name, std::vector<std::string>& target,
                       const std::string& help) {
  CLI::callback_t take = [&target](const CLI::results_t& values) {
    target.clear();
    for (const std::string& value : values) target.push_back(as_given(value));
    return true;
  };
  return app.add_option(name, take, help)->type_name("TEXT")->take_all();
}

CLI::Option* add_count(CLI::App& app, const std::string& name, std::uint64_t& target, const std::string& help) {
  CLI::callback_t take = [&target, name](const CLI::results_t& values) {
    return target = count_of(name, as_given(values.back())), true;
  };
  return app.add_option(name, take, help)->type_name("N");
}

CLI::Option* add_count(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& target,
                       const std::string& help) {
  CLI::callback_t take = [&target, name](const CLI::results_t& values) {
    return target = count_of(name, as_given(values.back())), true;
  };
  return app.add_option(name, take, help)->type_name("N");
}

CLI::Option* add_bytes(CLI::App& app, const std::string& name, std::size_t& target, std::size_t least, std::size_t most,
                       const std::string& help) {
  CLI::callback_t take = [&target, name, least, most](const CLI::results_t& values) {
    const std::string given = as_given(values.back());
    std::optional<std::uint64_t> size = parse_size(given);
    if (!size) fail(name, fmt::format("\"{}\" is not a size; write a number of bytes, or 64K, 16M, 1G", given));
    if (*size < least) fail(name, fmt::format("{} is too small; the least is {}", given, human_bytes(least)));
    if (*size > most) fail(name, fmt::format("{} is too large; the most is {}", given, human_bytes(most)));
    target = *size;
    return true;
  };
  return app.add_option(name, take, help)->type_name("SIZE")->take_last();
}

CLI::App& add_family(CLI::App& app, const std::string& name, const std::string& group, const std::string& help,
                     const std::string& examples) {
  CLI::App* family = app.add_subcommand(name, help);
  family->group(group);
  family->fallthrough();
  family->require_subcommand(1);
  family->footer(examples + "\nThe options of `azoth --help` (--db, --json, ...) may be given here too.");
  return *family;
}

CommandLine parse_command_line(int argc, char** argv, Output& out) {
  CommandLine line;
  std::optional<std::string> directory;
  CLI::App app("azoth: an embedded, event-sourced database, on the command line", "azoth");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "azoth " AZOTH_VERSION, "Print the version and exit");
  app.get_formatter()->column_width(32);
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  add_globals(app, line.globals, directory);
  add_commands(app, line.command);
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (auto wrong = misread(arguments)) {
    write_message("azoth: " + *wrong);
    write_message("azoth: see azoth --help");
    line.exit = Exit::Usage;
    return line;
  }
  keep_whole(arguments);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(arguments);
    line.globals.directory = directory_from(directory);
  } catch (const CLI::CallForHelp&) {
    out.write(app.help());  // of the command, if there is one
    line.command = nullptr;
  } catch (const CLI::CallForVersion& version) {
    out.line(version.what());
    line.command = nullptr;
  } catch (const CLI::ParseError& error) {
    write_message("azoth: " + usage_message(app, error));
    write_message(fmt::format("azoth: see azoth {}--help", command_words(app)));
    line.command = nullptr;
    line.exit = Exit::Usage;
  }
  return line;
}

}  // namespace azoth::cli
