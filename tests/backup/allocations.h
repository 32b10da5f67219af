// What a piece of code takes from operator new: the memory it has at once, and the largest piece. Of this thread.
#pragma once

#include <cstddef>

namespace azoth::backup::test {

class Allocations {
 public:
  Allocations();   // begins to count
  ~Allocations();  // ends
  std::size_t peak() const;
  std::size_t largest() const;
};

}  // namespace azoth::backup::test
