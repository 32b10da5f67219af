#include "checker.h"

#include "azoth/core/error.h"

namespace azoth::proof {

void Checker::check() {
  if (parts_.set && promises_.has_set) check_set();
  if (parts_.restored && promises_.restoring) check_restored();
  if (parts_.store && promises_.begun) check_store();
  if (!found_.empty()) throw Broken(found_.text());
}

// --- The store

void Checker::check_store() {
  std::optional<test::Quiet> quiet;
  if (one_in(thoroughness_.looks_for_leftovers_one_in, 7)) quiet.emplace(places_.store());
  if (!open()) return;
  check_as_found();
  const bool writes = one_in(thoroughness_.writes_one_in, 6);
  if (writes) check_next_steps();
  const bool again = writes && one_in(thoroughness_.reopens_one_in, 1);
  const std::string digest = again ? db_->digest() : "";
  db_->close();
  db_.reset();
  if (quiet) quiet->check(found_);
  if (again) check_reopening(digest);
}

// False if there is none, and none was promised.
bool Checker::open() {
  try {
    db_ = Db::open(places_.store(), store_options());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::NotFound && !promises_.created) {
      Db::create(places_.store(), store_options()).close();  // creation starts over
      return false;
    }
    if (promises_.repair != Promises::Repair::Damaged || error.code() != ErrorCode::Corruption) throw;
    repair();
  }
  return true;
}

// What a repair that was cut has begun, the next one finishes, and keeps the same.
void Checker::repair() {
  RepairReport report = Db::repair(places_.store(), store_options(), {.accept_loss = true});
  found_.require(3, report.repaired, "a repair that was cut cannot be finished");
  found_.require(3, report.kept_commit == promises_.kept,
                 "a repair that was cut keeps another part when it is run again");
  db_ = Db::open(places_.store(), store_options());
}

void Checker::check_as_found() {
  const CommitSeq last = db_->meta().last_commit;
  test::check_log(*db_, promises_, found_);
  test::check_content(*db_, promises_, found_);
  test::check_sequences(*db_, promises_, found_);
  test::check_seal(*db_, promises_.seal, found_);
  check_one_command();
  auto* known = parts_.known_projections;
  const bool is_known = known != nullptr && !known->insert(mix(parts_.projections, last)).second;
  if (promises_.has_projection && !is_known) {
    test::check_projections(*db_, promises_, promises_.projection_version, found_);
  }
  if (promises_.has_set && one_in(thoroughness_.backs_up_one_in, 2)) {
    test::check_next_snapshot(*db_, set_place(), promises_, found_);
  }
}

void Checker::check_one_command() {
  if (promises_.commands.empty()) return;
  auto command = promises_.commands.begin();
  std::advance(command, static_cast<long>(mix(seed_, 3) % promises_.commands.size()));
  test::check_commands(*db_, {*command}, found_);
}

void Checker::check_next_steps() {
  if (one_in(thoroughness_.looks_for_leftovers_one_in, 8)) test::check_pause(*db_, found_);
  test::check_writing(*db_, promises_, found_);
}

void Checker::check_reopening(const std::string& digest) {
  Db db = Db::open(places_.store(), store_options());
  found_.require(3, db.digest() == digest, "what was written after the cut is gone after a clean close");
  test::check_log(db, promises_, found_);
  db.close();
}

// --- Backups

test::SetPlace Checker::set_place() const {
  return {.set = places_.set(), .scratch = places_.root, .options = store_options(), .backup = backup_options(false)};
}

void Checker::check_set() {
  const bool restores = one_in(thoroughness_.restores_one_in, 4);
  test::check_set(set_place(), promises_, restores, found_);
}

void Checker::check_restored() {
  Promises of_restored = promises_;
  of_restored.durable = promises_.restored.value_or(0);
  try {
    Db db = Db::open(places_.restored(), store_options());
    test::check_content(db, of_restored, found_);
    test::check_log(db, of_restored, found_);
    db.close();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound || promises_.restored) throw;
    if (!one_in(thoroughness_.restores_one_in, 5)) return;
    Db::restore(places_.set(), places_.restored(), restore_options());
    Db db = Db::open(places_.restored(), store_options());
    test::check_content(db, of_restored, found_);
  }
}

}  // namespace azoth::proof
