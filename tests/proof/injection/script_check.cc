// What must be left: the invariants (support/invariants.h) of what was told.
#include "script.h"

namespace azoth::inject {

namespace {

void expect_none(const test::Violations& found) { EXPECT_TRUE(found.empty()) << found.text(); }

test::SetPlace set_place(const Script& script) {
  return {.set = script.place.set(),
          .scratch = script.place.directory / "trial",
          .options = patient_options(),
          .backup = {.shards = 2}};
}

}  // namespace

test::Promises promises_of(const Told& told, Durability least, CommitSeq through) {
  test::Promises promises = test::promises_of_steps();
  for (const Word& word : told.words()) {
    if (word.what == Word::Submitted) promises.submitted->insert(word.step);
    if (word.what == Word::Acknowledged && word.level >= least && word.commit <= through) {
      promises.acknowledged[word.commit] = word.step;
      promises.durable = std::max(promises.durable, word.commit);
    }
    if (word.what == Word::Number) {
      std::uint64_t& next = promises.sequences["number"];
      next = std::max(next, word.commit + 1);
    }
    if (word.what == Word::Command && word.level >= least) {
      promises.commands["command/" + std::to_string(word.step)] = word.commit;
    }
    if (word.what == Word::Projected) promises.projected = true;
    if (word.what == Word::BackedUp) promises.snapshots[static_cast<std::uint64_t>(word.step)] = word.commit;
  }
  return promises;
}

void check_store_in(const std::filesystem::path& directory, const Told& told, Durability least, bool has_projection) {
  const test::Subject subject{
      .store = directory, .options = patient_options(), .may_be_missing = true, .has_projection = has_projection};
  expect_none(test::check(subject, promises_of(told, least)));
}

void check_commits(Script& script, Durability least) { check_store_in(script.place.store(), script.told, least); }

void check_projections(Script& script, Durability least) {
  check_store_in(script.place.store(), script.told, least, true);
}

// A backup that was reported restores, alone and by the way of later ones.
void check_backup(Script& script, Durability least) {
  const test::SetPlace place = set_place(script);
  const test::Promises promises = promises_of(script.told, least);
  test::Violations found;
  test::check_set(place, promises, true, found);
  {
    Db db = Db::open(script.place.store(), patient_options());
    test::check_next_snapshot(db, place, promises, found);
  }
  expect_none(found);
  check_store_in(place.scratch / "next", script.told, least);
  check_store_in(script.place.store(), script.told, least);
}

// Whole or not there.
void check_restore(Script& script, Durability least) {
  bool reported = false;
  for (const Word& word : script.told.words()) reported = reported || word.what == Word::Restored;
  if (!Store::exists(script.place.target())) {
    ASSERT_FALSE(reported) << "what was restored is not there";
    Db::restore(script.place.set(), script.place.target(), {.store = patient_options()});
  }
  check_store_in(script.place.target(), script.told, least, true);
}

// What the template's damage takes is lost on purpose: the template's words end where it begins.
void check_repair(Script& script, Durability least) {
  Db::repair(script.place.store(), patient_options(), {.accept_loss = true});
  check_store_in(script.place.store(), script.told, least);
}

}  // namespace azoth::inject
