// Reading while others write: what durable commits that go on meanwhile do to the latency of point reads, and how the
// references fare in the same position.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "azoth/core/error.h"
#include "contestants.h"
#include "fill.h"
#include "workload.h"

namespace azoth::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSteadyRate = 5000;
constexpr unsigned kSteadyThreads = 16;
// Beside a steady rate, what rounds of the same work differ by; beside all that the device takes, what a read past a
// full Delta may cost more than one without.
constexpr double kMostBesideSteady = 1.25;
constexpr double kMostBesideFull = 2;

void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// One thread, random keys, a snapshot for each.
Sample read(System& system, const Settings& settings, unsigned round, double seconds) {
  std::unique_ptr<Reader> reader = system.reader();
  Random random(round + 1);
  Name key(kKeyPrefix);
  Sample sample;
  auto from = Clock::now();
  auto end = from + std::chrono::duration<double>(seconds);
  auto now = from;
  while (now < end) {
    reader->read(key.of(random.below(settings.keys)));
    auto begun = std::exchange(now, Clock::now());
    sample.latencies.add(static_cast<std::uint64_t>((now - begun).count()));
  }
  sample.operations = sample.latencies.count();
  sample.seconds = std::chrono::duration<double>(now - from).count();
  return sample;
}

struct Both {
  Sample reads;
  Sample commits;
};

// Reads while the load goes on.
Both read_beside(System& system, const Settings& settings, const Load& load, unsigned round) {
  Both both;
  std::exception_ptr error;
  std::thread reading([&] {
    try {
      sleep_for(load.warm_up);
      both.reads = read(system, settings, round, 0.9 * load.seconds);
    } catch (...) {
      error = std::current_exception();
    }
  });
  try {
    both.commits = run_load(system, settings, load, round);
  } catch (...) {
    error = std::current_exception();
  }
  reading.join();
  if (error) std::rethrow_exception(error);
  if (both.commits.operations == 0) throw Error(ErrorCode::NotFound, "nothing was committed while reading");
  return both;
}

// --- What becomes of the latencies

struct Beside {
  std::string name;
  Load load;
  double at_most;  // of p99, in that of the reads alone
  Histogram reads = {};
  std::vector<double> commits = {};  // a second, by round
  std::vector<double> ratios = {};   // p99 divided by that of the reads alone, by round
};

void add_figures(std::vector<Figure>& figures, const Beside& beside) {
  auto add = [&](const std::string& what, double value, const std::string& unit) -> Figure& {
    return figures.emplace_back(Figure{"reads-while-writing", fmt::format("{}: {}", beside.name, what), value, unit});
  };
  add("durable commits a second meanwhile", median_of(beside.commits), "commits/s");
  add("p50 of a read", beside.reads.quantile_us(0.5), "us");
  add("p99 of a read", beside.reads.quantile_us(0.99), "us");
  add("p99.9 of a read", beside.reads.quantile_us(0.999), "us");
  add("p99 / p99 alone", median_of(beside.ratios), "x").at_most = beside.at_most;
}

std::vector<Figure> reads_while_writing(const Settings& settings, Scratch& scratch, const Progress& progress) {
  std::filesystem::path store = scratch.make("azoth");
  std::vector<Figure> figures;
  {
    Db db = Db::create(store);
    fill_keys(db, settings.keys, settings.value_size);
    std::unique_ptr<System> system = azoth_on(db, Safety::PowerCut);
    Load steady = sustained(settings, kSteadyThreads);
    steady.rate = kSteadyRate;
    std::vector<Beside> all = {{"steady rate", steady, kMostBesideSteady},
                               {"full rate", sustained(settings, 64), kMostBesideFull}};
    Histogram alone;
    for (unsigned round = 0; round < settings.rounds; ++round) {
      progress(fmt::format("reads-while-writing: round {} of {}", round + 1, settings.rounds));
      Sample sample = read(*system, settings, round, settings.seconds);
      alone.merge(sample.latencies);
      for (Beside& beside : all) {
        Both both = read_beside(*system, settings, beside.load, round);
        beside.reads.merge(both.reads.latencies);
        beside.commits.push_back(both.commits.rate());
        beside.ratios.push_back(both.reads.latencies.quantile_us(0.99) / sample.latencies.quantile_us(0.99));
      }
    }
    for (auto [what, share] : {std::pair{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}}) {
      figures.push_back(
          {"reads-while-writing", fmt::format("alone: {} of a read", what), alone.quantile_us(share), "us"});
    }
    for (const Beside& beside : all) add_figures(figures, beside);
  }
  std::filesystem::remove_all(store);
  return figures;
}

// --- Beside the references

Contestant reader_of(const SystemKind& kind, const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, 1);
  load.threads = 1;
  load.keys = settings.keys;
  Contestant result = contestant(kind, settings, scratch, load);
  if (!result.missing.empty()) return result;
  auto system = std::make_shared<std::unique_ptr<System>>();
  std::filesystem::path directory = scratch.make(kind.name);
  result.open = [=, open = kind.open] {
    *system = open(directory);
    (*system)->fill(load.keys, settings.value_size);
  };
  result.close = [=] {
    system->reset();
    std::filesystem::remove_all(directory);
  };
  result.play = [=](unsigned round) { return read_beside(**system, settings, load, round).reads; };
  return result;
}

Contest get_while_writing(const Settings& settings, Scratch& scratch) {
  Contest contest{"get-while-writing", {}, "reads"};
  for (const SystemKind& kind : {azoth_system(Safety::PowerCut), bare_lmdb(Safety::PowerCut),
                                 rocksdb_system(Safety::PowerCut), sqlite_system(Safety::PowerCut)}) {
    contest.contestants.push_back(reader_of(kind, settings, scratch));
  }
  return contest;
}

}  // namespace

void add_mixed_workloads(std::vector<Workload>& all) {
  all.push_back({"reads-while-writing",
                 "latency of point reads: alone, beside 5,000 durable commits a second, beside 64 threads of them",
                 {},
                 reads_while_writing});
  all.push_back({.name = "get-while-writing",
                 .what = "one thread reads, a snapshot each, while another commits, synced",
                 .contest = get_while_writing,
                 .run = Run::InFull});
}

}  // namespace azoth::bench
