// How far the slow commits of many threads are from the usual ones.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "contestants.h"
#include "workload.h"

namespace azoth::bench {

namespace {

constexpr double kMostOfMedian = 3;

struct Tail {
  SystemKind kind;
  std::filesystem::path directory;
  std::unique_ptr<System> system;
  Histogram latencies = {};
  std::vector<double> ratios = {};  // p99 divided by p50, by round
};

std::vector<Tail> open(const Settings& settings, Scratch& scratch) {
  std::vector<SystemKind> kinds = {azoth_system(Safety::PowerCut)};
  if (settings.references) kinds.insert(kinds.end(), {rocksdb_system(Safety::PowerCut), lmdb_group_commit()});
  std::vector<Tail> tails;
  for (const SystemKind& kind : kinds) {
    if (!kind.missing.empty()) continue;
    std::filesystem::path directory = scratch.make(kind.name);
    tails.push_back({kind, directory, kind.open(directory)});
  }
  return tails;
}

std::vector<Figure> tail_64(const Settings& settings, Scratch& scratch, const Progress& progress) {
  Load load = sustained(settings, 64);
  std::vector<Tail> tails = open(settings, scratch);
  for (unsigned round = 0; round < settings.rounds; ++round) {
    for (Tail& tail : tails) {
      if (settings.quick && round != 0 && &tail != &tails.front()) continue;
      progress(fmt::format("tail-64: round {} of {}, {}", round + 1, settings.rounds, tail.kind.name));
      Sample sample = run_load(*tail.system, settings, load, round);
      tail.latencies.merge(sample.latencies);
      tail.ratios.push_back(sample.latencies.quantile_us(0.99) / sample.latencies.quantile_us(0.5));
    }
  }
  std::vector<Figure> figures;
  for (Tail& tail : tails) {
    auto add = [&](const char* what, double value, const char* unit) -> Figure& {
      return figures.emplace_back(Figure{"tail-64", fmt::format("{}: {}", tail.kind.name, what), value, unit});
    };
    bool first = figures.empty();
    add("durable commits", static_cast<double>(tail.latencies.count()), "commits");
    add("p50", tail.latencies.quantile_us(0.5), "us");
    add("p99", tail.latencies.quantile_us(0.99), "us");
    add("p99.9", tail.latencies.quantile_us(0.999), "us");
    Figure& ratio = add("p99 / p50", median_of(tail.ratios), "x");
    if (first) ratio.at_most = kMostOfMedian;
    tail.system.reset();
    std::filesystem::remove_all(tail.directory);
  }
  return figures;
}

}  // namespace

void add_tail_workloads(std::vector<Workload>& all) {
  all.push_back({"tail-64", "p50, p99 and p99.9 of the durable commits of 64 threads", {}, tail_64});
}

}  // namespace azoth::bench
