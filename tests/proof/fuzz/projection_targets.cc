// Targets of the read side: declarations, pointers, payloads, queries.
#include <memory>
#include <optional>

#include "azoth/db.h"
#include "generations.h"
#include "json_fields.h"
#include "sqlite.h"
#include "target.h"

namespace azoth::proof {
namespace {

AZOTH_FUZZ(declaration, "a declaration is refused, or makes a projection with a name and a version") {
  accepted([&] {
    const Projection projection = SqlProjection::from_text(input);
    Projection::check_name(projection.name());
    expect(projection.version() > 0, "versions begin at 1");
  });
}

AZOTH_FUZZ(pointer, "a pointer is refused, or names a generation that is there") {
  const std::filesystem::path folder = scratch() / "projections";
  std::filesystem::create_directories(folder);
  put_file(folder / "p", input);
  put_file(folder / "p.1.lock", "");
  accepted([&] {
    const auto generation = read_current_generation(FileSystem::posix(), folder, "p");
    expect(!generation || generation->number == 1, "only what is there can be read");
  });
}

AZOTH_FUZZ(json_fields, "a payload is refused, or its fields are bound") {
  static Connection connection = [] {
    put_file(scratch() / "empty.db", "");
    return Connection(scratch() / "empty.db", Connection::Mode::Write);
  }();
  static SqlStatement statement = connection.prepare("SELECT ?");
  accepted([&] {
    const JsonFields fields(input);
    for (const char* name : {"a", "a_b", "a_b_c", "", "_"}) accepted([&] { fields.bind(statement, 1, name); });
  });
}

const std::filesystem::path& queried_store() {
  static const std::filesystem::path directory = [] {
    const std::filesystem::path made = scratch() / "store";
    Db db = Db::create(made, {.segment_bytes = limits::kMinSegmentBytes});
    for (int i = 0; i < 20; ++i) {
      const std::string payload = R"({"n":)" + std::to_string(i) + "}";
      db.submit(WriteSet().append({.type = "t", .tags = {}, .payload = payload})).value().wait();
    }
    db.projections().add(
        SqlProjection::from_text("-- azoth:projection p version 1\nCREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT);\n"
                                 "-- azoth:on t\nINSERT INTO t VALUES (:n, :payload);\n"));
    db.projections().catch_up("p");
    return made;
  }();
  return directory;
}

// The first byte says how many arguments there are, the last line is one of them.
AZOTH_FUZZ(query, "a query reads within its limits and changes nothing") {
  static Queries queries(queried_store());
  static const std::vector<std::string> names{"p"};
  Input bytes(input);
  const unsigned arguments = bytes.byte() % 3;
  const std::string_view text = bytes.rest();
  const std::string_view value = text.substr(std::min(text.size(), text.rfind('\n') + 1));
  const std::vector<SqlArgument> bound(arguments, SqlArgument(value));
  const QueryOptions limits{.timeout = std::chrono::milliseconds(300),
                            .max_rows = 100,
                            .max_bytes = 1 << 16,
                            .max_value_bytes = 1 << 12,
                            .max_temporary_bytes = 1 << 20};
  accepted([&] {
    std::uint64_t rows = 0;
    for (const SqlRow& row : queries.run(names, text, bound, limits)) {
      for (int i = 0; i < row.columns(); ++i) row.value(i);
      ++rows;
    }
    expect(rows <= 100, "the limit of rows is kept");
  });
  const auto still_there = [&] {
    for (const SqlRow& row : queries.sql(names, "SELECT count(*), sum(n) FROM t")) {
      return row.int64(0) == 20 && row.int64(1) == 190;
    }
    return false;
  };
  static unsigned calls = 0;
  if (++calls % 16 == 0) expect(still_there(), "a query changes nothing");
}

}  // namespace
}  // namespace azoth::proof
