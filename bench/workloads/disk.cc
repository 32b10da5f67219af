// What commits cost in bytes, written and kept; and what a store does that nobody uses.
//
// The payload is values and events' payloads; keys, types and tags are overhead like everything else.
#include <fmt/format.h>

#include <chrono>
#include <deque>
#include <thread>
#include <utility>

#include "azoth/db.h"
#include "fill.h"
#include "load.h"
#include "process.h"
#include "sync_counter.h"
#include "workload.h"

namespace azoth::bench {

namespace {

constexpr std::uint64_t kCommits = 1'000'000;
constexpr std::uint64_t kQuickCommits = 100'000;
constexpr std::size_t kInFlight = 64;

double payload_bytes(std::uint64_t values, const Settings& settings) {
  return static_cast<double>(values) * static_cast<double>(settings.value_size);
}

// One thread, synced commits.
void commit(Db& db, std::uint64_t commits, const Settings& settings) {
  ChangeSource changes(settings, {}, 0, 0);
  std::deque<Ticket> in_flight;
  for (std::uint64_t i = 0; i < commits; ++i) {
    in_flight.push_back(
        std::move(db.submit(to_write_set(changes.next()), {}, {.timeout = std::chrono::minutes(1)})).value());
    if (in_flight.size() < kInFlight) continue;
    in_flight.front().wait();
    in_flight.pop_front();
  }
  for (const Ticket& ticket : in_flight) ticket.wait();
}

std::vector<Figure> bytes(const Settings& settings, Scratch& scratch, const Progress& progress) {
  std::uint64_t commits = settings.quick ? kQuickCommits : kCommits;
  progress(fmt::format("bytes: {} commits", commits));
  std::filesystem::path store = scratch.make("azoth");
  std::vector<Figure> figures;
  auto add = [&](std::string what, double value) {
    figures.push_back({"bytes", std::move(what), value, "bytes"});
    figures.back().reported = true;
  };
  {
    Db db = Db::create(store);
    Written before = written_so_far();
    commit(db, commits, settings);
    db.checkpoint();
    Written after = written_so_far();
    double payload = payload_bytes(2 * commits, settings);
    figures.push_back({"bytes", "commits", static_cast<double>(commits), "commits"});
    add("handed to write calls per payload byte",
        static_cast<double>(after.handed_over - before.handed_over) / payload);
    add("sent to the device (whole pages) per payload byte",
        static_cast<double>(after.to_device - before.to_device) / payload);
    double kept = payload_bytes(commits + db.status().state_keys, settings);
    add("on disk in LMDB per payload byte kept", static_cast<double>(disk_bytes(store / "canonical")) / kept);
    figures.push_back({"bytes", "on disk in the journal, whatever the store's size",
                       static_cast<double>(disk_bytes(store / "journal")) / (1 << 20), "MiB"});
  }
  std::filesystem::remove_all(store);
  return figures;
}

std::vector<Figure> idle(const Settings& settings, Scratch& scratch, const Progress& progress) {
  progress("idle: two seconds");
  std::filesystem::path store = scratch.make("azoth");
  std::vector<Figure> figures;
  {
    Db db = Db::create(store);
    commit(db, 1000, settings);
    db.checkpoint();
    // What is left to do behind a commit, a spare segment say, is done within a Delta's age.
    std::this_thread::sleep_for(Options().delta_age);
    std::uint64_t journal = db.status().syncs;
    std::uint64_t process = syncs_so_far();
    Written before = written_so_far();
    std::this_thread::sleep_for(std::chrono::seconds(1));
    Written after = written_so_far();
    figures = {
        {"idle", "syncs of the whole process in a second", static_cast<double>(syncs_so_far() - process), "syncs", 0.0},
        {"idle", "of which the journal's", static_cast<double>(db.status().syncs - journal), "syncs", 0.0},
        {"idle", "bytes written in a second", static_cast<double>(after.to_device - before.to_device), "bytes"}};
  }
  std::filesystem::remove_all(store);
  return figures;
}

}  // namespace

void add_disk_workloads(std::vector<Workload>& all) {
  all.push_back({"bytes", "bytes written and kept for each byte of payload", {}, bytes});
  all.push_back({"idle", "syncs of a store that nobody uses", {}, idle});
}

}  // namespace azoth::bench
