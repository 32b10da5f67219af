// The command line: what is accepted, and its help.
#pragma once

#include <functional>
#include <optional>

#include "context.h"

namespace azoth::cli {

struct CommandLine {
  Globals globals;
  std::function<Exit(Context&)> command;  // empty when there is nothing to run
  Exit exit = Exit::Ok;                   // then: what to exit with
};

// Parses the arguments. Help and version go to `out`, what is wrong to standard error.
CommandLine parse_command_line(int argc, char** argv, Output& out);

}  // namespace azoth::cli
