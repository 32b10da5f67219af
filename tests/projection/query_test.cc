// Queries: typed rows, parameters, several projections, the pool, and generations that are replaced under them.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "query_support.h"
#include "support/child_process.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;

TEST_F(QueryTest, RowsAreTypedByIndexAndByName) {
  build(1);
  SqlResult result = sql("SELECT id, name AS Called, weight, bytes, memo FROM things");
  EXPECT_EQ(result.columns(), 5);
  EXPECT_EQ(result.column_names(), (std::vector<std::string>{"id", "Called", "weight", "bytes", "memo"}));
  auto row = result.next();
  ASSERT_TRUE(row);
  EXPECT_EQ(row->int64(0), 1);
  EXPECT_EQ(row->int64("id"), 1);
  EXPECT_EQ(row->text("called"), "a1");
  EXPECT_EQ(row->real("weight"), 1.5);
  EXPECT_EQ(row->real("id"), 1.0);
  EXPECT_EQ(row->blob("bytes"), std::string_view("\0\xff", 2));
  EXPECT_EQ(row->blob("Called"), "a1");
  EXPECT_TRUE(row->is_null("memo"));
  EXPECT_EQ(row->get<std::optional<std::string>>("memo"), std::nullopt);
  EXPECT_EQ(row->get<std::optional<std::int64_t>>(0), 1);
  EXPECT_EQ(row->get<std::string>(1), "a1");
  EXPECT_EQ(row->get<BytesView>(3).size(), 2u);
  EXPECT_EQ(row->value(2).real(), 1.5);
  EXPECT_EQ(row->value(3).type(), SqlValue::Type::Blob);
  EXPECT_EQ(row->value(4).type(), SqlValue::Type::Null);
  EXPECT_FALSE(result.next());
  EXPECT_FALSE(result.next());
  EXPECT_EQ(result.column_name(1), "Called") << "names stay";
}

TEST_F(QueryTest, AValueIsNeverReadAsWhatItIsNot) {
  build(1);
  SqlResult result = sql("SELECT name, memo, weight FROM things");
  auto row = result.next();
  ASSERT_TRUE(row);
  EXPECT_EQ(code_of([&] { return row->int64("name"); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return row->int64("weight"); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return row->text("weight"); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return row->blob("weight"); }), ErrorCode::InvalidArgument);
  EXPECT_THAT(message_of([&] { return row->text("memo"); }), HasSubstr("memo is NULL"));
  EXPECT_THAT(message_of([&] { return row->text("nope"); }), HasSubstr("it has name, memo, weight"));
  EXPECT_EQ(code_of([&] { return row->text(3); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return row->text(-1); }), ErrorCode::InvalidArgument);
  result.next();
  EXPECT_EQ(code_of([&] { return row->text(0); }), ErrorCode::InvalidArgument) << "the row is over";
}

TEST_F(QueryTest, ValuesAreBoundByPositionAndByName) {
  build();
  EXPECT_EQ(all(sql("SELECT id FROM things WHERE id > ? AND name <> ?", 3, "a4")), "5;");
  EXPECT_EQ(all(sql("SELECT id FROM things WHERE id = :id OR name = @name OR weight = $w", named("$w", 1.5),
                    named("id", 3), named("@name", "a4"))),
            "1;3;4;");
  EXPECT_EQ(all(sql("SELECT ?1, ?2, ?3, ?4, ?5", 1, 0.5, "x'; --", SqlValue::blob(std::string("\0", 1)), nullptr)),
            "1|0.50|x'; --|x00|NULL;");
  EXPECT_EQ(all(sql("SELECT ?, typeof(?)", std::optional<std::int64_t>{}, std::optional<std::string>{"t"})),
            "NULL|text;");
}

TEST_F(QueryTest, ParametersAndValuesMustFitEachOther) {
  build(1);
  EXPECT_EQ(code_of([&] { return sql("SELECT ?"); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return sql("SELECT ?", 1, 2); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return sql("SELECT :a", named("b", 1)); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return sql("SELECT :a", named("a", 1), named(":a", 1)); }), ErrorCode::InvalidArgument);
  EXPECT_THAT(message_of([&] { return sql("SELECT :a, :b", named("a", 1)); }), HasSubstr(":b has no value"));
}

TEST_F(QueryTest, SeveralProjectionsAreJoined) {
  build();
  const std::vector<std::string> both{"things", "counts"};
  EXPECT_EQ(all(queries_->sql(both, "SELECT t.id, c.times FROM things t JOIN counts.counts c ON c.last = t.id")),
            "5|5;");
  EXPECT_EQ(all(queries_->sql(both, "SELECT count(*) FROM things.things UNION ALL SELECT count(*) FROM main.things")),
            "5;5;");
  EXPECT_EQ(all(queries_->sql(both,
                              "SELECT a.event_id, b.event_id FROM things.azoth_projection a, "
                              "counts.azoth_projection b")),
            "5|5;");
}

TEST_F(QueryTest, WrongNamesSayWhichThereAre) {
  build(1);
  const auto over = [&](std::vector<std::string> names) { return queries_->sql(names, "SELECT 1"); };
  EXPECT_EQ(code_of([&] { return over({"thing"}); }), ErrorCode::NotFound);
  EXPECT_THAT(message_of([&] { return over({"thing"}); }), HasSubstr("there are counts, things"));
  EXPECT_EQ(code_of([&] { return over({"counts", "thing"}); }), ErrorCode::NotFound);
  EXPECT_EQ(code_of([&] { return over({"../things"}); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return over({}); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { return over({"things", "things"}); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(queries_->projections(), (std::vector<std::string>{"counts", "things"}));
}

TEST_F(QueryTest, ErrorsSayWhatAndWhere) {
  build(1);
  EXPECT_EQ(code_of([&] { return sql("SELECT nope FROM things"); }), ErrorCode::SqlFailed);
  EXPECT_THAT(message_of([&] { return sql("SELECT nope FROM things"); }),
              HasSubstr("no such column: nope, at byte 7, in: SELECT nope FROM things"));
  EXPECT_EQ(all(sql("SELECT 1")), "1;") << "the connection is as good as before";
}

TEST_F(QueryTest, ViewsAndVirtualTablesOfTheProjectionAreRead) {
  build();
  EXPECT_EQ(all(sql("SELECT count(*) FROM heavy")), "4;");
  EXPECT_EQ(all(sql("SELECT word, bm25(words) < 0 FROM words WHERE words MATCH 'a3'")), "a3|1;");
  EXPECT_EQ(all(sql("SELECT snippet(old_words) FROM old_words WHERE old_words MATCH 'a3'")), "<b>a3</b>;");
  EXPECT_EQ(all(sql("SELECT name FROM pragma_table_info('counts')")), "");
  EXPECT_EQ(all(sql("SELECT name FROM pragma_table_info('things') LIMIT 2")), "id;name;");
  EXPECT_EQ(all(sql("SELECT type FROM sqlite_schema WHERE name = 'heavy'")), "view;");
  EXPECT_EQ(all(sql("SELECT value FROM json_each('[1,2]')")), "1;2;");
  EXPECT_EQ(all(sql("WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT x + 1 FROM c LIMIT 3) SELECT x FROM c")), "1;2;3;");
  EXPECT_EQ(all(sql("VALUES (1, 'a'), (2, 'b');  -- and no more")), "1|a;2|b;");
}

TEST_F(QueryTest, AResultIsOneMomentWhateverTheProjectorDoes) {
  build(3);
  auto projector = projector_with(things());
  SqlResult result = sql("SELECT id, (SELECT count(*) FROM things) FROM things ORDER BY id");
  ASSERT_TRUE(result.next());
  count(4);
  projector->catch_up("things");
  EXPECT_EQ(all(std::move(result)), "2|3;3|3;");
  EXPECT_EQ(all(sql("SELECT count(*) FROM things")), "7;");
}

TEST_F(QueryTest, ARebuildDoesNotDisturbAResultAndTheNextQuerySeesIt) {
  build(3);
  SqlResult old = sql("SELECT name FROM things ORDER BY id");
  ASSERT_TRUE(old.next());
  auto projector = projector_with(things(2));
  projector->catch_up("things");
  EXPECT_TRUE(exists("things.1.db")) << "it is read";
  EXPECT_EQ(all(sql("SELECT name FROM things ORDER BY id")), "a1v2;a2v2;a3v2;");
  EXPECT_EQ(all(std::move(old)), "a2;a3;");
  EXPECT_TRUE(exists("things.2.db"));
  projector.reset();  // removes what nobody reads
  EXPECT_FALSE(exists("things.1.db"));
  EXPECT_FALSE(exists("things.1.lock"));
}

TEST_F(QueryTest, IdleConnectionsKeepNoOldGeneration) {
  build(3);
  EXPECT_EQ(all(sql("SELECT count(*) FROM things")), "3;");
  projector_with(things(2))->catch_up("things");
  EXPECT_FALSE(exists("things.1.db"));
  EXPECT_EQ(all(sql("SELECT max(name) FROM things")), "a3v2;");
}

TEST_F(QueryTest, AProjectionThatIsMadeAgainUnderTheSameNumberIsSeen) {
  build(3);
  EXPECT_EQ(all(sql("SELECT max(name) FROM things")), "a3;");
  std::filesystem::remove_all(folder());
  EXPECT_EQ(code_of([&] { return sql("SELECT 1"); }), ErrorCode::NotFound);
  projector_with(things(2))->catch_up("things");
  ASSERT_TRUE(exists("things.1.db"));
  EXPECT_EQ(all(sql("SELECT max(name) FROM things")), "a3v2;");
}

TEST_F(QueryTest, AnotherProcessKeepsWhatItReads) {
  build(3);
  queries_.reset();
  Pipe reading;
  Pipe go_on;
  ChildProcess child([&] {
    Queries queries(directory_.path());
    SqlResult result = queries.sql(std::vector<std::string>{"things"}, "SELECT name FROM things ORDER BY id");
    if (!result.next()) _exit(3);
    reading.send(1);
    int go = 0;
    if (!go_on.receive(go)) _exit(4);
    if (all(std::move(result)) != "a2;a3;") _exit(5);
    if (all(queries.sql(std::vector<std::string>{"things"}, "SELECT min(name) FROM things")) != "a1v2;") _exit(6);
  });
  reading.close_writing();
  int at_row = 0;
  ASSERT_TRUE(reading.receive(at_row));
  auto projector = projector_with(things(2));
  projector->catch_up("things");
  EXPECT_TRUE(exists("things.1.db"));
  go_on.send(1);
  child.wait();
  EXPECT_TRUE(child.succeeded());
  projector.reset();
  EXPECT_FALSE(exists("things.1.db"));
}

TEST_F(QueryTest, ManyThreadsShareThePoolWhileGenerationsAreReplaced) {
  build(20);
  std::atomic<bool> over{false};
  std::atomic<int> wrong{0};
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      try {
        while (!over || done < 100) {
          // Names of one version only, and all of them.
          const std::string found = all(sql("SELECT count(*), count(DISTINCT name LIKE '%v2') FROM things"));
          if (found != "20|1;") ++wrong;
          ++done;
        }
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    });
  }
  for (std::uint32_t version : {2u, 3u, 4u, 5u}) projector_with(things(version))->catch_up("things");
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(done, 100);
}

TEST_F(QueryTest, ResultsAreMovedAndMayOutliveTheQueries) {
  build(3);
  SqlResult result = sql("SELECT id FROM things ORDER BY id");
  auto row = result.next();
  queries_.reset();
  SqlResult moved = std::move(result);
  EXPECT_EQ(row->int64(0), 1);
  EXPECT_EQ(all(std::move(moved)), "2;3;");
}

TEST_F(QueryTest, ADamagedFileIsCorruption) {
  build(1);
  std::ofstream(folder() / "things.1.db") << std::string(5000, 'x');
  EXPECT_EQ(code_of([&] { return sql("SELECT 1"); }), ErrorCode::Corruption);
  std::filesystem::remove(folder() / "things.1.db");
  EXPECT_EQ(code_of([&] { return sql("SELECT 1"); }), ErrorCode::Corruption);
}

TEST_F(QueryTest, OfAWorkingDirectoryThatIsGoneIsAnError) {
  const std::filesystem::path before = std::filesystem::current_path();
  {
    TempDir gone;
    std::filesystem::current_path(gone.path());
  }
  EXPECT_EQ(code_of([] { return Queries("store"), 0; }), ErrorCode::NotFound);
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace azoth::test
