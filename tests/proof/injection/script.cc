#include "script.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <thread>

namespace azoth::inject {

using test::is_bulk_step;
using test::kBulkSteps;
using test::kLargeSteps;
using test::make_step;
using test::Step;

Options quick_options() {
  Options options = test::tiny_options();
  options.map_bytes = std::size_t{64} << 20;
  options.sync_interval = std::chrono::milliseconds{2};
  options.timeout = std::chrono::milliseconds{400};
  return options;
}

Options patient_options() {
  Options options = quick_options();
  options.timeout = std::chrono::seconds{30};
  return options;
}

Script::Script(Place where, Told& to, Expects expects)
    : place(std::move(where)),
      options(expects == Expects::Nothing ? patient_options() : quick_options()),
      told(to),
      expects_(expects),
      no_memory_(ErrorCode::OutOfMemory, "std::bad_alloc") {}

void Script::with_store(const std::function<void(Db&)>& body) {
  std::optional<Db> db;
  begin_life();
  attempt([&] { db.emplace(Db::open(place.store(), options)); });
  if (!db) return;
  body(*db);
  attempt([&] { db->close(); });
  attempt([&] { db.reset(); });
}

void Script::wait(const Ticket& ticket, int step, Durability level) {
  const auto error = attempt([&] { ticket.wait(level); });
  if (!error && level != Durability::Applied) {
    told.say({.what = Word::Acknowledged, .step = step, .commit = ticket.info().commit_seq, .level = level});
  }
  if (!error || error->code() == ErrorCode::OutOfMemory) return;
  failed_ = true;
  if (const char* wrong = test::wrong_answer_to_wait(&*error)) told.complain(wrong, error->what());
}

void Script::commit(Db& db, int number, Durability level, std::string_view command) {
  told.say({.what = Word::Submitted, .step = number});
  const bool had_failed = failed_;
  std::optional<Ticket> ticket;
  SubmitOptions how{.level = level};
  if (!command.empty()) how.command = Command{.id = command};
  const auto error = attempt([&] { ticket = db.submit(make_step(number).set(), {}, how).value(); });
  const Error* answer = error ? &*error : nullptr;
  if (const char* wrong = test::wrong_answer_to_submit(answer, is_bulk_step(number), had_failed)) {
    told.complain(wrong, error ? error->what() : "");
  }
  if (error && error->code() == ErrorCode::StoreFailed) failed_ = true;
  if (ticket) wait(*ticket, number, level);
  if (ticket && !command.empty() && ticket->reached(Durability::Durable)) {
    told.say({.what = Word::Command, .step = number, .commit = ticket->info().commit_seq});
  }
}

namespace {

// --- Lives of a store

void levels(Script& script, Db& db, int first) {
  for (int i = 0; i < 6; ++i) script.commit(db, first + i, static_cast<Durability>(1 + i % 3));
  script.attempt([&] { db.flush(Durability::Written); });
  script.attempt([&] { db.flush(Durability::Durable); });
}

void conditions(Script& script, Db& db, int number) {
  script.told.say({.what = Word::Submitted, .step = number});  // and is rejected, unless what it looks at is not there
  script.attempt([&] {
    std::vector<Condition> conditions = {Condition::key_absent("shared/" + std::to_string(1))};
    static_cast<void>(db.submit(make_step(number).set(), conditions));
  });
}

void transactions(Script& script, Db& db, int number) {
  const Step step = make_step(number);
  script.told.say({.what = Word::Submitted, .step = number});
  std::optional<Ticket> ticket;
  script.attempt([&] {
    Transaction transaction = db.transaction();
    for (const auto& [key, value] : step.puts) transaction.exclusive(key);
    for (const std::string& key : step.deletes) transaction.exclusive(key);
    auto end = transaction.submit([&](Txn& txn) { step.write_to(txn); });
    ticket = end.ticket();
  });
  if (ticket) script.wait(*ticket, number, Durability::Durable);
}

void exclusive(Script& script, Db& db, int number) {
  const Step step = make_step(number);
  script.told.say({.what = Word::Submitted, .step = number});
  std::optional<Ticket> ticket;
  script.attempt([&] {
    WriteTxn txn = db.begin();
    step.write_to(txn);
    ticket = txn.commit_async();
  });
  if (ticket) script.wait(*ticket, number, Durability::Durable);
}

// With one block after the other, so that each needs a reservation.
void sequences(Script& script, Db& db) {
  for (int i = 0; i < 3; ++i) {
    script.attempt([&] {
      const std::uint64_t first = db.next_sequence("number", 3000);
      script.told.say({.what = Word::Number, .commit = first + 2999});
    });
  }
}

// Each callback comes once, whatever happens.
void callbacks(Script& script, Db& db, int first, std::vector<std::unique_ptr<std::atomic<int>>>& calls) {
  for (int number = first; number < first + 3; ++number) {
    const Step step = make_step(number);
    script.told.say({.what = Word::Submitted, .step = number});
    script.attempt([&] {
      Ticket ticket = db.submit(step.set()).value();
      auto count = std::make_unique<std::atomic<int>>(0);
      std::atomic<int>* calls_of_it = count.get();
      calls.reserve(calls.size() + 1);
      ticket.then(Durability::Durable, [&script, calls_of_it, number](const CommitInfo& commit, const Error* failure) {
        calls_of_it->fetch_add(1);
        if (failure != nullptr) return;
        script.told.say({.what = Word::Acknowledged, .step = number, .commit = commit.commit_seq});
      });
      calls.push_back(std::move(count));
      ticket.future(Durability::Written).get();
    });
  }
}

void together(Script& script, Db& db, int first) {
  std::vector<std::thread> clients;
  const auto client = [&script, &db, first](int i) {
    Exempt own;
    for (int j = 0; j < 3; ++j) {
      script.commit(db, first + 3 * i + j, j % 2 == 0 ? Durability::Durable : Durability::Written);
    }
  };
  clients.reserve(3);
  try {
    for (int i = 0; i < 3; ++i) clients.emplace_back(client, i);
  } catch (const std::system_error&) {  // a limit: then with fewer
  }
  for (std::thread& one : clients) one.join();
}

void seal(Script& script, Db& db) {
  if (script.attempt([&] { db.seal(); })) return;
  script.attempt([&] {
    try {
      db.submit(make_step(999).set())->wait();
      script.told.complain("a sealed store was written to");
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Sealed) throw;
    }
  });
  script.attempt([&] { db.unseal(); });
}

// Enough of them fill a segment.
template <class Call>
void large(Script& script, Db& db, int first, int count, Call level) {
  for (int i = 0; i < count; ++i) script.commit(db, first + i, level(i));
}

void run_commits(Script& script) {
  std::vector<std::unique_ptr<std::atomic<int>>> calls;
  script.with_store([&](Db& db) {
    levels(script, db, 101);
    script.commit(db, 110, Durability::Written, "command/110");
    conditions(script, db, 111);
    transactions(script, db, 112);
    exclusive(script, db, 113);
    sequences(script, db);
    callbacks(script, db, 120, calls);
    large(script, db, kLargeSteps, 7, [](int i) { return i % 2 == 0 ? Durability::Written : Durability::Durable; });
    together(script, db, 130);
    script.attempt([&] { db.checkpoint(); });
    script.commit(db, kBulkSteps, Durability::Durable);
    script.attempt([&] { Pause pause = db.pause("script"); });
    seal(script, db);
    levels(script, db, 150);
  });
  for (const auto& count : calls) {
    if (*count != 1) script.told.complain("a callback came not once");
  }
}

void run_create(Script& script) {
  script.attempt([&] {
    Db db = Db::create(script.place.store(), script.options);
    script.commit(db, 1, Durability::Durable);
    script.commit(db, 2, Durability::Written);
    db.close();
  });
  script.begin_life();
  script.attempt([&] {
    Db db = Db::open_or_create(script.place.store(), script.options);
    script.commit(db, 3, Durability::Durable);
  });
}

void nothing(Script&) {}

void prepare_store(Script& script) {
  Db::create(script.place.store(), script.options).close();
  script.with_store([&](Db& db) {
    levels(script, db, 1);
    large(script, db, kLargeSteps + 50, 3, [](int) { return Durability::Durable; });
  });
}

// It dies with commits in several segments of the journal.
void prepare_unclean(Script& script) {
  prepare_store(script);
  Db db = Db::open(script.place.store(), script.options);
  levels(script, db, 11);
  large(script, db, kLargeSteps + 60, 6, [](int) { return Durability::Durable; });
  levels(script, db, 21);
  _exit(0);
}

void run_recovery(Script& script) {
  script.with_store([&](Db& db) {
    levels(script, db, 101);
    script.attempt([&] { db.checkpoint(); });
  });
}

// --- Reading

void run_reading(Script& script) {
  script.attempt([&] {
    Db db = Db::open_read_only(script.place.store(), script.options);
    const ReadTxn snapshot = db.read();
    std::size_t keys = 0;
    for (const auto& [key, value] : snapshot.scan()) keys += !key.empty();
    for (const EventView& event : snapshot.events({.tags = {"group:1"}})) keys += event.id() != 0;
    Subscription subscription = db.subscribe();
    EventId last = 0;
    while (last < snapshot.last_event()) {
      const auto commit = subscription.next(std::chrono::seconds{script.expects_errors() ? 2 : 30});
      if (!commit && !script.expects_errors()) script.told.complain("a subscription does not go on");
      if (!commit) break;
      if (commit->events().front().id() != last + 1) script.told.complain("a subscription has left events out");
      last = commit->events().back().id();
    }
    if (db.digest() != db.digest()) script.told.complain("two digests of one store");
    const bool is_sound = db.verify().ok();  // with a fault that, too, may be what it finds
    if (!is_sound && !script.expects_errors()) script.told.complain("a verification finds what is not there");
  });
}

// --- Projections

void run_projections(Script& script) {
  script.with_store([&](Db& db) {
    script.attempt([&] { db.projections().add(test::tally()); });
    const auto error = script.attempt([&] { db.projections().catch_up("tally"); });
    if (!error) script.told.say({.what = Word::Projected});
    levels(script, db, 101);
    script.attempt([&] { db.projections().follow("tally"); });
    script.attempt([&] {
      db.projections().wait_until("tally", db.read(Durability::Durable).last_event(), std::chrono::seconds{1});
    });
    script.attempt([&] {
      std::int64_t events = 0;
      for (const SqlRow& row : db.sql("tally", "SELECT id FROM tally ORDER BY id")) {
        if (row.int64(0) != ++events) script.told.complain("a projection shows a gap");
      }
    });
    script.attempt([&] { db.projections().stop("tally"); });
    script.attempt([&] { db.projections().rebuild("tally"); });
    script.attempt([&] { db.projections().catch_up("tally"); });
  });
}

// --- Backups

void back_up(Script& script, Db& db, bool incremental) {
  script.attempt([&] {
    const auto report = db.backup(script.place.set(), {.incremental = incremental, .shards = 2});
    script.told.say({.what = Word::BackedUp,
                     .step = static_cast<int>(report.snapshot.ordinal),
                     .commit = report.snapshot.manifest.value().last_commit});
  });
}

void run_backup(Script& script) {
  script.with_store([&](Db& db) {
    back_up(script, db, false);
    levels(script, db, 101);
    back_up(script, db, true);
    script.attempt([&] {
      const backup::SetReport report = Db::verify_backup(script.place.set(), {.store = script.options});
      if (!report.ok() && !script.expects_errors())
        script.told.complain("a verification of a set finds what is not there");
    });
  });
}

void prepare_restore(Script& script) {
  prepare_store(script);
  script.with_store([&](Db& db) {
    db.projections().add(test::tally());
    db.projections().catch_up("tally");
    back_up(script, db, false);
    levels(script, db, 31);
    back_up(script, db, true);
  });
}

void run_restore(Script& script) {
  script.attempt([&] {
    const auto report = Db::restore(script.place.set(), script.place.target(), {.store = script.options});
    script.told.say({.what = Word::Restored, .commit = report.commit});
  });
}

// --- Repair

void flip(const std::filesystem::path& path, std::uintmax_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(static_cast<std::streamoff>(at)).put(byte);
}

// The first place in the newest segments at which that makes a difference. Answers the last commit that can be kept.
CommitSeq damage_journal(const std::filesystem::path& store) {
  constexpr std::uintmax_t kBatches = 4096;  // they begin behind the header
  constexpr std::uintmax_t kPiece = 64;
  std::set<std::filesystem::path> segments;
  for (const auto& file : std::filesystem::directory_iterator(store / "journal")) segments.insert(file.path());
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    for (std::uintmax_t at = kBatches + kPiece; at < std::filesystem::file_size(*segment); at += kPiece) {
      flip(*segment, at);
      const RepairReport report = Db::repair(store, quick_options());
      if (!report.ok()) return report.kept_commit;
      flip(*segment, at);
    }
  }
  throw Error(ErrorCode::NotFound, "no journal segment can be damaged");
}

// Damages the journal where later batches say that it was durable.
void prepare_damaged(Script& script) {
  const pid_t child = fork();
  if (child == 0) prepare_unclean(script);
  int status = 0;
  waitpid(child, &status, 0);
  const CommitSeq kept = damage_journal(script.place.store());
  std::vector<Word> words = script.told.words();
  std::erase_if(words, [&](const Word& word) { return word.what == Word::Acknowledged && word.commit > kept; });
  script.told.start_with(words);  // the rest is lost on purpose
}

void run_repair(Script& script) {
  script.attempt([&] { Db::repair(script.place.store(), script.options); });
  script.attempt([&] { Db::repair(script.place.store(), script.options, {.accept_loss = true}); });
  script.with_store([&](Db& db) { levels(script, db, 101); });
}

}  // namespace

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = {
      {"create", nothing, run_create, check_commits},
      {"commits", prepare_store, run_commits, check_commits},
      {"recovery", prepare_unclean, run_recovery, check_commits},
      {"reading", prepare_unclean, run_reading, check_commits},
      {"projections", prepare_store, run_projections, check_projections},
      {"backup", prepare_store, run_backup, check_backup},
      {"restore", prepare_restore, run_restore, check_restore},
      {"repair", prepare_damaged, run_repair, check_repair},
  };
  return all;
}

const Workload& workload(std::string_view name) {
  for (const Workload& one : workloads()) {
    if (one.name == name) return one;
  }
  throw Error(ErrorCode::InvalidArgument, "there is no workload " + std::string(name));
}

}  // namespace azoth::inject
