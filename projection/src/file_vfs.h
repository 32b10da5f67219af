// SQLite on a File that is open already, and on nothing else: no name is looked up, and no journal, write-ahead log or
// temporary file is made beside it. For files without a name, and for those that nobody may open before they are known
// to be sound.
#pragma once

#include "azoth/core/file.h"

namespace azoth::file_vfs {

// To be named when a connection is opened.
const char* name();

// While this lives, the database that is opened on this thread is this file, which must outlive the connection.
class Opening {
 public:
  explicit Opening(File& file);
  ~Opening();
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
};

}  // namespace azoth::file_vfs
