// SQLite without anything around it: what references are made of.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "azoth/core/error.h"

namespace azoth::bench {

class BareSqlite {
 public:
  enum class Synchronous { Normal, Full };

  BareSqlite(const std::filesystem::path& file, Synchronous synchronous) {
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(file.c_str(), &db_, kFlags, nullptr) != SQLITE_OK) fail("opening");
    sqlite3_busy_timeout(db_, 60'000);
    run("PRAGMA journal_mode=WAL");
    run(synchronous == Synchronous::Normal ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
  }
  ~BareSqlite() { sqlite3_close_v2(db_); }
  BareSqlite(const BareSqlite&) = delete;
  BareSqlite& operator=(const BareSqlite&) = delete;

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

class BareStatement {
 public:
  BareStatement(BareSqlite& connection, const char* sql)
      : connection_(connection), statement_(connection.prepare(sql)) {}
  ~BareStatement() { sqlite3_finalize(statement_); }
  BareStatement(const BareStatement&) = delete;
  BareStatement& operator=(const BareStatement&) = delete;

  BareStatement& bind(int at, std::string_view bytes) {
    sqlite3_bind_blob(statement_, at, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
    return *this;
  }
  BareStatement& bind_text(int at, std::string_view text) {
    sqlite3_bind_text(statement_, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
    return *this;
  }
  BareStatement& bind(int at, std::int64_t number) {
    sqlite3_bind_int64(statement_, at, number);
    return *this;
  }
  void step() {
    int rc = sqlite3_step(statement_);
    sqlite3_reset(statement_);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) connection_.fail("a statement");
  }
  // Hands the first column of the first row to `use`; false if there is no row.
  template <class Use>
  bool first(const Use& use) {
    int rc = sqlite3_step(statement_);
    if (rc == SQLITE_ROW) {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, 0));
      use(std::string_view(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, 0))));
    }
    sqlite3_reset(statement_);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) connection_.fail("a query");
    return rc == SQLITE_ROW;
  }

 private:
  BareSqlite& connection_;
  sqlite3_stmt* statement_;
};

}  // namespace azoth::bench
