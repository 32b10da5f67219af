// Projections: from the log to tables in SQLite, against a bare loop of the same prepared statement in transactions of
// 1,000; how far a live projection is behind a steady load; how fast one is built from the whole log.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "azoth/db.h"
#include "bare_sqlite.h"
#include "beside.h"
#include "content.h"
#include "histogram.h"
#include "sync_counter.h"
#include "workload.h"

namespace azoth::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kAccounts = 10'000;
constexpr std::uint64_t kBatch = 1000;
constexpr const char* kSchema =
    "CREATE TABLE accounts (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL, memo TEXT) WITHOUT ROWID";
constexpr const char* kUpsert =
    "INSERT INTO accounts VALUES (?1, ?2, ?3) ON CONFLICT (owner) DO UPDATE SET cents = cents + excluded.cents, "
    "memo = excluded.memo";
constexpr const char* kDeclared =
    "-- azoth:projection %s version 1\n"
    "CREATE TABLE accounts (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL, memo TEXT) WITHOUT ROWID;\n"
    "-- azoth:on deposited\n"
    "INSERT INTO accounts VALUES (:account, :amount, :memo) ON CONFLICT (owner) DO UPDATE SET cents = cents + "
    "excluded.cents, memo = excluded.memo;\n";

// What one event changes: the same in every contestant.
struct Deposit {
  explicit Deposit(std::uint64_t number)
      : owner(fmt::format("account/{:08}", mix(number) % kAccounts)),
        amount(static_cast<std::int64_t>(number % 1000)),
        memo(fmt::format("deposit {}", number)) {}

  std::string json() const { return fmt::format(R"({{"account":"{}","amount":{},"memo":"{}"}})", owner, amount, memo); }

  std::string owner;
  std::int64_t amount;
  std::string memo;
};

// What a C++ handler writes, which has no more than the payload to take it from; its reference does the same.
constexpr std::string_view kMemo = "memo";

// A log of deposits. For C++ handlers the payload is the account's name, for declared ones JSON.
Db make_log(const std::filesystem::path& directory, std::uint64_t events, bool json) {
  Db db = Db::create(directory);
  WriteSet set;
  for (std::uint64_t i = 0; i < events; ++i) {
    Deposit deposit(i);
    set.append({.type = "deposited", .tags = {}, .payload = json ? deposit.json() : deposit.owner});
    if (set.events() < 50'000 && i + 1 < events) continue;
    db.submit(std::move(set), {}, {.timeout = std::chrono::minutes(10)}).value().wait();
    set = WriteSet();
  }
  db.checkpoint();
  return db;
}

Projection handled(const std::string& name) {
  Projection projection(name, 1);
  projection.schema(kSchema).on("deposited", [](const EventView& event, Sql& sql) {
    sql.run(kUpsert, event.payload(), static_cast<std::int64_t>(event.id() % 1000), kMemo);
  });
  return projection;
}

Projection declared(const std::string& name) {
  std::string text = kDeclared;
  text.replace(text.find("%s"), 2, name);
  return SqlProjection::from_text(text);
}

Sample timed(std::uint64_t events, const std::function<void()>& work) {
  Sample sample;
  std::uint64_t syncs = syncs_so_far();
  auto from = Clock::now();
  work();
  sample.seconds = std::chrono::duration<double>(Clock::now() - from).count();
  sample.operations = events;
  sample.syncs = syncs_so_far() - syncs;
  return sample;
}

// A projection of its own for each round, so that each begins with empty tables.
Sample project(Db& db, std::uint64_t events, bool json, unsigned round) {
  std::string name = fmt::format("round{}", round);
  db.projections().add(json ? declared(name) : handled(name));
  Sample sample = timed(events, [&] { db.projections().catch_up(name); });
  db.projections().release(name);
  return sample;
}

Sample bare_loop(const std::filesystem::path& directory, const std::vector<Deposit>& deposits, bool json,
                 unsigned round) {
  BareSqlite database(directory / fmt::format("round{}.db", round), BareSqlite::Synchronous::Normal);
  database.run(kSchema);
  BareStatement upsert(database, kUpsert);
  return timed(deposits.size(), [&] {
    for (std::size_t begin = 0; begin < deposits.size(); begin += kBatch) {
      database.run("BEGIN IMMEDIATE");
      for (std::size_t i = begin; i < std::min<std::size_t>(deposits.size(), begin + kBatch); ++i) {
        const Deposit& deposit = deposits[i];
        const std::string_view memo = json ? std::string_view(deposit.memo) : kMemo;
        upsert.bind_text(1, deposit.owner).bind(2, deposit.amount).bind_text(3, memo).step();
      }
      database.run("COMMIT");
    }
  });
}

Contest contest(const char* name, const Settings& settings, Scratch& scratch, bool json, double at_least) {
  std::uint64_t events = settings.events / 5;
  std::filesystem::path store = scratch.make("azoth");
  std::filesystem::path bare = scratch.make("sqlite");
  auto db = std::make_shared<std::unique_ptr<Db>>();
  auto deposits = std::make_shared<std::vector<Deposit>>();
  Contestant azoth{.system = "azoth", .durability = "process death", .play = [=](unsigned round) {
                     return project(**db, events, json, round);
                   }};
  azoth.open = [=] { *db = std::make_unique<Db>(make_log(store, events, json)); };
  azoth.close = [=] {
    db->reset();
    std::filesystem::remove_all(store);
  };
  Contestant reference{.system = "sqlite loop", .durability = "process death", .play = [=](unsigned round) {
                         return bare_loop(bare, *deposits, json, round);
                       }};
  reference.open = [=] {
    for (std::uint64_t i = 0; i < events; ++i) deposits->emplace_back(i);
  };
  reference.close = [=] { std::filesystem::remove_all(bare); };
  reference.at_least = at_least;
  return {name, {azoth, reference}, "events"};
}

// Commits at a steady pace, one thread; beside it, how long it takes from an event being durable to its effect being
// shown, for one event after the other.
std::vector<Figure> lag(const Settings& settings, Scratch& scratch, const Progress& progress) {
  constexpr int kPerSecond = 5000;
  constexpr auto kStep = std::chrono::milliseconds(10);
  Db db = make_log(scratch.make("azoth"), kBatch, true);
  db.projections().add(declared("live"));
  db.projections().catch_up("live");
  db.projections().follow("live");
  progress("projection-lag: 5,000 commits a second");
  std::atomic<Clock::rep> durable_at{0};  // of the event that is written to `newest` next
  std::atomic<EventId> newest{kBatch};
  Histogram lags;
  Beside watch([&](const std::atomic<bool>& stopped) {
    EventId seen = kBatch;
    while (!stopped.load()) {
      EventId event = newest.load();
      if (event == seen) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        continue;
      }
      Clock::time_point since{Clock::duration(durable_at.load())};
      if (!db.projections().wait_until("live", event, std::chrono::minutes(1))) {
        throw std::runtime_error(fmt::format("the projection has not come to event {} within a minute", event));
      }
      lags.add(static_cast<std::uint64_t>((Clock::now() - since).count()));
      seen = event;
    }
  });
  auto from = Clock::now();
  double seconds = std::max(2.0, settings.seconds * settings.rounds);
  std::uint64_t number = 0;
  for (int step = 1; step <= static_cast<int>(seconds * 100); ++step) {
    Ticket last;
    for (int i = 0; i < kPerSecond / 100; ++i) {
      WriteSet set;
      std::string payload = Deposit(++number).json();
      set.append({.type = "deposited", .tags = {}, .payload = payload});
      last = db.submit(std::move(set)).value();
    }
    EventId event = last.wait().last_event;
    durable_at.store(Clock::now().time_since_epoch().count());
    newest.store(event);
    std::this_thread::sleep_until(from + step * kStep);
  }
  double rate = static_cast<double>(number) / std::chrono::duration<double>(Clock::now() - from).count();
  watch.stop();
  if (lags.count() == 0) throw std::runtime_error("the projection has shown none of the events");
  return {{"projection-lag", "commits a second while the projection follows", rate, "/s"},
          {"projection-lag", "median from durable to shown", lags.quantile_us(0.5) / 1000, "ms"},
          {"projection-lag", "99 of 100 at most", lags.quantile_us(0.99) / 1000, "ms", 100},
          {"projection-lag", "the longest", lags.quantile_us(1) / 1000, "ms"}};
}

std::vector<Figure> rebuild(const Settings& settings, Scratch& scratch, const Progress& progress) {
  Db db = make_log(scratch.make("azoth"), settings.events, true);
  db.projections().add(declared("all"));
  db.projections().catch_up("all");
  progress(fmt::format("projection-rebuild: {} events", settings.events));
  auto from = Clock::now();
  db.projections().rebuild("all");
  db.projections().catch_up("all");
  double seconds = std::chrono::duration<double>(Clock::now() - from).count();
  Figure figure{"projection-rebuild", fmt::format("rate over {} events", settings.events),
                static_cast<double>(settings.events) / seconds, "events/s"};
  figure.reported = true;
  return {figure};
}

}  // namespace

void add_projection_workloads(std::vector<Workload>& all) {
  all.push_back({"projection-handler", "a projection in C++: one upsert an event",
                 [](const Settings& settings, Scratch& scratch) {
                   return contest("projection-handler", settings, scratch, false, 0.8);
                 }});
  all.push_back({"projection-declared", "the same, declared in SQL, with three fields of a JSON payload",
                 [](const Settings& settings, Scratch& scratch) {
                   return contest("projection-declared", settings, scratch, true, 0.4);
                 }});
  all.push_back({.name = "projection-lag", .what = "a live projection behind 5,000 commits a second", .measure = lag});
  all.push_back(
      {.name = "projection-rebuild", .what = "a projection built anew from the whole log", .measure = rebuild});
}

}  // namespace azoth::bench
