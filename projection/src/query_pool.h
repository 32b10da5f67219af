// Read-only connections, kept for the next query over the same projections.
//
// A connection in use holds the shared locks of its generations; an idle one holds none, so it keeps no old generation
// from being removed. It is used again only if its files are still the current ones.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/file.h"
#include "generations.h"
#include "query_connection.h"

namespace azoth {

// Which file, whatever its name: a projection that was dropped and made again begins with the same numbers.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

struct QueryLease::Reader {
  std::vector<std::string> projections;
  std::vector<FileIdentity> files;
  std::unique_ptr<QueryConnection> connection;
  std::vector<ReadGeneration> generations;  // none while it is idle
  std::chrono::steady_clock::time_point idle_since;
};

class QueryPool : public std::enable_shared_from_this<QueryPool> {
 public:
  QueryPool(FileSystem& fs, std::filesystem::path folder) : fs_(fs), folder_(std::move(folder)) {}

  QueryLease take(std::span<const std::string> projections);
  void give(std::unique_ptr<QueryLease::Reader> reader) noexcept;
  void close_idle();
  void close();  // no connection is kept any more
  std::vector<std::string> projections() const { return projection_names(fs_, folder_); }

 private:
  using Reader = QueryLease::Reader;

  std::vector<ReadGeneration> generations(std::span<const std::string> projections);
  std::unique_ptr<Reader> take_idle(std::span<const std::string> projections, const std::vector<FileIdentity>& files);

  FileSystem& fs_;
  const std::filesystem::path folder_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Reader>> idle_;  // the last used at the end
  bool closed_ = false;
};

}  // namespace azoth
