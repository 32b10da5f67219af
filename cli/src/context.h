// What every command works with: the global options, where results go, how trouble is reported, opening the store.
#pragma once

#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "azoth/db.h"
#include "json_writer.h"
#include "output.h"

namespace azoth::cli {

// docs/cli.md, "Exit codes".
enum class Exit : int { Ok = 0, Failure = 1, Usage = 2, Refused = 3, NotFound = 4, Corrupt = 5 };

Exit exit_for(const Error& error);

// A command line that is wrong in a way only the command can tell.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Globals {
  std::filesystem::path directory;
  bool json = false;
  Options options;
};

struct Context {
  Globals globals;
  Output& out;
  std::string done = {};  // what has been done already, if then something fails

  bool json() const { return globals.json; }
};

// Messages for people on standard error, made safe for a terminal; with --json one object per line.
void report(const Context& context, std::string_view code, std::string_view message);
void report(const Context& context, const Error& error);
// The same with members of its own; used where a plain message is `text`.
void report_object(const Context& context, JsonObject& object, std::string_view text);
// Writes one message line to standard error; failing to do so is ignored.
void write_message(std::string_view text);

// What the library logs goes to standard error; opening a store sees to it.
void send_log_to_stderr(const Context& context);
// Throws NotFound, saying how to create one, if there is no store in the directory.
void require_store(const Context& context);
// The store in the directory, for writing. Never creates one: throws NotFound saying how to.
Db open_store(const Context& context);
// The same for reading: beside a process that has it open for writing or without one, and changing nothing.
Db open_store_for_reading(const Context& context);

// Throws Io if there is no such directory for what is to be written: that is a failure, not NotFound.
void require_directory(const std::filesystem::path& directory);

// Throws UsageError if what a command is about to make lies in the store's own directory, whose files it might replace
// and with which it would be lost.
void require_outside_of_store(const Context& context, const std::filesystem::path& path, std::string_view what);

// Bytes given on the command line: the text itself, or with `hex` what it spells. Throws UsageError naming `what`.
std::string argument_bytes(const std::string& text, bool hex, std::string_view what);

// Runs a command and turns whatever it throws into a message and an exit code.
Exit run_reported(Context& context, const std::function<Exit(Context&)>& command);

}  // namespace azoth::cli
