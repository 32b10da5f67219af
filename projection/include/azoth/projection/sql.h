// What a handler sees of its projection's database: prepared statements, by their text.
//
//   void deposited(const azoth::EventView& event, azoth::Sql& sql) {
//     sql.run("UPDATE accounts SET cents = cents + ? WHERE owner = ?", 100, "alice");
//     auto row = sql.query("SELECT cents FROM accounts WHERE owner = :owner");
//     row.bind(":owner", "alice");
//     while (row.step()) ... row.int64(0) ...
//   }
//
// A text is prepared once and kept: write values as parameters, not into the text. Everything throws
// Error: SqlFailed for what the statement itself does wrong; NoSpace, Io, Corruption, OutOfMemory, Locked if the
// database is in trouble. A handler may catch the former; the latter end the batch whatever it does. What rolls the
// whole transaction back (OR ROLLBACK, ON CONFLICT ROLLBACK, RAISE(ROLLBACK)) may be caught, too, but no statement runs
// after it and the event has failed.
//
// Transactions, savepoints, PRAGMA, ATTACH and temporary tables are refused, and so is changing tables whose names
// begin with azoth_: a batch is one transaction, and it belongs to the projector.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "azoth/core/bytes.h"

struct sqlite3_stmt;

namespace azoth {

class Connection;  // projection/src/sqlite.h

// A value to bind. Borrows text and bytes; binding copies them.
class SqlValue {
 public:
  enum class Type { Null, Int64, Double, Text, Blob };

  SqlValue(std::nullptr_t) : type_(Type::Null) {}  // NOLINT: implicit by design
  SqlValue(std::nullopt_t) : type_(Type::Null) {}  // NOLINT
  template <std::integral T>
  SqlValue(T value) : type_(Type::Int64), int64_(static_cast<std::int64_t>(value)) {  // NOLINT
    static_assert(sizeof(T) < 8 || std::signed_integral<T>, "SQLite's integers are signed: cast what surely fits");
  }
  SqlValue(double value) : type_(Type::Double), double_(value) {}         // NOLINT
  SqlValue(std::string_view text) : type_(Type::Text), bytes_(text) {}    // NOLINT
  SqlValue(const char* text) : type_(Type::Text), bytes_(text) {}         // NOLINT
  SqlValue(const std::string& text) : type_(Type::Text), bytes_(text) {}  // NOLINT
  template <class T>
  SqlValue(const std::optional<T>& value) : SqlValue(value ? SqlValue(*value) : SqlValue(nullptr)) {}  // NOLINT
  static SqlValue blob(BytesView bytes) {
    SqlValue value(bytes.view());
    value.type_ = Type::Blob;
    return value;
  }

  Type type() const { return type_; }
  std::int64_t int64() const { return int64_; }
  double real() const { return double_; }
  std::string_view bytes() const { return bytes_; }

 private:
  Type type_;
  std::int64_t int64_ = 0;
  double double_ = 0;
  std::string_view bytes_;
};

// A prepared statement, borrowed from its connection and given back, reset, when this ends. One thread at a time, and
// never longer than the call it was made in.
class SqlStatement {
 public:
  SqlStatement(SqlStatement&& other) noexcept;
  SqlStatement& operator=(SqlStatement&&) = delete;
  ~SqlStatement();

  SqlStatement& bind(int index, const SqlValue& value);              // from 1
  SqlStatement& bind(std::string_view name, const SqlValue& value);  // with its colon, ":owner"
  template <class... Values>
  SqlStatement& bind_all(const Values&... values) {
    int index = 0;
    (bind(++index, SqlValue(values)), ...);
    return *this;
  }
  int parameters() const;
  std::string_view parameter_name(int index) const;  // from 1; empty for one without a name

  bool step();   // true: there is a row
  void run();    // steps to the end
  void reset();  // to run it again; what was bound stays

  int columns() const;
  std::string_view column_name(int column) const;  // from 0
  SqlValue::Type type(int column) const;
  bool is_null(int column) const { return type(column) == SqlValue::Type::Null; }
  std::int64_t int64(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;  // valid until the next step
  std::string_view blob(int column) const;

 private:
  friend class Connection;
  SqlStatement(Connection* connection, sqlite3_stmt* statement, bool* in_use)
      : connection_(connection), statement_(statement), in_use_(in_use) {}

  Connection* connection_;
  sqlite3_stmt* statement_;
  bool* in_use_;  // of the cached one; null: it is this object's own
};

class Sql {
 public:
  explicit Sql(Connection& connection) : connection_(&connection) {}

  SqlStatement prepare(std::string_view text);  // exactly one statement

  template <class... Values>
  void run(std::string_view text, const Values&... values) {
    prepare(text).bind_all(values...).run();
  }
  template <class... Values>
  SqlStatement query(std::string_view text, const Values&... values) {
    SqlStatement statement = prepare(text);
    statement.bind_all(values...);
    return statement;
  }
  std::int64_t changes() const;  // rows changed by the last statement

 private:
  Connection* connection_;
};

}  // namespace azoth
