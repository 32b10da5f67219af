// Two projections over one log, and the queries over them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "azoth/projection/query.h"
#include "projection_support.h"

namespace azoth::test {

class QueryTest : public ProjectionTest {
 protected:
  // Every kind of value, and the modules that projections may use.
  static Projection things(std::uint32_t version = 1) {
    Projection projection("things", version);
    projection.schema(
        "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, weight REAL, bytes BLOB, memo TEXT);"
        "CREATE VIEW heavy AS SELECT * FROM things WHERE weight > 2;"
        "CREATE VIRTUAL TABLE words USING fts5(word);"
        "CREATE VIRTUAL TABLE old_words USING fts4(word);");
    projection.on("count", [version](const EventView& event, Sql& sql) {
      const auto id = static_cast<std::int64_t>(event.id());
      const std::string name = std::string(event.payload()) + std::to_string(id) + (version > 1 ? "v2" : "");
      sql.run("INSERT INTO things VALUES (?, ?, ?, ?, NULL)", id, name, static_cast<double>(id) + 0.5,
              SqlValue::blob(std::string_view("\0\xff", 2)));
      sql.run("INSERT INTO words VALUES (?)", name);
      sql.run("INSERT INTO old_words VALUES (?)", name);
    });
    return projection;
  }
  void build(int events = 5) {
    count(events);
    auto made = projector();
    made->add(counting());
    made->add(things());
    made->catch_up("counts");
    made->catch_up("things");
  }

  template <class... Values>
  SqlResult sql(const std::string& text, const Values&... values) {
    return queries_->sql(std::vector<std::string>{"things"}, text, values...);
  }
  SqlResult sql_with(const std::string& text, const QueryOptions& options) {
    const std::vector<std::string> names{"things"};
    return queries_->run(names, text, {}, options);
  }
  static std::string all(SqlResult result) {
    std::string rows;
    for (const SqlRow& row : result) {
      for (int i = 0; i < row.columns(); ++i) rows += (i == 0 ? "" : "|") + text_of(row, i);
      rows += ";";
    }
    return rows;
  }
  static std::string text_of(const SqlRow& row, int column) {
    switch (row.type(column)) {
      case SqlValue::Type::Null:
        return "NULL";
      case SqlValue::Type::Int64:
        return std::to_string(row.int64(column));
      case SqlValue::Type::Double:
        return std::to_string(row.real(column)).substr(0, 4);
      case SqlValue::Type::Text:
        return std::string(row.text(column));
      case SqlValue::Type::Blob:
        return "x" + to_hex(row.blob(column));
    }
    return "?";
  }

  // Of the projections' databases and pointers; no connection may be open.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      const std::string name = entry.path().filename();
      if (!entry.is_regular_file() || name.ends_with("-shm")) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::string bytes{std::istreambuf_iterator<char>(file), {}};
      if (name.ends_with("-wal") && bytes.empty()) continue;  // as a reader leaves it
      files[name] = std::move(bytes);
    }
    return files;
  }

  std::unique_ptr<Queries> queries_ = std::make_unique<Queries>(directory_.path());
};

}  // namespace azoth::test
