// A run: lives of the writing process, one after another, most of which end by kill -9.
#pragma once

#include <string>

#include "life.h"

namespace azoth::proof::histories {

struct RunReport {
  unsigned lives = 0;
  unsigned kills = 0;         // of a life
  unsigned kills_beside = 0;  // of a process that reads beside it
  unsigned stops = 0;         // SIGSTOP, and on
  double seconds = 0;
};

// Throws if a child ends otherwise than it was told to.
RunReport run(const Places& places, const Plan& plan);

}  // namespace azoth::proof::histories
