#include "contest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace azoth::bench {

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

namespace {

using Samples = std::vector<Sample>;  // one a round

std::vector<double> rates(const Samples& samples) {
  std::vector<double> result;
  for (const Sample& sample : samples) result.push_back(sample.rate());
  return result;
}

std::vector<double> ratios(const Samples& ours, const Samples& theirs) {
  std::vector<double> result;
  for (std::size_t round = 0; round < std::min(ours.size(), theirs.size()); ++round) {
    if (theirs[round].rate() > 0) result.push_back(ours[round].rate() / theirs[round].rate());
  }
  return result;
}

Row summarize(const Contest& contest, const Contestant& contestant, const Samples& samples) {
  Row row;
  row.workload = contest.workload;
  row.unit = contest.unit;
  row.system = contestant.system;
  row.threads = contestant.threads;
  row.durability = contestant.durability;
  row.missing = contestant.missing;
  row.at_least = contestant.at_least;
  row.rate = median_of(rates(samples));
  Histogram latencies;
  for (const Sample& sample : samples) {
    latencies.merge(sample.latencies);
    row.operations += sample.operations;
    row.syncs += sample.syncs;
    row.background_writes += sample.background_writes;
  }
  row.p50_us = latencies.quantile_us(0.5);
  row.p99_us = latencies.quantile_us(0.99);
  row.p999_us = latencies.quantile_us(0.999);
  return row;
}

void compare(Row& reference, const Samples& ours, const Samples& theirs) {
  std::vector<double> all = ratios(ours, theirs);
  if (all.empty()) return;
  reference.ratio = median_of(all);
  reference.lowest_ratio = *std::min_element(all.begin(), all.end());
  reference.highest_ratio = *std::max_element(all.begin(), all.end());
}

}  // namespace

std::vector<Row> hold(const Contest& contest, unsigned rounds, const Progress& progress) {
  const std::vector<Contestant>& all = contest.contestants;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].missing.empty()) continue;
    if (all[i].open) all[i].open();
    order.push_back(i);
  }
  std::vector<Samples> samples(all.size());
  for (unsigned round = 0; round < rounds; ++round) {
    for (std::size_t i : order) {
      if (all[i].first_round_only && round != 0) continue;
      progress(fmt::format("{}: round {} of {}, {}", contest.workload, round + 1, rounds, all[i].system));
      samples[i].push_back(all[i].play(round));
    }
    std::reverse(order.begin(), order.end());
  }
  for (std::size_t i : order) {
    if (all[i].close) all[i].close();
  }
  std::vector<Row> rows;
  for (std::size_t i = 0; i < all.size(); ++i) {
    rows.push_back(summarize(contest, all[i], samples[i]));
    if (i != 0) compare(rows.back(), samples[0], samples[i]);
  }
  return rows;
}

}  // namespace azoth::bench
