// Opening after a crash with a full journal: a second process commits while LMDB takes nothing from it, is killed, and
// this one opens the store, which replays the journal and commits it to LMDB.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/db.h"
#include "bare_lmdb.h"
#include "child.h"
#include "fill.h"
#include "load.h"
#include "workload.h"

namespace azoth::bench {

namespace {

constexpr std::uint64_t kFullJournal = std::uint64_t{64} << 20;
constexpr std::uint64_t kQuickJournal = std::uint64_t{16} << 20;

// Keeps the store's flusher waiting, as LMDB has one writer at a time.
class FlushesHeldUp {
 public:
  explicit FlushesHeldUp(const std::filesystem::path& store) : lmdb_(store / "canonical", 0), txn_(lmdb_.begin()) {}
  ~FlushesHeldUp() { mdb_txn_abort(txn_); }
  FlushesHeldUp(const FlushesHeldUp&) = delete;
  FlushesHeldUp& operator=(const FlushesHeldUp&) = delete;

 private:
  BareLmdb lmdb_;
  MDB_txn* txn_;
};

struct Crashed {
  std::uint64_t commits = 0;
  std::uint64_t journal_bytes = 0;
};

Crashed crash(const std::filesystem::path& store, std::uint64_t bytes, const Settings& settings) {
  Child child({"crash", store.native(), std::to_string(bytes), std::to_string(settings.value_size),
               std::to_string(settings.keys)});
  child.hear();
  FlushesHeldUp held_up(store);
  child.say("go");
  Crashed crashed;
  std::istringstream(child.hear()) >> crashed.commits >> crashed.journal_bytes;
  child.kill();
  return crashed;
}

std::vector<Figure> open_after_crash(const Settings& settings, Scratch& scratch, const Progress& progress) {
  std::uint64_t bytes = settings.quick ? kQuickJournal : kFullJournal;
  std::vector<double> seconds;
  Crashed crashed;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    progress(fmt::format("open-after-crash: round {} of {}", round + 1, settings.rounds));
    std::filesystem::path store = scratch.make("azoth");
    crashed = crash(store, bytes, settings);
    auto from = std::chrono::steady_clock::now();
    Db db = Db::open(store);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count() *
                      static_cast<double>(kFullJournal) / static_cast<double>(crashed.journal_bytes));
    Status status = db.status();
    if (status.recovery.recovered_commits != crashed.commits || status.flushed_seq != crashed.commits) {
      throw Error(ErrorCode::Corruption,
                  fmt::format("{} commits of {} were recovered", status.recovery.recovered_commits, crashed.commits));
    }
    db.close();
    std::filesystem::remove_all(store);
  }
  std::sort(seconds.begin(), seconds.end());
  std::string name = "open-after-crash";
  return {{name, "journal replayed", static_cast<double>(crashed.journal_bytes) / (1 << 20), "MiB"},
          {name, "commits recovered", static_cast<double>(crashed.commits), "commits"},
          {name, "fastest open, for each 64 MiB", seconds.front(), "s"},
          {name, "median open, for each 64 MiB", seconds[seconds.size() / 2], "s", 1.0},
          {name, "slowest open, for each 64 MiB", seconds.back(), "s"}};
}

}  // namespace

// The commits of the commit workloads; none of them reaches LMDB. Memory for as many as the journal is to hold.
void crash_child(const std::vector<std::string>& arguments) {
  std::filesystem::path store = arguments.at(0);
  std::uint64_t bytes = std::stoull(arguments.at(1));
  Settings settings;
  settings.value_size = std::stoull(arguments.at(2));
  settings.keys = std::stoull(arguments.at(3));
  Options options;
  options.delta_bytes = std::max<std::uint64_t>(options.delta_bytes, bytes);
  Db db = Db::create(store, options);
  say_to_parent("open");
  hear_from_parent();
  ChangeSource changes(settings, {}, 0, 0);
  Crashed done;
  while (done.journal_bytes < bytes) {
    WriteSet set = to_write_set(changes.next());
    done.journal_bytes += set.bytes();
    ++done.commits;
    db.submit(std::move(set), {}, {.timeout = std::chrono::minutes(1)}).value();
  }
  db.flush(Durability::Durable);
  say_to_parent(fmt::format("{} {}", done.commits, done.journal_bytes));
  hear_from_parent();  // until it is killed
}

void add_recovery_workloads(std::vector<Workload>& all) {
  all.push_back(
      {"open-after-crash", "opening a store whose process was killed with a full journal", {}, open_after_crash});
}

}  // namespace azoth::bench
