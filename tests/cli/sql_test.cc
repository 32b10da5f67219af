// The command sql: which projections it asks, and how it prints what they answer.
#include <chrono>
#include <thread>

#include "accounts.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;

class SqlCommand : public AccountsTest {
 protected:
  void SetUp() override {
    AccountsTest::SetUp();
    declare_and_run();
  }
  std::string out(const Arguments& arguments) {
    Arguments command = {"sql"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return store_.ok(command).out;
  }
  void add_second() {
    write_file(store_.file("n.sql"),
               "-- azoth:projection names version 1\nCREATE TABLE people (id TEXT);\n-- azoth:on deposited\n"
               "INSERT INTO people VALUES (:account);\n");
    store_.ok({"projection", "add", store_.file("n.sql").string()});
    store_.ok({"projection", "run"});
  }
};

TEST_F(SqlCommand, ATableIsAlignedNumbersToTheRight) {
  EXPECT_EQ(out({"SELECT owner, cents FROM accounts"}),
            "owner  cents\n"
            "-----  -----\n"
            "alice    100\n"
            "bob        7\n");
  EXPECT_EQ(out({"SELECT owner FROM accounts WHERE 0"}), "owner\n-----\n");
}

TEST_F(SqlCommand, NullTextAndBytesAreToldApart) {
  EXPECT_EQ(out({"SELECT NULL a, 'NULL' b, x'00ff' c, 1.0 d, 'x' || char(10) || 'y' e, 'é' f, 1 g"}),
            "a     b       c          d  e     f  g\n"
            "----  ------  -------  ---  ----  -  -\n"
            "NULL  'NULL'  x'00ff'  1.0  x\\ny  é  1\n");
}

TEST_F(SqlCommand, WhoNamesNoProjectionIsToldHow) {
  declare_and_run();
  for (int i = 0; i < 11; ++i) {
    const std::string name = "p" + std::to_string(i);
    const std::string text =
        "-- azoth:projection " + name + " version 1\nCREATE TABLE t (x);\n-- azoth:on *\nDELETE FROM t;\n";
    ASSERT_EQ(add(text, name + ".sql").exit, 0);
  }
  store_.ok({"projection", "run"});
  const Result result = store_.run({"sql", "SELECT * FROM p3.t"});
  EXPECT_EQ(result.exit, 1);
  EXPECT_THAT(result.err, HasSubstr("name those that the query is over: -p NAME"));
  store_.ok({"sql", "-p", "p3", "SELECT * FROM t"});
}

TEST_F(SqlCommand, AValueInBracketsIsOneValue) {
  for (const std::string value : {"[7]", "[1,2]", "[]", "[a", "[a]\x1f", "[a\x1f"}) {
    EXPECT_EQ(out({"SELECT ? AS v, typeof(?) AS t", value, value, "--csv"}),
              "v,t\r\n" + (value.find(',') != std::string::npos ? '"' + value + '"' : value) + ",text\r\n");
  }
}

TEST_F(SqlCommand, CsvIsThatOfTheRfc) {
  EXPECT_EQ(
      out({"--csv",
           "SELECT 'a,b' AS x, NULL AS \"y,\", '' AS z, 'q\"q' AS q, x'00ff' AS h, 'l' || char(10) AS l, 5 AS n"}),
      "x,\"y,\",z,q,h,l,n\r\n\"a,b\",,\"\",\"q\"\"q\",00ff,\"l\n\",5\r\n");
  EXPECT_EQ(store_.run({"sql", "--csv", "--json", "SELECT 1"}).exit, 2);
}

TEST_F(SqlCommand, JsonIsOneObjectForEachRow) {
  EXPECT_EQ(out({"--json",
                 "SELECT 1 AS a, 1.0 AS r, NULL AS b, 'x\"' AS c, x'00ff' AS d, 2 AS a UNION ALL SELECT 3,4,5,6,7,8"}),
            "{\"a\":1,\"r\":1.0,\"b\":null,\"c\":\"x\\\"\",\"d\":{\"hex\":\"00ff\"},\"a_2\":2}\n"
            "{\"a\":3,\"r\":4,\"b\":5,\"c\":6,\"d\":7,\"a_2\":8}\n");
}

TEST_F(SqlCommand, ValuesAreBoundInTheirOrder) {
  EXPECT_EQ(out({"--csv", "SELECT owner FROM accounts WHERE cents > ? AND owner <> ?", "5", "bob"}),
            "owner\r\nalice\r\n");
  EXPECT_EQ(out({"--csv", "SELECT typeof(?) a, typeof(?) b, typeof(?) c, typeof(?) d", "7", "007", "1.5", "x"}),
            "a,b,c,d\r\ninteger,text,real,text\r\n");
  Result missing = store_.run({"sql", "SELECT ?"});
  EXPECT_EQ(missing.exit, 1);
  EXPECT_THAT(missing.err, HasSubstr("parameter 1"));
  EXPECT_EQ(store_.run({"sql", "SELECT 1", "2"}).exit, 1);
}

TEST_F(SqlCommand, ManyRowsArePrintedAsTheyCome) {
  Result many = store_.ok(
      {"sql", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"});
  ASSERT_EQ(many.lines().size(), 5002u);
  EXPECT_EQ(many.lines().back(), "5000");
}

TEST_F(SqlCommand, AllProjectionsAreJoinedByTheirNamesUnlessSomeAreNamed) {
  add_second();
  EXPECT_EQ(out({"--csv", "SELECT cents FROM accounts.accounts JOIN names.people ON id = owner ORDER BY 1"}),
            "cents\r\n7\r\n100\r\n");
  EXPECT_EQ(out({"--csv", "SELECT count(*) AS n FROM people", "-p", "names"}), "n\r\n2\r\n");
  EXPECT_EQ(store_.run({"sql", "SELECT * FROM people", "-p", "accounts"}).exit, 1);
}

TEST_F(SqlCommand, ItOnlyReadsAndSaysWhatIsWrong) {
  EXPECT_EQ(store_.run({"sql", "DELETE FROM accounts"}).exit, 1);
  EXPECT_EQ(cents().size(), 2u);
  Result wrong = store_.run({"--json", "sql", "SELECT nothing FROM accounts"});
  EXPECT_EQ(wrong.exit, 1);
  EXPECT_EQ(Json::parse(wrong.err)["error"], "sql_failed");
  EXPECT_EQ(store_.run({"sql", "SELECT 1", "-p", "none"}).exit, 4);
  StoreDir empty;
  empty.init();
  EXPECT_EQ(empty.run({"sql", "SELECT 1"}).exit, 4);
}

TEST_F(SqlCommand, TheQueryMayComeFromStandardInput) {
  EXPECT_EQ(store_.ok({"sql", "--csv", "-"}, "SELECT 1 AS one\n").out, "one\r\n1\r\n");
}

// Half of a query is another query.
TEST_F(SqlCommand, TheQueryIsWaitedForWhereStandardInputDoesNotWait) {
  Child child(store_.arguments({"sql", "--csv", "-"}), {.hasty_input = true});
  child.send("SELECT owner FROM accounts");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const Result result = child.finish(" WHERE owner = 'bob'");
  EXPECT_EQ(result.exit, 0);
  EXPECT_EQ(result.out, "owner\r\nbob\r\n");
}

TEST_F(SqlCommand, ItAnswersBesideTheProcessThatKeepsItUpToDate) {
  auto child = follow();
  EXPECT_EQ(cents()["alice"], 100);
  EXPECT_EQ(end(*child).exit, 0);
}

}  // namespace
}  // namespace azoth::test
