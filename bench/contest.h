// How a comparison is made on a machine that others use, too: all systems take turns in short rounds, forwards and
// backwards in alternation, and each round's rates are compared with each other only. What is reported is the median
// of the rounds' ratios, so that neither a slow minute of the disk nor a single stall decides.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "figure.h"
#include "histogram.h"

namespace azoth::bench {

// What one system did in one round.
struct Sample {
  std::uint64_t operations = 0;
  double seconds = 0;
  std::uint64_t syncs = 0;
  std::uint64_t background_writes = 0;
  Histogram latencies;

  double rate() const { return seconds > 0 ? static_cast<double>(operations) / seconds : 0; }
};

struct Contestant {
  std::string system;
  unsigned threads = 1;
  std::string durability;
  std::function<Sample(unsigned round)> play;
  std::function<void()> open = {};      // before the first round
  std::function<void()> close = {};     // after the last one
  std::optional<double> at_least = {};  // of a reference: what Azoth's rate divided by its rate should be
  std::string missing = {};             // why it cannot play; empty if it can
  bool first_round_only = false;
};

// One system over all rounds.
struct Row {
  std::string workload;
  std::string unit;
  std::string system;
  unsigned threads = 1;
  std::string durability;
  std::string missing;
  double rate = 0;  // the median of the rounds'
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
  std::uint64_t operations = 0;
  std::uint64_t syncs = 0;
  std::uint64_t background_writes = 0;

  // Of a reference: Azoth's rate divided by this one, over the rounds.
  double ratio = 0;
  double lowest_ratio = 0;
  double highest_ratio = 0;
  std::optional<double> at_least;

  bool met() const { return at_least && ratio >= *at_least; }
};

struct Contest {
  std::string workload;
  std::vector<Contestant> contestants;  // the first is Azoth, the others are references
  std::string unit = "commits";         // what is counted
};

double median_of(std::vector<double> values);  // 0 if there are none

// The rows, in the order of the contestants. `progress` is told what happens next.
std::vector<Row> hold(const Contest& contest, unsigned rounds, const Progress& progress);

}  // namespace azoth::bench
