// What a store costs as it grows: each measured at sizes that are far apart, and how much more the largest costs than
// the smallest. And how its file grows while a reader keeps an old snapshot.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "azoth/core/error.h"
#include "contest.h"
#include "fill.h"
#include "load.h"
#include "process.h"
#include "system.h"
#include "workload.h"

namespace azoth::bench {

namespace {

using Clock = std::chrono::steady_clock;
using Path = std::filesystem::path;

constexpr std::uint64_t kEventsOfTag = 10;

double seconds_since(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

// Microseconds of one step, on one thread.
template <class Step>
double cost_of(double seconds, const Step& step) {
  step();
  std::uint64_t steps = 0;
  auto from = Clock::now();
  do {
    for (int i = 0; i < 100; ++i) step();
    steps += 100;
  } while (seconds_since(from) < seconds);
  return seconds_since(from) / static_cast<double>(steps) * 1e6;
}

double point_read(Db& db, const Settings& settings) {
  std::unique_ptr<Reader> reader = azoth_on(db, Safety::PowerCut)->reader();
  Random random(1);
  Name key(kKeyPrefix);
  return cost_of(settings.seconds, [&] { reader->read(key.of(random.below(settings.keys))); });
}

double events_of_tag(Db& db, const Settings& settings) {
  ReadTxn snapshot = db.read();
  Random random(1);
  Name tag(kTagPrefix);
  return cost_of(settings.seconds, [&] {
    std::uint64_t found = 0;
    EventQuery query{.tags = {std::string(tag.of(random.below(settings.keys / kEventsOfTag)))}};
    for (const EventView& event : snapshot.events(query)) {
      use_value(event.payload());
      ++found;
    }
    if (found != kEventsOfTag) throw Error(ErrorCode::NotFound, fmt::format("a tag has {} events", found));
  });
}

double durable_commit(Db& db, const Settings& settings) {
  Load load{.warm_up = settings.seconds / 4, .seconds = settings.seconds};
  return run_load(*azoth_on(db, Safety::PowerCut), settings, load, 0).latencies.quantile_us(0.5);
}

// With moving them to LMDB, which is where the size tells. As many for each size, few beside the smallest.
double written_commit(Db& db, const Settings& settings) {
  constexpr std::uint64_t kCommits = 30'000;
  std::unique_ptr<System> system = azoth_on(db, Safety::ProcessDeath);
  std::unique_ptr<Client> client = system->client();
  ChangeSource changes(settings, {}, 0, 1);
  auto from = Clock::now();
  for (std::uint64_t i = 0; i < kCommits; ++i) client->commit(changes.next());
  system->settle();
  return seconds_since(from) / kCommits * 1e6;
}

double append_in_batches(Db& db, const Settings& settings) {
  constexpr std::uint64_t kBatches = 3;
  constexpr std::uint64_t kEvents = 10'000;
  Random random(2);
  Name tag(kTagPrefix);
  auto from = Clock::now();
  for (std::uint64_t batch = 0; batch < kBatches; ++batch) {
    WriteSet set;
    for (std::uint64_t i = 0; i < kEvents; ++i) {
      set.append({.type = kEventType,
                  .tags = {tag.of(random.below(settings.keys / kEventsOfTag))},
                  .payload = some_bytes(random(), settings.value_size)});
    }
    db.submit(std::move(set), {}, {.timeout = std::chrono::minutes(1)}).value().wait();
  }
  return seconds_since(from) / (kBatches * kEvents) * 1e6;
}

double opening(const Path& store, std::uint64_t events) {
  std::vector<double> all;
  for (int i = 0; i < 3; ++i) {
    auto from = Clock::now();
    Db db = Db::open(store);
    all.push_back(seconds_since(from) * 1e6);
    if (db.read().last_event() < events) throw Error(ErrorCode::NotFound, "a store has lost events");
    db.close();
  }
  return median_of(all);
}

struct Cost {
  const char* what;
  double us;
};

// What adds events comes last.
std::vector<Cost> costs(std::uint64_t size, Settings settings, Scratch& scratch) {
  settings.keys = size;
  Path store = scratch.make("azoth");
  std::vector<Cost> result;
  {
    Db db = Db::create(store);
    fill_keys(db, size, settings.value_size);
    fill_events(db, size, size / kEventsOfTag, settings.value_size);
    db.close();
  }
  result.push_back({"open", opening(store, size)});
  {
    Db db = Db::open(store);
    result.push_back({"point read, a snapshot each", point_read(db, settings)});
    result.push_back({"the 10 events of a tag", events_of_tag(db, settings)});
    result.push_back({"durable commit, 1 thread, p50", durable_commit(db, settings)});
    result.push_back({"event appended in a batch of 10,000", append_in_batches(db, settings)});
    result.push_back({"Written commit, 1 thread, moved to LMDB", written_commit(db, settings)});
    db.close();
  }
  std::filesystem::remove_all(store);
  return result;
}

std::vector<Figure> growth(const Settings& settings, Scratch& scratch, const Progress& progress) {
  std::vector<std::uint64_t> sizes = {100'000, 1'000'000, 10'000'000};
  if (settings.quick) sizes = {100'000, 300'000, 1'000'000};
  std::vector<std::vector<Cost>> all;
  for (std::uint64_t size : sizes) {
    progress(fmt::format("growth: {} keys and events", size));
    all.push_back(costs(size, settings, scratch));
  }
  std::vector<Figure> figures;
  for (std::size_t i = 0; i < all[0].size(); ++i) {
    for (std::size_t s = 0; s < sizes.size(); ++s) {
      figures.push_back({"growth", fmt::format("{}, at {}", all[s][i].what, sizes[s]), all[s][i].us, "us"});
    }
    Figure ratio{"growth", fmt::format("{}, at {} / at {}", all[0][i].what, sizes.back(), sizes.front()),
                 all.back()[i].us / all.front()[i].us, "x"};
    ratio.reported = true;
    figures.push_back(ratio);
  }
  return figures;
}

// --- Beside a reader

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// Synced commits at a steady rate, as many as there are in so many seconds.
std::uint64_t commit_for(Db& db, const Settings& settings, double seconds) {
  Load load{.threads = 16, .rate = 5000, .events = false, .seconds = seconds};
  std::unique_ptr<System> system = azoth_on(db, Safety::PowerCut);
  std::uint64_t commits = run_load(*system, settings, load, 0).operations;
  system->settle();
  if (commits == 0) throw Error(ErrorCode::NotFound, "nothing was committed");
  return commits;
}

// The same keys are written again and again, without events, so that what grows is not needed. Pages that LMDB can use
// again do not count, and the file is extended ahead.
std::vector<Figure> growth_under_reader(const Settings& settings, Scratch& scratch, const Progress& progress) {
  double seconds = settings.quick ? 1 : 600;
  Path store = scratch.make("azoth");
  std::vector<Figure> figures;
  {
    Db db = Db::create(store);
    auto add = [&](const std::string& when) {
      figures.push_back({"growth-under-reader", "pages in use " + when, mib(db.status().map_used_bytes), "MiB"});
      figures.back().reported = true;
      figures.push_back({"growth-under-reader", "LMDB's file " + when, mib(disk_bytes(store / "canonical")), "MiB"});
    };
    fill_keys(db, settings.keys, settings.value_size);
    progress("growth-under-reader: nobody reads");
    commit_for(db, settings, seconds / 2);
    add("without a reader");
    {
      progress(fmt::format("growth-under-reader: a reader of {:.0f} s", seconds));
      ReadTxn reader = db.read();
      std::uint64_t commits = commit_for(db, settings, seconds);
      add(fmt::format("under a reader of {:.0f} s", seconds));
      figures.push_back({"growth-under-reader", "durable commits meanwhile", static_cast<double>(commits), "commits"});
      if (!reader.get(Name(kKeyPrefix).of(0))) throw_missing_key();
    }
    commit_for(db, settings, 1.1);  // until what was kept is free
    add("after it has gone");
  }
  std::filesystem::remove_all(store);
  return figures;
}

}  // namespace

void add_growth_workloads(std::vector<Workload>& all) {
  all.push_back(
      {"growth", "what commits, reads, batches and opening cost at 10^5, 10^6 and 10^7 keys and events", {}, growth});
  all.push_back({"growth-under-reader",
                 "what LMDB keeps for a snapshot of 10 minutes, beside 5,000 commits a second",
                 {},
                 growth_under_reader});
}

}  // namespace azoth::bench
