#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "azoth/core/log.h"
#include "commands.h"
#include "json_writer.h"
#include "line_reader.h"
#include "table.h"
#include "text.h"

namespace azoth::cli {
namespace {

using Type = SqlValue::Type;

std::string query_text(const std::string& given) {
  return given == "-" ? read_all(InputFile(given), std::numeric_limits<std::size_t>::max()) : given;
}

std::string real_text(double value) {
  if (std::isinf(value)) return value > 0 ? "9e999" : "-9e999";  // as SQLite writes it, also in JSON
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

// A number that is written as it would be printed is that number; anything else is text. Columns that are declared as
// TEXT or as numbers are compared rightly either way.
SqlArgument argument(const std::string& text) {
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  auto parsed = std::from_chars(text.data(), end, integer);
  if (parsed.ec == std::errc{} && parsed.ptr == end && std::to_string(integer) == text) return integer;
  double real = 0;
  auto read = std::from_chars(text.data(), end, real);
  if (read.ec == std::errc{} && read.ptr == end && std::isfinite(real) && real_text(real) == text) return real;
  return std::string_view(text);
}

// Those that are asked for, or all that have tables; what is wrong with one of them is said.
std::vector<std::string> chosen(Db& db, const std::vector<std::string>& asked) {
  const std::vector<ProjectionInfo> all = db.projections().inspect();
  std::vector<std::string> names;
  std::set<std::string> distinct;
  for (const std::string& name : asked) {
    if (distinct.insert(name).second) names.push_back(name);
  }
  for (const ProjectionInfo& info : all) {
    if (asked.empty() && info.generation != 0) names.push_back(info.name);
    if (asked.empty() || distinct.contains(info.name)) {
      if (info.generation == 0 && !asked.empty() && !info.problem) {
        throw Error(ErrorCode::NotFound,
                    fmt::format("the projection {0} has no tables yet: azoth projection run {0}", info.name));
      }
      if (info.problem) log(LogLevel::Warning, fmt::format("{} is not to be relied on: {}", info.name, *info.problem));
    }
  }
  if (names.empty()) {
    throw Error(ErrorCode::NotFound, all.empty()
                                         ? "there are no projections; declare one with: azoth projection add FILE.sql"
                                         : "no projection has tables yet: azoth projection run");
  }
  return names;
}

// --- As a table

std::string cell_text(const SqlRow& row, int column) {
  switch (row.type(column)) {
    case Type::Null:
      return "NULL";
    case Type::Int64:
      return std::to_string(row.int64(column));
    case Type::Double:
      return real_text(row.real(column));
    case Type::Blob:
      return fmt::format("x'{}'", to_hex(row.blob(column)));
    case Type::Text:
      break;
  }
  std::string text = escaped(row.text(column));
  return text == "NULL" ? "'NULL'" : text;
}

void print_table(Context& context, SqlResult& result) {
  std::vector<std::string> header;
  for (const std::string& name : result.column_names()) header.push_back(escaped(name));
  Table table(context.out, std::move(header));
  for (const SqlRow& row : result) {
    std::vector<Table::Cell> cells;
    for (int i = 0; i < row.columns(); ++i) {
      const Type type = row.type(i);
      cells.push_back({cell_text(row, i), type == Type::Int64 || type == Type::Double});
    }
    table.add(std::move(cells));
  }
  table.finish();
}

// --- As CSV

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string csv_text(std::string_view text) {
  // An empty text is quoted, to be told from NULL.
  const bool plain = !text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos && text.front() != ' ' &&
                     text.back() != ' ';
  return plain ? std::string(text) : quoted(text);
}

std::string csv_field(const SqlRow& row, int column) {
  switch (row.type(column)) {
    case Type::Null:
      return "";
    case Type::Text:
      return csv_text(row.text(column));
    case Type::Blob:
      return to_hex(row.blob(column));
    default:
      return cell_text(row, column);
  }
}

void print_csv(Context& context, SqlResult& result) {
  auto print = [&](auto field_at, int columns) {
    std::string line;
    for (int i = 0; i < columns; ++i) {
      if (i > 0) line += ',';
      line += field_at(i);
    }
    context.out.write((context.out.terminal() ? terminal_safe(line) : line) + "\r\n");
  };
  print([&](int i) { return csv_text(result.column_name(i)); }, result.columns());
  for (const SqlRow& row : result) print([&](int i) { return csv_field(row, i); }, row.columns());
}

// --- As JSON

// Members of one object have names of their own: the second "n" is "n_2".
std::vector<std::string> member_names(const SqlResult& result) {
  std::vector<std::string> names = result.column_names();
  std::set<std::string> used;
  for (std::string& name : names) {
    if (!is_utf8(name)) name = escaped(name);
    std::string distinct = name;
    for (int n = 2; !used.insert(distinct).second; ++n) distinct = fmt::format("{}_{}", name, n);
    name = distinct;
  }
  return names;
}

std::string json_value(const SqlRow& row, int column) {
  std::string out;
  switch (row.type(column)) {
    case Type::Null:
      return "null";
    case Type::Text:
      append_json_text(out, row.text(column));
      return out;
    case Type::Blob:
      return R"({"hex":")" + to_hex(row.blob(column)) + R"("})";
    default:
      return cell_text(row, column);
  }
}

void print_json(Context& context, SqlResult& result) {
  std::vector<std::string> keys;
  for (const std::string& name : member_names(result)) {
    std::string key;
    append_json_string(key, name);
    keys.push_back(std::move(key));
  }
  for (const SqlRow& row : result) {
    std::string line = "{";
    for (int i = 0; i < row.columns(); ++i) {
      if (i > 0) line += ',';
      line += keys[static_cast<std::size_t>(i)] + ':' + json_value(row, i);
    }
    context.out.json(line + '}');
  }
}

// Whoever has named no projections does not know that it is all of them that are in the way.
SqlResult run_over(Db& db, const std::vector<std::string>& names, const SqlArgs& args, const std::string& query,
                   const std::vector<SqlArgument>& arguments, const QueryOptions& options) {
  try {
    return db.queries().run(names, query, arguments, options);
  } catch (const Error& error) {
    const bool of_others = error.code() == ErrorCode::InvalidArgument || error.corruption();
    if (!args.projections.empty() || names.size() == 1 || !of_others) throw;
    throw Error(error.code(), fmt::format("{}; name those that the query is over: -p NAME", error.what()));
  }
}

}  // namespace

Exit run_sql(Context& context, const SqlArgs& args) {
  if (args.csv && context.json()) throw UsageError("--csv and --json exclude each other; give one of them");
  Db db = open_store_for_reading(context);
  const std::vector<std::string> names = chosen(db, args.projections);
  std::vector<SqlArgument> arguments;
  for (const std::string& value : args.values) arguments.push_back(argument(value));
  const QueryOptions options{.timeout = std::nullopt};  // who has begun it can end it
  SqlResult result = run_over(db, names, args, query_text(args.query), arguments, options);
  if (context.json()) {
    print_json(context, result);
  } else if (args.csv) {
    print_csv(context, result);
  } else {
    print_table(context, result);
  }
  return Exit::Ok;
}

}  // namespace azoth::cli
