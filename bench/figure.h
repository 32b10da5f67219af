// A number that is no rate: a time, a size, a count.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace azoth::bench {

struct Figure {
  std::string workload;
  std::string what;
  double value = 0;
  std::string unit;
  std::optional<double> at_most = {};   // the target, if there is one: this,
  std::optional<double> at_least = {};  // or that
  bool reported = false;                // no target, but wanted among them

  std::optional<double> target() const { return at_most ? at_most : at_least; }
  bool met() const { return at_most ? value <= *at_most : at_least && value >= *at_least; }
};

// Told what happens next.
using Progress = std::function<void(const std::string&)>;

}  // namespace azoth::bench
