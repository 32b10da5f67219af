// The workloads: one file a group in this folder, each adding its own to the list.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "contest.h"
#include "scratch.h"
#include "settings.h"

namespace azoth::bench {

struct Workload {
  std::string name;
  std::string what;  // one line
  // Makes the contestants; what they need on disk goes into the scratch directory.
  std::function<Contest(const Settings& settings, Scratch& scratch)> make;
};

std::vector<Workload> all_workloads();
// Those with one of the names; a name that is nobody's selects all that begin with it. Throws InvalidArgument for a
// name that selects none.
std::vector<Workload> select_workloads(const std::vector<std::string>& names);

void add_commit_workloads(std::vector<Workload>& all);  // commits.cc

}  // namespace azoth::bench
