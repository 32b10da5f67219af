// Events whose handler fails: each strategy, what becomes of their neighbours, dead letters, and trouble with the
// database, which is nobody's fault.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "projection_support.h"

namespace azoth::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

class ErrorPolicyTest : public ProjectionTest {
 protected:
  // Counts, and fails at payloads in `poison_`, after it has written something.
  Projection poisoned(ErrorPolicy policy) {
    Projection projection = counting();
    projection.on_error(policy).on("*", [this](const EventView& event, Sql& sql) {
      auto left = poison_.find(std::string(event.payload()));
      if (left == poison_.end() || left->second == 0) return;
      --left->second;
      ++failures_;
      sql.run("INSERT INTO counts VALUES ('half', 1, 0)");
      throw std::runtime_error("poison " + left->first);
    });
    return projection;
  }
  static constexpr int kAlways = 1'000'000;

  std::map<std::string, int> poison_;  // how often it fails
  int failures_ = 0;
};

constexpr ErrorPolicy kDeadLetter{.then = ErrorPolicy::Then::DeadLetter};

TEST_F(ErrorPolicyTest, FailStopsInFrontOfTheEventAndKeepsWhatWasBefore) {
  poison_["p"] = kAlways;
  count(3);
  count(1, "p");
  count(2);
  auto projector = projector_with(poisoned({}));
  EXPECT_EQ(code_of([&] { return projector->catch_up("counts"); }), ErrorCode::ProjectionFailed);
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
  EXPECT_EQ(failures_, 1);
  ProjectionStatus status = projector->status("counts");
  EXPECT_EQ(status.state, ProjectionState::Failed);
  EXPECT_EQ(status.cursor, 3u);
  EXPECT_THAT(*status.last_error, HasSubstr("event 4 (count): poison p"));
  EXPECT_EQ(status.last_error_time, clock_.time);
  EXPECT_EQ(code_of([&] { return projector->run_once("counts"); }), ErrorCode::ProjectionFailed);
  EXPECT_EQ(failures_, 1) << "tried again without being told to";
}

TEST_F(ErrorPolicyTest, AFailedProjectionGoesOnWhenItIsResumed) {
  poison_["p"] = 1;
  count(1, "p");
  auto projector = projector_with(poisoned({}));
  EXPECT_EQ(code_of([&] { return projector->catch_up("counts"); }), ErrorCode::ProjectionFailed);
  projector->resume("counts");
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"p", 1}}));
}

TEST_F(ErrorPolicyTest, WhoListensIsToldOfEachFailure) {
  poison_["p"] = kAlways;
  count(1, "p");
  auto projector = this->projector();
  std::vector<ProjectionState> told;
  projector->listen([&](const ProjectionChange& change) { told.push_back(change.state); });
  projector->add(poisoned({}));
  const auto fails = [&] {
    EXPECT_EQ(code_of([&] { return projector->catch_up("counts"); }), ErrorCode::ProjectionFailed);
  };
  fails();
  projector->resume("counts");
  fails();
  projector->rebuild("counts");
  fails();
  projector->pause("counts");
  projector->resume("counts");
  fails();
  EXPECT_EQ(std::ranges::count(told, ProjectionState::Failed), 4);
}

TEST_F(ErrorPolicyTest, RetriesAreAsManyAsWereGivenAndWaitTheirBackoff) {
  poison_["p"] = kAlways;
  count(2);
  count(1, "p");
  count(2);
  ErrorPolicy policy = kDeadLetter;
  policy.retries = 3;
  policy.backoff = {.initial = milliseconds{100}, .factor = 3, .max = milliseconds{500}, .jitter = 0};
  auto projector = projector_with(poisoned(policy));
  projector->catch_up("counts");
  EXPECT_EQ(failures_, 4);
  EXPECT_THAT(pacer_.waits, ElementsAre(milliseconds{100}, milliseconds{300}, milliseconds{500}));
  EXPECT_EQ(rows(), (Rows{{"a", 4}}));
  EXPECT_EQ(projector->dead_letters("counts").at(0).attempts, 4u);
}

TEST_F(ErrorPolicyTest, RetriesComeBeforeFailingToo) {
  poison_["p"] = kAlways;
  count(1, "p");
  ErrorPolicy policy{.retries = 2};
  auto projector = projector_with(poisoned(policy));
  EXPECT_EQ(code_of([&] { return projector->catch_up("counts"); }), ErrorCode::ProjectionFailed);
  EXPECT_EQ(failures_, 3);
  EXPECT_EQ(pacer_.waits.size(), 2u);
}

TEST_F(ErrorPolicyTest, WhatFailsOnceIsAppliedByTheRetryAndOnce) {
  poison_["p"] = 1;
  count(2);
  count(1, "p");
  count(2);
  ErrorPolicy policy = kDeadLetter;
  policy.retries = 1;
  auto projector = projector_with(poisoned(policy));
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 4}, {"p", 1}}));
  EXPECT_EQ(projector->status("counts").dead_letters, 0u);
}

TEST_F(ErrorPolicyTest, ADeadLetterHoldsAllTheEventSays) {
  poison_["p"] = kAlways;
  count(1);
  count(1, "p");
  auto projector = projector_with(poisoned(kDeadLetter));
  RunReport report = projector->catch_up("counts");
  EXPECT_EQ(report.dead_letters, 1u);
  EXPECT_EQ(report.applied, 1u);
  DeadLetter letter = projector->dead_letters("counts").at(0);
  EXPECT_EQ(letter.event_id, 2u);
  EXPECT_EQ(letter.event().type(), "count");
  EXPECT_EQ(letter.event().payload(), "p");
  EXPECT_EQ(letter.event().commit_seq(), 2u);
  EXPECT_EQ(letter.event().commit_time(), source_.time);
  EXPECT_EQ(letter.error, "poison p");
  EXPECT_EQ(letter.attempts, 1u);
  EXPECT_EQ(letter.first_failed, clock_.time);
}

TEST_F(ErrorPolicyTest, ADeadLetterThatIsDamagedIsToldAsSuch) {
  poison_["p"] = kAlways;
  count(1, "p");
  projector_with(poisoned(kDeadLetter))->catch_up("counts");
  {
    Connection file(folder() / "counts.1.db", Connection::Mode::Write);
    file.run("UPDATE azoth_dead_letters SET body = X'00FF00'");
  }
  EXPECT_EQ(code_of([&] { return read_dead_letters(directory_.path(), "counts"); }), ErrorCode::Corruption);
  auto projector = projector_with(poisoned(kDeadLetter));
  EXPECT_EQ(code_of([&] { return projector->dead_letters("counts"); }), ErrorCode::Corruption);
}

TEST_F(ErrorPolicyTest, ManyPoisonEventsLoseNoneOfTheirNeighbours) {
  poison_["p"] = kAlways;
  for (int i = 0; i < 50; ++i) {
    count(1);
    count(1, "p");
  }
  auto projector = projector_with(poisoned(kDeadLetter).batch({.events = 30}));
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 50}}));
  EXPECT_EQ(projector->dead_letters("counts").size(), 50u);
  EXPECT_EQ(failures_, 50) << "not one attempt each";
}

TEST_F(ErrorPolicyTest, ARetriedDeadLetterIsAppliedOnceAndGone) {
  poison_["p"] = 1;
  count(1, "p");
  auto projector = projector_with(poisoned(kDeadLetter));
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{}));
  EXPECT_TRUE(projector->retry_dead_letter("counts", 1));
  EXPECT_EQ(rows(), (Rows{{"p", 1}}));
  EXPECT_EQ(code_of([&] { return projector->retry_dead_letter("counts", 1); }), ErrorCode::NotFound);
  EXPECT_EQ(rows(), (Rows{{"p", 1}}));
}

TEST_F(ErrorPolicyTest, ADeadLetterThatFailsAgainStaysAndSaysSo) {
  poison_["p"] = kAlways;
  count(1, "p");
  auto projector = projector_with(poisoned(kDeadLetter));
  projector->catch_up("counts");
  const Timestamp first = clock_.time;
  clock_.time += seconds{7};
  EXPECT_FALSE(projector->retry_dead_letter("counts", 1));
  DeadLetter letter = projector->dead_letters("counts").at(0);
  EXPECT_EQ(letter.attempts, 2u);
  EXPECT_EQ(letter.first_failed, first);
  EXPECT_EQ(letter.last_failed, clock_.time);
  EXPECT_EQ(rows(), (Rows{}));
}

TEST_F(ErrorPolicyTest, ADroppedDeadLetterIsGoneWithoutEffect) {
  poison_["p"] = 1;
  count(1, "p");
  auto projector = projector_with(poisoned(kDeadLetter));
  projector->catch_up("counts");
  projector->drop_dead_letter("counts", 1);
  EXPECT_EQ(projector->status("counts").dead_letters, 0u);
  EXPECT_EQ(rows(), (Rows{}));
  EXPECT_EQ(code_of([&] {
              projector->drop_dead_letter("counts", 1);
              return 0;
            }),
            ErrorCode::NotFound);
}

TEST_F(ErrorPolicyTest, AHookThatFailsIsBlamedOnTheEventThatMakesItFail) {
  Projection projection = counting();
  projection.on_error(kDeadLetter).before_commit([](Sql& sql) {
    SqlStatement row = sql.query("SELECT count(*) FROM counts WHERE what = 'p'");
    row.step();
    if (row.int64(0) > 0) throw std::runtime_error("the hook does not like p");
  });
  count(2);
  count(1, "p");
  count(2);
  auto projector = projector_with(std::move(projection));
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 4}}));
  EXPECT_EQ(projector->dead_letters("counts").at(0).event_id, 3u);
}

TEST_F(ErrorPolicyTest, AConstraintThatIsCheckedAtTheCommitIsTheEventsError) {
  Projection projection("counts", 1);
  projection.schema(
      "CREATE TABLE owner (id TEXT PRIMARY KEY);"
      "CREATE TABLE counts (what TEXT REFERENCES owner DEFERRABLE INITIALLY DEFERRED, times INTEGER)");
  projection.on_error(kDeadLetter).on("count", [](const EventView& event, Sql& sql) {
    if (event.payload() == "a") sql.run("INSERT OR IGNORE INTO owner VALUES ('a')");
    sql.run("INSERT INTO counts VALUES (?, ?)", event.payload(), static_cast<std::int64_t>(event.id()));
  });
  count(1);
  count(1, "p");
  count(1);
  auto projector = projector_with(std::move(projection));
  projector->catch_up("counts");
  EXPECT_EQ(rows("SELECT what, sum(times) FROM counts GROUP BY what"), (Rows{{"a", 4}}));
  EXPECT_EQ(projector->dead_letters("counts").at(0).event_id, 2u);
}

// SQLite calls it "malformed", and means the index.
TEST_F(ErrorPolicyTest, AFullTextIndexThatDoesNotFitItsTableIsTheEventsErrorAndNoDamage) {
  Projection projection("texts", 1);
  projection.schema(
      "CREATE TABLE texts (id INTEGER PRIMARY KEY, body TEXT);"
      "CREATE VIRTUAL TABLE found USING fts5(body, content='texts', content_rowid='id')");
  projection.on_error(kDeadLetter).on("count", [](const EventView& event, Sql& sql) {
    if (event.payload() == "wrong") {
      sql.run("INSERT INTO found(found, rowid, body) VALUES ('delete', 1, 'what never was in it')");
      return;
    }
    const auto id = static_cast<std::int64_t>(event.id());
    sql.run("INSERT INTO texts VALUES (?1, ?2)", id, event.payload());
    sql.run("INSERT INTO found(rowid, body) VALUES (?1, ?2)", id, event.payload());
  });
  count(1, "some words");
  count(1, "wrong");
  count(1, "more words");
  auto projector = projector_with(std::move(projection));
  projector->catch_up("texts");
  EXPECT_EQ(rows("SELECT body, id FROM texts", "texts"), (Rows{{"some words", 1}, {"more words", 3}}));
  EXPECT_EQ(projector->status("texts").dead_letters, 1u);
  EXPECT_TRUE(exists("texts.1.db"));
}

TEST_F(ErrorPolicyTest, AStatementThatRollsBackTheTransactionLosesNoNeighbour) {
  Projection projection = counting();
  projection.on_error(kDeadLetter).on("twice", [](const EventView&, Sql& sql) {
    sql.run("INSERT OR ROLLBACK INTO counts VALUES ('a', 1, 1)");
  });
  count(2);
  source_.append("twice", "");
  count(2);
  source_.append("twice", "");
  auto projector = projector_with(std::move(projection));
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 4}}));
  EXPECT_EQ(projector->dead_letters("counts").size(), 2u);
}

TEST_F(ErrorPolicyTest, AHandlerThatCatchesItsSqlErrorHasNotFailed) {
  Projection projection = counting();
  projection.on("*", [](const EventView&, Sql& sql) {
    EXPECT_EQ(code_of([&] {
                sql.run("INSERT INTO counts VALUES ('a', 1, 1)");
                return 0;
              }),
              ErrorCode::SqlFailed);
  });
  count(3);
  auto projector = projector_with(std::move(projection));
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
}

// --- Statements that roll the whole transaction back, under a handler that goes on

class RolledBackTest : public ErrorPolicyTest {
 protected:
  // The second event's `statement` takes the transaction with it; the handler catches that and notes the event.
  static Projection going_on_after(const std::string& statement) {
    Projection projection("noted", 1);
    projection.schema(
        "CREATE TABLE once (x PRIMARY KEY);"
        "CREATE TABLE once_in_table (x PRIMARY KEY ON CONFLICT ROLLBACK);"
        "CREATE TABLE seen (id);"
        "CREATE TRIGGER second BEFORE INSERT ON once WHEN NEW.x = 'raise' AND EXISTS (SELECT 1 FROM once) "
        "BEGIN SELECT RAISE(ROLLBACK, 'no second one'); END");
    projection.on("*", [statement](const EventView& event, Sql& sql) {
      try {
        sql.run(statement);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::SqlFailed);
      }
      sql.run("INSERT INTO seen VALUES (?)", static_cast<std::int64_t>(event.id()));
    });
    return projection;
  }
  Rows seen() { return rows("SELECT id, count(*) FROM seen GROUP BY id", "noted"); }
};

constexpr std::array kRollBack = {"INSERT OR ROLLBACK INTO once VALUES (1)", "INSERT INTO once_in_table VALUES (1)",
                                  "INSERT INTO once VALUES ('raise')"};

TEST_F(RolledBackTest, WhatAHandlerDoesAfterItsTransactionWasRolledBackIsRefused) {
  count(2);
  for (const char* statement : kRollBack) {
    {
      auto projector = projector_with(going_on_after(statement));
      EXPECT_EQ(code_of([&] { return projector->catch_up("noted"); }), ErrorCode::ProjectionFailed) << statement;
      EXPECT_EQ(projector->status("noted").cursor, 1u) << statement;
      EXPECT_THAT(*projector->status("noted").last_error, HasSubstr("rolled back")) << statement;
    }
    EXPECT_EQ(seen(), (Rows{{"1", 1}})) << statement;
    std::filesystem::remove_all(folder());
  }
}

TEST_F(RolledBackTest, NothingOfADeadLetterIsLeft) {
  count(2);
  for (const char* statement : kRollBack) {
    {
      auto projector = projector_with(going_on_after(statement).on_error(kDeadLetter));
      projector->catch_up("noted");
      EXPECT_EQ(projector->dead_letters("noted").at(0).event_id, 2u) << statement;
      EXPECT_EQ(seen(), (Rows{{"1", 1}})) << statement;
      EXPECT_FALSE(projector->retry_dead_letter("noted", 2)) << statement;
      EXPECT_EQ(projector->dead_letters("noted").at(0).attempts, 2u) << statement;
    }
    EXPECT_EQ(seen(), (Rows{{"1", 1}})) << statement;
    std::filesystem::remove_all(folder());
  }
}

TEST_F(RolledBackTest, AStatementThatWasBegunBeforeGoesOnNoMore) {
  Projection projection("noted", 1);
  projection.schema("CREATE TABLE once (x PRIMARY KEY); CREATE TABLE seen (id)").on_error(kDeadLetter);
  projection.on("*", [](const EventView& event, Sql& sql) {
    sql.run("INSERT INTO once VALUES (1)");
    SqlStatement prepared = sql.prepare("INSERT INTO seen VALUES (?)");
    prepared.bind(1, static_cast<std::int64_t>(event.id()));
    for (const char* statement : {"INSERT OR ROLLBACK INTO once VALUES (1)", ""}) {
      try {
        *statement != '\0' ? sql.run(statement) : prepared.run();
      } catch (const Error&) {
      }
    }
  });
  count(2);
  auto projector = projector_with(std::move(projection));
  projector->catch_up("noted");
  EXPECT_EQ(seen(), (Rows{}));
  EXPECT_EQ(projector->dead_letters("noted").size(), 2u);
}

// --- The database's errors

TEST_F(ErrorPolicyTest, AFullDiskIsNoEventsFault) {
  auto projector = projector_with(counting().on_error(kDeadLetter));
  count(3);
  {
    fault::Armed full("projection.step", {.fail_with = ENOSPC, .skip = 2, .times = -1});
    EXPECT_EQ(code_of([&] { return projector->catch_up("counts"); }), ErrorCode::NoSpace);
  }
  EXPECT_EQ(projector->status("counts").cursor, 0u);
  projector->catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
  EXPECT_EQ(projector->status("counts").dead_letters, 0u);
}

TEST_F(ErrorPolicyTest, AHandlerThatCatchesAFullDiskDoesNotGetAwayWithIt) {
  Projection projection = counting();
  projection.on("*", [](const EventView&, Sql& sql) {
    fault::Armed full("projection.step", {.fail_with = ENOSPC});
    try {
      sql.run("DELETE FROM counts");
    } catch (const Error&) {
    }
  });
  count(1);
  auto projector = projector_with(projection.on_error(kDeadLetter));
  EXPECT_EQ(code_of([&] { return projector->catch_up("counts"); }), ErrorCode::NoSpace);
  EXPECT_EQ(projector->status("counts").cursor, 0u);
}

TEST_F(ErrorPolicyTest, AFollowedProjectionOutlastsAFullDisk) {
  auto projector = projector_with(counting());
  fault::arm("projection.commit", {.run = [] { throw Error(ErrorCode::NoSpace, "full"); }, .times = 3});
  count(3);
  projector->follow("counts");
  EXPECT_TRUE(projector->wait_until("counts", 3, seconds{60}));
  projector->stop("counts");
  EXPECT_EQ(pacer_.waits.size(), 3u);
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
}

TEST_F(ErrorPolicyTest, AnIoErrorStopsItUntilItIsResumed) {
  auto projector = projector_with(counting().on_error(kDeadLetter));
  {
    fault::Armed broken("projection.step", {.fail_with = EIO, .times = -1});
    count(3);
    projector->follow("counts");
    EXPECT_EQ(code_of([&] { return projector->wait_until("counts", 3, seconds{60}); }), ErrorCode::Io);
  }
  EXPECT_EQ(projector->status("counts").state, ProjectionState::Failed);
  projector->resume("counts");
  EXPECT_TRUE(projector->wait_until("counts", 3, seconds{60}));
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
}

TEST_F(ErrorPolicyTest, HoweverOftenItIsResumedOnABrokenDiskItsTablesStay) {
  auto projector = projector_with(counting().on_error(kDeadLetter));
  count(2);
  projector->catch_up("counts");
  auto resume = [&] { return code_of([&] { return projector->resume("counts"), 0; }); };
  {
    fault::Armed broken("projection.step", {.fail_with = EIO, .times = -1});
    count(1);
    projector->follow("counts");
    EXPECT_EQ(code_of([&] { return projector->wait_until("counts", 3, seconds{60}); }), ErrorCode::Io);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(resume(), ErrorCode::Io) << i;
      EXPECT_EQ(code_of([&] { return projector->dead_letters("counts"); }), ErrorCode::Io) << i;
      EXPECT_EQ(projector->status("counts").state, ProjectionState::Failed) << i;
      EXPECT_EQ(projector->status("counts").cursor, 2u) << i;
    }
  }
  EXPECT_EQ(projector->dead_letters("counts").size(), 0u);
  EXPECT_EQ(resume(), ErrorCode{});
  EXPECT_TRUE(projector->wait_until("counts", 3, seconds{60}));
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
  EXPECT_EQ(projector->status("counts").generation, 1u);
  EXPECT_FALSE(projector->status("counts").rebuilt_because);
}

// What it was fed with is at event 2. It fails at the third, and its disk is still broken when it is to go on.
class BrokenDiskTest : public ErrorPolicyTest {
 protected:
  void fail_to_resume(Projector& projector) {
    fault::Armed broken("projection.step", {.fail_with = EIO, .times = -1});
    count(1);
    projector.follow("counts");
    EXPECT_EQ(code_of([&] { return projector.wait_until("counts", 3, seconds{60}); }), ErrorCode::Io);
    EXPECT_EQ(code_of([&] { return projector.resume("counts"), 0; }), ErrorCode::Io);
  }
};

TEST_F(BrokenDiskTest, OneThatCannotBeOpenedAgainCanBeBuiltAnew) {
  auto projector = projector_with(counting());
  count(2);
  projector->catch_up("counts");
  fail_to_resume(*projector);
  std::filesystem::resize_file(folder() / "counts.1.db", 100);
  projector->rebuild("counts");
  projector->resume("counts");
  EXPECT_TRUE(projector->wait_until("counts", 3, seconds{60}));
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
  EXPECT_EQ(projector->status("counts").generation, 2u);
}

TEST_F(BrokenDiskTest, AFileThatIsGoneWhenItIsResumedIsMadeAnew) {
  auto projector = projector_with(counting());
  count(2);
  projector->catch_up("counts");
  fail_to_resume(*projector);
  std::filesystem::remove(folder() / "counts.1.db");
  projector->resume("counts");
  EXPECT_TRUE(projector->wait_until("counts", 3, seconds{60}));
  EXPECT_EQ(rows(), (Rows{{"a", 3}}));
  EXPECT_THAT(projector->status("counts").rebuilt_because.value_or(""), HasSubstr("its file is gone"));
}

}  // namespace
}  // namespace azoth::test
