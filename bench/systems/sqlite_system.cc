#include <sqlite3.h>

#include <atomic>
#include <string>

#include "azoth/core/error.h"
#include "system.h"

namespace azoth::bench {

namespace {

class Connection {
 public:
  Connection(const std::filesystem::path& file, bool synced) {
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(file.c_str(), &db_, kFlags, nullptr) != SQLITE_OK) fail("opening");
    sqlite3_busy_timeout(db_, 60'000);
    run("PRAGMA journal_mode=WAL");
    run(synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
  }
  ~Connection() { sqlite3_close_v2(db_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void run(const char* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(sql);
  }
  sqlite3_stmt* prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) fail(sql);
    return statement;
  }
  [[noreturn]] void fail(const char* what) {
    throw Error(ErrorCode::Io, std::string("SQLite: ") + what + ": " + sqlite3_errmsg(db_));
  }

 private:
  sqlite3* db_ = nullptr;
};

class Statement {
 public:
  Statement(Connection& connection, const char* sql) : connection_(connection), statement_(connection.prepare(sql)) {}
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int at, std::string_view bytes) {
    sqlite3_bind_blob(statement_, at, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
    return *this;
  }
  Statement& bind(int at, std::int64_t number) {
    sqlite3_bind_int64(statement_, at, number);
    return *this;
  }
  void step() {
    int rc = sqlite3_step(statement_);
    sqlite3_reset(statement_);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) connection_.fail("a statement");
  }

 private:
  Connection& connection_;
  sqlite3_stmt* statement_;
};

class SqliteClient final : public Client {
 public:
  SqliteClient(const std::filesystem::path& file, bool synced, std::atomic<std::int64_t>& next_id)
      : connection_(file, synced), next_id_(next_id) {}

  void commit(const Change& change) override {
    begin_.step();
    state_.bind(1, change.key).bind(2, change.value).step();
    if (!change.type.empty()) {
      std::int64_t id = next_id_.fetch_add(1);
      event_.bind(1, id).bind(2, change.type).bind(3, change.payload).step();
      if (!change.tag.empty()) tag_.bind(1, change.tag).bind(2, id).step();
    }
    commit_.step();
  }

 private:
  Connection connection_;
  std::atomic<std::int64_t>& next_id_;
  Statement begin_{connection_, "BEGIN IMMEDIATE"};
  Statement state_{connection_, "INSERT OR REPLACE INTO state VALUES (?, ?)"};
  Statement event_{connection_, "INSERT INTO events VALUES (?, ?, ?)"};
  Statement tag_{connection_, "INSERT INTO tags VALUES (?, ?)"};
  Statement commit_{connection_, "COMMIT"};
};

class SqliteSystem final : public System {
 public:
  SqliteSystem(const std::filesystem::path& directory, bool synced)
      : file_(directory / "bench.db"), synced_(synced), connection_(file_, synced) {
    connection_.run("CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID");
    connection_.run("CREATE TABLE events (id INTEGER PRIMARY KEY, type BLOB, payload BLOB)");
    connection_.run("CREATE TABLE tags (tag BLOB, id INTEGER, PRIMARY KEY (tag, id)) WITHOUT ROWID");
  }

  std::unique_ptr<Client> client() override { return std::make_unique<SqliteClient>(file_, synced_, next_id_); }

 private:
  const std::filesystem::path file_;
  const bool synced_;
  Connection connection_;  // keeps the write-ahead log between rounds, as a program that stays open does
  std::atomic<std::int64_t> next_id_{1};
};

}  // namespace

SystemKind sqlite_system(Safety safety) {
  bool synced = safety == Safety::PowerCut;
  return {synced ? "sqlite full" : "sqlite off", safety, [synced](const std::filesystem::path& directory) {
            return std::make_unique<SqliteSystem>(directory, synced);
          }};
}

}  // namespace azoth::bench
