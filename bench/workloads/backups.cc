// Backups beside copying a file of as many bytes: full, incremental, restored; beside writers; and what memory they
// take.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/file.h"
#include "azoth/db.h"
#include "beside.h"
#include "child.h"
#include "content.h"
#include "contest.h"
#include "fill.h"
#include "process.h"
#include "workload.h"

namespace azoth::bench {

namespace {

using Path = std::filesystem::path;
using Clock = std::chrono::steady_clock;

constexpr double kMiB = 1 << 20;
constexpr std::uint64_t kFullBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kQuickBytes = std::uint64_t{96} << 20;
constexpr double kLeastOfCopy = 0.5;
constexpr double kLeastOfCopyRestored = 0.3;
constexpr double kLeastOfWriters = 0.7;
constexpr double kMostOfFull = 0.03;
constexpr double kMostMemoryMib = 64;

double seconds_of(const std::function<void()>& work) {
  const auto from = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - from).count();
}

// How many keys with an event each make about so many bytes of a snapshot.
std::uint64_t pairs_for(std::uint64_t bytes, const Settings& settings) {
  constexpr std::uint64_t kAround = 90;  // of a row and an event, besides value and payload
  return bytes / (2 * settings.value_size + kAround);
}

std::uint64_t bytes_of(const backup::BackupReport& report) {
  std::uint64_t bytes = 0;
  for (const backup::ManifestFile& file : report.snapshot.manifest->files) bytes += file.bytes;
  return bytes;
}

// What `cp` and a sync do.
void copy_files(const Path& from, const Path& to) {
  FileSystem& fs = FileSystem::posix();
  fs.make_directory(to);
  std::string buffer(std::size_t{1} << 20, '\0');
  for (const std::string& name : fs.list(from)) {
    const auto source = fs.open(from / name, FileSystem::Mode::Read);
    const auto target = fs.open(to / name, FileSystem::Mode::Create);
    std::uint64_t offset = 0;
    while (const std::size_t size = source->read_at(offset, buffer.data(), buffer.size())) {
      target->write_at(offset, std::string_view(buffer).substr(0, size));
      offset += size;
    }
    target->sync_data();
  }
  fs.sync_directory(to);
}

// Writes 1 % of the pairs again, with other values.
void change_some(Db& db, std::uint64_t pairs, const Settings& settings, std::uint64_t round) {
  Name key(kKeyPrefix);
  WriteSet set;
  for (std::uint64_t i = 0; i < pairs / 100; ++i) {
    const std::string value(some_bytes(mix(i + round * pairs), settings.value_size));
    set.put(key.of(mix(i + round) % pairs), value);
    set.append({.type = kEventType, .tags = {}, .payload = value});
    if (i % 8 == 7) db.submit(std::exchange(set, WriteSet()), {}, {.level = Durability::Applied}).value();
  }
  db.flush();
}

std::vector<Figure> speed(const Settings& settings, Scratch& scratch, const Progress& progress) {
  const unsigned rounds = settings.quick ? 1 : std::min(settings.rounds, 3U);
  const Path store = scratch.make("azoth");
  Db db = Db::create(store);
  const std::uint64_t pairs = pairs_for(settings.quick ? kQuickBytes : kFullBytes, settings);
  progress(fmt::format("backup: {} keys and events", pairs));
  fill_both(db, pairs, settings.value_size);
  std::vector<double> full;
  std::vector<double> copy;
  std::vector<double> restored;
  std::vector<double> incremental;
  std::vector<double> of_bytes;
  double mib = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    progress(fmt::format("backup: round {} of {}", round + 1, rounds));
    const Path place = scratch.make("backup");
    backup::BackupReport report;
    full.push_back(seconds_of([&] { report = db.backup(place / "set", {.compression_level = 0}); }));
    copy.push_back(seconds_of([&] { copy_files(place / "set", place / "copy"); }));
    restored.push_back(seconds_of([&] { Db::restore(place / "set", place / "restored"); }));
    mib = static_cast<double>(bytes_of(report)) / kMiB;
    change_some(db, pairs, settings, round + 1);
    backup::BackupReport diff;
    incremental.push_back(
        seconds_of([&] { diff = db.backup(place / "set", {.incremental = true, .compression_level = 0}); }));
    of_bytes.push_back(static_cast<double>(bytes_of(diff)) / static_cast<double>(bytes_of(report)));
    std::filesystem::remove_all(place);
  }
  db.close();
  std::filesystem::remove_all(store);
  const std::string name = "backup";
  return {{name, "full snapshot", mib, "MiB"},
          {name, "full, not compressed", mib / median_of(full), "MiB/s"},
          {name, "copying the same bytes, synced", mib / median_of(copy), "MiB/s"},
          {name, "restore", mib / median_of(restored), "MiB/s"},
          {name, "full / copy", median_of(copy) / median_of(full), "x", {}, kLeastOfCopy},
          {name, "restore / copy", median_of(copy) / median_of(restored), "x", {}, kLeastOfCopyRestored},
          {name, "incremental after 1 % changed, of a full: bytes", median_of(of_bytes), "x", kMostOfFull},
          {name, "incremental after 1 % changed, of a full: time", median_of(incremental) / median_of(full), "x",
           kMostOfFull}};
}

// --- Beside writers

// Threads that commit at a steady rate together, each commit durable, as well as they can.
class SteadyWriters {
 public:
  SteadyWriters(Db& db, double rate, unsigned threads, const Settings& settings)
      : db_(db), settings_(settings), interval_(threads / rate) {
    for (unsigned i = 0; i < threads; ++i) {
      threads_.emplace_back([this, i](const std::atomic<bool>& stopped) { run(i, stopped); });
    }
  }

  std::uint64_t commits() const { return commits_.load(); }
  // Throws what a writer has thrown.
  void stop() {
    for (Beside& thread : threads_) thread.stop();
  }

 private:
  void run(unsigned index, const std::atomic<bool>& stopped) {
    Name key(kKeyPrefix);
    auto next = Clock::now();
    for (std::uint64_t n = 0; !stopped.load(); ++n) {
      WriteSet set;
      const std::uint64_t number = mix(n * 64 + index);
      const std::string value(some_bytes(number, settings_.value_size));
      set.put(key.of(number % settings_.keys), value);
      set.append({.type = kEventType, .tags = {}, .payload = value});
      db_.submit(std::move(set)).value().wait();
      commits_.fetch_add(1);
      // What was not managed is not made up for.
      next = std::max(next + std::chrono::duration_cast<Clock::duration>(interval_), Clock::now());
      std::this_thread::sleep_until(next);
    }
  }

  Db& db_;
  const Settings settings_;
  const std::chrono::duration<double> interval_;
  std::atomic<std::uint64_t> commits_{0};
  std::deque<Beside> threads_;  // last: they use the others
};

// Commits a second while `work` runs.
double rate_during(const SteadyWriters& writers, const std::function<void()>& work) {
  const std::uint64_t before = writers.commits();
  const double seconds = seconds_of(work);
  return static_cast<double>(writers.commits() - before) / seconds;
}

std::vector<Figure> beside_writers(const Settings& settings, Scratch& scratch, const Progress& progress) {
  constexpr double kRate = 5000;
  constexpr unsigned kThreads = 16;
  const Path store = scratch.make("azoth");
  const Path place = scratch.make("backup");
  Db db = Db::create(store);
  const std::uint64_t pairs = pairs_for(settings.quick ? kQuickBytes : kFullBytes, settings);
  progress(fmt::format("backup-beside-writers: {} keys and events", pairs));
  fill_both(db, pairs, settings.value_size);
  Settings all_keys = settings;
  all_keys.keys = pairs;
  std::vector<double> alone;
  std::vector<double> beside;
  std::vector<double> ratios;
  {
    SteadyWriters writers(db, kRate, kThreads, all_keys);
    const auto pause = [&] { std::this_thread::sleep_for(std::chrono::duration<double>(settings.seconds)); };
    for (unsigned round = 0; round < (settings.quick ? 3 : settings.rounds); ++round) {
      progress(fmt::format("backup-beside-writers: round {}", round + 1));
      alone.push_back(rate_during(writers, pause));
      beside.push_back(rate_during(writers, [&] { db.backup(place / "set", {.threads = 1}); }));
      ratios.push_back(beside.back() / alone.back());
      std::filesystem::remove_all(place / "set");
    }
    writers.stop();
  }
  db.close();
  const std::string name = "backup-beside-writers";
  return {{name, "durable commits a second, alone", median_of(alone), "commits/s"},
          {name, "durable commits a second, during a full", median_of(beside), "commits/s"},
          {name, "during a full / alone", median_of(ratios), "x", {}, kLeastOfWriters}};
}

// --- Memory

std::vector<Figure> memory(const Settings& settings, Scratch& scratch, const Progress& progress) {
  std::vector<std::uint64_t> sizes = {kQuickBytes};
  if (!settings.quick) sizes.push_back(kFullBytes);
  std::vector<Figure> figures;
  for (const std::uint64_t size : sizes) {
    const Path place = scratch.make("backup");
    {
      Db db = Db::create(place / "store");
      progress(fmt::format("backup-memory: {} MiB", size >> 20));
      fill_both(db, pairs_for(size, settings), settings.value_size);
      db.close();
    }
    for (const char* what : {"full", "restore"}) {
      Child child(
          {"backup", what, (place / "store").native(), (place / "set").native(), (place / "restored").native()});
      figures.push_back({"backup-memory", fmt::format("most during a {} of {} MiB", what, size >> 20),
                         std::stod(child.hear()) / kMiB, "MiB", kMostMemoryMib});
    }
    std::filesystem::remove_all(place);
  }
  return figures;
}

}  // namespace

void backup_child(const std::vector<std::string>& arguments) {
  const bool restoring = arguments.at(0) == "restore";
  MemoryWatch watch;
  if (restoring) {
    Db::restore(arguments.at(2), arguments.at(3));
  } else {
    Db db = Db::open(arguments.at(1));
    db.backup(arguments.at(2));
  }
  say_to_parent(std::to_string(watch.most()));
}

void add_backup_workloads(std::vector<Workload>& all) {
  all.push_back({"backup", "a full and an incremental backup and a restore, beside copying the bytes", {}, speed});
  all.push_back(
      {"backup-beside-writers", "a full backup while 5,000 durable commits a second go on", {}, beside_writers});
  all.push_back({"backup-memory", "anonymous memory during a full backup and a restore", {}, memory});
}

}  // namespace azoth::bench
