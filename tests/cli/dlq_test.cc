// Dead letters: events that a projection could not apply, from their making to their end.
#include "accounts.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;

class DlqCommand : public AccountsTest {
 protected:
  void SetUp() override {
    AccountsTest::SetUp();
    append(R"({"account":"carol"})");  // event 3: no amount
    append(R"({"amount":1})");         // event 4: no account
    deposit("dave", 4);
    declare();
    store_.ok({"projection", "run", "--on-error", "dead-letter"});
  }
  std::vector<int> letters() {
    std::vector<int> events;
    for (const Json& row : store_.ok({"--json", "dlq", "list"}).json_lines()) events.push_back(row["event"]);
    return events;
  }
};

TEST_F(DlqCommand, AnEventThatCannotBeAppliedIsPutAsideAndTheOthersCount) {
  EXPECT_EQ(cents(), (Cents{{"alice", 100}, {"bob", 7}, {"dave", 4}}));
  EXPECT_EQ(info()["dead_letters"], 2);
  EXPECT_EQ(letters(), (std::vector<int>{3, 4}));
  Json first = store_.ok({"--json", "dlq", "list", "accounts"}).json_lines().at(0);
  EXPECT_EQ(first["type"], "deposited");
  EXPECT_EQ(first["attempts"], 1);
  EXPECT_THAT(first["error"].get<std::string>(), HasSubstr("no field amount"));
  EXPECT_THAT(store_.ok({"dlq", "list"}).lines().at(2), HasSubstr("no field amount"));
}

TEST_F(DlqCommand, ShowHasTheEvent) {
  Json letter = store_.ok({"--json", "dlq", "show", "accounts", "3"}).json();
  EXPECT_EQ(letter["content"]["payload"]["account"], "carol");
  EXPECT_EQ(letter["content"]["id"], 3);
  EXPECT_THAT(store_.ok({"dlq", "show", "accounts", "3"}).out, HasSubstr(R"({"account":"carol"})"));
  EXPECT_EQ(store_.run({"dlq", "show", "accounts", "5"}).exit, 4);
  EXPECT_EQ(store_.run({"dlq", "show", "none", "3"}).exit, 4);
}

TEST_F(DlqCommand, ARetryThatFailsAgainIsCountedAndSaid) {
  Result retried = store_.run({"--json", "dlq", "retry", "accounts", "--all"});
  EXPECT_EQ(retried.exit, 1);
  ASSERT_EQ(retried.json_lines().size(), 2u);
  EXPECT_EQ(retried.json_lines().at(0)["applied"], false);
  EXPECT_THAT(retried.json_lines().at(1)["error"].get<std::string>(), HasSubstr("no field account"));
  EXPECT_EQ(store_.ok({"--json", "dlq", "list"}).json_lines().at(0)["attempts"], 2);
}

TEST_F(DlqCommand, ARetryThatSucceedsTakesEffectOnce) {
  // A constraint that another event's effect lifts.
  const std::string text =
      "-- azoth:projection order_ version 1\nCREATE TABLE open (account TEXT PRIMARY KEY);\n"
      "CREATE TABLE paid (account TEXT REFERENCES open, amount INTEGER);\n"
      "-- azoth:on opened\nINSERT INTO open VALUES (:account);\n"
      "-- azoth:on paid\nINSERT INTO paid VALUES (:account, :amount);\n";
  ASSERT_EQ(add(text, "order.sql").exit, 0);
  store_.ok({"append", "paid", R"({"account":"eve","amount":9})"});
  store_.ok({"append", "opened", R"({"account":"eve"})"});
  store_.ok({"projection", "run", "order_", "--on-error", "dead-letter"});
  Json retried = store_.ok({"--json", "dlq", "retry", "order_", "6"}).json();
  EXPECT_EQ(retried["applied"], true);
  EXPECT_EQ(retried["error"], nullptr);
  EXPECT_EQ(store_.run({"dlq", "retry", "order_", "6"}).exit, 4);
  EXPECT_EQ(store_.ok({"sql", "--csv", "SELECT sum(amount) AS s FROM paid"}).out, "s\r\n9\r\n");
}

TEST_F(DlqCommand, DropGivesSomeUpOrAll) {
  EXPECT_EQ(store_.run({"dlq", "drop", "accounts", "3", "5"}).exit, 4);
  EXPECT_EQ(letters(), (std::vector<int>{3, 4})) << "all or none";
  EXPECT_EQ(store_.ok({"--json", "dlq", "drop", "accounts", "3"}).json()["event"], 3);
  EXPECT_EQ(letters(), std::vector<int>{4});
  store_.ok({"dlq", "drop", "accounts", "--all"});
  EXPECT_EQ(letters(), std::vector<int>{});
  EXPECT_EQ(cents().size(), 3u);
}

TEST_F(DlqCommand, WhichOnesMustBeSaid) {
  for (const char* command : {"retry", "drop"}) {
    EXPECT_EQ(store_.run({"dlq", command, "accounts"}).exit, 2);
    EXPECT_EQ(store_.run({"dlq", command, "accounts", "3", "--all"}).exit, 2);
    EXPECT_EQ(store_.run({"dlq", command, "accounts", "x"}).exit, 2);
  }
  EXPECT_EQ(letters().size(), 2u);
}

TEST_F(DlqCommand, WhoKeepsItUpToDateIsNamed) {
  auto child = follow();
  for (const char* command : {"retry", "drop"}) {
    Result refused = store_.run({"dlq", command, "accounts", "--all"});
    EXPECT_EQ(refused.exit, 3);
    EXPECT_THAT(refused.err, HasSubstr("process " + std::to_string(child->pid())));
  }
  EXPECT_EQ(letters().size(), 2u) << "looking is free";
  EXPECT_EQ(end(*child).exit, 0);
}

TEST_F(DlqCommand, AMendedDeclarationIsBuiltAnewInsteadOfTriedAgain) {
  declare(accounts_sql(2, "coalesce(:amount, 0)"));
  Result refused = store_.run({"--json", "dlq", "retry", "accounts", "3"});
  EXPECT_EQ(refused.exit, 3);
  EXPECT_EQ(Json::parse(refused.err)["error"], "rebuild_needed");
}

}  // namespace
}  // namespace azoth::test
