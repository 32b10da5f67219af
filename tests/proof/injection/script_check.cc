// What must be left.
#include "script.h"

namespace azoth::inject {

using test::Step;
using test::submit;

namespace {

constexpr int kLastStep = 900;  // that a check adds

// Numbers that were handed out are not handed out again; a command that was carried out is not carried out again.
void check_given_words(Store& store, const Told& told, Durability least) {
  std::uint64_t next = 0;
  for (const Word& word : told.words()) {
    if (word.what == Word::Number) next = std::max(next, word.commit + 1);
    if (word.what != Word::Command || word.level < least) continue;
    const Command command{.id = "command/" + std::to_string(word.step)};
    Ticket again = store.submit(Step(word.step).set(), {}, {.command = command}).value();
    EXPECT_TRUE(again.info().already_applied) << "command " << word.step << " was carried out twice";
    EXPECT_EQ(again.info().commit_seq, word.commit);
  }
  EXPECT_GE(store.next_sequence("number"), next) << "a number was handed out twice";
}

}  // namespace

test::Told safe_words(const Told& told, Durability least, CommitSeq through) {
  test::Told safe;
  for (const Word& word : told.words()) {
    if (word.what == Word::Submitted) safe.submitted.insert(word.step);
    if (word.what == Word::Acknowledged && word.level >= least && word.commit <= through) {
      safe.acknowledged[word.commit] = word.step;
    }
  }
  return safe;
}

void check_store_in(const std::filesystem::path& directory, const Told& told, Durability least) {
  test::Told safe = safe_words(told, least);
  const Options options = patient_options();
  if (!Store::exists(directory)) {
    ASSERT_TRUE(safe.acknowledged.empty()) << "the store is gone";
    Store::create(directory, options);
  }
  {
    auto store = Store::open(directory, options);
    test::check_store(*store, safe);
    if (store->meta().sealed_event) store->unseal();
    check_given_words(*store, told, least);
    const CommitSeq last = submit(*store, Step(kLastStep).set(), Durability::Durable).wait().commit_seq;
    safe.submitted.insert(kLastStep);
    safe.acknowledged[last] = kLastStep;
  }
  auto store = Store::open(directory, options);
  test::check_store(*store, safe);
}

Projection seen_projection() {
  Projection projection("seen", 1);
  projection.schema("CREATE TABLE seen (event INTEGER, payload TEXT)")
      .batch({.events = 7})
      .on("*", [](const EventView& event, Sql& sql) {
        sql.run("INSERT INTO seen VALUES (?, ?)", static_cast<std::int64_t>(event.id()), event.payload());
      });
  return projection;
}

void check_commits(Script& script, Durability least) { check_store_in(script.place.store(), script.told, least); }

namespace {

// Each event once, with its own payload.
void check_tables(const std::filesystem::path& directory) {
  Db db = Db::open(directory, patient_options());
  db.projections().add(seen_projection());
  db.projections().catch_up("seen");
  std::vector<std::string> expected;
  const ReadTxn snapshot = db.read();
  for (const EventView& event : snapshot.events()) expected.emplace_back(event.payload());
  std::vector<std::string> found;
  for (const SqlRow& row : db.sql("seen", "SELECT event, payload FROM seen ORDER BY event")) {
    found.emplace_back(row.text(1));
    ASSERT_EQ(row.int64(0), static_cast<std::int64_t>(found.size())) << "an effect is missing, or there twice";
  }
  EXPECT_EQ(found, expected);
}

CommitSeq last_backup(const Told& told) {
  CommitSeq last = 0;
  for (const Word& word : told.words()) {
    if (word.what == Word::BackedUp) last = std::max(last, word.commit);
  }
  return last;
}

// Another backup can be made, the set is whole, and what it restores has at least `through`.
void check_set(Script& script, CommitSeq through, Durability least) {
  const auto set = script.place.set();
  {
    Db db = Db::open(script.place.store(), patient_options());
    db.backup(set, {.shards = 2});
  }
  const auto report = Db::verify_backup(set, {.store = patient_options()});
  for (const std::string& problem : report.problems) ADD_FAILURE() << problem;
  EXPECT_TRUE(report.ok());
  const auto restored = Db::restore(set, script.place.target(), {.store = patient_options()});
  EXPECT_GE(restored.commit, through);
  check_store_in(script.place.target(), script.told, least);
}

}  // namespace

void check_projections(Script& script, Durability least) {
  check_store_in(script.place.store(), script.told, least);
  check_tables(script.place.store());
}

// A backup that was reported restores, alone and by the way of later ones.
void check_backup(Script& script, Durability least) {
  const CommitSeq last = last_backup(script.told);
  if (last != 0) {
    const auto target = script.place.directory / "reported";
    EXPECT_GE(Db::restore(script.place.set(), target, {.store = patient_options()}).commit, last);
    auto store = Store::open(target, patient_options());
    test::check_store(*store, safe_words(script.told, least, last));
  }
  check_set(script, last, least);
  Told all = {};
  all.start_with(script.told.words());
  all.say({.what = Word::Submitted, .step = kLastStep});
  check_store_in(script.place.store(), all, least);
}

// Whole or not there.
void check_restore(Script& script, Durability least) {
  bool reported = false;
  for (const Word& word : script.told.words()) reported = reported || word.what == Word::Restored;
  if (!Store::exists(script.place.target())) {
    ASSERT_FALSE(reported) << "what was restored is not there";
    Db::restore(script.place.set(), script.place.target(), {.store = patient_options()});
  }
  check_store_in(script.place.target(), script.told, least);
  check_tables(script.place.target());
}

// What the template's damage takes is lost on purpose: the template's words end where it begins.
void check_repair(Script& script, Durability least) {
  Db::repair(script.place.store(), patient_options(), {.accept_loss = true});
  check_store_in(script.place.store(), script.told, least);
}

}  // namespace azoth::inject
