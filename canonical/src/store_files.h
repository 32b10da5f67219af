// The files of a store besides journal and LMDB: where everything is, who may write, and what the store is.
//
//   DIR/identity     store id and format version; written last when a store is created, so that a directory without it
//                    is no store
//   DIR/creating     exists while a store is being created; what it stands beside may be thrown away
//   DIR/lock         locked by the process that has the store open for writing, and naming it
//   DIR/journal/     segments
//   DIR/canonical/   the LMDB environment
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "azoth/core/bytes.h"
#include "azoth/core/clock.h"
#include "azoth/core/file.h"
#include "azoth/core/ids.h"
#include "azoth/core/lock_file.h"

namespace azoth {

inline constexpr std::uint32_t kFormatVersion = 3;

struct StorePaths {
  explicit StorePaths(const std::filesystem::path& directory);

  std::filesystem::path directory;
  std::filesystem::path identity;
  std::filesystem::path creating;
  std::filesystem::path lock;
  std::filesystem::path journal;
  std::filesystem::path canonical;
};

struct Identity {
  Uuid store_id;
  std::uint32_t format_version = kFormatVersion;
};

void write_identity(FileSystem& fs, const StorePaths& paths, const Identity& identity);
// Throws NotFound, UnsupportedFormat or Corruption.
Identity read_identity(FileSystem& fs, const StorePaths& paths);

// The right to write to a directory: an advisory lock on DIR/lock (lock_file.h), and an entry in a table of this process. Throws Locked, naming the holder; AlreadyOpen; or
// StillRead when the store was closed here but a snapshot of it lives.
class DirectoryClaim {
 public:
  enum class Mode { Read, Write };  // Read: only the entry in the table of this process

  DirectoryClaim(const StorePaths& paths, Mode mode);
  ~DirectoryClaim();
  DirectoryClaim(const DirectoryClaim&) = delete;
  DirectoryClaim& operator=(const DirectoryClaim&) = delete;

  void store_closed();  // from now on only snapshots hold it
  // For readers in other processes: nothing above `durable` may be believed, until a recovery has settled it. The note
  // outlives the process. Needs no memory; readers find out for themselves if it cannot be written.
  void note_failure(CommitSeq durable) noexcept;
  void failure_is_settled();

 private:
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  std::optional<LockFile> lock_;
};

// Nothing while another process has the store open for writing; else what tells its last writer from any later one, so
// that the same answer twice means that nobody has written in between.
std::optional<std::string> last_writer(const StorePaths& paths);
// What a writer that failed has noted, if nobody has recovered the store since.
std::optional<CommitSeq> failed_writer_durable_seq(const StorePaths& paths);

}  // namespace azoth
