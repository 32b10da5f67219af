#include "query_connection.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "query_expansion.h"
#include "sqlite.h"

namespace azoth {

namespace {

constexpr int kBusyMilliseconds = 5000;  // for what another process does: recovery after a crash
constexpr int kStepsBetweenLooks = 1000;
constexpr std::size_t kMaxTextBytes = 100'000;
constexpr std::size_t kMaxDatabases = 10;

struct Limit {
  int id;
  int value;
};
constexpr Limit kLimits[] = {
    {SQLITE_LIMIT_SQL_LENGTH, kMaxTextBytes}, {SQLITE_LIMIT_COLUMN, 500},
    {SQLITE_LIMIT_EXPR_DEPTH, 200},           {SQLITE_LIMIT_COMPOUND_SELECT, 100},
    {SQLITE_LIMIT_FUNCTION_ARG, 100},         {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},
    {SQLITE_LIMIT_VARIABLE_NUMBER, 1000},     {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
    {SQLITE_LIMIT_WORKER_THREADS, 0},         {SQLITE_LIMIT_ATTACHED, 0},  // what is attached stays
};

// Functions of values alone, and those of full-text search over its own tables.
constexpr std::string_view kFunctions[] = {"->",
                                           "->>",
                                           "abs",
                                           "acos",
                                           "acosh",
                                           "asin",
                                           "asinh",
                                           "atan",
                                           "atan2",
                                           "atanh",
                                           "avg",
                                           "bm25",
                                           "ceil",
                                           "ceiling",
                                           "changes",
                                           "char",
                                           "coalesce",
                                           "concat",
                                           "concat_ws",
                                           "cos",
                                           "cosh",
                                           "count",
                                           "cume_dist",
                                           "current_date",
                                           "current_time",
                                           "current_timestamp",
                                           "date",
                                           "datetime",
                                           "degrees",
                                           "dense_rank",
                                           "exp",
                                           "first_value",
                                           "floor",
                                           "format",
                                           "glob",
                                           "group_concat",
                                           "hex",
                                           "highlight",
                                           "if",
                                           "ifnull",
                                           "iif",
                                           "instr",
                                           "json",
                                           "json_array",
                                           "json_array_length",
                                           "json_error_position",
                                           "json_extract",
                                           "json_group_array",
                                           "json_group_object",
                                           "json_insert",
                                           "json_object",
                                           "json_patch",
                                           "json_pretty",
                                           "json_quote",
                                           "json_remove",
                                           "json_replace",
                                           "json_set",
                                           "json_type",
                                           "json_valid",
                                           "jsonb",
                                           "jsonb_array",
                                           "jsonb_extract",
                                           "jsonb_group_array",
                                           "jsonb_group_object",
                                           "jsonb_insert",
                                           "jsonb_object",
                                           "jsonb_patch",
                                           "jsonb_remove",
                                           "jsonb_replace",
                                           "jsonb_set",
                                           "julianday",
                                           "lag",
                                           "last_insert_rowid",
                                           "last_value",
                                           "lead",
                                           "length",
                                           "like",
                                           "likelihood",
                                           "likely",
                                           "ln",
                                           "log",
                                           "log10",
                                           "log2",
                                           "lower",
                                           "ltrim",
                                           "match",
                                           "matchinfo",
                                           "max",
                                           "min",
                                           "mod",
                                           "nth_value",
                                           "ntile",
                                           "nullif",
                                           "octet_length",
                                           "offsets",
                                           "percent_rank",
                                           "pi",
                                           "pow",
                                           "power",
                                           "printf",
                                           "quote",
                                           "radians",
                                           "random",
                                           "randomblob",
                                           "rank",
                                           "replace",
                                           "round",
                                           "row_number",
                                           "rtrim",
                                           "sign",
                                           "sin",
                                           "sinh",
                                           "snippet",
                                           "soundex",
                                           "sqlite_version",
                                           "sqrt",
                                           "strftime",
                                           "string_agg",
                                           "substr",
                                           "substring",
                                           "subtype",
                                           "sum",
                                           "tan",
                                           "tanh",
                                           "time",
                                           "timediff",
                                           "total",
                                           "total_changes",
                                           "trim",
                                           "trunc",
                                           "typeof",
                                           "unhex",
                                           "unicode",
                                           "unixepoch",
                                           "unlikely",
                                           "upper",
                                           "zeroblob"};

// As table-valued functions or as they are; each only tells of tables and columns.
constexpr std::string_view kPragmas[] = {"foreign_key_list", "index_info", "index_list", "index_xinfo",
                                         "table_info",       "table_list", "table_xinfo"};

// Of virtual tables. Dropped are those that show pages (dbstat), other statements or tokenizers.
constexpr const char* kModules[] = {"fts3", "fts4", "fts5", "fts5vocab", "fts4aux", "json_each", "json_tree", nullptr};

std::string lower(const char* name) {
  std::string text(name != nullptr ? name : "");
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

bool contains(std::span<const std::string_view> names, const char* name) noexcept {
  if (name == nullptr) return false;
  return std::ranges::any_of(names, [&](std::string_view known) { return sqlite3_stricmp(known.data(), name) == 0; });
}

}  // namespace

QueryConnection::QueryConnection(std::vector<Database> databases) : databases_(std::move(databases)) {
  if (databases_.empty()) throw Error(ErrorCode::InvalidArgument, "a query needs a projection; none is named");
  if (databases_.size() > kMaxDatabases) {
    throw Error(ErrorCode::InvalidArgument, "a query may be over " + std::to_string(kMaxDatabases) +
                                                " projections and names " + std::to_string(databases_.size()));
  }
  for (const Database& database : databases_) {
    const std::string name = lower(database.name.c_str());
    const bool taken = std::ranges::any_of(
        databases_, [&](const Database& other) { return &other < &database && lower(other.name.c_str()) == name; });
    if (taken) throw Error(ErrorCode::InvalidArgument, "the projection " + database.name + " is named twice");
    if (databases_.size() > 1 && (name == "temp" || (name == "main" && &database != &databases_.front()))) {
      throw Error(ErrorCode::InvalidArgument,
                  "the projection " + database.name + " cannot be queried together with others: SQLite uses its name");
    }
  }
  query_vfs::Opening opening;
  try {
    open();
    attach();
    check_projections();
    read_views();
    lock_down();
  } catch (...) {
    sqlite3_close(db_);
    throw;
  }
}

QueryConnection::~QueryConnection() { sqlite3_close(db_); }

void QueryConnection::open() {
  const Database& first = databases_.front();
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_READONLY;
  int code = sqlite3_open_v2(first.file.c_str(), &db_, flags, query_vfs::name());
  if (code != SQLITE_OK) throw error(code, "opening it");
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, kBusyMilliseconds);
  // Without ENABLE_TRIGGER nothing fires; what is in the schema is not trusted to call functions with effects.
  for (auto [option, value] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                               {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                               {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                               {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
                               {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
                               {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                               {SQLITE_DBCONFIG_DQS_DML, 0},
                               {SQLITE_DBCONFIG_DQS_DDL, 0}}) {
    sqlite3_db_config(db_, option, value, nullptr);
  }
  if (lower(first.name.c_str()) != "temp") sqlite3_db_config(db_, SQLITE_DBCONFIG_MAINDBNAME, first.name.c_str());
}

void QueryConnection::attach() {
  for (std::size_t i = 1; i < databases_.size(); ++i) {
    const std::string file = databases_[i].file.string();
    std::string_view rest;
    sqlite3_stmt* statement = compile("ATTACH DATABASE ?1 AS ?2", &rest);
    bind_value(statement, 1, SqlValue(file));
    bind_value(statement, 2, SqlValue(databases_[i].name));
    sqlite3_step(statement);
    const int code = sqlite3_finalize(statement);
    if (code != SQLITE_OK) throw error(code, "attaching it");
  }
}

void QueryConnection::check_projections() {
  for (const Database& database : databases_) {
    const std::string name = &database == &databases_.front() ? "main" : database.name;
    std::string text = "SELECT event_id FROM [";  // no name has a bracket
    text.append(name).append("].azoth_projection");
    std::string_view rest;
    sqlite3_stmt* statement = nullptr;
    try {
      statement = compile(text, &rest);
      sqlite3_step(statement);
      const int code = sqlite3_finalize(statement);
      if (code != SQLITE_OK) throw error(code, text);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::SqlFailed) throw;
      throw Error(ErrorCode::Corruption, database.file.string() + " is damaged: " + error.what());
    }
    if (sqlite3_db_readonly(db_, name.c_str()) != 1) {
      throw Error(ErrorCode::SqlFailed, database.file.string() + " could not be opened for reading only");
    }
  }
}

// They are estimated with each text. One that a handler makes later is not.
void QueryConnection::read_views() {
  for (const Database& database : databases_) {
    const std::string name = &database == &databases_.front() ? "main" : database.name;
    std::string text = "SELECT sql FROM [";
    text.append(name).append("].sqlite_schema WHERE type = 'view'");
    std::string_view rest;
    sqlite3_stmt* statement = compile(text, &rest);
    int code = SQLITE_OK;
    try {
      while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const void* view = sqlite3_column_text(statement, 0);
        if (view == nullptr) throw Error(no_memory());
        views_.append(static_cast<const char*>(view)).append("\n;\n");
      }
    } catch (...) {
      sqlite3_finalize(statement);
      throw;
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE) throw error(code, text);
  }
}

// Flattening, and pushing terms down, write the columns of a SELECT out in the one around it: of a short text that
// takes all memory, while nothing interrupts. They only make statements faster, so texts of which they could make too
// much do without. These two bits have been these two in all versions that have them, and there is no other way to say
// it. It stays until the next text: SQLite may prepare this one again.
void QueryConnection::check_columns(std::string_view text) {
  const std::string all = views_ + std::string(text);
  if (column_copies(all, Columns::AsTheyAre) > kMaxColumnCopies) {
    throw Error(ErrorCode::QueryTooLarge,
                "the names of the query's result columns stand in other places too often: written out they would be "
                "more than 200000 operands; in: " +
                    std::string(text.substr(0, 500)));
  }
  constexpr unsigned kFlattening = 0x1;
  constexpr unsigned kPushingDown = 0x1000;
  const bool too_much = column_copies(all, Columns::Flattened) > kMaxColumnCopies;
  sqlite3_test_control(SQLITE_TESTCTRL_OPTIMIZATIONS, db_, too_much ? kFlattening | kPushingDown : 0);
}

void QueryConnection::lock_down() {
  const char* settings =
      "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = FILE";
  int code = sqlite3_exec(db_, settings, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) throw error(code, settings);
  code = sqlite3_drop_modules(db_, const_cast<const char**>(kModules));
  if (code != SQLITE_OK) throw error(code, "dropping modules");
  for (const Limit& limit : kLimits) sqlite3_limit(db_, limit.id, limit.value);
  sqlite3_set_authorizer(db_, &QueryConnection::authorize, this);
  sqlite3_progress_handler(
      db_, kStepsBetweenLooks, [](void* self) { return static_cast<QueryConnection*>(self)->is_over() ? 1 : 0; }, this);
}

// SQLite cannot be thrown through: without memory for the reason it is refused without one.
template <class... Parts>
int QueryConnection::refuse(const Parts&... parts) noexcept {
  try {
    refused_ = "a query may only read; ";
    (refused_.append(parts), ...);
  } catch (const std::bad_alloc&) {
    refused_.clear();
  }
  return SQLITE_DENY;
}

int QueryConnection::authorize(void* self, int action, const char* first, const char* second, const char* /*database*/,
                               const char* /*trigger*/) {
  auto& connection = *static_cast<QueryConnection*>(self);
  const std::string_view name = first != nullptr ? first : "";
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      if (contains(kFunctions, second)) return SQLITE_OK;
      return connection.refuse("the function ", second != nullptr ? second : "", " is not allowed");
    case SQLITE_PRAGMA:
      if (contains(kPragmas, first)) return SQLITE_OK;
      if (name == "data_version" && second == nullptr) return SQLITE_OK;  // full-text search asks
      return connection.refuse("PRAGMA ", name, " is not allowed");
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return connection.refuse("it is a transaction by itself and cannot begin or end one");
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
      return connection.refuse("databases cannot be attached or detached: name the projections in the call");
    case SQLITE_UPDATE:
      // SQLite asks this of itself when a virtual table declares its columns. An UPDATE that says it never comes so
      // far: "table sqlite_master may not be modified".
      if (name == "sqlite_master") return SQLITE_OK;
      [[fallthrough]];
    case SQLITE_INSERT:
    case SQLITE_DELETE:
      return connection.refuse("it cannot change ", name);
    default:
      return connection.refuse("it cannot change the schema");
  }
}

bool QueryConnection::late() const noexcept {
  return options_ != nullptr && deadline_ != kNoDeadline && std::chrono::steady_clock::now() >= deadline_;
}

std::optional<Error> QueryConnection::over() const {
  if (cancelled()) return Error(ErrorCode::QueryCancelled, "the query was cancelled");
  if (late()) {
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(options_->timeout.value());
    return Error(ErrorCode::QueryTimeout, "the query took longer than it may (" + std::to_string(limit.count()) +
                                              " ms); ask for less, add an index to the projection, or allow more time");
  }
  return std::nullopt;
}

void QueryConnection::begin(const QueryOptions& options, Deadline deadline) {
  options_ = &options;
  deadline_ = deadline;
  temporary_ = {.limit = options.max_temporary_bytes};
  constexpr std::uint32_t kMost = 1'000'000'000;
  sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, static_cast<int>(std::min(options.max_value_bytes, kMost)));
}

Error QueryConnection::error(int code, std::string_view text) {
  const bool no_room = code == SQLITE_FULL && temporary_.exceeded;
  const std::optional<ErrorCode> trouble = no_room ? std::nullopt : trouble_code(code, lacks_space(db_, code));
  if (trouble) usable_ = false;  // also if there is no memory for what follows
  const std::string said = db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  const std::string in = ", in: " + std::string(text.substr(0, 500));
  const int kind = code & 0xff;
  if (kind == SQLITE_INTERRUPT) {
    if (auto reason = over()) return *reason;
    return {ErrorCode::QueryCancelled, "the query was interrupted"};
  }
  const bool refused = kind == SQLITE_AUTH || said.starts_with("not authorized");  // the latter says it of a function
  if (refused && !refused_.empty()) return {ErrorCode::SqlFailed, refused_ + in};
  if (kind == SQLITE_TOOBIG) {
    return {ErrorCode::QueryTooLarge, "the query makes a text, a blob or a row that is larger than it may be" + in};
  }
  if (no_room) {
    return {ErrorCode::QueryTooLarge, "the query needs more temporary space than it may have (" +
                                          std::to_string(temporary_.limit) + " bytes)" + in};
  }
  if (trouble) return {*trouble, databases_.front().file.string() + ": " + said + in};
  const int offset = db_ != nullptr ? sqlite3_error_offset(db_) : -1;
  const std::string where = offset >= 0 ? ", at byte " + std::to_string(offset) : "";
  return {ErrorCode::SqlFailed, said + where + in};
}

sqlite3_stmt* QueryConnection::compile(std::string_view text, std::string_view* rest) {
  sqlite3_stmt* statement = nullptr;
  const char* end = nullptr;
  refused_.clear();
  const int code = sqlite3_prepare_v3(db_, text.data(), static_cast<int>(text.size()), 0, &statement, &end);
  if (code != SQLITE_OK) throw error(code, text);
  *rest = text.substr(static_cast<std::size_t>(end - text.data()));
  return statement;
}

sqlite3_stmt* QueryConnection::prepare(std::string_view text) {
  if (text.size() >= kMaxTextBytes) {
    throw Error(ErrorCode::QueryTooLarge, "the query's text has " + std::to_string(text.size()) +
                                              " bytes and may have fewer than " + std::to_string(kMaxTextBytes) +
                                              "; bind values as parameters");
  }
  if (text.find('\0') != std::string_view::npos) {
    throw Error(ErrorCode::SqlFailed, "the query's text has a NUL byte; bind values as parameters");
  }
  if (with_expansions(text) > kMaxWithExpansions) {
    throw Error(ErrorCode::QueryTooLarge,
                "the tables of the query's WITH name each other too often: written out they "
                "would be more than 10000; in: " +
                    std::string(text.substr(0, 500)));
  }
  check_columns(text);
  std::string_view rest;
  sqlite3_stmt* statement = compile(text, &rest);
  if (statement == nullptr) throw Error(ErrorCode::SqlFailed, "there is no statement in: " + std::string(text));
  std::string_view tail;
  sqlite3_stmt* second = nullptr;
  try {
    while (!rest.empty() && second == nullptr) {  // comments and semicolons may follow
      second = compile(rest, &tail);
      rest = tail;
    }
    if (second != nullptr)
      throw Error(ErrorCode::SqlFailed, "a query is one statement; there are more in: " + std::string(text));
    if (sqlite3_stmt_readonly(statement) == 0 || sqlite3_column_count(statement) == 0) {
      throw Error(ErrorCode::SqlFailed,
                  "a query may only read; this is no SELECT: " + std::string(text.substr(0, 500)));
    }
  } catch (...) {
    sqlite3_finalize(second);
    sqlite3_finalize(statement);
    throw;
  }
  return statement;
}

// --- RunningQuery

RunningQuery::RunningQuery(QueryLease lease, std::string_view text, std::span<const SqlArgument> arguments,
                           const QueryOptions& options, Deadline deadline)
    : lease_(std::move(lease)), options_(options), text_(text) {
  QueryConnection& connection = lease_->connection();
  connection.begin(options_, deadline);
  try {
    statement_ = connection.prepare(text_);
    bind(arguments);
    for (int i = 0; i < sqlite3_column_count(statement_); ++i) {
      const char* name = sqlite3_column_name(statement_, i);
      if (name == nullptr) throw Error(no_memory());
      names_.emplace_back(name);
    }
  } catch (...) {
    finish();
    throw;
  }
}

RunningQuery::~RunningQuery() { finish(); }

void RunningQuery::finish() noexcept {
  at_row_ = false;
  sqlite3_finalize(std::exchange(statement_, nullptr));
  if (lease_) lease_->connection().end();
  lease_.reset();
}

int RunningQuery::parameter(std::string_view name) const {
  for (std::string_view prefix : {"", ":", "@", "$"}) {
    const std::string full = std::string(prefix) + std::string(name);
    if (int index = sqlite3_bind_parameter_index(statement_, full.c_str())) return index;
  }
  throw Error(ErrorCode::InvalidArgument, "there is no parameter " + std::string(name) + " in: " + text_);
}

void RunningQuery::bind(std::span<const SqlArgument> arguments) {
  const int parameters = sqlite3_bind_parameter_count(statement_);
  std::vector<bool> bound(static_cast<std::size_t>(parameters) + 1);
  int position = 0;
  for (const SqlArgument& argument : arguments) {
    const int index = argument.name().empty() ? ++position : parameter(argument.name());
    if (index > parameters) {
      throw Error(ErrorCode::InvalidArgument,
                  "the query has " + std::to_string(parameters) + " parameters and was given more: " + text_);
    }
    if (bound[static_cast<std::size_t>(index)]) {
      throw Error(ErrorCode::InvalidArgument, "parameter " + std::to_string(index) + " was given twice for: " + text_);
    }
    bound[static_cast<std::size_t>(index)] = true;
    const int code = bind_value(statement_, index, argument.value());
    if (code != SQLITE_OK) throw lease_->connection().error(code, text_);
  }
  for (int i = 1; i <= parameters; ++i) {
    if (bound[static_cast<std::size_t>(i)]) continue;
    const char* name = sqlite3_bind_parameter_name(statement_, i);
    throw Error(ErrorCode::InvalidArgument, "parameter " + (name != nullptr ? std::string(name) : std::to_string(i)) +
                                                " has no value, in: " + text_);
  }
}

bool RunningQuery::step() {
  if (statement_ == nullptr) return false;
  at_row_ = false;
  try {
    QueryConnection& connection = lease_->connection();
    if (auto reason = connection.over()) throw Error(*reason);
    query_vfs::Using space(connection.temporary_space());
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) {
      count_row();
      at_row_ = true;
      return true;
    }
    if (code != SQLITE_DONE) throw connection.error(code, text_);
  } catch (...) {
    finish();
    throw;
  }
  finish();
  return false;
}

void RunningQuery::count_row() {
  ++rows_;
  if (options_.max_bytes != UINT64_MAX) {
    for (int i = 0; i < static_cast<int>(names_.size()); ++i) {
      const SqlValue::Type type = column_type(statement_, i);
      if (type == SqlValue::Type::Text || type == SqlValue::Type::Blob) {
        bytes_ += static_cast<std::uint64_t>(sqlite3_column_bytes(statement_, i));
      }
    }
  }
  if (rows_ <= options_.max_rows && bytes_ <= options_.max_bytes) return;
  throw Error(ErrorCode::QueryTooLarge, "the query gives more than it may: " + std::to_string(options_.max_rows) +
                                            " rows, " + std::to_string(options_.max_bytes) + " bytes");
}

sqlite3_stmt* RunningQuery::row() const {
  if (!at_row_) throw Error(ErrorCode::InvalidArgument, "there is no row any more: the result has gone on or ended");
  return statement_;
}

int RunningQuery::check(int column) const {
  if (column >= 0 && static_cast<std::size_t>(column) < names_.size()) return column;
  throw Error(ErrorCode::InvalidArgument, "there is no column " + std::to_string(column) + "; the result has " +
                                              std::to_string(names_.size()) + ", from 0");
}

}  // namespace azoth
