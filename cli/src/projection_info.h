// Where a projection stands, as `projection list` and `status` say it.
#pragma once

#include <string>

#include "azoth/db.h"

namespace azoth::cli {

std::string projection_json(const ProjectionInfo& info);
std::string state_text(const ProjectionInfo& info);  // "not running"
std::string lag_text(const ProjectionInfo& info);    // "12 events, 3.4 s"
// What else must be known of it: failed, to be built anew, damaged; each a sentence that begins with its name.
std::vector<std::string> projection_notes(const ProjectionInfo& info);

}  // namespace azoth::cli
