// The checker proves itself: of each invariant a violation is planted, and it is named.
#include "support/invariants.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "canonical/open_tables.h"
#include "support/temp_dir.h"

namespace azoth::test {
namespace {

Step make_step(int number) {
  const std::string n = std::to_string(number);
  Step step;
  step.deletes.push_back("own/" + std::to_string(number - 2));
  step.puts.emplace_back("own/" + n, n);
  for (int i = 0; i <= number % 2; ++i) {
    step.events.push_back({.type = "stepped",
                           .tags = {"step:" + n},
                           .payload = n + " " + std::to_string(i),
                           .metadata = "",
                           .time = Timestamp(std::chrono::microseconds(number))});
  }
  return step;
}

Options options() {
  Options options = quiet_options();
  options.segment_bytes = limits::kMinSegmentBytes;
  options.map_bytes = std::size_t{16} << 20;
  return options;
}

class InvariantsTest : public testing::Test {
 protected:
  static constexpr int kSteps = 8;

  InvariantsTest() {
    Db db = Db::create(store(), options());
    promises_.steps = make_step;
    promises_.submitted.emplace();
    promises_.seal = Promises::Seal::Open;
    for (int number = 1; number <= kSteps; ++number) commit(db, number);
    promises_.step_before = [](int number) { return number - 1; };
    promises_.sequences["orders"] = db.next_sequence("orders", 2) + 2;
    promises_.commands["request"] =
        db.submit(make_step(kSteps + 1).set(), {}, {.command = Command{.id = "request"}})->wait().commit_seq;
    promises_.submitted->insert(kSteps + 1);
    db.close();
  }

  std::filesystem::path store() const { return directory_.path() / "store"; }
  Subject subject() const { return {.store = store(), .options = options(), .has_projection = true}; }
  SetPlace set_place() const {
    return {.set = directory_.path() / "set", .scratch = directory_.path() / "trial", .options = options()};
  }
  Violations found() const { return test::check(subject(), promises_); }

  void commit(Db& db, int number) {
    promises_.submitted->insert(number);
    const CommitSeq commit = db.submit(make_step(number).set())->wait().commit_seq;
    promises_.acknowledged[commit] = number;
    promises_.durable = commit;
  }
  template <class Change>
  void with_db(Change change) {
    Db db = Db::open(store(), options());
    change(db);
    db.close();
  }
  void change_tables(const std::function<void(OpenTables&, LmdbWriteTxn&)>& change) {
    OpenTables tables(store(), options());
    tables.change([&](LmdbWriteTxn& txn) { change(tables, txn); });
  }
  // A snapshot set, and what was promised of it.
  void back_up() {
    with_db([&](Db& db) {
      const auto report = db.backup(set_place().set, {});
      promises_.snapshots[report.snapshot.ordinal] = report.snapshot.manifest->last_commit;
    });
  }
  Violations found_in_set() const {
    Violations found;
    check_set(set_place(), promises_, true, found);
    return found;
  }

  static testing::AssertionResult names(const Violations& found, int invariant) {
    if (found.has(invariant)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "I" << invariant << " is not among: " << found.text();
  }

  TempDir directory_;
  Promises promises_;
};

TEST_F(InvariantsTest, NothingIsFoundWhereNothingIsPlanted) {
  EXPECT_EQ(found().text(), "");
  EXPECT_EQ(found().text(), "") << "the second time, behind the checker's own commits";
}

TEST_F(InvariantsTest, NothingIsFoundWhereTheHistoryIsKnown) {
  Order order = promises_.acknowledged;
  order[promises_.commands["request"]] = kSteps + 1;
  constexpr CommitSeq kOwnCommits = 4;  // of the store's own, when it is closed
  const History history(make_step, order, promises_.commands["request"] + kOwnCommits);
  promises_.history = &history;
  EXPECT_EQ(found().text(), "");
}

TEST_F(InvariantsTest, I1AnEventThatIsMissing) {
  change_tables([](OpenTables&, LmdbWriteTxn& txn) { txn.del(Table::Events, event_key(3)); });
  EXPECT_TRUE(names(found(), 1));
}

TEST_F(InvariantsTest, I1AJournalThatIsGone) {
  std::filesystem::remove_all(store() / "journal");
  EXPECT_TRUE(names(found(), 1));
}

TEST_F(InvariantsTest, I2AValueThatIsNotThatOfTheLog) {
  change_tables([](OpenTables& tables, LmdbWriteTxn& txn) {
    const std::string key = "own/" + std::to_string(kSteps);
    Head head = tables.rows().head(txn);
    head.sums.state -= Rows::stored_checksum(txn.get(Table::State, key));
    head.sums.state += tables.rows().put_value(txn, Table::State, key, "another");
    tables.rows().put_head(txn, head);
  });
  const Violations violations = found();
  EXPECT_TRUE(names(violations, 2));
  EXPECT_FALSE(violations.has(1)) << "each row is right by itself: " << violations.text();
}

TEST_F(InvariantsTest, I3ACommitThatWasAcknowledgedAndIsNotThere) {
  std::filesystem::copy(store(), directory_.path() / "older", std::filesystem::copy_options::recursive);
  with_db([&](Db& db) { commit(db, kSteps + 2); });
  std::filesystem::remove_all(store());
  std::filesystem::rename(directory_.path() / "older", store());
  EXPECT_TRUE(names(found(), 3));
}

TEST_F(InvariantsTest, I3AStoreThatIsGone) {
  std::filesystem::remove_all(store());
  Subject missing = subject();
  missing.may_be_missing = true;
  EXPECT_TRUE(names(test::check(missing, promises_), 3));
}

TEST_F(InvariantsTest, I3ACommitThatIsAnotherOneThanWasAcknowledged) {
  promises_.acknowledged[3] = 4;
  EXPECT_TRUE(names(found(), 3));
}

TEST_F(InvariantsTest, I4AStepThatIsThereTwice) {
  with_db([&](Db& db) { commit(db, kSteps); });
  EXPECT_TRUE(names(found(), 4));
}

TEST_F(InvariantsTest, I4AStepThatIsTorn) {
  with_db([&](Db& db) {
    Step half = make_step(kSteps + 3);
    half.events.pop_back();
    db.submit(half.set())->wait();
    promises_.submitted->insert({kSteps + 2, kSteps + 3});
    promises_.step_before = nullptr;
  });
  EXPECT_TRUE(names(found(), 4));
}

TEST_F(InvariantsTest, I4AHoleInTheOrder) {
  with_db([&](Db& db) { commit(db, kSteps + 3); });
  EXPECT_TRUE(names(found(), 4));
}

TEST_F(InvariantsTest, I4ACommandThatIsCarriedOutASecondTime) {
  promises_.commands["another"] = 2;
  EXPECT_TRUE(names(found(), 4));
}

TEST_F(InvariantsTest, I4ANumberThatIsHandedOutASecondTime) {
  promises_.sequences["orders"] += 1'000'000;
  EXPECT_TRUE(names(found(), 4));
}

TEST_F(InvariantsTest, I5AProjectionThatShowsSomethingElse) {
  with_db([](Db& db) {
    Projection wrong("tally", 1);
    wrong.schema("CREATE TABLE tally (id INTEGER PRIMARY KEY, payload TEXT NOT NULL)").batch({.events = 4});
    wrong.on("*", [](const EventView& event, Sql& sql) {
      sql.run("INSERT INTO tally VALUES (?, ?)", static_cast<std::int64_t>(event.id()),
              event.id() == 2 ? std::string_view("wrong") : event.payload());
    });
    db.projections().add(std::move(wrong));
    db.projections().catch_up("tally");
  });
  EXPECT_TRUE(names(found(), 5));
}

TEST_F(InvariantsTest, I5AProjectionThatIsAheadOfTheLog) {
  std::filesystem::copy(store(), directory_.path() / "older", std::filesystem::copy_options::recursive);
  with_db([&](Db& db) {
    commit(db, kSteps + 2);
    db.projections().add(tally());
    db.projections().catch_up("tally");
  });
  std::filesystem::rename(store() / "projections", directory_.path() / "older" / "projections");
  std::filesystem::remove_all(store());
  std::filesystem::rename(directory_.path() / "older", store());
  EXPECT_TRUE(names(found(), 5));
}

TEST_F(InvariantsTest, I5AProjectionThatIsGone) {
  with_db([](Db& db) {
    db.projections().add(tally());
    db.projections().catch_up("tally");
  });
  promises_.projected = true;
  EXPECT_TRUE(found().empty()) << found().text();
  std::filesystem::remove_all(store() / "projections");
  EXPECT_TRUE(names(found(), 5));
}

TEST_F(InvariantsTest, I5AProjectionThatIsBuiltAnew) {
  with_db([](Db& db) {
    db.projections().add(tally());
    db.projections().catch_up("tally");
  });
  std::filesystem::resize_file(store() / "projections" / "tally.1.db", 0);
  EXPECT_TRUE(names(found(), 5));
}

TEST_F(InvariantsTest, I6AStepThatWasNeverSubmitted) {
  promises_.submitted->erase(kSteps + 1);
  EXPECT_TRUE(names(found(), 6));
}

// A page of events says that it is of another kind.
TEST_F(InvariantsTest, I7APageThatIsNoneOfItsTree) {
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kFlags = 10;
  const std::filesystem::path file = store() / "canonical" / "data.mdb";
  std::string bytes;
  {
    std::ifstream stream(file, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(stream), {});
  }
  int changed = 0;
  for (std::size_t at = 2 * kPage; at + kPage <= bytes.size(); at += kPage) {
    const auto first = static_cast<unsigned char>(bytes[at + 16]) + 256u * static_cast<unsigned char>(bytes[at + 17]);
    if (bytes.substr(at + first % kPage, 100).find("stepped") == std::string::npos) continue;  // no page of events
    bytes[at + kFlags] = 1;                                                                    // a branch
    ++changed;
  }
  ASSERT_GT(changed, 0);
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  EXPECT_TRUE(names(found(), 7));
}

TEST_F(InvariantsTest, I8AnIntactSetIsPassed) {
  back_up();
  EXPECT_EQ(found_in_set().text(), "");
}

TEST_F(InvariantsTest, I8ASnapshotThatIsGone) {
  back_up();
  promises_.snapshots[7] = 3;
  EXPECT_TRUE(names(found_in_set(), 8));
}

TEST_F(InvariantsTest, I8ASnapshotOfAnotherCommit) {
  back_up();
  promises_.snapshots.begin()->second -= 1;
  EXPECT_TRUE(names(found_in_set(), 8));
}

TEST_F(InvariantsTest, I8ASnapshotWithAFileThatIsDamaged) {
  back_up();
  for (const auto& file : std::filesystem::directory_iterator(set_place().set)) {
    if (file.path().extension() == ".azs") std::filesystem::resize_file(file.path(), 100);
  }
  EXPECT_TRUE(names(found_in_set(), 8));
}

TEST_F(InvariantsTest, I8ASnapshotOfSomethingElse) {
  back_up();
  promises_.steps = [](int number) {
    Step step = make_step(number);
    step.puts.front().second += "!";
    return step;
  };
  EXPECT_TRUE(names(found_in_set(), 8));
}

TEST_F(InvariantsTest, I9ADescriptorThatIsLeftOpen) {
  const Quiet quiet(store());
  const int left = open((store() / "identity").c_str(), O_RDONLY | O_CLOEXEC);
  Violations violations;
  quiet.check(violations);
  EXPECT_TRUE(names(violations, 9));
  close(left);
  Violations none;
  quiet.check(none);
  EXPECT_EQ(none.text(), "");
}

TEST_F(InvariantsTest, I9AThreadThatDoesNotEnd) {
  const Quiet quiet(store());
  std::atomic<bool> end{false};
  std::thread left([&] { end.wait(false); });
  Violations violations;
  quiet.check(violations);
  EXPECT_TRUE(names(violations, 9));
  end = true;
  end.notify_all();
  left.join();
}

TEST_F(InvariantsTest, I10AnErrorThatIsNone) {
  Violations violations;
  violations.attempt(1, "opening", [] { throw std::runtime_error("out of the blue"); });
  EXPECT_TRUE(names(violations, 10));
}

TEST_F(InvariantsTest, I10AnAnswerThatSaysSomethingElse) {
  const Error refusal(ErrorCode::Backpressure, "");
  const Error failed(ErrorCode::StoreFailed, "");
  EXPECT_EQ(wrong_answer_to_wait(nullptr), nullptr);
  ASSERT_NE(wrong_answer_to_wait(&refusal), nullptr);
  EXPECT_EQ(std::strncmp(wrong_answer_to_wait(&refusal), "I10", 3), 0);
  EXPECT_NE(wrong_answer_to_wait(&failed), nullptr) << "the outcome of what was taken and failed is unknown";
  EXPECT_EQ(wrong_answer_to_submit(&refusal, false, false), nullptr);
}

TEST_F(InvariantsTest, I11ASealThatIsGone) {
  promises_.seal = Promises::Seal::Sealed;
  EXPECT_TRUE(names(found(), 11));
}

TEST_F(InvariantsTest, I11ASealThatNobodyAskedFor) {
  with_db([](Db& db) { db.seal(); });
  EXPECT_TRUE(names(found(), 11));
}

TEST_F(InvariantsTest, I12ACommitThatAFailedStoreHasTaken) {
  EXPECT_EQ(wrong_answer_to_submit(nullptr, false, false), nullptr);
  ASSERT_NE(wrong_answer_to_submit(nullptr, false, true), nullptr);
  EXPECT_EQ(std::strncmp(wrong_answer_to_submit(nullptr, false, true), "I12", 3), 0);
}

}  // namespace
}  // namespace azoth::test
