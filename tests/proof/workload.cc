#include "workload.h"

#include <dlfcn.h>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "azoth/core/error.h"
#include "trace.h"

namespace azoth::proof {

namespace {

constexpr auto kApplied = Durability::Applied;
constexpr auto kWritten = Durability::Written;
constexpr auto kDurable = Durability::Durable;

}  // namespace

void Workload::say(const std::string& mark) {
  using Function = void (*)(const char*, std::size_t);
  static const auto function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, kMarkFunction));
  if (function == nullptr) throw std::runtime_error("the recorder is not loaded");
  function(mark.data(), mark.size());
}

Options store_options() {
  Options options;
  options.delta_bytes = limits::kMinDeltaBytes;
  options.segment_bytes = limits::kMinSegmentBytes;
  options.delta_age = std::chrono::hours{1};  // nothing depends on how fast the machine is
  options.sync_interval = std::chrono::hours{1};
  options.map_bytes = std::size_t{16} << 20;
  options.max_readers = 8;
  options.stripes = 16;
  options.sequence_block = 3;
  options.timeout = std::chrono::seconds{30};
  return options;
}

backup::BackupOptions backup_options(bool incremental) {
  return {.incremental = incremental, .compression_level = 1, .shards = 1, .threads = 1};
}

backup::RestoreOptions restore_options() { return {.threads = 1, .store = store_options()}; }

Workload::Workload(const std::filesystem::path& root, const Life& life)
    : places_{root}, life_(life), random_(life.seed), next_index_(1 + life.number * 100 * kSameLength) {}

const std::vector<std::string>& Workload::scripted() {
  static const std::vector<std::string> names = {
      "create", "first-commit", "levels",  "segments", "bulk",    "group", "exclusive", "sequences", "commands", "seal",
      "reopen", "projection",   "rebuild", "backup",   "backups", "purge", "restore",   "repair",    "flush"};
  return names;
}

void Workload::run(const std::string& name) {
  const std::map<std::string, std::function<void()>> scripts = {
      {"create", [&] { create(); }},
      {"first-commit", [&] { fresh(), step(kDurable), reopen(), step(kDurable); }},
      {"levels",
       [&] {
         fresh();
         for (int i = 0; i < 12; ++i) step(static_cast<Durability>(1 + i % 3));
         flush(), step(kApplied), reopen(), step(kWritten), step(kDurable);
       }},
      {"segments",
       [&] {
         fresh();
         for (int i = 0; i < 24; ++i) step(i % 3 == 0 ? kDurable : kWritten, StepSize::Large);
         reopen(), step(kDurable), db_->checkpoint(), step(kDurable, StepSize::Large);
       }},
      {"bulk",
       [&] {
         fresh(), step(kDurable, StepSize::Bulk), step(kDurable), step(kApplied, StepSize::Bulk), reopen();
         step(kDurable, StepSize::Bulk), step(kWritten), db_->checkpoint(), step(kDurable, StepSize::Bulk);
       }},
      {"group", [&] { fresh(), group(4, 4), db_->checkpoint(), group(3, 3), reopen(), group(2, 2); }},
      {"exclusive", [&] { fresh(), exclusive(), step(kWritten), exclusive(), reopen(), exclusive(); }},
      {"sequences",
       [&] {
         fresh();
         for (int i = 0; i < 5; ++i) sequence("orders"), step(kWritten), sequence("bills");
         reopen(), sequence("orders"), db_->checkpoint(), sequence("orders"), sequence("bills");
       }},
      {"commands",
       [&] {
         fresh();
         for (int i = 0; i < 6; ++i) command(), step(kWritten);
         db_->checkpoint(), command(), reopen(), command();
       }},
      {"seal",
       [&] { fresh(), step(kDurable), seal(), reopen(), unseal(), steps(2, kDurable), seal(), unseal(), seal(); }},
      {"reopen",
       [&] {
         fresh();
         for (int i = 0; i < 4; ++i) reopen(), steps(2, i % 2 == 0 ? kDurable : kWritten);
         reopen();
       }},
      {"projection",
       [&] {
         fresh(), steps(6, kDurable), project(1), steps(3, kDurable), project(1), reopen(), step(kDurable), project(1);
       }},
      {"rebuild",
       [&] { fresh(), steps(5, kDurable), project(1), rebuild(), step(kDurable), project(1), reopen(), project(2); }},
      {"backup", [&] { fresh(), steps(4, kDurable), back_up(false), step(kDurable); }},
      {"backups",
       [&] {
         fresh(), steps(3, kDurable), back_up(false), steps(2, kDurable), back_up(true), db_->checkpoint();
         step(kDurable, StepSize::Large), back_up(true), reopen(), steps(2, kDurable), back_up(true);
       }},
      {"purge",
       [&] {
         fresh(), steps(2, kDurable), back_up(false), steps(2, kDurable), back_up(true), back_up(false);
         step(kDurable), back_up(true), purge(), step(kDurable), back_up(true);
       }},
      {"restore",
       [&] { fresh(), steps(4, kDurable), project(1), back_up(false), step(kDurable), back_up(true), restore(); }},
      {"repair", [&] { damage_and_repair(), steps(3, kDurable), reopen(), step(kDurable); }},
      {"flush",
       [&] {
         fresh();
         for (int i = 0; i < 5; ++i) steps(3, kWritten), db_->checkpoint();
       }},
      {kRandom, [&] { anything(); }},
      {kNextLife, [&] { next_life(); }},
  };
  auto script = scripts.find(name);
  if (script == scripts.end()) throw std::runtime_error("there is no workload " + name);
  script->second();
  if (db_) close();
}

// --- Lives

void Workload::create() {
  say(mark::begins());
  Db::create(places_.store(), store_options()).close();
  say(mark::created());
}

void Workload::open() {
  db_ = Db::open(places_.store(), store_options());
  Meta meta = db_->meta();
  last_ = meta.last_commit;
  say(mark::opened(last_, meta.sealed_event.has_value()));
  added_ = false;
}

void Workload::close() {
  db_->close();
  say(mark::durable(last_));
  db_.reset();
}

void Workload::fresh() {
  create();
  open();
}

void Workload::reopen() {
  close();
  open();
}

// --- Commits

void Workload::sequenced(CommitSeq commit, int step, Durability level) {
  say(mark::sequenced(commit, step));
  if (level == kDurable) say(mark::durable(commit));
  last_ = std::max(last_, commit);
}

void Workload::step(Durability level, StepSize size) {
  const int number = next_step(size);
  if (size == StepSize::Bulk) say(mark::bulk());
  Ticket ticket = db_->submit(make_step(number).set(), {}, {.level = level}).value();
  say(mark::sequenced(ticket.info().commit_seq, number));
  ticket.wait();
  sequenced(ticket.info().commit_seq, number, level);
}

void Workload::steps(int count, Durability level) {
  for (int i = 0; i < count; ++i) step(level);
}

void Workload::flush() {
  db_->flush(kDurable);
  say(mark::durable(last_));
}

void Workload::group(int threads, int each) {
  std::mutex mutex;
  auto client = [&](int thread) {
    for (int i = 0; i < each; ++i) {
      const int number = [&] {
        std::lock_guard lock(mutex);
        return next_step(StepSize::Small);
      }();
      Durability level = (thread + i) % 3 == 0 ? kWritten : kDurable;
      CommitSeq commit = db_->submit(make_step(number).set(), {}, {.level = level}).value().wait().commit_seq;
      std::lock_guard lock(mutex);
      sequenced(commit, number, level);
    }
  };
  std::vector<std::thread> clients;
  for (int i = 0; i < threads; ++i) clients.emplace_back(client, i);
  for (std::thread& each_client : clients) each_client.join();
}

void Workload::exclusive() {
  const int number = next_step(StepSize::Small);
  WriteTxn txn = db_->begin();
  make_step(number).write_to(txn);
  sequenced(txn.commit().commit_seq, number, kDurable);
}

void Workload::command() {
  const int number = next_step(StepSize::Small);
  const std::string id = "request-" + std::to_string(number);
  Ticket ticket = db_->submit(make_step(number).set(), {}, {.command = Command{.id = id}}).value();
  CommitSeq commit = ticket.wait().commit_seq;
  sequenced(commit, number, kDurable);
  say(mark::command(id, commit));
}

void Workload::sequence(std::string name) {
  std::uint64_t first = db_->next_sequence(name, 2);
  say(mark::sequence(name, first + 2));
}

void Workload::seal() {
  say(mark::seal(Promises::Seal::Sealing));
  db_->seal();
  say(mark::seal(Promises::Seal::Sealed));
}

void Workload::unseal() {
  say(mark::seal(Promises::Seal::Unsealing));
  db_->unseal();
  say(mark::seal(Promises::Seal::Open));
}

// --- Projections and backups

void Workload::project(std::uint32_t version) {
  say(mark::projects(version));
  if (!added_) db_->projections().add(test::tally(version));
  added_ = true;
  db_->projections().catch_up("tally");
  say(mark::projected());
}

void Workload::rebuild() {
  db_->projections().rebuild("tally");
  db_->projections().catch_up("tally");
}

void Workload::back_up(bool incremental) {
  say(mark::backs_up());
  backup::BackupReport report = db_->backup(places_.set(), backup_options(incremental));
  say(mark::snapshot(report.snapshot.ordinal, report.snapshot.manifest->last_commit));
  if (!incremental) newest_full_ = report.snapshot.ordinal;
}

void Workload::purge() {
  say(mark::purges(newest_full_));
  backup::SnapshotSet::open(places_.set(), {}).purge(1);
}

void Workload::restore() {
  say(mark::restores());
  say(mark::restored(Db::restore(places_.set(), places_.restored(), restore_options()).commit));
}

// --- The rest

void Workload::anything() {
  fresh();
  bool sealed = false;
  bool has_full = false;
  bool with_set = below(6) == 0;
  bool with_projection = below(6) == 0;
  for (std::uint64_t left = 12 + below(20); left > 0; --left) {
    std::uint64_t dice = below(26);
    if (sealed || dice == 25) {
      sealed ? unseal() : seal();
      sealed = !sealed;
    } else if (dice < 9) {
      step(static_cast<Durability>(1 + below(3)));
    } else if (dice < 12) {
      step(static_cast<Durability>(1 + below(3)), StepSize::Large);
    } else if (dice == 12) {
      step(kDurable, StepSize::Bulk);
    } else if (dice == 13) {
      group(2, 2);
    } else if (dice == 14) {
      exclusive();
    } else if (dice < 17) {
      command();
    } else if (dice < 19) {
      sequence(below(2) == 0 ? "orders" : "bills");
    } else if (dice == 19) {
      db_->checkpoint();
    } else if (dice == 20) {
      flush();
    } else if (dice == 21) {
      reopen();
    } else if (dice < 24 && with_projection) {
      project(1);
    } else if (dice == 24 && with_set) {
      back_up(has_full && below(3) != 0);
      has_full = true;
    }
  }
}

// Recovery, and some work: what was cut must not come back behind it.
void Workload::next_life() {
  if (!Store::exists(places_.store())) create();
  open();
  // Records as long as those that were cut, which could otherwise not come back behind them.
  next_index_ += static_cast<int>(last_);
  if (db_->meta().sealed_event) unseal();
  steps(1 + static_cast<int>(below(2)), below(2) == 0 ? kDurable : kWritten);
  if (life_.has_projection) project(life_.projection_version);
  if (life_.has_set && below(2) == 0) back_up(false);
  step(kDurable, below(6) == 0 ? StepSize::Large : StepSize::Small);
  if (below(3) == 0) reopen();
}

}  // namespace azoth::proof
