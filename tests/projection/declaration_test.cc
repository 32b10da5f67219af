// Projections declared in SQL: what a declaration may say, what is wrong with one that may not, and what becomes of an
// event's fields.
#include <gtest/gtest.h>

#include <fstream>

#include "azoth/projection/sql_projection.h"
#include "projection_support.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kAccounts = R"(-- A comment.
-- azoth:projection accounts version 1
CREATE TABLE accounts (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL, memo TEXT) WITHOUT ROWID;
-- azoth:on deposited
INSERT INTO accounts VALUES (:account, :amount, NULL) ON CONFLICT (owner) DO UPDATE SET cents = cents + excluded.cents;
-- azoth:on withdrawn
-- azoth:optional memo
UPDATE accounts SET cents = cents - :amount WHERE owner = :account;
UPDATE accounts SET memo = coalesce(:memo, memo) WHERE owner = :account;  -- two statements
)";

class DeclarationTest : public ProjectionTest {
 protected:
  static std::string wrong(std::string text) {
    return message_of([&] { return SqlProjection::from_text(text, "x.sql").version(); });
  }
  // One table `got` of one row, filled by an expression over one event.
  std::string evaluate(const std::string& expression, const std::string& payload) {
    const std::string name = "p" + std::to_string(++names_);
    auto projector = this->projector();
    projector->add(SqlProjection::from_text("-- azoth:projection " + name + " version 1\nCREATE TABLE got (x);\n" +
                                            "-- azoth:on t" + name + "\nINSERT INTO got VALUES (" + expression + ")"));
    std::string body;
    source_.append("t" + name, payload);
    try {
      projector->catch_up(name);
    } catch (const Error& error) {
      return error.what();
    }
    return rows("SELECT typeof(x) || ' ' || coalesce(x, ''), 0 FROM got", name).begin()->first;
  }
  int names_ = 0;
};

TEST_F(DeclarationTest, AccountsAreKeptWithoutAnyCode) {
  auto projector = projector_with(SqlProjection::from_text(kAccounts));
  source_.append("deposited", R"({"account":"alice","amount":100})");
  source_.append("deposited", R"({"account":"bob","amount":5})");
  source_.append("withdrawn", R"({"account":"alice","amount":30})");
  source_.append("withdrawn", R"({"account":"bob","amount":5,"memo":"all of it"})");
  projector->catch_up("accounts");
  EXPECT_EQ(rows("SELECT owner, cents FROM accounts", "accounts"), (Rows{{"alice", 70}, {"bob", 0}}));
  EXPECT_EQ(rows("SELECT memo, 1 FROM accounts WHERE memo NOT NULL", "accounts"), (Rows{{"all of it", 1}}));
}

// One comes out of a snapshot set, too, of which nobody knows who wrote it.
TEST_F(DeclarationTest, ASchemaThatWouldGoOnForEverOrTakeAllMemoryIsRefused) {
  const std::string numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) ";
  for (const std::string& statement : std::vector<std::string>{
           numbers + "SELECT count(*) FROM c", "CREATE TABLE t AS " + numbers + "SELECT randomblob(1000000) FROM c",
           "CREATE TABLE t AS " + numbers + "SELECT randomblob(10000) AS b FROM c",
           "CREATE TABLE t AS " + numbers + "SELECT randomblob(10000) AS b FROM c ORDER BY b",
           "CREATE TABLE t AS " + numbers + "SELECT DISTINCT randomblob(10000) AS b FROM c",
           "CREATE TABLE t AS SELECT zeroblob(1000000000) AS b",
           "CREATE TABLE t AS SELECT replace(hex(zeroblob(50000)), '0', hex(zeroblob(10000))) AS b"}) {
    EXPECT_THAT(wrong("-- azoth:projection p version 1\n" + statement + ";\n"),
                AllOf(StartsWith("x.sql:2: "), HasSubstr("more time or memory than it may")))
        << statement;
  }
}

TEST_F(DeclarationTest, ASchemaMayFillTables) {
  auto projector = projector_with(SqlProjection::from_text(
      "-- azoth:projection days version 1\nCREATE TABLE days (day TEXT PRIMARY KEY, number INTEGER);\n"
      "INSERT INTO days WITH RECURSIVE d(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 36524)\n"
      "  SELECT date('2000-01-01', n || ' days'), n FROM d ORDER BY 1;\n"
      "-- azoth:on x\nDELETE FROM days WHERE day = :day;\n"));
  EXPECT_EQ(rows("SELECT max(day), count(*) FROM days", "days"), (Rows{{"2099-12-31", 36525}}));
}

TEST_F(DeclarationTest, AMissingFieldIsTheEventsError) {
  auto projector = projector_with(SqlProjection::from_text(kAccounts));
  source_.append("deposited", R"({"account":"alice","amuont":100})");
  EXPECT_THAT(message_of([&] { return projector->catch_up("accounts"); }),
              HasSubstr("event 1 (deposited): its payload has no field amount"));
}

TEST_F(DeclarationTest, FieldsKeepTheirTypes) {
  EXPECT_EQ(evaluate(":f", R"({"f":"text"})"), "text text");
  EXPECT_EQ(evaluate(":f", R"({"f":-9223372036854775808})"), "integer -9223372036854775808");
  EXPECT_EQ(evaluate(":f", R"({"f":9223372036854775807})"), "integer 9223372036854775807");
  EXPECT_EQ(evaluate(":f", R"({"f":1.5})"), "real 1.5");
  EXPECT_EQ(evaluate(":f", R"({"f":true})"), "integer 1");
  EXPECT_EQ(evaluate(":f", R"({"f":false})"), "integer 0");
  EXPECT_EQ(evaluate(":f", R"({"f":null})"), "null ");
  EXPECT_EQ(evaluate(":f", R"({"f":{"z":[1,"x"],"a":null}})"), R"(text {"z":[1,"x"],"a":null})");
  EXPECT_EQ(evaluate(":f", R"({"f":[]})"), "text []");
}

TEST_F(DeclarationTest, IntegersThatSqliteCannotHoldAreNotRounded) {
  EXPECT_THAT(evaluate(":f", R"({"f":9223372036854775808})"), HasSubstr("too large"));
  EXPECT_THAT(evaluate(":f", R"({"f":18446744073709551616})"), HasSubstr("too large"));
  EXPECT_THAT(evaluate(":f", R"({"f":-9223372036854775809})"), HasSubstr("too large"));
}

TEST_F(DeclarationTest, ALiteralFieldWinsOverANestedOne) {
  EXPECT_EQ(evaluate(":a_b", R"({"a":{"b":1}})"), "integer 1");
  EXPECT_EQ(evaluate(":a_b", R"({"a":{"b":1},"a_b":2})"), "integer 2");
  EXPECT_EQ(evaluate(":a_b_c", R"({"a":{"b":{"c":3}}})"), "integer 3");
  EXPECT_EQ(evaluate(":a_b_c", R"({"a":{"b_c":4}})"), "integer 4");
  EXPECT_EQ(evaluate(":a_b_c", R"({"a_b":{"c":5},"a":{"b_c":4}})"), "integer 5");
  EXPECT_THAT(evaluate(":a_b", R"({"a":1})"), HasSubstr("no field a_b"));
}

TEST_F(DeclarationTest, TheLastOfSeveralFieldsOfOneNameWins) {
  EXPECT_EQ(evaluate(":f", R"({"f":1,"g":0,"f":2})"), "integer 2");
  EXPECT_EQ(evaluate(":f", R"({"f":{"a":1,"b":2,"a":3}})"), R"(text {"a":3,"b":2})");
  std::string many;
  for (int i = 0; i < 100; ++i) many += "\"m" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  EXPECT_EQ(evaluate(":m3 || ' ' || :m50 || ' ' || :m99", "{" + many + R"("m3":"x","m50":"y","m99":"z"})"),
            "text x y z");
}

// Each new member was looked for among all before it: this took minutes, in which nothing else could be done. ctest's
// timeout ends one that does so again.
TEST_F(DeclarationTest, AnObjectMayHaveVeryManyFields) {
  std::string payload = "{\"f\":{";
  for (int i = 0; i < 300'000; ++i) payload += "\"m" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  payload += "\"last\":1}}";
  EXPECT_EQ(evaluate(":f_m299999 + :f_last", payload), "integer 300000");
}

TEST_F(DeclarationTest, PayloadsThatAreNoObjectsAreTheEventsError) {
  EXPECT_THAT(evaluate(":f", "[1]"), HasSubstr("no JSON object"));
  EXPECT_THAT(evaluate(":f", "{\"f\":"), HasSubstr("no JSON"));
  EXPECT_THAT(evaluate(":f", ""), HasSubstr("no JSON"));
  EXPECT_THAT(evaluate(":f", "{\"f\":" + std::string(100'000, '[')), HasSubstr("too deep"));
  EXPECT_THAT(evaluate(":f", R"({"f":1})" + std::string("\0rest", 5)), HasSubstr("zero byte"));
  EXPECT_THAT(evaluate(":f", "\xEF\xBB\xBF{\"f\":1}"), HasSubstr("byte order mark"));
  EXPECT_EQ(evaluate("1", "no JSON, and nobody asks for a field"), "integer 1");
}

TEST_F(DeclarationTest, TheReservedNamesAreTheEvents) {
  EXPECT_EQ(evaluate(":event_id || ' ' || :commit_seq || ' ' || :event_type", "{}"), "text 1 1 tp1");
  EXPECT_EQ(evaluate(":event_time", "{}"), "text " + format_time(source_.time));
  EXPECT_EQ(evaluate(":tags || :payload", R"({"payload":1})"), R"(text []{"payload":1})");
}

TEST_F(DeclarationTest, WhatIsWrongIsNamedWithItsLine) {
  const std::string head = "-- azoth:projection p version 1\nCREATE TABLE t (x);\n";
  EXPECT_THAT(wrong("CREATE TABLE t (x);"), StartsWith("x.sql:1: it does not begin with"));
  EXPECT_THAT(wrong("-- fine\n /* fine */\nCREATE VIEW v AS SELECT 1;\n" + head),
              StartsWith("x.sql:3: this stands in front of"));
  EXPECT_THAT(wrong("\n-- azoth:on a\n"), StartsWith("x.sql:2: a declaration begins with"));
  EXPECT_THAT(wrong("-- azoth:projection a/b version 1"), HasSubstr("x.sql:1: 'a/b' cannot name"));
  EXPECT_THAT(wrong("-- azoth:projection a version one"), HasSubstr("N is a number"));
  EXPECT_THAT(wrong("-- azoth:projection a version 0"), StartsWith("x.sql:1: projection a: versions begin at 1"));
  EXPECT_THAT(wrong(head + "-- azoth:no a\n"), StartsWith("x.sql:3: there is no directive azoth:no"));
  EXPECT_THAT(wrong(head + "-- azoth:optional a\n"), StartsWith("x.sql:3: an optional field belongs"));
  EXPECT_THAT(wrong(head + "-- azoth:on a\n"), StartsWith("x.sql:3: nothing is done on a"));
  EXPECT_THAT(wrong(head + "-- azoth:on a\n\n-- here\nINSERT INTO t\nVALUES (y)"),
              StartsWith("x.sql:6: no such column"));
  EXPECT_THAT(wrong(head + "-- azoth:on a\nDELETE FROM t;\nDELETE FRM t;"), StartsWith("x.sql:5: near \"FRM\""));
  EXPECT_THAT(wrong(head + "-- azoth:on a\nDELETE FROM t WHERE x = ?"), HasSubstr("parameters are written :name"));
  EXPECT_THAT(wrong(head + "-- azoth:on a\n-- azoth:optional y\nDELETE FROM t WHERE x = :z"),
              StartsWith("x.sql:4: no statement"));
  EXPECT_THAT(wrong(head + "-- azoth:on a\n-- azoth:optional tags\nDELETE FROM t"), HasSubstr("reserved"));
  EXPECT_THAT(wrong(head + "-- azoth:on a\nDELETE FROM t;\n-- azoth:on a\nDELETE FROM t"),
              HasSubstr("x.sql:5: projection p has two"));
  EXPECT_THAT(wrong(head + "CREATE TABLE azoth_x (y)"), HasSubstr("x.sql:3: names that begin with azoth_"));
  EXPECT_THAT(wrong(head + "PRAGMA journal_mode = OFF"), HasSubstr("x.sql:3: PRAGMA"));
  EXPECT_THAT(wrong(head + "-- azoth:on a\nCOMMIT"), HasSubstr("x.sql:4: transactions"));
}

// Preparing them would take hours and all memory.
TEST_F(DeclarationTest, TablesThatNameEachOtherWithoutMeasureAreRefused) {
  std::string with = "WITH t0 AS (SELECT 1 x)";
  std::string views = "CREATE VIEW v0 AS SELECT 1 x;\n";
  for (int i = 1; i <= 30; ++i) {
    const std::string before = std::to_string(i - 1);
    with += ", t" + std::to_string(i) + " AS (SELECT 1 x FROM t" + before + " p, t" + before + " q)";
    views += "CREATE VIEW main.v" + std::to_string(i) + "(x) AS SELECT 1 x FROM main.v" + before + " p, v" + before +
             " q;\n";
  }
  const std::string head = "-- azoth:projection p version 1\nCREATE TABLE t (x);\n";
  EXPECT_THAT(wrong(head + "-- azoth:on a\nINSERT INTO t " + with + " SELECT x FROM t30"), HasSubstr("too often"));
  EXPECT_THAT(wrong(head + views + "-- azoth:on a\nINSERT INTO t SELECT x FROM v30"), HasSubstr("too often"));
}

// As those of queries. Views alone are not written out.
TEST_F(DeclarationTest, ColumnsThatNameEachOtherWithoutMeasureAreRefused) {
  std::string text = "-- azoth:projection p version 1\nCREATE TABLE t (x);\nCREATE VIEW v0 AS SELECT 1 AS x;\n";
  for (int i = 1; i <= 30; ++i) {
    text += "CREATE VIEW v" + std::to_string(i) + " AS SELECT x+x AS x FROM v" + std::to_string(i - 1) + ";\n";
  }
  const std::string handler = "-- azoth:on a\nINSERT INTO t SELECT x FROM v";
  EXPECT_THAT(wrong(text + handler + "30"), HasSubstr("too often"));
  EXPECT_THAT(
      wrong(text + "CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO t SELECT x FROM v30; END;\n" + handler + "1"),
      HasSubstr("too often"));
  auto projector = projector_with(SqlProjection::from_text(text + handler + "6"));
  source_.append("a", "");
  projector->catch_up("p");
  EXPECT_EQ(rows("SELECT 'x', x FROM t", "p"), (Rows{{"x", 64}}));
}

// SQLite prepares all that fire together with the statement that fires them.
TEST_F(DeclarationTest, StatementsOfTriggersAreCountedTogether) {
  const std::string views =
      "-- azoth:projection p version 1\nCREATE TABLE t (x);\nCREATE VIEW v0 AS SELECT 1 x;\n"
      "CREATE VIEW v1 AS SELECT 1 x FROM v0 p, v0 q, v0 r;\nCREATE VIEW v2 AS SELECT 1 x FROM v1 p, v1 q, v1 r;\n";
  const auto trigger = [](int number, int statements) {
    std::string text = "CREATE TRIGGER g" + std::to_string(number) + " AFTER INSERT ON t BEGIN\n";
    for (int i = 0; i < statements; ++i) text += "SELECT CASE x WHEN 1 THEN 2 END FROM v2; ";
    return text + "\nEND;\n";
  };
  const std::string handler = "-- azoth:on a\nINSERT INTO t VALUES (1);\n";
  std::string many;
  for (int i = 0; i < 1000; ++i) many += trigger(i, 2);
  EXPECT_THAT(wrong(views + trigger(0, 2000) + handler), HasSubstr("too often"));
  EXPECT_THAT(wrong(views + many + handler), HasSubstr("too often"));
  std::string apart = views + trigger(0, 3) + trigger(1, 3);
  for (int i = 0; i < 800; ++i) apart += "INSERT INTO t SELECT x FROM v2 WHERE x = 0;\n";
  EXPECT_NO_THROW(SqlProjection::from_text(apart + handler));
}

// One section's do not count in the next, though a last statement may lack its semicolon.
TEST_F(DeclarationTest, TablesOfSectionsAreCountedApart) {
  std::string text = "-- azoth:projection p version 1\nCREATE TABLE t (x)\n";
  for (int i = 0; i < 20; ++i) {
    const bool even = i % 2 == 0;
    text += "-- azoth:on e" + std::to_string(i) + "\nINSERT INTO t WITH a AS (SELECT 1 x" + (even ? "" : " FROM b") +
            "), b AS (SELECT 1 x" + (even ? " FROM a" : "") + ") SELECT a.x FROM a, b\n";
  }
  EXPECT_NO_THROW(SqlProjection::from_text(text));
}

// SQLite takes a NUL byte for the end of the text, and the parser did not get past it.
TEST_F(DeclarationTest, ANulByteIsRefused) {
  const std::string head = "-- azoth:projection p version 1\nCREATE TABLE t (x);\n";
  EXPECT_THAT(wrong(head + std::string("\0", 1) + "-- azoth:on a\nDELETE FROM t"), HasSubstr("has a NUL byte"));
  EXPECT_THAT(wrong(head + "-- azoth:on a\nDELETE FROM t;\n--" + std::string("\0", 1)), HasSubstr("has a NUL byte"));
}

TEST_F(DeclarationTest, ChangingItBuildsItAnew) {
  source_.append("deposited", R"({"account":"alice","amount":100})");
  projector_with(SqlProjection::from_text(kAccounts))->catch_up("accounts");
  std::string changed = kAccounts;
  changed.replace(changed.find("excluded.cents"), 14, "2 * excluded.cents");
  EXPECT_TRUE(projector_with(SqlProjection::from_text(changed))->status("accounts").rebuild);
  EXPECT_FALSE(projector_with(SqlProjection::from_text(kAccounts))->status("accounts").rebuild);
}

TEST_F(DeclarationTest, ComesFromAFile) {
  const auto path = directory_.path() / "accounts.sql";
  EXPECT_EQ(code_of([&] { return SqlProjection::from_file(path).version(); }), ErrorCode::NotFound);
  std::ofstream(path) << kAccounts << "-- azoth:what";
  EXPECT_THAT(message_of([&] { return SqlProjection::from_file(path).version(); }),
              StartsWith(path.string() + ":10: "));
}

}  // namespace
}  // namespace azoth::test
