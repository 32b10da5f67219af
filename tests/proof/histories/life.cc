#include "life.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "client.h"

namespace azoth::proof::histories {
namespace {

constexpr unsigned kLongestLife = 300;  // seconds; whatever lasts longer hangs

Word last_commit(const Db& db) { return static_cast<Word>(db.read(Durability::Applied).commit_seq()); }

// Somebody who does to the store whatever can be done beside its clients.
class Keeper {
 public:
  Keeper(Db& db, Shared& shared, const Places& places, const Plan& plan, Word life, RecordFile& notes)
      : db_(db),
        shared_(shared),
        places_(places),
        plan_(plan),
        life_(life),
        random_(plan.seed + 31 * life),
        notes_(notes) {}

  void run() {
    while (shared_.stopped_life != life_) {
      sleep(2 + random_() % 30);
      try {
        act();
      } catch (const Error& error) {  // nothing was changed, or what was begun is as if it never was
        if (error.code() != ErrorCode::LockTimeout && error.code() != ErrorCode::Paused) throw;
      }
    }
  }

 private:
  void act() {
    if (backup_is_due()) return back_up();
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        return pause();
      case 3:
        return seal();
      case 4:
        db_.checkpoint();
        return;
      default:
        return flush();
    }
  }

  static void sleep(std::uint64_t milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  }

  void pause() {
    const Pause pause = db_.pause("histories");
    const Word begun = shared_.tick();
    const Word before = last_commit(db_);
    sleep(1 + random_() % 5);
    const Word after = last_commit(db_);
    notes_.note(Note::Kind::Paused, {begun, shared_.tick(), before, after});
  }

  void seal() {
    const Word begun = shared_.tick();
    const auto event = static_cast<Word>(db_.seal());
    notes_.note(Note::Kind::Sealed, {begun, shared_.tick(), event, last_commit(db_)});
    sleep(1 + random_() % 5);
    const ReadTxn still = db_.read(Durability::Applied);
    notes_.note(Note::Kind::StillSealed,
                {shared_.tick(), static_cast<Word>(still.last_event()), static_cast<Word>(still.commit_seq())});
    notes_.note(Note::Kind::Unsealing, {shared_.tick()});
    db_.unseal();
    notes_.note(Note::Kind::Unsealed, {shared_.tick()});
  }

  void flush() {
    const Durability level = random_() % 2 == 0 ? Durability::Written : Durability::Durable;
    const Word begun = shared_.tick();
    db_.flush(level);
    notes_.note(Note::Kind::Flushed, {begun, shared_.tick(), static_cast<Word>(sight_of(level))});
  }

  // They are spread over the run.
  bool backup_is_due() const {
    const std::uint64_t begun = shared_.backups;
    return begun < plan_.backups &&
           (begun + 1) * plan_.transactions <= std::uint64_t{shared_.ended()} * (plan_.backups + 1);
  }

  void back_up() {
    const bool incremental = shared_.backups++ % 4 != 0;
    backup::BackupOptions options{.incremental = incremental, .compression_level = 1};
    if (random_() % 4 == 0) options.seal = backup::SealMode::Snapshot;
    const Word begun = shared_.tick();
    const backup::Manifest made = take(options);
    notes_.note(Note::Kind::Backup,
                {begun, shared_.tick(), static_cast<Word>(made.ordinal), static_cast<Word>(made.last_commit),
                 static_cast<Word>(made.last_event), made.type == backup::SnapshotType::Diff ? 1u : 0u});
  }

  // A full if there is nothing to continue: the first may have been killed.
  backup::Manifest take(backup::BackupOptions options) {
    try {
      return db_.backup(places_.set(), options).snapshot.manifest.value();
    } catch (const Error& error) {
      if (!options.incremental || error.code() != ErrorCode::NotFound) throw;
    }
    options.incremental = false;
    return db_.backup(places_.set(), options).snapshot.manifest.value();
  }

  Db& db_;
  Shared& shared_;
  const Places& places_;
  const Plan& plan_;
  const Word life_;
  std::mt19937_64 random_;
  RecordFile& notes_;
};

Db open(const Places& places, Shared& shared, const Options& options, RecordFile& notes) {
  const Word begun = shared.tick();
  Db db = Db::open(places.store(), options);
  const ReadTxn found = db.read(Durability::Applied);
  const auto sealed = db.meta().sealed_event;
  notes.note(Note::Kind::Opened,
             {begun, shared.tick(), static_cast<Word>(found.commit_seq()), static_cast<Word>(found.last_event()),
              sealed ? 1u : 0u, static_cast<Word>(sealed.value_or(0))});
  if (sealed) {
    notes.note(Note::Kind::Unsealing, {shared.tick()});
    db.unseal();
    notes.note(Note::Kind::Unsealed, {shared.tick()});
  }
  return db;
}

void check_projection(Db& db) {
  const ProjectionStatus status = db.projections().status(kTally);
  if (status.state == ProjectionState::Failed || status.rebuilt_because)
    throw std::runtime_error("the projection: " +
                             status.rebuilt_because.value_or(status.last_error.value_or("failed")));
}

}  // namespace

Options store_options(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Options options;
  options.delta_bytes = limits::kMinDeltaBytes << random() % 6;
  options.segment_bytes = limits::kMinSegmentBytes << random() % 5;
  options.delta_age = std::chrono::milliseconds(20 + random() % 200);
  options.sync_interval = std::chrono::milliseconds(1 + random() % 20);
  options.map_bytes = std::size_t{16} << 30;
  options.max_readers = 128;
  options.stripes = std::size_t{16} << random() % 5;
  options.timeout = std::chrono::seconds(20);
  return options;
}

Projection tally() {
  Projection projection(kTally, 1);
  projection.schema("CREATE TABLE tally (list INTEGER PRIMARY KEY, count INTEGER NOT NULL, sum INTEGER NOT NULL)");
  auto count = [](Sql& sql, ListId list, Word value) {
    sql.run(
        "INSERT INTO tally VALUES (?, 1, ?) ON CONFLICT (list) DO UPDATE SET count = count + 1, sum = sum + "
        "excluded.sum",
        list.word, value);
  };
  projection.on(std::string(kAppendType), [count](const EventView& event, Sql& sql) {
    count(sql, ListId::parse(*event.tags().begin()), parse_values(event.payload()).at(0));
  });
  projection.on(std::string(kTxnType), [count](const EventView& event, Sql& sql) {
    for (const Wish& append : parse_txn_payload(event.payload()).appends) count(sql, append.list, append.append);
  });
  return projection;
}

void live(const Places& places, Shared& shared, const Plan& plan, Word life) {
  alarm(kLongestLife);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::uint64_t seed = plan.seed * 1000 + life;
  const Options options = store_options(seed);
  RecordFile notes(places.notes(life));
  Db db = open(places, shared, options, notes);
  db.projections().add(tally());
  db.projections().follow_all();
  std::vector<std::thread> threads;
  auto start = [&](auto body) {
    threads.emplace_back([body] {
      try {
        body();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "in a life: %s\n", error.what());
        _exit(1);
      }
    });
  };
  for (Word client = 1; client <= kClients; ++client) {
    start([&, client] {
      Client(db, shared, places, {life, client, seed * 100 + client, options.segment_bytes * 5 / 9}).run();
    });
  }
  start([&] { Keeper(db, shared, places, plan, life, notes).run(); });
  for (std::thread& thread : threads) thread.join();
  check_projection(db);
  const Word begun = shared.tick();
  const Word last = last_commit(db);
  db.close();
  notes.note(Note::Kind::Closed, {begun, shared.tick(), last});
}

void read_beside(const Places& places, Shared& shared, Word process, std::uint64_t seed) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Db db = Db::open_read_only(places.store(), store_options(seed));
  std::vector<std::thread> threads;
  for (Word client = 1; client <= kClientsBeside; ++client) {
    threads.emplace_back([&, client] {
      std::mt19937_64 random(seed + client);
      RecordFile file(places.attempts_beside(process, client));
      for (;;) {
        const Attempt attempt{.client = client,
                              .txn = shared.next_txn(),
                              .invoked = shared.tick(),
                              .wishes = lists_to_read(shared, random)};
        file.invoked(attempt);
        const ReadTxn snapshot = db.read(Durability::Durable);
        Answer answer{.level = Sight::Beside, .looks_at = Sight::Beside};
        answer.ops = read_lists(snapshot, attempt.wishes, random);
        answer.commit = static_cast<Word>(snapshot.commit_seq());
        answer.tick = shared.tick();
        file.answered(attempt.txn, answer);
        shared.count_ended();
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace azoth::proof::histories
