// What a query may not do: whatever its text says, nothing is written, attached, loaded or set, and it ends.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <random>
#include <thread>

#include "query_support.h"

namespace azoth::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

// Of SQLite's, for as long as it lives.
class LittleMemory {
 public:
  LittleMemory() { sqlite3_hard_heap_limit64(std::int64_t{128} << 20); }
  ~LittleMemory() { sqlite3_hard_heap_limit64(0); }
  LittleMemory(const LittleMemory&) = delete;
  LittleMemory& operator=(const LittleMemory&) = delete;
};

class QueryLockdownTest : public QueryTest {
 protected:
  QueryLockdownTest() { build(); }

  // As far as its rows: some refusals come only there.
  ErrorCode code(const std::string& text, const QueryOptions& options = {}) {
    return code_of([&] { return all(sql_with(text, options)); });
  }
  std::string message(const std::string& text, const QueryOptions& options = {}) {
    return message_of([&] { return all(sql_with(text, options)); });
  }
  // The files are the same after all these; each is refused with this code.
  void expect_refused(const std::vector<std::string>& texts, ErrorCode expected = ErrorCode::SqlFailed) {
    queries_.reset();
    const auto before = contents();
    queries_ = std::make_unique<Queries>(directory_.path());
    for (const std::string& text : texts) EXPECT_EQ(code(text), expected) << text.substr(0, 200);
    EXPECT_EQ(all(sql("SELECT count(*) FROM things")), "5;");
    queries_.reset();
    EXPECT_EQ(contents(), before);
    queries_ = std::make_unique<Queries>(directory_.path());
  }

  const std::string thousand_ = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000) ";
  static constexpr const char* kEndless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) ";
};

TEST_F(QueryLockdownTest, NothingIsWritten) {
  expect_refused({"INSERT INTO things(id) VALUES (99)",
                  "UPDATE things SET name = 'x'",
                  "DELETE FROM things",
                  "REPLACE INTO things(id) VALUES (1)",
                  "INSERT INTO things(id) VALUES (99) RETURNING id",
                  "DELETE FROM things RETURNING id",
                  "WITH x AS (SELECT 1) DELETE FROM things",
                  "EXPLAIN DELETE FROM things",
                  "UPDATE azoth_projection SET event_id = 0",
                  "DELETE FROM azoth_dead_letters",
                  "DROP TABLE things",
                  "ALTER TABLE things RENAME TO others",
                  "ALTER TABLE things ADD COLUMN x",
                  "CREATE TABLE x (y)",
                  "CREATE TABLE x AS SELECT 1",
                  "CREATE INDEX i ON things(name)",
                  "CREATE VIEW v AS SELECT 1",
                  "DROP VIEW heavy",
                  "CREATE TRIGGER t AFTER INSERT ON things BEGIN SELECT 1; END",
                  "CREATE VIRTUAL TABLE v USING fts5(x)",
                  "INSERT INTO words(words) VALUES ('rebuild')",
                  "INSERT INTO words(words) VALUES ('optimize')",
                  "SELECT optimize(old_words) FROM old_words",
                  "UPDATE sqlite_schema SET sql = 'x'",
                  "UPDATE sqlite_master SET sql = 'x'",
                  "INSERT INTO sqlite_schema VALUES (1, 2, 3, 4, 5)",
                  "DELETE FROM sqlite_schema",
                  "REINDEX",
                  "ANALYZE",
                  "VACUUM",
                  "VACUUM main",
                  "INSERT INTO words_data VALUES (1, 1)"});
}

TEST_F(QueryLockdownTest, NothingTemporaryIsMade) {
  expect_refused({"CREATE TEMP TABLE x (y)", "CREATE TEMP TABLE x AS SELECT * FROM things",
                  "CREATE TEMP VIEW v AS SELECT 1", "CREATE TEMP TRIGGER t AFTER INSERT ON things BEGIN SELECT 1; END",
                  "CREATE TABLE temp.x (y)"});
}

TEST_F(QueryLockdownTest, NoOtherFileIsReachedOrMade) {
  const std::string other = (folder() / "counts.1.db").string();
  const std::string copy = (directory_.path() / "copy.db").string();
  expect_refused({"ATTACH '" + other + "' AS o", "ATTACH DATABASE 'file:" + other + "?mode=rw' AS o",
                  "ATTACH ':memory:' AS o", "ATTACH '' AS o", "ATTACH '" + copy + "' AS o", "DETACH main",
                  "DETACH things", "VACUUM INTO '" + copy + "'", "SELECT * FROM counts.counts", "SELECT * FROM dbstat",
                  "SELECT * FROM sqlite_stmt", "SELECT * FROM sqlite_dbpage", "SELECT readfile('/etc/passwd')",
                  "SELECT writefile('" + copy + "', 'x')", "SELECT edit('x')", "SELECT * FROM fsdir('/')",
                  "SELECT * FROM pragma_database_list", "SELECT sqlite_log(1, 'x')"});
  EXPECT_EQ(code_of([&] { return all(sql("ATTACH ? AS ?", other, "o")); }), ErrorCode::SqlFailed);
  EXPECT_EQ(code_of([&] { return all(sql("VACUUM INTO ?", copy)); }), ErrorCode::SqlFailed);
  EXPECT_FALSE(std::filesystem::exists(copy));
}

TEST_F(QueryLockdownTest, NoCodeIsLoaded) {
  expect_refused({"SELECT load_extension('x.so')", "SELECT load_extension('x.so', 'entry')",
                  "SELECT fts3_tokenizer('simple')", "SELECT fts3_tokenizer('simple', x'0000000000000000')",
                  "SELECT fts5(?1)", "SELECT * FROM fts3tokenize('simple', 'a')",
                  "SELECT name FROM things ORDER BY load_extension(name)", "SELECT rtreecheck('things')"});
}

TEST_F(QueryLockdownTest, NothingIsSet) {
  std::vector<std::string> texts;
  for (const char* pragma : {"query_only = 0",
                             "query_only",
                             "writable_schema = ON",
                             "journal_mode = DELETE",
                             "journal_mode",
                             "wal_checkpoint(TRUNCATE)",
                             "wal_checkpoint",
                             "wal_autocheckpoint = 1",
                             "locking_mode = EXCLUSIVE",
                             "user_version = 7",
                             "application_id = 7",
                             "page_size = 512",
                             "auto_vacuum = 1",
                             "incremental_vacuum",
                             "temp_store_directory = '/tmp'",
                             "data_store_directory = '/tmp'",
                             "temp_store = 2",
                             "trusted_schema = ON",
                             "schema_version = 1",
                             "cache_spill = 0",
                             "mmap_size = 1000000000",
                             "hard_heap_limit = 1",
                             "soft_heap_limit = 1",
                             "threads = 8",
                             "synchronous = OFF",
                             "optimize",
                             "integrity_check",
                             "quick_check",
                             "foreign_key_check",
                             "cache_size = -10000000",
                             "main.cache_size = 1",
                             "shrink_memory",
                             "reverse_unordered_selects = 1",
                             "case_sensitive_like = 1",
                             "secure_delete = 0",
                             "legacy_alter_table = 1",
                             "ignore_check_constraints = 1",
                             "analysis_limit = 1",
                             "busy_timeout = 1",
                             "data_version = 1",
                             "database_list",
                             "encoding = 'UTF-16'",
                             "recursive_triggers = 1",
                             "cell_size_check = 0",
                             "max_page_count = 1",
                             "journal_size_limit = 0"}) {
    texts.push_back(std::string("PRAGMA ") + pragma);
  }
  texts.emplace_back("SELECT * FROM pragma_journal_mode");
  texts.emplace_back("SELECT * FROM pragma_wal_checkpoint");
  texts.emplace_back("SELECT * FROM pragma_integrity_check");
  expect_refused(texts);
  EXPECT_THAT(message("PRAGMA journal_mode = DELETE"), HasSubstr("a query may only read; PRAGMA journal_mode"));
}

TEST_F(QueryLockdownTest, ItIsOneStatementAndNoTransaction) {
  expect_refused({"",
                  " ",
                  ";",
                  "-- nothing",
                  "/* nothing */",
                  "SELECT 1; SELECT 2",
                  "SELECT 1; DELETE FROM things",
                  "SELECT 1; /* x */ ; VACUUM",
                  std::string("SELECT 1\0", 9),
                  std::string("SELECT 1;\0DELETE", 16),
                  std::string("\0", 1),
                  "BEGIN",
                  "BEGIN IMMEDIATE",
                  "COMMIT",
                  "END",
                  "ROLLBACK",
                  "SAVEPOINT s",
                  "RELEASE s",
                  "ROLLBACK TO s",
                  "SELECT",
                  "SELEC 1",
                  "'",
                  "\xff\xfe"});
  EXPECT_EQ(all(sql("SELECT 1; -- that is all")), "1;");
}

TEST_F(QueryLockdownTest, RefusalsSayThatAQueryMayOnlyRead) {
  for (const char* text : {"DELETE FROM things", "VACUUM", "BEGIN", "ATTACH 'x' AS y", "CREATE TABLE x (y)",
                           "PRAGMA query_only = 0", "SELECT load_extension('x')"}) {
    EXPECT_THAT(message(text), HasSubstr("a query may only read; ")) << text;
  }
  EXPECT_THAT(message("DELETE FROM things"), HasSubstr("cannot change things"));
}

TEST_F(QueryLockdownTest, EndlessQueriesEndInTime) {
  const QueryOptions options{.timeout = milliseconds{50}};
  for (const char* end : {"SELECT count(*) FROM c", "SELECT x FROM c WHERE x < 0", "SELECT max(x) FROM c",
                          "SELECT 1 WHERE EXISTS (SELECT 1 FROM c WHERE x = -1)"}) {
    EXPECT_EQ(code(std::string(kEndless) + end, options), ErrorCode::QueryTimeout) << end;
  }
  EXPECT_EQ(code("SELECT count(*) FROM things a, things b, things c, things d, things e, things f, things g, things h, "
                 "things i, things j, things k, things l, things m, things n, things o, things p",
                 options),
            ErrorCode::QueryTimeout);
  EXPECT_EQ(code(std::string(kEndless) + "SELECT x FROM c", options), ErrorCode::QueryTimeout) << "rows without end";
  EXPECT_EQ(code("SELECT 1", {.timeout = seconds{0}}), ErrorCode::QueryTimeout);
  EXPECT_EQ(code("SELECT 1", {.timeout = std::nullopt}), ErrorCode{});
  EXPECT_EQ(code("SELECT 1", {.timeout = std::chrono::nanoseconds::max()}), ErrorCode{});
}

TEST_F(QueryLockdownTest, AQueryIsCancelledFromAnotherThread) {
  std::stop_source stop;
  SqlResult result = sql_with(std::string(kEndless) + "SELECT x FROM c WHERE x = 1 OR x < 0",
                              {.timeout = std::nullopt, .stop = stop.get_token()});
  ASSERT_TRUE(result.next());
  std::thread other([&] { stop.request_stop(); });
  EXPECT_EQ(code_of([&] { return result.next(); }), ErrorCode::QueryCancelled);
  other.join();
  EXPECT_FALSE(result.next()) << "it is over";
  EXPECT_EQ(all(sql("SELECT 1")), "1;");
}

TEST_F(QueryLockdownTest, LargeValuesAreRefused) {
  expect_refused({"SELECT zeroblob(2147483648)", "SELECT zeroblob(2147483647)", "SELECT randomblob(1000000000)",
                  "SELECT hex(zeroblob(16000000))", "SELECT replace(hex(zeroblob(100000)), '0', hex(zeroblob(100000)))",
                  thousand_ + "SELECT group_concat(hex(randomblob(100000))) FROM c",
                  "SELECT zeroblob(16000000) || zeroblob(16000000)"},
                 ErrorCode::QueryTooLarge);
  // SQLite's JSON takes it for a lack of memory.
  EXPECT_THAT(code(thousand_ + "SELECT json_group_array(hex(randomblob(100000))) FROM c"),
              testing::AnyOf(ErrorCode::OutOfMemory, ErrorCode::QueryTooLarge));
  EXPECT_EQ(all(sql("SELECT length(printf('%*s', 1000000000, 'x'))")), "NULL;");  // it gives nothing, and no error
  EXPECT_EQ(code("SELECT length(zeroblob(1000))", {.max_value_bytes = 500}), ErrorCode::QueryTooLarge);
}

TEST_F(QueryLockdownTest, TemporarySpaceIsLimited) {
  const QueryOptions options{.timeout = std::nullopt, .max_temporary_bytes = 8u << 20};
  for (const char* end :
       {"SELECT hex(randomblob(2000)) FROM c ORDER BY 1", "SELECT count(DISTINCT randomblob(2000)) FROM c",
        "SELECT count(*) FROM (SELECT randomblob(2000) r, count(*) FROM c GROUP BY r)",
        "SELECT sum(x) OVER (ORDER BY randomblob(2000)) FROM c"}) {
    EXPECT_EQ(code(std::string(kEndless) + end, options), ErrorCode::QueryTooLarge) << end;
    EXPECT_THAT(message(std::string(kEndless) + end, options), HasSubstr("more temporary space")) << end;
  }
  // It is of each query, not of all: what one used is free for the next.
  const std::string fits =
      thousand_ + "SELECT count(*) FROM (SELECT hex(randomblob(1500)) FROM c ORDER BY 1 LIMIT 100000)";
  for (int i = 0; i < 4; ++i) EXPECT_EQ(all(sql_with(fits, options)), "1000;");
}

TEST_F(QueryLockdownTest, RowsAndBytesAreLimitedIfAsked) {
  EXPECT_EQ(code("SELECT id FROM things", {.max_rows = 4}), ErrorCode::QueryTooLarge);
  EXPECT_EQ(code("SELECT id FROM things", {.max_rows = 5}), ErrorCode{});
  EXPECT_EQ(code("SELECT name FROM things", {.max_bytes = 9}), ErrorCode::QueryTooLarge);
  EXPECT_EQ(code("SELECT name, id FROM things", {.max_bytes = 10}), ErrorCode{});
}

TEST_F(QueryLockdownTest, DeepAndLongTextsAreRefused) {
  const auto repeat = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  expect_refused({"SELECT " + repeat("(", 1000) + "1" + repeat(")", 1000), "SELECT " + repeat("-+", 5000) + "1",
                  "SELECT 1" + repeat("+1", 5000), repeat("SELECT 1 UNION ALL ", 1000) + "SELECT 1",
                  "SELECT " + repeat("1, ", 1000) + "1", "SELECT max(" + repeat("1, ", 200) + "1)",
                  "SELECT 'a' LIKE '" + repeat("%a", 100) + "'", "SELECT ?100000",
                  "SELECT * FROM (" + repeat("SELECT * FROM (", 1000) + "SELECT 1" + repeat(")", 1001)});
  expect_refused({"SELECT '" + std::string(200'000, 'x') + "'", std::string(50'000'000, ' ')},
                 ErrorCode::QueryTooLarge);
}

TEST_F(QueryLockdownTest, TablesThatNameEachOtherWithoutMeasureAreRefused) {
  const auto doubling = [](int levels, const std::string& as, const std::string& join) {
    std::string text = "WITH c0 AS (SELECT 1 x)";
    for (int i = 1; i <= levels; ++i) {
      const std::string before = "c" + std::to_string(i - 1);
      text += ", \"C" + std::to_string(i) + "\"(x) " + as + " (SELECT a.x FROM " + before + " a " + join + " [" +
              before + "])";
    }
    return text + " SELECT x FROM c" + std::to_string(levels);
  };
  expect_refused({doubling(40, "AS", ","), doubling(40, "as materialized", "CROSS JOIN"),
                  doubling(40, "AS NOT MATERIALIZED /* x */", "JOIN")},
                 ErrorCode::QueryTooLarge);
  EXPECT_EQ(all(sql(doubling(8, "AS", ","))), "1;");
  // As SQLite reads names and signs: NAME, and what stands in front of FROM.
  const auto doubling_of = [](int levels, const std::string& column, const std::string& begin, const std::string& end) {
    std::string text = "WITH " + begin + "0" + end + " AS (SELECT 1 x)";
    for (int i = 1; i <= levels; ++i) {
      const std::string before = begin + std::to_string(i - 1) + end;
      text += ", " + begin + std::to_string(i) + end + " AS (SELECT " + column + "FROM " + before + " p JOIN " +
              before + " q)";
    }
    return text + " SELECT * FROM " + begin + std::to_string(levels) + end;
  };
  const std::string last = "t40 AS (SELECT 1 x) SELECT x FROM t40) x ";
  expect_refused({doubling_of(40, "1 x ", "\"t", "\"\"\""), doubling_of(40, "1 x ", " \vt", ""),
                  doubling_of(40, "1 x ", "\xef\xbb\xbft", ""), doubling_of(40, "?1", "t", ""),
                  doubling_of(40, "'(' x ", "t", ""), doubling_of(40, "$a(() ", "t", ""),
                  doubling_of(40, "$a(') ", "t", ""), doubling_of(40, "(WITH " + last, "t", "")},
                 ErrorCode::QueryTooLarge);
  EXPECT_EQ(all(sql(doubling_of(2, "'(' x ", "\"t", "\"\"\""))), "(;");
  EXPECT_EQ(all(sql("SELECT * FROM (WITH a AS (SELECT 1 x), b AS (SELECT x FROM a) SELECT x FROM b), "
                    "(WITH b AS (SELECT 2 x), a AS (SELECT x FROM b) SELECT x FROM a)")),
            "1|2;");
  std::string many = "WITH c0 AS (SELECT 1 x)";
  for (int i = 1; i <= 600; ++i) many += ", c" + std::to_string(i) + " AS (SELECT 1)";
  expect_refused({many + " SELECT 1"}, ErrorCode::QueryTooLarge);
  expect_refused(
      {"SELECT " + std::string(90'000, '('), "SELECT " + std::string(90'000, ')'), "SELECT /*", "SELECT [a"});
  // Names in other places do not count, nor do chains.
  std::string chain = "WITH c0 AS (SELECT 1 x, 2 y)";
  for (int i = 1; i <= 40; ++i) {
    const std::string before = "c" + std::to_string(i - 1);
    chain += ", c" + std::to_string(i) + " AS (SELECT " + before + ".x, " + before + ".y FROM " + before + " WHERE " +
             before + ".x > 0)";
  }
  EXPECT_EQ(all(sql(chain + " SELECT * FROM c40")), "1|2;");
}

// SQLite writes a column's expression out where it is named: preparing these would take all memory.
TEST_F(QueryLockdownTest, ColumnsThatNameEachOtherWithoutMeasureTakeNoMemory) {
  const auto chain = [](int levels, const std::string& column, const std::string& end) {
    std::string text = "WITH c0 AS (SELECT 1 x)";
    for (int i = 1; i <= levels; ++i) {
      text += ", c" + std::to_string(i) + " AS (SELECT " + column + " FROM c" + std::to_string(i - 1) + ")";
    }
    return text + " SELECT x FROM c" + std::to_string(levels) + end;
  };
  const auto nested = [](int levels, const std::string& column) {
    std::string text = "(SELECT 1 x)";
    for (int i = 1; i <= levels; ++i) text.insert(0, "(SELECT " + column + " FROM ").append(")");
    return "SELECT x FROM " + text;
  };
  const auto wide = [](const std::string& column, int times) {
    std::string text = "max(1";
    for (int i = 0; i < times; ++i) text += ", " + column;
    return text + ")";
  };
  const std::vector<std::string> columns = {"x+x AS x",
                                            "x+x x",
                                            "c.x|c.x [X] FROM (SELECT 1), (SELECT 1 y), (SELECT 1 z)",
                                            "DISTINCT x+x x",
                                            "*, x+x AS x",
                                            "(SELECT x+x) AS x",
                                            "(SELECT y+y FROM (SELECT x AS y)) AS x",
                                            "CASE x WHEN 1 THEN x ELSE x END AS x",
                                            "x LIKE x x",
                                            "x IS DISTINCT FROM x, x+x AS x",
                                            wide("x", 90) + " AS x"};
  std::string views = "CREATE VIEW doubled0 AS SELECT 1 AS x;";
  for (int i = 1; i <= 30; ++i) {
    const std::string before = "doubled" + std::to_string(i - 1);
    views += "CREATE VIEW doubled" + std::to_string(i) + " AS SELECT x+x AS x FROM " + before + ";";
  }
  projector()->add(Projection("doubled", 1).schema(views));
  const auto of_views = [&](const std::string& text) {
    return all(queries_->sql(std::vector<std::string>{"doubled"}, text));
  };
  const auto often = [&](const std::string& column, int times) { return wide(wide(column, 90), times); };
  const LittleMemory little;
  for (const std::string& column : columns) {
    for (const std::string end : {"", " WHERE x > 0", " ORDER BY x"}) {
      EXPECT_NE(code(chain(30, column, end)), ErrorCode::OutOfMemory) << column << end;
    }
    EXPECT_NE(code(nested(12, column)), ErrorCode::OutOfMemory) << column;
    EXPECT_NE(code(nested(30, column)), ErrorCode::OutOfMemory) << column;
  }
  EXPECT_EQ(all(sql(chain(30, "x+x AS x", " WHERE x > 0"))), "1073741824;");
  EXPECT_EQ(of_views("SELECT x FROM doubled30"), "1073741824;");
  EXPECT_EQ(of_views("SELECT x FROM (SELECT x+x AS x FROM doubled30) WHERE x > 0"), "2147483648;");
  // In one SELECT, too.
  const std::string where = " AS y FROM (SELECT 1 x) WHERE ";
  EXPECT_EQ(code("SELECT " + often("x", 50) + where + often("y", 50)), ErrorCode::QueryTooLarge);
  // What is small is as it was.
  EXPECT_EQ(all(sql(chain(6, "x+x AS x", " WHERE x > 0"))), "64;");
  EXPECT_EQ(all(sql(nested(6, "x+x AS x"))), "64;");
  EXPECT_EQ(of_views("SELECT x FROM doubled6"), "64;");
  EXPECT_EQ(all(sql("SELECT " + often("x", 4) + where + often("y", 4))), "1;");
}

// Columns, texts and functions may have the names of tables, wherever a list may stand.
TEST_F(QueryLockdownTest, TablesWhoseColumnsAndTextsAreCalledLikeThemAreNone) {
  const std::vector<std::string> names = {"orders", "refunds", "visits", "signups", "returns"};
  std::string list;
  for (const std::string& name : names) list += ", " + name;
  std::string grouped = "WITH day0 AS (SELECT 1 day, 2 orders, 3 refunds, 4 visits, 5 signups, 6 returns)";
  std::string among = "WITH things0 AS (SELECT 'orders' kind)";
  for (const std::string& name : names) {
    grouped += ", " + name + " AS (SELECT day" + list + ", max(orders, refunds) FROM day0 GROUP BY day" + list + ")";
    among += ", " + name + " AS (SELECT kind FROM things0 WHERE kind IN ('orders','refunds','visits','signups'))";
  }
  EXPECT_EQ(all(sql(grouped + " SELECT count(*) FROM orders, refunds, visits, signups, returns")), "1;");
  EXPECT_EQ(all(sql(among + " SELECT count(*) FROM orders JOIN refunds, (visits CROSS JOIN signups)")), "1;");
  // And a clause's word in quotation marks ends no list.
  std::string text = "WITH \"where\" AS (SELECT 1 x), t0 AS (SELECT 1 x)";
  for (int i = 1; i <= 40; ++i) {
    const std::string before = "t" + std::to_string(i - 1);
    text += ", t" + std::to_string(i) + " AS (SELECT 1 x FROM \"where\", " + before + " p, (" + before + " q))";
  }
  expect_refused({text + " SELECT * FROM t40"}, ErrorCode::QueryTooLarge);
}

TEST_F(QueryLockdownTest, SeveralProjectionsAreLockedDownLikeOne) {
  queries_.reset();
  const auto before = contents();
  queries_ = std::make_unique<Queries>(directory_.path());
  const std::vector<std::string> both{"things", "counts"};
  for (const char* text :
       {"DELETE FROM counts.counts", "DELETE FROM main.things", "DETACH counts", "CREATE TABLE counts.x (y)",
        "VACUUM counts", "PRAGMA counts.journal_mode = DELETE", "PRAGMA counts.user_version = 9",
        "ATTACH ':memory:' AS o", "UPDATE counts.sqlite_master SET sql = 'x'"}) {
    EXPECT_EQ(code_of([&] { return all(queries_->sql(both, text)); }), ErrorCode::SqlFailed) << text;
  }
  EXPECT_EQ(all(queries_->sql(both, "SELECT count(*) FROM counts.counts")), "1;");
  queries_.reset();
  EXPECT_EQ(contents(), before);
}

// Statements put together at random of what reads, writes, sets and ends: none changes a byte, and after them all the
// connection still answers.
TEST_F(QueryLockdownTest, RandomStatementsChangeNothing) {
  static const std::vector<std::string> kWords = {"SELECT",
                                                  "INSERT INTO",
                                                  "UPDATE",
                                                  "DELETE FROM",
                                                  "REPLACE INTO",
                                                  "CREATE TABLE",
                                                  "CREATE TEMP TABLE",
                                                  "DROP TABLE",
                                                  "ALTER TABLE",
                                                  "ATTACH",
                                                  "DETACH",
                                                  "VACUUM",
                                                  "INTO",
                                                  "PRAGMA",
                                                  "BEGIN",
                                                  "COMMIT",
                                                  "SAVEPOINT",
                                                  "things",
                                                  "counts",
                                                  "main",
                                                  "temp",
                                                  "sqlite_master",
                                                  "azoth_projection",
                                                  "words",
                                                  "id",
                                                  "name",
                                                  "*",
                                                  "FROM",
                                                  "WHERE",
                                                  "SET",
                                                  "VALUES",
                                                  "(1)",
                                                  "('x')",
                                                  "= 1",
                                                  "AS",
                                                  "x",
                                                  ";",
                                                  ",",
                                                  "RETURNING id",
                                                  "'f.db'",
                                                  "journal_mode",
                                                  "writable_schema",
                                                  "=",
                                                  "DELETE",
                                                  "EXPLAIN",
                                                  "WITH x AS (SELECT 1)",
                                                  "UNION",
                                                  "ORDER BY 1",
                                                  "LIMIT 1",
                                                  "load_extension('x')",
                                                  "REINDEX",
                                                  "ANALYZE",
                                                  "ON CONFLICT DO NOTHING",
                                                  "DEFAULT VALUES",
                                                  "INDEXED BY",
                                                  "CROSS JOIN",
                                                  "(",
                                                  ")",
                                                  "count(*)"};
  static const std::vector<std::string> kStarts = {"INSERT INTO things VALUES (?1, 1, 1, 1, 1)",
                                                   "UPDATE things SET name = 'x' WHERE",
                                                   "DELETE FROM things WHERE",
                                                   "WITH x AS (SELECT 1)",
                                                   "SELECT",
                                                   "SELECT * FROM",
                                                   "PRAGMA",
                                                   "EXPLAIN",
                                                   "CREATE TABLE",
                                                   "DROP TABLE",
                                                   "REPLACE INTO"};
  queries_.reset();
  const auto before = contents();
  queries_ = std::make_unique<Queries>(directory_.path());
  std::mt19937_64 random(test_seed());
  int answered = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = kStarts[random() % kStarts.size()];
    for (std::uint64_t left = random() % 7; left > 0; --left) text += " " + kWords[random() % kWords.size()];
    const ErrorCode got = code(text, {.timeout = seconds{5}});
    ASSERT_TRUE(got == ErrorCode{} || got == ErrorCode::SqlFailed || got == ErrorCode::InvalidArgument)
        << text << ": " << message(text);
    answered += got == ErrorCode{} ? 1 : 0;
  }
  EXPECT_GT(answered, 20) << "the grammar makes nothing that runs";
  EXPECT_EQ(all(sql("SELECT count(*) FROM things")), "5;");
  queries_.reset();
  EXPECT_EQ(contents(), before);
}

}  // namespace
}  // namespace azoth::test
