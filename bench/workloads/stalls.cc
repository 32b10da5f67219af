// The longest waits for a durable commit while Deltas are flushed and segments switched and trimmed.
//
// A device stalls by itself, too. What it shows is measured twice: alone, in turns with the load, and by a probe beside
// the load that syncs a few bytes in a file of its own now and then. The probe also feels what the load does to the
// device, so what is beyond the probe is Azoth's own, and what is beyond the device alone includes the device being
// busy.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "azoth/core/error.h"
#include "beside.h"
#include "fill.h"
#include "load.h"
#include "system.h"
#include "workload.h"

namespace azoth::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kAtMostBeyond = 50;   // ms
constexpr double kLeastSeconds = 1.5;  // a round: a Delta is flushed each second at the latest

class Probe {
 public:
  explicit Probe(const std::filesystem::path& directory)
      : device_(raw_device().open(directory)), thread_([this](const std::atomic<bool>& stopped) { run(stopped); }) {}

  const Histogram& stop() {
    thread_.stop();
    return latencies_;
  }

 private:
  void run(const std::atomic<bool>& stopped) {
    std::unique_ptr<Client> client = device_->client();
    while (!stopped.load()) {
      auto from = Clock::now();
      client->commit({.key = "probe", .value = "probe"});
      latencies_.add(static_cast<std::uint64_t>((Clock::now() - from).count()));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  std::unique_ptr<System> device_;
  Histogram latencies_;
  Beside thread_;
};

// Segments are numbered one after the other, spares ahead of those in use.
std::uint64_t newest_segment(const std::filesystem::path& store) {
  std::uint64_t newest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(store / "journal")) {
    std::string name = entry.path().filename().native();
    std::uint64_t number = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), number).ec == std::errc())
      newest = std::max(newest, number);
  }
  return newest;
}

struct Seen {
  Histogram azoth;
  Histogram beside;
  Histogram alone;
  std::uint64_t flushes = 0;
  std::uint64_t segments = 0;
};

// Backups of a store, one after the other.
class Backups {
 public:
  Backups(Db& db, std::filesystem::path place)
      : db_(db), place_(std::move(place)), thread_([this](const std::atomic<bool>& stopped) { run(stopped); }) {}

  // How many there were; the last one is waited for.
  std::uint64_t stop() {
    thread_.stop();
    return taken_;
  }

 private:
  void run(const std::atomic<bool>& stopped) {
    while (!stopped.load()) {
      db_.backup(place_ / "set", {.threads = 1});
      std::filesystem::remove_all(place_ / "set");
      ++taken_;
    }
  }

  Db& db_;
  const std::filesystem::path place_;
  std::uint64_t taken_ = 0;
  Beside thread_;
};

// The rounds of a load on an open store.
void watch(Seen& seen, Db& db, const Load& load, const Settings& settings, Scratch& scratch, const Progress& progress) {
  std::unique_ptr<System> azoth = azoth_on(db, Safety::PowerCut);
  std::filesystem::path raw = scratch.make("raw");
  std::unique_ptr<System> device = raw_device().open(raw);
  Load alone = load;
  alone.threads = 1;
  alone.seconds = settings.seconds;
  std::uint64_t first_segment = newest_segment(db.directory());
  unsigned rounds = settings.quick ? 1 : settings.rounds;
  for (unsigned round = 0; round < rounds; ++round) {
    progress(fmt::format("stalls, {} threads: round {} of {}", load.threads, round + 1, rounds));
    seen.alone.merge(run_load(*device, settings, alone, round).latencies);
    std::filesystem::path beside = scratch.make("beside");
    Probe probe(beside);
    Sample sample = run_load(*azoth, settings, load, round);
    seen.azoth.merge(sample.latencies);
    seen.beside.merge(probe.stop());
    seen.flushes += sample.background_writes;
    std::filesystem::remove_all(beside);
  }
  seen.segments = newest_segment(db.directory()) - first_segment;
  std::filesystem::remove_all(raw);
}

Seen watch(const Load& load, const Settings& settings, Scratch& scratch, const Progress& progress,
           const Options& options = {}) {
  Seen seen;
  std::filesystem::path store = scratch.make("azoth");
  {
    Db db = Db::create(store, options);
    watch(seen, db, load, settings, scratch, progress);
  }
  std::filesystem::remove_all(store);
  return seen;
}

std::vector<Figure> figures(const std::string& name, const Seen& seen) {
  auto ms = [](double microseconds) { return microseconds / 1000; };
  double longest = ms(seen.azoth.max_us());
  double beside = ms(seen.beside.max_us());
  double alone = ms(seen.alone.max_us());
  return {{name, "durable commits", static_cast<double>(seen.azoth.count()), "commits"},
          {name, "flushes meanwhile", static_cast<double>(seen.flushes), "flushes"},
          {name, "segments begun meanwhile", static_cast<double>(seen.segments), "segments"},
          {name, "p50", ms(seen.azoth.quantile_us(0.5)), "ms"},
          {name, "p99", ms(seen.azoth.quantile_us(0.99)), "ms"},
          {name, "p99.9", ms(seen.azoth.quantile_us(0.999)), "ms"},
          {name, "longest", longest, "ms"},
          {name, "longest sync of the device beside the load", beside, "ms"},
          {name, "longest sync of the device alone", alone, "ms"},
          {name, "longest, beyond the device beside the load", longest - beside, "ms", kAtMostBeyond},
          {name, "longest, beyond the device alone", longest - alone, "ms"}};
}

std::vector<Figure> stalls(const Settings& settings, Scratch& scratch, const Progress& progress) {
  // Large values, so that one thread fills Deltas and segments, too.
  Load load{.value_size = 65536, .warm_up = settings.seconds / 4, .seconds = std::max(settings.seconds, kLeastSeconds)};
  return figures("stalls", watch(load, settings, scratch, progress));
}

std::vector<Figure> stalls_64(const Settings& settings, Scratch& scratch, const Progress& progress) {
  Load load{.threads = settings.threads != 0 ? settings.threads : 64,
            .warm_up = settings.seconds / 2,
            .seconds = std::max(settings.seconds, kLeastSeconds)};
  return figures("stalls-64", watch(load, settings, scratch, progress));
}

// Full backups, without a pause, beside the commits of the store. The device is not measured alone: they use it all the
// time.
std::vector<Figure> stalls_backup(const Settings& settings, Scratch& scratch, const Progress& progress) {
  Load load{.threads = settings.threads != 0 ? settings.threads : 16,
            .rate = 5000,
            .warm_up = settings.seconds / 4,
            .seconds = std::max(settings.seconds, kLeastSeconds)};
  std::filesystem::path store = scratch.make("azoth");
  std::filesystem::path place = scratch.make("backup");
  Seen seen;
  std::uint64_t taken = 0;
  {
    Db db = Db::create(store);
    fill_both(db, settings.events, settings.value_size);
    Backups backups(db, place);
    watch(seen, db, load, settings, scratch, progress);
    taken = backups.stop();
  }
  for (const auto& directory : {store, place}) std::filesystem::remove_all(directory);
  std::vector<Figure> result = figures("stalls-backup", seen);
  std::erase_if(result, [](const Figure& figure) { return figure.what.ends_with("device alone"); });
  result.push_back({"stalls-backup", "full backups meanwhile", static_cast<double>(taken), "backups"});
  return result;
}

// The same commits with Deltas of several sizes: a larger one takes longer to be moved, and is moved less often.
std::vector<Figure> stalls_delta(const Settings& settings, Scratch& scratch, const Progress& progress) {
  Load load{.threads = settings.threads != 0 ? settings.threads : 64,
            .warm_up = settings.seconds / 2,
            .seconds = std::max(settings.seconds, kLeastSeconds)};
  std::vector<Figure> result;
  for (std::size_t mib : {8, 32, 128}) {
    Options options;
    options.delta_bytes = mib << 20;
    std::string name = fmt::format("stalls-delta, {} MiB", mib);
    for (const Figure& figure : figures(name, watch(load, settings, scratch, progress, options)))
      result.push_back(figure);
  }
  return result;
}

}  // namespace

void add_stall_workloads(std::vector<Workload>& all) {
  all.push_back({"stalls", "the longest durable commits of one thread (values of 64 KiB)", {}, stalls});
  all.push_back({"stalls-64", "the longest durable commits of 64 threads", {}, stalls_64});
  all.push_back({"stalls-backup",
                 "the longest durable commits, 5,000 a second, while full backups are taken",
                 {},
                 stalls_backup});
  all.push_back({.name = "stalls-delta",
                 .what = "the longest durable commits of 64 threads with Deltas of 8, 32 and 128 MiB",
                 .measure = stalls_delta,
                 .run = Run::ByName});
}

}  // namespace azoth::bench
