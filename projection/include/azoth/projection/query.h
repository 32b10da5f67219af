// Queries over projections: SQL that only reads, over the tables of one projection or of several.
//
//   for (auto row : db.sql("accounts", "SELECT owner, cents FROM accounts WHERE cents > ?", 0))
//     std::cout << row.text("owner") << ' ' << row.int64(1) << '\n';
//
//   db.sql("accounts", "SELECT cents FROM accounts WHERE owner = :owner", azoth::named("owner", "alice"));
//   db.sql({"accounts", "names"}, "SELECT n.full, a.cents FROM accounts a JOIN names.people n ON n.id = a.owner");
//
// Write values as parameters, never into the text. Each projection is a database under its own name; the first is also
// `main`. The projector's tables can be read like the user's: azoth_projection holds the cursor that the query sees.
//
// A query is one SELECT (or VALUES, WITH, EXPLAIN). It cannot write, attach or detach, load code, change settings or
// begin a transaction, and it is ended when it takes too long or too much: QueryOptions. It sees each projection at one
// moment, whatever the projector does meanwhile; several projections each at a cursor of its own.
//
// Errors: NotFound if there is no such projection, InvalidArgument for parameters or columns that do not fit, SqlFailed
// for what the statement does wrong or may not do, QueryTimeout, QueryTooLarge, QueryCancelled, and what is wrong with
// the file: Corruption, Io, Locked, OutOfMemory.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "azoth/core/file.h"
#include "azoth/projection/sql.h"

namespace azoth {

struct QueryOptions {
  // From the call to the last row, the caller's own time between rows included: an open result keeps the projection's
  // write-ahead log from starting over. Nothing: for ever.
  std::optional<std::chrono::nanoseconds> timeout = std::chrono::seconds{30};
  std::uint64_t max_rows = UINT64_MAX;        // more: QueryTooLarge
  std::uint64_t max_bytes = UINT64_MAX;       // of the texts and blobs in the rows, together
  std::uint32_t max_value_bytes = 16u << 20;  // of one text, blob or stored row, also of those in between
  std::uint64_t max_temporary_bytes = std::uint64_t{1} << 30;  // in temporary files: of sorting, DISTINCT, recursion
  std::stop_token stop = {};                                   // stopping it ends the query: QueryCancelled
};

// A parameter's value: by its position, or by its name. Borrows text and bytes until the call returns.
class SqlArgument {
 public:
  template <class T>
  requires std::is_constructible_v<SqlValue, const T&> SqlArgument(const T& value)
      : value_(value) {}  // NOLINT: implicit by design
  SqlArgument(std::string_view name, const SqlValue& value) : name_(name), value_(value) {}

  std::string_view name() const { return name_; }  // empty: by position
  const SqlValue& value() const { return value_; }

 private:
  std::string_view name_;
  SqlValue value_;
};

// For the parameter :owner, @owner or $owner; its first character may be given or not.
template <class T>
SqlArgument named(std::string_view name, const T& value) {
  return SqlArgument(name, SqlValue(value));
}

class QueryPool;  // projection/src/query_connection.h
class RunningQuery;
class SqlResult;

// A row of a result, valid until the result steps to the next one or ends; the same holds for the texts and blobs that
// it gives. Columns are numbers from 0, or names (as written in AS, without regard to case; of several with one name,
// the first). A value is read as what it is: another type is InvalidArgument, and so is NULL, unless is_null() or
// optional access is asked first. An integer can be read as a real, a text as a blob.
class SqlRow {
 public:
  int columns() const;
  std::string_view column_name(int column) const;

  SqlValue::Type type(int column) const;
  SqlValue::Type type(std::string_view column) const { return type(index(column)); }
  bool is_null(int column) const { return type(column) == SqlValue::Type::Null; }
  bool is_null(std::string_view column) const { return is_null(index(column)); }

  std::int64_t int64(int column) const;
  std::int64_t int64(std::string_view column) const { return int64(index(column)); }
  double real(int column) const;
  double real(std::string_view column) const { return real(index(column)); }
  std::string_view text(int column) const;
  std::string_view text(std::string_view column) const { return text(index(column)); }
  std::string_view blob(int column) const;
  std::string_view blob(std::string_view column) const { return blob(index(column)); }

  // get<std::optional<std::string>>("memo"): std::int64_t, double, bool, std::string, std::string_view, BytesView, and
  // optionals of these.
  template <class T>
  T get(int column) const;
  template <class T>
  T get(std::string_view column) const {
    return get<T>(index(column));
  }

  SqlValue value(int column) const;  // of any type; borrows like text()
  int index(std::string_view column) const;

 private:
  friend class SqlResult;
  explicit SqlRow(RunningQuery& query) : query_(&query) {}

  RunningQuery* query_;
};

// The rows of a query, made one by one as they are asked for. While it lives it has a connection and reads one moment
// of the projection; both end with the last row, or with this object. One thread at a time; may outlive the Db's
// handle, but a process should end its results before it forks.
class SqlResult {
 public:
  SqlResult(SqlResult&&) noexcept;
  SqlResult& operator=(SqlResult&&) noexcept;
  ~SqlResult();

  // Known before the first row, and after the last.
  int columns() const;
  std::string_view column_name(int column) const;
  std::vector<std::string> column_names() const;

  std::optional<SqlRow> next();  // nothing after the last

  // Each row once: what begin() of a result gives that is partly read is its next row.
  class Iterator {
   public:
    using value_type = SqlRow;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(SqlResult& result) : result_(&result), row_(result.next()) {}
    const SqlRow& operator*() const { return *row_; }
    Iterator& operator++() {
      row_ = result_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& at, std::default_sentinel_t) { return !at.row_; }

   private:
    SqlResult* result_;
    std::optional<SqlRow> row_;
  };
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  friend class Queries;
  explicit SqlResult(std::unique_ptr<RunningQuery> query);

  std::unique_ptr<RunningQuery> query_;
};

// The queries over the projections in DIRECTORY/projections, with a pool of read-only connections. Members may be
// called from any thread. Needs no projector: works beside one in another process, too.
class Queries {
 public:
  explicit Queries(const std::filesystem::path& directory, FileSystem& fs = FileSystem::posix());
  ~Queries();  // results may outlive it
  Queries(const Queries&) = delete;
  Queries& operator=(const Queries&) = delete;

  SqlResult run(std::span<const std::string> projections, std::string_view text,
                std::span<const SqlArgument> arguments = {}, const QueryOptions& options = {});

  template <class... Values>
  SqlResult sql(std::span<const std::string> projections, std::string_view text, const Values&... values) {
    const std::vector<SqlArgument> arguments{SqlArgument(values)...};
    return run(projections, text, arguments);
  }

  std::vector<std::string> projections() const;  // that there are, sorted
  // Closes the connections that no result uses; they are also closed when they are out of date or idle for a minute, at
  // the next query.
  void close_idle();
  void close();  // the same, and none is kept from now on

 private:
  std::shared_ptr<QueryPool> pool_;
};

namespace sql_internal {
template <class T>
struct Getter;
template <class T>
struct Getter<std::optional<T>> {
  static std::optional<T> get(const SqlRow& row, int column) {
    if (row.is_null(column)) return std::nullopt;
    return Getter<T>::get(row, column);
  }
};
template <>
struct Getter<std::int64_t> {
  static std::int64_t get(const SqlRow& row, int column) { return row.int64(column); }
};
template <>
struct Getter<bool> {
  static bool get(const SqlRow& row, int column) { return row.int64(column) != 0; }
};
template <>
struct Getter<double> {
  static double get(const SqlRow& row, int column) { return row.real(column); }
};
template <>
struct Getter<std::string_view> {
  static std::string_view get(const SqlRow& row, int column) { return row.text(column); }
};
template <>
struct Getter<std::string> {
  static std::string get(const SqlRow& row, int column) { return std::string(row.text(column)); }
};
template <>
struct Getter<BytesView> {
  static BytesView get(const SqlRow& row, int column) { return row.blob(column); }
};
}  // namespace sql_internal

template <class T>
T SqlRow::get(int column) const {
  return sql_internal::Getter<T>::get(*this, column);
}

}  // namespace azoth
