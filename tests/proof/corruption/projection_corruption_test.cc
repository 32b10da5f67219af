// The files of a projection, damaged in every way that mutation.h knows. SQLite has no checksums, so a value that was
// changed in place is not found (docs/projections.md, "What is not promised"); what must hold is that nothing crashes,
// hangs or reads outside, that the store itself is not concerned, and that building the tables anew mends everything.
#include <gtest/gtest.h>

#include <iostream>

#include "mutation.h"
#include "subject.h"
#include "support/child_process.h"
#include "support/copy_store.h"
#include "support/temp_dir.h"

namespace azoth::proof {
namespace {

constexpr const char* kDeclaration = R"(-- azoth:projection accounts version 1
CREATE TABLE accounts (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL, padding TEXT) WITHOUT ROWID;
CREATE INDEX by_cents ON accounts (cents);
CREATE TABLE notes (event INTEGER PRIMARY KEY, text TEXT);
-- azoth:on deposited
INSERT INTO accounts VALUES (:account, :amount, hex(zeroblob(200)))
  ON CONFLICT (owner) DO UPDATE SET cents = cents + excluded.cents;
-- azoth:on noted
INSERT INTO notes VALUES (:event_id, :payload);
)";

std::string rows_of(Db& db) {
  std::string text;
  for (const SqlRow& row : db.sql("accounts", "SELECT owner, cents, padding FROM accounts ORDER BY cents")) {
    text += std::string(row.text(0)) + '=' + std::to_string(row.int64(1)) + std::string(row.text(2)) + ' ';
  }
  for (const SqlRow& row : db.sql("accounts", "SELECT event, text FROM notes")) {
    text += std::to_string(row.int64(0)) + ':' + std::string(row.text(1)) + ' ';
  }
  return text;
}

class ProjectionCorruption : public testing::Test {
 protected:
  ProjectionCorruption() {
    test::ChildProcess maker([&] { make(); });
    maker.wait();
    if (!maker.succeeded()) throw std::runtime_error("making the projection failed");
    files_ = read_files(place("store"));
    before_ = read_files(place("before"));
    const Files content = read_files(place("content"));
    content_.all = content.at("content");
    rows_ = content.at("rows");
    older_rows_ = content.at("older");
  }

  void make() {
    std::string older;
    auto run = [](Db& db) {
      if (db.projections().names().empty()) db.projections().add(SqlProjection::from_text(kDeclaration));
      db.projections().catch_up("accounts");
    };
    make_subject(
        place("store"), Ending::Closed,
        [&](Db& db) {
          run(db);
          older = rows_of(db);
          test::copy_store(place("store"), place("before"));
        },
        [&](Db& db) {
          run(db);
          const std::string rows = rows_of(db);
          db.close();
          Db closed = Db::open_read_only(place("store"), small_options());
          const std::string content = Content::of(closed);
          make_files(place("content"), {{"content", content}, {"rows", rows}, {"older", older}});
        });
  }

  std::filesystem::path place(const std::string& name) const { return dir_.path() / name; }

  Outcome judge(const std::filesystem::path& directory) const {
    if (!is_store_as_it_was(directory)) return Outcome::Touched;  // it is not concerned
    try {
      Db db = Db::open_read_only(directory, small_options());
      db.projections().inspect();
      const std::string rows = rows_of(db);
      return rows == rows_ || rows == older_rows_ ? Outcome::Same : Outcome::Wrong;
    } catch (const Error&) {
      return Outcome::Found;
    }
  }

  bool is_store_as_it_was(const std::filesystem::path& directory) const {
    try {
      if (!Store::open_read_only(directory, small_options())->verify().ok()) return false;
      Db db = Db::open_read_only(directory, small_options());
      return content_.compare(db) == Outcome::Same;
    } catch (const Error&) {
      return false;
    }
  }

  // Opened for writing, and built anew.
  Outcome judge_mending(const std::filesystem::path& directory) const {
    try {
      Db db = Db::open(directory, small_options());
      db.projections().add(SqlProjection::from_text(kDeclaration));
      db.projections().rebuild("accounts");
      db.projections().catch_up("accounts");
      return rows_of(db) == rows_ ? Outcome::Same : Outcome::Wrong;
    } catch (const Error&) {
      return Outcome::Found;
    }
  }

  test::TempDir dir_;
  Files files_;
  Files before_;
  Content content_;
  std::string rows_;
  std::string older_rows_;
};

TEST_F(ProjectionCorruption, NeitherCrashesNorHangsNorConcernsTheStore) {
  const Mutator mutator(files_, before_, "projections/");
  const Trial trial{.directory = place("damaged"),
                    .files = files_,
                    .make = [&](std::uint64_t n) { return mutator.make(n); },
                    .judge = [&](const auto& directory) { return judge(directory); }};
  const Tally tally = trial.run(first_mutation(), mutations(1200));
  std::cout << tally.table();
  for (const std::string& bad : tally.bad) {
    if (!bad.starts_with("WRONG")) ADD_FAILURE() << bad;
  }
}

TEST_F(ProjectionCorruption, IsMendedByBuildingItAnew) {
  const Mutator mutator(files_, before_, "projections/");
  const Trial trial{.directory = place("mended"),
                    .files = files_,
                    .make = [&](std::uint64_t n) { return mutator.make(n); },
                    .judge = [&](const auto& directory) { return judge_mending(directory); },
                    .judge_writes = true};
  const Tally tally = trial.run(first_mutation() + 100'000, mutations(150));
  std::cout << tally.table();
  EXPECT_EQ(tally.count(Outcome::Same), tally.total());
  for (const std::string& bad : tally.bad) ADD_FAILURE() << bad;
}

}  // namespace
}  // namespace azoth::proof
