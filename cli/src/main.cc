// The `azoth` program. docs/cli.md is its manual.
#include <unistd.h>

#include "args.h"
#include "process.h"

int main(int argc, char** argv) {
  using namespace azoth::cli;
  prepare_process();
  Output out(STDOUT_FILENO);
  CommandLine line = parse_command_line(argc, argv, out);
  Context context{line.globals, out};
  auto nothing = [&](Context&) { return line.exit; };
  return static_cast<int>(run_reported(context, line.command ? line.command : nothing));
}
