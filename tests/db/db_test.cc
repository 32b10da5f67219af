#include "azoth/db.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/error.h"
#include "support/child_process.h"
#include "support/temp_dir.h"
#include "support/thrown.h"

namespace azoth {
namespace {

using test::code_of;

Options small() {
  Options options;
  options.segment_bytes = std::size_t{1} << 20;
  options.delta_bytes = std::size_t{1} << 20;
  options.map_bytes = std::size_t{64} << 20;
  return options;
}

TEST(Db, OpenNeverCreates) {
  test::TempDir temp;
  EXPECT_EQ(code_of([&] { Db::open(temp.path() / "ledger", small()); }), ErrorCode::NotFound);
  EXPECT_EQ(code_of([&] { Db::open_read_only(temp.path() / "ledger", small()); }), ErrorCode::NotFound);
  EXPECT_FALSE(std::filesystem::exists(temp.path() / "ledger"));
}

TEST(Db, CreateRefusesAnExistingStoreAndOpenOrCreateTakesIt) {
  test::TempDir temp;
  std::string id = Db::open_or_create(temp.path() / "ledger", small()).meta().store_id.text();
  EXPECT_EQ(code_of([&] { Db::create(temp.path() / "ledger", small()); }), ErrorCode::AlreadyExists);
  EXPECT_EQ(Db::open_or_create(temp.path() / "ledger", small()).meta().store_id.text(), id);
}

TEST(Db, QueriesReadTheProjectionsWithAndWithoutAWriter) {
  test::TempDir temp;
  Db db = Db::create(temp.path() / "ledger", small());
  for (const char* name : {"accounts", "names"}) {
    Projection projection(name, 1);
    projection.schema("CREATE TABLE accounts (owner TEXT, cents INTEGER)")
        .on("*", [](const EventView& event, Sql& sql) {
          sql.run("INSERT INTO accounts VALUES (?, ?)", event.payload(), static_cast<std::int64_t>(event.id()));
        });
    db.projections().add(std::move(projection));
  }
  EXPECT_EQ(code_of([&] { db.sql("nothing", "SELECT 1"); }), ErrorCode::NotFound);
  WriteSet set;
  set.append({.type = "t", .tags = {}, .payload = "alice"});
  set.append({.type = "t", .tags = {}, .payload = "bob"});
  db.submit(std::move(set))->wait();
  for (const char* name : {"accounts", "names"}) db.projections().catch_up(name);
  auto owners = [](Db& from) {
    std::vector<std::string> found;
    for (auto row : from.sql("accounts", "SELECT owner, cents FROM accounts WHERE cents > ?", 0)) {
      found.push_back(std::string(row.text("owner")) + std::to_string(row.int64(1)));
    }
    return found;
  };
  const std::vector<std::string> expected{"alice1", "bob2"};
  EXPECT_EQ(owners(db), expected);
  int joined = 0;
  for (auto row : db.sql({"accounts", "names"},
                         "SELECT n.owner FROM accounts a JOIN names.accounts n USING (cents) "
                         "WHERE a.owner = :owner",
                         named("owner", "bob"))) {
    EXPECT_EQ(row.text(0), "bob");
    ++joined;
  }
  EXPECT_EQ(joined, 1);
  EXPECT_EQ(code_of([&] { db.sql("accounts", "DELETE FROM accounts"); }), ErrorCode::SqlFailed);
  db.close();
  EXPECT_EQ(code_of([&] { db.sql("accounts", "SELECT 1"); }), ErrorCode::Closed);
  Db reading = Db::open_read_only(temp.path() / "ledger", small());
  EXPECT_EQ(owners(reading), expected);
}

TEST(Db, SequencesGoOnInTheNextLife) {
  test::TempDir temp;
  Db db = Db::open_or_create(temp.path() / "ledger", small());
  EXPECT_EQ(db.next_sequence("invoice"), 0u);
  EXPECT_EQ(db.next_sequence("invoice", 10), 1u);
  EXPECT_EQ(db.peek_sequence("invoice"), 11u);
  db.close();
  Db reading = Db::open_read_only(temp.path() / "ledger", small());
  ASSERT_EQ(reading.sequences().size(), 1u);
  EXPECT_EQ(reading.sequences().front().name, "invoice");
  EXPECT_EQ(reading.sequences().front().next, 11u);
  reading.close();
  EXPECT_EQ(Db::open(temp.path() / "ledger", small()).next_sequence("invoice"), 11u);
}

TEST(Db, WhatTheHeaderShowsWorks) {
  test::TempDir temp;
  Db db = Db::open_or_create(temp.path() / "ledger", small());
  WriteSet set;
  set.put("balance/alice", "100")
      .append({.type = "deposited", .tags = {"account:alice"}, .payload = R"({"account":"alice","amount":100})"});
  CommitInfo commit = db.submit(std::move(set))->wait();
  EXPECT_EQ(commit.commit_seq, 1u);
  EXPECT_EQ(commit.last_event, 1u);

  ReadTxn snapshot = db.read();
  std::vector<std::pair<std::string, std::string>> state;
  for (auto [key, value] : snapshot.scan("balance/")) state.emplace_back(key, value);
  EXPECT_EQ(state, (std::vector<std::pair<std::string, std::string>>{{"balance/alice", "100"}}));
  std::vector<std::string> types;
  for (const EventView& event : snapshot.events({.after = 0})) types.emplace_back(event.type());
  EXPECT_EQ(types, std::vector<std::string>{"deposited"});
}

TEST(Db, IsAHandleThatMoves) {
  test::TempDir temp;
  Db first = Db::create(temp.path() / "ledger", small());
  Db second = std::move(first);
  WriteTxn txn = second.begin();
  txn.put("k", "v");
  txn.commit();
  EXPECT_EQ(second.read().get("k"), "v");
}

TEST(Db, OffersSealPauseLevelsAndSubscriptions) {
  test::TempDir temp;
  Db db = Db::create(temp.path() / "ledger", small());
  Subscription subscription = db.subscribe();
  WriteSet set;
  set.append({.type = "t", .tags = {}, .payload = {}});
  db.submit(std::move(set))->wait();
  EXPECT_EQ(subscription.next().value().events().front().type(), "t");
  for (Durability level : {Durability::Applied, Durability::Written, Durability::Durable}) {
    EXPECT_EQ(db.read(level).last_event(), 1u);
  }
  auto put = [&] {
    WriteSet more;
    more.put("k", "v");
    (void)db.submit(std::move(more)).value();
  };
  {
    Pause pause = db.pause("backup");
    EXPECT_EQ(db.status().pauses.at(0).owner, "backup");
    EXPECT_EQ(code_of(put), ErrorCode::Paused);
  }
  EXPECT_EQ(db.seal(), 1u);
  EXPECT_EQ(db.meta().sealed_event, 1u);
  EXPECT_EQ(code_of(put), ErrorCode::Sealed);
  db.unseal();
  put();
  db.flush();
  db.checkpoint();
  EXPECT_EQ(db.status().flushed_seq, db.meta().last_commit);
}

// --- verify looks at projections, too

Projection payloads() {
  Projection projection("payloads", 1);
  projection.schema("CREATE TABLE payloads (event INTEGER PRIMARY KEY, payload TEXT)")
      .on("*", [](const EventView& event, Sql& sql) {
        sql.run("INSERT INTO payloads VALUES (?, ?)", static_cast<std::int64_t>(event.id()), event.payload());
      });
  return projection;
}

void append(const std::filesystem::path& store, const std::string& payload) {
  Db db = Db::open(store, small());
  WriteSet set;
  set.append({.type = "t", .tags = {}, .payload = payload});
  db.submit(std::move(set))->wait();
  db.close();
}

// --- close, while others use the projections

WriteSet one_event() {
  WriteSet set;
  set.append({.type = "t", .tags = {}, .payload = "p"});
  return set;
}

TEST(DbClose, EndsTheCallsThatWaitForAProjection) {
  for (const bool followed : {false, true}) {
    test::TempDir temp;
    Db db = Db::create(temp.path() / "ledger", small());
    db.projections().add(payloads());
    db.projections().run_until("payloads", 0);
    if (followed) db.projections().follow("payloads");
    std::vector<std::thread> waiting;
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
    for (int i = 0; i < 4; ++i) {
      waiting.emplace_back([&, i] {
        ++begun;
        const ErrorCode code = code_of([&] {
          if (i % 2 == 0) {
            db.projections().wait_until("payloads", 1000, std::chrono::minutes{5});
          } else {
            db.projections().run_until("payloads", 1000);
          }
        });
        EXPECT_EQ(code, ErrorCode::Closed);
        ++ended;
      });
    }
    while (begun < 4) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    EXPECT_EQ(ended, 0);
    db.close();
    // Nothing is held any more, whatever the others are doing.
    Db again = Db::open(temp.path() / "ledger", small());
    again.projections().add(payloads());
    for (std::thread& thread : waiting) thread.join();
    EXPECT_EQ(code_of([&] { db.projections().add(payloads()); }), ErrorCode::Closed);
    EXPECT_EQ(code_of([&] { db.projections().catch_up("payloads"); }), ErrorCode::Closed);
  }
}

TEST(DbClose, WaitsForAHandlerWhichMayQueryMeanwhile) {
  test::TempDir temp;
  Db db = Db::create(temp.path() / "ledger", small());
  std::latch in_handler(1);
  std::latch closing(1);
  std::atomic<int> rows{-1};
  Projection asking = payloads();
  asking.on("t", [&](const EventView&, Sql&) {
    in_handler.count_down();
    closing.wait();
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
    rows = 0;
    for (auto row : db.sql("payloads", "SELECT count(*) FROM payloads")) rows = static_cast<int>(row.int64(0));
  });
  db.projections().add(std::move(asking));
  db.projections().follow("payloads");
  db.submit(one_event())->wait();
  in_handler.wait();
  closing.count_down();
  db.close();
  EXPECT_EQ(rows, 0) << "the batch is committed after it";
  Db again = Db::open(temp.path() / "ledger", small());
  again.projections().add(payloads());
  EXPECT_EQ(again.projections().status("payloads").dead_letters, 0u);
}

TEST(DbClose, FromAHandlerIsRefusedAndClosesNothing) {
  test::TempDir temp;
  Db db = Db::create(temp.path() / "ledger", small());
  std::atomic<ErrorCode> code{};
  Projection closing = payloads();
  closing.on("t", [&](const EventView&, Sql&) { code = code_of([&] { db.close(); }); });
  db.projections().add(std::move(closing));
  db.submit(one_event())->wait();
  db.projections().catch_up("payloads");
  EXPECT_EQ(code, ErrorCode::NestedUse);
  db.submit(one_event())->wait();
  EXPECT_EQ(db.projections().catch_up("payloads").cursor, 2u);
  db.close();
}

class VerifiedProjection : public testing::Test {
 protected:
  VerifiedProjection() {
    Db::create(store(), small()).close();
    append(store(), "one");
    std::filesystem::copy(store(), older(), std::filesystem::copy_options::recursive);
    append(store(), "two");
    Db db = Db::open(store(), small());
    db.projections().add(payloads());
    db.projections().catch_up("payloads");
    db.close();
  }

  std::filesystem::path store() const { return temp_.path() / "ledger"; }
  std::filesystem::path older() const { return temp_.path() / "older"; }

  static VerifyReport verify(const std::filesystem::path& directory) {
    return Db::open_read_only(directory, small()).verify();
  }
  static std::string problem(const std::filesystem::path& directory) {
    const VerifyReport report = verify(directory);
    return report.problems.size() == 1 ? report.problems.front() : std::to_string(report.problems.size()) + " problems";
  }

  test::TempDir temp_;
};

// Building it anew would not mend its declaration, and its tables are whole.
TEST_F(VerifiedProjection, WhoseDeclarationCannotBeReadIsNotDamaged) {
  std::ofstream(store() / "projections" / "payloads.sql") << "x";
  const VerifyReport report = verify(store());
  EXPECT_EQ(report.problems, std::vector<std::string>());
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_NE(report.notes[0].find("projection payloads: "), std::string::npos) << report.notes[0];
}

TEST_F(VerifiedProjection, ThatShowsTheLogIsCounted) {
  const VerifyReport report = verify(store());
  EXPECT_EQ(report.problems, std::vector<std::string>());
  EXPECT_EQ(report.projections, 1u);
  EXPECT_EQ(verify(older()).projections, 0u);
}

TEST_F(VerifiedProjection, ThatIsAheadOfTheLogIsFound) {
  std::filesystem::rename(store() / "projections", older() / "projections");
  EXPECT_NE(problem(older()).find("payloads: it shows event 2, which the store does not have"), std::string::npos)
      << problem(older());
}

TEST_F(VerifiedProjection, ThatShowsAnotherEventIsFound) {
  append(older(), "another two");
  std::filesystem::rename(store() / "projections", older() / "projections");
  EXPECT_NE(problem(older()).find("payloads: event 2 is not the one that it shows"), std::string::npos)
      << problem(older());
}

TEST_F(VerifiedProjection, WhosePointerIsDamagedIsFound) {
  std::ofstream(store() / "projections" / "payloads") << "nothing";
  EXPECT_NE(problem(store()).find("projection payloads: "), std::string::npos) << problem(store());
}

// The writer runs the projection, too; the reader's log must not lag behind what that shows.
TEST(Db, AReaderTakesOverWhatAWriterInAnotherProcessHasShown) {
  test::TempDir temp;
  const std::filesystem::path store = temp.path() / "ledger";
  Db::create(store, small()).close();
  int begin[2], done[2];
  ASSERT_EQ(pipe(begin), 0);
  ASSERT_EQ(pipe(done), 0);
  char byte = 1;
  test::ChildProcess writer([&] {
    Db db = Db::open(store, small());
    while (read(begin[0], &byte, 1) == 1 && byte != 0) {
      for (int i = 0; i < 5; ++i) {
        WriteSet set;
        set.append({.type = "t", .tags = {}, .payload = "p"});
        (void)db.submit(std::move(set)).value();
      }
      db.flush();
      db.projections().add(payloads());
      db.projections().catch_up("payloads");
      db.projections().release("payloads");
      if (write(done[1], &byte, 1) != 1) break;
    }
  });
  const auto run_there = [&] {
    byte = 1;
    return write(begin[1], &byte, 1) == 1 && read(done[0], &byte, 1) == 1;
  };
  ASSERT_TRUE(run_there());
  Db db = Db::open_read_only(store, small());
  for (int i = 0; i < 20; ++i) {
    Projector& projector = db.projections();
    ASSERT_TRUE(run_there());
    projector.add(payloads());
    EXPECT_EQ(projector.status("payloads").rebuilt_because, std::nullopt);
    EXPECT_EQ(projector.status("payloads").generation, 1u);
    projector.release("payloads");
    EXPECT_EQ(db.verify().problems, std::vector<std::string>());
  }
  byte = 0;
  EXPECT_EQ(write(begin[1], &byte, 1), 1);
  writer.wait();
  EXPECT_TRUE(writer.succeeded());
  for (const int end : {begin[0], begin[1], done[0], done[1]}) close(end);
}

TEST(Db, AReopenedStoreHasTheSameDigest) {
  test::TempDir temp;
  std::string digest;
  {
    Db db = Db::create(temp.path() / "ledger", small());
    for (int i = 0; i < 100; ++i) {
      WriteSet set;
      set.put("k" + std::to_string(i % 7), std::to_string(i))
          .append({.type = "put", .tags = {}, .payload = std::to_string(i)});
      db.submit(std::move(set)).value();
    }
    digest = db.digest();
  }
  EXPECT_EQ(Db::open(temp.path() / "ledger", small()).digest(), digest);
  Db reader = Db::open_read_only(temp.path() / "ledger", small());
  EXPECT_EQ(reader.digest(), digest);
  EXPECT_TRUE(reader.verify().ok());
  EXPECT_EQ(code_of([&] { (void)reader.submit(WriteSet()); }), ErrorCode::ReadOnly);
}

TEST(Db, IsTheSameStoreWhenTheProcessGoesElsewhere) {
  test::TempDir temp;
  std::filesystem::create_directories(temp.path() / "elsewhere");
  test::ChildProcess child([&] {
    std::filesystem::current_path(temp.path());
    Db db = Db::create("ledger", small());
    std::filesystem::current_path(temp.path() / "elsewhere");
    Projection projection("counts", 1);
    projection.schema("CREATE TABLE counts (id INTEGER)").on("*", [](const EventView& event, Sql& sql) {
      sql.run("INSERT INTO counts VALUES (?)", static_cast<std::int64_t>(event.id()));
    });
    db.projections().add(std::move(projection));
    WriteSet set;
    set.append({.type = "t", .tags = {}, .payload = ""});
    db.submit(std::move(set))->wait();
    db.projections().catch_up("counts");
    for (auto row : db.sql("counts", "SELECT count(*) FROM counts")) EXPECT_EQ(row.int64(0), 1);
    EXPECT_EQ(db.verify().projections, 1u);
  });
  child.wait();
  EXPECT_TRUE(child.succeeded());
  EXPECT_TRUE(std::filesystem::is_empty(temp.path() / "elsewhere"));
}

}  // namespace
}  // namespace azoth
