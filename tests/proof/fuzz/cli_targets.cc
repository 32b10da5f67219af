// Targets of the command line: the lines of `apply`, JSON, arguments.
#include <fcntl.h>

#include "args.h"
#include "json_reader.h"
#include "line_parser.h"
#include "output.h"
#include "target.h"
#include "transaction_line.h"

namespace azoth::proof {
namespace {

using namespace cli;

AZOTH_FUZZ(apply_line, "a line is refused, or becomes a transaction with what it says") {
  TransactionLine line;
  try {
    line = parse_line(input);
  } catch (const JsonError&) {
    return;
  }
  accepted([&] {
    const WriteSet set = write_set_of(line);
    expect(set.puts() == line.puts.size() && set.deletes() == line.dels.size() && set.events() == line.events.size(),
           "nothing of a line is lost");
  });
  accepted([&] {
    const auto conditions = conditions_of(line);
    expect(conditions.size() >= line.requirements.size(), "no condition is lost");
  });
}

AZOTH_FUZZ(json_shape, "what bytes are as JSON can be said of any bytes") {
  const JsonShape shape = inspect_json(input);
  expect(!shape.object || shape.one_line, "an object on a line of its own");
  expect(!shape.one_line || input.find('\n') == std::string_view::npos, "one line");
}

// Arguments are separated by zero bytes.
AZOTH_FUZZ(arguments, "arguments are refused with exit code 2, or name a command") {
  std::vector<std::string> words{"azoth"};
  for (std::string_view rest = input; !rest.empty() && words.size() < 32;) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    words.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  static const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  Output out(nowhere);
  const CommandLine line = parse_command_line(static_cast<int>(words.size()), argv.data(), out);
  out.flush();
  expect(line.exit == Exit::Ok || line.exit == Exit::Usage, "parsing does nothing else");
  expect(!line.command || line.exit == Exit::Ok, "what is refused is not run");
}

}  // namespace
}  // namespace azoth::proof
