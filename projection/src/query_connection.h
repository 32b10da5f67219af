// A connection that can only read, for SQL from anywhere, and a query that runs on it.
//
// What keeps it from writing, each by itself: the files are opened for reading only; an authorizer allows SELECT, READ,
// RECURSIVE and the functions of a list, and nothing else; a statement must be read-only and give rows; defensive mode.
// Its VFS opens no file by name once the projections are open. Attaching and loading are refused by the authorizer, by
// limits that are set after the projections have been attached, and because extensions are off. Virtual table modules
// that look beyond the tables are dropped.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/clock.h"
#include "azoth/core/error.h"
#include "azoth/projection/query.h"
#include "query_vfs.h"

struct sqlite3;
struct sqlite3_stmt;

namespace azoth {

class QueryConnection {
 public:
  struct Database {
    std::string name;
    std::filesystem::path file;
  };
  explicit QueryConnection(std::vector<Database> databases);
  ~QueryConnection();
  QueryConnection(const QueryConnection&) = delete;
  QueryConnection& operator=(const QueryConnection&) = delete;

  // From here on these limits hold; the options must live until end().
  void begin(const QueryOptions& options, Deadline deadline);
  void end() { options_ = nullptr; }
  query_vfs::TemporarySpace& temporary_space() { return temporary_; }

  // One statement that only reads.
  sqlite3_stmt* prepare(std::string_view text);
  Error error(int code, std::string_view text);
  // It is out of time, or cancelled.
  bool is_over() const noexcept { return cancelled() || late(); }
  std::optional<Error> over() const;
  // Nothing was wrong with its files.
  bool usable() const { return usable_; }

 private:
  void open();
  void attach();
  void lock_down();
  void check_projections();
  void read_views();
  void check_columns(std::string_view text);
  sqlite3_stmt* compile(std::string_view text, std::string_view* rest);
  static int authorize(void* self, int action, const char* first, const char* second, const char* database,
                       const char* trigger);
  template <class... Parts>
  int refuse(const Parts&... parts) noexcept;
  bool cancelled() const noexcept { return options_ != nullptr && options_->stop.stop_requested(); }
  bool late() const noexcept;

  const std::vector<Database> databases_;
  sqlite3* db_ = nullptr;
  const QueryOptions* options_ = nullptr;
  Deadline deadline_ = kNoDeadline;
  query_vfs::TemporarySpace temporary_;
  std::string views_;    // the statements that made them
  std::string refused_;  // what the authorizer last said no to
  bool usable_ = true;
};

class QueryPool;

// A connection of the pool, and the right to read its generations, until this ends.
class QueryLease {
 public:
  struct Reader;

  QueryLease(std::shared_ptr<QueryPool> pool, std::unique_ptr<Reader> reader);
  QueryLease(QueryLease&&) noexcept;
  QueryLease& operator=(QueryLease&&) = delete;
  ~QueryLease();

  QueryConnection& connection() const;

 private:
  std::shared_ptr<QueryPool> pool_;
  std::unique_ptr<Reader> reader_;
};

class RunningQuery {
 public:
  RunningQuery(QueryLease lease, std::string_view text, std::span<const SqlArgument> arguments,
               const QueryOptions& options, Deadline deadline);
  ~RunningQuery();
  RunningQuery(const RunningQuery&) = delete;
  RunningQuery& operator=(const RunningQuery&) = delete;

  const std::vector<std::string>& names() const { return names_; }
  bool step();
  sqlite3_stmt* row() const;  // InvalidArgument if there is none
  int check(int column) const;

 private:
  void bind(std::span<const SqlArgument> arguments);
  int parameter(std::string_view name) const;
  void count_row();
  void finish() noexcept;

  std::optional<QueryLease> lease_;  // until the last row
  const QueryOptions options_;
  const std::string text_;
  sqlite3_stmt* statement_ = nullptr;
  std::vector<std::string> names_;
  bool at_row_ = false;
  std::uint64_t rows_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace azoth
