#include "checker.h"

#include "azoth/core/error.h"

namespace azoth::proof {

namespace {

void require(bool holds, const std::string& otherwise) {
  if (!holds) throw Broken(otherwise);
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "; ";
  return text;
}

// A transaction of the checker's own.
WriteSet probe() {
  WriteSet set;
  set.put("probe", "probe").append({.type = "probe", .tags = {"probe:1"}, .payload = "probe"});
  return set;
}

}  // namespace

void Checker::check() {
  if (parts_.set && promises_.has_set) check_set();
  if (parts_.restored && promises_.restoring) check_restored();
  if (parts_.store && promises_.begun) check_store();
}

// --- The store

void Checker::check_store() {
  try {
    db_ = Db::open(places_.store(), store_options());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::NotFound && !promises_.created) {
      Db::create(places_.store(), store_options()).close();  // creation starts over
      return;
    }
    if (promises_.repair != Promises::Repair::Damaged || error.code() != ErrorCode::Corruption) throw;
    repair();
  }
  const CommitSeq last = db_->meta().last_commit;
  check_content(*db_, last);
  check_sequences(*db_);
  check_seal(*db_);
  check_commands(*db_);
  auto* known = parts_.known_projections;
  const bool is_known = known != nullptr && !known->insert(mix(parts_.projections, last)).second;
  if (promises_.has_projection && !is_known) check_projection(*db_);
  if (promises_.has_set && one_in(thoroughness_.backs_up_one_in, 2)) check_backup(*db_);
  const bool writes = one_in(thoroughness_.writes_one_in, 6);
  if (writes) check_writing(*db_);
  const bool again = writes && one_in(thoroughness_.reopens_one_in, 1);
  const std::string digest = again ? db_->digest() : "";
  db_->close();
  db_.reset();
  if (again) check_reopening(digest);
}

// What a repair that was cut has begun, the next one finishes, and keeps the same.
void Checker::repair() {
  RepairReport report = Db::repair(places_.store(), store_options(), {.accept_loss = true});
  require(report.repaired, "a repair that was cut cannot be finished");
  require(report.kept_commit == promises_.kept, "a repair that was cut keeps something else when it is run again");
  db_ = Db::open(places_.store(), store_options());
}

void Checker::check_content(Db& db, CommitSeq last) {
  require(last >= promises_.durable, "commit " + std::to_string(promises_.durable) +
                                         " was durable, and the store ends with " + std::to_string(last));
  require(promises_.repair == Promises::Repair::None || last >= promises_.kept, "less was kept than was said");
  require(last <= model_.last(),
          "the store ends with commit " + std::to_string(last) + ", and there were " + std::to_string(model_.last()));
  require(db.digest() == model_.digest(last), "the content at commit " + std::to_string(last) + " is wrong");
  // Bytes that are no longer needed may look damaged: behind a bulk transaction, which LMDB had before the journal was
  // told, and behind a repair.
  const std::vector<std::string> damage = db.status().recovery.damage;
  const bool may_be_damaged = promises_.has_bulk || promises_.repair != Promises::Repair::None;
  require(damage.empty() || may_be_damaged, "damage was found: " + joined(damage));
  VerifyReport report = db.verify();
  require(report.ok(), "verify: " + joined(report.problems));
  require(report.events == model_.last_event(last), "the number of events is wrong");
}

void Checker::check_sequences(Db& db) {
  for (const auto& [name, next] : promises_.sequences) {
    require(db.peek_sequence(name) >= next, "numbers of " + name + " will be handed out twice");
  }
}

void Checker::check_seal(Db& db) {
  const bool sealed = db.meta().sealed_event.has_value();
  if (sealed) require(promises_.seal != Promises::Seal::Open, "it is sealed and should not be");
  if (!sealed) require(promises_.seal != Promises::Seal::Sealed, "it is not sealed any more");
  if (!sealed) return;
  try {
    (void)db.submit(probe());
    throw Broken("a sealed store was written to");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Sealed) throw;
  }
  db.unseal();
}

// A request that was acknowledged and is sent again changes nothing.
void Checker::check_commands(Db& db) {
  if (promises_.commands.empty()) return;
  auto command = promises_.commands.begin();
  std::advance(command, static_cast<long>(mix(seed_, 3) % promises_.commands.size()));
  CommitInfo info = db.submit(probe(), {}, {.command = Command{.id = command->first}})->wait();
  require(info.already_applied && info.commit_seq == command->second,
          "command " + command->first + " was carried out in commit " + std::to_string(command->second) +
              " and is now in " + std::to_string(info.commit_seq));
}

void Checker::check_writing(Db& db) {
  const CommitSeq before = db.meta().last_commit;
  for (const auto& [name, next] : promises_.sequences) {
    require(db.next_sequence(name) >= next, "a number of " + name + " was handed out twice");
  }
  CommitInfo info = db.submit(probe())->wait();
  require(info.commit_seq > before && info.commit_seq <= before + 1 + promises_.sequences.size(),
          "the next commit has a wrong number");
  require(db.read(Durability::Durable).get("probe") == "probe", "what was written cannot be read");
}

void Checker::check_reopening(const std::string& digest) {
  Db db = Db::open(places_.store(), store_options());
  require(db.digest() == digest, "what was written after the cut is gone after a clean close");
  VerifyReport report = db.verify();
  require(report.ok(), "verify after a clean close: " + joined(report.problems));
  db.close();
}

// --- Projections

void Checker::check_rows(Db& db, EventId through) {
  EventId id = 0;
  for (const SqlRow& row : db.sql("tally", "SELECT id, payload FROM tally ORDER BY id")) {
    ++id;
    require(row.int64(0) == static_cast<std::int64_t>(id), "the projection misses event " + std::to_string(id));
    require(id <= through, "the projection is ahead of the log");
    require(row.text(1) == model_.payload(id), "the projection is wrong about event " + std::to_string(id));
  }
  require(id == through, "the projection ends at event " + std::to_string(id) + " and says " + std::to_string(through));
}

void Checker::check_projection(Db& db) {
  const EventId last = db.read().last_event();
  for (const ProjectionInfo& info : db.projections().inspect()) {
    require(!info.problem, "the projection's tables cannot be believed: " + info.problem.value_or(""));
    if (info.generation == 0) continue;
    require(info.cursor <= last, "the projection is ahead of the log");
    check_rows(db, info.cursor);
  }
  db.projections().add(tally(promises_.projection_version));
  db.projections().catch_up("tally");
  check_rows(db, last);
}

// --- Backups

void Checker::check_set() {
  const bool restores = !promises_.snapshots.empty() && one_in(thoroughness_.restores_one_in, 4);
  backup::SetReport report;
  try {
    backup::VerifyOptions options{.restore = false, .threads = 1, .store = store_options()};
    report = Db::verify_backup(places_.set(), options);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::NotFound && promises_.snapshots.empty()) return;
    throw;
  }
  if (report.snapshots.empty() && promises_.snapshots.empty()) return;  // which is a problem, but was so before
  require(report.problems.empty(), "the snapshot set: " + joined(report.problems));
  std::map<std::uint64_t, CommitSeq> published;
  for (const auto& snapshot : report.snapshots) {
    require(snapshot.problems.empty(),
            "snapshot " + std::to_string(snapshot.ordinal) + ": " + joined(snapshot.problems));
    published[snapshot.ordinal] = snapshot.manifest->last_commit;
  }
  for (const auto& [ordinal, commit] : promises_.snapshots) {
    auto found = published.find(ordinal);
    require(found != published.end(), "snapshot " + std::to_string(ordinal) + " was published and is gone");
    require(found->second == commit, "snapshot " + std::to_string(ordinal) + " is another one");
  }
  if (!restores) return;
  const std::filesystem::path target = places_.root / "trial";
  const CommitSeq commit = Db::restore(places_.set(), target, restore_options()).commit;
  Db db = Db::open(target, store_options());
  require(commit >= promises_.snapshots.rbegin()->second, "the newest snapshot is not what is restored");
  require(db.digest() == model_.digest(commit), "what is restored is wrong");
  db.close();
}

// The set takes another snapshot, and that restores.
void Checker::check_backup(Db& db) {
  const CommitSeq last = db.meta().last_commit;
  const std::string digest = db.digest();
  backup::BackupReport taken = db.backup(places_.set(), backup_options(false));
  require(taken.snapshot.manifest->last_commit >= last, "a snapshot misses commits");
  for (const auto& snapshots : {promises_.snapshots, promises_.may_be_gone}) {
    require(snapshots.empty() || taken.snapshot.ordinal > snapshots.rbegin()->first, "an ordinal was used twice");
  }
  const std::filesystem::path target = places_.root / "second-trial";
  Db::restore(places_.set(), target, restore_options());
  Db restored = Db::open(target, store_options());
  require(restored.digest() == digest, "a snapshot that was taken after the cut restores to something else");
  restored.close();
}

void Checker::check_restored() {
  try {
    Db db = Db::open(places_.restored(), store_options());
    const CommitSeq last = db.meta().last_commit;
    require(!promises_.restored || last >= *promises_.restored, "the restored store has lost commits");
    require(last <= model_.last() && db.digest() == model_.digest(last), "the restored store is wrong");
    VerifyReport report = db.verify();
    require(report.ok(), "verify of the restored store: " + joined(report.problems));
    db.close();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound || promises_.restored) throw;
    if (!one_in(thoroughness_.restores_one_in, 5)) return;
    Db::restore(places_.set(), places_.restored(), restore_options());
    Db db = Db::open(places_.restored(), store_options());
    require(db.digest() == model_.digest(db.meta().last_commit), "what is restored again is wrong");
  }
}

}  // namespace azoth::proof
