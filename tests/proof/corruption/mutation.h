// What can happen to files at rest: bits that flip, blocks that are zeroed, misplaced, stale or lost, files that are
// cut, extended, mixed up or older than the others. Made from a number, so that each can be made again.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "files.h"

namespace azoth::proof {

struct Mutation {
  std::string kind;  // "flipped bits"
  std::string what;  // "flipped bits: 3 in canonical/data.mdb at 4711"
  Files files;       // all of them, with it
};

class Mutator {
 public:
  // Damages those of `files` whose name begins with `prefix`. `before`: the same store at an earlier time.
  Mutator(const Files& files, const Files& before, std::string prefix);

  Mutation make(std::uint64_t number) const;

 private:
  struct Maker;

  const Files& files_;
  const Files& before_;
  std::vector<std::string> names_;
};

}  // namespace azoth::proof
