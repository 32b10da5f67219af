// Parses the lines that `apply` reads (docs/cli.md, "The line format").
#pragma once

#include <string_view>

#include "transaction_line.h"

namespace azoth::cli {

// Throws JsonError saying what is wrong with the line.
TransactionLine parse_line(std::string_view text);

}  // namespace azoth::cli
