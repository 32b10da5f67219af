// Taking charge of declared projections.
#pragma once

#include <string>

#include "commands.h"

namespace azoth::cli {

std::string no_projection(const std::string& name);  // what to say when there is none
// Its declaration. NotFound, with the reason, if it cannot be run from here.
Projection load_projection(Db& db, const std::string& name);

}  // namespace azoth::cli
