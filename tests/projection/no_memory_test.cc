// Lack of memory at each of the allocations that a batch or a query makes, and of SQLite's own.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <new>

#include "query_support.h"

namespace azoth::test {
namespace {

thread_local int left = -1;  // allocations of this thread until one fails; below 0: none does
thread_local bool failed = false;

void* take(std::size_t size) {
  if (left == 0) {
    failed = true;
    throw std::bad_alloc();
  }
  if (left > 0) --left;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* take_or_null(std::size_t size) noexcept {
  try {
    return take(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// From so many allocations on.
class NoMemory {
 public:
  explicit NoMemory(int after) {
    left = after;
    failed = false;
  }
  ~NoMemory() { left = -1; }
  bool met() const { return failed; }
};

}  // namespace
}  // namespace azoth::test

void* operator new(std::size_t size) { return azoth::test::take(size); }
void* operator new[](std::size_t size) { return azoth::test::take(size); }
// std::stable_sort asks for its buffer by these.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return azoth::test::take_or_null(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return azoth::test::take_or_null(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace azoth::test {
namespace {

template <class Call>
ErrorCode without_memory(Call call) {
  try {
    call();
    return ErrorCode{};
  } catch (const Error& error) {
    return error.code();
  } catch (const std::bad_alloc&) {
    return ErrorCode::OutOfMemory;
  }
}

// Handlers that catch what their statements throw, with texts that are not kept prepared.
Projection swallowing() {
  Projection projection("counts", 1);
  projection.schema("CREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL)");
  projection.on("count", [](const EventView& event, Sql& sql) {
    try {
      sql.prepare("INSERT INTO counts VALUES (:what, 1) ON CONFLICT DO UPDATE SET times = times + 1 -- " +
                  std::to_string(event.id()))
          .bind(":what", event.payload())
          .run();
    } catch (const std::exception&) {
    }
  });
  return projection;
}

class NoMemoryTest : public QueryTest {};

TEST_F(NoMemoryTest, AtAnyAllocationOfABatchNoEventsEffectIsLost) {
  const std::string payload(5000, 'p');
  bool met = true;
  int after = 0;
  for (; met; ++after) {
    TempDir directory;
    MemorySource source;
    Projector projector(directory.path(), source, {.clock = &clock_, .pacer = &pacer_, .seed = 1});
    projector.add(swallowing());
    for (int i = 0; i < 3; ++i) source.append("count", payload);
    {
      NoMemory none(after);
      const ErrorCode code = without_memory([&] { projector.run_once("counts"); });
      met = none.met();
      EXPECT_TRUE(code == ErrorCode{} || code == ErrorCode::OutOfMemory) << after;
    }
    projector.catch_up("counts");
    const ReadGeneration tables =
        *read_current_generation(FileSystem::posix(), directory.path() / "projections", "counts");
    Connection reader(tables.file, Connection::Mode::Read);
    SqlStatement row = reader.prepare("SELECT times FROM counts");
    ASSERT_TRUE(row.step()) << after;
    ASSERT_EQ(row.int64(0), 3) << after;
  }
  EXPECT_GT(after, 20);
}

// A read that ended half-way has not looked whether events are missing.
TEST_F(NoMemoryTest, WhatAReadThatFailedHasLeftIsNotApplied) {
  auto projector = projector_with(counting());
  count(3);
  source_.hide(2);
  source_.fail_read_behind([] { throw std::bad_alloc(); });
  EXPECT_EQ(without_memory([&] { projector->run_once("counts"); }), ErrorCode::OutOfMemory);
  EXPECT_EQ(without_memory([&] { projector->run_once("counts"); }), ErrorCode::Corruption);
  EXPECT_EQ(projector->status("counts").cursor, 0u);
}

// SQLite's code cannot be thrown through.
TEST_F(NoMemoryTest, AtAnyAllocationOfAQueryTheConnectionStaysUsable) {
  build();
  const std::string endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
  for (const std::string& text :
       {std::string("SELECT load_extension('a library of a name')"), std::string("DELETE FROM things"),
        std::string("SELECT json_group_array(name), current_timestamp FROM things"), endless}) {
    bool met = true;
    for (int after = 0; met; ++after) {
      NoMemory none(after);
      const ErrorCode code = without_memory(
          [&] { all(sql_with(text, {.timeout = std::chrono::milliseconds{text == endless ? 5 : 30'000}})); });
      met = none.met();
      left = -1;
      EXPECT_TRUE(code == ErrorCode{} || code == ErrorCode::OutOfMemory || code == ErrorCode::SqlFailed ||
                  code == ErrorCode::QueryTimeout)
          << text << " " << after;
      ASSERT_EQ(all(sql("SELECT count(*) FROM things")), "5;") << text << " " << after;
    }
  }
}

// SQLite's limit of what it may take of memory, which is the process's.
class NoMemoryOfSqlites {
 public:
  NoMemoryOfSqlites() { sqlite3_hard_heap_limit64(1); }
  ~NoMemoryOfSqlites() { sqlite3_hard_heap_limit64(before_); }

 private:
  const sqlite3_int64 before_ = sqlite3_hard_heap_limit64(-1);
};

TEST_F(NoMemoryTest, AValueThatCannotBeReadIsNoEmptyOne) {
  const std::string bytes(1'000'000, 'b');
  Projection projection("p", 1);
  projection.schema("CREATE TABLE t (a)").on("*", [&](const EventView&, Sql& sql) {
    SqlStatement row = sql.query("SELECT ?", SqlValue::blob(bytes));
    row.step();
    NoMemoryOfSqlites none;
    try {
      row.text(0);  // SQLite puts a zero behind it
      ADD_FAILURE() << "it was read without memory";
    } catch (const std::exception&) {
    }
  });
  source_.append("event", "");
  auto projector = projector_with(std::move(projection));
  EXPECT_EQ(code_of([&] { return projector->run_once("p"); }), ErrorCode::OutOfMemory);
}

TEST_F(NoMemoryTest, ATransactionThatCouldNotBeRolledBackIsBeforeTheNextOne) {
  count(1);
  projector_with(counting())->catch_up("counts");
  Connection connection(folder() / "counts.1.db", Connection::Mode::Write);
  connection.run("BEGIN IMMEDIATE");
  connection.run("DELETE FROM counts");
  SqlTransaction next(connection);
  next.commit();
  EXPECT_EQ(rows(), (Rows{{"a", 1}}));
}

}  // namespace
}  // namespace azoth::test
