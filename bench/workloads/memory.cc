// Memory of a process that fills a store of a certain size, changes it at random, and reads it: it must not grow with
// the store.
#include <fmt/format.h>

#include <utility>

#include "child.h"
#include "content.h"
#include "fill.h"
#include "load.h"
#include "process.h"
#include "system.h"
#include "workload.h"

namespace azoth::bench {

namespace {

constexpr double kMiB = 1 << 20;

// What the configuration allows: three Deltas, and the pages that LMDB holds for one transaction of the flusher, of
// which it keeps the memory. A store that is large enough for each row of a Delta to lie on a page of its own comes
// close to it; a larger one must not take more. The tenth is the heap's.
double allowed_mib() {
  constexpr double kDeltas = 3;
  constexpr double kLmdbPages = 131'071;
  constexpr double kPageBytes = 4096;
  return (kDeltas * static_cast<double>(Options().delta_bytes) + kLmdbPages * kPageBytes) * 1.1 / kMiB;
}

std::vector<Figure> memory(const Settings& settings, Scratch& scratch, const Progress& progress) {
  std::vector<std::uint64_t> sizes = {100'000, 1'000'000};
  if (!settings.quick) sizes.push_back(10'000'000);
  std::vector<Figure> figures;
  std::vector<double> peaks;
  for (std::uint64_t size : sizes) {
    progress(fmt::format("memory: {} keys and events", size));
    std::filesystem::path store = scratch.make("azoth");
    double seconds = settings.seconds * settings.rounds;
    Child child({"memory", store.native(), std::to_string(size), std::to_string(settings.value_size),
                 fmt::format("{}", seconds)});
    peaks.push_back(std::stod(child.hear()) / kMiB);
    figures.push_back({"memory", fmt::format("most at {} keys and events", size), peaks.back(), "MiB", allowed_mib()});
    child.kill();
    std::filesystem::remove_all(store);
  }
  figures.push_back({"memory", fmt::format("most at {}, divided by most at {}", sizes.back(), sizes[sizes.size() - 2]),
                     peaks.back() / peaks[peaks.size() - 2], "x"});
  return figures;
}

void read_everything(Db& db, std::uint64_t keys) {
  ReadTxn snapshot = db.read();
  std::uint64_t bytes = 0;
  for (const EventView& event : snapshot.events()) bytes += event.payload().size();
  for (auto [key, value] : snapshot.scan()) bytes += value.size();
  Name key(kKeyPrefix);
  Random random(1);
  for (int i = 0; i < 100'000; ++i) bytes += snapshot.get(key.of(random.below(keys)))->size();
  asm volatile("" : : "r"(bytes) : "memory");
}

}  // namespace

void memory_child(const std::vector<std::string>& arguments) {
  constexpr unsigned kThreads = 4;
  constexpr unsigned kInFlight = 64;
  Settings settings;
  settings.keys = std::stoull(arguments.at(1));
  settings.value_size = std::stoull(arguments.at(2));
  double seconds = std::stod(arguments.at(3));
  MemoryWatch watch;
  {
    Db db = Db::create(arguments.at(0));
    fill_both(db, settings.keys, settings.value_size);
    db.close();
  }
  {
    std::unique_ptr<System> system = azoth_system(Safety::ProcessDeath).open(arguments.at(0));
    run_load(*system, settings, {.threads = kThreads, .in_flight = kInFlight, .seconds = seconds}, 0);
  }
  {
    Db db = Db::open(arguments.at(0));
    read_everything(db, settings.keys);
  }
  say_to_parent(std::to_string(watch.most()));
}

void add_memory_workloads(std::vector<Workload>& all) {
  all.push_back({"memory", "anonymous memory with 10^5, 10^6 and 10^7 keys and events", {}, memory});
}

}  // namespace azoth::bench
