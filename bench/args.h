// The command line.
#pragma once

#include <optional>

#include "settings.h"

namespace azoth::bench {

// Nothing if the program is to end with `exit_code` (after --help, or a mistake that was explained).
std::optional<Settings> parse_args(int argc, char** argv, int& exit_code);

}  // namespace azoth::bench
