// The projections that are declared in SQL and registered with a store: a copy of each declaration lies beside the
// projection's other files, as DIRECTORY/projections/NAME.sql, so that any process can keep it up to date.
//
//   azoth::Declarations declarations("ledger");
//   declarations.add(text, "accounts.sql");
//   db.projections().add(declarations.load("accounts"));
//
// None of these needs the store to be open.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/file.h"
#include "azoth/projection/projection.h"

namespace azoth {

class Declarations {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

  // Of the store in this directory, which must exist.
  explicit Declarations(const std::filesystem::path& directory, FileSystem& fs = FileSystem::posix());

  // What add() makes sure of: InvalidArgument names `file` and the line.
  static Projection check(std::string_view text, const std::string& file);

  enum class Change { New, Replaced, Unchanged };
  struct Added {
    std::string name;
    std::uint32_t version = 0;
    Change change = Change::New;
  };
  // Checks a declaration and keeps a copy, whole or not at all, durably. What is kept up to date by another declaration
  // is built anew when it is run the next time. Throws what check() throws.
  Added add(std::string_view text, const std::string& file);

  std::vector<std::string> names() const;  // of the declared ones, sorted
  // NotFound if it is not declared. It may have changed under our feet: InvalidArgument then names file and line.
  Projection load(std::string_view name) const;

  // Removes a projection, declared or not: declaration, tables, dead letters. Locked while somebody keeps it up to date
  // (naming the process) or reads it; NotFound if there is nothing of that name. If it dies on the way, the name is
  // there until the next call has finished it.
  void drop(std::string_view name);

 private:
  const std::filesystem::path directory_;
  const std::filesystem::path folder_;
  FileSystem& fs_;
};

}  // namespace azoth
