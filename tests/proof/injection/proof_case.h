// What tests of a workload with many plans have in common.
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "runner.h"
#include "support/proof.h"
#include "support/seed.h"

namespace azoth::inject {

inline constexpr std::size_t kAll = SIZE_MAX;

inline std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Workload& one : workloads()) all.emplace_back(one.name);
  return all;
}

inline std::string name_of_case(const testing::TestParamInfo<std::string>& one) { return one.param; }

class ProofCase : public testing::TestWithParam<std::string> {
 protected:
  // Told at the end: a check in a forked process fails if this one has.
  ~ProofCase() override {
    for (const std::string& problem : problems_) ADD_FAILURE() << problem;
  }

  void run(const Case& one) {
    if (problems_.size() == kEnough) return;
    note(runner_.run(one));
    hits_ += runner_.last_was_hit();
  }

  void note(const std::string& problem) {
    ++runs_;
    if (!problem.empty()) problems_.push_back(problem);
  }

  bool enough() const { return problems_.size() == kEnough; }

  // The workloads with backups take ten times as long as the others.
  std::size_t per_workload(std::size_t usual, std::size_t slow) const {
    return GetParam() == "backup" || GetParam() == "restore" ? slow : usual;
  }

  Runner runner_;
  std::size_t runs_ = 0;
  std::size_t hits_ = 0;

 private:
  static constexpr std::size_t kEnough = 20;

  std::vector<std::string> problems_;
};

}  // namespace azoth::inject
