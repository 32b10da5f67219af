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
  std::optional<double> at_most = {};  // the target

  bool met() const { return at_most && value <= *at_most; }
};

// Told what happens next.
using Progress = std::function<void(const std::string&)>;

}  // namespace azoth::bench
