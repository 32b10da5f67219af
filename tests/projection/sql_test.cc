// The facade a handler works with: what it may do, and what it may not.
#include <gtest/gtest.h>

#include "projection_support.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;

class SqlTest : public ProjectionTest {
 protected:
  // Runs `body` as a handler, once; what it throws is thrown here.
  void in_handler(const std::function<void(Sql&)>& body) {
    Projection projection("p", 1);
    projection.schema("CREATE TABLE t (a, b)").on("*", [&](const EventView&, Sql& sql) { body(sql); });
    source_.append("event", "");
    projector_with(std::move(projection))->catch_up("p");
  }
  std::string refused(const std::string& text) {
    std::string message;
    in_handler([&](Sql& sql) {
      try {
        sql.run(text);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::SqlFailed) << text;
        message = error.what();
      }
    });
    return message;
  }
};

TEST_F(SqlTest, ValuesOfEveryTypeComeBackAsTheyWere) {
  const std::string bytes("a\0b", 3);
  in_handler([&](Sql& sql) {
    SqlStatement row = sql.query("SELECT ?, ?, ?, ?, ?, ?, :name", nullptr, std::int64_t{-5}, 1.5, bytes,
                                 SqlValue::blob(bytes), std::optional<std::string>());
    row.bind(":name", std::string(100, 'n'));
    ASSERT_TRUE(row.step());
    EXPECT_TRUE(row.is_null(0));
    EXPECT_EQ(row.int64(1), -5);
    EXPECT_EQ(row.real(2), 1.5);
    EXPECT_EQ(row.type(3), SqlValue::Type::Text);
    EXPECT_EQ(row.text(3), bytes);
    EXPECT_EQ(row.type(4), SqlValue::Type::Blob);
    EXPECT_EQ(row.blob(4), bytes);
    EXPECT_TRUE(row.is_null(5));
    EXPECT_EQ(row.text(6), std::string(100, 'n'));
    EXPECT_EQ(row.parameters(), 7);
    EXPECT_EQ(row.parameter_name(7), ":name");
    EXPECT_FALSE(row.step());
    EXPECT_EQ(code_of([&] {
                row.bind(":other", 1);
                return 0;
              }),
              ErrorCode::SqlFailed);
    EXPECT_EQ(code_of([&] {
                row.bind(8, 1);
                return 0;
              }),
              ErrorCode::SqlFailed);
  });
}

TEST_F(SqlTest, AStatementInUseCanBePreparedAgain) {
  in_handler([](Sql& sql) {
    sql.run("INSERT INTO t VALUES (1, 2), (3, 4)");
    EXPECT_EQ(sql.changes(), 2);
    SqlStatement outer = sql.query("SELECT a FROM t ORDER BY a");
    ASSERT_TRUE(outer.step());
    SqlStatement inner = sql.query("SELECT a FROM t ORDER BY a");
    ASSERT_TRUE(inner.step());
    ASSERT_TRUE(inner.step());
    EXPECT_EQ(inner.int64(0), 3);
    EXPECT_EQ(outer.int64(0), 1);
  });
}

TEST_F(SqlTest, WhatBelongsToTheProjectorIsRefused) {
  EXPECT_THAT(refused("COMMIT"), HasSubstr("transactions"));
  EXPECT_THAT(refused("BEGIN IMMEDIATE"), HasSubstr("transactions"));
  EXPECT_THAT(refused("ROLLBACK"), HasSubstr("transactions"));
  EXPECT_THAT(refused("SAVEPOINT azoth_event"), HasSubstr("savepoints"));
  EXPECT_THAT(refused("RELEASE azoth_event"), HasSubstr("savepoints"));
  EXPECT_THAT(refused("PRAGMA synchronous = OFF"), HasSubstr("PRAGMA"));
  EXPECT_THAT(refused("ATTACH ':memory:' AS other"), HasSubstr("attached"));
  EXPECT_THAT(refused("UPDATE azoth_projection SET event_id = 7"), HasSubstr("azoth_"));
  EXPECT_THAT(refused("DELETE FROM AZOTH_dead_letters"), HasSubstr("azoth_"));
  EXPECT_THAT(refused("DROP TABLE azoth_dead_letters"), HasSubstr("azoth_"));
  EXPECT_THAT(refused("ALTER TABLE azoth_projection ADD COLUMN x"), HasSubstr("azoth_"));
  EXPECT_THAT(refused("CREATE TEMP TABLE x (y)"), HasSubstr("temporary"));
}

TEST_F(SqlTest, OneStatementAtATime) {
  EXPECT_THAT(refused("DELETE FROM t; DELETE FROM t"), HasSubstr("one statement"));
  EXPECT_THAT(refused("-- nothing"), HasSubstr("no statement"));
  EXPECT_EQ(refused("DELETE FROM t; "), "");
  EXPECT_THAT(refused("SELECT \"text\""), HasSubstr("no such column"));
}

TEST_F(SqlTest, AHandlerReadsItsOwnWrites) {
  in_handler([](Sql& sql) {
    sql.run("INSERT INTO t VALUES (?, ?)", 1, "one");
    SqlStatement row = sql.query("SELECT b FROM t WHERE a = ?", 1);
    ASSERT_TRUE(row.step());
    EXPECT_EQ(row.text(0), "one");
  });
}

}  // namespace
}  // namespace azoth::test
