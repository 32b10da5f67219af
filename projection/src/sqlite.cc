#include "sqlite.h"

#include <sqlite3.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <new>
#include <tuple>
#include <utility>

#include "azoth/core/fault.h"
#include "file_vfs.h"

namespace azoth {

namespace {

constexpr int kBusyMilliseconds = 5000;  // for what another process does: recovery after a crash
constexpr std::size_t kKeptStatements = 1000;
constexpr int kPagesAtATime = 256;  // of a copy
constexpr std::string_view kOwnPrefix = "azoth_";

// What a bounded database may do: far more than it takes to make tables and fill them with what is always the same.
constexpr std::chrono::seconds kBoundedTime{10};
constexpr std::uint64_t kBoundedSteps = 20'000'000;
constexpr int kStepsBetweenLooks = 100;
constexpr int kBoundedPages = 16'384;     // 64 MiB
constexpr int kBoundedCachePages = 4096;  // 16 MiB: what is sorted stays below
constexpr int kBoundedValueBytes = 100'000;
constexpr int kBoundedPatternBytes = 1000;
// What checking a file from elsewhere may take that computes: far more than it does.
constexpr int kCheckedValueBytes = 1'000'000;
constexpr std::uint64_t kCheckedBytesPerSecond = 1'000'000;

// What a fault point makes of an errno.
int injected(int errno_value) { return errno_value == ENOSPC ? SQLITE_FULL : SQLITE_IOERR; }

// Interrupted, no page left, no file to move on to, a value too large.
bool is_beyond_bounds(int code) {
  const int kind = code & 0xff;
  return kind == SQLITE_INTERRUPT || kind == SQLITE_FULL || kind == SQLITE_CANTOPEN || kind == SQLITE_TOOBIG;
}

bool is_no_space(int errno_value) { return errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EFBIG; }

bool is_own(const char* name) {
  return name != nullptr && sqlite3_strnicmp(name, kOwnPrefix.data(), static_cast<int>(kOwnPrefix.size())) == 0;
}

// Rolled back: there is nothing to commit.
class ReadTransaction {
 public:
  explicit ReadTransaction(Connection& connection) : connection_(connection) {
    connection_.run("BEGIN");
    connection_.prepare("SELECT 1 FROM sqlite_schema").step();  // what is seen from now on is the state at this moment
  }
  ~ReadTransaction() { connection_.rollback(); }
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;

 private:
  Connection& connection_;
};

struct Closer {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
  void operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }
};

// What a copy is written to. If it fails it is thrown away, so it needs no journal.
std::unique_ptr<sqlite3, Closer> open_target(File& file) {
  const file_vfs::Opening opening(file);
  sqlite3* opened = nullptr;
  int code = sqlite3_open_v2("copy", &opened, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_READWRITE,
                             file_vfs::name());
  std::unique_ptr<sqlite3, Closer> target(opened);
  if (code == SQLITE_OK) {
    sqlite3_extended_result_codes(opened, 1);
    code = sqlite3_exec(opened, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", nullptr, nullptr, nullptr);
  }
  if (code != SQLITE_OK) {
    throw Error(trouble_code(code).value_or(ErrorCode::Io), std::string("opening a copy: ") + sqlite3_errstr(code));
  }
  return target;
}

}  // namespace

// --- what queries use too

std::filesystem::path real_folder(const std::filesystem::path& folder) {
  std::error_code unknown;
  std::filesystem::path real = std::filesystem::weakly_canonical(folder, unknown);
  return unknown ? folder : real;
}

// SQLite calls only a full disk FULL, and that not everywhere. What it knows of the errno depends on where it was met.
bool lacks_space(sqlite3* database, int code) {
  const int kind = code & 0xff;
  if (kind != SQLITE_IOERR && kind != SQLITE_CANTOPEN) return false;
  if (database == nullptr || (sqlite3_errcode(database) & 0xff) != kind) return false;
  if (is_no_space(sqlite3_system_errno(database))) return true;
  for (int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = nullptr;
    int last = 0;
    sqlite3_file_control(database, "main", which, static_cast<void*>(&file));
    if (file == nullptr || file->pMethods == nullptr || file->pMethods->xFileControl == nullptr) continue;
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &last);
    if (is_no_space(last)) return true;
  }
  return false;
}

std::optional<ErrorCode> trouble_code(int code, bool lacks_space) {
  // A full-text index that does not fit its table any more: the statement's mistake, and no damage of the file.
  if (code == SQLITE_CORRUPT_VTAB) return std::nullopt;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::NoSpace;
    case SQLITE_NOMEM:
      return ErrorCode::OutOfMemory;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::Corruption;
    case SQLITE_BUSY:
      return ErrorCode::Locked;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (lacks_space) return ErrorCode::NoSpace;
      [[fallthrough]];
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
    case SQLITE_PERM:
    case SQLITE_NOLFS:
      return ErrorCode::Io;
    default:
      return std::nullopt;
  }
}

int bind_value(sqlite3_stmt* statement, int index, const SqlValue& value) {
  const char* bytes = value.bytes().data() != nullptr ? value.bytes().data() : "";
  switch (value.type()) {
    case SqlValue::Type::Null:
      return sqlite3_bind_null(statement, index);
    case SqlValue::Type::Int64:
      return sqlite3_bind_int64(statement, index, value.int64());
    case SqlValue::Type::Double:
      return sqlite3_bind_double(statement, index, value.real());
    case SqlValue::Type::Text:
      return sqlite3_bind_text64(statement, index, bytes, value.bytes().size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    case SqlValue::Type::Blob:
      return sqlite3_bind_blob64(statement, index, bytes, value.bytes().size(), SQLITE_TRANSIENT);
  }
  return SQLITE_MISUSE;
}

SqlValue::Type column_type(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return SqlValue::Type::Int64;
    case SQLITE_FLOAT:
      return SqlValue::Type::Double;
    case SQLITE_TEXT:
      return SqlValue::Type::Text;
    case SQLITE_BLOB:
      return SqlValue::Type::Blob;
    default:
      return SqlValue::Type::Null;
  }
}

// --- Connection

Connection::Connection(const std::filesystem::path& path, Mode mode)
    : path_(real_folder(path.parent_path()) / path.filename()) {
  open(mode, nullptr);
}

Connection::Connection(File& file, const std::filesystem::path& path) : path_(path.string()) {
  const file_vfs::Opening opening(file);
  open(Mode::Read, file_vfs::name());
}

Connection::Connection(Bounded) : path_(":memory:") {
  open(Mode::Write, file_vfs::name());  // which opens no file: what does not fit into the cache is an error
  bound();
}

void Connection::open(Mode mode, const char* vfs) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW |
              (mode == Mode::Read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
  int code = sqlite3_open_v2(path_.c_str(), &db_, flags, vfs);
  try {
    if (code != SQLITE_OK) fail(code, "opening it");
    configure(mode);
  } catch (...) {
    forget_statements();
    sqlite3_close(db_);
    throw;
  }
}

void Connection::configure(Mode mode) {
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, kBusyMilliseconds);
  sqlite3_limit(db_, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);  // "x" is a name, never a text: typos are found
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  run_script("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY");
  if (mode != Mode::Read) {
    run_script("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864");
    run_script(mode == Mode::WriteFull ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    sqlite3_wal_hook(  // which also switches automatic checkpoints off
        db_,
        [](void* self, sqlite3*, const char*, int pages) {
          static_cast<Connection*>(self)->wal_pages_ = pages;
          return SQLITE_OK;
        },
        this);
  }
  sqlite3_set_authorizer(db_, &Connection::authorize, this);
}

// A step may take as long as a function of the longest values does, so the clock counts, too, and is looked at often.
void Connection::bound() {
  try {
    run_script("PRAGMA temp_store = FILE; PRAGMA cache_size = " + std::to_string(kBoundedCachePages) +
               "; PRAGMA max_page_count = " + std::to_string(kBoundedPages));
  } catch (...) {
    forget_statements();
    sqlite3_close(db_);
    throw;
  }
  sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, kBoundedValueBytes);
  sqlite3_limit(db_, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, kBoundedPatternBytes);
  look_often(Bounds{deadline_after(kBoundedTime), kBoundedSteps / kStepsBetweenLooks}, kStepsBetweenLooks);
}

void Connection::look_often(const Bounds& bounds, int steps) {
  bounds_ = bounds;
  sqlite3_progress_handler(
      db_, steps, [](void* self) { return static_cast<Connection*>(self)->is_over() ? 1 : 0; }, this);
}

bool Connection::is_over() {
  if (bounds_->looks_left == 0 || std::chrono::steady_clock::now() >= bounds_->until) return true;
  --bounds_->looks_left;
  return false;
}

Connection::~Connection() {
  forget_statements();
  sqlite3_close(db_);
}

void Connection::forget_statements() {
  for (Statements* statements : {&own_statements_, &user_statements_}) {
    for (auto& [text, cached] : *statements) sqlite3_finalize(cached.statement);
    statements->clear();
  }
}

int Connection::authorize(void* self, int action, const char* first, const char* second, const char* /*database*/,
                          const char* /*trigger*/) {
  auto& connection = *static_cast<Connection*>(self);
  if (!connection.user_mode_) return SQLITE_OK;
  auto refuse = [&](const char* what) {
    connection.refused_ = what;
    return SQLITE_DENY;
  };
  switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return refuse("transactions and savepoints are the projector's");
    case SQLITE_PRAGMA:
      if (first != nullptr && std::string_view(first) == "data_version") return SQLITE_OK;  // full-text search asks
      return refuse("PRAGMA is not allowed in a projection");
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
      return refuse("a projection has one database; nothing can be attached");
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
      return refuse("temporary tables, views and triggers are not allowed: they would be lost with the connection");
    case SQLITE_READ:
    case SQLITE_SELECT:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_ALTER_TABLE:  // these name the table second
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TRIGGER:
      if (is_own(first) || is_own(second)) return refuse("names that begin with azoth_ are the projector's own");
      return SQLITE_OK;
    default:
      if (is_own(first)) return refuse("names that begin with azoth_ are the projector's own");
      return SQLITE_OK;
  }
}

Error Connection::error(int code, std::string_view what) {
  const char* said = db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  // An injected fault is not known to SQLite itself.
  if (db_ != nullptr && (sqlite3_errcode(db_) & 0xff) != (code & 0xff)) said = sqlite3_errstr(code);
  if ((code & 0xff) == SQLITE_AUTH && refused_ != nullptr) said = refused_;
  if (bounds_ && is_beyond_bounds(code)) {
    return Error(ErrorCode::SqlFailed,
                 "it takes more time or memory than it may, in: " + std::string(what.substr(0, 500)));
  }
  if (auto in_trouble = trouble_code(code, lacks_space(db_, code))) {
    trouble_ = no_memory();  // remembered if there is none for the message
    trouble_ = Error(*in_trouble, path_ + ": " + said + " (" + std::string(what.substr(0, 200)) + ")");
    return *trouble_;
  }
  return Error(ErrorCode::SqlFailed, std::string(said) + ", in: " + std::string(what.substr(0, 500)));
}

void Connection::fail(int code, std::string_view what) { throw error(code, what); }

void Connection::lack_memory() {
  trouble_ = no_memory();
  throw Error(no_memory());
}

template <class Call>
auto Connection::remembering(Call call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    lack_memory();
  }
}

sqlite3_stmt* Connection::prepare_new(std::string_view text, std::string_view* tail, bool keep) {
  sqlite3_stmt* statement = nullptr;
  const char* end = nullptr;
  refused_ = nullptr;
  // SQLite ends there, and whoever asks for one statement after the other would get no further.
  if (text.find('\0') != std::string_view::npos) {
    throw Error(ErrorCode::SqlFailed, "the text of a statement has a NUL byte; bind values as parameters");
  }
  int code = sqlite3_prepare_v3(db_, text.data(), static_cast<int>(text.size()), keep ? SQLITE_PREPARE_PERSISTENT : 0,
                                &statement, &end);
  if (code != SQLITE_OK) fail(code, text);
  *tail = text.substr(static_cast<std::size_t>(end - text.data()));
  return statement;
}

void Connection::refuse_after_rollback(std::string_view what) const {
  if (trouble_) throw Error(*trouble_);
  throw Error(ErrorCode::SqlFailed, "the transaction was rolled back by a statement before this one, in: " +
                                        std::string(what.substr(0, 500)));
}

SqlStatement Connection::prepare(std::string_view text) {
  return remembering([&] { return prepare_one(text); });
}

SqlStatement Connection::prepare_one(std::string_view text) {
  if (!may_run()) refuse_after_rollback(text);
  Statements& statements = user_mode_ ? user_statements_ : own_statements_;
  auto at = statements.find(text);
  if (at != statements.end() && !at->second.in_use) {
    at->second.in_use = true;
    return {this, at->second.statement, &at->second.in_use};
  }
  std::string_view tail;
  bool keep = at == statements.end() && statements.size() < kKeptStatements;
  sqlite3_stmt* statement = prepare_new(text, &tail, keep);
  SqlStatement owner(this, statement, nullptr);
  if (statement == nullptr) throw Error(ErrorCode::SqlFailed, "there is no statement in: " + std::string(text));
  if (tail.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    throw Error(ErrorCode::SqlFailed, "one statement at a time; behind the first there is: " + std::string(tail));
  }
  if (keep) {
    Cached& cached = statements[std::string(text)];
    cached = {statement, true};
    owner.in_use_ = &cached.in_use;
  }
  return owner;
}

Connection::First Connection::first_statement(std::string_view text) {
  if (bounds_ && is_over()) fail(SQLITE_INTERRUPT, text);  // preparing is not interrupted
  First first;
  SqlStatement statement(this, prepare_new(text, &first.rest, false), nullptr);
  first.text = text.substr(0, text.size() - first.rest.size());
  first.empty = statement.statement_ == nullptr;
  for (int i = 1; !first.empty && i <= statement.parameters(); ++i) {
    std::string_view name = statement.parameter_name(i);
    first.parameters.emplace_back(name.empty() ? "?" : name);
  }
  return first;
}

void Connection::run_script(std::string_view text) {
  while (!text.empty()) {
    std::string_view tail;
    sqlite3_stmt* statement = prepare_new(text, &tail, false);
    text = tail;
    if (statement != nullptr) SqlStatement(this, statement, nullptr).run();
  }
}

std::int64_t Connection::changes() const { return sqlite3_changes64(db_); }

bool Connection::in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

void Connection::rollback() noexcept {
  if (!in_transaction()) return;
  const bool user = std::exchange(user_mode_, false);
  std::ignore = sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  user_mode_ = user;
}

bool Connection::checkpoint(Checkpoint kind) {
  const bool truncate = kind == Checkpoint::Truncate;
  if (truncate) sqlite3_busy_timeout(db_, 0);  // readers are not waited for
  int in_wal = 0;
  int moved = 0;
  int code = SQLITE_OK;
  if (int fault = AZOTH_FAULT("projection.checkpoint")) code = injected(fault);
  if (code == SQLITE_OK) {
    code = sqlite3_wal_checkpoint_v2(db_, nullptr, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
                                     &in_wal, &moved);
  }
  if (truncate) sqlite3_busy_timeout(db_, kBusyMilliseconds);
  if ((code & 0xff) == SQLITE_BUSY) return false;
  if (code != SQLITE_OK) fail(code, "checkpoint");
  return moved == in_wal;
}

// By SQLite's own word for what it will do: the schema's texts can be read in more than one way.
bool Connection::calls_functions(const std::string& text) {
  SqlStatement row = prepare("EXPLAIN " + text);
  while (row.step()) {
    const std::string_view opcode = row.text(1);
    if (opcode.starts_with("Function") || opcode.starts_with("PureFunc")) return true;
  }
  return false;
}

std::vector<std::string> Connection::problems_found_by(const std::string& text) {
  std::vector<std::string> problems;
  SqlStatement check = prepare(text);
  while (check.step()) {
    if (check.text(0) != "ok") problems.emplace_back(check.text(0));
  }
  return problems;
}

// Indexes on expressions and constraints can be programs that go on for ever: then they are passed over. What is left
// are generated columns, of which a NOT NULL and the types of a STRICT table are looked at.
std::vector<std::string> Connection::integrity_problems(std::uint64_t bytes) {
  const std::string all = "PRAGMA integrity_check";
  if (!calls_functions(all)) return problems_found_by(all);
  run_script("PRAGMA ignore_check_constraints = ON");
  const std::string quick = "PRAGMA quick_check";
  if (!calls_functions(quick)) return problems_found_by(quick);
  const int length = sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, kCheckedValueBytes);
  const int pattern = sqlite3_limit(db_, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, kBoundedPatternBytes);
  look_often(Bounds{deadline_after(kBoundedTime + std::chrono::seconds{bytes / kCheckedBytesPerSecond}), UINT64_MAX},
             1);
  std::vector<std::string> problems = problems_found_by(quick);
  sqlite3_progress_handler(db_, 0, nullptr, nullptr);
  bounds_.reset();
  sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, length);
  sqlite3_limit(db_, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, pattern);
  return problems;
}

// The transaction keeps what is copied as it is; without it a writer's commit would begin the copy anew.
void Connection::copy_to(File& file) {
  const std::unique_ptr<sqlite3, Closer> target = open_target(file);
  const ReadTransaction transaction(*this);
  std::unique_ptr<sqlite3_backup, Closer> backup(sqlite3_backup_init(target.get(), "main", db_, "main"));
  int code = backup ? SQLITE_OK : sqlite3_extended_errcode(target.get());
  while (code == SQLITE_OK) {
    const int fault = AZOTH_FAULT("projection.copy");
    code = fault != 0 ? injected(fault) : sqlite3_backup_step(backup.get(), kPagesAtATime);
  }
  backup.reset();
  if (code != SQLITE_DONE) fail(code, "copying it");
}

// --- SqlStatement

SqlStatement::SqlStatement(SqlStatement&& other) noexcept
    : connection_(other.connection_),
      statement_(std::exchange(other.statement_, nullptr)),
      in_use_(std::exchange(other.in_use_, nullptr)) {}

SqlStatement::~SqlStatement() {
  if (statement_ == nullptr) return;
  if (in_use_ == nullptr) {
    sqlite3_finalize(statement_);
    return;
  }
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  *in_use_ = false;
}

SqlStatement& SqlStatement::bind(int index, const SqlValue& value) {
  const int code = bind_value(statement_, index, value);
  if (code == SQLITE_OK) return *this;
  connection_->remembering(
      [&] { connection_->fail(code, "parameter " + std::to_string(index) + " of " + sqlite3_sql(statement_)); });
  return *this;
}

SqlStatement& SqlStatement::bind(std::string_view name, const SqlValue& value) {
  const int index = connection_->remembering([&] {
    const int found = sqlite3_bind_parameter_index(statement_, std::string(name).c_str());
    if (found != 0) return found;
    throw Error(ErrorCode::SqlFailed, "there is no parameter " + std::string(name) + " in: " + sqlite3_sql(statement_));
  });
  return bind(index, value);
}

int SqlStatement::parameters() const { return sqlite3_bind_parameter_count(statement_); }

std::string_view SqlStatement::parameter_name(int index) const {
  const char* name = sqlite3_bind_parameter_name(statement_, index);
  return name != nullptr ? name : "";
}

bool SqlStatement::step() {
  return connection_->remembering([&] {
    if (!connection_->may_run()) connection_->refuse_after_rollback(sqlite3_sql(statement_));
    int fault = AZOTH_FAULT("projection.step");
    int code = fault != 0 ? injected(fault) : sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    Error error = connection_->error(code, sqlite3_sql(statement_));
    sqlite3_reset(statement_);
    throw error;
  });
}

void SqlStatement::run() {
  while (step()) {
  }
}

void SqlStatement::reset() { sqlite3_reset(statement_); }

int SqlStatement::columns() const { return sqlite3_column_count(statement_); }
std::string_view SqlStatement::column_name(int column) const {
  if (column < 0 || column >= columns()) {
    throw Error(ErrorCode::SqlFailed,
                "there is no column " + std::to_string(column) + " in: " + sqlite3_sql(statement_));
  }
  const char* name = sqlite3_column_name(statement_, column);
  if (name == nullptr) connection_->lack_memory();
  return name;
}

SqlValue::Type SqlStatement::type(int column) const { return column_type(statement_, column); }

std::int64_t SqlStatement::int64(int column) const { return sqlite3_column_int64(statement_, column); }
double SqlStatement::real(int column) const { return sqlite3_column_double(statement_, column); }

std::string_view SqlStatement::text(int column) const {
  const bool null = is_null(column);
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr && !null) connection_->lack_memory();
  return {text != nullptr ? text : "", static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view SqlStatement::blob(int column) const {
  if (type(column) != SqlValue::Type::Blob) return text(column);
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  if (bytes == nullptr && size > 0) connection_->lack_memory();
  return {bytes != nullptr ? bytes : "", size};
}

// --- Sql

// The handler's statements: prepared and run in user mode, which the projector sets around it.
SqlStatement Sql::prepare(std::string_view text) { return connection_->prepare(text); }
std::int64_t Sql::changes() const { return connection_->changes(); }

}  // namespace azoth
