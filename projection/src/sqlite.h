// The place that touches SQLite; query_connection.cc is the other one, for queries. query_vfs.cc and file_vfs.cc are
// what they let it see of the file system.
//
// A Connection is used by one thread at a time. It remembers trouble: an error of the database rather than of a
// statement (a full disk, I/O, damage, no memory). What meets trouble is never blamed on an event.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "azoth/core/clock.h"
#include "azoth/core/error.h"
#include "azoth/core/file.h"
#include "azoth/projection/sql.h"

struct sqlite3;

namespace azoth {

// What an SQLite error says of the database; nothing if it is the statement's own.
std::optional<ErrorCode> trouble_code(int code, bool lacks_space = false);
// Whether an I/O error that the connection has just met is of a full disk, a quota or a limit of file sizes.
bool lacks_space(sqlite3* database, int code);

// Without symbolic links on the way, which SQLite would refuse anywhere in a path. What a file's own name is, it still
// looks at.
std::filesystem::path real_folder(const std::filesystem::path& folder);
// SQLite's answer.
int bind_value(sqlite3_stmt* statement, int index, const SqlValue& value);
SqlValue::Type column_type(sqlite3_stmt* statement, int column);

class Connection {
 public:
  enum class Mode {
    Write,      // an existing file (an empty one is a database without tables); WAL, synchronous NORMAL
    WriteFull,  // the same with synchronous FULL: each batch is synced
    Read
  };

  Connection(const std::filesystem::path& path, Mode mode);
  // Reads a file that nobody else has, as it is: nothing is made beside it. It must outlive this; `path` is for
  // messages.
  Connection(File& file, const std::filesystem::path& path);
  // A database in memory, for statements that nobody vouches for: what they do ends, in bounded time, memory and
  // without any file. Beyond that is SqlFailed.
  struct Bounded {};
  explicit Connection(Bounded);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One statement, kept prepared.
  SqlStatement prepare(std::string_view text);
  template <class... Values>
  void run(std::string_view text, const Values&... values) {
    prepare(text).bind_all(values...).run();
  }
  // The first statement of a text, prepared and not run; both views are of the text.
  struct First {
    bool empty = true;  // there are only blanks and comments
    std::string_view text;
    std::string_view rest;
    std::vector<std::string> parameters;  // with their first character; "?" for one without a name
  };
  First first_statement(std::string_view text);
  // Any number of statements, one after the other.
  void run_script(std::string_view text);
  std::int64_t changes() const;

  // While this lives, statements are the user's: no transactions, no PRAGMA, no changes to azoth_ tables. They run in a
  // transaction or not at all: what one would do after a statement that rolled it back would be committed at once.
  class UserMode {
   public:
    explicit UserMode(Connection& connection) : connection_(connection) { connection_.user_mode_ = true; }
    ~UserMode() { connection_.user_mode_ = false; }
    UserMode(const UserMode&) = delete;
    UserMode& operator=(const UserMode&) = delete;

   private:
    Connection& connection_;
  };

  bool in_transaction() const;
  void rollback() noexcept;  // if there is a transaction

  const std::optional<Error>& trouble() const { return trouble_; }
  void forget_trouble() { trouble_.reset(); }

  int wal_pages() const { return wal_pages_; }  // after the last commit
  enum class Checkpoint { Passive, Truncate };
  // False if readers keep it from being complete.
  bool checkpoint(Checkpoint kind);
  // What SQLite finds wrong in the file, which has so many bytes; reads all of it. What the file itself says how to
  // compute is not, or ends in bounded time: beyond that is SqlFailed.
  std::vector<std::string> integrity_problems(std::uint64_t bytes);
  // Fills an empty file with all of the database as it is at one moment, whoever writes it meanwhile. Not synced.
  void copy_to(File& file);

 private:
  friend class SqlStatement;
  struct Cached {
    sqlite3_stmt* statement = nullptr;
    bool in_use = false;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  void open(Mode mode, const char* vfs);
  void configure(Mode mode);
  void bound();
  struct Bounds {
    Deadline until;
    std::uint64_t looks_left;
  };
  void look_often(const Bounds& bounds, int steps);
  bool is_over();
  bool calls_functions(const std::string& text);
  std::vector<std::string> problems_found_by(const std::string& text);
  SqlStatement prepare_one(std::string_view text);
  sqlite3_stmt* prepare_new(std::string_view text, std::string_view* tail, bool keep);
  void forget_statements();
  bool may_run() const { return !user_mode_ || in_transaction(); }
  [[noreturn]] void refuse_after_rollback(std::string_view what) const;
  Error error(int code, std::string_view what);
  // Lack of memory is trouble wherever it is met: who catches it has not seen the statement's effect.
  template <class Call>
  auto remembering(Call call);
  [[noreturn]] void lack_memory();
  [[noreturn]] void fail(int code, std::string_view what);
  static int authorize(void* self, int action, const char* first, const char* second, const char* database,
                       const char* trigger);

  const std::string path_;
  sqlite3* db_ = nullptr;
  using Statements = std::unordered_map<std::string, Cached, TextHash, std::equal_to<>>;  // never moves what is in it
  Statements own_statements_;
  Statements user_statements_;  // apart: what the projector may run, a handler may not
  bool user_mode_ = false;
  const char* refused_ = nullptr;  // what the authorizer last said no to
  std::optional<Error> trouble_;
  int wal_pages_ = 0;
  std::optional<Bounds> bounds_;
};

// BEGIN IMMEDIATE; rolled back unless committed. What could not be rolled back for want of memory is before it.
class SqlTransaction {
 public:
  explicit SqlTransaction(Connection& connection) : connection_(connection) {
    connection_.rollback();
    if (connection_.in_transaction()) throw Error(no_memory());
    connection_.run("BEGIN IMMEDIATE");
  }
  ~SqlTransaction() { connection_.rollback(); }
  SqlTransaction(const SqlTransaction&) = delete;
  SqlTransaction& operator=(const SqlTransaction&) = delete;

  void commit() { connection_.run("COMMIT"); }

 private:
  Connection& connection_;
};

}  // namespace azoth
