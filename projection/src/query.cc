#include "azoth/projection/query.h"

#include <sqlite3.h>

#include <utility>

#include "query_connection.h"
#include "query_pool.h"
#include "sqlite.h"

namespace azoth {

namespace {

std::string_view type_name(SqlValue::Type type) {
  switch (type) {
    case SqlValue::Type::Null:
      return "NULL";
    case SqlValue::Type::Int64:
      return "an integer";
    case SqlValue::Type::Double:
      return "a real";
    case SqlValue::Type::Text:
      return "a text";
    case SqlValue::Type::Blob:
      return "a blob";
  }
  return "of an unknown type";
}

}  // namespace

// --- SqlRow

int SqlRow::columns() const { return static_cast<int>(query_->names().size()); }

std::string_view SqlRow::column_name(int column) const {
  return query_->names()[static_cast<std::size_t>(query_->check(column))];
}

int SqlRow::index(std::string_view column) const {
  const std::vector<std::string>& names = query_->names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].size() == column.size() &&
        sqlite3_strnicmp(names[i].data(), column.data(), static_cast<int>(column.size())) == 0) {
      return static_cast<int>(i);
    }
  }
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  throw Error(ErrorCode::InvalidArgument, "the row has no column " + std::string(column) + "; it has " + list);
}

SqlValue::Type SqlRow::type(int column) const { return column_type(query_->row(), query_->check(column)); }

namespace {

[[noreturn]] void wrong_type(const SqlRow& row, int column, std::string_view asked) {
  const SqlValue::Type type = row.type(column);
  std::string what = "column " + std::string(row.column_name(column)) + " is " + std::string(type_name(type)) +
                     " in this row and was read as " + std::string(asked);
  if (type == SqlValue::Type::Null) what += "; ask is_null(), or get() an optional";
  throw Error(ErrorCode::InvalidArgument, what);
}

}  // namespace

std::int64_t SqlRow::int64(int column) const {
  if (type(column) != SqlValue::Type::Int64) wrong_type(*this, column, "an integer");
  return sqlite3_column_int64(query_->row(), column);
}

double SqlRow::real(int column) const {
  const SqlValue::Type type = this->type(column);
  if (type != SqlValue::Type::Double && type != SqlValue::Type::Int64) wrong_type(*this, column, "a real");
  return sqlite3_column_double(query_->row(), column);
}

std::string_view SqlRow::text(int column) const {
  if (type(column) != SqlValue::Type::Text) wrong_type(*this, column, "a text");
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(query_->row(), column));
  if (text == nullptr) throw Error(ErrorCode::OutOfMemory, "there is no memory for a text of the row");
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(query_->row(), column))};
}

std::string_view SqlRow::blob(int column) const {
  const SqlValue::Type type = this->type(column);
  if (type == SqlValue::Type::Text) return text(column);
  if (type != SqlValue::Type::Blob) wrong_type(*this, column, "a blob");
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(query_->row(), column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(query_->row(), column));
  if (bytes == nullptr && size > 0) throw Error(ErrorCode::OutOfMemory, "there is no memory for a blob of the row");
  return {bytes != nullptr ? bytes : "", size};
}

SqlValue SqlRow::value(int column) const {
  switch (type(column)) {
    case SqlValue::Type::Int64:
      return int64(column);
    case SqlValue::Type::Double:
      return real(column);
    case SqlValue::Type::Text:
      return text(column);
    case SqlValue::Type::Blob:
      return SqlValue::blob(blob(column));
    case SqlValue::Type::Null:
      break;
  }
  return nullptr;
}

// --- SqlResult

SqlResult::SqlResult(std::unique_ptr<RunningQuery> query) : query_(std::move(query)) {}
SqlResult::SqlResult(SqlResult&&) noexcept = default;
SqlResult& SqlResult::operator=(SqlResult&&) noexcept = default;
SqlResult::~SqlResult() = default;

int SqlResult::columns() const { return static_cast<int>(query_->names().size()); }
std::string_view SqlResult::column_name(int column) const {
  return query_->names()[static_cast<std::size_t>(query_->check(column))];
}
std::vector<std::string> SqlResult::column_names() const { return query_->names(); }

std::optional<SqlRow> SqlResult::next() {
  if (!query_->step()) return std::nullopt;
  return SqlRow(*query_);
}

// --- Queries

Queries::Queries(const std::filesystem::path& directory, FileSystem& fs)
    : pool_(std::make_shared<QueryPool>(fs, real_folder(absolute_path(directory)) / "projections")) {}

Queries::~Queries() { pool_->close(); }

SqlResult Queries::run(std::span<const std::string> projections, std::string_view text,
                       std::span<const SqlArgument> arguments, const QueryOptions& options) {
  const Deadline deadline = options.timeout ? deadline_after(*options.timeout) : kNoDeadline;
  return SqlResult(std::make_unique<RunningQuery>(pool_->take(projections), text, arguments, options, deadline));
}

std::vector<std::string> Queries::projections() const { return pool_->projections(); }
void Queries::close_idle() { pool_->close_idle(); }
void Queries::close() { pool_->close(); }

}  // namespace azoth
