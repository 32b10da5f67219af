// What the program prints.
#pragma once

#include <string>
#include <vector>

#include "contest.h"

namespace azoth::bench {

// The table of one workload.
std::string table(const std::vector<Row>& rows);
// One JSON object a line: each reference, then Azoth once for each reference.
std::string json_lines(const std::vector<Row>& rows);
// Each target with whether it is met.
std::string verdicts(const std::vector<Row>& rows);

// The same for a workload that has no reference.
std::string table(const std::vector<Figure>& figures);
std::string json_lines(const std::vector<Figure>& figures);
std::string verdicts(const std::vector<Figure>& figures);

}  // namespace azoth::bench
