// What the program prints.
#pragma once

#include <string>
#include <vector>

#include "contest.h"

namespace azoth::bench {

// What is aimed at, a line each with what was measured.
struct Verdicts {
  std::string text;
  unsigned met = 0;
  unsigned missed = 0;  // or not measured

  void add(const std::string& what, const std::string& target, const std::string& measured, bool is_met);
  void report(const std::string& what, const std::string& measured);  // without a target
  Verdicts& operator+=(const Verdicts& other);
  std::string summary() const;  // one line
};

// The table of one workload.
std::string table(const std::vector<Row>& rows);
// One JSON object for each line of the table; docs/performance.md describes its members.
std::string json_lines(const std::vector<Row>& rows);
Verdicts verdicts(const std::vector<Row>& rows);

// The same for a workload that has no reference.
std::string table(const std::vector<Figure>& figures);
std::string json_lines(const std::vector<Figure>& figures);
Verdicts verdicts(const std::vector<Figure>& figures);

}  // namespace azoth::bench
