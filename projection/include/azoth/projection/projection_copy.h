// Projections in and out of a store's directory: what backing them up and restoring them stands on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/file.h"
#include "azoth/core/ids.h"

namespace azoth {

// One projection of a store: its declaration, if it is declared in SQL and registered, and its tables, if it has any.
struct ProjectionParts {
  std::string name;
  std::string declaration = {};  // empty: it is written in C++
  bool tables = false;           // what follows is of them
  EventId cursor = 0;            // the last event that they show
  std::uint32_t version = 0;
  std::string fingerprint = {};

  friend bool operator==(const ProjectionParts&, const ProjectionParts&) = default;
};

// A consistent copy of a projection as it is at one moment, whoever keeps it up to date meanwhile; it is not changed.
class ProjectionCopy {
 public:
  // All there are in DIRECTORY/projections, by name.
  static std::vector<std::string> names(const std::filesystem::path& directory, FileSystem& fs = FileSystem::posix());

  // Of one of these names. Without `tables` only the declaration. Tables that are damaged throw Corruption, a
  // declaration that could not be installed InvalidArgument, a name of which there is neither NotFound. While this
  // lives the disk holds the tables a second time, in a file without a name.
  ProjectionCopy(const std::filesystem::path& directory, std::string_view name, bool tables = true,
                 FileSystem& fs = FileSystem::posix());
  ~ProjectionCopy();
  ProjectionCopy(ProjectionCopy&&) noexcept;

  const ProjectionParts& parts() const;
  std::uint64_t bytes() const;  // of the tables' file; 0 if there are none
  // The tables' file, in pieces of at most 64 KiB.
  void read(const std::function<void(std::string_view bytes)>& each) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Puts a projection into the directory of a store that nobody has open: its declaration, and its tables if `parts` has
// any, for which write() is called before finish(). Durable when finish() has returned; nothing counts before it is
// called. InvalidArgument for a name or a declaration that no store would take; AlreadyExists if there is a projection
// of this name; Corruption if the tables are not whole, or not those of this name, version, fingerprint and cursor;
// UnsupportedFormat if they are of a later version of Azoth.
class ProjectionInstall {
 public:
  ProjectionInstall(const std::filesystem::path& directory, const ProjectionParts& parts,
                    FileSystem& fs = FileSystem::posix());
  ~ProjectionInstall();  // removes what was not finished

  void write(std::string_view bytes);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Puts a declaration that no store would take, of an earlier or a later version of Azoth say, where those of a store
// that nobody has open lie, as it is. Whoever uses it is told what is wrong with it; adding one of its name replaces it.
// InvalidArgument for a name that none can have; AlreadyExists if there is a projection of this name.
void keep_declaration(const std::filesystem::path& directory, std::string_view name, std::string_view declaration,
                      FileSystem& fs = FileSystem::posix());

}  // namespace azoth
