// The file system as a query's connection sees it: the files of its projections, and temporary ones up to a limit.
//
// SQLite's own VFS with two differences. Once the projections are open, no file can be opened by its name, whatever a
// statement manages to say. And what is written to temporary files (nameless, gone when they are closed) is counted.
#pragma once

#include <cstdint>

namespace azoth::query_vfs {

// To be named when a connection is opened.
const char* name();

// What one query may write to temporary files.
struct TemporarySpace {
  std::uint64_t limit = UINT64_MAX;
  std::uint64_t used = 0;
  bool exceeded = false;
};

// While this lives, SQLite's calls on this thread are those of a connection that opens its projections.
class Opening {
 public:
  Opening();
  ~Opening();
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
};

// While this lives, temporary files that are opened on this thread count against this space, which must outlive them.
class Using {
 public:
  explicit Using(TemporarySpace& space);
  ~Using();
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;

 private:
  TemporarySpace* before_;
};

}  // namespace azoth::query_vfs
