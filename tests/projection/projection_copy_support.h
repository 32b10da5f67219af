// What tests of copies and of installations of projections share.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "azoth/projection/declarations.h"
#include "azoth/projection/projection_copy.h"
#include "projection_support.h"

namespace azoth::test {

inline const std::string kDeclared =
    "-- azoth:projection declared version 3\nCREATE TABLE t (x);\n-- azoth:on count\nINSERT INTO t VALUES (1);\n";

inline std::vector<std::string> files_in(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder) ? FileSystem::posix().list(folder) : std::vector<std::string>{};
}

inline unsigned mode_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

inline std::string content_of(const ProjectionCopy& copy) {
  std::string content;
  copy.read([&](std::string_view bytes) { content += bytes; });
  return content;
}

class ProjectionCopyTest : public ProjectionTest {
 protected:
  // Of each event one row that fills a page: the tables have as many pages as there are events.
  static Projection wide(std::uint32_t version = 1) {
    Projection projection("counts", version);
    projection.schema("CREATE TABLE counts (what TEXT PRIMARY KEY, times INTEGER NOT NULL, filling BLOB)");
    projection.batch({.events = 10}).on("count", [](const EventView& event, Sql& sql) {
      sql.run("INSERT INTO counts VALUES (?1, 1, zeroblob(3000)) ON CONFLICT (what) DO UPDATE SET times = times + 1",
              std::string(event.payload()) + std::to_string(event.id() % 600));
    });
    return projection;
  }
  void build(int events = 5) {
    count(events);
    projector_with(counting())->catch_up("counts");
  }
  void declare() { Declarations(directory_.path()).add(kDeclared, "d.sql"); }
  ProjectionCopy copy(const std::string& name = "counts") { return {directory_.path(), name}; }

  // The tables of a copy, as a file of their own.
  std::unique_ptr<ProjectionFile> open(const ProjectionCopy& copy) {
    const auto path = elsewhere_.path() / ("copy" + std::to_string(++opened_) + ".db");
    std::ofstream(path, std::ios::binary) << content_of(copy);
    return std::make_unique<ProjectionFile>(path, Connection::Mode::Read);
  }
  static std::int64_t number(ProjectionFile& file, const std::string& query) {
    SqlStatement row = file.connection().prepare(query);
    return row.step() ? row.int64(0) : -1;
  }
  // What the tables show is all events up to the cursor, and so do the parts say.
  void expect_consistent(const ProjectionCopy& copy) {
    auto file = open(copy);
    EXPECT_EQ(file->cursor().event_id, copy.parts().cursor);
    EXPECT_EQ(number(*file, "SELECT coalesce(sum(times), 0) FROM counts"),
              static_cast<std::int64_t>(copy.parts().cursor));
    EXPECT_THAT(file->connection().integrity_problems(copy.bytes()), testing::IsEmpty());
  }
  // One letter of the primary key's index, whose page comes after the table's.
  static void spoil_index(const std::filesystem::path& path) {
    std::string content = read_file(FileSystem::posix(), path, 1 << 20);
    std::vector<std::size_t> places;
    for (std::size_t at = content.find("needle"); at != std::string::npos; at = content.find("needle", at + 1))
      places.push_back(at);
    ASSERT_EQ(places.size(), 2u);
    content[places[1]] = 'N';
    std::ofstream(path, std::ios::binary) << content;
  }
  std::vector<std::string> remains() const {
    std::vector<std::string> found = files_in(folder());
    std::erase_if(found, [](const std::string& file) { return !file.starts_with('.'); });
    return found;
  }

  TempDir elsewhere_;
  int opened_ = 0;
};

}  // namespace azoth::test
